package payload

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"iter"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/build/payload/unlzma2"
)

const (
	// Large is the size from which on a file gets blocks of its own.
	Large = 256 << 10

	minBlockSize = 64 << 10
	// memory is what the encoders and the blocks under way may take together when nothing can be compressed.
	memory = 400 << 20
)

// Compressor turns a sequence of segments into one .xz stream. The zero value with an Encoder is ready to use; it must
// not be copied after that. Its methods may be called from several goroutines at once, and then share the workers. The
// bytes that it writes depend on the segments, the encoder and the block size, and on nothing else: not on the number of
// workers, not on the cache.
type Compressor struct {
	// Encoder compresses the blocks. There is no default: who builds packages says which one.
	Encoder Encoder
	// Workers is how many blocks are compressed at once; 0 stands for GOMAXPROCS. Fewer are used when so many would
	// need more memory than a package build may take.
	Workers int
	// BlockSize is the largest number of bytes in a block; 0 stands for the encoder's, which it must not exceed.
	BlockSize int
	// Cache is a directory of compressed blocks. It is made when missing, and may be deleted at any time. Empty means
	// that nothing is kept.
	Cache string
	// Report, when set, is told of every block in the order of the stream, for a progress display. When Compress is
	// called from several goroutines, so is Report.
	Report func(Block)

	once  sync.Once
	cache *cache
	// slots has room for as many tokens as encoders may be at work. free holds the blocks that nobody uses: there are no
	// more than in all, however many streams are written at once.
	slots chan struct{}
	free  chan *block
	// checkers keeps the memory of checks.
	checkers sync.Pool
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
	// PlainSize is that of the bytes inside.
	PlainSize int64
}

// Compress writes the segments to w as one .xz stream. plain, unless it is nil, is given the bytes before compression. A
// file whose bytes are not those that its Content promises is an error. When it fails, or when ctx ends, what was written
// to w is of no use.
func (c *Compressor) Compress(ctx context.Context, w io.Writer, segments iter.Seq[Segment], plain hash.Hash) (Result, error) {
	if err := c.check(); err != nil {
		return Result{}, err
	}
	c.once.Do(c.start)

	// The cutter takes blocks that are free, fills them and puts each into two channels: work, from which any worker takes
	// it, and order, from which the writer takes it, waits for it to be done, and frees it. Streams that are written at the
	// same time share the blocks. A stream that has one can always go on, so none waits for ever.
	workers := cap(c.slots)
	group, ctx := errgroup.WithContext(ctx)
	cut := &cutter{
		ctx:   ctx,
		free:  c.free,
		size:  c.blockSize(),
		work:  make(chan *block, workers),
		order: make(chan *block, workers),
		plain: plain,
	}
	group.Go(func() error {
		defer close(cut.work)
		defer close(cut.order)
		return cut.all(segments)
	})
	for range workers {
		group.Go(func() error {
			for b := range cut.work {
				if err := c.encode(ctx, b); err != nil {
					return err
				}
				close(b.done)
			}
			return nil
		})
	}
	out := &counter{w: w, Hash: sha256.New()}
	group.Go(func() error { return c.write(ctx, out, cut.order) })
	if err := group.Wait(); err != nil {
		// Where the blocks are that did not come to their end does not matter: others take their place.
		for range cut.taken - out.blocks {
			c.free <- new(block)
		}
		return Result{}, err
	}
	return Result{out.size, [sha256.Size]byte(out.Sum(nil)), cut.total}, nil
}

func (c *Compressor) check() error {
	if c.Encoder == nil {
		return errors.New("payload: no encoder: choose payload.Go or payload.XZ")
	}
	if s := c.blockSize(); s < minBlockSize || s > c.Encoder.BlockSize() {
		return fmt.Errorf("block size %d: expected %d to %d", s, minBlockSize, c.Encoder.BlockSize())
	}
	return nil
}

func (c *Compressor) start() {
	workers := c.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	// Each worker has an encoder and a block at work; more blocks are being cut and written. A block is there twice, before
	// and after compression.
	size := 2 * int64(c.blockSize())
	most := (memory - spare*size) / (c.Encoder.Memory() + size)
	workers = max(1, min(workers, int(most)))
	c.slots = make(chan struct{}, workers)
	c.free = make(chan *block, workers+spare)
	for range cap(c.free) {
		c.free <- new(block)
	}
	if c.Cache != "" {
		c.cache = &cache{dir: c.Cache, encoder: c.Encoder.Name()}
	}
}

// spare is how many blocks there are besides those at work.
const spare = 2

func (c *Compressor) blockSize() int {
	if c.BlockSize == 0 {
		return c.Encoder.BlockSize()
	}
	return c.BlockSize
}

// block is a piece of the stream on its way from the cutter over a worker to the writer.
type block struct {
	plain []byte
	// done is closed when the following are valid.
	done   chan struct{}
	data   []byte
	sum    uint32
	cached bool
}

func (c *Compressor) encode(ctx context.Context, b *block) (err error) {
	b.sum = crc32.ChecksumIEEE(b.plain)
	run := func(dst []byte) ([]byte, error) {
		select {
		case c.slots <- struct{}{}:
			defer func() { <-c.slots }()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		before := len(dst)
		dst, err := c.Encoder.Encode(ctx, dst, b.plain)
		if err != nil {
			return nil, err
		}
		return dst, c.prove(dst[before:], b.plain)
	}
	// Only blocks of large files are ever met again, and they fill the cache slowly.
	if c.cache == nil || len(b.plain) < minBlockSize {
		b.data, err = run(b.data)
		return err
	}
	b.data, b.cached, err = c.cache.get(ctx, b.data, b.plain, run)
	return err
}

// prove checks that data is plain compressed. What installs a package cannot tell a mistake of an encoder from the
// package's author, so no block leaves here unchecked; it costs a fraction of encoding.
func (c *Compressor) prove(data, plain []byte) error {
	checker, ok := c.checkers.Get().(*unlzma2.Checker)
	if !ok {
		checker = new(unlzma2.Checker)
	}
	defer c.checkers.Put(checker)
	if err := checker.Check(data, plain, c.Encoder.DictSize()); err != nil {
		return fmt.Errorf("the encoder %s has a bug, nothing was written with it: what it made %w", c.Encoder.Name(), err)
	}
	return nil
}

func (c *Compressor) write(ctx context.Context, w *counter, order <-chan *block) error {
	s := newStream(w)
	for b := range order {
		select {
		case <-b.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := s.block(b.data, c.Encoder.DictSize(), len(b.plain), b.sum); err != nil {
			return err
		}
		if c.Report != nil {
			c.Report(Block{len(b.plain), len(b.data), b.cached})
		}
		w.blocks++
		c.free <- b
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return s.close()
}

// cutter cuts a sequence of segments into blocks.
type cutter struct {
	ctx         context.Context
	free        <-chan *block
	size        int
	work, order chan *block
	now         *block
	// taken counts the blocks.
	taken int
	// plain gets everything, unless it is nil; total is how much that was.
	plain hash.Hash
	total int64
}

func (c *cutter) all(segments iter.Seq[Segment]) error {
	buf := make([]byte, Large)
	for s := range segments {
		if err := c.segment(s, buf); err != nil {
			return err
		}
	}
	return c.end()
}

func (c *cutter) segment(s Segment, buf []byte) error {
	if s.Bytes != nil {
		return c.add(s.Bytes)
	}
	if s.Content.Size < Large {
		return s.Content.Each(c.ctx, buf, c.add)
	}
	if err := c.end(); err != nil {
		return err
	}
	if err := s.Content.Each(c.ctx, buf, c.add); err != nil {
		return err
	}
	return c.end()
}

func (c *cutter) add(p []byte) error {
	if c.plain != nil {
		c.plain.Write(p)
	}
	c.total += int64(len(p))
	for len(p) > 0 {
		if err := c.begin(); err != nil {
			return err
		}
		n := min(len(p), c.size-len(c.now.plain))
		if len(c.now.plain)+n > max(Large, cap(c.now.plain)) {
			// It is going to be full, or nearly.
			c.now.plain = slices.Grow(c.now.plain, c.size-len(c.now.plain))
		}
		c.now.plain = append(c.now.plain, p[:n]...)
		p = p[n:]
		if len(c.now.plain) == c.size {
			if err := c.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin takes a free block if there is none.
func (c *cutter) begin() error {
	if c.now != nil {
		return nil
	}
	select {
	case b := <-c.free:
		c.taken++
		*b = block{plain: b.plain[:0], data: b.data[:0], done: make(chan struct{})}
		c.now = b
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

// end ends the block, if there is one.
func (c *cutter) end() error {
	b := c.now
	if b == nil {
		return nil
	}
	c.now = nil
	// First order: what a worker has, the writer must be able to reach.
	for _, to := range []chan *block{c.order, c.work} {
		select {
		case to <- b:
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
	}
	return nil
}

type counter struct {
	w      io.Writer
	size   int64
	blocks int
	hash.Hash
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.Hash.Write(p[:n])
	c.size += int64(n)
	return n, err
}
