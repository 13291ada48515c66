package lzma2

// probability is that of a bit being zero, in 1/2048. Every bit coded with it moves it by a 32nd of the way.
type probability = uint16

const (
	probabilityBits = 11
	even            = 1 << (probabilityBits - 1)
	moveBits        = 5
	minWidth        = 1 << 24
)

// rangeCoder is the arithmetic coder. What has been coded so far is an interval of 32-bit numbers behind the bytes of out.
// Each bit cuts it in two, in the ratio of its probabilities, and keeps one part; when it has become narrow, its first byte
// is known and written.
//
// Known, but for a carry: adding to low may overflow into bytes that were shifted out. So the youngest of them, held, and
// the bytes 0xff that follow it, which a carry would run through, are not written before that is excluded.
type rangeCoder struct {
	out   []byte
	low   uint64
	width uint32
	held  byte
	// waiting counts held and the bytes 0xff behind it.
	waiting int
}

func (r *rangeCoder) start() {
	*r = rangeCoder{out: r.out[:0], width: 1<<32 - 1, waiting: 1}
}

// size is the number of bytes that there would be if this was the end.
func (r *rangeCoder) size() int { return len(r.out) + r.waiting + 4 }

// end writes what is left of the interval.
func (r *rangeCoder) end() {
	for range 5 {
		r.shift()
	}
}

// shift moves the interval on by one byte.
func (r *rangeCoder) shift() {
	if r.low < 0xff<<24 || r.low >= 1<<32 {
		carry := byte(r.low >> 32)
		for ; r.waiting > 0; r.waiting-- {
			r.out = append(r.out, r.held+carry)
			r.held = 0xff
		}
		r.held = byte(r.low >> 24)
	}
	r.waiting++
	r.low = r.low << 8 & (1<<32 - 1)
}

// bit codes a bit with a probability that learns from it.
func (r *rangeCoder) bit(p *probability, bit uint32) {
	bound := r.width >> probabilityBits * uint32(*p)
	if bit == 0 {
		r.width = bound
		*p += (1<<probabilityBits - *p) >> moveBits
	} else {
		r.low += uint64(bound)
		r.width -= bound
		*p -= *p >> moveBits
	}
	if r.width < minWidth {
		r.width <<= 8
		r.shift()
	}
}

// even codes the lowest n bits of v, the highest of them first, without probabilities.
func (r *rangeCoder) even(v uint32, n uint) {
	for n > 0 {
		n--
		r.width >>= 1
		if v>>n&1 != 0 {
			r.low += uint64(r.width)
		}
		if r.width < minWidth {
			r.width <<= 8
			r.shift()
		}
	}
}

// tree codes the lowest n bits of v, the highest of them first. Each bit's probability depends on those before it.
func (r *rangeCoder) tree(p []probability, v uint32, n uint) {
	node := uint32(1)
	for n > 0 {
		n--
		bit := v >> n & 1
		r.bit(&p[node], bit)
		node = node<<1 | bit
	}
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
