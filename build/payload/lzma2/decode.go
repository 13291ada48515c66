package lzma2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Decoder decodes one block after the other, and keeps its memory meanwhile. Its zero value is ready to be Reset, and it is for
// one goroutine at a time.
type Decoder struct {
	src      io.Reader
	left     int64 // of what the block unpacks to
	dictSize int
	// Whether a dictionary, and a model, has to come first.
	fresh, modelless bool

	// Properties of the model at hand: bits of the byte before and of the position.
	literalContext, literalPosition, positionBits uint
	state                                         uint32
	last                                          [4]uint32 // distances, less one

	out   []byte // with room for what is to come
	start int    // in out, of what belongs to the dictionary; below 0 when that is not there any more
	in    packedChunk

	isMatch      [16][1 << maxPositionBits]probability
	isRepeat     [16]probability
	isNotLast    [16]probability
	isNotSecond  [16]probability
	isFourth     [16]probability
	isLong       [16][1 << maxPositionBits]probability
	literals     [0x300 << maxLiteralBits]probability
	matchLength  decodedLengths
	repeatLength decodedLengths
	slots        [4][64]probability
	middle       [128]probability
	lowest       [16]probability
}

type decodedLengths struct {
	isNotShort, isLong probability
	short, medium      [1 << maxPositionBits][8]probability
	long               [256]probability
}

const (
	maxPositionBits = 4
	// maxLiteralBits is what LZMA2 allows the two properties of literals together.
	maxLiteralBits = 4
)

var (
	errData = errors.New("malformed LZMA2 data")
	errSize = fmt.Errorf("%w: it has another size than it should have", errData)
)

// Reset begins a block, which src holds in compressed form and nothing else. It unpacks to size bytes, with a dictionary of
// dictSize. The Decoder needs no more memory than that of both that is smaller, and a quarter or 4 MiB.
func (d *Decoder) Reset(src io.Reader, dictSize int, size int64) {
	d.src, d.left, d.dictSize = src, size, dictSize
	d.fresh, d.modelless = true, true
	const kept = 16 << 20 // at most, for the next block
	if cap(d.out) > kept {
		d.out = nil
	}
	d.out = slices.Grow(d.out[:0], int(min(size, int64(dictSize+max(dictSize/4, 2*maxChunk)))))
	d.start = 0
}

// maxChunk is how much a chunk can hold.
const maxChunk = 1 << 21

// Next returns the bytes that come next: those of a chunk. They are good until the next call. After the last ones, if they
// are as many as there should be and nothing follows them, the error is io.EOF.
func (d *Decoder) Next() ([]byte, error) {
	head := d.in[:6] // where there is room at the moment
	if _, err := io.ReadFull(d.src, head[:1]); err != nil {
		return nil, truncated(err)
	}
	control := head[0]
	if control == 0 {
		return nil, d.end()
	}
	if control == 1 || control >= 0xe0 {
		d.start, d.fresh = len(d.out), false
	}
	length := 3
	if control >= 0x80 {
		length = 5 + int(control>>6&1)
	}
	if d.fresh || control > 2 && control < 0x80 {
		return nil, errData
	}
	if _, err := io.ReadFull(d.src, head[1:length]); err != nil {
		return nil, truncated(err)
	}
	n := int(head[1])<<8 | int(head[2]) + 1
	if control >= 0x80 {
		n += int(control&0x1f) << 16
	}
	if d.left -= int64(n); d.left < 0 {
		return nil, errSize
	}
	d.makeRoom(n)
	at := len(d.out)
	if control < 0x80 {
		d.out = d.out[:at+n]
		_, err := io.ReadFull(d.src, d.out[at:])
		return d.out[at:], truncated(err)
	}
	packed := int(head[3])<<8 | int(head[4]) + 1
	if err := d.prepare(control>>5&3, head[5]); err != nil || packed < 5 {
		return nil, errData
	}
	if _, err := io.ReadFull(d.src, d.in[:packed]); err != nil {
		return nil, truncated(err)
	}
	if err := d.run(packed, n); err != nil {
		return nil, err
	}
	return d.out[at:], nil
}

// prepare makes the model what a compressed chunk says that it has to be.
func (d *Decoder) prepare(reset, properties byte) error {
	if reset >= 2 {
		if err := d.setProperties(properties); err != nil {
			return err
		}
		d.modelless = false
	}
	if reset >= 1 {
		d.reset()
	}
	if d.modelless {
		return errData
	}
	return nil
}

// end makes sure that the block may end here.
func (d *Decoder) end() error {
	if d.left > 0 {
		return errSize
	}
	n, err := io.ReadFull(d.src, d.in[:1])
	if n > 0 {
		return errData
	}
	return err // io.EOF, unless reading fails
}

// makeRoom forgets what lies before the dictionary when there is no room for n bytes more.
func (d *Decoder) makeRoom(n int) {
	if len(d.out)+n > cap(d.out) {
		gone := len(d.out) - d.dictSize
		d.out = d.out[:copy(d.out, d.out[gone:])]
		d.start -= gone
	}
}

func truncated(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: truncated", errData)
	}
	return err
}

func (d *Decoder) setProperties(p byte) error {
	if p >= 9*5*5 {
		return errData
	}
	d.literalContext, d.literalPosition, d.positionBits = uint(p%9), uint(p/9%5), uint(p/45)
	if d.literalContext+d.literalPosition > maxLiteralBits {
		return errData
	}
	return nil
}

// reset forgets the model. Of the literals only those that the properties can choose are touched.
func (d *Decoder) reset() {
	d.state, d.last = 0, [4]uint32{}
	for i := range states {
		reset(d.isMatch[i][:])
		reset(d.isLong[i][:])
	}
	for _, p := range []*[16]probability{&d.isRepeat, &d.isNotLast, &d.isNotSecond, &d.isFourth} {
		reset(p[:])
	}
	reset(d.literals[:0x300<<(d.literalContext+d.literalPosition)])
	for _, l := range []*decodedLengths{&d.matchLength, &d.repeatLength} {
		l.isNotShort, l.isLong = even, even
		for i := range l.short {
			reset(l.short[i][:])
			reset(l.medium[i][:])
		}
		reset(l.long[:])
	}
	for i := range d.slots {
		reset(d.slots[i][:])
	}
	reset(d.middle[:])
	reset(d.lowest[:])
}

// run decodes n bytes from the packed ones that are in.
func (d *Decoder) run(packed, n int) error {
	clear(d.in[packed : packed+maxTaken])
	c := coder{in: &d.in, at: 5, width: 1<<32 - 1, code: binary.BigEndian.Uint32(d.in[1:])}
	if d.in[0] != 0 {
		return errData
	}
	at := len(d.out)
	end := at + n
	out := d.out[:end]
	state, positions := d.state, 1<<(d.positionBits&7)-1
	literalPositions := 1<<(d.literalPosition&7) - 1
	for at < end {
		if int(c.at) > packed {
			return errData
		}
		from := at - d.start
		position := from & positions & 15
		var bit uint32
		if bit, c = c.normalize().bit(&d.isMatch[state&15][position]); bit == 0 {
			before := uint32(0)
			if from > 0 {
				before = uint32(out[at-1])
			}
			context := from&literalPositions<<(d.literalContext&31) + int(before>>((8-d.literalContext)&31))
			p := (*[0x300]probability)(d.literals[0x300*context:])
			if state < firstAfterMatch {
				out[at], c = c.freeLiteral(p)
				state = max(state, 3) - 3
			} else {
				distance := int(d.last[0]) + 1
				if distance > min(from, d.dictSize) {
					return errData
				}
				out[at], c = c.otherLiteral(p, out[at-distance])
				if state < 10 {
					state -= 3
				} else {
					state -= 6
				}
			}
			at++
			continue
		}
		var length int
		if bit, c = c.normalize().bit(&d.isRepeat[state&15]); bit == 0 {
			length, c = d.matchLength.decode(c, position)
			c = d.distance(c, length)
			state = follow(state, 7, 10)
		} else if length, c = d.repeat(c, state, position); length == 1 {
			state = follow(state, 9, 11)
		} else {
			state = follow(state, 8, 11)
		}
		distance := int(d.last[0]) + 1
		if distance > min(from, d.dictSize) || length > end-at {
			return errData
		}
		if distance >= length {
			copy(out[at:at+length], out[at-distance:])
		} else {
			repeatBytes(out[at-distance:at+length], distance)
		}
		at += length
	}
	c = c.normalize()
	if int(c.at) != packed || c.code != 0 {
		return errData
	}
	d.out, d.state = out, state
	return nil
}

// repeatBytes fills b with repetitions of its first n bytes.
func repeatBytes(b []byte, n int) {
	for n < len(b) {
		n += copy(b[n:], b[:n])
	}
}

func follow(state, afterLiteral, afterMatch uint32) uint32 {
	if state < firstAfterMatch {
		return afterLiteral
	}
	return afterMatch
}

// distance decodes that of a match, see model.distance.
func (d *Decoder) distance(c coder, length int) coder {
	var v, low uint32
	v, c = c.tree(d.slots[min(length-minMatch, len(d.slots)-1)][:], 6)
	if slot := v; slot >= 4 {
		below := uint(slot>>1) - 1
		v = (2 | slot&1) << (below & 31)
		if slot < 14 {
			low, c = c.reverseTree(d.middle[v-slot:], below)
			v += low
		} else {
			low, c = c.even(below - 4)
			v += low << 4
			low, c = c.reverseTree(d.lowest[:], 4)
			v += low
		}
	}
	d.last = [4]uint32{v, d.last[0], d.last[1], d.last[2]}
	return c
}

// repeat decodes which distance is used again, and the length, which is 1 for a short repeat.
func (d *Decoder) repeat(c coder, state uint32, position int) (int, coder) {
	var bit uint32
	if bit, c = c.normalize().bit(&d.isNotLast[state&15]); bit == 0 {
		if bit, c = c.normalize().bit(&d.isLong[state&15][position&15]); bit == 0 {
			return 1, c
		}
		return d.repeatLength.decode(c, position)
	}
	which := uint32(1)
	if bit, c = c.normalize().bit(&d.isNotSecond[state&15]); bit == 1 {
		bit, c = c.normalize().bit(&d.isFourth[state&15])
		which = 2 + bit
	}
	v := d.last[which]
	copy(d.last[1:which+1], d.last[:which])
	d.last[0] = v
	return d.repeatLength.decode(c, position)
}

func (l *decodedLengths) decode(c coder, position int) (int, coder) {
	var bit, n uint32
	if bit, c = c.normalize().bit(&l.isNotShort); bit == 0 {
		n, c = c.tree(l.short[position&15][:], 3)
		return minMatch + int(n), c
	}
	if bit, c = c.normalize().bit(&l.isLong); bit == 0 {
		n, c = c.tree(l.medium[position&15][:], 3)
		return minMatch + 8 + int(n), c
	}
	n, c = c.tree(l.long[:], 8)
	return minMatch + 16 + int(n), c
}
