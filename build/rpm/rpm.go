package rpm

import (
	"context"
	"errors"
	"io"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
)

// Meta is everything about a package but its files.
type Meta struct {
	// Name, Version and Release make up the package's identity together with Arch, which is RPM's name for the
	// architecture. There is no epoch: a version that needs one is a mistake in our streams.
	Name, Version, Release, Arch string
	// Summary is one line; Description any number of lines.
	Summary, Description string
	// License is an SPDX expression. URL, Vendor, Packager and Group may be empty.
	License, URL, Vendor, Packager, Group string
	// BuildHost is recorded as the machine that built the package. It should be a constant, or packages cannot be
	// reproduced.
	BuildHost string
	// Relations to other packages, written in the order given, after those that every package has.
	Requires, Provides, Conflicts, Obsoletes, Recommends, Suggests, Supplements, Enhances []Relation
	// Scripts that rpm runs around installation and removal.
	Pre, Post, PreUn, PostUn Script
	// Changelog, newest entry first.
	Changelog []Change
	// Time is the build time, and the modification time of everything in the package, in whole seconds.
	Time time.Time
}

// Script is a scriptlet. The zero value is none.
type Script struct {
	// Interpreter is the program that runs the body; empty stands for /bin/sh.
	Interpreter string
	Body        string
	// Requires must be installed before the script can run: Requires(post) and so on.
	Requires []Relation
}

// Relation is a name, and if Op is not Any, the versions meant.
type Relation struct {
	Name    string
	Op      Op
	Version string
}

// Op compares versions.
type Op string

const (
	Any          Op = ""
	Less         Op = "<"
	LessEqual    Op = "<="
	Equal        Op = "="
	GreaterEqual Op = ">="
	Greater      Op = ">"
)

// ParseRelation reads the form that spec files use: "kubernetes-cni >= 1.2.0", "iptables", "/bin/sh" or a rich dependency
// in parentheses.
func ParseRelation(s string) (Relation, error) { return Relation{}, errors.New("not written yet") }

func (r Relation) String() string { return "" }

// Change is an entry of the changelog.
type Change struct {
	Time time.Time
	// Author is a name and an address, often followed by a version.
	Author string
	// Text is the lines of the entry, each beginning with "- ".
	Text string
}

// HeaderSigner makes the signature that vouches for a package. It gets the bytes of the main header, which holds the
// digest of everything else, and returns an OpenPGP signature packet in binary form. at is the time of signing.
type HeaderSigner interface {
	RPMHeader(header []byte, at time.Time) ([]byte, error)
}

// Check says what is wrong with m, if anything. [Write] calls it before it writes a byte.
func (m Meta) Check() error { return errors.New("not written yet") }

// FileName is the conventional name of the package's file: kubeadm-1.34.1-1.1.x86_64.rpm.
func (m Meta) FileName() string {
	return m.Name + "-" + m.Version + "-" + m.Release + "." + m.Arch + ".rpm"
}

// Write writes the package to w, from w's present position on. It is signed by signer with m.Time as the time of signing, or
// not signed if signer is nil. When Write fails, or when ctx ends, what was written is of no use.
func Write(ctx context.Context, w io.WriteSeeker, m Meta, tree *payload.Tree, c *payload.Compressor, signer HeaderSigner) error {
	return errors.New("not written yet")
}

// WriteFile writes the package to the file at path. When it fails, or when ctx ends, nothing is left behind and a file
// that stood there before is untouched.
func WriteFile(ctx context.Context, path string, m Meta, tree *payload.Tree, c *payload.Compressor, signer HeaderSigner) error {
	return errors.New("not written yet")
}
