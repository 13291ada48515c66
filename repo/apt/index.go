package apt

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/klauspost/compress/gzip"

	"sigs.k8s.io/pkgs/repo/layout"
)

// Index writes Packages, Packages.gz, the by-hash copy of each, and Release, unsigned, in this order. The same packages
// in any order and the same cfg give the same bytes. Packages that clash, whose stanza is not what ReadPackage makes, or
// whose architecture cfg does not list, are an error.
func Index(cfg Config, packages []*Package) ([]layout.File, error) {
	if err := cfg.check(); err != nil {
		return nil, &Error{File: layout.Release, Err: err}
	}
	list, err := sorted(packages)
	if err != nil {
		return nil, &Error{File: layout.Packages, Err: err}
	}
	for _, p := range list {
		if err := cfg.covers(p); err != nil {
			return nil, &Error{File: p.Filename, Err: err}
		}
	}
	plain, err := writePackages(list)
	if err != nil {
		return nil, err
	}
	packed, err := compress(plain)
	if err != nil {
		return nil, &Error{File: layout.PackagesGz, Err: err}
	}
	indexes := []IndexFile{describe(layout.Packages, plain), describe(layout.PackagesGz, packed)}
	return []layout.File{
		{Path: layout.Packages, Data: plain},
		{Path: layout.PackagesGz, Data: packed},
		{Path: layout.ByHash(indexes[0].SHA256), Data: plain},
		{Path: layout.ByHash(indexes[1].SHA256), Data: packed},
		{Path: layout.Release, Data: cfg.release(indexes)},
	}, nil
}

// gzipLevel makes files that are some 3% larger than the highest level does, in a fifth of the time.
const gzipLevel = 6

// compress packs data without a name or a time in it. The encoder is a module whose version go.mod fixes, not the
// standard library's, so that a new Go release does not change published bytes.
func compress(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzipLevel)
	if err != nil {
		return nil, err
	}
	w.ModTime = time.Unix(0, 0) // written as "none"
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func describe(path string, data []byte) IndexFile {
	digest := sha256.Sum256(data)
	return IndexFile{Path: path, Size: int64(len(data)), SHA256: hex.EncodeToString(digest[:])}
}
