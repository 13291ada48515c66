package lzma2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Decoder is memory for decoding. Its zero value is ready to use, by one goroutine at a time, any number of times. It is
// for small blocks that are wanted whole: the dictionary is what was decoded.
type Decoder struct {
	// Properties of the model at hand: bits of the byte before and of the position.
	literalContext, literalPosition, positionBits uint
	state                                         uint32
	last                                          [4]uint32 // distances, less one

	out   []byte // with room for what is to come
	start int    // in out, of what belongs to the dictionary
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

var errData = errors.New("malformed LZMA2 data")

// Decode appends to dst the size bytes that src holds in compressed form. It is an error if they are fewer or more, or if
// something follows them.
func (d *Decoder) Decode(dst, src []byte, size int) ([]byte, error) {
	d.out, d.start = dst, len(dst)
	limit := len(dst) + size
	fresh, modelled := true, false // whether a dictionary, and a model, has to come first
	for {
		if len(src) == 0 {
			return dst, errData
		}
		control := src[0]
		if control == 0 {
			if len(d.out) != limit || len(src) != 1 {
				return dst, fmt.Errorf("%w: it has %d bytes, expected %d", errData, len(d.out)-len(dst), size)
			}
			out := d.out
			d.out = nil
			return out, nil
		}
		if control == 1 || control >= 0xe0 {
			d.start, fresh = len(d.out), false
		}
		if fresh || control > 2 && control < 0x80 || len(src) < 3 {
			return dst, errData
		}
		n := int(src[1])<<8 | int(src[2]) + 1
		if control < 0x80 {
			if len(src) < 3+n || len(d.out)+n > limit {
				return dst, errData
			}
			d.out = append(d.out, src[3:3+n]...)
			src = src[3+n:]
			continue
		}
		n += int(control&0x1f) << 16
		var err error
		if src, err = d.chunk(src, n, limit, &modelled); err != nil {
			return dst, err
		}
	}
}

// chunk decodes the compressed chunk at the beginning of src to n bytes, and returns what follows it.
func (d *Decoder) chunk(src []byte, n, limit int, modelled *bool) ([]byte, error) {
	header := 5
	if len(src) < header+1 {
		return nil, errData
	}
	packed := int(src[3])<<8 | int(src[4]) + 1
	switch reset := src[0] >> 5 & 3; {
	case reset >= 2:
		if err := d.setProperties(src[5]); err != nil {
			return nil, err
		}
		header++
		*modelled = true
		fallthrough
	case reset == 1:
		d.reset()
	}
	if !*modelled || len(src) < header+packed || packed < 5 || len(d.out)+n > limit {
		return nil, errData
	}
	copy(d.in[:], src[header:header+packed])
	d.out = slices.Grow(d.out, n)
	if err := d.run(packed, n); err != nil {
		return nil, err
	}
	return src[header+packed:], nil
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
				if distance > from {
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
		if distance > from || length > end-at {
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
