package build

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/release"
)

func TestBuiltPackages(t *testing.T) {
	for _, p := range built(t) {
		info, err := os.Stat(p.Path)
		if err != nil {
			t.Fatal(err)
		}
		size, sum, err := digest(p.Path)
		if err != nil || size != p.Size || sum != p.SHA256 || info.Mode().Perm()&0o444 == 0 {
			t.Errorf("%+v is not what is there: %d bytes, mode %v, %v", p, size, info.Mode(), err)
		}
		if p.Version != "1.34.1-1.1" || !strings.Contains(p.Path, p.Architecture) || !strings.Contains(p.Path, p.Name) {
			t.Errorf("got %+v", p)
		}
	}
	if n := len(built(t)); n != 40 {
		t.Errorf("%d packages", n)
	}
}

// remains lists all files below the output directory.
func remains(t *testing.T, c Config) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(c.OutDir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files = append(files, filepath.Base(path))
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

// What is wrong with a release or a request, what the error must say, and that nothing is written then.
func TestBadInput(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string, c *Config, r *Request)
		want   []string
	}{
		"missing architecture": {func(t *testing.T, dir string, c *Config, r *Request) {
			for _, name := range []string{"kubelet", "kubeadm"} {
				if err := os.Remove(filepath.Join(dir, "v1.34.1/bin/linux/s390x", name)); err != nil {
					t.Fatal(err)
				}
			}
		}, []string{"nothing has been built", "(2 missing or unusable)", "kubelet v1.34.1 for s390x: ", "kubeadm v1.34.1 for s390x: ", "/v1.34.1/bin/linux/s390x/kubelet"}},
		"missing checksum": {func(t *testing.T, dir string, c *Config, r *Request) {
			if err := os.Remove(filepath.Join(dir, "v1.34.1/bin/linux/amd64/kubelet.sha256")); err != nil {
				t.Fatal(err)
			}
		}, []string{"nothing has been built", "has no checksum"}},
		"wrong checksum": {func(t *testing.T, dir string, c *Config, r *Request) {
			put(t, dir, "v1.34.1/bin/linux/amd64/kubelet", []byte("other"))
			if err := os.WriteFile(filepath.Join(dir, "v1.34.1/bin/linux/amd64/kubelet.sha256"), []byte(strings.Repeat("0", 64)), 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{strings.Repeat("0", 64), "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"}},
		"wrong architecture": {func(t *testing.T, dir string, c *Config, r *Request) {
			put(t, dir, "v1.34.1/bin/linux/s390x/kubelet", tiny(t, "amd64"))
		}, []string{"bin/linux/s390x/kubelet is a binary for amd64, expected s390x"}},
		"wrong architecture in an archive": {func(t *testing.T, dir string, c *Config, r *Request) {
			put(t, dir, "v1.34.1/crictl-v1.34.1-linux-s390x.tar.gz", tarball(t, map[string][]byte{"crictl": tiny(t, "arm64")}))
		}, []string{"crictl-v1.34.1-linux-s390x.tar.gz:crictl is a binary for arm64, expected s390x"}},
		"no binary": {func(t *testing.T, dir string, c *Config, r *Request) {
			put(t, dir, "v1.34.1/bin/linux/amd64/kubelet", []byte("#!/bin/sh\n"))
		}, []string{"bin/linux/amd64/kubelet: not an ELF executable"}},
		"no member": {func(t *testing.T, dir string, c *Config, r *Request) {
			put(t, dir, "v1.34.1/crictl-v1.34.1-linux-s390x.tar.gz", tarball(t, map[string][]byte{"other": tiny(t, "s390x")}))
		}, []string{`crictl-v1.34.1-linux-s390x.tar.gz has 0 members that are "crictl": expected one`}},
		"no plugins": {func(t *testing.T, dir string, c *Config, r *Request) {
			put(t, dir, "v1.34.1/cni-plugins-linux-s390x-v1.34.1.tgz", tarball(t, map[string][]byte{"LICENSE": nil}))
		}, []string{`has 0 members that are "*": expected some`}},
		"a script among plugins": {func(t *testing.T, dir string, c *Config, r *Request) {
			put(t, dir, "v1.34.1/cni-plugins-linux-s390x-v1.34.1.tgz", tarball(t, map[string][]byte{"bridge": []byte("#!/bin/sh\n")}))
		}, []string{"bridge: not an ELF executable"}},
		"unknown package": {func(t *testing.T, dir string, c *Config, r *Request) { r.Package = "kubelt" },
			[]string{`no definition of the package "kubelt": expected one of cri-o, cri-tools, kubeadm, kubectl, kubelet, kubernetes-cni`}},
		"old version": {func(t *testing.T, dir string, c *Config, r *Request) {
			*r = request(t, "kubelet", "v1.23.0", "amd64")
		}, []string{"package kubelet cannot be built in version v1.23.0: its definition is for versions >=1.24.0 (kubelet/package.yaml:1:1)"}},
		"no version":      {func(t *testing.T, dir string, c *Config, r *Request) { r.Version = release.Version{} }, []string{"no version is given"}},
		"no architecture": {func(t *testing.T, dir string, c *Config, r *Request) { r.Architecture = release.Architecture{} }, []string{"no architecture is given"}},
		"no source":       {func(t *testing.T, dir string, c *Config, r *Request) { delete(c.Sources, "kubernetes") }, []string{"needs the source kubernetes, which is not configured"}},
		"revision":        {func(t *testing.T, dir string, c *Config, r *Request) { r.DebRevision = "../1" }, []string{`"../1" cannot be the revision of a deb`}},
		"no release":      {func(t *testing.T, dir string, c *Config, r *Request) { r.RpmRelease = "" }, []string{`"" cannot be the revision of a rpm`}},
		"twice": {func(t *testing.T, dir string, c *Config, r *Request) {
			r.Architecture = request(t, "x", "v1.0.0", "s390x").Architecture
		}, []string{"deb/s390x/kubelet_1.34.1-1.1_s390x.deb is requested twice"}},
		"no compressor": {func(t *testing.T, dir string, c *Config, r *Request) { c.Compressor = nil }, []string{"no compressor"}},
		"output is a file": {func(t *testing.T, dir string, c *Config, r *Request) {
			c.OutDir = filepath.Join(dir, "v1.34.1/bin/linux/amd64/kubelet")
		}, []string{"cannot write packages", "not a directory"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := kubernetes(t)
			cfg, first := config(t, dir), request(t, "kubelet", "v1.34.1", "amd64")
			out := cfg
			c.damage(t, dir, &cfg, &first)
			requests := []Request{first}
			for _, p := range []string{"kubelet", "kubeadm", "cri-tools", "kubernetes-cni"} {
				requests = append(requests, request(t, p, "v1.34.1", "s390x"))
			}
			_, err := Build(t.Context(), cfg, requests)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %s", err, want)
				}
			}
			if files := remains(t, out); len(files) > 0 {
				t.Errorf("there is %q", files)
			}
		})
	}
}

func TestPreflightError(t *testing.T) {
	dir := kubernetes(t)
	if err := os.RemoveAll(filepath.Join(dir, "v1.34.1/bin/linux/arm64")); err != nil {
		t.Fatal(err)
	}
	c := config(t, dir)
	requests := []Request{request(t, "kubelet", "v1.34.1", "amd64"), request(t, "kubelet", "v1.34.1", "arm64"), request(t, "kubectl", "v1.34.1", "arm64")}
	err := Preflight(t.Context(), c, requests)
	var missing *PreflightError
	if !errors.As(err, &missing) || len(missing.Errs) != 2 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := Preflight(t.Context(), c, requests[:1]); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Preflight(ctx, c, requests); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The same requests give the same bytes in another place and order, with another number of jobs and without a cache, and an
// rpm finds the compressed blocks of the deb before it.
func TestReproducible(t *testing.T) {
	dir := kubernetes(t)
	put(t, dir, "v1.34.1/bin/linux/s390x/kubelet", append(tiny(t, "s390x"), make([]byte, 2*payload.Large)...))
	requests := []Request{request(t, "kubelet", "v1.34.1", "s390x"), request(t, "kubernetes-cni", "v1.34.1", "s390x")}
	c := config(t, dir)
	c.Jobs = 1
	var blocks, cached int
	c.Compressor.Report = func(b payload.Block) {
		if b.Size >= payload.Large {
			blocks++
			if b.Cached {
				cached++
			}
		}
	}
	first, err := Build(t.Context(), c, requests)
	if err != nil {
		t.Fatal(err)
	}
	if blocks == 0 || cached != blocks/2 {
		t.Errorf("%d of %d blocks were shared", cached, blocks)
	}
	c = config(t, dir)
	c.Jobs = 4
	c.Compressor.Cache = ""
	second, err := Build(t.Context(), c, []Request{requests[1], requests[0]})
	if err != nil {
		t.Fatal(err)
	}
	second = append(second[2:], second[:2]...)
	for i := range first {
		a, b := first[i], second[i]
		for _, files := range [][2]string{{a.Path, b.Path}, {a.SBOM, b.SBOM}, {a.Provenance, b.Provenance}} {
			if hexSHA256(t, files[0]) != hexSHA256(t, files[1]) {
				t.Errorf("%s differs", filepath.Base(files[0]))
			}
		}
	}
}

// The date in a package is that of its newest input unless another one is given.
func TestSourceDate(t *testing.T) {
	dir := kubernetes(t)
	given := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	for _, date := range []time.Time{{}, given} {
		c := config(t, dir)
		c.SourceDate = date
		p, err := prepare(t.Context(), c, request(t, "kubelet", "v1.34.1", "s390x"))
		if err != nil {
			t.Fatal(err)
		}
		want := released
		if !date.IsZero() {
			want = given.Truncate(time.Second)
		}
		if !p.date.Equal(want) || !p.debMeta().Time.Equal(want) || !p.rpmMeta().Time.Equal(want) {
			t.Errorf("got %v, want %v", p.date, want)
		}
	}
}

// When ctx ends, the packages that are there are whole, and nothing else is there.
func TestInterrupted(t *testing.T) {
	c := config(t, kubernetes(t))
	c.Jobs = 2
	ctx, cancel := context.WithCancel(t.Context())
	whole := make(chan Package, 100)
	c.Progress = func(p Package) {
		whole <- p
		cancel()
	}
	var requests []Request
	for _, name := range packages {
		requests = append(requests, request(t, name, "v1.34.1", "s390x"))
	}
	if _, err := Build(ctx, c, requests); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(whole)
	want := map[string]bool{}
	for p := range whole {
		for _, name := range []string{p.Path, p.SBOM, p.Provenance} {
			want[filepath.Base(name)] = true
		}
	}
	for _, name := range remains(t, c) {
		if !want[name] {
			t.Errorf("there is %s", name)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("%v vanished", want)
	}
}

// signer remembers when it was asked to sign.
type signer struct{ at time.Time }

func (s *signer) RPMHeader(_ context.Context, header []byte, at time.Time) ([]byte, error) {
	s.at = at
	return []byte("a signature"), nil
}

func TestSigningTime(t *testing.T) {
	dir := kubernetes(t)
	for _, notBefore := range []time.Time{{}, released.Add(-time.Hour), released.Add(time.Hour)} {
		c, s := config(t, dir), &signer{}
		c.HeaderSigner, c.SignedNotBefore = s, notBefore
		r := request(t, "kubectl", "v1.34.1", "s390x")
		r.Formats = []Format{Rpm}
		if list, err := Build(t.Context(), c, []Request{r}); err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		want := released
		if notBefore.After(want) {
			want = notBefore
		}
		if !s.at.Equal(want) {
			t.Errorf("not before %v: signed at %v", notBefore, s.at)
		}
	}
}

// Everything about a program that is not as it should be, but does not keep it from working, is a warning.
func TestNotStripped(t *testing.T) {
	dir := kubernetes(t)
	put(t, dir, "v1.34.1/bin/linux/s390x/kubectl", compiled(t, "s390x", ""))
	c := config(t, dir)
	var log bytes.Buffer
	c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if _, err := Build(t.Context(), c, []Request{request(t, "kubectl", "v1.34.1", "s390x"), request(t, "kubeadm", "v1.34.1", "s390x")}); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); strings.Count(got, "not stripped") != 1 || !strings.Contains(got, "/kubectl") {
		t.Errorf("the log has %q", got)
	}
}
