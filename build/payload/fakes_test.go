package payload

import (
	"context"
	"sync/atomic"
)

// storing is the quickest encoder: it only cuts the bytes into chunks of LZMA2 that say they are not compressed.
type storing struct{}

func (storing) Name() string   { return "stored" }
func (storing) DictSize() int  { return 4096 }
func (storing) BlockSize() int { return 8 << 20 }
func (storing) Memory() int64  { return 0 }

func (storing) Encode(_ context.Context, dst, src []byte) ([]byte, error) {
	// The first chunk resets the dictionary.
	kind := byte(1)
	for len(src) > 0 {
		n := min(len(src), 1<<16)
		dst = append(dst, kind, byte((n-1)>>8), byte(n-1))
		dst = append(dst, src[:n]...)
		src, kind = src[n:], 2
	}
	return append(dst, 0), nil
}

type countingEncoder struct {
	Encoder
	name  string
	calls atomic.Int64
}

func (e *countingEncoder) Name() string { return e.name }

func (e *countingEncoder) Encode(ctx context.Context, dst, src []byte) ([]byte, error) {
	e.calls.Add(1)
	return e.Encoder.Encode(ctx, dst, src)
}

type brokenEncoder struct {
	Encoder
	err error
}

func (e brokenEncoder) Encode(context.Context, []byte, []byte) ([]byte, error) { return nil, e.err }

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

// lyingEncoder makes good data of other bytes than it was given.
type lyingEncoder struct{ storing }

func (lyingEncoder) Encode(ctx context.Context, dst, src []byte) ([]byte, error) {
	other := append([]byte(nil), src...)
	other[len(other)-1] ^= 1
	return storing{}.Encode(ctx, dst, other)
}
