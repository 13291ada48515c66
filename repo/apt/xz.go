package apt

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"slices"
)

// An xz file is read by way of its index, which stands at its end and says how long every block is, packed and
// unpacked (https://tukaani.org/xz/xz-file-format.txt). That is more than a stream would need, and it is what bounds the
// memory: a block's header may ask for a dictionary of 4 GiB, but no more of it can be used than the block unpacks to.
// Only what dpkg reads is accepted: one stream, LZMA2 without other filters, nothing before or behind.
type xzFile struct {
	r      io.ReaderAt
	blocks []xzBlock
	next   int
	check  hash.Hash
	sum    [sha256.Size]byte // and what it begins with is what check has to be at the end of the block
	inside bool              // whether a block was begun that has more to give
	piece  []byte            // of it, which was unpacked
	left   int64             // what it has yet to give besides
	*scratch
}

// xzBlock is what the index says of a block: where it starts, how long its header, data and checksum are without the
// padding to a multiple of four bytes that stands behind the data, and how much the data unpacks to.
type xzBlock struct{ at, packed, unpacked int64 }

const (
	xzMagic     = "\xfd7zXZ\x00"
	xzEnd       = "YZ"
	xzEdge      = 12 // bytes of the header and of the footer of a stream
	maxXZIndex  = 1 << 20
	maxXZBlocks = 1 << 16
	maxXZDict   = 64 << 20 // what xz -9 asks for
)

var (
	errXZ    = errors.New("malformed xz data")
	errXZSum = errors.New("xz data does not match its checksum")
)

// openXZ reads the index of an xz file of size bytes. One that unpacks to more than limit is refused at once, so that no
// memory is given to it.
func openXZ(r io.ReaderAt, size, limit int64, s *scratch) (*xzFile, error) {
	if size < 2*xzEdge || size%4 != 0 {
		return nil, errXZ
	}
	head, foot := s.header[:xzEdge], s.header[xzEdge:2*xzEdge]
	if err := readRange(r, head, 0); err != nil {
		return nil, err
	}
	if err := readRange(r, foot, size-xzEdge); err != nil {
		return nil, err
	}
	flags := head[6:8]
	if string(head[:6]) != xzMagic || string(foot[10:]) != xzEnd || !bytes.Equal(flags, foot[8:10]) || flags[0] != 0 ||
		!crcMatches(flags, head[8:]) || !crcMatches(foot[4:10], foot[:4]) {
		return nil, errXZ
	}
	check, err := newCheck(flags[1])
	if err != nil {
		return nil, err
	}
	length := (int64(binary.LittleEndian.Uint32(foot[4:8])) + 1) * 4
	if length > maxXZIndex || length > size-2*xzEdge {
		return nil, errXZ
	}
	index := make([]byte, length)
	if err := readRange(r, index, size-xzEdge-length); err != nil {
		return nil, err
	}
	blocks, err := parseXZIndex(index, size-xzEdge-length)
	if err != nil {
		return nil, err
	}
	unpacked := int64(0)
	for _, b := range blocks {
		if b.unpacked > limit-unpacked {
			return nil, exceeded(limit)
		}
		unpacked += b.unpacked
	}
	return &xzFile{r: r, blocks: blocks, check: check, scratch: s}, nil
}

// parseXZIndex reads the index, which begins at byte end of the file: just where the blocks that it lists have to end.
func parseXZIndex(index []byte, end int64) ([]xzBlock, error) {
	body, sum := index[:len(index)-4], index[len(index)-4:]
	if body[0] != 0 || !crcMatches(body, sum) {
		return nil, errXZ
	}
	count, body, ok := cutVarint(body[1:])
	if !ok || count > maxXZBlocks {
		return nil, errXZ
	}
	blocks := make([]xzBlock, 0, count)
	at := int64(xzEdge)
	for range count {
		var b xzBlock
		var ok1, ok2 bool
		b.at = at
		b.packed, body, ok1 = cutVarint(body)
		b.unpacked, body, ok2 = cutVarint(body)
		if !ok1 || !ok2 || b.packed < 8 || b.packed > end-at {
			return nil, errXZ
		}
		at += (b.packed + 3) &^ 3
		blocks = append(blocks, b)
	}
	if at != end || len(bytes.Trim(body, "\x00")) > 0 || len(body) > 3 {
		return nil, errXZ
	}
	return blocks, nil
}

func (x *xzFile) Read(p []byte) (int, error) {
	for len(x.piece) == 0 {
		if err := x.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, x.piece)
	x.piece = x.piece[n:]
	return n, nil
}

// skip steps over n bytes of what is unpacked. Blocks that lie between are not looked at.
func (x *xzFile) skip(n int64) error {
	for {
		if n <= int64(len(x.piece)) {
			x.piece = x.piece[n:]
			return nil
		}
		n -= int64(len(x.piece))
		x.piece = nil
		switch {
		case x.inside && n >= x.left:
			n -= x.left
			x.inside = false
		case !x.inside && x.next < len(x.blocks) && n >= x.blocks[x.next].unpacked:
			n -= x.blocks[x.next].unpacked
			x.next++
		case n > 0:
			if err := x.more(); err == io.EOF {
				return io.ErrUnexpectedEOF
			} else if err != nil {
				return err
			}
		}
	}
}

// more begins a block or unpacks more of the one at hand. At the end of it, it makes sure that all was right.
func (x *xzFile) more() error {
	if !x.inside {
		if x.next == len(x.blocks) {
			return io.EOF
		}
		if err := x.begin(x.blocks[x.next]); err != nil {
			return fmt.Errorf("block %d: %w", x.next, err)
		}
		x.next++
		return nil
	}
	piece, err := x.xz.Next()
	if err == nil {
		x.check.Write(piece)
		if x.left -= int64(len(piece)); x.left == 0 {
			_, err = x.xz.Next() // there is none, and the piece stays good
		}
	}
	if err == io.EOF {
		x.inside, err = false, nil
		if !bytes.Equal(x.check.Sum(x.header[:0]), x.sum[:x.check.Size()]) {
			err = errXZSum
		}
	}
	if err != nil {
		return fmt.Errorf("block %d: %w", x.next-1, err)
	}
	x.piece = piece
	return nil
}

// begin reads the header of a block, and the checksum behind it.
func (x *xzFile) begin(b xzBlock) error {
	header := x.header[:]
	if err := readRange(x.r, header[:1], b.at); err != nil {
		return err
	}
	length := (int64(header[0]) + 1) * 4
	data := b.packed - length - int64(x.check.Size())
	if header[0] == 0 || data < 1 {
		return errXZ
	}
	if err := readRange(x.r, header[:length], b.at); err != nil {
		return err
	}
	dict, err := parseXZBlockHeader(header[:length], data, b.unpacked)
	if err != nil {
		return err
	}
	end := header[:(-data&3)+int64(x.check.Size())]
	if err := readRange(x.r, end, b.at+length+data); err != nil {
		return err
	}
	if padding := end[:-data&3]; len(bytes.Trim(padding, "\x00")) > 0 {
		return errXZ
	}
	copy(x.sum[:], end[-data&3:])
	if x.packed == nil {
		x.packed = bufio.NewReaderSize(nil, 16<<10)
	}
	if min(dict, b.unpacked) > usualWindow {
		x.enlarge()
	}
	x.packed.Reset(io.NewSectionReader(x.r, b.at+length, data))
	x.xz.Reset(x.packed, int(dict), b.unpacked)
	x.check.Reset()
	x.inside, x.left = true, b.unpacked
	return nil
}

// parseXZBlockHeader returns the size of the dictionary that a block asks for. Where the header repeats the block's
// sizes they have to be those of the index.
func parseXZBlockHeader(header []byte, packed, unpacked int64) (int64, error) {
	body, sum := header[:len(header)-4], header[len(header)-4:]
	if !crcMatches(body, sum) {
		return 0, errXZ
	}
	flags, body := body[1], body[2:]
	if flags&0x3f != 0 {
		return 0, errors.New("xz data with filters other than LZMA2, which dpkg does not write")
	}
	for _, f := range []struct {
		bit  byte
		want int64
	}{{0x40, packed}, {0x80, unpacked}} {
		if flags&f.bit == 0 {
			continue
		}
		var size int64
		var ok bool
		if size, body, ok = cutVarint(body); !ok || size != f.want {
			return 0, errXZ
		}
	}
	const lzma2 = 0x21 // with one byte of properties
	if len(body) < 3 || body[0] != lzma2 || body[1] != 1 || body[2] > 40 || len(bytes.Trim(body[3:], "\x00")) > 0 {
		return 0, errXZ
	}
	dict := int64(2|body[2]&1) << (body[2]/2 + 11)
	if dict > maxXZDict {
		return 0, fmt.Errorf("xz data needs a dictionary of %d MiB, more than xz -9 asks for", dict>>20)
	}
	return dict, nil
}

// newCheck makes the checksum that a stream's flags name.
func newCheck(kind byte) (hash.Hash, error) {
	switch kind {
	case 0:
		return noCheck{}, nil
	case 1:
		return reversed{crc32.NewIEEE()}, nil
	case 4:
		return reversed{crc64.New(crc64.MakeTable(crc64.ECMA))}, nil
	case 10:
		return sha256.New(), nil
	}
	return nil, fmt.Errorf("xz data with a checksum of unknown kind %d", kind)
}

// reversed makes a checksum's bytes little-endian, as xz stores them.
type reversed struct{ hash.Hash }

func (h reversed) Sum(b []byte) []byte {
	n := len(b)
	b = h.Hash.Sum(b)
	slices.Reverse(b[n:])
	return b
}

// noCheck is the checksum of a stream without one.
type noCheck struct{}

func (noCheck) Write(p []byte) (int, error) { return len(p), nil }
func (noCheck) Sum(b []byte) []byte         { return b }
func (noCheck) Reset()                      {}
func (noCheck) Size() int                   { return 0 }
func (noCheck) BlockSize() int              { return 1 }

func crcMatches(data, sum []byte) bool {
	return crc32.ChecksumIEEE(data) == binary.LittleEndian.Uint32(sum)
}

// cutVarint takes a multibyte integer of the xz format off the front of b: at most nine bytes of seven bits, the lowest
// first.
func cutVarint(b []byte) (v int64, rest []byte, ok bool) {
	for i := 0; i < len(b) && i < 9; i++ {
		v |= int64(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return v, b[i+1:], i == 0 || b[i] != 0
		}
	}
	return 0, nil, false
}

// readRange fills b with what begins at byte at.
func readRange(r io.ReaderAt, b []byte, at int64) error {
	if n, err := r.ReadAt(b, at); n < len(b) {
		return fmt.Errorf("read %d bytes at %d: %w", len(b), at, err)
	}
	return nil
}
