package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/build/deb"
	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/rpm"
	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/sign"
)

// architectures are those of the streams here.
var architectures = []repo.Architecture{{Deb: "amd64", Rpm: "x86_64"}, {Deb: "arm64", Rpm: "aarch64"}, {Deb: "ppc64el", Rpm: "ppc64le"}, {Deb: "s390x", Rpm: "s390x"}}

// packagesOf is how many packages of each architecture and format a stream has here. With 4 architectures that are 1000
// debs and 1000 rpms.
const packagesOf = 250

func packageName(i int) string { return fmt.Sprintf("package-%03d", i) }

// stream holds n packages for some architectures.
func stream(n int, archs []repo.Architecture) repo.Stream {
	s := repo.Stream{
		Name: "core:/stable:/v1.35", Origin: "bench", Label: "bench", Suite: "bench", Codename: "bench", Description: "bench",
		Architectures: archs, Members: map[string]repo.Member{},
	}
	for i := range n {
		s.Members[packageName(i)] = repo.Member{}
	}
	return s
}

// readSigner reads the test key of package keys.
func readSigner() (*sign.Signer, error) {
	const file = "../../../keys/testdata/one-private.asc"
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := keys.ReadPrivate(file, data, func() ([]byte, error) { return nil, errors.New("is locked") })
	if err != nil {
		return nil, err
	}
	return sign.New(key)
}

// made says that a folder of packages is complete.
const made = ".made"

// makePackages fills a folder with n packages for each architecture in both formats, each with a file of size random
// bytes. A folder that is there is left as it is.
func makePackages(ctx context.Context, dir string, n int, archs []repo.Architecture, version string, size int64, formats ...string) error {
	if _, err := os.Stat(filepath.Join(dir, made)); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	signer, err := readSigner()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for i := range n {
		for _, arch := range archs {
			group.Go(func() error {
				data := make([]byte, size)
				rand.Read(data)
				tree, err := payload.NewTree(payload.Entry{Path: "/usr/bin/" + packageName(i), Mode: 0o755, Content: payload.Bytes(data)})
				if err != nil {
					return err
				}
				compressor := &payload.Compressor{Encoder: payload.Go()}
				date := time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)
				upstream, revision := version, "1.1"
				if v, r, ok := cut(version); ok {
					upstream, revision = v, r
				}
				for _, format := range formats {
					if format == "deb" {
						m := deb.Meta{Package: packageName(i), Version: upstream + "-" + revision, Architecture: arch.Deb, Maintainer: "Bench <bench@example.org>",
							Section: "admin", Priority: "optional", Summary: "a package", Description: "It is for measuring.", Time: date}
						err = deb.WriteFile(ctx, filepath.Join(dir, m.FileName()), m, tree, compressor)
					} else {
						m := rpm.Meta{Name: packageName(i), Version: upstream, Release: revision, Arch: arch.Rpm, Summary: "a package",
							Description: "It is for measuring.", License: "Apache-2.0", BuildHost: "localhost", Time: date}
						err = rpm.WriteFile(ctx, filepath.Join(dir, m.FileName()), m, tree, compressor, signer)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, made), nil, 0o644)
}

// cut parts 1.35.0-1.2 into version and revision.
func cut(version string) (upstream, revision string, ok bool) {
	for i := range version {
		if version[i] == '-' {
			return version[:i], version[i+1:], true
		}
	}
	return "", "", false
}
