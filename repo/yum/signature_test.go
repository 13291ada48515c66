package yum

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/sign"
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
	public := run(t, dir, "gpg", append(gpg, "--armor", "--export")...)
	ring, err := keys.ParseKeyring("test", []byte(public))
	if err != nil {
		t.Fatal(err)
	}

	s := readSignature(t, name)
	signatures, err := sign.VerifyBinary(s.Header, s.Packet, ring, time.Now())
	if err != nil || len(signatures) != 1 {
		t.Fatalf("the signature does not verify: %v", err)
	}
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
	if _, err := sign.VerifyBinary(flip(s.Header, 200), s.Packet, ring, time.Now()); err == nil {
		t.Error("the signature verifies a changed header")
	}
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
