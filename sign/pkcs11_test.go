//go:build pkcs11 && cgo

package sign

import (
	"testing"

	"sigs.k8s.io/pkgs/keys/store"
	"sigs.k8s.io/pkgs/keys/store/hsmtest"
)

func TestPKCS11(t *testing.T) {
	hsmtest.New(t, map[string]string{hsmtest.Label: "../keys/testdata/one-private.asc"})
	cfg := store.PKCS11Config{Module: hsmtest.Module, Token: hsmtest.Token, Label: hsmtest.Label, PIN: func() ([]byte, error) { return []byte(hsmtest.PIN), nil }}
	checkKind(t, "token", store.FromPKCS11(cfg, signer(t, "one").Keyring()))
}
