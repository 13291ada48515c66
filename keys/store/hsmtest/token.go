// Package hsmtest makes tokens of SoftHSM, which are hardware modules without the hardware, for tests of PKCS#11. It needs
// the Debian package softhsm2.
package hsmtest

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sigs.k8s.io/pkgs/keys/store/kmstest"
)

// What a token of this package is called, and how it is opened.
const (
	Module = "/usr/lib/softhsm/libsofthsm2.so"
	Token  = "pkgs-test"
	Label  = "signing"
	PIN    = "throwaway-4711"
)

// New makes a token and has the module find it for the rest of the test. The token holds a key pair of each label, which
// is that of a file with an armored OpenPGP key.
func New(t *testing.T, pairs map[string]string) {
	t.Helper()
	if _, err := os.Stat(Module); err != nil {
		t.Fatalf("%v: install the Debian package softhsm2", err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(config, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", config)
	util(t, "--init-token", "--free", "--label", Token, "--so-pin", PIN, "--pin", PIN)
	for label, armored := range pairs {
		key, err := kmstest.ReadKey(armored)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, label+".pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		// The id only has to differ.
		util(t, "--import", file, "--token", Token, "--label", label, "--id", []string{"01", "02", "03"}[len(label)%3], "--pin", PIN)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

func util(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command("softhsm2-util", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v: install the Debian package softhsm2\n%s", err, out)
	}
}
