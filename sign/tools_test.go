package sign

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/keys"
)

// run runs a program and returns what it printed and whether it succeeded. A program that is missing fails the test.
func run(t *testing.T, debianPackage, name string, args ...string) (string, bool) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: install the Debian package %s", name, debianPackage)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC", "HOME="+t.TempDir(), "GNUPGHOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func write(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// keyFiles writes a signer's public keys as the tools want them: armored, and in binary for gpgv.
func keyFiles(t *testing.T, dir string, s *Signer) (armored, binary string) {
	t.Helper()
	data, err := s.Keyring().Armor()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, e := range s.Keyring().Entities() {
		if err := e.Serialize(&b); err != nil {
			t.Fatal(err)
		}
	}
	return write(t, dir, "keys.asc", data), write(t, dir, "keys.gpg", b.Bytes())
}

// TestGpgvAndSqv has apt's two verifiers judge our signatures, good and damaged.
func TestGpgvAndSqv(t *testing.T) {
	for _, names := range [][]string{{"one"}, {"one", "two"}} {
		s, dir := signer(t, names...), t.TempDir()
		armored, keyring := keyFiles(t, dir, s)
		data := write(t, dir, "Release", []byte(text))
		changed := write(t, dir, "changed", []byte(strings.Replace(text, "test", "best", 1)))
		message, err := s.clearsign(t.Context(), []byte(text), at)
		if err != nil {
			t.Fatal(err)
		}
		inRelease := write(t, dir, "InRelease", message)
		forged := write(t, dir, "forged", bytes.Replace(message, []byte("test"), []byte("best"), 1))
		detached, err := s.detached(t.Context(), s.keys, []byte(text), at)
		if err != nil {
			t.Fatal(err)
		}
		asc := write(t, dir, "Release.gpg", detached)

		out := filepath.Join(dir, "out")
		if log, ok := run(t, "gpgv", "gpgv", "--keyring", keyring, "--output", out, inRelease); !ok || strings.Count(log, "Good signature") != len(names) {
			t.Errorf("gpgv InRelease: %s", log)
		}
		if got, err := os.ReadFile(out); err != nil || string(got) != text {
			t.Errorf("gpgv reads the text as %q: %v", got, err)
		}
		if log, ok := run(t, "gpgv", "gpgv", "--keyring", keyring, asc, data); !ok || strings.Count(log, "Good signature") != len(names) {
			t.Errorf("gpgv Release.gpg: %s", log)
		}
		if log, ok := run(t, "gpgv", "gpgv", "--keyring", keyring, asc, changed); ok || !strings.Contains(log, "BAD signature") {
			t.Errorf("gpgv accepts changed data: %s", log)
		}
		if log, ok := run(t, "gpgv", "gpgv", "--keyring", keyring, forged); ok || !strings.Contains(log, "BAD signature") {
			t.Errorf("gpgv accepts a changed message: %s", log)
		}
		if log, ok := run(t, "sqv", "sqv", "--keyring", armored, asc, data); !ok || strings.Count(log, "\n") != len(names) {
			t.Errorf("sqv Release.gpg: %s", log)
		}
		if log, ok := run(t, "sqv", "sqv", "--keyring", armored, asc, changed); ok {
			t.Errorf("sqv accepts changed data: %s", log)
		}
	}
}

// TestRPMChecksig signs a package that rpmbuild made and has rpm check it.
func TestRPMChecksig(t *testing.T) {
	dir := t.TempDir()
	spec := write(t, dir, "empty.spec", []byte("Name: empty\nVersion: 1\nRelease: 1\nSummary: Empty\nLicense: MIT\nBuildArch: noarch\n%description\nEmpty.\n%files\n"))
	if log, ok := run(t, "rpm", "rpmbuild", "-bb", "--define", "_topdir "+dir, "--define", "_rpmdir "+dir, spec); !ok {
		t.Fatalf("rpmbuild: %s", log)
	}
	unsigned, err := os.ReadFile(filepath.Join(dir, "noarch", "empty-1-1.noarch.rpm"))
	if err != nil {
		t.Fatal(err)
	}
	s := signer(t, "one", "two")
	armored, _ := keyFiles(t, dir, signer(t, "one"))
	db := filepath.Join(dir, "db")
	if log, ok := run(t, "rpm", "rpmkeys", "--dbpath", db, "--import", armored); !ok {
		t.Fatalf("rpmkeys --import: %s", log)
	}
	lead, sigs, rest := splitRPM(t, unsigned)
	signature, err := s.header(t.Context(), rest[:headerSize(rest)], at)
	if err != nil {
		t.Fatal(err)
	}
	signed := write(t, dir, "signed.rpm", bytes.Join([][]byte{lead, addSignature(sigs, signature), rest}, nil))
	log, ok := run(t, "rpm", "rpmkeys", "--dbpath", db, "--define", "_pkgverify_level all", "--checksig", "--verbose", signed)
	if !ok || !strings.Contains(log, "Header V4 RSA/SHA256 Signature, key ID "+strings.ToLower(key(t, "one").Info().KeyID[8:])+": OK") {
		t.Errorf("rpmkeys --checksig: %s", log)
	}
	// A key in KMS has one hash for everything.
	only, err := New(liar{signer(t, "one").Keyring(), func(data []byte, opts keys.SignOpts) ([]byte, error) {
		opts.Hash = crypto.SHA512
		return key(t, "one").Sign(t.Context(), data, opts)
	}})
	if err != nil {
		t.Fatal(err)
	}
	sha512, err := only.header(t.Context(), rest[:headerSize(rest)], at)
	if err != nil {
		t.Fatal(err)
	}
	signed = write(t, dir, "sha512.rpm", bytes.Join([][]byte{lead, addSignature(sigs, sha512), rest}, nil))
	log, ok = run(t, "rpm", "rpmkeys", "--dbpath", db, "--define", "_pkgverify_level all", "--checksig", "--verbose", signed)
	if !ok || !strings.Contains(log, "Header V4 RSA/SHA512 Signature, key ID "+strings.ToLower(key(t, "one").Info().KeyID[8:])+": OK") {
		t.Errorf("rpmkeys --checksig with SHA-512: %s", log)
	}
	wrong := bytes.Clone(signature)
	wrong[len(wrong)-1] ^= 1
	signed = write(t, dir, "wrong.rpm", bytes.Join([][]byte{lead, addSignature(sigs, wrong), rest}, nil))
	if log, ok := run(t, "rpm", "rpmkeys", "--dbpath", db, "--checksig", signed); ok {
		t.Errorf("rpmkeys accepts a wrong signature: %s", log)
	}
}

// splitRPM cuts a package into its lead of 96 bytes, its signature header padded to 8 bytes, and the rest.
func splitRPM(t *testing.T, rpm []byte) (lead, signatures, rest []byte) {
	t.Helper()
	n := headerSize(rpm[96:])
	return rpm[:96], rpm[96 : 96+n], rpm[96+(n+7)/8*8:]
}

// headerSize is how long the header is that data begins with: 16 bytes of introduction, 16 for each entry, the store.
func headerSize(data []byte) int {
	return 16 + 16*int(binary.BigEndian.Uint32(data[8:])) + int(binary.BigEndian.Uint32(data[12:]))
}

// addSignature puts an entry with the tag RPMSIGTAG_RSA, 268, of type binary, 7, behind all others of a signature header:
// outside of its region, whose bytes stay as they are.
func addSignature(header, packet []byte) []byte {
	entries, store := binary.BigEndian.Uint32(header[8:]), binary.BigEndian.Uint32(header[12:])
	index := header[16 : 16+16*entries]
	out := bytes.Clone(header[:16])
	binary.BigEndian.PutUint32(out[8:], entries+1)
	binary.BigEndian.PutUint32(out[12:], store+uint32(len(packet)))
	out = append(out, index...)
	for _, v := range []uint32{268, 7, store, uint32(len(packet))} {
		out = binary.BigEndian.AppendUint32(out, v)
	}
	out = append(out, header[16+16*entries:16+16*entries+store]...)
	out = append(out, packet...)
	return append(out, make([]byte, (8-len(out)%8)%8)...)
}
