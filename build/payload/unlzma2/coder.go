package unlzma2

// coder is the arithmetic decoder. It holds the packed bytes of one chunk.
type coder struct {
	code, width uint32
	next, size  uint32
	// in has room for more than a chunk, so that an operation may read beyond its end before anybody looks.
	in [1 << 17]byte
}

// probability is that of a zero bit, in 1/2048.
type probability = uint16

const initial probability = 1 << 10

// start reads the first bytes and tells whether they are good.
func (c *coder) start(packed []byte) bool {
	if len(packed) < 5 || packed[0] != 0 {
		return false
	}
	copy(c.in[:], packed)
	clear(c.in[len(packed) : len(packed)+256])
	c.size, c.next = uint32(len(packed)), 5
	c.width = 1<<32 - 1
	c.code = uint32(packed[1])<<24 | uint32(packed[2])<<16 | uint32(packed[3])<<8 | uint32(packed[4])
	return true
}

// finished tells whether all that was packed has been used.
func (c *coder) finished() bool {
	c.normalize()
	return c.next == c.size && c.code == 0
}

// normalize reads another byte when the interval has become narrow.
func (c *coder) normalize() {
	if c.width < 1<<24 {
		c.width <<= 8
		c.code = c.code<<8 | uint32(c.in[c.next%uint32(len(c.in))])
		c.next++
	}
}

// bit decodes a bit.
func (c *coder) bit(p *probability) uint32 {
	c.normalize()
	bound := c.width >> 11 * uint32(*p)
	if c.code < bound {
		c.width = bound
		*p += (1<<11 - *p) >> 5
		return 0
	}
	c.width -= bound
	c.code -= bound
	*p -= *p >> 5
	return 1
}

// tree decodes n bits, of which the highest comes first and each chooses the probability of the next.
func (c *coder) tree(p []probability, n uint) uint32 {
	code, width := c.code, c.width
	node := uint32(1)
	for range n {
		if width < 1<<24 {
			width <<= 8
			code = code<<8 | uint32(c.in[c.next%uint32(len(c.in))])
			c.next++
		}
		q := &p[node]
		now := uint32(*q)
		bound := width >> 11 * now
		// zero is all ones if the bit is 0.
		zero := uint32((int64(code) - int64(bound)) >> 63)
		width = (width-bound)&^zero | bound&zero
		code -= bound &^ zero
		*q = probability(now - now>>5&^zero + (1<<11-now)>>5&zero)
		node = node<<1 + 1 + zero
	}
	c.code, c.width = code, width
	return node - 1<<n
}

// reverse decodes n bits, of which the lowest comes first.
func (c *coder) reverse(p []probability, n uint) uint32 {
	node, v := uint32(1), uint32(0)
	for i := range n {
		bit := c.bit(&p[node])
		node = node<<1 | bit
		v |= bit << i
	}
	return v
}

// even decodes n bits that are as likely 0 as 1.
func (c *coder) even(n uint) uint32 {
	v := uint32(0)
	for range n {
		c.normalize()
		c.width >>= 1
		zero := uint32(int32(c.code-c.width) >> 31)
		c.code -= c.width &^ zero
		v = v<<1 + 1 + zero
	}
	return v
}

// literal tells whether the next byte is want. The bits of other, the byte that the last match would have gone on with,
// choose the probabilities as long as they are right; matched is 0x100 if there is such a byte, and 0 if not.
func (c *coder) literal(p []probability, want, other, matched uint32) bool {
	p = p[:0x300]
	code, width := c.code, c.width
	node, wrong := uint32(1), uint32(0)
	for shift := 7; shift >= 0; shift-- {
		if width < 1<<24 {
			width <<= 8
			code = code<<8 | uint32(c.in[c.next%uint32(len(c.in))])
			c.next++
		}
		bit := want >> shift & 1
		one := -bit
		otherBit := other >> shift & 1 << 8 & matched
		q := &p[matched+otherBit+node]
		now := uint32(*q)
		bound := width >> 11 * now
		// The bit is 1 if code is not below bound: so this is all ones if it is not the one that is wanted.
		wrong |= ^uint32((int64(code)-int64(bound))>>63) ^ one
		width = bound&^one | (width-bound)&one
		code -= bound & one
		*q = probability(now - now>>5&one + (1<<11-now)>>5&^one)
		node = node<<1 | bit
		matched &= ^(otherBit ^ one)
	}
	c.code, c.width = code, width
	return wrong == 0
}
