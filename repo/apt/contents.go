package apt

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// Installed is one thing that a package installs.
type Installed struct {
	// Path is absolute and clean: /usr/bin/kubelet.
	Path string
	// Type is one of archive/tar's TypeReg, TypeLink, TypeSymlink and TypeDir.
	Type byte
	// Mode holds the permission bits, set-user-id and their like among them.
	Mode int64
	// Size is the length of a file in bytes.
	Size int64
	// Target is where a symbolic link leads, or the absolute path that a hard link is another name for.
	Target string
}

// Bounds of data.tar. The unpacked size may be many times the packed one, but not as many as a bomb needs.
const (
	maxInstalled  = 1_000_000 // files
	maxPathBytes  = 64 << 20  // all their names together
	dataAllowance = 32 << 20  // bytes that even the smallest package may unpack to
	dataRatio     = 50        // and how many more for each packed byte
)

// ReadContents lists what the .deb of size bytes that r holds would install, in the order of its data.tar, without the
// root directory. Unlike ReadPackage it unpacks everything, which takes seconds for a large package. The error, an *Error
// with filename, says why a package is refused: for devices, FIFOs, paths that are relative, dotted or there twice, and
// data that unpacks to more than 32 MiB and 50 times its packed size.
func ReadContents(r io.ReaderAt, size int64, filename string) (list []Installed, err error) {
	defer refusal.Recover(filename, &err)
	m, err := readMembers(r, size)
	if err != nil {
		return nil, err
	}
	if list, err = readData(m.data); err != nil {
		return nil, fmt.Errorf("%s: %w", m.data.name, err)
	}
	return list, nil
}

func readData(m member) ([]Installed, error) {
	packed, err := m.open(dataAllowance+dataRatio*m.size, new(scratch))
	if err != nil {
		return nil, err
	}
	var list []Installed
	seen := make(map[string]bool)
	names := 0
	for t := tar.NewReader(packed); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		entry, err := installed(h)
		if err != nil {
			return nil, fmt.Errorf("member %q: %w", refusal.Shorten(h.Name), err)
		}
		if entry.Path == "/" {
			continue
		}
		if seen[entry.Path] {
			return nil, fmt.Errorf("a second member %q", refusal.Shorten(h.Name))
		}
		seen[entry.Path] = true
		names += len(entry.Path) + len(entry.Target)
		if list = append(list, entry); len(list) > maxInstalled || names > maxPathBytes {
			return nil, fmt.Errorf("more than %d files or %d bytes of names", maxInstalled, maxPathBytes)
		}
	}
	if _, err := io.Copy(io.Discard, packed); err != nil { // to the end, where the checksum is
		return nil, err
	}
	return list, nil
}

// ReadInstalled reads one file that the .deb of size bytes that r holds would install: the one at an absolute path. More than
// limit bytes, and what ReadContents refuses on the way there, are an error, as is a package without that file.
func ReadInstalled(r io.ReaderAt, size int64, filename, at string, limit int64) (data []byte, err error) {
	defer refusal.Recover(filename, &err)
	m, err := readMembers(r, size)
	if err != nil {
		return nil, err
	}
	packed, err := m.data.open(dataAllowance+dataRatio*m.data.size, new(scratch))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.data.name, err)
	}
	for t := tar.NewReader(packed); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil, fmt.Errorf("does not install %s", at)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.data.name, err)
		}
		entry, err := installed(h)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: member %q: %w", m.data.name, refusal.Shorten(h.Name), err)
		case entry.Path != at:
		case entry.Type != tar.TypeReg || entry.Size > limit:
			return nil, fmt.Errorf("%s is not a file of at most %d bytes", at, limit)
		default:
			return io.ReadAll(t)
		}
	}
}

func installed(h *tar.Header) (Installed, error) {
	entry := Installed{Type: h.Typeflag, Mode: h.Mode & 0o7777, Size: h.Size}
	var err error
	if entry.Path, err = installPath(h.Name); err != nil {
		return entry, err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeSymlink:
		entry.Target = h.Linkname
		if h.Linkname == "" || checkText([]byte(h.Linkname)) != nil || strings.ContainsAny(h.Linkname, "\n\t") {
			return entry, fmt.Errorf("link target %q is not readable text", refusal.Shorten(h.Linkname))
		}
	case tar.TypeLink:
		if entry.Target, err = installPath(h.Linkname); err != nil {
			return entry, fmt.Errorf("link target: %w", err)
		}
	case tar.TypeChar, tar.TypeBlock:
		return entry, errors.New("is a device")
	case tar.TypeFifo:
		return entry, errors.New("is a FIFO")
	default:
		return entry, fmt.Errorf("is of the unknown type %q", h.Typeflag)
	}
	return entry, nil
}

// installPath turns a member's name into the path that dpkg would install it at. Names begin with ./ in all packages
// but some that other programs than dpkg-deb made, where they just begin.
func installPath(name string) (string, error) {
	p := strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	if p == "" || p == "." {
		return "/", nil
	}
	if checkText([]byte(p)) != nil || strings.ContainsAny(p, "\n\t") {
		return "", errors.New("its name is not readable text")
	}
	if path.Clean("/"+p) != "/"+p {
		return "", errors.New("its name is absolute, or has empty, . or .. segments")
	}
	return "/" + p, nil
}
