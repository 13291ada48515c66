package lzma2

import (
	"encoding/binary"
	"math/bits"
)

// Estimates of what operations cost, in tenths of a bit, found by trial on a Go program for amd64. A literal costs literalCost,
// so a match saves that for each byte.
const (
	literalCost = 48
	// A match costs this and so much more for each bit of its distance.
	matchCost, distanceBitCost = 50, 10
	// A repeat costs this and so much more for each younger distance.
	repeatCost, olderCost = 30, 15
	// Waiting for what comes one position later must save so much more.
	waitCost = 20
	// enough is a length that no search for more is worth it.
	enough = 48
)

const (
	// maxLiterals is the largest number of literals in a sequence, batch that of sequences that are made at once.
	maxLiterals = 128
	batch       = 4096
)

// sequence is a step of the encoder: some bytes written plainly, and then length bytes, which may be none, from so far back.
type sequence struct{ literals, length, distance uint32 }

// parser cuts the input into sequences.
type parser struct {
	src    []byte
	tables *tables
	// pos is where the next sequence begins, next the first position that is not in the tables.
	pos, next int
	// last are the last four distances, the youngest first.
	last  [4]int
	batch []sequence
}

func (p *parser) start(src []byte) {
	if p.tables == nil {
		p.tables = new(tables)
		p.batch = make([]sequence, 0, batch+2)
	}
	*p.tables = tables{}
	p.src, p.pos, p.next, p.last = src, 0, 0, [4]int{1, 1, 1, 1}
}

// match repeats length bytes from distance bytes ago, which saves so much over literals. Without length it is none.
type match struct{ saves, length, distance int }

// more is the next batch of sequences, empty at the end. It is valid until the next call.
func (p *parser) more() []sequence {
	p.batch = p.batch[:0]
	pos, end := p.pos, len(p.src)-sure
	for pos < end && len(p.batch) < batch {
		if pos-p.pos == maxLiterals {
			p.cut(pos, match{})
			continue
		}
		now := p.best(pos)
		if now.length == 0 {
			pos++
			continue
		}
		for now.length < enough && pos+1 < end && pos-p.pos < maxLiterals {
			then := p.best(pos + 1)
			if then.saves <= now.saves+waitCost {
				break
			}
			now = then
			pos++
		}
		p.cut(pos, now)
		pos = p.pos
	}
	if pos >= end {
		for p.pos < len(p.src) {
			p.cut(min(p.pos+maxLiterals, len(p.src)), match{})
		}
	}
	return p.batch
}

// cut ends a sequence with the match at pos.
func (p *parser) cut(pos int, m match) {
	p.batch = append(p.batch, sequence{uint32(pos - p.pos), uint32(m.length), uint32(m.distance)})
	p.pos = pos + m.length
	if m.length == 0 {
		return
	}
	i := 0
	for i < len(p.last)-1 && p.last[i] != m.distance {
		i++
	}
	copy(p.last[1:i+1], p.last[:i])
	p.last[0] = m.distance
}

// best is the match at pos that saves most. At least sure bytes follow.
func (p *parser) best(pos int) match {
	src := p.src
	p.tables.add(src, p.next, pos)
	v := binary.LittleEndian.Uint64(src[pos:])
	limit := min(len(src)-pos, maxMatch)
	var best match
	for i, d := range p.last {
		if d > pos {
			continue
		}
		n := common(src, v, pos-d, pos, limit)
		if saves := n*literalCost - repeatCost - i*olderCost; n >= minMatch && saves > best.saves {
			best = match{saves, n, d}
		}
	}
	s := p.tables.spot(v)
	if best.length < enough {
		best.improve(src, v, int(*s.near), pos, limit)
		best.improve(src, v, int(*s.long), pos, limit)
		for _, e := range s.places {
			if (e^s.tag)%(1<<tagBits) == 0 {
				best.improve(src, v, int(e>>tagBits), pos, limit)
			}
		}
	}
	// A position can be looked at twice.
	if p.next <= pos {
		s.add(pos)
		p.next = pos + 1
	}
	return best
}

// improve takes the match with what is at an older place if it saves more.
func (m *match) improve(src []byte, v uint64, at, pos, limit int) {
	if at >= pos {
		return
	}
	n := common(src, v, at, pos, limit)
	if saves := n*literalCost - matchCost - bits.Len32(uint32(pos-at))*distanceBitCost; n > minMatch && saves > m.saves {
		*m = match{saves, n, pos - at}
	}
}
