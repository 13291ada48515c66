package apt

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// tarMember is what a tar archive says of a member: its kind is one of archive/tar's from TypeReg to TypeFifo.
type tarMember struct {
	kind       byte
	name, link string
	size       int64
}

// tarReader reads tar archives as dpkg does. That is done here and not by archive/tar, which takes twice as long for it as
// unpacking takes. What is not in headers as dpkg reads them, extended headers of POSIX above all, is left to archive/tar.
type tarReader struct {
	in    *limited
	block *[tarBlock]byte
	rest  int64 // of the member at hand, and what pads it
}

// errOtherTar says that a header needs archive/tar to be understood.
var errOtherTar = errors.New("is not in the format of dpkg's tar")

const tarBlock = 512

// The fields of a tar header that count here, as dpkg's lib/dpkg/tarfn.c reads them: offsets of their ends.
const (
	tarName      = 100
	tarSizeAt    = 124
	tarSize      = 136
	tarSumAt     = 148
	tarSum       = 156
	tarType      = 156
	tarLinkAt    = 157
	tarLink      = 257
	tarMagic     = 265
	tarPrefixAt  = 345
	tarPrefix    = 500
	tarGNU       = "ustar  \x00"
	tarPOSIX     = "ustar\x0000"
	maxTarString = 64 << 10 // bytes of a name that stands in a member of its own
)

// next steps to the next member. At the end the error is io.EOF.
func (t *tarReader) next() (m tarMember, err error) {
	if err := t.in.skip(t.rest); err != nil {
		return m, truncated(err)
	}
	t.rest = 0
	block := t.block
	for {
		if _, err := io.ReadFull(t.in, block[:]); err == io.EOF && m.name == "" && m.link == "" {
			return m, io.EOF // tar wants two empty blocks at the end, and dpkg none
		} else if err != nil {
			return m, truncated(err)
		}
		if block[0] == 0 {
			return m, t.end()
		}
		size, ok := octal(block[tarSizeAt:tarSize])
		sum, sumOK := octal(block[tarSumAt:tarSum])
		if !ok || !sumOK || sum != sumOf(block) {
			return m, errOtherTar
		}
		m.kind, m.size = block[tarType], size
		padded := (size + tarBlock - 1) &^ (tarBlock - 1)
		if m.kind != 'L' && m.kind != 'K' {
			t.rest = padded
			break
		}
		// GNU's long names, which stand before the member.
		if size > maxTarString {
			return m, fmt.Errorf("a name of %d bytes", size)
		}
		text := make([]byte, padded)
		if _, err := io.ReadFull(t.in, text); err != nil {
			return m, truncated(err)
		}
		if name := cString(text[:size]); m.kind == 'L' {
			m.name = name
		} else {
			m.link = name
		}
	}
	if m.name == "" {
		m.name = cString(block[:tarName])
		if string(block[tarLink:tarMagic]) == tarPOSIX && block[tarPrefixAt] != 0 {
			m.name = cString(block[tarPrefixAt:tarPrefix]) + "/" + m.name
		}
	}
	if m.link == "" {
		m.link = cString(block[tarLinkAt:tarLink])
	}
	switch m.kind {
	case 0, tar.TypeReg:
		if m.kind = tar.TypeReg; m.name != "" && m.name[len(m.name)-1] == '/' { // a folder, in the oldest format
			m.kind = tar.TypeDir
		}
	case tar.TypeLink, tar.TypeSymlink, tar.TypeDir, tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
	default:
		return m, errOtherTar
	}
	if m.kind != tar.TypeReg && m.size > 0 { // archive/tar and dpkg agree that only files have content
		return m, errOtherTar
	}
	return m, nil
}

// content reads that of the member at hand, which has size bytes.
func (t *tarReader) content(size int64) ([]byte, error) {
	data := make([]byte, size)
	n, err := io.ReadFull(t.in, data)
	t.rest -= int64(n)
	return data, truncated(err)
}

// end makes sure that what looks like the end is it for everybody: dpkg stops at a header without a name.
func (t *tarReader) end() error {
	block := t.block[:]
	if !isZero(block) {
		return errors.New("a member without a name")
	}
	n, err := io.ReadFull(t.in, block)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	if !isZero(block[:n]) {
		return errors.New("something follows its end")
	}
	return io.EOF
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func truncated(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("truncated: it ends within a member")
	}
	return err
}

// octal reads a number as tar writes it: octal digits between spaces, and a zero byte or a space behind them.
func octal(field []byte) (n int64, ok bool) {
	i := 0
	for i < len(field) && field[i] == ' ' {
		i++
	}
	digits := i
	for ; i < len(field) && field[i] >= '0' && field[i] <= '7'; i++ {
		n = n<<3 | int64(field[i]-'0')
	}
	ok = i > digits
	for ; i < len(field); i++ {
		ok = ok && (field[i] == ' ' || field[i] == 0)
	}
	return n, ok
}

// sumOf is the checksum of a header: the sum of its bytes, with spaces in the place of the checksum. Eight bytes are added
// at a time, in four sums of 16 bits that none of 64 words makes overflow.
func sumOf(block *[tarBlock]byte) (n int64) {
	const odd = 0x00ff00ff00ff00ff
	sums := uint64(0)
	for at := 0; at < tarBlock; at += 8 {
		word := binary.LittleEndian.Uint64(block[at : at+8])
		sums += word&odd + word>>8&odd
	}
	for ; sums > 0; sums >>= 16 {
		n += int64(sums & 0xffff)
	}
	for _, c := range block[tarSumAt:tarSum] {
		n += ' ' - int64(c)
	}
	return n
}

// cString is what stands before the first zero byte.
func cString(field []byte) string {
	if i := bytes.IndexByte(field, 0); i >= 0 {
		field = field[:i]
	}
	return string(field)
}
