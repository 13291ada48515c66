package lzma2

// packedChunk has room for the packed bytes of a chunk and more: an operation may take in what is behind their end before
// anybody looks.
type packedChunk [1 << 17]byte

// maxTaken is more bytes than an operation takes in.
const maxTaken = 32

// coder is the arithmetic decoder, the counterpart of rangeCoder. It is handed on by value, which holds it in registers.
type coder struct {
	in          *packedChunk
	at          uint32 // of the next byte
	code, width uint32
}

// normalize takes in a byte when the interval has become narrow.
func (c coder) normalize() coder {
	if c.width < minWidth {
		c.width <<= 8
		c.code = c.code<<8 | uint32(c.in[c.at%uint32(len(c.in))])
		c.at++
	}
	return c
}

// bit decodes a bit that decides what follows.
func (c coder) bit(p *probability) (uint32, coder) {
	now := uint32(*p)
	bound := c.width >> probabilityBits * now
	if c.code < bound {
		c.width = bound
		*p = probability(now + (1<<probabilityBits-now)>>moveBits)
		return 0, c
	}
	c.code -= bound
	c.width -= bound
	*p = probability(now - now>>moveBits)
	return 1, c
}

// even decodes n bits that are as likely 0 as 1.
func (c coder) even(n uint) (v uint32, _ coder) {
	for range n {
		c = c.normalize()
		c.width >>= 1
		one, less := c.code >= c.width, c.code-c.width
		v <<= 1
		if one {
			v |= 1
		}
		if one {
			c.code = less
		}
	}
	return v, c
}

// learning decodes one of the bits that make up a value, and returns the probability that follows on now. Such bits are
// most of all, and a processor can guess few of them. So here and where it is called no jump depends on the bit: each
// choice is one assignment, which compilers know how to do without.
func (c coder) learning(now uint32) (one bool, learnt probability, _ coder) {
	bound := c.width >> probabilityBits * now
	one = c.code >= bound
	c.width -= bound
	if !one {
		c.width = bound
	}
	if less := c.code - bound; one {
		c.code = less
	}
	round := int32(0)
	if !one {
		round = towardsZero
	}
	return one, probability(int32(now) - (int32(now)+round)>>moveBits), c
}

func bitOf(one bool) (bit uint32) {
	if one {
		bit = 1
	}
	return bit
}

// tree decodes n bits, of which the highest comes first and each chooses the probability of the next.
func (c coder) tree(p []probability, n uint) (uint32, coder) {
	node := uint32(1)
	for range n {
		var one bool
		q := &p[node]
		one, *q, c = c.normalize().learning(uint32(*q))
		node = node<<1 | bitOf(one)
	}
	return node - 1<<n, c
}

// reverseTree decodes n bits, of which the lowest comes first.
func (c coder) reverseTree(p []probability, n uint) (v uint32, _ coder) {
	node := uint32(1)
	for i := range n {
		var one bool
		q := &p[node]
		one, *q, c = c.normalize().learning(uint32(*q))
		node = node<<1 | bitOf(one)
		v |= bitOf(one) << (i & 31)
	}
	return v, c
}

// freeLiteral decodes a byte of which nothing is known. What a bit can lead to is fetched before it is known.
func (c coder) freeLiteral(p *[0x300]probability) (byte, coder) {
	node, now := uint32(1), uint32(p[1])
	for node < 0x100 {
		next, right := uint32(p[node<<1]), uint32(p[node<<1+1])
		var one bool
		one, p[node], c = c.normalize().learning(now)
		if one {
			next = right
		}
		now, node = next, node<<1|bitOf(one)
	}
	return byte(node), c
}

// otherLiteral decodes a byte that is not the one that would have made the match before longer. That one chooses
// probabilities, too, up to the bit in which both differ.
func (c coder) otherLiteral(p *[0x300]probability, not byte) (byte, coder) {
	node, other, same := uint32(1), uint32(not), uint32(0x100)
	for node < 0x100 {
		other <<= 1
		chosen := other & same
		var one bool
		q := &p[same+chosen+node]
		one, *q, c = c.normalize().learning(uint32(*q))
		node = node<<1 | bitOf(one)
		same &= chosen ^ (bitOf(one) - 1)
	}
	return byte(node), c
}
