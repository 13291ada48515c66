package dir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

const (
	stateFolder = ".pkgs"
	newFolder   = stateFolder + "/new"
)

// lock keeps other runs away from the directory until unlock is called, or the process ends.
func lock(root string) (unlock func(), err error) {
	d, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	if info, err := d.Stat(); err != nil || !info.IsDir() {
		d.Close()
		return nil, errors.Join(err, fmt.Errorf("%s is not a directory", root))
	}
	for {
		err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("%s is being indexed by another process: try again when it is done", root)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return func() { d.Close() }, nil
}

// draft is the files of a run before they have their names.
type draft struct {
	root  string
	next  int
	moves []move
	state []move // last of all: they help the next run, and nobody else
	// gone are files that must not be there any more, removed before anything is moved; stale are those that no client
	// needs, removed at the end.
	gone, stale []string
}

// move gives the file temporary, in the folder of new files, the name to. With link the file keeps its other name.
type move struct {
	temporary, to string
	link          bool
}

// newDraft makes the folder of new files. Whatever a run that was killed has left in it goes.
func newDraft(root string) (*draft, error) {
	d := &draft{root: root}
	if err := os.RemoveAll(d.path(newFolder)); err != nil {
		return nil, err
	}
	return d, os.MkdirAll(d.path(newFolder), 0o755)
}

// remove undoes newDraft.
func (d *draft) remove() {
	os.RemoveAll(d.path(newFolder))
	os.Remove(d.path(stateFolder)) // unless there is a state in it
}

func (d *draft) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

// create makes a new file, which is not moved anywhere yet.
func (d *draft) create() (*os.File, error) {
	d.next++
	return os.OpenFile(d.path(newFolder+"/"+strconv.Itoa(d.next)), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
}

// now is the time of the file system, whose clock may not be ours.
func (d *draft) now() (time.Time, error) {
	f, err := d.create()
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), os.Remove(f.Name())
}

// spill makes a file that is gone when it is closed.
func (d *draft) spill() (*spill, error) {
	f, err := d.create()
	if err != nil {
		return nil, err
	}
	return &spill{file: f}, os.Remove(f.Name())
}

// move has a file that create made get the name to when all is done. A name that has a digest in it is a link to the
// file, which can have another name besides.
func (d *draft) move(f *os.File, to string, link bool) {
	d.moves = append(d.moves, move{filepath.Base(f.Name()), to, link})
}

// text is move for a small file.
func (d *draft) text(to string, data []byte) error {
	f, err := d.create()
	if err != nil {
		return err
	}
	d.move(f, to, false)
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// keep has the files of a folder go at the end that are neither named nor among those that are written. Only those are
// touched whose names are of the form that want describes.
func (d *draft) keep(folder string, want, named func(name string) bool) error {
	entries, err := os.ReadDir(d.path(folder))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		written := slices.ContainsFunc(d.moves, func(m move) bool { return m.to == name })
		if e.Type().IsRegular() && want(e.Name()) && !written && !named(e.Name()) {
			d.stale = append(d.stale, name)
		}
	}
	return nil
}

// read returns a small file of the directory, nothing where it is not there.
func (d *draft) read(name string) ([]byte, error) {
	f, err := os.Open(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const most = 16 << 20
	return io.ReadAll(io.LimitReader(f, most))
}

// commit gives the files their names, in the order in which they were moved.
func (d *draft) commit() (written, removed []string, err error) {
	remove := func(names []string) error {
		for _, name := range names {
			err := os.Remove(d.path(name))
			if err == nil {
				removed = append(removed, name)
				d.prune(path.Dir(name))
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}
	for _, m := range slices.Concat(d.moves, d.state) {
		if err := os.MkdirAll(d.path(path.Dir(m.to)), 0o755); err != nil {
			return nil, nil, err
		}
	}
	if err := remove(d.gone); err != nil {
		return written, removed, err
	}
	for _, m := range slices.Concat(d.moves, d.state) {
		if err := d.carryOut(m); err != nil {
			return written, removed, err
		}
		if path.Dir(m.to) != stateFolder {
			written = append(written, m.to)
		}
	}
	return written, removed, remove(d.stale)
}

// prune removes folders that are empty, from the inside out.
func (d *draft) prune(folder string) {
	for ; folder != "." && os.Remove(d.path(folder)) == nil; folder = path.Dir(folder) {
	}
}

func (d *draft) carryOut(m move) error {
	from, to := d.path(newFolder+"/"+m.temporary), d.path(m.to)
	if !m.link {
		return os.Rename(from, to)
	}
	if err := os.Link(from, to+".new"); err != nil { // a file system without links
		return copyFile(from, to)
	}
	return os.Rename(to+".new", to)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to + ".new")
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(out.Name(), to)
	}
	if err != nil {
		os.Remove(out.Name())
	}
	return err
}
