//go:build pkcs11 && cgo

package store

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"

	"github.com/ThalesGroup/crypto11"

	"sigs.k8s.io/pkgs/keys"
)

const havePKCS11 = true

// token is an open key pair. Its module stays loaded as long as the program runs.
type token struct{ crypto11.Signer }

func openPKCS11(cfg PKCS11Config, pin string) (keys.DigestSigner, error) {
	// The module itself tells no more than that it cannot be loaded.
	if _, err := os.Stat(cfg.Module); err != nil {
		return nil, fmt.Errorf("there is no module: %w", err)
	}
	c, err := crypto11.Configure(&crypto11.Config{Path: cfg.Module, TokenLabel: cfg.Token, Pin: pin})
	if err != nil {
		return nil, fmt.Errorf("the token cannot be opened: %w: check module, token and PIN", err)
	}
	pairs, err := c.FindKeyPairs(nil, []byte(cfg.Label))
	if err == nil && len(pairs) != 1 {
		err = fmt.Errorf("the token has %d key pairs of this label where one was expected", len(pairs))
	}
	if err == nil {
		if _, ok := pairs[0].Public().(*rsa.PublicKey); !ok {
			err = errors.New("it is not an RSA key: rpm packages can only be signed with RSA keys")
		}
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return token{pairs[0]}, nil
}

func (token) Hash(wanted crypto.Hash) crypto.Hash { return wanted }

func (t token) SignDigest(_ context.Context, digest []byte, hash crypto.Hash) ([]byte, error) {
	return t.Signer.Sign(nil, digest, hash)
}
