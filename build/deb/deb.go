package deb

import (
	"context"
	"errors"
	"io"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
)

// Meta is everything about a package but its files.
type Meta struct {
	// Package is the name, Version the version with its revision (1.34.1-1.1), Architecture Debian's name for it.
	Package, Version, Architecture string
	// Maintainer is a name and an address: Kubernetes Authors <dev@kubernetes.io>.
	Maintainer string
	// Section and Priority are words of Debian's policy, such as admin and optional. Homepage is a URL, or empty.
	Section, Priority, Homepage string
	// Summary is one line; Description any number of lines, an empty line between paragraphs, no markup.
	Summary, Description string
	// The relations, each of the form "iptables (>= 1.4.21)", with | between alternatives. They are written in the order
	// given.
	PreDepends, Depends, Recommends, Suggests, Enhances, Breaks, Conflicts, Provides, Replaces []string
	// Extra fields follow the others in the order given.
	Extra []Field
	// Scripts are the maintainer scripts by name: preinst, postinst, prerm, postrm. Each begins with #!.
	Scripts map[string]string
	// Time is the modification time of everything in the package, in whole seconds.
	Time time.Time
}

// Field is a field of the control file.
type Field struct{ Name, Value string }

// Check says what is wrong with m, if anything. [Write] calls it before it writes a byte.
func (m Meta) Check() error { return errors.New("not written yet") }

// FileName is the conventional name of the package's file: kubeadm_1.34.1-1.1_amd64.deb.
func (m Meta) FileName() string { return m.Package + "_" + m.Version + "_" + m.Architecture + ".deb" }

// Write writes the package to w, from w's present position on. When it fails, or when ctx ends, what was written is of no
// use.
func Write(ctx context.Context, w io.WriteSeeker, m Meta, tree *payload.Tree, c *payload.Compressor) error {
	return errors.New("not written yet")
}

// WriteFile writes the package to the file at path. When it fails, or when ctx ends, nothing is left behind and a file
// that stood there before is untouched.
func WriteFile(ctx context.Context, path string, m Meta, tree *payload.Tree, c *payload.Compressor) error {
	return errors.New("not written yet")
}
