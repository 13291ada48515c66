// Package apt reads .deb files and writes the unsigned index of a flat apt repository.
package apt

import (
	"errors"
	"io"
	"time"

	"sigs.k8s.io/pkgs/repo/layout"
)

var errTodo = errors.New("not written yet")

// Error says which file was refused and why. Every error of this package that concerns one file is an *Error.
type Error struct {
	// File is the name that the caller gave, or "Packages" or "Release".
	File string
	Err  error
}

func (e *Error) Error() string { return e.File + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// ReadPackage reads the .deb of size bytes that r holds; filename is what the index will call it, relative to the
// repository's root.
func ReadPackage(r io.ReaderAt, size int64, filename string) (*Package, error) { return nil, errTodo }

// ParsePackages is the inverse of the Packages file that Index writes.
func ParsePackages(data []byte) ([]*Package, error) { return nil, errTodo }

// Config is what an index says of its repository.
type Config struct {
	Origin, Label, Suite, Codename, Description string
	// Architectures are Debian's names; the order does not matter.
	Architectures []string
	// Date is when the index was made, to the second.
	Date time.Time
	// ValidUntil is when clients stop to accept the index; zero is never.
	ValidUntil time.Time
}

// Index writes Packages, Packages.gz, the by-hash copy of each, and Release, unsigned. The same packages in any order
// and the same cfg give the same bytes.
func Index(cfg Config, packages []*Package) ([]layout.File, error) { return nil, errTodo }

// Release is what a Release file says.
type Release struct {
	Config
	// Indexes are the files that it names, in the order of their paths.
	Indexes []IndexFile
}

// IndexFile is one line of the SHA256 list of a Release file.
type IndexFile struct {
	Path   string
	Size   int64
	SHA256 string
}

// ParseRelease is the inverse of the Release file that Index writes.
func ParseRelease(data []byte) (*Release, error) { return nil, errTodo }

// CompareVersions orders two versions as dpkg does: negative when a is lower than b, 0 when they are equal, positive
// otherwise. A version outside the grammar sorts below every other.
func CompareVersions(a, b string) int { return 0 }

// Relation is one comma-separated part of Depends, Provides and their like: any one alternative satisfies it.
type Relation []Alternative

// Alternative names a package and, where Operator is not empty, which versions of it: <<, <=, =, >= or >>.
type Alternative struct {
	Name, Architecture, Operator, Version string
}

// Accepts tells whether a package of that version satisfies the alternative.
func (a Alternative) Accepts(version string) bool { return false }

// ParseRelations takes a relationship field such as Depends apart (Debian Policy 7.1).
func ParseRelations(field string) ([]Relation, error) { return nil, errTodo }
