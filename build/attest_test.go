package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/release"
)

var update = flag.Bool("update", false, "write the attestations of the sample package anew")

// readJSON reads an attestation, which has no fields but those of v.
func readJSON(t *testing.T, file string, v any) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return data
}

func hexSHA256(t *testing.T, file string) string {
	t.Helper()
	_, sum, err := digest(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum)
}

func TestProvenance(t *testing.T) {
	digests := map[string]string{}
	for _, p := range built(t) {
		if p.Provenance != p.Path+".intoto.json" || p.SBOM != p.Path+".spdx.json" {
			t.Errorf("%s has %s and %s", p.Path, p.SBOM, p.Provenance)
		}
		var s statement
		readJSON(t, p.Provenance, &s)
		name := filepath.Base(p.Path)
		if s.Type != "https://in-toto.io/Statement/v1" || s.PredicateType != "https://slsa.dev/provenance/v1" {
			t.Errorf("%s: %s, %s", name, s.Type, s.PredicateType)
		}
		if len(s.Subject) != 1 || s.Subject[0].Name != name || s.Subject[0].Digest["sha256"] != hexSHA256(t, p.Path) {
			t.Errorf("%s: subject %v", name, s.Subject)
		}
		d := s.Predicate.BuildDefinition
		if e := d.ExternalParameters; d.BuildType != buildType || e.Package != p.Name || e.Version != "v1.34.1" || e.Revision != "1.1" ||
			e.Format != p.Format || !strings.Contains(p.Path, request(t, p.Name, e.Version, e.Architecture).FileName(e.Format)) {
			t.Errorf("%s: %+v", name, d)
		}
		i := d.InternalParameters
		if i.SourceDate != "2025-09-10T11:12:13Z" || i.Encoder != payload.Go().Name() || i.BlockSize != payload.Go().BlockSize() || len(i.Definition.Digest["sha256"]) != 64 {
			t.Errorf("%s: %+v", name, i)
		}
		if other := digests[p.Name]; other != "" && other != i.Definition.Digest["sha256"] {
			t.Errorf("%s has two definitions", p.Name)
		}
		digests[p.Name] = i.Definition.Digest["sha256"]
		if len(d.ResolvedDependencies) != 1 {
			t.Fatalf("%s: %v", name, d.ResolvedDependencies)
		}
		for _, r := range d.ResolvedDependencies {
			if len(r.Digest["sha256"]) != 64 || !strings.HasPrefix(r.URI, "pkg:generic/") || !strings.Contains(r.URI, "@v1.34.1#") {
				t.Errorf("%s: %+v", name, r)
			}
		}
		run := s.Predicate.RunDetails
		if run.Builder.ID != builderID || run.Builder.Version[builderName] != "devel" ||
			len(run.Byproducts) != 1 || run.Byproducts[0].Digest["sha256"] != hexSHA256(t, p.SBOM) {
			t.Errorf("%s: %+v", name, run)
		}
	}
	if len(digests) != len(packages) {
		t.Errorf("definitions %v", digests)
	}
}

// The digest of a definition is what sha256sum says, and follows every file.
func TestDefinitionDigest(t *testing.T) {
	want := run(t, "bash", "bash", "-c", `cd definitions && for f in kubectl/* licenses/Apache-2.0.txt; do echo $f; done | LC_ALL=C sort | xargs sha256sum | sha256sum`)
	if got := fmt.Sprintf("%x", defaults(t)["kubectl"].digest()); !strings.HasPrefix(want, got) {
		t.Errorf("got %s, want %s", got, want)
	}
	seen := map[[sha256.Size]byte]string{sampleDefinitions(t, nil)["hello"].digest(): "unchanged"}
	for name := range sampleFiles() {
		changed := sampleDefinitions(t, func(files fstest.MapFS) { files[name].Data = append(files[name].Data, "\n# more\n"...) })
		sum := changed["hello"].digest()
		if other, ok := seen[sum]; ok {
			t.Errorf("with a changed %s the digest is the same as for %s", name, other)
		}
		seen[sum] = name
	}
}

func sampleFiles() fstest.MapFS {
	return fstest.MapFS{
		"licenses/MIT.txt": {Data: []byte("Do what you like.\n")},
		"hello/greeting":   {Data: []byte("hello\n")},
		"hello/package.yaml": {Data: []byte(`name: hello
source: kubernetes
versions: ">=1.0.0"
summary: Program that greets
description: It greets.
section: admin
homepage: https://example.org
upstream: https://example.org/source
license: MIT
copyright: 2026 The Authors
maintainer: The Authors <authors@example.org>
files:
  - {path: /usr/bin/hello, from: "bin/linux/{arch}/kubectl", binary: true}
  - {path: /etc/greeting, local: greeting, config: true}
`)},
	}
}

func sampleDefinitions(t *testing.T, change func(fstest.MapFS)) Definitions {
	t.Helper()
	files := sampleFiles()
	if change != nil {
		change(files)
	}
	all, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// stored is an encoder that does not compress, so that goldens do not follow the compressor.
type stored struct{}

func (stored) Name() string   { return "stored" }
func (stored) DictSize() int  { return 1 << 20 }
func (stored) BlockSize() int { return 8 << 20 }
func (stored) Memory() int64  { return 0 }
func (stored) Encode(_ context.Context, dst, src []byte) ([]byte, error) {
	for control := byte(1); len(src) > 0; control = 2 {
		n := min(len(src), 1<<16)
		dst = append(dst, control, byte((n-1)>>8), byte(n-1))
		dst, src = append(dst, src[:n]...), src[n:]
	}
	return append(dst, 0), nil
}

// Attestations are the same every time, wherever the release and the packages lie, and look like those in testdata.
func TestAttestationsGolden(t *testing.T) {
	for range 2 {
		c := config(t, kubernetes(t))
		c.Definitions = sampleDefinitions(t, nil)
		c.Compressor = &payload.Compressor{Encoder: stored{}}
		c.BuilderVersion = "v0.1.0"
		list, err := Build(t.Context(), c, []Request{request(t, "hello", "v1.34.1", "s390x")})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			for _, file := range []string{p.SBOM, p.Provenance} {
				golden := filepath.Join("testdata", filepath.Base(file))
				got, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if *update {
					if err := os.WriteFile(golden, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s is not as in testdata (go test -run Golden -update writes it):\n%s", filepath.Base(file), got)
				}
			}
		}
	}
}

// A package that cannot be attested is not there.
func TestNotAttested(t *testing.T) {
	r := request(t, "kubectl", "v1.34.1", "s390x")
	for _, format := range Formats() {
		c := config(t, kubernetes(t))
		name := r.FileName(format)
		if err := os.MkdirAll(filepath.Join(c.OutDir, string(format), name+".intoto.json", "x"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := Build(t.Context(), c, []Request{r}); err == nil {
			t.Fatalf("%s: no error", format)
		}
		for _, file := range remains(t, c) {
			if strings.Contains(file, filepath.Base(name)) {
				t.Errorf("there is %s", file)
			}
		}
	}
}

func TestMaterial(t *testing.T) {
	v, err := release.ParseVersion("v1.36.0-alpha.0.721+f8ff8f44206ff4")
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"https://me:secret@dl.k8s.io/ci/v1%2Bx/kubelet": "https://dl.k8s.io/ci/v1%2Bx/kubelet",
		"http://127.0.0.1:80/kubelet":                   "http://127.0.0.1:80/kubelet",
		"gs://bucket/stage/kubelet":                     "gs://bucket/stage/kubelet",
		"/srv/releases/kubelet":                         "pkg:generic/kubernetes@v1.36.0-alpha.0.721%2Bf8ff8f44206ff4#bin/a%20b/kubelet",
	} {
		m := material{"kubernetes", v, "bin/a b/kubelet", release.File{URL: url, Modified: time.Time{}}}
		if got := m.location(); got != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
	}
}
