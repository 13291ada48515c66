// Package unlzma2 tells whether LZMA2 data unpacks to given bytes, by decoding it. It is written from the descriptions of
// the format, lzma-specification.txt of the LZMA SDK (https://www.7-zip.org/sdk.html) for LZMA and liblzma's
// lzma2_decoder.c (https://github.com/tukaani-project/xz) for the chunks around it, and has no line in common with the
// encoder: what both have wrong would have to be wrong twice.
//
// Who knows what must come out can decode faster than who does not, and needs no memory for it. The bytes that are already
// out are those that were given, or the data would have been refused before; so they serve as the dictionary. And the bits
// of a literal are compared with those that must come, one by one, rather than branched upon. What is accepted here is what
// a decoder unpacks to these bytes, no more.
//
// LZMA2 data is a sequence of chunks and a zero byte. A chunk begins with a control byte:
//
//	01, 02   stored bytes, at 01 after emptying the dictionary. 2 bytes: their number less one
//	80..FF   LZMA. 5 bits and 2 bytes: number of bytes less one. 2 bytes: number of packed bytes less one. Bits 5 and 6 of
//	         the control byte: 1 resets the state, 2 takes new properties from another byte and resets the state, 3 also
//	         empties the dictionary
//
// The first chunk must empty the dictionary. The first one with LZMA after that must set properties, and one with LZMA after
// stored bytes reset the state; some decoders do not ask for the latter, but all encoders do it. Numbers are big endian.
// Packed bytes begin with a zero, and the decoder must have used all of them, with nothing left over, when the last byte is
// out.
package unlzma2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Errors that Check wraps.
var (
	// ErrOther means that the data is fine, as far as it was read, but unpacks to something else.
	ErrOther = errors.New("unpacks to something else")
	// ErrDamaged means that no decoder can be expected to unpack the data.
	ErrDamaged = errors.New("is no good LZMA2 data")
)

// Control bytes.
const (
	endOfData   = 0x00
	storedReset = 0x01
	stored      = 0x02
	packed      = 0x80
	// These and what is above them do so much more.
	withState      = 0xa0
	withProperties = 0xc0
	withDictionary = 0xe0
)

// Checker is memory for checking. Its zero value is ready to use, by one goroutine at a time, any number of times.
type Checker struct {
	model model
	coder coder
	// plain is what must come out, at how much of it is out, and window where the dictionary begins.
	plain      []byte
	at, window int
	dictSize   int
}

// Check returns nil if data is LZMA2 data that a decoder with a dictionary of dictSize bytes unpacks to plain, and has
// nothing behind its end. Otherwise the error is ErrOther or ErrDamaged with the place in data. It takes time in proportion
// to the two lengths, whatever data is.
func (c *Checker) Check(data, plain []byte, dictSize int) error {
	c.plain, c.at, c.window, c.dictSize = plain, 0, 0, dictSize
	need := needs{dictionary: true, properties: true, state: true}
	rest := data
	for {
		n, err := c.next(rest, &need)
		if err != nil {
			return fmt.Errorf("%w (at byte %d of %d, for byte %d of %d)", err, len(data)-len(rest), len(data), c.at, len(plain))
		}
		if n == 0 {
			return nil
		}
		rest = rest[n:]
	}
}

// needs are what the next chunk must do.
type needs struct{ dictionary, properties, state bool }

// next checks the chunk at the beginning of data and returns its length, or 0 at the end of all of them.
func (c *Checker) next(data []byte, need *needs) (int, error) {
	if len(data) == 0 {
		return 0, ErrDamaged
	}
	control := data[0]
	if control == endOfData {
		if c.at < len(c.plain) {
			return 0, ErrOther
		}
		if len(data) > 1 {
			return 0, ErrDamaged
		}
		return 0, nil
	}
	// The sizes of the header, of what comes out and of what is in the chunk.
	head, size, body := 3, 0, 0
	switch {
	case control >= packed:
		head = 5
		if control >= withProperties {
			head = 6
		}
		if len(data) < head {
			return 0, ErrDamaged
		}
		size = int(control&0x1f)<<16 + int(binary.BigEndian.Uint16(data[1:])) + 1
		body = int(binary.BigEndian.Uint16(data[3:])) + 1
	case control <= stored:
		if len(data) < head {
			return 0, ErrDamaged
		}
		size = int(binary.BigEndian.Uint16(data[1:])) + 1
		body = size
	default:
		return 0, ErrDamaged
	}
	if control >= withDictionary || control == storedReset {
		need.dictionary, need.properties = false, true
		c.window = c.at
	}
	if need.dictionary || len(data) < head+body {
		return 0, ErrDamaged
	}
	if size > len(c.plain)-c.at {
		return 0, ErrOther
	}
	end, content := c.at+size, data[head:head+body]
	if control <= stored {
		if !bytes.Equal(content, c.plain[c.at:end]) {
			return 0, ErrOther
		}
		c.at = end
		need.state = true
		return head + body, nil
	}
	if control >= withProperties {
		if !c.model.setProperties(data[5]) {
			return 0, ErrDamaged
		}
		need.properties = false
	}
	if control >= withState {
		need.state = false
		c.model.reset()
	}
	if need.properties || need.state {
		return 0, ErrDamaged
	}
	return head + body, c.chunk(content, end)
}
