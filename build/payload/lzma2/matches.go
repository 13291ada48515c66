package lzma2

import (
	"encoding/binary"
	"math/bits"
)

const (
	dictBits = 22
	// The sizes of the tables for two, three, four and five bytes.
	bits2, bits3, bits4, bits5 = 10, 14, 16, 18
	tableSize                  = 1<<bits2 + 1<<bits3 + 1<<bits4 + 1<<bits5
	// depth is how many older places with the same five bytes are looked at. Most of the time goes into that, and most of
	// it into waiting for memory.
	depth = 12
	// sure is how many bytes must follow a position so that it can be looked up in all tables by one load.
	sure = 8
	// never is a position so far back that it is out of reach.
	never = -1 << 31
)

// finder finds earlier places with the same bytes. The tables hold the youngest position of what hashes to an index; older
// holds for a position, modulo DictSize, the one before it in the table of five bytes.
type finder struct {
	src    []byte
	tables *tables
	// next is the first position that is not in the tables.
	next int
}

type tables struct {
	two   [1 << bits2]int32
	three [1 << bits3]int32
	four  [1 << bits4]int32
	five  [1 << bits5]int32
	older [DictSize]int32
}

func (f *finder) start(src []byte) {
	if f.tables == nil {
		f.tables = new(tables)
	}
	f.src, f.next = src, 0
	// What older holds of the last input is out of reach: chains begin in the tables.
	for _, t := range [][]int32{f.tables.two[:], f.tables.three[:], f.tables.four[:], f.tables.five[:]} {
		for i := range t {
			t[i] = never
		}
	}
}

// The hashes take their bytes from the lowest of v. Multiplying by a large odd number mixes bits upwards, so that the highest
// are the best.
func hash2(v uint64) uint32 { return hash(v<<48, bits2) }
func hash3(v uint64) uint32 { return hash(v<<40, bits3) }
func hash4(v uint64) uint32 { return hash(v<<32, bits4) }
func hash5(v uint64) uint32 { return hash(v<<24, bits5) }

func hash(v uint64, bits uint) uint32 { return uint32(v * 0x9e3779b97f4a7c15 >> (64 - bits)) }

// add puts the positions before end into the tables. The last few of the input are not worth it.
func (f *finder) add(end int) {
	t := f.tables
	for ; f.next < end; f.next++ {
		if f.next+sure > len(f.src) {
			f.next = end
			return
		}
		v, at := binary.LittleEndian.Uint64(f.src[f.next:]), int32(f.next)
		h := hash5(v)
		t.older[at%DictSize] = t.five[h]
		t.five[h] = at
		t.four[hash4(v)], t.three[hash3(v)], t.two[hash2(v)] = at, at, at
	}
}

// each calls yield with places that agree with pos in more and more bytes, at most limit, the nearest with each length
// first. It ends when yield returns false.
func (f *finder) each(pos, limit int, yield func(at, length int) bool) {
	if limit < sure {
		return
	}
	f.add(pos)
	src, t := f.src, f.tables
	v := binary.LittleEndian.Uint64(src[pos:])
	lowest := max(0, int32(pos)-DictSize+1)
	longest := minMatch - 1
	for _, at := range [...]int32{t.two[hash2(v)], t.three[hash3(v)], t.four[hash4(v)]} {
		if at >= lowest && int(at) < pos {
			if n := f.common(int(at), pos, limit); n > longest {
				longest = n
				if !yield(int(at), n) {
					return
				}
			}
		}
	}
	at := t.five[hash5(v)]
	// When pos is looked at a second time it is in the tables itself.
	for int(at) >= pos {
		at = t.older[at%DictSize]
	}
	for range depth {
		if at < lowest || int(at) >= pos || longest >= limit {
			return
		}
		// What does not agree in the byte that would make it longer is not longer.
		if src[int(at)+longest] == src[pos+longest] {
			if n := f.common(int(at), pos, limit); n > longest {
				longest = n
				if !yield(int(at), n) {
					return
				}
			}
		}
		at = t.older[at%DictSize]
	}
}

// common is in how many bytes, at most limit, two places agree.
func (f *finder) common(a, b, limit int) int {
	n := 0
	for n+8 <= limit {
		x := binary.LittleEndian.Uint64(f.src[a+n:]) ^ binary.LittleEndian.Uint64(f.src[b+n:])
		if x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
		n += 8
	}
	for n < limit && f.src[a+n] == f.src[b+n] {
		n++
	}
	return n
}
