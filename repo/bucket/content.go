package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
)

// Bytes is content held in memory.
func Bytes(data []byte) Content {
	return Content{
		Size:   int64(len(data)),
		SHA256: digest(data),
		Open:   func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	}
}

// digest is the lower-case hex SHA-256 of data.
func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// copyContent writes content to w and checks that it has the size and the digest that it claims to have. It stops when
// ctx is done.
func copyContent(ctx context.Context, w io.Writer, content Content) (err error) {
	r, err := content.checked(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	_, err = io.Copy(w, r)
	return err
}

// checked starts a reading of content that fails unless the bytes have the size and the digest that they are said to
// have, and that stops when ctx is done. It keeps its last piece back until it knows: whoever reads Size bytes has the
// right ones.
func (c Content) checked(ctx context.Context) (*checkedReader, error) {
	source, err := c.Open()
	if err != nil {
		return nil, err
	}
	r := &checkedReader{r: &contextReader{ctx, source}, left: c.Size, content: c, sum: sha256.New(), Closer: source}
	if r.left == 0 {
		if r.err = r.end(); r.err != io.EOF {
			source.Close()
			return nil, r.err
		}
	}
	return r, nil
}

type checkedReader struct {
	r       io.Reader
	left    int64
	content Content
	sum     hash.Hash
	err     error // with which the reading ended
	io.Closer
}

func (r *checkedReader) Read(p []byte) (int, error) {
	if r.left == 0 && r.err == nil {
		r.err = io.EOF // end was happy when the last piece was read
	}
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.r.Read(p[:min(int64(len(p)), r.left)])
	r.sum.Write(p[:n])
	r.left -= int64(n)
	switch {
	case r.left == 0:
		if err := r.end(); err != io.EOF {
			r.err = err
			return 0, err
		}
	case err == io.EOF:
		r.err = fmt.Errorf("the content was said to have %d bytes, and it has %d: it changed while it was read", r.content.Size, r.content.Size-r.left)
	case err != nil:
		r.err = err
	}
	return n, r.err
}

// end tells whether all is well behind the last byte, as io.EOF or another error.
func (r *checkedReader) end() error {
	var one [1]byte
	n, err := io.ReadFull(r.r, one[:])
	switch {
	case n > 0:
		return fmt.Errorf("the content was said to have %d bytes, and it has more: it changed while it was read", r.content.Size)
	case err != io.EOF:
		return err
	}
	if got := hex.EncodeToString(r.sum.Sum(nil)); got != r.content.SHA256 {
		return fmt.Errorf("the content was said to have SHA-256 %s, and it has %s: it changed while it was read", r.content.SHA256, got)
	}
	return io.EOF
}

// contextReader reads until its context is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// exactReader reads size bytes, and fails if there are fewer.
type exactReader struct {
	r    io.Reader
	left int64
	fail func(error) error
	io.Closer
}

func (r *exactReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.r.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if err == io.EOF && r.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		err = r.fail(err)
	}
	return n, err
}
