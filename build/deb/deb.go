// Package deb writes Debian binary packages, byte for byte reproducible and in bounded memory.
//
// The format is that of deb(5), deb-control(5), deb-conffiles(5) and deb-md5sums(5). A package is an ar archive of three
// members:
//
//	debian-binary    the text "2.0\n"
//	control.tar.xz   ./ ./conffiles ./control ./md5sums ./postinst ./postrm ./preinst ./prerm, those that there are
//	data.tar.xz      the files, and all directories that lead to them
//
// The archive begins with "!<arch>\n". A member has a header of 60 characters of ASCII in columns filled up with spaces
// (name 16, time in seconds 12, owner 6, group 6, octal mode 8, size 10, then "`\n"), its bytes, and a line feed when
// their number is odd. Names stand without a slash behind them, which is how dpkg-deb does it.
//
// Both tar archives are in the format of GNU tar, which dpkg has read since ever (it does not know pax): names begin
// with ./, those of directories end in a slash, names longer than 100 bytes are preceded by a record of type L. Everything
// belongs to root:root and has the time Meta.Time. Members are sorted by name, byte by byte. Directories that the tree does
// not declare, but that lead to something in it, have mode 0755; dpkg shares them between packages.
//
// Compression is xz, because dpkg before 1.21.18 (Debian 11) cannot read zstd. The stream is that of package payload, whose
// blocks are shared with the .rpm of the same files.
//
// The control file has the fields in dpkg's own order, one to a line but for the description. Installed-Size is counted as
// dpkg-gencontrol counts: each file and symbolic link in KiB rounded up, and one for each directory, the root included.
// md5sums lists all files but conffiles, whose sums dpkg keeps elsewhere.
//
// Nothing is written before Meta has been checked against the grammar of its fields. It is stricter than dpkg's: what is
// refused here has made some client refuse a whole repository. There are no epochs.
package deb

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
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

// FileName is the conventional name of the package's file: kubeadm_1.34.1-1.1_amd64.deb.
func (m Meta) FileName() string { return m.Package + "_" + m.Version + "_" + m.Architecture + ".deb" }

// Write writes the package to w, from w's present position on. When it fails, or when ctx ends, what was written is of no
// use.
func Write(ctx context.Context, w io.WriteSeeker, m Meta, tree *payload.Tree, c *payload.Compressor) error {
	if err := m.Check(); err != nil {
		return fmt.Errorf("package %q: %w", m.Package, err)
	}
	if err := write(ctx, w, m, tree, c); err != nil {
		return fmt.Errorf("%s: %w", m.FileName(), err)
	}
	return nil
}

// WriteFile writes the package to the file at path. When it fails, or when ctx ends, nothing is left behind and a file
// that stood there before is untouched.
func WriteFile(ctx context.Context, path string, m Meta, tree *payload.Tree, c *payload.Compressor) error {
	return payload.WriteFile(ctx, path, func(f *os.File) error { return Write(ctx, f, m, tree, c) })
}

func write(ctx context.Context, w io.WriteSeeker, m Meta, tree *payload.Tree, c *payload.Compressor) error {
	files := withParents(tree.Entries())
	control, err := controlFiles(ctx, m, files)
	if err != nil {
		return err
	}
	controlTar, err := tarball(control, m.Time)
	if err != nil {
		return err
	}
	dataTar, err := tarball(files, m.Time)
	if err != nil {
		return err
	}

	a, err := newArchive(w, m.Time)
	if err != nil {
		return err
	}
	members := []struct {
		name  string
		write func(io.Writer) error
	}{
		{"debian-binary", func(w io.Writer) error {
			_, err := io.WriteString(w, "2.0\n")
			return err
		}},
		{"control.tar.xz", func(w io.Writer) error {
			_, err := c.Compress(ctx, w, slices.Values(controlTar), nil)
			return err
		}},
		{"data.tar.xz", func(w io.Writer) error {
			_, err := c.Compress(ctx, w, slices.Values(dataTar), nil)
			return err
		}},
	}
	for _, m := range members {
		if err := a.member(m.name, m.write); err != nil {
			return err
		}
	}
	return nil
}

// controlFiles are the members of control.tar.
func controlFiles(ctx context.Context, m Meta, files []payload.Entry) ([]payload.Entry, error) {
	var conffiles, sums bytes.Buffer
	buf := make([]byte, payload.Large)
	for _, e := range files {
		switch {
		case e.Kind != payload.File:
		case e.Config:
			if err := checkConffile(e.Path); err != nil {
				return nil, err
			}
			fmt.Fprintf(&conffiles, "%s\n", e.Path)
		default:
			// MD5 is what dpkg --verify compares.
			digests, err := e.Content.Legacy(ctx, buf)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.Path, err)
			}
			fmt.Fprintf(&sums, "%x  %s\n", digests.MD5, e.Path[1:])
		}
	}
	add := func(name string, mode uint32, data []byte) payload.Entry {
		return payload.Entry{Path: "/" + name, Mode: mode, Content: payload.Bytes(data)}
	}
	all := []payload.Entry{{Path: "/", Kind: payload.Dir, Mode: 0o755}}
	if conffiles.Len() > 0 {
		all = append(all, add("conffiles", 0o644, conffiles.Bytes()))
	}
	all = append(all, add("control", 0o644, m.control(installedSize(files))))
	if sums.Len() > 0 {
		all = append(all, add("md5sums", 0o644, sums.Bytes()))
	}
	for _, name := range scripts {
		if text, ok := m.Scripts[name]; ok {
			all = append(all, add(name, 0o755, []byte(text)))
		}
	}
	return all, nil
}
