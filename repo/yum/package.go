package yum

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// Package is one .rpm as a yum index describes it. The other fields repeat what the fragments say, for those who plan
// with packages; the fragments are what is published.
type Package struct {
	Name string
	// Epoch is a decimal number, "0" for a package without one.
	Epoch, Version, Release string
	// Arch is RPM's name of an architecture, "noarch", or "src" for a source package.
	Arch string
	// Href leads from the root of the repository to the file: "x86_64/kubeadm-1.34.1-1.1.x86_64.rpm".
	Href string
	// Size is the file's length in bytes.
	Size int64
	// SHA256 is the file's digest in lower-case hex.
	SHA256 string
	// Requires and Provides are in the order of the index. What it leaves out is not in Requires: features of rpm itself,
	// and what the package provides.
	Requires, Provides []Dependency
	// Primary, Filelists and Other are the package's elements of the three indexes, with Href as its location.
	Primary, Filelists, Other []byte

	// read is the package as it was read. As long as nothing differs from it, Index need not read the fragments once
	// more, which takes longer than all else that it does.
	read *Package
}

// EVR is the package's version in the form that CompareVersions takes: "epoch:version-release".
func (p *Package) EVR() string { return p.Epoch + ":" + p.Version + "-" + p.Release }

// maxFragments bounds what is written about one package, in bytes. A hundred thousand files need some ten million.
const maxFragments = 64 << 20

// ReadPackage reads the .rpm of size bytes that r holds. Href is what the index will call it, relative to the
// repository's root. The error, an *Error with that name, says why a file is not fit to be in an index; see the package
// comment for what is accepted. No signature is checked: see ReadSignature.
func ReadPackage(r io.ReaderAt, size int64, href string) (p *Package, err error) {
	if p, err = new(Reader).ReadPackage(r, size, href); err != nil {
		return nil, err
	}
	as := *p
	p.read = &as
	return p, nil
}

// Reader is memory for reading packages, for those who read many: by one goroutine at a time, any number of times.
type Reader struct {
	// Large, if it is not nil, is called before a package is taken apart whose headers have more than a megabyte, and what
	// it returns when that is done. Only hostile packages, or those of ten thousands of files, have, and they can take
	// some 200 MB each: whoever reads several at a time can have these come one after the other.
	Large func() (done func())
	// Foreign is for packages that others made: their files may be called as people call files, and source packages need
	// not say that they are, as those of old versions of rpm do not.
	Foreign bool

	head, buffer []byte
	out          bytes.Buffer
}

// largeHeaders is where Large comes in, and largeOut what is not worth keeping of what was written.
const (
	largeHeaders = 1 << 20
	largeOut     = 4 << 20
)

// ReadPackage is the function ReadPackage, but the fragments are good only until the next call.
func (m *Reader) ReadPackage(r io.ReaderAt, size int64, href string) (p *Package, err error) {
	defer refusal.Recover(href, &err)
	if err := m.checkHref(href); err != nil {
		return nil, err
	}
	begun, err := m.begin(r, size)
	if err != nil {
		return nil, err
	}
	if m.Large != nil && size > largeHeaders && begun.claims() > largeHeaders {
		defer m.Large()()
	}
	if m.out.Cap() > largeOut {
		m.out = bytes.Buffer{}
	}
	f, err := readFile(begun, size)
	if err != nil {
		return nil, err
	}
	record, err := m.newRecord(f)
	if err != nil {
		return nil, err
	}
	record.href = href
	if record.digest, err = f.digest(begun, m); err != nil {
		return nil, err
	}
	if n := record.bound(); n > maxFragments {
		return nil, fmt.Errorf("an index would need up to %d bytes for it, more than the %d allowed", n, maxFragments)
	}
	m.out.Reset()
	record.primary(&m.out)
	first := m.out.Len()
	record.filelists(&m.out)
	second := m.out.Len()
	record.other(&m.out)
	all := m.out.Bytes()
	p = newPackage(record, all[:first:first], all[first:second:second], all[second:])
	p.read = nil // the fragments will not stay what they are
	return p, nil
}

func newPackage(r *record, primary, filelists, other []byte) *Package {
	p := &Package{
		Name: r.name, Epoch: r.version.epoch, Version: r.version.version, Release: r.version.release, Arch: r.arch,
		Href: r.href, Size: r.size, SHA256: r.digest,
		Requires: r.relations[requires], Provides: r.relations[provides],
		Primary: primary, Filelists: filelists, Other: other,
	}
	as := *p
	p.read = &as
	return p
}

// isAsRead tells whether the package is what was read: the same fragments, not ones of the same text, and the same fields.
func (p *Package) isAsRead() bool {
	return p.read != nil && p.matches(p.read) && sameSlice(p.Primary, p.read.Primary) && sameSlice(p.Filelists, p.read.Filelists) &&
		sameSlice(p.Other, p.read.Other)
}

func sameSlice(a, b []byte) bool { return len(a) > 0 && len(a) == len(b) && &a[0] == &b[0] }

// matches tells whether two packages have the same fields besides the fragments, of which Requires and Provides are parts.
func (p *Package) matches(q *Package) bool {
	return q.Name == p.Name && q.EVR() == p.EVR() && q.Arch == p.Arch && q.Href == p.Href && q.Size == p.Size && q.SHA256 == p.SHA256
}

// check tells whether the package is one that ReadPackage could have made.
func (p *Package) check() error {
	if p.isAsRead() {
		return nil
	}
	r, err := parseRecord(p.Primary, p.Filelists, p.Other)
	if err != nil {
		return err
	}
	if !p.matches(newPackage(r, nil, nil, nil)) {
		return errors.New("the fragments describe another package than the fields beside them")
	}
	return nil
}

func (m *Reader) checkHref(href string) error {
	if m.Foreign {
		return refusal.Path(href, ".rpm")
	}
	return checkHref(href)
}

// checkHref tells whether a name may be that of a package in an index: a clean relative path, of characters that mean
// nothing to a shell or in a URL.
func checkHref(href string) error {
	if !hrefForm.MatchString(href) || path.Clean(href) != href || len(href) > refusal.MaxPath {
		return fmt.Errorf("file name %q is not fit for an index: expected a relative path without . and .. that ends in "+
			".rpm, of letters, digits and . + ~ ^ _ : = , @ -", refusal.Shorten(href))
	}
	return nil
}
