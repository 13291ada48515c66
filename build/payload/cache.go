package payload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// cache keeps compressed blocks in a directory, see the package comment for its files.
type cache struct {
	dir, encoder string

	mu sync.Mutex
	// busy holds the keys of blocks that are being compressed, so that nobody else compresses them at the same time.
	// Guarded by mu; the channel is closed at the end.
	busy map[string]chan struct{}
}

// get appends the compressed form of plain to dst, found in the directory, or else made by encode and kept.
func (c *cache) get(ctx context.Context, dst, plain []byte, encode func([]byte) ([]byte, error)) (data []byte, cached bool, err error) {
	name := c.key(plain)
	release, err := c.lock(ctx, name)
	if err != nil {
		return nil, false, err
	}
	defer release()
	if data, ok := c.read(dst, name, len(plain)); ok {
		return data, true, nil
	}
	data, err = encode(dst)
	if err != nil {
		return nil, false, err
	}
	return data, false, c.keep(name, data[len(dst):])
}

func (c *cache) key(plain []byte) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "pkgs block 1\n%s\n%x\n", c.encoder, sha256.Sum256(plain)))
	return hex.EncodeToString(sum[:])
}

// lock waits until nobody else is at work on the block.
func (c *cache) lock(ctx context.Context, name string) (release func(), err error) {
	mine := make(chan struct{})
	for {
		c.mu.Lock()
		other, taken := c.busy[name]
		if !taken {
			if c.busy == nil {
				c.busy = make(map[string]chan struct{})
			}
			c.busy[name] = mine
		}
		c.mu.Unlock()
		if !taken {
			break
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return func() {
		c.mu.Lock()
		delete(c.busy, name)
		c.mu.Unlock()
		close(mine)
	}, nil
}

func (c *cache) file(name string) string { return filepath.Join(c.dir, name[:2], name[2:]) }

// read appends the entry of a block of size bytes to dst. It takes everything that is wrong with the entry for absence.
func (c *cache) read(dst []byte, name string, size int) ([]byte, bool) {
	f, err := os.Open(c.file(name))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	// LZMA2 stores what it cannot compress, three bytes for 64 KiB: no good entry is much larger than the block.
	limit := sha256.Size + int64(size) + int64(size)/1024 + 1024
	info, err := f.Stat()
	if err != nil || info.Size() <= sha256.Size || info.Size() > limit {
		return nil, false
	}
	var want [sha256.Size]byte
	data := slices.Grow(dst, int(info.Size()))[:len(dst)+int(info.Size())-sha256.Size]
	if _, err := io.ReadFull(f, want[:]); err != nil {
		return nil, false
	}
	if _, err := io.ReadFull(f, data[len(dst):]); err != nil || sha256.Sum256(data[len(dst):]) != want {
		return nil, false
	}
	return data, true
}

// keep makes or replaces an entry.
func (c *cache) keep(name string, data []byte) error {
	file := c.file(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return fmt.Errorf("block cache: %w: make its directory writable or choose another", err)
	}
	sum := sha256.Sum256(data)
	err := WriteFile(context.Background(), file, func(f *os.File) error {
		if _, err := f.Write(sum[:]); err != nil {
			return err
		}
		_, err := f.Write(data)
		return err
	})
	if err != nil {
		return fmt.Errorf("block cache: %w", err)
	}
	return nil
}
