package release

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// cache is a directory of files that are named by their SHA-256. Each appears there whole or not at all; what is there is
// still not trusted until it has been hashed again.
type cache struct{ dir string }

// sums are the digests of a file: the SHA-256, and in lower-case hex the one by the algorithm that was asked for.
type sums struct {
	sha256 [sha256.Size]byte
	asked  string
}

func (c cache) path(digest string) string { return filepath.Join(c.dir, "sha256", digest) }

// find looks for the file with the given SHA-256 and hashes it. A file that is not what its name says is taken away.
func (c cache) find(ctx context.Context, digest string) (File, bool, error) {
	path := c.path(digest)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return File{}, false, nil
	}
	if err != nil {
		return File{}, false, fmt.Errorf("cannot read the cache: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, withContext(ctx, f))
	if err != nil {
		return File{}, false, fmt.Errorf("cannot read the cache: %w", err)
	}
	file := File{Path: path, Size: n, SHA256: [sha256.Size]byte(h.Sum(nil))}
	if hex.EncodeToString(file.SHA256[:]) != digest {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return File{}, false, fmt.Errorf("the cache has a damaged file that cannot be removed: %w", err)
		}
		return File{}, false, nil
	}
	return file, true, nil
}

// add copies r into the cache. check may refuse the file by its digests, of which one is by the algorithm sha256 or sha512,
// before it becomes visible. url names r in errors.
func (c cache) add(ctx context.Context, url string, r io.Reader, algorithm string, check func(sums) error) (File, error) {
	s, err := c.stage(ctx, url, r, algorithm)
	if err != nil {
		return File{}, err
	}
	defer s.drop()
	if err := check(s.sums); err != nil {
		return File{}, err
	}
	return s.commit()
}

// staged is a file in the cache that nobody sees yet.
type staged struct {
	cache cache
	temp  string
	size  int64
	sums  sums
}

// stage copies r to a temporary file in the cache, and takes its digest by an algorithm besides the SHA-256. url names r in
// errors.
func (c cache) stage(ctx context.Context, url string, r io.Reader, algorithm string) (_ *staged, err error) {
	dir := filepath.Join(c.dir, "sha256")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, permanent{fmt.Errorf("cannot make the cache: %w", err)}
	}
	temp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return nil, permanent{fmt.Errorf("cannot write to the cache: %w", err)}
	}
	s := &staged{cache: c, temp: temp.Name()}
	defer func() {
		if err != nil {
			temp.Close()
			s.drop()
		}
	}()
	h256 := sha256.New()
	asked, hashes := h256, []hash.Hash{h256}
	if algorithm == "sha512" {
		asked = sha512.New()
		hashes = append(hashes, asked)
	}
	s.size, err = io.Copy(writer{temp, hashes}, io.LimitReader(withContext(ctx, r), maxFile+1))
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, err
	case s.size > maxFile:
		return nil, permanent{fmt.Errorf("%s is too large: expected at most %d bytes", url, int64(maxFile))}
	}
	s.sums = sums{[sha256.Size]byte(h256.Sum(nil)), hex.EncodeToString(asked.Sum(nil))}
	if err := errors.Join(temp.Chmod(0o644), temp.Close()); err != nil {
		return nil, permanent{fmt.Errorf("cannot write to the cache: %w", err)}
	}
	return s, nil
}

// commit gives the file its name.
func (s *staged) commit() (File, error) {
	path := s.cache.path(hex.EncodeToString(s.sums.sha256[:]))
	if err := os.Rename(s.temp, path); err != nil {
		return File{}, permanent{fmt.Errorf("cannot write to the cache: %w", err)}
	}
	return File{Path: path, Size: s.size, SHA256: s.sums.sha256}, nil
}

// drop takes the file away, unless it has its name.
func (s *staged) drop() { os.Remove(s.temp) }

// writer writes to a file and its digests, and tells an error of the file, which a repeated request does not heal, from
// errors of the reader.
type writer struct {
	file   *os.File
	hashes []hash.Hash
}

func (w writer) Write(b []byte) (int, error) {
	for _, h := range w.hashes {
		h.Write(b)
	}
	n, err := w.file.Write(b)
	if err != nil {
		err = permanent{fmt.Errorf("cannot write to the cache: %w", err)}
	}
	return n, err
}

// withContext is r until ctx ends.
func withContext(ctx context.Context, r io.Reader) io.Reader { return contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
