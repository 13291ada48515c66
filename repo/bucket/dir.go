package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Dir is a bucket in a directory: every object is a file whose path is the object's name. Any web server can serve it.
// The first segment .bucket is kept from names; there lie the lock and files that are not finished:
//
//	<name>           the objects; whoever reads them sees each whole, old or new
//	.bucket/lock     held with flock(2) while the condition of a write is checked and its file moved into place
//	.bucket/new/…    files being written, each held with flock by its writer; those that nobody holds are swept away
//
// A write goes to a new file, which is synced, then linked or renamed to its name, and then the directory is synced.
// All processes of one machine may write at once, as may those of several machines on a file system whose flock works
// across them.
//
// A generation is made of the file's size, time and inode, which every write makes anew, and for objects up to 1 MiB of the
// digest of the bytes, so that a compare-and-swap compares what it is about even where a file system's clock is coarse.
// Headers are not kept.
//
// Nothing outside of the directory is read or written. Symbolic links are refused wherever they stand.
type Dir struct {
	path string

	turn  chan struct{} // holds one token: the writers of this value wait here before they wait for the lock
	mu    sync.Mutex
	root  *os.Root // guarded by mu; nil until the directory exists
	swept bool     // guarded by mu: unfinished files were looked for
}

// hashedSize is how large an object may be whose generation has the digest of its bytes in it.
const hashedSize = 1 << 20

// NewDir returns the bucket in the directory at path. The directory need not exist: until something is put into it, the
// bucket is empty.
func NewDir(path string) *Dir {
	d := &Dir{path: path, turn: make(chan struct{}, 1)}
	d.turn <- struct{}{}
	return d
}

// Close gives the directory back to the system. The bucket must not be in use.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root == nil {
		return nil
	}
	root := d.root
	d.root = nil
	return root.Close()
}

func (d *Dir) String() string { return d.path }

func (d *Dir) fail(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok && e.Bucket == d.path {
		return err // from deeper down, where more was known
	}
	return &Error{Bucket: d.path, Name: name, Op: op, Err: explain(err)}
}

// open returns the directory. Without create it may be one that does not exist, which is fs.ErrNotExist.
func (d *Dir) open(create bool) (*os.Root, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root != nil {
		return d.root, nil
	}
	if create {
		if err := os.MkdirAll(d.path, 0o755); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, err
	}
	d.root = root
	return root, nil
}

// Stat implements [Bucket].
func (d *Dir) Stat(ctx context.Context, name string) (Info, error) {
	r, info, err := d.read(ctx, name)
	if err != nil {
		return Info{}, d.fail("stat", name, err)
	}
	return info, r.Close()
}

// Open implements [Bucket].
func (d *Dir) Open(ctx context.Context, name string) (io.ReadCloser, Info, error) {
	r, info, err := d.read(ctx, name)
	if err != nil {
		return nil, Info{}, d.fail("open", name, err)
	}
	return r, info, nil
}

// read opens an object.
func (d *Dir) read(ctx context.Context, name string) (io.ReadCloser, Info, error) {
	if err := checkName(name); err != nil {
		return nil, Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return nil, Info{}, err
	}
	root, err := d.open(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Info{}, ErrNotExist
	}
	if err != nil {
		return nil, Info{}, err
	}
	return d.readFile(root, name)
}

// readFile opens the file of an object and says what is known of it. Files are never changed in place, so what is read
// from an open one belongs together.
func (d *Dir) readFile(root *os.Root, name string) (_ io.ReadCloser, _ Info, err error) {
	if err := checkPath(root, name); err != nil {
		return nil, Info{}, err
	}
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not make us wait
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Info{}, ErrNotExist
	}
	if err != nil {
		return nil, Info{}, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	stat, err := file.Stat()
	if err != nil {
		return nil, Info{}, err
	}
	if stat.IsDir() {
		return nil, Info{}, ErrNotExist
	}
	if !stat.Mode().IsRegular() {
		return nil, Info{}, fmt.Errorf("it is a %s and not a regular file", stat.Mode().Type())
	}
	info := Info{Name: name, Size: stat.Size(), Modified: stat.ModTime().UTC()}
	fail := func(err error) error { return d.fail("read", name, err) }
	if info.Size > hashedSize {
		info.Generation = generation(stat, "")
		return &exactReader{r: file, left: info.Size, fail: fail, Closer: file}, info, nil
	}
	data := make([]byte, info.Size)
	if _, err := io.ReadFull(file, data); err != nil {
		return nil, Info{}, fail(err)
	}
	info.SHA256 = digest(data)
	info.Generation = generation(stat, info.SHA256)
	return struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(data), file}, info, nil
}

// generation tells the states of a file apart; sha256 is needed of small ones only.
func generation(stat fs.FileInfo, sha256 string) Generation {
	var inode uint64
	if s, ok := stat.Sys().(*syscall.Stat_t); ok {
		inode = s.Ino
	}
	if stat.Size() > hashedSize {
		sha256 = "" // Put knows it, and Stat does not
	}
	return Generation(fmt.Sprintf("%d-%d-%d-%.16s", stat.Size(), stat.ModTime().UnixNano(), inode, sha256))
}

var errSymlink = errors.New("a symbolic link stands in its path: a bucket is made of files and folders only, remove it")

// checkPath refuses a name on whose path there is a symbolic link. The system keeps us in the directory anyway; this
// keeps one object from having two names.
func checkPath(root *os.Root, name string) error {
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		stat, err := root.Lstat(name[:i])
		if errors.Is(err, fs.ErrNotExist) {
			return ErrNotExist
		}
		if errors.Is(err, syscall.ENOTDIR) {
			return ErrNotExist // an object that stands where the name has a folder
		}
		if err != nil {
			return err
		}
		if stat.Mode()&fs.ModeSymlink != 0 {
			return errSymlink
		}
		if i < len(name) && !stat.IsDir() {
			return ErrNotExist
		}
	}
	return nil
}

// List implements [Bucket].
func (d *Dir) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		err := checkPrefix(prefix)
		var root *os.Root
		if err == nil {
			root, err = d.open(false)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err == nil {
			_, err = d.list(ctx, root, path.Dir(prefix+"x"), prefix, yield)
		}
		if err != nil {
			yield(Info{}, d.fail("list", prefix, err))
		}
	}
}

// list yields the objects below a folder, in the order of their names, and reports whether to go on.
func (d *Dir) list(ctx context.Context, root *os.Root, folder, prefix string, yield func(Info, error) bool) (bool, error) {
	if folder != "." {
		if err := checkPath(root, folder); errors.Is(err, ErrNotExist) {
			return true, nil
		} else if err != nil {
			return false, err
		}
	}
	entries, err := fs.ReadDir(root.FS(), folder)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	// A folder's objects sort by the slash behind its name: a-b comes before a/b.
	key := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(key(a), key(b)) })
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		name := path.Join(folder, e.Name())
		below := path.Join(folder, key(e))
		if e.IsDir() {
			below += "/"
		}
		switch {
		case name == reserved, !strings.HasPrefix(below, prefix) && !strings.HasPrefix(prefix, below):
			continue
		case e.IsDir():
			if more, err := d.list(ctx, root, name, prefix, yield); !more || err != nil {
				return more, err
			}
			continue
		case !strings.HasPrefix(name, prefix):
			continue
		}
		r, info, err := d.readFile(root, name)
		if errors.Is(err, ErrNotExist) {
			continue // it was deleted meanwhile
		}
		if err != nil {
			return false, d.fail("list", name, err)
		}
		r.Close()
		if !yield(info, nil) {
			return false, nil
		}
	}
	return true, nil
}

// explain says what to do about the errors that a person can do something about.
func explain(err error) error {
	advice := map[syscall.Errno]string{
		syscall.ENOSPC:       "the disk is full: make room or choose another directory",
		syscall.EDQUOT:       "your share of the disk is used up: make room or choose another directory",
		syscall.EROFS:        "the file system is read-only: choose another directory or mount it for writing",
		syscall.EACCES:       "this user may not: change the directory's owner or mode, or run as its owner",
		syscall.EPERM:        "this user may not: change the directory's owner or mode, or run as its owner",
		syscall.EMFILE:       "too many files are open: raise the limit with ulimit -n",
		syscall.ENOTDIR:      "a file stands where the name needs a folder: a directory cannot hold both, remove the file",
		syscall.EISDIR:       "a folder stands where the object belongs: a directory cannot hold both, remove the folder",
		syscall.ENAMETOOLONG: "the path is too long for the file system: choose a directory with a shorter path",
	}
	var number syscall.Errno
	if errors.As(err, &number) && advice[number] != "" {
		return fmt.Errorf("%s (%w)", advice[number], err)
	}
	return err
}
