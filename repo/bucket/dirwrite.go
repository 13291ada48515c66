package bucket

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

const (
	lockName  = reserved + "/lock"
	newFolder = reserved + "/new"
)

// Put implements [Bucket].
func (d *Dir) Put(ctx context.Context, name string, content Content, options PutOptions) (Info, error) {
	info, err := d.put(ctx, name, content, options.Condition)
	if err != nil {
		return Info{}, d.fail("put", name, err)
	}
	return info, nil
}

func (d *Dir) put(ctx context.Context, name string, content Content, condition Condition) (Info, error) {
	if err := checkName(name); err != nil {
		return Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return Info{}, err
	}
	root, err := d.open(true)
	if err != nil {
		return Info{}, err
	}
	// A look ahead spares the writing of what will be refused. What counts is the look under the lock.
	if err := d.checkCondition(root, name, condition); err != nil {
		return Info{}, err
	}
	if err := d.sweep(root); err != nil {
		return Info{}, err
	}
	file, temporary, err := create(root)
	if err != nil {
		return Info{}, err
	}
	defer file.Close()
	defer func() { _ = root.Remove(temporary) }() // it is gone already if it was renamed
	if err := copyContent(ctx, &earlyWriter{file: file}, content); err != nil {
		return Info{}, err
	}
	if err := file.Sync(); err != nil {
		return Info{}, err
	}
	stat, err := file.Stat()
	if err != nil {
		return Info{}, err
	}

	unlock, err := d.lock(ctx, root)
	if err != nil {
		return Info{}, err
	}
	defer unlock()
	if err := d.checkCondition(root, name, condition); err != nil {
		return Info{}, err
	}
	if err := makeFolders(root, path.Dir(name)); err != nil {
		return Info{}, err
	}
	if err := move(root, temporary, name, condition == IfAbsent); err != nil {
		return Info{}, err
	}
	if err := syncFolder(root, path.Dir(name)); err != nil {
		return Info{}, err
	}
	return Info{Name: name, Size: content.Size, Generation: generation(stat, content.SHA256), SHA256: content.SHA256, Modified: stat.ModTime().UTC()}, nil
}

// earlyWriter writes to a file that will be synced. The disk begins while more is being written, so that there is less to wait
// for at the end.
type earlyWriter struct {
	file     *os.File
	at, told int64
}

// earlyPiece is how much is left to the disk at once.
const earlyPiece = 4 << 20

func (w *earlyWriter) Write(b []byte) (int, error) {
	n, err := w.file.Write(b)
	if w.at += int64(n); w.at-w.told >= earlyPiece {
		startWriting(w.file, w.told, w.at-w.told)
		w.told = w.at
	}
	return n, err
}

// checkCondition refuses a write whose condition does not hold, or that no directory could do.
func (d *Dir) checkCondition(root *os.Root, name string, condition Condition) error {
	if stat, err := root.Lstat(name); err == nil && stat.IsDir() {
		return syscall.EISDIR
	} else if errors.Is(err, syscall.ENOTDIR) {
		return err
	}
	r, info, err := d.readFile(root, name)
	if err == nil {
		r.Close()
	} else if !errors.Is(err, ErrNotExist) {
		return err
	}
	if want, ok := wanted(condition); ok && want != info.Generation {
		return ErrCondition
	}
	return nil
}

// create makes a new file for a write and takes its lock, which tells others that it is being written.
func create(root *os.Root) (*os.File, string, error) {
	if err := makeFolders(root, newFolder); err != nil {
		return nil, "", err
	}
	for {
		name := newFolder + "/" + rand.Text()
		file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return nil, "", err
		}
		err = flock(file)
		if err == nil && isAt(root, file, name) {
			return file, name, nil
		}
		file.Close()
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = root.Remove(name)
			return nil, "", err
		}
		// Somebody swept the file away before it was locked.
	}
}

// sweep removes the files that writers have left which are no more: those that nobody holds the lock of. It does so
// once in the life of a Dir.
func (d *Dir) sweep(root *os.Root) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.swept {
		return nil
	}
	entries, err := fs.ReadDir(root.FS(), newFolder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		name := newFolder + "/" + e.Name()
		file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue // finished meanwhile, or somebody else's
		}
		if flock(file) == nil {
			_ = root.Remove(name)
		}
		file.Close()
	}
	d.swept = true
	return nil
}

// lock waits until nobody else moves files in the directory, in this process or another.
func (d *Dir) lock(ctx context.Context, root *os.Root) (unlock func(), err error) {
	select {
	case <-d.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done := func() { d.turn <- struct{}{} }
	defer func() {
		if err != nil {
			done()
		}
	}()
	if err := makeFolders(root, reserved); err != nil {
		return nil, err
	}
	pause := time.Millisecond
	for {
		file, err := root.OpenFile(lockName, os.O_RDONLY|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		err = flock(file)
		if err == nil && isAt(root, file, lockName) {
			return func() { file.Close(); done() }, nil
		}
		file.Close()
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for another process that writes to the bucket: %w", ctx.Err())
		case <-time.After(pause):
			pause = min(2*pause, 50*time.Millisecond)
		}
	}
}

// flock takes the lock of a file, or fails with EWOULDBLOCK if another has it. It ends with the file's closing, or its
// process.
func flock(file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch err {
		case syscall.EINTR:
			continue
		case nil, syscall.EWOULDBLOCK:
			return err
		}
		return fmt.Errorf("the file system cannot lock files, choose a directory on another: %w", err)
	}
}

// isAt tells whether a file is still the one with a name.
func isAt(root *os.Root, file *os.File, name string) bool {
	a, err := file.Stat()
	if err != nil {
		return false
	}
	b, err := root.Lstat(name)
	return err == nil && os.SameFile(a, b)
}

// makeFolders makes a folder and those above it, and lets each survive a crash.
func makeFolders(root *os.Root, folder string) error {
	if folder == "." {
		return nil
	}
	parent := "."
	for segment := range strings.SplitSeq(folder, "/") {
		this := path.Join(parent, segment)
		switch err := root.Mkdir(this, 0o755); {
		case err == nil:
			if err := syncFolder(root, parent); err != nil {
				return err
			}
		case !errors.Is(err, fs.ErrExist):
			return err
		default:
			if stat, err := root.Lstat(this); err != nil {
				return err
			} else if stat.Mode()&fs.ModeSymlink != 0 {
				return errSymlink
			} else if !stat.IsDir() {
				return &fs.PathError{Op: "mkdir", Path: this, Err: syscall.ENOTDIR}
			}
		}
		parent = this
	}
	return nil
}

// move gives a finished file its name. One that must not exist is linked there, which fails if it does after all.
func move(root *os.Root, temporary, name string, absent bool) error {
	if absent {
		err := root.Link(temporary, name)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrExist):
			return ErrCondition
		case !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOTSUP) && !errors.Is(err, syscall.ENOSYS):
			return err
		}
		// A file system without hard links. The lock keeps other writers of ours away.
	}
	return root.Rename(temporary, name)
}

// syncFolder writes a folder to the disk, with the names that were made or removed in it.
func syncFolder(root *os.Root, folder string) error {
	f, err := root.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

// Delete implements [Bucket]. Folders that become empty go too.
func (d *Dir) Delete(ctx context.Context, name string, generation Generation) error {
	return d.fail("delete", name, d.delete(ctx, name, generation))
}

func (d *Dir) delete(ctx context.Context, name string, generation Generation) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	root, err := d.open(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	unlock, err := d.lock(ctx, root)
	if err != nil {
		return err
	}
	defer unlock()
	r, info, err := d.readFile(root, name)
	if errors.Is(err, ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r.Close()
	if info.Generation != generation {
		return ErrCondition
	}
	if err := root.Remove(name); err != nil {
		return err
	}
	folder := path.Dir(name)
	for folder != "." && root.Remove(folder) == nil { // which fails where something is left
		folder = path.Dir(folder)
	}
	return syncFolder(root, folder)
}
