package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/build/deb"
	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/rpm"
)

// built is the time of all packages. It is long ago, so that no indexer doubts what their files' times say.
var built = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// generator makes packages of usual size in an index: some 20 files, six relations, a description of two paragraphs.
type generator struct{ compressor payload.Compressor }

func newGenerator() *generator {
	return &generator{payload.Compressor{Encoder: payload.Go(), BlockSize: 64 << 10, Workers: 1}}
}

// fill makes dir hold the packages from to to, exclusively, of one format; those that are there stay.
func (g *generator) fill(ctx context.Context, dir, format string, from, to int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := from; i < to; i++ {
		group.Go(func() error {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			file := filepath.Join(dir, fileName(format, i))
			if _, err := os.Stat(file); err == nil {
				return nil
			}
			if err := g.make(ctx, file, format, i); err != nil {
				return err
			}
			return os.Chtimes(file, built, built)
		})
	}
	return group.Wait()
}

// name spreads the packages over the alphabet in another order than that of their numbers, as new packages are.
func name(i int) string {
	return fmt.Sprintf("%s-%06d", words[i*7919%len(words)], i*7919%999983)
}

var words = strings.Fields(`abacus beacon cobalt dynamo ember falcon garnet harbor indigo jasper kernel lattice mantle nimbus
	orchid paddle quartz ribbon saddle timber umbra velvet walnut xenon yonder zephyr`)

func fileName(format string, i int) string {
	if format == "deb" {
		return fmt.Sprintf("%s_1.%d.0-1_amd64.deb", name(i), i%50)
	}
	return fmt.Sprintf("%s-1.%d.0-1.x86_64.rpm", name(i), i%50)
}

func (g *generator) make(ctx context.Context, file, format string, i int) error {
	tree, err := tree(i)
	if err != nil {
		return err
	}
	summary := "A program of the kind " + name(i)
	text := summary + " that does what programs of its kind do.\n\nIt is one of many that differ in little but their names, as the\n" +
		"packages of a large project do, and number " + fmt.Sprint(i) + " of them."
	if format == "deb" {
		return deb.WriteFile(ctx, file, deb.Meta{
			Package: name(i), Version: fmt.Sprintf("1.%d.0-1", i%50), Architecture: "amd64",
			Maintainer: "Some One <someone@example.org>", Section: "admin", Priority: "optional",
			Homepage: "https://example.org/" + name(i), Summary: summary, Description: text,
			Depends:  []string{"libc6 (>= 2.31)", name(i+1) + " (>= 1.0)", "adduser", "mount | util-linux"},
			Provides: []string{"kind-" + name(i)}, Time: built,
		}, tree, &g.compressor)
	}
	m := rpm.Meta{
		Name: name(i), Version: fmt.Sprintf("1.%d.0", i%50), Release: "1", Arch: "x86_64", Summary: summary, Description: text,
		License: "Apache-2.0", URL: "https://example.org/" + name(i), BuildHost: "builder.example.org", Time: built,
		Requires: []rpm.Relation{{Name: "glibc", Op: rpm.GreaterEqual, Version: "2.31"}, {Name: name(i + 1), Op: rpm.GreaterEqual, Version: "1.0"},
			{Name: "shadow-utils"}, {Name: "/usr/bin/mount"}},
		Provides: []rpm.Relation{{Name: "kind(" + name(i) + ")", Op: rpm.Equal, Version: "1"}},
	}
	for j := range 4 {
		m.Changelog = append(m.Changelog, rpm.Change{Time: built.AddDate(0, -j, 0), Author: "Some One <someone@example.org> - 1.0-1",
			Text: fmt.Sprintf("- Change number %d of %s\n- Another that goes with it", j, name(i))})
	}
	return rpm.WriteFile(ctx, file, m, tree, &g.compressor, nil)
}

func tree(i int) (*payload.Tree, error) {
	entries := []payload.Entry{
		{Path: "/usr/bin/" + name(i), Mode: 0o755, Content: payload.Bytes([]byte("#!/bin/sh\necho " + name(i) + "\n"))},
		{Path: "/etc/" + name(i) + ".conf", Mode: 0o644, Config: true, Content: payload.Bytes([]byte("x = 1\n"))},
	}
	for j := range 18 {
		entries = append(entries, payload.Entry{Path: fmt.Sprintf("/usr/share/%s/data-%02d/file", name(i), j), Mode: 0o644,
			Content: payload.Bytes(fmt.Appendf(nil, "%s %d\n", name(i), j))})
	}
	return payload.NewTree(entries...)
}

// large makes dir hold debs of 100 MB of random bytes each, uncompressed, since it is about reading them.
func large(ctx context.Context, dir string, count int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range count {
		file := filepath.Join(dir, fmt.Sprintf("large%d_1-1_amd64.deb", i))
		if _, err := os.Stat(file); err == nil {
			continue
		}
		root, err := os.MkdirTemp(dir, ".root-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(root)
		control := fmt.Sprintf("Package: large%d\nVersion: 1-1\nArchitecture: amd64\nMaintainer: x <x@example.org>\nDescription: large\n", i)
		os.MkdirAll(filepath.Join(root, "DEBIAN"), 0o755)
		if err := os.WriteFile(filepath.Join(root, "DEBIAN/control"), []byte(control), 0o644); err != nil {
			return err
		}
		data, err := os.Create(filepath.Join(root, "data"))
		if err != nil {
			return err
		}
		seed, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
		if _, err := io.CopyN(data, newNoise(seed.Uint64()), 100<<20); err != nil {
			return err
		}
		data.Close()
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "-Znone", "--root-owner-group", "--build", root, file).CombinedOutput(); err != nil {
			return fmt.Errorf("dpkg-deb: %w: %s", err, out)
		}
		os.RemoveAll(root)
	}
	return nil
}

// noise is bytes that nothing compresses, from a generator by Marsaglia (xorshift).
type noise struct{ state uint64 }

func newNoise(seed uint64) *noise { return &noise{seed | 1} }

func (n *noise) Read(p []byte) (int, error) {
	for i := 0; i+8 <= len(p); i += 8 {
		n.state ^= n.state << 13
		n.state ^= n.state >> 7
		n.state ^= n.state << 17
		for j := range 8 {
			p[i+j] = byte(n.state >> (8 * j))
		}
	}
	return len(p) &^ 7, nil
}
