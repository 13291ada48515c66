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

	"github.com/ulikunitz/xz/lzma"
)

// An xz file is read by way of its index, which stands at its end and says how long every block is, packed and
// unpacked (https://tukaani.org/xz/xz-file-format.txt). That is more than a stream would need, and it is what bounds the
// memory: a block's header may ask for a dictionary of 4 GiB, but no more of it can be used than the block unpacks to.
// Only what dpkg reads is accepted: one stream, LZMA2 without other filters, nothing before or behind.
type xzFile struct {
	r        io.ReaderAt
	blocks   []xzBlock
	check    byte
	next     int
	block    io.Reader
	left     int64 // what the block has yet to give
	*scratch       // for small blocks
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

// openXZ reads the index of an xz file of size bytes.
func openXZ(r io.ReaderAt, size int64, s *scratch) (*xzFile, error) {
	if size < 2*xzEdge || size%4 != 0 {
		return nil, errXZ
	}
	head, err := readRange(r, 0, xzEdge)
	if err != nil {
		return nil, err
	}
	foot, err := readRange(r, size-xzEdge, xzEdge)
	if err != nil {
		return nil, err
	}
	flags := head[6:8]
	if string(head[:6]) != xzMagic || string(foot[10:]) != xzEnd || !bytes.Equal(flags, foot[8:10]) || flags[0] != 0 ||
		!crcMatches(flags, head[8:]) || !crcMatches(foot[4:10], foot[:4]) {
		return nil, errXZ
	}
	if _, err := newCheck(flags[1]); err != nil {
		return nil, err
	}
	length := (int64(binary.LittleEndian.Uint32(foot[4:8])) + 1) * 4
	if length > maxXZIndex || length > size-2*xzEdge {
		return nil, errXZ
	}
	index, err := readRange(r, size-xzEdge-length, length)
	if err != nil {
		return nil, err
	}
	blocks, err := parseXZIndex(index, size-xzEdge-length)
	if err != nil {
		return nil, err
	}
	return &xzFile{r: r, blocks: blocks, check: flags[1], scratch: s}, nil
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
	for {
		if x.block == nil {
			if x.next == len(x.blocks) {
				return 0, io.EOF
			}
			b, err := x.open(x.blocks[x.next])
			if err != nil {
				return 0, fmt.Errorf("block %d: %w", x.next, err)
			}
			x.block, x.left = b, x.blocks[x.next].unpacked
			x.next++
		}
		n, err := x.block.Read(p)
		x.left -= int64(n)
		if err == io.EOF {
			x.block, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// skip steps over n bytes of what is unpacked. Blocks that lie between are not looked at.
func (x *xzFile) skip(n int64) error {
	for n > 0 {
		switch {
		case x.block != nil && n < x.left:
			got, err := io.CopyN(io.Discard, x.block, n)
			x.left -= got
			return err
		case x.block != nil:
			n, x.block = n-x.left, nil
		case x.next == len(x.blocks):
			return io.ErrUnexpectedEOF
		case n >= x.blocks[x.next].unpacked:
			n -= x.blocks[x.next].unpacked
			x.next++
		default:
			b, err := x.open(x.blocks[x.next])
			if err != nil {
				return fmt.Errorf("block %d: %w", x.next, err)
			}
			x.block, x.left = b, x.blocks[x.next].unpacked
			x.next++
		}
	}
	return nil
}

// open reads the header of a block.
func (x *xzFile) open(b xzBlock) (io.Reader, error) {
	check, err := newCheck(x.check)
	if err != nil {
		return nil, err
	}
	first, err := readRange(x.r, b.at, 1)
	if err != nil {
		return nil, err
	}
	length := (int64(first[0]) + 1) * 4
	data := b.packed - length - int64(check.Size())
	if first[0] == 0 || data < 1 {
		return nil, errXZ
	}
	header, err := readRange(x.r, b.at, length)
	if err != nil {
		return nil, err
	}
	dict, err := parseXZBlockHeader(header, data, b.unpacked)
	if err != nil {
		return nil, err
	}
	end, err := readRange(x.r, b.at+length+data, (-data&3)+int64(check.Size()))
	if err != nil {
		return nil, err
	}
	padding, sum := end[:-data&3], end[-data&3:]
	if len(bytes.Trim(padding, "\x00")) > 0 {
		return nil, errXZ
	}
	if b.unpacked <= maxWholeBlock && data <= 2*maxWholeBlock {
		return x.whole(b.at+length, data, b.unpacked, check, sum)
	}
	section := io.NewSectionReader(x.r, b.at+length, data)
	packed := bufio.NewReaderSize(section, int(min(data, 64<<10)))
	dict = max(min(dict, b.unpacked), lzma.MinDictCap)
	unpacked, err := lzma.Reader2Config{DictCap: int(dict)}.NewReader2(packed)
	if err != nil {
		return nil, err
	}
	return &xzReader{Reader: unpacked, packed: packed, left: b.unpacked, check: check, sum: sum}, nil
}

// maxWholeBlock is the size up to which a block is decoded at once. That is several times faster for the few kilobytes of
// nearly every control.tar.
const maxWholeBlock = 1 << 20

// whole decodes the block whose data begins at byte at.
func (x *xzFile) whole(at, packed, unpacked int64, check hash.Hash, sum []byte) (io.Reader, error) {
	x.packed, x.plain = slices.Grow(x.packed[:0], int(packed)), slices.Grow(x.plain[:0], int(unpacked))
	data := x.packed[:packed]
	if n, err := x.r.ReadAt(data, at); n < len(data) {
		return nil, fmt.Errorf("read %d bytes at %d: %w", packed, at, err)
	}
	text, err := x.xz.Decode(x.plain, data, int(unpacked))
	if err != nil {
		return nil, err
	}
	check.Write(text)
	if !bytes.Equal(check.Sum(nil), sum) {
		return nil, errXZSum
	}
	return bytes.NewReader(text), nil
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

// xzReader unpacks one block and checks its size and checksum at its end.
type xzReader struct {
	io.Reader
	packed *bufio.Reader
	left   int64
	check  hash.Hash
	sum    []byte
}

func (b *xzReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.check.Write(p[:n])
	if b.left -= int64(n); b.left < 0 {
		return 0, errXZ
	}
	if err != io.EOF {
		return n, err
	}
	if _, more := b.packed.ReadByte(); more == nil || b.left > 0 {
		return n, errXZ
	}
	if !bytes.Equal(b.check.Sum(nil), b.sum) {
		return n, errXZSum
	}
	return n, io.EOF
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
	s := h.Hash.Sum(nil)
	for i := len(s) - 1; i >= 0; i-- {
		b = append(b, s[i])
	}
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

func readRange(r io.ReaderAt, at, n int64) ([]byte, error) {
	b := make([]byte, n)
	if got, err := r.ReadAt(b, at); got < len(b) {
		return nil, fmt.Errorf("read %d bytes at %d: %w", n, at, err)
	}
	return b, nil
}
