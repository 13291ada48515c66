package payload

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
)

// Content is the bytes of a file, in memory or on disk, of known size and digest.
type Content struct {
	Size   int64
	SHA256 [sha256.Size]byte
	data   []byte
	path   string
	// learned has the legacy digests of a file, for all copies of the content.
	learned *learned
}

// Legacy are the digests that formats ask for which are older than SHA-256. They find accidents, and nothing relies on them.
type Legacy struct {
	MD5  [md5.Size]byte
	SHA1 [sha1.Size]byte
}

// learned is what the first complete reading of a file finds out by the way.
type learned struct {
	mu      sync.Mutex
	known   bool   // guarded by mu
	digests Legacy // guarded by mu
}

// Bytes is content held in memory.
func Bytes(data []byte) Content {
	return Content{Size: int64(len(data)), SHA256: sha256.Sum256(data), data: data}
}

// FromFile is content held in a file that has been read and hashed before.
func FromFile(path string, size int64, digest [sha256.Size]byte) Content {
	return Content{Size: size, SHA256: digest, path: path, learned: new(learned)}
}

// Legacy gives the legacy digests of the content. It reads the content with buf, as Each does, unless Each has done so before.
func (c Content) Legacy(ctx context.Context, buf []byte) (Legacy, error) {
	if c.learned == nil {
		return Legacy{md5.Sum(c.data), sha1.Sum(c.data)}, nil
	}
	if digests, known := c.learned.get(); known {
		return digests, nil
	}
	err := c.Each(ctx, buf, func([]byte) error { return nil })
	digests, _ := c.learned.get()
	return digests, err
}

func (l *learned) get() (Legacy, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.digests, l.known
}

func (l *learned) set(digests Legacy) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.digests, l.known = digests, true
}

// Open starts a reading of the content. It does not check size and digest; [Content.Each] does.
func (c Content) Open() (io.ReadCloser, error) {
	if c.path == "" {
		return io.NopCloser(bytes.NewReader(c.data)), nil
	}
	return os.Open(c.path)
}

// Each reads the content into buf, as much as there is room for each time, and calls f with what was read. It fails when
// the bytes are not those that Size and SHA256 promise, which is known at the end only: what f did until then must be
// undone.
func (c Content) Each(ctx context.Context, buf []byte, f func([]byte) error) error {
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	check := c.checker()
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := check.add(buf[:n]); err != nil {
				return err
			}
			if err := f(buf[:n]); err != nil {
				return err
			}
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return check.end()
		default:
			return err
		}
	}
}

// name says where the content comes from, for errors.
func (c Content) name() string {
	if c.path == "" {
		return "content in memory"
	}
	return c.path
}

// checker follows a reading of a content and finds out whether it is what was promised.
type checker struct {
	Content
	hash.Hash
	size int64
	// md5 and sha1 are nil when nobody needs to learn them.
	md5, sha1 hash.Hash
}

func (c Content) checker() *checker {
	k := &checker{Content: c, Hash: sha256.New()}
	if c.learned != nil {
		if _, known := c.learned.get(); !known {
			k.md5, k.sha1 = md5.New(), sha1.New()
		}
	}
	return k
}

func (k *checker) add(p []byte) error {
	k.size += int64(len(p))
	if k.size > k.Content.Size {
		return fmt.Errorf("%s: has more than the %d bytes that it had when it was hashed: start again",
			k.name(), k.Content.Size)
	}
	k.Write(p)
	if k.md5 != nil {
		k.md5.Write(p)
		k.sha1.Write(p)
	}
	return nil
}

func (k *checker) end() error {
	if k.size != k.Content.Size {
		return fmt.Errorf("%s: has %d bytes, had %d when it was hashed: start again", k.name(), k.size, k.Content.Size)
	}
	if got := k.Sum(nil); !bytes.Equal(got, k.SHA256[:]) {
		return fmt.Errorf("%s: has SHA-256 %x, expected %x: fetch or build it again", k.name(), got, k.SHA256)
	}
	if k.md5 != nil {
		k.learned.set(Legacy{[md5.Size]byte(k.md5.Sum(nil)), [sha1.Size]byte(k.sha1.Sum(nil))})
	}
	return nil
}
