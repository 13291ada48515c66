package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/pkgs/keys"
)

// PKCS11Config names an RSA key pair in a token, such as an HSM, by way of its vendor's PKCS#11 module. A program can load
// one only if it was built with cgo and the tag pkcs11.
type PKCS11Config struct {
	// Module is the path of the module, a shared library.
	Module string
	// Token is the label of the token, Label that of the key pair. There must be one key pair of that label.
	Token, Label string
	// PIN returns the user's PIN.
	PIN func() ([]byte, error)
	// Timeout is how long the token may take to answer; 0 is DefaultTimeout.
	Timeout time.Duration
}

// Check says what is wrong with the configuration.
func (c PKCS11Config) Check() error {
	switch {
	case c.Module == "":
		return errors.New("module is missing: name the shared library of the token, such as /usr/lib/softhsm/libsofthsm2.so")
	case c.Token == "" || c.Label == "":
		return errors.New("token and label are needed: name the token and the key pair in it")
	}
	return nil
}

func (c PKCS11Config) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return DefaultTimeout
}

func (c PKCS11Config) name() string {
	return fmt.Sprintf("PKCS#11 key %q in token %q", c.Label, c.Token)
}

// withPIN asks for the PIN without a time limit, since a person may have to type it, and opens the token within one.
func (c PKCS11Config) withPIN(ctx context.Context) (keys.DigestSigner, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if !havePKCS11 {
		return nil, errNoPKCS11
	}
	pin, err := c.PIN()
	if err != nil {
		return nil, fmt.Errorf("its PIN cannot be had: %w", err)
	}
	return within(ctx, c.timeout(), func(context.Context) (keys.DigestSigner, error) { return openPKCS11(c, string(pin)) })
}

// FromPKCS11 returns the key of a key pair in a token, whose public half was made by [keys.Certify].
func FromPKCS11(cfg PKCS11Config, public *keys.Keyring) *Key {
	return digestKey(cfg.name(), public, cfg.timeout(), cfg.withPIN)
}

// OpenPKCS11 opens a key pair in a token without its OpenPGP half, for [keys.Certify].
func OpenPKCS11(ctx context.Context, cfg PKCS11Config) (keys.DigestSigner, error) {
	s, err := cfg.withPIN(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.name(), err)
	}
	return s, nil
}

var errNoPKCS11 = errors.New("this program was built without PKCS#11: build it with CGO_ENABLED=1 and -tags pkcs11 (make build-pkcs11)")
