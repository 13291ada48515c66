package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/keys/store/kmstest"
)

// secretPassphrase locks the key that the script locked makes.
const secretPassphrase = "Zq7-nobody-may-read-this-4711"

// secret is how a part of a private key, or a passphrase, would look where it does not belong.
type secret struct {
	what string
	form []byte
}

// secretsOf lists the forms in which the parts of a throwaway key that make it private, and the passphrase, could be
// written: bytes in either order, hex, base64 at any place of a longer text, and numbers as Go prints them. Of each a piece
// from its middle stands for the whole.
func secretsOf(key string) ([]secret, error) {
	private, err := kmstest.ReadKey(filepath.Join("../../keys/testdata", key+"-private.asc"))
	if err != nil {
		return nil, err
	}
	var list []secret
	add := func(what string, data []byte) {
		piece := data[len(data)/2 : len(data)/2+24]
		list = append(list, secret{what + " in bytes", piece}, secret{what + " in hex", []byte(hex.EncodeToString(piece))},
			secret{what + " in capital hex", []byte(strings.ToUpper(hex.EncodeToString(piece)))},
			secret{what + " as a slice", []byte(strings.Trim(fmt.Sprint(piece), "[]"))})
		reversed := slices.Clone(piece)
		slices.Reverse(reversed)
		list = append(list, secret{what + " in bytes, backwards", reversed})
		// A text in base64 has these bytes at one of three places in a group of four digits.
		for shift := range 3 {
			for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
				list = append(list, secret{what + " in base64", []byte(e.EncodeToString(piece[shift : shift+21]))})
			}
		}
	}
	number := func(what string, n *big.Int) {
		add(what, n.Bytes())
		digits := n.String()
		list = append(list, secret{what + " in decimal", []byte(digits[len(digits)/2 : len(digits)/2+40])},
			secret{what + " in words", []byte(fmt.Sprint(uint(n.Bits()[len(n.Bits())/2])))})
	}
	number("the exponent of "+key, private.D)
	number("a prime of "+key, private.Primes[0])
	number("the other prime of "+key, private.Primes[1])
	number("the coefficient of "+key, private.Precomputed.Qinv)
	number("an exponent of the remainders of "+key, private.Precomputed.Dp)
	list = append(list, secret{"the passphrase", []byte(secretPassphrase)}, secret{"the passphrase in hex", []byte(hex.EncodeToString([]byte(secretPassphrase)))})
	for shift := range 3 {
		list = append(list, secret{"the passphrase in base64", []byte(base64.StdEncoding.EncodeToString([]byte(secretPassphrase)[shift : shift+24]))})
	}
	return list, nil
}

// findSecrets searches every file below a directory, and tells how many bytes these were. Files of private keys and of
// passphrases, which only their owner may read, are where they belong.
func findSecrets(dir string, secrets []secret) (found []string, size int64, err error) {
	err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if strings.Contains(name, "/private-keys-v1.d/") {
			return nil // gpg keeps its keys there
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		size += int64(len(data))
		owned := info.Mode().Perm()&0o077 == 0 && !strings.Contains(name, "/bucket") && !strings.HasPrefix(filepath.Base(name), ".said")
		key := bytes.HasPrefix(data, []byte("-----BEGIN PGP PRIVATE KEY BLOCK-----"))
		if owned && (key || strings.TrimSpace(string(data)) == secretPassphrase) {
			return nil
		}
		if key && isThrowaway(data) {
			return nil // a script copied it
		}
		if bytes.Contains(data, []byte("BEGIN PGP PRIVATE KEY BLOCK-----\n")) {
			found = append(found, name+": a private key")
		}
		for _, s := range secrets {
			if bytes.Contains(data, s.form) {
				found = append(found, name+": "+s.what)
			}
		}
		return nil
	})
	return found, size, err
}

// isThrowaway tells whether a file is one of the keys in keys/testdata.
func isThrowaway(data []byte) bool {
	files, _ := filepath.Glob("../../keys/testdata/*-private.asc")
	return slices.ContainsFunc(files, func(file string) bool {
		known, err := os.ReadFile(file)
		return err == nil && bytes.Equal(known, data)
	})
}

// allSecrets are those of the keys that scripts sign with.
func allSecrets() ([]secret, error) {
	var all []secret
	for _, key := range []string{"one", "two"} {
		list, err := secretsOf(key)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// searchAtEnd searches a directory for the secrets of throwaway keys when the test is over.
func searchAtEnd(t *testing.T, dir string, names ...string) {
	t.Helper()
	var secrets []secret
	for _, key := range names {
		list, err := secretsOf(key)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, list...)
	}
	t.Cleanup(func() {
		found, size, err := findSecrets(dir, secrets)
		if err != nil || len(found) > 0 || size == 0 {
			t.Errorf("key material in %d bytes: %v, %v", size, found, err)
		}
	})
}

// TestFindSecrets hides every form of every secret in a file, and finds it.
func TestFindSecrets(t *testing.T) {
	secrets, err := allSecrets()
	if err != nil {
		t.Fatal(err)
	}
	private, err := kmstest.ReadKey("../../keys/testdata/one-private.asc")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	find := func(text string) []string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		found, _, err := findSecrets(dir, secrets)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := find("nothing"); len(found) > 0 {
		t.Errorf("found %v in nothing", found)
	}
	prime := private.Primes[1]
	for _, text := range []string{
		fmt.Sprint(private.D), fmt.Sprintf("%x", private.D), fmt.Sprintf("%X", prime), fmt.Sprint(prime.Bits()), string(prime.Bytes()), fmt.Sprint(prime.Bytes()),
		"x" + base64.StdEncoding.EncodeToString(prime.Bytes()), base64.StdEncoding.EncodeToString(append([]byte("1"), prime.Bytes()...)),
		base64.RawURLEncoding.EncodeToString(append([]byte("12"), prime.Bytes()...)), fmt.Sprintf("%+v", private),
		"wrong passphrase " + secretPassphrase, "-----BEGIN PGP PRIVATE KEY BLOCK-----\n",
	} {
		if len(find(text)) == 0 {
			t.Errorf("found nothing in %.100s", text)
		}
	}
}
