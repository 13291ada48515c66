package apt

import (
	"archive/tar"
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"
)

// Bounds of control.tar, packed and unpacked. Its largest file is the list of checksums, some 100 bytes for each file of the package; dpkg's
// own largest packages stay below 10 MB.
const (
	maxControlTar   = 32 << 20
	maxControlFiles = 1000
)

// How much a decoder may be asked to remember. dpkg-deb asks for usualWindow unless it is told otherwise, for maxWindow with
// lzma -9, and for maxZstdWindow with zstd -22, which is also all that it reads.
const (
	usualWindow   = 8 << 20
	maxWindow     = 64 << 20
	maxZstdWindow = 128 << 20
)

// open starts to unpack a member according to the end of its name. More than limit unpacked bytes are an error.
func (m member) open(limit int64, s *scratch) (*limited, error) {
	var r io.Reader
	var err error
	packed := io.NewSectionReader(m.data, 0, m.size)
	switch ext := path.Ext(m.name); ext {
	case ".tar":
		r = packed
	case ".gz":
		if s.gzip == nil {
			s.gzip = new(gzip.Reader)
		}
		r, err = s.gzip, s.gzip.Reset(bufio.NewReader(packed))
	case ".xz":
		r, err = openXZ(m.data, m.size, limit, s)
	case ".zst":
		r, err = openZstd(packed, s)
	case ".bz2":
		r = bzip2.NewReader(packed)
	case ".lzma":
		r, err = openLZMA(packed, s)
	default:
		return nil, fmt.Errorf("compression %q is not supported, expected gz, xz or zst", ext)
	}
	if err != nil {
		return nil, err
	}
	return &limited{r, limit, limit}, nil
}

// openZstd starts to unpack the one frame that dpkg reads. What another behind it asks for must not be more.
func openZstd(packed *io.SectionReader, s *scratch) (io.Reader, error) {
	var head [zstd.HeaderMaxSize]byte
	n, err := packed.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var frame zstd.Header
	if err := frame.Decode(head[:n]); err != nil {
		return nil, err
	}
	window := frame.WindowSize
	if frame.SingleSegment {
		window = frame.FrameContentSize
	}
	if window > usualWindow {
		s.enlarge()
		return newZstd(packed, maxZstdWindow)
	}
	if s.zstd == nil {
		s.zstd, err = newZstd(packed, usualWindow)
		return s.zstd, err
	}
	return s.zstd, s.zstd.Reset(packed)
}

func newZstd(packed io.Reader, window uint64) (*zstd.Decoder, error) {
	return zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(window), zstd.WithDecoderMaxMemory(maxZstdWindow))
}

// openLZMA starts to unpack what dpkg wrote before it knew xz.
func openLZMA(packed *io.SectionReader, s *scratch) (io.Reader, error) {
	var head [lzma.HeaderLen]byte
	if _, err := packed.ReadAt(head[:], 0); err != nil {
		return nil, err
	}
	if dict := binary.LittleEndian.Uint32(head[1:]); dict > maxWindow {
		return nil, fmt.Errorf("lzma data needs a dictionary of %d MiB, more than lzma -9 asks for", dict>>20)
	} else if dict > usualWindow {
		s.enlarge()
	}
	return lzma.NewReader(bufio.NewReader(packed))
}

// limited fails when more bytes than its limit come, where an io.LimitedReader would end.
type limited struct {
	r           io.Reader
	left, limit int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, l.exceeded()
	}
	return n, err
}

func (l *limited) exceeded() error { return exceeded(l.limit) }

func exceeded(limit int64) error {
	return fmt.Errorf("unpacks to more than the %d bytes that are allowed for", limit)
}

// skip steps over n bytes, without unpacking them where that can be.
func (l *limited) skip(n int64) error {
	switch r := l.r.(type) {
	case *io.SectionReader:
		at, _ := r.Seek(0, io.SeekCurrent) // which cannot fail
		if n > r.Size()-at {
			return io.ErrUnexpectedEOF
		}
		_, err := r.Seek(n, io.SeekCurrent)
		return err // nothing was unpacked
	case *xzFile:
		if l.left -= n; l.left < 0 {
			return l.exceeded()
		}
		return r.skip(n)
	}
	got, err := io.CopyN(io.Discard, l, n)
	if err == io.EOF && got < n {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// readControl returns the file "control" of control.tar.
func readControl(m member, s *scratch) ([]byte, error) {
	if m.size > maxControlTar {
		return nil, fmt.Errorf("has %d bytes, more than the %d allowed", m.size, maxControlTar)
	}
	read := func(by func(*controlReader, *limited) error) ([]byte, error) {
		packed, err := m.open(maxControlTar, s)
		if err != nil {
			return nil, err
		}
		c := controlReader{block: &s.block}
		if err := by(&c, packed); err != nil {
			return nil, err
		}
		if _, err := io.Copy(io.Discard, packed); err != nil { // to the end, where the checksum is
			return nil, err
		}
		if c.control == nil {
			return nil, errors.New("there is no file control in it")
		}
		return c.control, nil
	}
	control, err := read((*controlReader).members)
	if errors.Is(err, errOtherTar) {
		control, err = read((*controlReader).otherMembers)
	}
	return control, err
}

// controlReader is what was found in a control.tar.
type controlReader struct {
	block   *[tarBlock]byte // memory for a tarReader
	seen    []string
	control []byte // nil as long as there is none
}

// members reads what a tarReader reads.
func (c *controlReader) members(packed *limited) error {
	for t := (tarReader{in: packed, block: c.block}); ; {
		m, err := t.next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = c.member(m, func() ([]byte, error) { return t.content(m.size) })
		}
		if err != nil {
			return err
		}
	}
}

// otherMembers reads what archive/tar reads.
func (c *controlReader) otherMembers(packed *limited) error {
	for t := tar.NewReader(packed); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = c.member(tarMember{kind: h.Typeflag, name: h.Name, size: h.Size}, func() ([]byte, error) { return io.ReadAll(t) })
		}
		if err != nil {
			return err
		}
	}
}

// member takes in a member, of which content reads the content.
func (c *controlReader) member(m tarMember, content func() ([]byte, error)) (err error) {
	name := strings.TrimPrefix(m.name, "./")
	if m.kind == tar.TypeDir && (name == "" || name == ".") {
		return nil
	}
	switch {
	case m.kind != tar.TypeReg:
		return fmt.Errorf("member %q is not a file", m.name)
	case name == "" || name == "." || name == ".." || strings.ContainsRune(name, '/'):
		return fmt.Errorf("member %q: expected a plain file name", m.name)
	case slices.Contains(c.seen, name):
		return fmt.Errorf("a second member %q", m.name)
	case len(c.seen) >= maxControlFiles:
		return fmt.Errorf("more than %d files", maxControlFiles)
	}
	c.seen = append(c.seen, name)
	if name == "control" {
		if m.size > maxControl {
			return fmt.Errorf("file control has %d bytes, more than the %d allowed", m.size, maxControl)
		}
		c.control, err = content()
	}
	return err
}
