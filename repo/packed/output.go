package packed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"sigs.k8s.io/pkgs/build/payload"
)

// Pool is what Writers share: how much is compressed at once, and the memory for it.
type Pool struct {
	size  int
	slots chan struct{}
	// What is not in use. That are few things, but large ones, which a sync.Pool would lose whenever garbage is collected.
	gzips chan *gzip.Writer
	zstds chan *zstd.Encoder
}

// NewPool returns a Pool that keeps all processors busy.
func NewPool() *Pool {
	n := runtime.GOMAXPROCS(0)
	return &Pool{size: n, slots: make(chan struct{}, n), gzips: make(chan *gzip.Writer, n), zstds: make(chan *zstd.Encoder, n)}
}

// take returns something that is not in use, if there is any.
func take[T any](from chan T) (v T, ok bool) {
	select {
	case v = <-from:
		return v, true
	default:
		return v, false
	}
}

// give puts back what is not in use any more, or drops it if there is enough of it.
func give[T any](to chan T, v T) {
	select {
	case to <- v:
	default:
	}
}

// start runs f when there is a processor for it. It waits for that, so that no more pieces lie in memory than are
// worked on.
func (p *Pool) start(f func()) {
	p.slots <- struct{}{}
	go func() {
		defer func() { <-p.slots }()
		f()
	}()
}

// pack makes a member.
func (p *Pool) pack(c Compression, data []byte) ([]byte, error) {
	if c == Gzip {
		return p.gzip(data)
	}
	z, ok := take(p.zstds)
	if !ok {
		var err error
		if z, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(maxPiece)); err != nil {
			return nil, err
		}
	}
	defer give(p.zstds, z)
	return z.EncodeAll(data, nil), nil
}

// maxUnframe is more than a piece can have, however large the text about one package is.
const maxUnframe = 256 << 20

// Unframer undoes what is written in Frames. It may be used concurrently.
type Unframer struct{ zstd *zstd.Decoder }

// NewUnframer returns an Unframer, which is to be closed.
func NewUnframer() (*Unframer, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxUnframe))
	return &Unframer{z}, err
}

// Close frees what the Unframer has.
func (u *Unframer) Close() { u.zstd.Close() }

// Unframe appends the text of a member, which has size bytes, to dst. Its checksum is checked.
func (u *Unframer) Unframe(dst, member []byte, size int64) ([]byte, error) {
	if size > maxUnframe {
		return nil, fmt.Errorf("claims %d bytes", size)
	}
	text, err := u.zstd.DecodeAll(member, slices.Grow(dst, int(size)))
	if err == nil && int64(len(text)-len(dst)) != size {
		err = fmt.Errorf("has %d bytes, expected %d", len(text)-len(dst), size)
	}
	return text, err
}

// gzipLevel makes files that are some 3% larger than the highest level does, in a fifth of the time.
const gzipLevel = 6

// gzip packs data as one member without a name or a time in it. The encoder is a module whose version go.mod fixes, not
// the standard library's, so that a new Go release does not change published bytes.
func (p *Pool) gzip(data []byte) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(len(data)/4 + 64)
	w, ok := take(p.gzips)
	if !ok {
		var err error
		if w, err = gzip.NewWriterLevel(&b, gzipLevel); err != nil {
			return nil, err
		}
	}
	defer give(p.gzips, w)
	w.Reset(&b)
	w.ModTime = time.Unix(0, 0) // written as "none"
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// output is one file that is being written, or nowhere when W is nil.
type output struct {
	Output
	size int64
	sum  hash.Hash
	put  func([]byte) error // takes plain bytes, or a member
	end  func() error
}

func (o *output) count(p []byte) {
	o.size += int64(len(p))
	o.sum.Write(p)
}

// Write takes the bytes of the file.
func (o *output) Write(p []byte) (int, error) {
	o.count(p)
	return o.W.Write(p)
}

func (o *output) finish() error {
	if o.end == nil {
		return nil
	}
	return o.end()
}

func newOutput(ctx context.Context, to Output, processors int) (*output, error) {
	o := &output{Output: to, sum: sha256.New()}
	switch to.Compression {
	case Zstd:
		// The level at which it is about as fast as gzip here, and the files are a fifth smaller.
		z, err := zstd.NewWriter(o, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		o.put = func(p []byte) error { _, err := z.Write(p); return err }
		o.end = z.Close
	case XZ:
		o.startXZ(ctx, processors)
	default:
		o.put = func(p []byte) error { _, err := o.Write(p); return err }
	}
	return o, nil
}

// startXZ starts a compressor that takes pieces as they come.
func (o *output) startXZ(ctx context.Context, processors int) {
	pieces := make(chan []byte)
	done := make(chan struct{})
	var failed error
	go func() {
		defer close(done)
		c := payload.Compressor{Encoder: payload.Go(), BlockSize: maxPiece, Workers: processors}
		_, failed = c.Compress(ctx, o, func(yield func(payload.Segment) bool) {
			for p := range pieces {
				s := payload.Segment{Bytes: p}
				if len(p) >= payload.Large {
					s = payload.Segment{Content: payload.Bytes(p)}
				}
				if !yield(s) {
					return
				}
			}
		}, nil)
	}()
	o.put = func(p []byte) error {
		if len(p) == 0 { // an index that is empty has a member in gzip and no block in xz
			return nil
		}
		select {
		case pieces <- p:
			return nil
		case <-done:
			return failed
		}
	}
	o.end = func() error {
		close(pieces)
		<-done
		return failed
	}
}

var _ io.Writer = (*output)(nil)
