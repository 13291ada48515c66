package payload

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Limits of a tree. They lie within what tar and cpio can say and what dpkg and rpm can take, and well above what our
// packages need.
const (
	maxEntries = 100_000
	maxPath    = 1024
	// maxName is less than a file system's 255 because dpkg and rpm append to the name while they unpack.
	maxName     = 240
	maxFileSize = 1<<32 - 1
	maxMode     = 0o7777
)

// Kind tells files, directories and symbolic links apart. Packages hold nothing else.
type Kind int

const (
	File Kind = iota
	Dir
	Symlink
)

// Entry is one thing that a package installs, owned by root:root.
type Entry struct {
	// Path is absolute and clean: /usr/bin/kubelet.
	Path string
	Kind Kind
	// Mode holds the permission bits. Those of a Symlink mean nothing.
	Mode uint32
	// Content is the bytes of a File.
	Content Content
	// Target is where a Symlink leads.
	Target string
	// Config marks a file that the administrator edits and an upgrade keeps: a conffile, %config(noreplace).
	Config bool
	// Doc and License mark documentation, %doc and %license. A deb has no such marks.
	Doc, License bool
}

// Tree is a set of entries that one package installs: checked, and sorted by path.
type Tree struct{ entries []Entry }

// NewTree checks entries and sorts them. Only what is given belongs to the package: directories on the way to an entry
// that are not entries themselves belong to other packages.
//
// A path is absolute, clean, valid UTF-8 without control characters, at most 1024 bytes long with at most 240 between
// slashes, and is there once. What lies on the way to an entry is a directory if it is an entry at all. A file has less
// than 4 GiB.
func NewTree(entries ...Entry) (*Tree, error) {
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("a package of %d entries: expected at most %d", len(entries), maxEntries)
	}
	for _, e := range entries {
		if err := e.check(); err != nil {
			return nil, err
		}
	}
	t := &Tree{slices.Clone(entries)}
	slices.SortFunc(t.entries, byPath)
	for i, e := range t.entries {
		if i > 0 && t.entries[i-1].Path == e.Path {
			return nil, fmt.Errorf("%s: two entries have this path: remove one", e.Path)
		}
		for dir := path.Dir(e.Path); dir != "/"; dir = path.Dir(dir) {
			if parent, ok := t.Lookup(dir); ok && parent.Kind != Dir {
				return nil, fmt.Errorf("%s: lies below %s, which is not a directory in the same package", e.Path, dir)
			}
		}
	}
	return t, nil
}

// Entries are the entries sorted by path, byte by byte. The slice must not be changed.
func (t *Tree) Entries() []Entry { return t.entries }

// Lookup finds the entry at path.
func (t *Tree) Lookup(path string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(t.entries, Entry{Path: path}, byPath)
	if !ok {
		return Entry{}, false
	}
	return t.entries[i], true
}

func byPath(a, b Entry) int { return cmp.Compare(a.Path, b.Path) }

func (e Entry) check() error {
	if err := checkPath(e.Path); err != nil {
		return err
	}
	if e.Mode&^maxMode != 0 {
		return fmt.Errorf("%s: mode %#o has more than permission bits: expected at most %#o", e.Path, e.Mode, maxMode)
	}
	if e.Kind != File && (e.Content.Size != 0 || e.Config || e.Doc || e.License) {
		return fmt.Errorf("%s: only a file has content and is configuration, documentation or a license", e.Path)
	}
	if e.Kind != Symlink && e.Target != "" {
		return fmt.Errorf("%s: only a symbolic link has a target", e.Path)
	}
	switch e.Kind {
	case File:
		if e.Content.Size < 0 || e.Content.Size > maxFileSize {
			return fmt.Errorf("%s: a file of %d bytes: expected at most %d", e.Path, e.Content.Size, int64(maxFileSize))
		}
		if e.Content.SHA256 == ([len(e.Content.SHA256)]byte{}) {
			return fmt.Errorf("%s: no content: use Bytes or FromFile", e.Path)
		}
	case Symlink:
		if e.Target == "" || len(e.Target) > maxPath || !printable(e.Target) {
			return fmt.Errorf("%s: target %q: expected 1 to %d bytes of UTF-8 without control characters", e.Path,
				Abbreviate(e.Target), maxPath)
		}
	case Dir:
	default:
		return fmt.Errorf("%s: unknown kind %d of entry", e.Path, e.Kind)
	}
	return nil
}

func checkPath(p string) error {
	switch {
	case len(p) > maxPath:
		return fmt.Errorf("path %q has %d bytes: expected at most %d", Abbreviate(p), len(p), maxPath)
	case !printable(p):
		return fmt.Errorf("path %q: expected UTF-8 without control characters", p)
	case !path.IsAbs(p) || path.Clean(p) != p || p == "/":
		return fmt.Errorf("path %q: expected an absolute path without //, . and .. and without / at its end", p)
	}
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > maxName {
			return fmt.Errorf("path %q has a name of %d bytes: expected at most %d", Abbreviate(p), len(name), maxName)
		}
	}
	return nil
}
