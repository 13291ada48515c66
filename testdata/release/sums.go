package main

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// An algorithm of digests: the suffix of the file that holds one digest, and the name of a list of many.
type algorithm struct {
	suffix, list string
	new          func() hash.Hash
}

var (
	sha256Sum = algorithm{".sha256", "SHA256SUMS", sha256.New}
	sha512Sum = algorithm{".sha512", "SHA512SUMS", sha512.New}
)

// The two forms that upstreams write a digest in: Kubernetes the bare hex without a newline, the CNI plugins what
// sha256sum prints.
func bareSum(hex, _ string) string     { return hex }
func namedSum(hex, name string) string { return hex + "  " + filepath.Base(name) + "\n" }

// writeSums writes the digests of the file dir/name beside it.
func writeSums(dir, name string, form func(hex, name string) string, algorithms ...algorithm) error {
	for _, a := range algorithms {
		hex, err := a.digest(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+a.suffix), []byte(form(hex, name)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeSumLists writes SHA256SUMS and SHA512SUMS of files into dir; files are named relative to it.
func writeSumLists(dir string, files []string) error {
	files = slices.Sorted(slices.Values(files))
	for _, a := range []algorithm{sha256Sum, sha512Sum} {
		var list []byte
		for _, name := range files {
			hex, err := a.digest(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			list = fmt.Appendf(list, "%s  %s\n", hex, name)
		}
		if err := os.WriteFile(filepath.Join(dir, a.list), list, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (a algorithm) digest(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := a.new()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
