package lzma2

import "math/bits"

// Properties of the model: how many bits of the byte before, and how many of the position, choose among the probabilities
// of literals; and how many of the position choose among those of operations. These are everybody's defaults.
const (
	literalContext  = 3
	literalPosition = 0
	positionBits    = 2

	properties = (positionBits*5+literalPosition)*9 + literalContext
)

const (
	minMatch = 2
	maxMatch = 273
	// states of the model tell of what kind the last few operations were; from firstAfterMatch on the last one was not a
	// literal.
	states          = 12
	firstAfterMatch = 7
	positions       = 1 << positionBits
)

// kind is that of an operation. From 0 to 3 it is the number of the distance that is used again.
type kind int8

const (
	literal kind = -1
	match   kind = -2
	// shortRepeat writes the one byte at the last distance.
	shortRepeat kind = -3
)

// operation is a step of the encoder: length bytes, and if they are a match, the distance less one.
type operation struct {
	kind     kind
	distance uint32
	length   int
}

// model holds the probabilities, and what else decides which of them are used.
type model struct {
	state uint32
	// last are the last four distances, less one, the youngest first.
	last [4]uint32

	isMatch      [states][positions]probability
	isRepeat     [states]probability
	isNotLast    [states]probability
	isNotSecond  [states]probability
	isFourth     [states]probability
	isLong       [states][positions]probability
	literals     [1 << (literalContext + literalPosition)][0x300]probability
	matchLength  lengths
	repeatLength lengths
	slots        [4][64]probability
	middle       [128]probability
	lowest       [16]probability
}

type lengths struct {
	isNotShort, isLong probability
	short, medium      [positions][8]probability
	long               [256]probability
}

func (m *model) reset() {
	m.state, m.last = 0, [4]uint32{}
	for i := range states {
		reset(m.isMatch[i][:])
		reset(m.isLong[i][:])
	}
	for _, p := range []*[states]probability{&m.isRepeat, &m.isNotLast, &m.isNotSecond, &m.isFourth} {
		reset(p[:])
	}
	for i := range m.literals {
		reset(m.literals[i][:])
	}
	for _, l := range []*lengths{&m.matchLength, &m.repeatLength} {
		l.isNotShort, l.isLong = even, even
		for i := range positions {
			reset(l.short[i][:])
			reset(l.medium[i][:])
		}
		reset(l.long[:])
	}
	for i := range m.slots {
		reset(m.slots[i][:])
	}
	reset(m.middle[:])
	reset(m.lowest[:])
}

func reset(p []probability) {
	for i := range p {
		p[i] = even
	}
}

// encode codes the operation at pos, and moves the model on.
func (m *model) encode(r *rangeCoder, op operation, src []byte, pos int) {
	position := pos % positions
	if op.kind == literal {
		r.bit(&m.isMatch[m.state][position], 0)
		m.literal(r, src, pos)
		return
	}
	r.bit(&m.isMatch[m.state][position], 1)
	if op.kind == match {
		r.bit(&m.isRepeat[m.state], 0)
		m.matchLength.encode(r, op.length, position)
		m.distance(r, op)
		m.follow(7, 10)
		return
	}
	r.bit(&m.isRepeat[m.state], 1)
	if op.kind == shortRepeat {
		r.bit(&m.isNotLast[m.state], 0)
		r.bit(&m.isLong[m.state][position], 0)
		m.follow(9, 11)
		return
	}
	m.repeat(r, int(op.kind), position)
	m.repeatLength.encode(r, op.length, position)
	m.follow(8, 11)
}

// follow is the state after an operation that is not a literal, by whether the one before it was one.
func (m *model) follow(afterLiteral, afterMatch uint32) {
	if m.state < firstAfterMatch {
		m.state = afterLiteral
	} else {
		m.state = afterMatch
	}
}

// literal codes a byte.
func (m *model) literal(r *rangeCoder, src []byte, pos int) {
	before := byte(0)
	if pos > 0 {
		before = src[pos-1]
	}
	p := &m.literals[before>>(8-literalContext)]
	if m.state < firstAfterMatch {
		r.tree(p[:], uint32(src[pos]), 8)
	} else {
		// The match before was as long as it could be, so the byte that would have made it longer is one that this is
		// not. Its bits choose the probabilities as long as they are the same.
		other := uint32(src[pos-int(m.last[0])-1])
		node, same := uint32(1), uint32(0x100)
		for i := 7; i >= 0; i-- {
			bit, otherBit := uint32(src[pos])>>i&1, other>>i&1
			r.bit(&p[same+same*otherBit+node], bit)
			node = node<<1 | bit
			if bit != otherBit {
				same = 0
			}
		}
	}
	switch {
	case m.state < 4:
		m.state = 0
	case m.state < 10:
		m.state -= 3
	default:
		m.state -= 6
	}
}

// distance codes the distance of a match: its highest bit and the one below together with its length, the slot; then the
// bits below those, of which in long distances only the lowest four have probabilities.
func (m *model) distance(r *rangeCoder, op operation) {
	d := op.distance
	slot := d
	if d >= 4 {
		n := uint32(bits.Len32(d)) - 1
		slot = n<<1 | d>>(n-1)&1
	}
	r.tree(m.slots[min(op.length-minMatch, len(m.slots)-1)][:], slot, 6)
	if slot >= 4 {
		below := uint(slot>>1) - 1
		base := (2 | slot&1) << below
		if slot < 14 {
			r.reverseTree(m.middle[base-slot:], d-base, below)
		} else {
			r.even((d-base)>>4, below-4)
			r.reverseTree(m.lowest[:], d&15, 4)
		}
	}
	m.last = [4]uint32{d, m.last[0], m.last[1], m.last[2]}
}

// repeat codes which of the last distances is used again, and makes it the youngest.
func (m *model) repeat(r *rangeCoder, which, position int) {
	if which == 0 {
		r.bit(&m.isNotLast[m.state], 0)
		r.bit(&m.isLong[m.state][position], 1)
		return
	}
	r.bit(&m.isNotLast[m.state], 1)
	if which == 1 {
		r.bit(&m.isNotSecond[m.state], 0)
	} else {
		r.bit(&m.isNotSecond[m.state], 1)
		r.bit(&m.isFourth[m.state], uint32(which-2))
	}
	d := m.last[which]
	copy(m.last[1:which+1], m.last[:which])
	m.last[0] = d
}

func (l *lengths) encode(r *rangeCoder, length, position int) {
	n := uint32(length - minMatch)
	if n < 8 {
		r.bit(&l.isNotShort, 0)
		r.tree(l.short[position][:], n, 3)
		return
	}
	r.bit(&l.isNotShort, 1)
	if n < 16 {
		r.bit(&l.isLong, 0)
		r.tree(l.medium[position][:], n-8, 3)
		return
	}
	r.bit(&l.isLong, 1)
	r.tree(l.long[:], n-16, 8)
}
