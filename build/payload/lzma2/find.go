package lzma2

import (
	"encoding/binary"
	"math/bits"
)

const (
	// The sizes of the tables, as powers of two.
	nearBits, placeBits, longBits = 12, 17, 16
	// The numbers of bytes that are hashed for them.
	nearBytes, placeBytes, longBytes = 3, 5, 8
	// ways is how many places are kept for each hash of five bytes.
	ways = 4
	// tagBits of the hash stand beside each of them, below the position. Places whose other bits differ are not looked at,
	// for most of the time goes into waiting for memory.
	tagBits = 32 - dictBits
	// sure is how many bytes must follow a position so that it can be looked up by one load.
	sure = 8
)

// tables know where bytes stood before. What they know is a guess: a hash may be that of other bytes, and zero, what they
// begin with, is the position 0. near and long hold the youngest position with a hash, places the youngest few, in order.
type tables struct {
	near   [1 << nearBits]uint32
	long   [1 << longBits]uint32
	places [1 << placeBits][ways]uint32
}

// spot is where tables keep what they know about eight bytes.
type spot struct {
	near, long *uint32
	places     *[ways]uint32
	tag        uint32
}

// spot finds the places for the bytes of v, the first of which is the lowest.
func (t *tables) spot(v uint64) spot {
	h := hash(v, placeBytes, placeBits+tagBits)
	return spot{
		near:   &t.near[hash(v, nearBytes, nearBits)%(1<<nearBits)],
		long:   &t.long[hash(v, longBytes, longBits)%(1<<longBits)],
		places: &t.places[h>>tagBits%(1<<placeBits)],
		tag:    uint32(h) % (1 << tagBits),
	}
}

// hash multiplies by a large odd number, which mixes bits upwards, so that the highest are the best.
func hash(v uint64, bytes, bits uint) uint64 {
	return v << (64 - 8*bytes) * 0x9e3779b97f4a7c15 >> (64 - bits)
}

// add notes that the bytes are at pos.
func (s spot) add(pos int) {
	p := s.places
	p[3], p[2], p[1], p[0] = p[2], p[1], p[0], uint32(pos)<<tagBits|s.tag
	*s.near, *s.long = uint32(pos), uint32(pos)
}

// add notes the positions from pos up to end. The last few of the input are not worth it.
func (t *tables) add(src []byte, pos, end int) {
	for end = min(end, len(src)-sure+1); pos < end; pos++ {
		t.spot(binary.LittleEndian.Uint64(src[pos:])).add(pos)
	}
}

// common is in how many bytes, at most limit, the bytes at an older place agree with those at pos, of which v are the first
// eight.
func common(src []byte, v uint64, at, pos, limit int) int {
	x := binary.LittleEndian.Uint64(src[at:]) ^ v
	n := 0
	for x == 0 {
		if n += 8; n+8 > limit {
			for n < limit && src[at+n] == src[pos+n] {
				n++
			}
			return n
		}
		x = binary.LittleEndian.Uint64(src[at+n:]) ^ binary.LittleEndian.Uint64(src[pos+n:])
	}
	return n + bits.TrailingZeros64(x)/8
}
