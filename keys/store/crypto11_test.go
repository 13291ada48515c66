//go:build pkcs11 && cgo

package store

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/keys/store/hsmtest"
)

func pin(text string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(text), nil }
}

// TestPKCS11 is one test because a module reads its configuration once in the life of a program.
func TestPKCS11(t *testing.T) {
	hsmtest.New(t, map[string]string{hsmtest.Label: "../testdata/one-private.asc", "other": "../testdata/two-private.asc"})
	cfg := PKCS11Config{Module: hsmtest.Module, Token: hsmtest.Token, Label: hsmtest.Label, PIN: pin(hsmtest.PIN)}

	// First the wrong PIN: a token once opened stays open for the program.
	asked := 0
	wrong := cfg
	wrong.PIN = func() ([]byte, error) { asked++; return []byte("0000-wrong"), nil }
	k := FromPKCS11(wrong, public(t, "one"))
	for range 3 {
		if _, err := k.Sign(t.Context(), []byte("x"), forms[0]); err == nil || !strings.Contains(err.Error(), "CKR_PIN_INCORRECT") || strings.Contains(err.Error(), "0000-wrong") {
			t.Errorf("got %v", err)
		}
	}
	if asked != 1 {
		t.Errorf("the wrong PIN was given %d times", asked)
	}

	k = FromPKCS11(cfg, public(t, "one"))
	for _, opts := range forms {
		for range 3 {
			got, err := k.Sign(t.Context(), []byte("x"), opts)
			if err != nil || !bytes.Equal(got, reference(t, "one", []byte("x"), opts)) {
				t.Errorf("%+v: another signature: %v", opts, err)
			}
		}
	}
	opened, err := OpenPKCS11(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	p, err := keys.Certify(t.Context(), keys.GenerateConfig{Name: "Test", Email: "test@example.org", Time: made}, opened)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := FromPKCS11(cfg, p.Public()).Sign(t.Context(), []byte("x"), forms[0]); err != nil {
		t.Error(err)
	}

	fails := func(want string, change func(*PKCS11Config)) {
		t.Helper()
		c := cfg
		change(&c)
		err := FromPKCS11(c, public(t, "one")).Open(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), hsmtest.PIN) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	fails("there is no module", func(c *PKCS11Config) { c.Module = "/nowhere.so" })
	fails("the token cannot be opened", func(c *PKCS11Config) { c.Module = "/etc/passwd" })
	fails("the token cannot be opened", func(c *PKCS11Config) { c.Token = "none" })
	fails("0 key pairs of this label", func(c *PKCS11Config) { c.Label = "none" })
	fails("its PIN cannot be had: nobody is there", func(c *PKCS11Config) { c.PIN = func() ([]byte, error) { return nil, errors.New("nobody is there") } })
	fails("holds the public key "+public(t, "one").Keys()[0].Fingerprint, func(c *PKCS11Config) { c.Label = "other" })
}
