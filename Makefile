# make help lists what there is.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT := $(shell git rev-parse HEAD 2>/dev/null)
DATE := $(shell TZ=UTC0 git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 30s
CONFIG := testdata/pkgs.yaml
# The client tests need root and Debian systems to run in; test-short leaves them out.
CLIENT_TESTS := ^TestClients
# Without the race detector: what does the same thing many times takes seconds then instead of minutes, and memory is what it
# is for users.
UNRACED := ^(TestNights|TestHostileMemory|TestManyObjects|TestThousand)$$

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "With REAL=1, make release and make run compile Kubernetes itself for amd64 and arm64, which takes minutes."

.PHONY: build
build: ## compile bin/pkgs
	CGO_ENABLED=0 go build -tags grpcnotrace,disable_grpc_modules -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)" -o bin/pkgs ./cmd/pkgs

.PHONY: build-pkcs11
build-pkcs11: ## compile bin/pkgs with PKCS#11, which needs a C compiler and ties it to this system's C library
	CGO_ENABLED=1 go build -tags grpcnotrace,disable_grpc_modules,pkcs11 -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)" -o bin/pkgs ./cmd/pkgs

.PHONY: release
release: ## make out/release, a directory of upstream releases to cut from
	cd testdata/release && GOWORK=off go run . -out $(CURDIR)/out/release $(if $(REAL),-real -plugins all)

.PHONY: run
run: build release ## the main job: cut, publish and verify two versions in out/bucket
	rm -rf out/bucket
	test -e out/key.asc || bin/pkgs keys generate --out out/key.asc --name "pkgs throwaway" --email pkgs@example.org
	bin/pkgs cut v1.35.0 --config $(CONFIG) --confirm
	bin/pkgs cut v1.35.1 --config $(CONFIG) --confirm
	bin/pkgs verify --config $(CONFIG)
	@echo
	@echo "Published in out/bucket, signed by the throwaway key out/key.asc. To serve it and see how clients use it:"
	@echo
	@echo "    bin/pkgs serve out/bucket"

.PHONY: dist
dist: ## make a release of pkgs in out/dist: programs, debs and rpms for four architectures, checksums
	cmd/pkgs/dist/make

.PHONY: dist-check
dist-check: ## make a release twice, the second time elsewhere with empty caches, and compare every byte (minutes)
	cmd/pkgs/dist/make --check

.PHONY: setup
setup: ## install what the tests need from Debian's packages (as root), or list what is missing
	testdata/clients/setup

.PHONY: test
test: setup test-pkcs11 ## run all tests, the real apt, dnf and zypper included
	go test -race -timeout 30m -skip '$(UNRACED)' ./...
	go test -timeout 30m -run '$(UNRACED)' ./cmd/pkgs ./repo/dir ./repo/reconcile ./repo/yum ./sign
	go test -timeout 30m -run '^TestRandomInterleavings$$' ./repo -races 2000
	cd testdata/release && GOWORK=off go vet ./...
	cd testdata/deploy && GOWORK=off go test -count=1 ./...

.PHONY: test-pkcs11
test-pkcs11: setup ## run the tests of signing keys in a token, with SoftHSM
	go vet -tags pkcs11 ./keys/store ./cmd/pkgs
	go test -race -timeout 10m -tags pkcs11 -run 'PKCS11' ./keys/store ./sign

.PHONY: test-short
test-short: ## run the tests that need neither root nor Debian systems
	@echo "leaving out the tests of real clients ($(CLIENT_TESTS)); make test runs them"
	go test -skip '$(CLIENT_TESTS)' ./...

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, go.mod as it should be
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:" $$unformatted; exit 1; fi
	go vet ./...
	cd testdata/release && GOWORK=off go vet ./...
	cd testdata/bench && GOWORK=off go vet ./...
	cd testdata/deploy && GOWORK=off go vet ./...
	go run $(STATICCHECK) ./...
	go mod verify
	go mod tidy -diff

# What verifying a signature covers varies with random numbers, and go test would spend its time on making inputs smaller
# that were not worth it.
.PHONY: fuzz
fuzz: ## run every fuzz test for FUZZTIME (30s)
	@set -e; for package in $$(go list ./...); do \
		few=; case $$package in */sigstore) few="-fuzzminimizetime 1x";; esac; \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$few $$package; \
		done; \
	done

RUNS ?= 5
.PHONY: bench-build
bench-build: build ## measure building beside nfpm, dpkg-deb and rpmbuild, RUNS=5 times; half an hour
	$(MAKE) release REAL=1
	cd testdata/bench && GOWORK=off go build -o $(CURDIR)/bin/nfpm github.com/goreleaser/nfpm/v2/cmd/nfpm
	cd testdata/bench && GOWORK=off go run ./build -pkgs $(CURDIR)/bin/pkgs -nfpm $(CURDIR)/bin/nfpm \
		-release $(CURDIR)/out/release -work $(CURDIR)/out/bench -runs $(RUNS) -only "$(ONLY)"

.PHONY: bench-index
bench-index: build ## measure pkgs index against apt-ftparchive, createrepo_c, reprepro and aptly, on 10,000 packages
	cd testdata/bench && GOWORK=off go build -o $(CURDIR)/bin/bench-index ./index
	bin/bench-index -pkgs bin/pkgs -dir out/bench-index $(BENCH)

.PHONY: bench-publish
bench-publish: ## measure publishing beside aptly and rclone, against stores 30 ms away; some minutes
	mkdir -p out/bench
	cd testdata/bench && GOWORK=off go build -tags grpcnotrace,disable_grpc_modules -o $(CURDIR)/out/bench/ ./publish ./publish/publisher
	cd testdata/bench/publish && $(CURDIR)/out/bench/publish -runs $(RUNS) -only "$(ONLY)"

.PHONY: clean
clean: ## remove bin and out; .cache, which has the tests' Debian systems, stays
	rm -rf bin out
