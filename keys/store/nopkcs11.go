//go:build !pkcs11 || !cgo

package store

import "sigs.k8s.io/pkgs/keys"

const havePKCS11 = false

func openPKCS11(PKCS11Config, string) (keys.DigestSigner, error) { return nil, errNoPKCS11 }
