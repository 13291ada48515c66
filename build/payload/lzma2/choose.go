package lzma2

import "math/bits"

// Estimates of what operations cost, in tenths of a bit, found by trial on a Go program for amd64. A literal costs literalCost,
// so a match saves that for each byte.
const (
	literalCost = 55
	// A match costs this and so much more for each bit of its distance.
	matchCost, distanceBitCost = 45, 10
	// A repeat costs this and so much more for each younger distance.
	repeatCost, olderCost = 30, 15
	// Waiting for what comes one or two positions later must save so much more.
	waitOne, waitTwo = 10, 70
	// enough is a length that no search for more is worth it.
	enough = 128
)

// chooser decides on the operation for each position.
type chooser struct {
	finder
	// ahead holds the best operations of the positions before known, and what they save, at index position modulo 4.
	ahead [4]option
	known int
}

type option struct {
	operation
	saves int
}

func (c *chooser) start(src []byte) {
	c.finder.start(src)
	c.known = 0
}

// again forgets what was found ahead, since the last distances have changed.
func (c *chooser) again(pos int) { c.known = pos }

// next is the operation at pos, where the last distances are last.
func (c *chooser) next(pos int, last *[4]uint32) operation {
	c.known = max(c.known, pos)
	now := c.look(pos, last)
	if now.length >= enough || now.kind != literal &&
		(pos+1 >= len(c.src) || c.look(pos+1, last).saves <= now.saves+waitOne) &&
		(pos+2 >= len(c.src) || c.look(pos+2, last).saves <= now.saves+waitTwo) {
		// What was found ahead counts on the last distances of before.
		c.again(pos + now.length)
		return now.operation
	}
	if at := pos - int(last[0]) - 1; at >= 0 && c.src[at] == c.src[pos] {
		return operation{shortRepeat, 0, 1}
	}
	return operation{literal, 0, 1}
}

// look is best, for a position at most two ahead.
func (c *chooser) look(pos int, last *[4]uint32) *option {
	for ; c.known <= pos; c.known++ {
		c.ahead[c.known%4] = c.best(c.known, last)
	}
	return &c.ahead[pos%4]
}

// best is the operation at pos that saves most.
func (c *chooser) best(pos int, last *[4]uint32) option {
	best := option{operation{literal, 0, 1}, 0}
	limit := min(len(c.src)-pos, maxMatch)
	for i, d := range last {
		at := pos - int(d) - 1
		if at < 0 || c.src[at] != c.src[pos] {
			continue
		}
		n := c.common(at, pos, limit)
		if saves := n*literalCost - repeatCost - i*olderCost; n >= minMatch && saves > best.saves {
			best = option{operation{kind(i), 0, n}, saves}
		}
	}
	if best.length >= enough {
		return best
	}
	c.each(pos, limit, func(at, n int) bool {
		d := uint32(pos - at - 1)
		if saves := n*literalCost - matchCost - bits.Len32(d)*distanceBitCost; saves > best.saves {
			best = option{operation{match, d, n}, saves}
		}
		return n < enough
	})
	return best
}
