// Package yum reads .rpm files and writes the unsigned index of a yum repository.
package yum

import (
	"errors"
	"io"
	"time"

	"sigs.k8s.io/pkgs/repo/layout"
)

var errTodo = errors.New("not written yet")

// Error says which file was refused and why. Every error of this package that concerns one file is an *Error.
type Error struct {
	// File is the name that the caller gave, or "primary", "filelists", "other" or "repomd.xml".
	File string
	Err  error
}

func (e *Error) Error() string { return e.File + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Package is one .rpm as a yum index describes it.
type Package struct {
	Name string
	// Epoch is a decimal number, "0" for a package without one.
	Epoch, Version, Release string
	// Arch is RPM's name of the architecture, or "noarch".
	Arch string
	// Href leads from the root of the repository to the file: "x86_64/kubeadm-1.34.1-1.1.x86_64.rpm".
	Href string
	// Size is the file's length in bytes.
	Size int64
	// SHA256 is the file's digest in lower-case hex.
	SHA256 string
	// Requires and Provides are in the order of the index. Weak and rich ones stand in the fragments alone.
	Requires, Provides []Dependency
	// Primary, Filelists and Other are the package's elements of the three indexes, with Href as its location.
	Primary, Filelists, Other []byte
}

// Dependency is a capability, and where Flags is not empty a range of its versions: LT, LE, EQ, GE or GT.
type Dependency struct {
	Name, Flags, Epoch, Version, Release string
	// Pre marks a requirement of an install script, met before the package is unpacked.
	Pre bool
}

// EVR is the package's version as CompareVersions takes it: "epoch:version-release".
func (p *Package) EVR() string { return p.Epoch + ":" + p.Version + "-" + p.Release }

// ReadPackage reads the .rpm of size bytes that r holds; href is what the index will call it, relative to the
// repository's root.
func ReadPackage(r io.ReaderAt, size int64, href string) (*Package, error) { return nil, errTodo }

// Config is what an index says of its repository.
type Config struct {
	// Revision is the publication's serial.
	Revision string
	// Date is the timestamp of the three indexes in repomd.xml, to the second.
	Date time.Time
	// HrefPrefix leads from this repository's root to the one where the packages are. It is empty there and
	// layout.SnapshotToRpm in a snapshot.
	HrefPrefix string
}

// Index writes the three indexes, compressed under names with their digest, and repodata/repomd.xml, unsigned. The same
// packages in any order and the same cfg give the same bytes.
func Index(cfg Config, packages []*Package) ([]layout.File, error) { return nil, errTodo }

// ParseIndex is the inverse of what Index writes with that HrefPrefix, given the three indexes uncompressed.
func ParseIndex(hrefPrefix string, primary, filelists, other []byte) ([]*Package, error) {
	return nil, errTodo
}

// Repomd is what a repomd.xml says.
type Repomd struct {
	Revision string
	// Indexes are primary, filelists and other, in that order.
	Indexes []IndexFile
}

// IndexFile is one index that a repomd.xml names. Sizes are in bytes, digests in lower-case hex; the open ones are those
// of the uncompressed index.
type IndexFile struct {
	Kind, Href         string
	Size, OpenSize     int64
	SHA256, OpenSHA256 string
	Timestamp          time.Time
}

// ParseRepomd is the inverse of the repomd.xml that Index writes.
func ParseRepomd(data []byte) (*Repomd, error) { return nil, errTodo }

// Signature is what an rpm carries to prove where it is from.
type Signature struct {
	// Header is the main header, from its magic to its last byte: the bytes that were signed.
	Header []byte
	// Packet is the OpenPGP signature packet over Header (RPMSIGTAG_RSA), nil when the package is not signed.
	Packet []byte
	// KeyID is the issuer's key id in upper-case hex, empty when the package is not signed or does not say.
	KeyID string
	// PayloadOffset is where the compressed payload begins, and PayloadSHA256 the digest that the header claims for
	// all bytes from there to the end of the file, in lower-case hex.
	PayloadOffset int64
	PayloadSHA256 string
}

// ReadSignature finds the signature of the .rpm of size bytes that r holds. It checks no signature: give Header and
// Packet to sign.VerifyBinary, and compare PayloadSHA256 with the payload's bytes.
func ReadSignature(r io.ReaderAt, size int64, href string) (*Signature, error) { return nil, errTodo }

// CompareVersions orders two versions of the form [epoch:]version[-release] as rpm does: negative when a is lower than b,
// 0 when they are equal, positive otherwise.
func CompareVersions(a, b string) int { return 0 }
