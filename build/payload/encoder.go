package payload

import (
	"context"
	"errors"
)

// Encoder compresses one block to raw LZMA2 data: chunks, closed by the zero byte that ends the data. The bytes that it
// makes must depend on nothing but the input and the Name. Its methods may be called from several goroutines at once.
type Encoder interface {
	// Name says which program or library of which version makes the bytes, and with which settings. It is part of the
	// key of cached blocks and is recorded in the provenance of packages.
	Name() string
	// DictSize is the number of bytes that a reader must keep to undo the compression.
	DictSize() int
	// Memory is the number of bytes that one call of Encode needs besides its input and output.
	Memory() int64
	// Encode appends the compressed form of src to dst.
	Encode(ctx context.Context, dst, src []byte) ([]byte, error)
}

// Go is the encoder that is part of this program. It makes the same bytes on every machine.
func Go() Encoder { return goEncoder{} }

type goEncoder struct{}

func (goEncoder) Name() string  { return "" }
func (goEncoder) DictSize() int { return 8 << 20 }
func (goEncoder) Memory() int64 { return 64 << 20 }
func (goEncoder) Encode(ctx context.Context, dst, src []byte) ([]byte, error) {
	return nil, errors.New("not written yet")
}

// XZ is the encoder that runs the program xz at a preset from 0 to 9. It is several times faster than [Go] and
// compresses better, but its bytes are only the same on machines with the same version of xz, which therefore is part of
// its name. It is an error if the program is not there.
func XZ(ctx context.Context, preset int) (Encoder, error) {
	return nil, errors.New("not written yet")
}
