package payload

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"iter"
)

// DefaultBlockSize is how many bytes go into one block, unless told otherwise.
const DefaultBlockSize = 8 << 20

// Compressor turns a sequence of segments into one .xz stream. The zero value with an Encoder is ready to use. Its
// methods may be called from several goroutines at once. The bytes that it writes depend on the segments, the encoder
// and the block size, and on nothing else: not on the number of workers, not on the cache.
type Compressor struct {
	// Encoder compresses the blocks. There is no default: who builds packages says which one.
	Encoder Encoder
	// Workers is how many blocks are compressed at once; 0 stands for GOMAXPROCS. Fewer are used when so many would
	// need more memory than a package build may take.
	Workers int
	// BlockSize is the largest number of bytes in a block; 0 stands for DefaultBlockSize.
	BlockSize int
	// Cache is a directory of compressed blocks. It is made when missing, and may be deleted at any time. Empty means
	// that nothing is kept.
	Cache string
	// Report, when set, is told of every block in the order of the stream, for a progress display.
	Report func(Block)
}

// Block says what became of one block.
type Block struct {
	// Size is the number of bytes before compression, Compressed the number after.
	Size, Compressed int
	// Cached tells that the block was found in the cache.
	Cached bool
}

// Segment is a piece of the uncompressed stream: Bytes, or the Content of a file when Bytes is nil.
type Segment struct {
	Bytes   []byte
	Content Content
}

// Result describes a written stream.
type Result struct {
	// Size and SHA256 are those of the .xz stream.
	Size   int64
	SHA256 [sha256.Size]byte
	// PlainSize and PlainSHA256 are those of the bytes inside.
	PlainSize   int64
	PlainSHA256 [sha256.Size]byte
}

// Compress writes the segments to w as one .xz stream. A file whose bytes are not those that its Content promises is an
// error. When it fails, or when ctx ends, what was written to w is of no use.
func (c *Compressor) Compress(ctx context.Context, w io.Writer, segments iter.Seq[Segment]) (Result, error) {
	return Result{}, errors.New("not written yet")
}
