package lzma2

// probability is that of a bit being zero, in 1/2048. Every bit coded with it moves it by a 32nd of the way.
type probability = uint16

const (
	probabilityBits = 11
	even            = 1 << (probabilityBits - 1)
	moveBits        = 5
	minWidth        = 1 << 24
	// towardsZero added to a probability makes the shift in learn round as it must for a bit that is zero.
	towardsZero = 1<<moveBits - 1 - 1<<probabilityBits
)

// rangeCoder is the arithmetic coder. What has been coded so far is an interval of 32-bit numbers behind the bytes of out.
// Each bit cuts it in two, in the ratio of its probabilities, and keeps one part; when it has become narrow, its first byte
// is known and written. Known, but for a carry: adding to low may overflow, and is then added to the bytes that are there.
//
// Whether a bit is 0 or 1 is by its nature what a processor cannot foresee, so there are no branches upon it.
type rangeCoder struct {
	out   []byte
	low   uint64
	width uint32
}

func (r *rangeCoder) start() {
	// The first byte is for the carry, which never comes so far: it is zero.
	r.out = append(r.out[:0], 0)
	r.low, r.width = 0, 1<<32-1
}

// size is the number of bytes that there would be if this was the end.
func (r *rangeCoder) size() int { return len(r.out) + 4 }

// end writes what is left of the interval.
func (r *rangeCoder) end() {
	for range 4 {
		r.shift()
	}
}

// shift moves the interval on by one byte.
func (r *rangeCoder) shift() {
	if r.low>>32 != 0 {
		r.carry()
	}
	r.out = append(r.out, byte(r.low>>24))
	r.low = r.low << 8 & (1<<32 - 1)
	r.width <<= 8
}

func (r *rangeCoder) carry() {
	i := len(r.out) - 1
	for r.out[i]++; r.out[i] == 0; r.out[i]++ {
		i--
	}
}

// bit codes a bit with a probability that learns from it.
func (r *rangeCoder) bit(p *probability, bit uint32) {
	one := -bit // all ones or all zeros
	now := uint32(*p)
	bound := r.width >> probabilityBits * now
	r.low += uint64(bound & one)
	r.width = bound ^ (bound^(r.width-bound))&one
	*p = learn(now, one)
	if r.width < minWidth {
		r.shift()
	}
}

// learn is the probability p after a bit that was 1 if one is all ones, and 0 if it is zero.
func learn(p, one uint32) probability {
	return probability(int32(p) - (int32(p)+towardsZero&^int32(one))>>moveBits)
}

// even codes the lowest n bits of v, the highest of them first, without probabilities.
func (r *rangeCoder) even(v uint32, n uint) {
	for n > 0 {
		n--
		r.width >>= 1
		r.low += uint64(r.width & -(v >> n & 1))
		if r.width < minWidth {
			r.shift()
		}
	}
}

// tree codes the lowest n bits of v, the highest of them first. Each bit's probability depends on those before it.
func (r *rangeCoder) tree(p []probability, v uint32, n uint) {
	low, width := r.low, r.width
	node := uint32(1)
	for n > 0 {
		n--
		bit := v >> n & 1
		one := -bit
		q := &p[node]
		now := uint32(*q)
		bound := width >> probabilityBits * now
		low += uint64(bound & one)
		width = bound ^ (bound^(width-bound))&one
		*q = learn(now, one)
		node = node<<1 | bit
		if width < minWidth {
			r.low, r.width = low, width
			r.shift()
			low, width = r.low, r.width
		}
	}
	r.low, r.width = low, width
}

// literal codes a byte. Its bits choose the probabilities together with those of other, as long as these are the same;
// same is 0x100 then, and 0 if there is no other byte.
func (r *rangeCoder) literal(p *literalModel, v, other, same uint32) {
	low, width := r.low, r.width
	node := uint32(1)
	v <<= 24
	other <<= 1
	for node < 0x100 {
		one := uint32(int32(v) >> 31) // all ones or all zeros
		v <<= 1
		otherBit := other & same
		q := &p[(same+otherBit+node)%uint32(len(p))]
		now := uint32(*q)
		bound := width >> probabilityBits * now
		low += uint64(bound & one)
		width = bound ^ (bound^(width-bound))&one
		*q = learn(now, one)
		node = node<<1 - one
		other <<= 1
		same &= ^(otherBit ^ one)
		if width < minWidth {
			r.low, r.width = low, width
			r.shift()
			low, width = r.low, r.width
		}
	}
	r.low, r.width = low, width
}

// reverseTree is tree, but with the lowest bit first.
func (r *rangeCoder) reverseTree(p []probability, v uint32, n uint) {
	node := uint32(1)
	for ; n > 0; n-- {
		bit := v & 1
		v >>= 1
		r.bit(&p[node], bit)
		node = node<<1 | bit
	}
}
