// Package lzma2 compresses blocks of memory to LZMA2 data, the form in which xz streams hold them.
//
// It is made for blocks of some megabytes that are compressed once and downloaded often, and for output that is the same on
// every machine: it depends on nothing but the input and [Version]. Programs become about as small as with xz -1, in about
// the time of xz -0. It works in one goroutine; who has more processors compresses several blocks at once.
//
// # Format
//
// LZMA2 data is a sequence of chunks and a zero byte. A chunk begins with a control byte:
//
//	01       bytes that are stored; the dictionary is empty before them
//	02       bytes that are stored
//	80..FF   compressed bytes. Bits 5 and 6 say what happens before them: 0 nothing, 1 the model is reset, 2 the same and
//	         its properties follow, 3 the same and the dictionary is empty. Bits 0 to 4 are the highest of the size
//
// Then come, big endian and less one, the low 16 bits of the size; and for compressed bytes the size after compression in 16
// bits and, if bit 6 is set, the properties in one byte. So a chunk holds up to 2 MiB in up to 64 KiB, or 64 KiB stored. The
// first chunk empties the dictionary, the first compressed one sets the properties.
//
// Compressed bytes are those of LZMA, for which lzma-specification.txt of the LZMA SDK (https://www.7-zip.org/sdk.html) is
// the reference. They are a sequence of operations: write a byte, repeat something that was written up to [DictSize] bytes
// ago, or the same with one of the last four distances. Each operation is a sequence of bits, and each bit is coded by
// arithmetic coding with a probability that follows the bits that came before in the same place (file range.go). Which places
// there are, and how an operation becomes bits, is the model (model.go). It is the same in encoder and decoder.
//
// # Choices
//
// An encoder is free in what to repeat. Candidates are the last four distances, and older places with the same hash of
// three, five or eight bytes: four places for five bytes, one each for three and eight (find.go). Of those at one position
// the one wins that saves most bits, counted with fixed estimates rather than the probabilities of the moment; it has to
// yield to a byte written plainly when the next position has one that saves more (parse.go). What is found becomes
// sequences, of some bytes and a repetition each, and those become chunks. Chunks that compression would make longer are
// stored.
//
// There are no chains and no trees to walk: an input is at most as long as the dictionary, so that the position and some
// bits more of the hash fit into 32 bits, and what cannot match is left alone without a look at the bytes.
//
// # Decoders
//
// [Decoder] unpacks what anybody has packed, a chunk at a time, for readers of packages. What they want are mostly the few
// kilobytes of a control file, tens of thousands of times, so it keeps its memory; and it is as fast as liblzma, since what
// it has to do is the same: as few jumps as can be that depend on a bit (bits.go). It shares the model's constants with the
// encoder. What proves the encoder must not do that, and package unlzma2 does not; and that one only compares with bytes that
// are known, so that neither can take the place of the other.
package lzma2

import (
	"context"
	"encoding/binary"
)

const (
	// Version names the choices that the encoder makes. It changes whenever any input gives other output.
	Version = "3"
	// DictSize is the farthest distance, in bytes. A decoder needs so much memory.
	DictSize = 1 << dictBits
	// MaxSize is the largest number of bytes that can be encoded at once.
	MaxSize = DictSize
	// Memory is about the number of bytes that an Encoder needs.
	Memory = 3 << 20
)

const (
	dictBits  = 23
	maxPacked = 1 << 16
	maxPlain  = 1 << 21
	maxStored = 1 << 16
	// maxSequence is more than the bytes that any sequence can become.
	maxSequence = 8*maxLiterals + 40
)

// Control bytes.
const (
	storedFirst     = 0x01
	stored          = 0x02
	compressed      = 0x80
	resetModel      = 0xa0
	resetProperties = 0xc0
	resetAll        = 0xe0
)

// Encoder is memory for encoding. Its zero value is ready to use, by one goroutine at a time, any number of times.
type Encoder struct {
	parser parser
	model  model
	coder  rangeCoder
	// todo are the sequences that have been made and not encoded.
	todo []sequence
}

// Encode appends the compressed form of src to dst. It fails only when ctx ends. Longer input than MaxSize is a mistake of the
// caller's.
func (e *Encoder) Encode(ctx context.Context, dst, src []byte) ([]byte, error) {
	if len(src) > MaxSize {
		panic("lzma2: more than MaxSize bytes")
	}
	e.parser.start(src)
	e.model.reset()
	e.todo = nil
	control, storedControl := byte(resetAll), byte(storedFirst)
	for pos := 0; pos < len(src); {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		end := e.chunk(src, pos)
		packed := e.coder.out
		if len(packed) < end-pos {
			dst = append(dst, control|byte((end-pos-1)>>16))
			dst = binary.BigEndian.AppendUint16(dst, uint16(end-pos-1))
			dst = binary.BigEndian.AppendUint16(dst, uint16(len(packed)-1))
			if control >= resetProperties {
				dst = append(dst, properties)
			}
			dst = append(dst, packed...)
			control = compressed
		} else {
			dst = store(dst, src[pos:end], storedControl)
			// The decoder has not seen the operations that the model has: both start again.
			e.model.reset()
			if control >= resetProperties {
				control = resetProperties
			} else {
				control = resetModel
			}
		}
		storedControl = stored
		pos = end
	}
	return append(dst, 0), nil
}

// chunk encodes as many bytes from pos on as go into a chunk and returns where it ends.
func (e *Encoder) chunk(src []byte, pos int) int {
	e.coder.start()
	for start := pos; pos < len(src) && e.coder.size() <= maxPacked-maxSequence && pos-start <= maxPlain-maxLiterals-maxMatch; {
		if len(e.todo) == 0 {
			e.todo = e.parser.more()
		}
		s := e.todo[0]
		e.todo = e.todo[1:]
		e.model.encode(&e.coder, s, src, pos)
		pos += int(s.literals + s.length)
	}
	e.coder.end()
	return pos
}

func store(dst, src []byte, control byte) []byte {
	for len(src) > 0 {
		n := min(len(src), maxStored)
		dst = append(dst, control)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n-1))
		dst = append(dst, src[:n]...)
		src, control = src[n:], stored
	}
	return dst
}
