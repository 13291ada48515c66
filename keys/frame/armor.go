// Package frame reads and writes the two outer layers of OpenPGP data: ASCII armor and packet headers
// (RFC 4880 and RFC 9580, sections 4 and 6).
//
// An armored block is lines of text:
//
//	-----BEGIN PGP SIGNATURE-----
//	Comment: any number of header lines
//
//	base64 of the data, at most 76 characters a line
//	=base64 of the CRC-24 of the data, 4 characters
//	-----END PGP SIGNATURE-----
//
// The data is a sequence of packets, each a header with tag and length, and a body. What a body means is for others to
// say; here it is only bytes.
//
// The common libraries read these layers so leniently that they find a message where a client finds none, or miss bytes
// that a client reads: they skip what they do not know, ignore the checksum, stop at the first block. This package
// reads what gpgv, sqv and rpm all read alike, and nothing else.
package frame

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
)

// The kinds of armored blocks.
const (
	PublicKey  = "PGP PUBLIC KEY BLOCK"
	PrivateKey = "PGP PRIVATE KEY BLOCK"
	Signature  = "PGP SIGNATURE"
)

const (
	begin    = "-----BEGIN "
	end      = "-----END "
	dashes   = "-----"
	lineSize = 64
)

// Block is one armored block.
type Block struct {
	// Kind is what stands behind BEGIN, such as PGP SIGNATURE.
	Kind string
	// Data is what the base64 stands for.
	Data []byte
	// Checksum tells whether the block had a CRC-24; one that is wrong is an error. gpgv before 2.4 misreads some
	// blocks without it and rpm imports no key without it.
	Checksum bool
}

// Encode writes data as an armored block without headers, with its checksum and a final newline.
func Encode(kind string, data []byte) []byte {
	var b bytes.Buffer
	b.WriteString(begin + kind + dashes + "\n\n")
	text := base64.StdEncoding.EncodeToString(data)
	for len(text) > 0 {
		n := min(lineSize, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	b.WriteString("=" + checksum(data) + "\n" + end + kind + dashes + "\n")
	return b.Bytes()
}

// checksum is the base64 form of the CRC-24 of data (RFC 4880, section 6.1).
func checksum(data []byte) string {
	crc := uint32(0xb704ce)
	for _, b := range data {
		crc ^= uint32(b) << 16
		for range 8 {
			crc <<= 1
			if crc&0x1000000 != 0 {
				crc ^= 0x1864cfb
			}
		}
	}
	return base64.StdEncoding.EncodeToString([]byte{byte(crc >> 16), byte(crc >> 8), byte(crc)})
}

// IsArmored tells whether data holds the beginning of an armored block, as opposed to packets in binary.
func IsArmored(data []byte) bool {
	return bytes.HasPrefix(data, []byte(begin)) || bytes.Contains(data, []byte("\n"+begin))
}

// Decode reads the only block of data. Anything before or behind it is an error, but for one final newline: a client
// that looks for the first block and one that reads all would otherwise see different things.
func Decode(data []byte) (Block, error) {
	block, rest, err := decode(string(data), 1)
	if err != nil {
		return Block{}, err
	}
	if rest != "" {
		return Block{}, fmt.Errorf("there is something behind the end of the armored block: remove it")
	}
	return block, nil
}

// DecodeAll reads every block of data, which may have text before, between and behind them, as files of keys do.
func DecodeAll(data []byte) ([]Block, error) {
	var blocks []Block
	rest, line := string(data), 1
	for rest != "" {
		if !strings.HasPrefix(rest, begin) {
			_, rest, _ = strings.Cut(rest, "\n")
			line++
			continue
		}
		block, after, err := decode(rest, line)
		if err != nil {
			return nil, err
		}
		line += strings.Count(rest[:len(rest)-len(after)], "\n")
		blocks, rest = append(blocks, block), after
	}
	return blocks, nil
}

// decode reads the block that text begins with, whose first line has the given number, and returns what follows it.
func decode(text string, line int) (block Block, rest string, err error) {
	next := func() (string, bool) {
		if text == "" {
			return "", false
		}
		var l string
		l, text, _ = strings.Cut(text, "\n")
		line++
		return strings.TrimRight(l, " \t\r"), true
	}
	fail := func(format string, args ...any) (Block, string, error) {
		return Block{}, "", fmt.Errorf("line %d of the armor: %s", line-1, fmt.Sprintf(format, args...))
	}

	first, _ := next()
	kind, ok := strings.CutPrefix(first, begin)
	kind, ok2 := strings.CutSuffix(kind, dashes)
	if !ok || !ok2 || strings.Trim(kind, "ABCDEFGHIJKLMNOPQRSTUVWXYZ ") != "" {
		return fail("expected -----BEGIN PGP …-----, found %.40q", first)
	}
	for {
		l, ok := next()
		if !ok {
			return fail("it ends within the headers")
		}
		if l == "" {
			break
		}
		if !strings.Contains(l, ": ") && !strings.HasSuffix(l, ":") {
			return fail("expected a header or an empty line, found %.40q", l)
		}
	}
	var body strings.Builder
	sum := ""
	for {
		l, ok := next()
		switch {
		case !ok:
			return fail("it ends without -----END %s-----", kind)
		case l == end+kind+dashes:
			data, err := base64.StdEncoding.Strict().DecodeString(body.String())
			if err != nil {
				return fail("the base64 is damaged")
			}
			if sum != "" && sum != checksum(data) {
				return fail("checksum %s is wrong, the data has %s: it was damaged on its way", sum, checksum(data))
			}
			return Block{Kind: kind, Data: data, Checksum: sum != ""}, text, nil
		case sum != "":
			return fail("expected -----END %s-----, found %.40q", kind, l)
		case len(l) == 5 && l[0] == '=':
			sum = l[1:]
		case l == "" || len(l) > 76 || strings.HasPrefix(l, "-"):
			return fail("expected at most 76 characters of base64, found %.40q", l)
		default:
			body.WriteString(l)
		}
	}
}
