package yum

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sigs.k8s.io/pkgs/keys"
)

// A package that rpm signed, with a key that GnuPG made, verifies by way of what ReadSignature finds in it.
func TestReadSignature(t *testing.T) {
	dir := t.TempDir()
	makeRPM(t, dir, plainSpec, "pkg signed")
	names, _ := filepath.Glob(filepath.Join(dir, "noarch/*.rpm"))
	name := names[0]

	if s := readSignature(t, name); s.Packet != nil || s.KeyID != "" {
		t.Errorf("unsigned package: found %+v", s)
	}
	home := filepath.Join(dir, "gnupg")
	os.Mkdir(home, 0o700)
	gpg := []string{"--homedir", home, "--batch", "--passphrase", ""}
	defer run(t, dir, tool(t, "gpgconf", "gnupg"), "--homedir", home, "--kill", "all")
	run(t, dir, tool(t, "gpg", "gnupg"), append(gpg, "--quick-generate-key", "Test <t@example.org>", "rsa3072", "sign", "never")...)
	run(t, dir, tool(t, "rpmsign", "rpm"), "--addsign", "--define", "_gpg_name t@example.org", "--define", "_gpg_path "+home,
		"--define", "__gpg "+tool(t, "gpg", "gnupg"), name)
	keyring := filepath.Join(dir, "keyring.gpg")
	run(t, dir, "gpg", append(gpg, "--output", keyring, "--export")...)
	public, err := os.ReadFile(keyring)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.ParseKeyring("test", public)
	if err != nil {
		t.Fatal(err)
	}

	s := readSignature(t, name)
	run(t, dir, tool(t, "gpgv", "gpgv"), "--keyring", keyring, put(t, dir, "packet", s.Packet), put(t, dir, "header", s.Header))
	if want := ring.Keys()[0].KeyID; s.KeyID != want {
		t.Errorf("key id is %q, want %q", s.KeyID, want)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if digest := sha256.Sum256(data[s.PayloadOffset:]); hex.EncodeToString(digest[:]) != s.PayloadSHA256 {
		t.Errorf("payload at %d has the digest %x, want %s", s.PayloadOffset, digest, s.PayloadSHA256)
	}
	changed := put(t, dir, "changed", flip(s.Header, 200))
	if err := exec.Command("gpgv", "--keyring", keyring, filepath.Join(dir, "packet"), changed).Run(); err == nil {
		t.Error("the signature verifies a changed header")
	}
}

// put writes a file and returns its path.
func put(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readSignature(t *testing.T, name string) *Signature {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ReadSignature(bytes.NewReader(data), int64(len(data)), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestParseHeader reads the header that a signature is made over, and refuses what is more, less or something else.
func TestParseHeader(t *testing.T) {
	dir := t.TempDir()
	makeRPM(t, dir, plainSpec, "pkg plain")
	names, _ := filepath.Glob(filepath.Join(dir, "noarch/*.rpm"))
	s := readSignature(t, names[0])
	h, err := ParseHeader(s.Header)
	if err != nil {
		t.Fatal(err)
	}
	if h.Package()+".rpm" != filepath.Base(names[0]) || h.PayloadSHA256 != s.PayloadSHA256 {
		t.Errorf("read %+v of %s", h, names[0])
	}
	for name, data := range map[string][]byte{
		"empty": nil, "text": []byte("Origin: x\n"), "cut short": s.Header[:len(s.Header)-1], "longer": append(bytes.Clone(s.Header), 0),
		"a whole package": s.Header[8:],
	} {
		if h, err := ParseHeader(data); err == nil {
			t.Errorf("%s: read %+v", name, h)
		}
	}
}
