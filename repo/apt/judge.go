package apt

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// judgeData refuses a data.tar with members that no package should have: devices, FIFOs, members of unknown types, paths
// that are absolute or dotted, and paths that are there twice. It looks at nothing but the headers of the members. What
// lies between is skipped, not unpacked, where that can be: without compression, and in xz data of several blocks.
//
// The headers are read here and not by archive/tar, which takes twice as long for that as unpacking takes. What is not in
// them as dpkg reads it, extended headers of POSIX above all, is left to archive/tar.
func (m *Reader) judgeData(data member) error {
	in, err := m.openData(data)
	if err != nil {
		return err
	}
	j := judge{in: in, grammar: m.Grammar, seen: m.seen()}
	err = j.members()
	if errors.Is(err, errOtherTar) {
		if in, err = m.openData(data); err == nil {
			j = judge{in: in, grammar: m.Grammar, seen: m.seen()}
			err = j.otherMembers()
		}
	}
	return err
}

func (m *Reader) openData(data member) (*limited, error) {
	return data.open(dataAllowance+dataRatio*data.size, &m.scratch)
}

// seen returns an empty set.
func (m *Reader) seen() map[string]struct{} {
	const most = 10_000 // beyond which clearing takes longer than a new one
	if m.paths == nil || len(m.paths) > most {
		m.paths = map[string]struct{}{}
	}
	clear(m.paths)
	return m.paths
}

// judge judges the members of one data.tar.
type judge struct {
	in      *limited
	grammar Grammar
	seen    map[string]struct{} // paths, relative to the root directory
	names   int                 // bytes of them
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

// members judges what it reads as dpkg does.
func (j *judge) members() error {
	var block [tarBlock]byte
	longName, longLink := "", ""
	for {
		if _, err := io.ReadFull(j.in, block[:]); err == io.EOF && longName == "" && longLink == "" {
			return nil // tar wants two empty blocks at the end, and dpkg none
		} else if err != nil {
			return truncated(err)
		}
		if block[0] == 0 {
			return j.end(block[:])
		}
		size, ok := octal(block[tarSizeAt:tarSize])
		sum, sumOK := octal(block[tarSumAt:tarSum])
		if !ok || !sumOK || sum != sumOf(block[:]) {
			return errOtherTar
		}
		padded := (size + tarBlock - 1) &^ (tarBlock - 1)
		kind := block[tarType]
		if kind == 'L' || kind == 'K' { // GNU's long names, which stand before the member
			if size > maxTarString {
				return fmt.Errorf("a name of %d bytes", size)
			}
			text := make([]byte, padded)
			if _, err := io.ReadFull(j.in, text); err != nil {
				return truncated(err)
			}
			if name := cString(text[:size]); kind == 'L' {
				longName = name
			} else {
				longLink = name
			}
			continue
		}
		name, link := longName, longLink
		if name == "" {
			name = cString(block[:tarName])
			if string(block[tarLink:tarMagic]) == tarPOSIX && block[tarPrefixAt] != 0 {
				name = cString(block[tarPrefixAt:tarPrefix]) + "/" + name
			}
		}
		if link == "" {
			link = cString(block[tarLinkAt:tarLink])
		}
		longName, longLink = "", ""
		switch kind {
		case 0, '0':
			if kind = tar.TypeReg; name != "" && name[len(name)-1] == '/' { // a folder, in the oldest format
				kind = tar.TypeDir
			}
		case tar.TypeLink, tar.TypeSymlink, tar.TypeDir, tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		default:
			return errOtherTar
		}
		if err := j.member(kind, name, link); err != nil {
			return err
		}
		if kind != tar.TypeReg {
			padded = 0 // archive/tar and dpkg agree that only files have content
			if size > 0 {
				return errOtherTar
			}
		}
		if err := j.in.skip(padded); err != nil {
			return truncated(err)
		}
	}
}

// end makes sure that what looks like the end is it for everybody: dpkg stops at a header without a name.
func (j *judge) end(block []byte) error {
	if len(bytes.Trim(block, "\x00")) > 0 {
		return errors.New("a member without a name")
	}
	n, err := io.ReadFull(j.in, block)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	if len(bytes.Trim(block[:n], "\x00")) > 0 {
		return errors.New("something follows its end")
	}
	return nil
}

// otherMembers judges what archive/tar reads.
func (j *judge) otherMembers() error {
	for t := tar.NewReader(j.in); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = j.member(h.Typeflag, h.Name, h.Linkname)
		}
		if err != nil {
			return err
		}
	}
}

// member judges one member.
func (j *judge) member(kind byte, name, link string) error {
	path, err := installPath(name)
	if err == nil && j.grammar == Strict {
		err = checkPathText(path)
	}
	if err == nil {
		err = checkKind(kind, link, j.grammar)
	}
	if err != nil {
		return fmt.Errorf("member %q: %w", refusal.Shorten(name), err)
	}
	if path == "" {
		return nil
	}
	if _, twice := j.seen[path]; twice {
		return fmt.Errorf("a second member %q", refusal.Shorten(name))
	}
	j.seen[path] = struct{}{}
	if j.names += len(path); len(j.seen) > maxInstalled || j.names > maxPathBytes {
		return errTooMany
	}
	return nil
}

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

// sumOf is the checksum of a header: the sum of its bytes, with spaces in the place of the checksum.
func sumOf(block []byte) int64 {
	n := int64((tarSum - tarSumAt) * ' ')
	for _, c := range block[:tarSumAt] {
		n += int64(c)
	}
	for _, c := range block[tarSum:] {
		n += int64(c)
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
