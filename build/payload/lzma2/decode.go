package lzma2

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Decoder is memory for decoding. Its zero value is ready to use, by one goroutine at a time, any number of times. It is
// for small blocks that are wanted whole: the dictionary is what was decoded.
type Decoder struct {
	// Properties of the model at hand: bits of the byte before and of the position.
	literalContext, literalPosition, positionBits uint
	state                                         uint32
	last                                          [4]uint32 // distances, less one
	out                                           []byte
	start                                         int // in out, of what belongs to the dictionary

	in    []byte // of a chunk
	at    int
	code  uint32
	width uint32

	isMatch      [states][1 << maxPositionBits]probability
	isRepeat     [states]probability
	isNotLast    [states]probability
	isNotSecond  [states]probability
	isFourth     [states]probability
	isLong       [states][1 << maxPositionBits]probability
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
			d.out, d.in = nil, nil
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
	d.in = src[header : header+packed]
	if d.in[0] != 0 {
		return nil, errData
	}
	d.code = uint32(d.in[1])<<24 | uint32(d.in[2])<<16 | uint32(d.in[3])<<8 | uint32(d.in[4])
	d.at, d.width = 5, 1<<32-1
	if err := d.run(len(d.out) + n); err != nil {
		return nil, err
	}
	d.normalize()
	if d.at != len(d.in) || d.code != 0 {
		return nil, errData
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
	for _, p := range []*[states]probability{&d.isRepeat, &d.isNotLast, &d.isNotSecond, &d.isFourth} {
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

// run decodes operations until out has end bytes.
func (d *Decoder) run(end int) error {
	for len(d.out) < end {
		position := (len(d.out) - d.start) & (1<<d.positionBits - 1)
		if d.bit(&d.isMatch[d.state][position]) == 0 {
			if err := d.literal(); err != nil {
				return err
			}
			continue
		}
		var length int
		if d.bit(&d.isRepeat[d.state]) == 0 {
			length = d.matchLength.decode(d, position)
			d.distance(length)
			d.follow(7, 10)
		} else {
			if len(d.out) == d.start {
				return errData
			}
			if length = d.repeat(position); length == 1 {
				d.follow(9, 11)
			} else {
				d.follow(8, 11)
			}
		}
		distance := int(d.last[0]) + 1
		if distance > len(d.out)-d.start || length > end-len(d.out) || d.at > len(d.in) {
			return errData
		}
		d.copy(distance, length)
	}
	return nil
}

// copy appends what stands distance bytes before the end, which may come about while it is copied.
func (d *Decoder) copy(distance, length int) {
	for length > 0 {
		n := min(length, distance)
		from := len(d.out) - distance
		d.out = append(d.out, d.out[from:from+n]...)
		length -= n
		distance += n
	}
}

func (d *Decoder) follow(afterLiteral, afterMatch uint32) {
	if d.state < firstAfterMatch {
		d.state = afterLiteral
	} else {
		d.state = afterMatch
	}
}

// normalize takes in a byte when the interval has become narrow. Bytes beyond the end are zeros: run and chunk notice
// that there were none.
func (d *Decoder) normalize() {
	if d.width < minWidth {
		d.width <<= 8
		d.code <<= 8
		if d.at < len(d.in) {
			d.code |= uint32(d.in[d.at])
		}
		d.at++
	}
}

func (d *Decoder) bit(p *probability) uint32 {
	d.normalize()
	bound := d.width >> probabilityBits * uint32(*p)
	if d.code < bound {
		d.width = bound
		*p += (1<<probabilityBits - *p) >> moveBits
		return 0
	}
	d.code -= bound
	d.width -= bound
	*p -= *p >> moveBits
	return 1
}

// literal decodes a byte.
func (d *Decoder) literal() error {
	before := uint32(0)
	at := len(d.out) - d.start
	if at > 0 {
		before = uint32(d.out[len(d.out)-1])
	}
	context := uint32(at)&(1<<d.literalPosition-1)<<d.literalContext + before>>(8-d.literalContext)
	p := (*[0x300]probability)(d.literals[0x300*context:])
	var c byte
	var taken int
	if d.state < firstAfterMatch {
		c, d.code, d.width, taken = freeLiteral(p, d.code, d.width, d.ahead())
	} else {
		distance := int(d.last[0]) + 1
		if distance > at {
			return errData
		}
		c, d.code, d.width, taken = otherLiteral(p, d.code, d.width, d.ahead(), d.out[len(d.out)-distance])
	}
	if d.at += taken; d.at > len(d.in) {
		return errData
	}
	d.out = append(d.out, c)
	switch {
	case d.state < 4:
		d.state = 0
	case d.state < 10:
		d.state -= 3
	default:
		d.state -= 6
	}
	return nil
}

// ahead is the next eight bytes, which are at least as many as a literal takes in, the first one highest.
func (d *Decoder) ahead() (v uint64) {
	if d.at+8 <= len(d.in) {
		return binary.BigEndian.Uint64(d.in[d.at:])
	}
	var rest [8]byte
	if d.at < len(d.in) {
		copy(rest[:], d.in[d.at:])
	}
	return binary.BigEndian.Uint64(rest[:])
}

// freeLiteral decodes a byte of which nothing is known, and says how many bytes it took in. Most bits of most data are such,
// and neither can a processor guess most of them. So no jump depends on a bit, what it can lead to is fetched before it is
// known, and all variables are held in registers.
func freeLiteral(p *[0x300]probability, code, width uint32, in uint64) (c byte, newCode, newWidth uint32, taken int) {
	node, now := uint32(1), uint32(p[1])
	for node < 0x100 {
		left, right := uint32(p[node<<1]), uint32(p[node<<1+1])
		if width < minWidth {
			width <<= 8
			code = code<<8 | uint32(in>>56)
			in <<= 8
			taken++
		}
		bound := width >> probabilityBits * now
		rest := int64(code) - int64(bound)
		zero := uint32(rest >> 63) // all ones for the bit 0
		p[node] = probability(int32(now) - (int32(now)+towardsZero&int32(zero))>>moveBits)
		code = uint32(rest) + bound&zero
		width -= bound
		width += (bound - width) & zero
		now = right ^ (left^right)&zero
		node = node<<1 + 1 + zero
	}
	return byte(node), code, width, taken
}

// otherLiteral decodes a byte that is not the one that would have made the match before longer.
func otherLiteral(p *[0x300]probability, code, width uint32, in uint64, not byte) (c byte, newCode, newWidth uint32, taken int) {
	node, other, same := uint32(1), uint32(not), uint32(0x100)
	for node < 0x100 {
		other <<= 1
		chosen := other & same
		q := &p[same+chosen+node]
		if width < minWidth {
			width <<= 8
			code = code<<8 | uint32(in>>56)
			in <<= 8
			taken++
		}
		bound := width >> probabilityBits * uint32(*q)
		if code < bound {
			width = bound
			*q += (1<<probabilityBits - *q) >> moveBits
			node <<= 1
			same &^= chosen
		} else {
			code -= bound
			width -= bound
			*q -= *q >> moveBits
			node = node<<1 | 1
			same = chosen
		}
	}
	return byte(node), code, width, taken
}

func (d *Decoder) tree(p []probability, n uint) uint32 {
	node := uint32(1)
	for range n {
		node = node<<1 | d.bit(&p[node])
	}
	return node - 1<<n
}

func (d *Decoder) reverseTree(p []probability, n uint) (v uint32) {
	node := uint32(1)
	for i := range n {
		bit := d.bit(&p[node])
		node = node<<1 | bit
		v |= bit << i
	}
	return v
}

// distance decodes that of a match, see model.distance.
func (d *Decoder) distance(length int) {
	v := d.tree(d.slots[min(length-minMatch, len(d.slots)-1)][:], 6)
	if slot := v; slot >= 4 {
		below := uint(slot>>1) - 1
		v = (2 | slot&1) << below
		if slot < 14 {
			v += d.reverseTree(d.middle[v-slot:], below)
		} else {
			v += d.even(below-4) << 4
			v += d.reverseTree(d.lowest[:], 4)
		}
	}
	d.last = [4]uint32{v, d.last[0], d.last[1], d.last[2]}
}

func (d *Decoder) even(n uint) (v uint32) {
	for range n {
		d.normalize()
		d.width >>= 1
		v <<= 1
		if d.code >= d.width {
			d.code -= d.width
			v |= 1
		}
	}
	return v
}

// repeat decodes which distance is used again, and the length, which is 1 for a short repeat.
func (d *Decoder) repeat(position int) int {
	if d.bit(&d.isNotLast[d.state]) == 0 {
		if d.bit(&d.isLong[d.state][position]) == 0 {
			return 1
		}
		return d.repeatLength.decode(d, position)
	}
	which := uint32(1)
	if d.bit(&d.isNotSecond[d.state]) == 1 {
		which = 2 + d.bit(&d.isFourth[d.state])
	}
	v := d.last[which]
	copy(d.last[1:which+1], d.last[:which])
	d.last[0] = v
	return d.repeatLength.decode(d, position)
}

func (l *decodedLengths) decode(d *Decoder, position int) int {
	if d.bit(&l.isNotShort) == 0 {
		return minMatch + int(d.tree(l.short[position][:], 3))
	}
	if d.bit(&l.isLong) == 0 {
		return minMatch + 8 + int(d.tree(l.medium[position][:], 3))
	}
	return minMatch + 16 + int(d.tree(l.long[:], 8))
}
