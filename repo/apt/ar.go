package apt

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// file is a .deb of which the beginning is in memory. What an index needs stands there in nearly every package, and is
// read in a dozen small pieces, which would be a dozen system calls.
type file struct {
	r    io.ReaderAt
	size int64
	head []byte
}

const headSize = 64 << 10

// openFile reads the beginning of a file into the memory of the Reader.
func (m *Reader) openFile(r io.ReaderAt, size int64) (*file, error) {
	if m.head == nil {
		m.head = make([]byte, headSize)
	}
	f := &file{r: r, size: size, head: m.head[:min(max(size, 0), headSize)]}
	if n, err := r.ReadAt(f.head, 0); n < len(f.head) {
		return nil, fmt.Errorf("read %d of %d bytes: %w", n, size, err)
	}
	return f, nil
}

func (f *file) ReadAt(p []byte, at int64) (int, error) {
	if at >= 0 && at+int64(len(p)) <= int64(len(f.head)) {
		return copy(p, f.head[at:]), nil
	}
	return f.r.ReadAt(p, at)
}

// digest hashes the whole file.
func (f *file) digest() (string, error) {
	h := sha256.New()
	h.Write(f.head)
	if rest := f.size - int64(len(f.head)); rest > 0 {
		buffer := make([]byte, min(rest, 256<<10))
		if n, err := io.CopyBuffer(h, io.NewSectionReader(f.r, int64(len(f.head)), rest), buffer); err != nil || n != rest {
			return "", fmt.Errorf("read %d of %d bytes: %w", int64(len(f.head))+n, f.size, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// member is one file within a .deb.
type member struct {
	name string
	size int64
	data io.ReaderAt
}

// members are those of a .deb that matter.
type members struct{ control, data member }

// The layout of an ar archive as deb(5) describes it: the magic, and before each member a header of which the name in
// the first 16 bytes, the decimal size in bytes 48 to 58 and the two bytes at the end count here. Members start at even
// offsets.
const (
	arMagic  = "!<arch>\n"
	arHeader = 60
	arEnd    = "`\n"
)

// readMembers takes a .deb of size bytes apart.
func readMembers(r io.ReaderAt, size int64) (*members, error) {
	magic := make([]byte, len(arMagic))
	if _, err := r.ReadAt(magic, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(magic) != arMagic {
		return nil, errors.New("not a Debian package: it does not begin as an ar archive does")
	}
	var found []member
	for at := int64(len(arMagic)); at < size; {
		m, err := readMember(r, at, size)
		if err != nil {
			return nil, err
		}
		if err := checkOrder(len(found), m.name); err != nil {
			return nil, err
		}
		found = append(found, m)
		at += arHeader + m.size + m.size&1
	}
	if n := len(found); n < len(memberNames) {
		return nil, fmt.Errorf("truncated: it ends before its member %s", memberNames[n])
	}
	if err := checkFormat(found[0]); err != nil {
		return nil, err
	}
	return &members{found[1], found[2]}, nil
}

// memberNames are those of the members, in their order. All but the first may have the name of a compression added.
var memberNames = [...]string{"debian-binary", "control.tar", "data.tar"}

// checkOrder tells whether a member of that name may stand at place i, counted from 0.
func checkOrder(i int, name string) error {
	const maxMembers = 16
	switch {
	case i >= maxMembers:
		return fmt.Errorf("more than %d members", maxMembers)
	case i >= len(memberNames):
		if !strings.HasPrefix(name, "_gpg") {
			return fmt.Errorf("unexpected member %q after data.tar", name)
		}
	case name != memberNames[i] && (i == 0 || !strings.HasPrefix(name, memberNames[i]+".")):
		return fmt.Errorf("member %d is %q, expected %s", i+1, name, memberNames[i])
	}
	return nil
}

// readMember reads the header at offset at of an archive of size bytes.
func readMember(r io.ReaderAt, at, size int64) (member, error) {
	if size-at < arHeader {
		return member{}, fmt.Errorf("truncated: %d bytes where a member should begin", size-at)
	}
	var h [arHeader]byte
	if _, err := r.ReadAt(h[:], at); err != nil {
		return member{}, fmt.Errorf("member at byte %d: %w", at, err)
	}
	name := strings.TrimSuffix(strings.TrimRight(string(h[:16]), " "), "/")
	length, err := strconv.ParseUint(strings.TrimRight(string(h[48:58]), " "), 10, 63)
	if string(h[58:]) != arEnd || err != nil {
		return member{}, fmt.Errorf("malformed header of the member at byte %d", at)
	}
	if n := int64(length); n > size-at-arHeader {
		return member{}, fmt.Errorf("truncated: member %q should be %d bytes long, but %d are left", name, n,
			size-at-arHeader)
	}
	return member{name, int64(length), io.NewSectionReader(r, at+arHeader, int64(length))}, nil
}

// checkFormat tells whether debian-binary declares the one format that there is. Later minor versions may add lines.
func checkFormat(m member) error {
	if m.size > 1024 {
		return fmt.Errorf("debian-binary has %d bytes, expected a line", m.size)
	}
	text := make([]byte, m.size)
	if _, err := m.data.ReadAt(text, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if line, _, ok := strings.Cut(string(text), "\n"); !ok || !strings.HasPrefix(line, "2.") {
		return fmt.Errorf("format version is %q, expected 2.0", refusal.Shorten(line))
	}
	return nil
}
