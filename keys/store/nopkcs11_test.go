//go:build !pkcs11 || !cgo

package store

import (
	"errors"
	"testing"
)

// TestWithoutPKCS11: a program without PKCS#11 says so, and does not ask for a PIN that it cannot use.
func TestWithoutPKCS11(t *testing.T) {
	cfg := PKCS11Config{Module: "m", Token: "t", Label: "l", PIN: func() ([]byte, error) { t.Error("asked for the PIN"); return nil, nil }}
	if err := FromPKCS11(cfg, public(t, "one")).Open(t.Context()); !errors.Is(err, errNoPKCS11) {
		t.Errorf("got %v", err)
	}
	if _, err := OpenPKCS11(t.Context(), cfg); !errors.Is(err, errNoPKCS11) {
		t.Errorf("got %v", err)
	}
}
