package apt

import (
	"archive/tar"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Bounds of control.tar, packed and unpacked. Its largest file is the list of checksums, some 100 bytes for each file of the package; dpkg's
// own largest packages stay below 10 MB.
const (
	maxControlTar   = 32 << 20
	maxControlFiles = 1000
)

// maxWindow is the memory that a zstd frame may ask for; dpkg's frames ask for 8 MiB.
const maxWindow = 64 << 20

// open starts to unpack a member according to the end of its name. More than limit unpacked bytes are an error.
func (m member) open(limit int64, s *scratch) (io.Reader, error) {
	var r io.Reader
	var err error
	packed := io.NewSectionReader(m.data, 0, m.size)
	switch ext := path.Ext(m.name); ext {
	case ".tar":
		r = packed
	case ".gz":
		r, err = gzip.NewReader(packed)
	case ".xz":
		r, err = openXZ(m.data, m.size, s)
	case ".zst":
		r, err = zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
	case ".bz2":
		r = bzip2.NewReader(packed)
	default:
		return nil, fmt.Errorf("compression %q is not supported, expected gz, xz or zst", ext)
	}
	if err != nil {
		return nil, err
	}
	return &limited{r, limit, limit}, nil
}

// limited fails when more bytes than its limit come, where an io.LimitedReader would end.
type limited struct {
	r           io.Reader
	left, limit int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("unpacks to more than the %d bytes that are allowed for", l.limit)
	}
	return n, err
}

// readControl returns the file "control" of control.tar.
func readControl(m member, s *scratch) ([]byte, error) {
	if m.size > maxControlTar {
		return nil, fmt.Errorf("has %d bytes, more than the %d allowed", m.size, maxControlTar)
	}
	packed, err := m.open(maxControlTar, s)
	if err != nil {
		return nil, err
	}
	var control []byte
	seen := make(map[string]bool)
	for t := tar.NewReader(packed); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(h.Name, "./")
		if h.Typeflag == tar.TypeDir && (name == "" || name == ".") {
			continue
		}
		switch {
		case h.Typeflag != tar.TypeReg:
			return nil, fmt.Errorf("member %q is not a file", h.Name)
		case name == "" || name == "." || name == ".." || strings.ContainsRune(name, '/'):
			return nil, fmt.Errorf("member %q: expected a plain file name", h.Name)
		case seen[name]:
			return nil, fmt.Errorf("a second member %q", h.Name)
		case len(seen) >= maxControlFiles:
			return nil, fmt.Errorf("more than %d files", maxControlFiles)
		}
		seen[name] = true
		if name != "control" {
			continue
		}
		if h.Size > maxControl {
			return nil, fmt.Errorf("file control has %d bytes, more than the %d allowed", h.Size, maxControl)
		}
		if control, err = io.ReadAll(t); err != nil {
			return nil, err
		}
	}
	if _, err := io.Copy(io.Discard, packed); err != nil { // to the end, where the checksum is
		return nil, err
	}
	if !seen["control"] {
		return nil, errors.New("there is no file control in it")
	}
	return control, nil
}
