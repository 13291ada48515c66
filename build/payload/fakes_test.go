package payload

import (
	"context"
	"sync/atomic"
)

type countingEncoder struct {
	Encoder
	calls atomic.Int64
}

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
