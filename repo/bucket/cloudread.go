package bucket

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// cloudReader reads one generation of an object, however often the connection breaks.
type cloudReader struct {
	ctx  context.Context
	c    *cloud
	key  string
	info Info

	body   io.ReadCloser // nil after a break
	read   int64         // bytes handed out
	breaks int           // since bytes last came
	sum    hash.Hash
	err    error // with which the reading ended
}

func newCloudReader(ctx context.Context, c *cloud, key string, info Info, body io.ReadCloser) *cloudReader {
	r := &cloudReader{ctx: ctx, c: c, key: key, info: info, body: body, sum: sha256.New()}
	if info.Size == 0 {
		r.err = io.EOF
	}
	return r
}

func (r *cloudReader) Read(p []byte) (int, error) {
	if len(p) == 0 || r.err != nil {
		return 0, r.err
	}
	if err := r.ctx.Err(); err != nil { // the bytes that are here already would go on for a while
		r.err = r.c.fail("read", r.info.Name, err)
		return 0, r.err
	}
	for {
		n, err := r.piece(p[:min(int64(len(p)), r.info.Size-r.read)])
		r.sum.Write(p[:n])
		r.read += int64(n)
		switch {
		case r.read == r.info.Size:
			if r.err = r.end(); r.err != io.EOF {
				r.err = r.c.fail("read", r.info.Name, r.err)
				return 0, r.err
			}
			return n, nil
		case err == nil && n > 0:
			r.breaks = 0
			return n, nil
		}
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err = r.mend(err); err != nil {
			r.err = r.c.fail("read", r.info.Name, err)
			return n, r.err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// piece reads from the body, which it opens again where it broke.
func (r *cloudReader) piece(p []byte) (int, error) {
	if r.body == nil {
		body, o, err := r.c.pace.open(r.ctx, r.c.store, r.key, r.read, r.info.Generation)
		if err != nil {
			return 0, &reopenError{err}
		}
		if o.Generation != r.info.Generation || o.Size != r.info.Size {
			body.Close()
			return 0, &reopenError{ErrCondition}
		}
		r.body = body
	}
	return r.body.Read(p)
}

// reopenError is why a reading cannot go on.
type reopenError struct{ err error }

func (e *reopenError) Error() string { return e.err.Error() }

// mend puts a broken body away and decides whether to go on.
func (r *cloudReader) mend(err error) error {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
	if cerr := r.ctx.Err(); cerr != nil {
		return cerr
	}
	var stop *reopenError
	if errors.As(err, &stop) {
		if errors.Is(stop.err, ErrNotExist) || errors.Is(stop.err, ErrCondition) {
			return fmt.Errorf("it was overwritten or deleted after %d of %d bytes were read: read it again", r.read, r.info.Size)
		}
		return stop.err
	}
	if r.breaks++; r.breaks >= r.c.pace.attempts {
		return fmt.Errorf("the connection broke %d times after %d of %d bytes: %w", r.breaks, r.read, r.info.Size, err)
	}
	return r.c.pace.wait(r.ctx, r.c.pace.pause)
}

// end tells whether what was read is right, as io.EOF or another error.
func (r *cloudReader) end() error {
	if r.info.SHA256 != "" {
		if got := hex.EncodeToString(r.sum.Sum(nil)); got != r.info.SHA256 {
			return fmt.Errorf("its bytes have SHA-256 %s, and it was written with %s: it was damaged in the store or on its way", got, r.info.SHA256)
		}
		return io.EOF
	}
	// The store's library may know a checksum, which it looks at behind the last byte.
	var one [1]byte
	n, err := r.body.Read(one[:])
	if n > 0 {
		return fmt.Errorf("the store sent more than the %d bytes that it has", r.info.Size)
	}
	if err == nil {
		return io.EOF
	}
	return err
}

func (r *cloudReader) Close() error {
	if r.err == nil {
		r.err = errors.New("it is closed")
	}
	if r.body == nil {
		return nil
	}
	body := r.body
	r.body = nil
	body.Close() // bytes that nobody wants cannot be lost
	return nil
}
