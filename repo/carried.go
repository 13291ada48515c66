package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
)

// carried is a folder that came from another machine. Its files are read and nothing else: a link that leads out of it, a
// pipe or a device is an error, and so is a file that is larger than what is expected there.
type carried struct{ root *os.Root }

func openCarried(dir string) (*carried, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &carried{root}, nil
}

func (c *carried) close() { c.root.Close() }

// open opens a file, which has a name with slashes below the folder. The error is that of fs.ErrNotExist when it is not there.
func (c *carried) open(name string) (*os.File, int64, error) {
	where := filepath.Join(c.root.Name(), filepath.FromSlash(name))
	// Without O_NONBLOCK opening a pipe waits for whoever writes to it.
	f, err := c.root.OpenFile(filepath.FromSlash(path.Clean(name)), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", where, errors.Unwrap(err))
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: is not a regular file", where)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// read reads a file of at most limit bytes.
func (c *carried) read(name string, limit int64) ([]byte, error) {
	f, size, err := c.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > limit {
		return nil, fmt.Errorf("%s: is larger than %d bytes", filepath.Join(c.root.Name(), filepath.FromSlash(name)), limit)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// readCarried reads one file of a folder that came from another machine.
func readCarried(dir, name string, limit int64) ([]byte, error) {
	c, err := openCarried(dir)
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.read(name, limit)
}

// contents reads the index texts of a request, as [Contents.texts] names them.
func (c *carried) contents(halves []string) (of Contents, err error) {
	text := func(half, name string) []byte {
		if err != nil {
			return nil
		}
		var data []byte
		data, err = c.read(path.Join(newFolder, half, name), maxIndex)
		return data
	}
	if slices.Contains(halves, "deb") {
		packages := text("deb", layout.Packages)
		if err == nil {
			of.Debs, err = apt.ParsePackages(packages)
		}
	}
	if slices.Contains(halves, "rpm") {
		primary, filelists, other := text("rpm", "primary.xml"), text("rpm", "filelists.xml"), text("rpm", "other.xml")
		if err == nil {
			of.Rpms, err = yum.ParseIndex("", primary, filelists, other)
		}
	}
	return of, err
}

// liveFiles are the objects of the live index that a request brings, read as those of a bucket.
type liveFiles struct {
	bucket.Bucket
	carried *carried
}

func (l *liveFiles) String() string { return filepath.Join(l.carried.root.Name(), liveFolder) }

func (l *liveFiles) Open(_ context.Context, name string) (io.ReadCloser, bucket.Info, error) {
	f, _, err := l.carried.open(path.Join(liveFolder, name))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", err, bucket.ErrNotExist)
	}
	if err != nil {
		return nil, bucket.Info{}, err
	}
	return f, bucket.Info{Name: name}, nil
}
