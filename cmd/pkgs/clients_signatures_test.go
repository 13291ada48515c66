package main_test

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// testSignatures gives every signature in the bucket, those of snapshots included, to the programs
// that apt, dnf and zypper ask.
func testSignatures(t *testing.T, p *published) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "key.gpg") // gpgv reads no armor
	command(t, dir, "gpg", "--dearmor", "--output", binary, p.key)
	gpgv := func(files ...string) {
		t.Helper()
		command(t, dir, "gpgv", append([]string{"--keyring", binary}, files...)...)
	}
	sqv := func(signature, file string) {
		t.Helper()
		command(t, dir, "sqv", "--keyring", p.key, signature, file)
	}
	// An rpm database with nothing but the key.
	database := "--dbpath=" + filepath.Join(dir, "rpmdb")
	command(t, dir, "rpmkeys", database, "--import", p.key)

	seen := map[string]int{}
	err := filepath.WalkDir(p.second, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		kind := filepath.Base(name)
		switch {
		case kind == "InRelease":
			gpgv(name)
		case kind == "Release.gpg":
			signed := strings.TrimSuffix(name, ".gpg")
			gpgv(name, signed)
			sqv(name, signed)
		case kind == "repomd.xml.asc":
			signed := strings.TrimSuffix(name, ".asc")
			gpgv(name, signed)
			sqv(name, signed)
		case strings.HasSuffix(kind, ".rpm"):
			kind = ".rpm"
			out := command(t, dir, "rpmkeys", database, "--define", "_pkgverify_level all", "--checksig", name)
			if !strings.Contains(out, "digests signatures OK") {
				t.Errorf("rpmkeys --checksig: %s", out)
			}
		default:
			return nil
		}
		seen[kind]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"InRelease", "Release.gpg", "repomd.xml.asc", ".rpm"} {
		if seen[kind] == 0 {
			t.Errorf("the bucket has no %s", kind)
		}
	}
	t.Logf("signatures checked: %v", seen)
}
