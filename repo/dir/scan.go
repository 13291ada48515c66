package dir

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// file is a package file that was found. Its path is relative to the directory, with slashes. Size and time are known when
// somebody has looked: see look and open.
type file struct {
	path  string
	size  int64
	mtime time.Time
}

func notRegular(name string) error { return fmt.Errorf("%s: is not a regular file", name) }

// look asks the file system for sizes and times, on all processors, since of what an update of many packages does it
// takes the longest. Files that are not there any more have none, which is no file's: opening them tells why.
func (r *run) look(files []file) {
	const some = 64 // files are claimed at a time
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		group.Go(func() {
			for {
				end := int(next.Add(some))
				if end-some >= len(files) {
					return
				}
				for i := end - some; i < min(end, len(files)); i++ {
					if info, err := os.Stat(filepath.Join(r.root, filepath.FromSlash(files[i].path))); err == nil {
						files[i].size, files[i].mtime = info.Size(), info.ModTime()
					}
				}
			}
		})
	}
	group.Wait()
}

// open opens a package file and notes its size and time. What was a file may have become a FIFO, so it does not wait for
// a writer of one.
func (r *run) open(f *file) (*os.File, error) {
	in, err := os.OpenFile(filepath.Join(r.root, filepath.FromSlash(f.path)), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := in.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(f.path)
	}
	if err != nil {
		in.Close()
		return nil, err
	}
	f.size, f.mtime = info.Size(), info.ModTime()
	return in, nil
}

// format is what a deb and a rpm repository differ in.
type format struct {
	name string
	// reader makes a function that reads packages, one for each goroutine. Parts are what a record consists of.
	reader func() reader
	// compare orders entries, in the end by their paths; same tells whether a client could not tell two of them apart that follow each other.
	compare func(a, b *entry) int
	same    func(a, b *entry) bool
	// variant is what records depend on besides the package.
	variant string
	write   func(context.Context, *book) error
}

type reader func(in io.ReaderAt, f file) (e entry, parts [][]byte, err error)

// entry is what is held of each package. Its record is elsewhere: see book.
type entry struct {
	file
	sum                 [sha256.Size]byte
	name, version, arch string
	parts               [3]int32 // lengths of the parts of its record
	old                 bool     // whether the record is in the state, and not among the new ones
	at                  int64    // where the record begins there
}

func (e *entry) length() (n int64) {
	for _, p := range e.parts {
		n += int64(p)
	}
	return n
}

// book is the packages of one format, sorted, with their records.
type book struct {
	format  format
	entries []*entry
	fresh   *spill
	state   *state
}

func (b *book) close() {
	if b.fresh != nil {
		b.fresh.file.Close()
	}
	b.state.close()
}

// read fills the book with the files of its format.
func (r *run) read(ctx context.Context, b *book, files []file) (err error) {
	if b.fresh, err = r.draft.spill(); err != nil {
		return err
	}
	var unknown []file
	for _, file := range files {
		if e, ok := b.state.entry(file); ok {
			b.entries = append(b.entries, e)
		} else {
			unknown = append(unknown, file)
		}
	}
	if err := r.readAll(ctx, b, unknown); err != nil {
		return err
	}
	b.sort(r)
	return nil
}

// mostReaders is how many packages are read at a time at most. Each can take some 17 MB to unpack what a package has been
// packed with in the usual way.
const mostReaders = 8

// oneLarge waits until no package is read that takes more memory than usual, and begins one.
func (r *run) oneLarge() (done func()) {
	r.large.Lock()
	return func() {
		debug.FreeOSMemory() // or what one has left would be there beside what the next one takes
		r.large.Unlock()
	}
}

// readAll reads packages on all processors. What is wrong with packages is noted in the order of their paths.
func (r *run) readAll(ctx context.Context, b *book, files []file) error {
	type refusal struct {
		path string
		err  error
	}
	var mu sync.Mutex // guards what follows, and the book
	var refused []refusal
	done, bytes := 0, int64(0)
	take := func(f file, e entry, parts [][]byte, err error) error {
		mu.Lock()
		defer mu.Unlock()
		done, bytes = done+1, bytes+f.size
		if r.Progress != nil {
			r.Progress(done, len(files), bytes)
		}
		if machine(err) {
			return err
		}
		if err != nil {
			refused = append(refused, refusal{f.path, err})
			return nil
		}
		e.file = f
		for i, p := range parts {
			e.parts[i] = int32(len(p))
		}
		if e.at, err = b.fresh.add(parts); err != nil {
			return err
		}
		b.entries = append(b.entries, &e)
		return nil
	}
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), mostReaders, len(files)) {
		group.Go(func() error {
			read := b.format.reader()
			for {
				i := next.Add(1) - 1
				if i >= int64(len(files)) {
					return nil
				}
				if err := context.Cause(ctx); err != nil {
					return err
				}
				e, parts, err := r.readOne(read, &files[i])
				if err := take(files[i], e, parts, err); err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	slices.SortFunc(refused, func(a, b refusal) int { return cmp.Compare(a.path, b.path) })
	for _, x := range refused {
		r.refuse(x.err)
	}
	return b.fresh.flush()
}

// machine tells whether an error says nothing of a package, but that this machine cannot read it now, such as EIO. Were it
// taken for the package's, SkipInvalid would publish an index without it.
func machine(err error) bool {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return false
	}
	switch number {
	case syscall.ENOENT, syscall.EACCES, syscall.EPERM, syscall.ELOOP, syscall.ENOTDIR, syscall.ENXIO:
		return false // it is gone, or is not for us to read
	}
	return true
}

func (r *run) readOne(read reader, from *file) (entry, [][]byte, error) {
	in, err := r.open(from)
	if err != nil {
		return entry{}, nil, err
	}
	defer in.Close()
	return read(in, *from)
}

// sort orders the entries, and leaves out those that clients could not tell from the one before: a copy of it can be
// done without, and anything else is refused.
func (b *book) sort(r *run) {
	slices.SortFunc(b.entries, b.format.compare)
	kept := b.entries[:0]
	for _, e := range b.entries {
		if n := len(kept); n > 0 && b.format.same(kept[n-1], e) {
			if before := kept[n-1]; before.sum == e.sum {
				r.copy(e.path, before.path)
			} else {
				r.refuse(fmt.Errorf("%s: is %s %s for %s, which %s is, too, with other bytes: clients cannot tell them apart, so "+
					"remove one", e.path, e.name, e.version, e.arch, before.path))
			}
			continue
		}
		if !e.old {
			r.result.Read++
		}
		kept = append(kept, e)
	}
	b.entries = kept
}

// record returns the parts of an entry's record. They are good until the next call.
func (b *book) record(e *entry) (parts [3][]byte, err error) {
	var data []byte
	if e.old {
		if data, err = b.state.record(e.at, e.length()); err != nil {
			err = fmt.Errorf("%w: %w", errState, err)
		}
	} else {
		data, err = b.fresh.record(e.at, e.length())
	}
	if err != nil {
		return parts, fmt.Errorf("the record of %s: %w", e.path, err)
	}
	for i, n := range e.parts {
		parts[i], data = data[:n:n], data[n:]
	}
	return parts, nil
}

// spill is the file of new records.
type spill struct {
	file    *os.File
	pending bytes.Buffer
	written int64
	buffer  []byte
}

const spillBuffer = 1 << 20

func (s *spill) add(parts [][]byte) (at int64, err error) {
	at = s.written + int64(s.pending.Len())
	for _, p := range parts {
		s.pending.Write(p)
	}
	if s.pending.Len() >= spillBuffer {
		err = s.flush()
	}
	return at, err
}

func (s *spill) flush() error {
	n, err := s.file.WriteAt(s.pending.Bytes(), s.written)
	s.written += int64(n)
	s.pending.Reset()
	return err
}

func (s *spill) record(at, length int64) ([]byte, error) {
	if int64(cap(s.buffer)) < length {
		s.buffer = make([]byte, length)
	}
	s.buffer = s.buffer[:length]
	_, err := s.file.ReadAt(s.buffer, at)
	return s.buffer, err
}

// unhex reads a digest in hex, which a reader of packages has made.
func unhex(s string) (sum [sha256.Size]byte) {
	hex.Decode(sum[:], []byte(s))
	return sum
}
