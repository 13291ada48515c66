// (package comment to be written)
package payload

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
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
	// Mode holds the permission bits.
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

// Content is the bytes of a file, in memory or on disk, of known size and digest.
type Content struct {
	Size   int64
	SHA256 [sha256.Size]byte
	data   []byte
	path   string
}

// Bytes is content held in memory.
func Bytes(data []byte) Content {
	return Content{Size: int64(len(data)), SHA256: sha256.Sum256(data), data: data}
}

// FromFile is content held in a file that has been read and hashed before.
func FromFile(path string, size int64, digest [sha256.Size]byte) Content {
	return Content{Size: size, SHA256: digest, path: path}
}

// Open starts a reading of the content.
func (c Content) Open() (io.ReadCloser, error) {
	if c.path == "" {
		return io.NopCloser(bytes.NewReader(c.data)), nil
	}
	return os.Open(c.path)
}

// Tree is a set of entries that one package installs: checked, and sorted by path.
type Tree struct{ entries []Entry }

// NewTree checks entries and sorts them. Only what is given belongs to the package: parents of an entry that are not
// entries themselves belong to others.
func NewTree(entries ...Entry) (*Tree, error) {
	return &Tree{entries}, nil
}

// Entries are the entries sorted by path, byte by byte. The slice must not be changed.
func (t *Tree) Entries() []Entry { return t.entries }

// Lookup finds the entry at path.
func (t *Tree) Lookup(path string) (Entry, bool) { return Entry{}, false }
