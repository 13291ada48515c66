package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "sigs.k8s.io/pkgs/"

// floors are the packages from the top of the house to its ground. A package may import those on lower floors only.
var floors = []string{
	"cmd/pkgs",
	"repo/reconcile",
	"repo",
	"repo/verify",
	"repo/dir", // a directory is a repository without streams, buckets or gates
	"sign",     // signs indexes, not bytes: so it knows their formats
	"repo/apt", "repo/yum", "repo/site",
	"repo/refusal", // how readers of both formats say no
	"repo/packed",  // how indexes are compressed, which is nothing to their formats
	"repo/cdn",
	"build",
	"build/deb", "build/rpm",
	"build/payload",
	"build/payload/lzma2",
	"build/payload/unlzma2",
	"build/payload/payloadtest", // what the tests of all three compress
	"build/release", "build/release/releasetest",
	"build/release/sigstore",
	"build/strict",
	"repo/bucket",
	"repo/bucket/buckettest",
	"repo/layout",
	// Where private keys are kept: only here are there HSMs, clouds and programs.
	"keys/store",
	// What tests sign with: a KMS that can lie, a token without hardware.
	"keys/store/hsmtest",
	"keys/store/kmstest",
	"keys",
	"keys/frame",
}

// testOnly are packages that only tests may import: what they need must not become part of the program.
var testOnly = []string{"repo/bucket/buckettest", "build/payload/payloadtest", "build/release/releasetest", "keys/store/hsmtest", "keys/store/kmstest"}

// walls are imports that would go down, and still must not be: what is behind a wall has no business with what is before.
var walls = map[string][]string{
	// Only package files pass between building and publishing.
	"repo/reconcile": {"keys/store", "build", "build/deb", "build/rpm", "build/payload", "build/release", "build/strict", "sign", "keys"},
	"repo":           {"keys/store", "build", "build/deb", "build/rpm", "build/payload", "build/release", "build/strict"},
	"repo/verify":    {"keys/store", "build", "build/deb", "build/rpm", "build/payload", "build/release", "build/strict"},
	// A builder knows no streams, buckets or keys: who signs rpm headers is passed in.
	"build":         {"repo/bucket", "repo/layout", "sign", "keys"},
	"build/deb":     {"build/rpm", "repo/bucket", "repo/layout", "sign", "keys"},
	"build/rpm":     {"build/deb", "repo/bucket", "repo/layout", "sign", "keys"},
	"build/payload": {"repo/bucket", "repo/layout", "sign", "keys"},
	"build/release": {"repo/layout", "sign", "keys"},
	// Whether a signature is good does not depend on where it lay.
	"build/release/sigstore": {"build/strict", "repo/bucket", "repo/layout", "sign", "keys"},
	"build/strict":           {"repo/bucket", "repo/layout", "sign", "keys"},
	// Signatures are made and checked the same way wherever the key is kept.
	"sign": {"keys/store"},
	// A directory in place knows no buckets.
	"repo/dir":     {"repo/bucket", "build"},
	"repo/refusal": {"repo/bucket", "repo/layout", "sign", "keys"},
	"repo/packed":  {"repo/bucket", "repo/layout", "sign", "keys"},
	// The formats are functions from packages to files, and siblings that do not know each other.
	"repo/apt":  {"repo/yum", "repo/site", "repo/bucket", "sign", "keys", "build"},
	"repo/yum":  {"repo/apt", "repo/site", "repo/bucket", "sign", "keys", "build"},
	"repo/site": {"repo/apt", "repo/yum", "repo/bucket", "sign", "keys", "build"},
	// A CDN knows addresses and bytes.
	"repo/cdn": {"repo/bucket", "repo/layout", "sign", "keys", "build"},
	// Stores know no formats, and names know nothing.
	"repo/bucket": {"repo/layout", "sign", "keys"},
	"repo/layout": {"sign", "keys"},
}

func TestFloorPlan(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		name := strings.TrimPrefix(p.ImportPath, module)
		floor := slices.Index(floors, name)
		if floor < 0 {
			t.Errorf("%s is not on the floor plan: give it a floor, or a home in a package that is", name)
			continue
		}
		for _, i := range p.Imports {
			i, ours := strings.CutPrefix(i, module)
			if !ours {
				continue
			}
			if slices.Index(floors, i) <= floor {
				t.Errorf("%s imports %s, which is not below it", name, i)
			}
			if slices.Contains(testOnly, i) && !slices.Contains(testOnly, name) {
				t.Errorf("%s imports %s, which is for tests only", name, i)
			}
			if slices.Contains(walls[name], i) {
				t.Errorf("%s imports %s, and there is a wall between them", name, i)
			}
		}
	}
	if seen != len(floors) {
		t.Errorf("go list found %d packages, the floor plan has %d", seen, len(floors))
	}
}
