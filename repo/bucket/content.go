package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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
	r, err := content.Open()
	if err != nil {
		return err
	}
	defer func() {
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	sum := sha256.New()
	// One byte more than there should be tells that there is more.
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(&contextReader{ctx, r}, content.Size+1))
	if err != nil {
		return err
	}
	if n != content.Size {
		return fmt.Errorf("the content was said to have %d bytes, and %s: it changed while it was read", content.Size, tooFewOrMany(n, content.Size))
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != content.SHA256 {
		return fmt.Errorf("the content was said to have SHA-256 %s, and it has %s: it changed while it was read", content.SHA256, got)
	}
	return nil
}

func tooFewOrMany(n, want int64) string {
	if n > want {
		return "it has more"
	}
	return fmt.Sprintf("it has %d", n)
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
