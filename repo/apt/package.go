package apt

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"sigs.k8s.io/pkgs/build/payload/lzma2"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// Package is one .deb as an apt index describes it. The other fields repeat what Stanza says, for those who plan with
// packages; Stanza is what is published.
type Package struct {
	// Name, Version and Architecture identify the package; Architecture is Debian's name for one, or "all".
	Name, Version, Architecture string
	// Filename leads from the repository's root to the file: "amd64/kubeadm_1.34.1-1.1_amd64.deb".
	Filename string
	// Size is the file's length in bytes.
	Size int64
	// SHA256 is the file's digest in lower-case hex.
	SHA256 string
	// Depends is the field Pre-Depends and then the field Depends, joined by ", ": all of it is needed before the
	// package is configured. Provides is the field of that name. Both are empty where there are none; ParseRelations
	// takes them apart.
	Depends, Provides string
	// Section is the field of that name, empty where there is none.
	Section string
	// Stanza is the package's paragraph of a Packages file, without the empty line that ends it there.
	Stanza []byte

	// read is the package as it was read. As long as nothing differs from it, Index need not read the stanza once more,
	// which takes several times as long as all else that it does.
	read *Package
}

// ReadPackage reads the .deb of size bytes that r holds. Filename is what the index will call it, relative to the
// repository's root. The error, an *Error with that name, says why a file is not fit to be in an index. Reading takes
// at most some 150 MB of memory, and what it unpacks to 32 MiB and 50 bytes for each of the file, whatever the file claims;
// see the package comment for what is accepted.
func ReadPackage(r io.ReaderAt, size int64, filename string) (p *Package, err error) {
	return Strict.ReadPackage(r, size, filename)
}

// ReadPackage is the function ReadPackage with this grammar.
func (g Grammar) ReadPackage(r io.ReaderAt, size int64, filename string) (p *Package, err error) {
	return (&Reader{Grammar: g}).ReadPackage(r, size, filename)
}

// Reader is memory for reading packages, for those who read many: by one goroutine at a time, any number of times.
type Reader struct {
	Grammar Grammar
	// TrustData leaves data.tar unread, but for its digest. Only who made the packages should ask for that.
	TrustData bool
	// Large, if it is not nil, is called before more memory is taken for a package than those of dpkg-deb need, and what it
	// returns when it was given back. Some 150 MB can be wanted: whoever reads several packages at a time can have these come
	// one after the other.
	Large func() (done func())

	head    []byte
	scratch scratch
	paths   map[string]struct{}
}

// scratch is the memory of what unpacks members.
type scratch struct {
	xz     lzma2.Decoder
	packed *bufio.Reader // what xz reads
	header [1024]byte    // of a block, and other small things
	block  [tarBlock]byte
	gzip   *gzip.Reader
	zstd   *zstd.Decoder // of frames with usual windows
	// begin is the Reader's Large, and done what it returned, as long as there is anything large.
	begin func() (done func())
	done  func()
}

// enlarge is called before anything large is taken.
func (s *scratch) enlarge() {
	if s.begin != nil && s.done == nil {
		s.done = s.begin()
	}
}

// shrink gives back what is large.
func (m *Reader) shrink() {
	if done := m.scratch.done; done != nil {
		m.scratch.xz, m.scratch.done, m.paths = lzma2.Decoder{}, nil, nil
		done()
	}
}

// ReadPackage is the function ReadPackage with the grammar of the Reader.
func (m *Reader) ReadPackage(r io.ReaderAt, size int64, filename string) (p *Package, err error) {
	defer refusal.Recover(filename, &err)
	defer m.shrink()
	m.scratch.begin = m.Large
	g := m.Grammar
	if err := g.checkFilename(filename); err != nil {
		return nil, err
	}
	whole, err := m.openFile(r, size)
	if err != nil {
		return nil, err
	}
	members, err := readMembers(whole, size)
	if err != nil {
		return nil, err
	}
	control, err := readControl(members.control, &m.scratch)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", members.control.name, err)
	}
	fields, err := g.parseParagraph(control)
	if err == nil {
		err = g.checkControl(fields)
	}
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if !m.TrustData {
		if err := m.judgeData(members.data); err != nil {
			return nil, fmt.Errorf("%s: %w", members.data.name, err)
		}
	}
	digest, err := whole.digest()
	if err != nil {
		return nil, err
	}
	fields = append(fields,
		field{"Filename", filename},
		field{"Size", strconv.FormatInt(size, 10)},
		field{"SHA256", digest})
	return g.newPackage(fields, writeStanza(fields)), nil
}

// newPackage fills in a package from the fields of its stanza, which have been checked.
func (g Grammar) newPackage(fields []field, stanza []byte) *Package {
	p := &Package{Stanza: stanza}
	var depends []string
	for _, f := range fields {
		switch f.name {
		case "Package":
			p.Name = f.value
		case "Version":
			p.Version = f.value
		case "Architecture":
			p.Architecture = f.value
		case "Pre-Depends", "Depends":
			depends = append(depends, f.value) // the stanza's order puts Pre-Depends first
		case "Provides":
			p.Provides = f.value
		case "Section":
			p.Section = f.value
		case "Filename":
			p.Filename = f.value
		case "Size":
			p.Size, _ = strconv.ParseInt(f.value, 10, 64)
		case "SHA256":
			p.SHA256 = f.value
		}
	}
	p.Depends = strings.Join(depends, ", ")
	if g == Strict {
		as := *p
		p.read = &as
	}
	return p
}

// isAsRead tells whether the package is what was read: the same stanza, not one of the same text, and the same fields.
func (p *Package) isAsRead() bool {
	return p.read != nil && len(p.Stanza) > 0 && len(p.Stanza) == len(p.read.Stanza) && &p.Stanza[0] == &p.read.Stanza[0] &&
		same(p, p.read)
}

// parseStanza is the inverse of what ReadPackage makes of fields: it accepts the stanzas that writeStanza writes of an
// accepted package, to the byte.
func (g Grammar) parseStanza(stanza []byte) (*Package, error) {
	fields, err := g.parseParagraph(stanza)
	if err != nil {
		return nil, err
	}
	var control []field
	var filename, size, digest string
	for _, f := range fields {
		switch f.name {
		case "Filename":
			filename = f.value
		case "Size":
			size = f.value
		case "SHA256":
			digest = f.value
		default:
			control = append(control, f)
		}
	}
	if err := g.checkControl(control); err != nil {
		return nil, err
	}
	if err := g.checkFilename(filename); err != nil {
		return nil, fmt.Errorf("field Filename: %w", err)
	}
	if !sizeForm.MatchString(size) {
		return nil, fmt.Errorf("field Size: %q is no number of bytes", refusal.Shorten(size))
	}
	if !digestForm.MatchString(digest) {
		return nil, fmt.Errorf("field SHA256: %q is no digest in lower-case hex", refusal.Shorten(digest))
	}
	if string(writeStanza(fields)) != string(stanza) {
		return nil, errors.New("not in the form that this program writes")
	}
	return g.newPackage(fields, stanza), nil
}

var (
	filenameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+~_:=,@/-]*\.deb$`)
	sizeForm     = regexp.MustCompile(`^[1-9][0-9]{0,17}$`)
	digestForm   = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// checkFilename tells whether a name may be that of a package in an index: a clean relative path, of characters that
// mean nothing to a shell or in a URL. Of foreign packages it may be any that clients bring into a URL rightly.
func (g Grammar) checkFilename(name string) error {
	if g == Foreign {
		return refusal.Path(name, ".deb")
	}
	if !filenameForm.MatchString(name) || path.Clean(name) != name || len(name) > refusal.MaxPath {
		return fmt.Errorf("file name %q is not fit for an index: expected a relative path without . and .. that ends in "+
			".deb, of letters, digits and . + ~ _ : = , @ -", refusal.Shorten(name))
	}
	return nil
}
