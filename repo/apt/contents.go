package apt

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
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
	maxInstalled  = 500_000  // files
	maxPathBytes  = 32 << 20 // all their names together
	manyInstalled = 1 << 15  // files, from which on a package is large,
	manyPathBytes = 4 << 20  // or bytes of their names
	dataAllowance = 32 << 20 // bytes that even the smallest package may unpack to
	dataRatio     = 50       // and how many more for each packed byte
)

var errTooMany = fmt.Errorf("more than %d files or %d bytes of names", maxInstalled, maxPathBytes)

// ReadContents lists what the .deb of size bytes that r holds would install, in the order of its data.tar, without the
// root directory. Unlike ReadPackage it unpacks everything, which takes seconds for a large package, and so it finds data
// that is damaged. The error, an *Error with filename, says why a package is refused: for what ReadPackage refuses in
// data.tar, and for names that are not readable text.
func ReadContents(r io.ReaderAt, size int64, filename string) (list []Installed, err error) {
	return new(Reader).ReadContents(r, size, filename)
}

// ReadContents is the function ReadContents with the memory of the Reader.
func (m *Reader) ReadContents(r io.ReaderAt, size int64, filename string) (list []Installed, err error) {
	defer refusal.Recover(filename, &err)
	defer m.shrink()
	m.scratch.begin = m.Large
	members, err := readMembers(r, size)
	if err != nil {
		return nil, err
	}
	if list, err = readData(members.data, &m.scratch); err != nil {
		return nil, fmt.Errorf("%s: %w", members.data.name, err)
	}
	return list, nil
}

func readData(m member, s *scratch) ([]Installed, error) {
	packed, err := m.open(dataAllowance+dataRatio*m.size, s)
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
			return nil, errTooMany
		} else if len(list) > manyInstalled || names > manyPathBytes {
			s.enlarge()
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
	path, err := installPath(h.Name)
	if err == nil {
		err = checkPathText(path)
	}
	if err == nil {
		err = checkKind(h.Typeflag, h.Linkname, Strict)
	}
	switch entry.Path = "/" + path; h.Typeflag {
	case tar.TypeSymlink:
		entry.Target = h.Linkname
	case tar.TypeLink:
		target, _ := installPath(h.Linkname) // checked by checkKind
		entry.Target = "/" + target
	}
	return entry, err
}

// checkKind tells whether a package may install a member of a type, and where a link may lead.
func checkKind(kind byte, link string, g Grammar) error {
	switch kind {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeSymlink:
		if link == "" || g == Strict && checkPathText(link) != nil {
			return fmt.Errorf("link target %q is not readable text", refusal.Shorten(link))
		}
	case tar.TypeLink:
		target, err := installPath(link)
		if err == nil && g == Strict {
			err = checkPathText(target)
		}
		if err != nil {
			return fmt.Errorf("link target: %w", err)
		}
	case tar.TypeChar, tar.TypeBlock:
		return errors.New("is a device")
	case tar.TypeFifo:
		return errors.New("is a FIFO")
	default:
		return fmt.Errorf("is of the unknown type %q", kind)
	}
	return nil
}

// installPath turns a member's name into the path that dpkg would install it at, without the slash in front; that of the
// root directory is empty. Names begin with ./ in all packages but some that other programs than dpkg-deb made, where they
// just begin.
func installPath(name string) (string, error) {
	p := strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	if p == "" && name != "" && name != "/" || p == "." {
		return "", nil
	}
	for rest, more := p, true; more; {
		var segment string
		if segment, rest, more = strings.Cut(rest, "/"); segment == "" || segment == "." || segment == ".." {
			return "", errors.New("its name is absolute, or has empty, . or .. segments")
		}
	}
	return p, nil
}

// checkPathText refuses a path that cannot stand in a list.
func checkPathText(path string) error {
	if checkText([]byte(path)) != nil || strings.ContainsAny(path, "\n\t") {
		return errors.New("its name is not readable text")
	}
	return nil
}
