package unlzma2

import (
	"encoding/binary"
)

// model is the state of an LZMA decoder, named as in the specification.
type model struct {
	lc, lp, pb uint

	state uint32
	reps  [4]uint32

	literals   [0x300 << 4]probability
	isMatch    [12 << 4]probability
	isRep      [12]probability
	isRepG0    [12]probability
	isRepG1    [12]probability
	isRepG2    [12]probability
	isRep0Long [12 << 4]probability
	posSlot    [4][64]probability
	posSpecial [1 + 128 - 14]probability
	align      [16]probability
	length     lengthModel
	repLength  lengthModel
}

type lengthModel struct {
	choice, choice2 probability
	low, mid        [1 << 4][8]probability
	high            [256]probability
}

// setProperties takes the byte that says lc, lp and pb, and tells whether it is good.
func (m *model) setProperties(b byte) bool {
	v := uint(b)
	m.lc, m.lp, m.pb = v%9, v/9%5, v/45
	return m.pb <= 4 && m.lc+m.lp <= 4
}

func (m *model) reset() {
	m.state, m.reps = 0, [4]uint32{}
	for _, p := range [][]probability{m.literals[:0x300<<(m.lc+m.lp)], m.isMatch[:], m.isRep[:], m.isRepG0[:], m.isRepG1[:],
		m.isRepG2[:], m.isRep0Long[:], m.posSpecial[:], m.align[:]} {
		fill(p)
	}
	for i := range m.posSlot {
		fill(m.posSlot[i][:])
	}
	for _, l := range []*lengthModel{&m.length, &m.repLength} {
		l.choice, l.choice2 = initial, initial
		for i := range l.low {
			fill(l.low[i][:])
			fill(l.mid[i][:])
		}
		fill(l.high[:])
	}
}

func fill(p []probability) {
	for i := range p {
		p[i] = initial
	}
}

// The state that follows on a literal.
var afterLiteral = [12]uint32{0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 4, 5}

// after is the state that follows on something that is not a literal, by whether a literal came before it.
func (m *model) after(literal, other uint32) {
	if m.state < 7 {
		m.state = literal
	} else {
		m.state = other
	}
}

// chunk decodes packed bytes until so many bytes are out as end says.
func (c *Checker) chunk(packed []byte, end int) error {
	m, r, plain := &c.model, &c.coder, c.plain
	if !r.start(packed) {
		return ErrDamaged
	}
	posMask, literalMask := uint32(1)<<m.pb-1, 1<<m.lp-1
	for c.at < end {
		if r.next > r.size {
			return ErrDamaged
		}
		// The position counts from the last reset of the dictionary.
		from := c.at - c.window
		posState := uint32(from) & posMask
		if r.bit(&m.isMatch[m.state<<4+posState]) == 0 {
			before := uint32(0)
			if from > 0 {
				before = uint32(plain[c.at-1])
			}
			model := m.literals[0x300*(from&literalMask<<m.lc+int(before>>(8-m.lc))):]
			other, matched := uint32(0), uint32(0)
			if m.state >= 7 {
				if !c.reaches(m.reps[0]) {
					return ErrDamaged
				}
				other, matched = uint32(plain[c.at-int(m.reps[0])-1]), 0x100
			}
			if !r.literal(model, uint32(plain[c.at]), other, matched) {
				return ErrOther
			}
			m.state = afterLiteral[m.state]
			c.at++
			continue
		}
		length := m.match(r, posState)
		if !c.reaches(m.reps[0]) {
			return ErrDamaged
		}
		if length > end-c.at {
			return ErrDamaged
		}
		if !same(plain, c.at, int(m.reps[0])+1, length) {
			return ErrOther
		}
		c.at += length
	}
	if !r.finished() {
		return ErrDamaged
	}
	return nil
}

// reaches tells whether so far back, less one, there is something in the dictionary.
func (c *Checker) reaches(distance uint32) bool {
	return int64(distance) < int64(min(c.at-c.window, c.dictSize))
}

// same tells whether what stands at a position is the same as what stands so far before it.
func same(plain []byte, at, distance, length int) bool {
	to, from := plain[at:at+length], plain[at-distance:]
	for len(to) >= 8 {
		if binary.LittleEndian.Uint64(to) != binary.LittleEndian.Uint64(from) {
			return false
		}
		to, from = to[8:], from[8:]
	}
	for i := range to {
		if to[i] != from[i] {
			return false
		}
	}
	return true
}

// match decodes what is not a literal. It returns its length and leaves its distance, less one, in reps[0].
func (m *model) match(r *coder, posState uint32) int {
	if r.bit(&m.isRep[m.state]) == 0 {
		length := m.length.decode(r, posState)
		m.reps[3], m.reps[2], m.reps[1] = m.reps[2], m.reps[1], m.reps[0]
		m.reps[0] = m.distance(r, min(length, 3))
		m.after(7, 10)
		return int(length) + 2
	}
	if r.bit(&m.isRepG0[m.state]) == 0 {
		if r.bit(&m.isRep0Long[m.state<<4+posState]) == 0 {
			m.after(9, 11)
			return 1
		}
	} else {
		distance := m.reps[1]
		if r.bit(&m.isRepG1[m.state]) != 0 {
			distance = m.reps[2]
			if r.bit(&m.isRepG2[m.state]) != 0 {
				distance = m.reps[3]
				m.reps[3] = m.reps[2]
			}
			m.reps[2] = m.reps[1]
		}
		m.reps[1] = m.reps[0]
		m.reps[0] = distance
	}
	length := m.repLength.decode(r, posState)
	m.after(8, 11)
	return int(length) + 2
}

// decode decodes a length less two.
func (l *lengthModel) decode(r *coder, posState uint32) uint32 {
	if r.bit(&l.choice) == 0 {
		return r.tree(l.low[posState][:], 3)
	}
	if r.bit(&l.choice2) == 0 {
		return 8 + r.tree(l.mid[posState][:], 3)
	}
	return 16 + r.tree(l.high[:], 8)
}

// distance decodes a distance less one.
func (m *model) distance(r *coder, lengthState uint32) uint32 {
	slot := r.tree(m.posSlot[lengthState][:], 6)
	if slot < 4 {
		return slot
	}
	n := uint(slot>>1 - 1)
	base := (2 | slot&1) << n
	if slot < 14 {
		return base + r.reverse(m.posSpecial[base-slot:], n)
	}
	return base + r.even(n-4)<<4 + r.reverse(m.align[:], 4)
}
