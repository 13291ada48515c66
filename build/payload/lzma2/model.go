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
	literals     [1 << (literalContext + literalPosition)]literalModel
	matchLength  lengths
	repeatLength lengths
	slots        [4][64]probability
	middle       [128]probability
	lowest       [16]probability
}

// literalModel holds 0x300 probabilities; there are more so that the length is a power of two.
type literalModel [0x400]probability

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
	p[0] = even
	for n := 1; n < len(p); n *= 2 { // what is there is copied, which is faster than one at a time
		copy(p[n:], p[:n])
	}
}

// encode codes a sequence for the bytes at pos, and moves the model on.
func (m *model) encode(r *rangeCoder, s sequence, src []byte, pos int) {
	for range s.literals {
		m.literal(r, src, pos)
		pos++
	}
	if s.length == 0 {
		return
	}
	position := pos % positions
	r.bit(&m.isMatch[m.state][position], 1)
	for which, d := range m.last {
		if d == s.distance-1 {
			r.bit(&m.isRepeat[m.state], 1)
			m.repeat(r, which, position)
			m.repeatLength.encode(r, s.length, position)
			m.follow(8, 11)
			return
		}
	}
	r.bit(&m.isRepeat[m.state], 0)
	m.matchLength.encode(r, s.length, position)
	m.distance(r, s.distance-1, s.length)
	m.follow(7, 10)
}

// follow is the state after an operation that is not a literal, by whether the one before it was one.
func (m *model) follow(afterLiteral, afterMatch uint32) {
	if m.state < firstAfterMatch {
		m.state = afterLiteral
	} else {
		m.state = afterMatch
	}
}

// literal codes a byte. The last distance again, for one byte, is mostly cheaper if it is the same there.
func (m *model) literal(r *rangeCoder, src []byte, pos int) {
	position := pos % positions
	other, same := uint32(0), uint32(0)
	if m.state >= firstAfterMatch {
		other, same = uint32(src[pos-int(m.last[0])-1]), 0x100
		if other == uint32(src[pos]) {
			r.bit(&m.isMatch[m.state][position], 1)
			r.bit(&m.isRepeat[m.state], 1)
			r.bit(&m.isNotLast[m.state], 0)
			r.bit(&m.isLong[m.state][position], 0)
			m.follow(9, 11)
			return
		}
	}
	before := byte(0)
	if pos > 0 {
		before = src[pos-1]
	}
	r.bit(&m.isMatch[m.state][position], 0)
	r.literal(&m.literals[before>>(8-literalContext)], uint32(src[pos]), other, same)
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
func (m *model) distance(r *rangeCoder, d, length uint32) {
	slot := d
	if d >= 4 {
		n := uint32(bits.Len32(d)) - 1
		slot = n<<1 | d>>(n-1)&1
	}
	r.tree(m.slots[min(length-minMatch, uint32(len(m.slots)-1))][:], slot, 6)
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

func (l *lengths) encode(r *rangeCoder, length uint32, position int) {
	n := length - minMatch
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
