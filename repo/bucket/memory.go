package bucket

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Memory is a bucket in memory, for tests. It can fail in the ways that real ones do: see [Fault].
type Memory struct {
	// Fault, if it is not nil, is asked before each operation (stat, open, put, list, delete) what is to happen to it.
	// It may be called concurrently, may wait, and may use the bucket itself. It must be set before the bucket is used.
	Fault func(op, name string) Fault
	// Clock gives the time at which an object counts as modified; nil is a clock that goes one second further with
	// each write, from 2000 on.
	Clock func() time.Time

	mu      sync.Mutex
	objects map[string]object // guarded by mu; their bytes are never changed
	writes  int64             // guarded by mu
	counts  map[string]int    // guarded by mu
}

// Fault is what happens to one operation.
type Fault int

const (
	// OK is no fault.
	OK Fault = iota
	// NotApplied fails the operation before it did anything.
	NotApplied
	// Applied does a put or delete and then reports that it failed, as a connection does that breaks while the answer
	// is on its way. Other operations just fail.
	Applied
	// Partial lets an open succeed whose reader breaks halfway, and a list end halfway with an error. A put and a
	// delete fail without effect: objects never appear in part.
	Partial
)

// InjectedError is what an operation fails with that a Fault was chosen for.
type InjectedError struct{ Fault Fault }

func (e *InjectedError) Error() string {
	switch e.Fault {
	case Applied:
		return "injected fault: the answer was lost"
	case Partial:
		return "injected fault: the connection broke halfway"
	}
	return "injected fault: the operation was not applied"
}

type object struct {
	data []byte
	info Info
}

// NewMemory makes an empty bucket.
func NewMemory() *Memory {
	return &Memory{objects: map[string]object{}, counts: map[string]int{}}
}

func (m *Memory) String() string { return "memory://" }

// Counts tells how often each operation was called, by its name.
func (m *Memory) Counts() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.counts)
}

// Clone copies the bucket as it is now, without its Fault: what a crash at this moment would leave behind.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Memory{Clock: m.Clock, objects: maps.Clone(m.objects), writes: m.writes, counts: map[string]int{}}
}

// begin counts an operation and asks for its fault. It returns the error with which the operation ends before it
// begins.
func (m *Memory) begin(ctx context.Context, op, name string, check func(string) error) (Fault, error) {
	if err := check(name); err != nil {
		return OK, m.fail(op, name, err)
	}
	if err := ctx.Err(); err != nil {
		return OK, m.fail(op, name, err)
	}
	m.mu.Lock()
	m.counts[op]++
	m.mu.Unlock()
	fault := OK
	if m.Fault != nil {
		fault = m.Fault(op, name)
	}
	if fault == NotApplied {
		return fault, m.fail(op, name, &InjectedError{fault})
	}
	return fault, nil
}

func (m *Memory) fail(op, name string, err error) error {
	return &Error{Bucket: m.String(), Name: name, Op: op, Err: err}
}

// Stat implements [Bucket].
func (m *Memory) Stat(ctx context.Context, name string) (Info, error) {
	o, fault, err := m.look(ctx, "stat", name)
	if err == nil && fault != OK {
		err = m.fail("stat", name, &InjectedError{fault})
	}
	return o.info, err
}

// Open implements [Bucket].
func (m *Memory) Open(ctx context.Context, name string) (io.ReadCloser, Info, error) {
	o, fault, err := m.look(ctx, "open", name)
	switch {
	case err != nil:
		return nil, Info{}, err
	case fault == Applied:
		return nil, Info{}, m.fail("open", name, &InjectedError{fault})
	case fault == Partial:
		half := io.MultiReader(bytes.NewReader(o.data[:len(o.data)/2]), brokenReader{m.fail("read", name, &InjectedError{fault})})
		return io.NopCloser(half), o.info, nil
	}
	return io.NopCloser(bytes.NewReader(o.data)), o.info, nil
}

type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) { return 0, r.err }

// look finds an object.
func (m *Memory) look(ctx context.Context, op, name string) (object, Fault, error) {
	fault, err := m.begin(ctx, op, name, checkName)
	if err != nil {
		return object{}, fault, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[name]
	if !ok {
		return object{}, fault, m.fail(op, name, ErrNotExist)
	}
	return o, fault, nil
}

// Put implements [Bucket].
func (m *Memory) Put(ctx context.Context, name string, content Content, options PutOptions) (Info, error) {
	fault, err := m.begin(ctx, "put", name, checkName)
	if err == nil && fault == Partial {
		err = m.fail("put", name, &InjectedError{fault})
	}
	if err != nil {
		return Info{}, err
	}
	var data bytes.Buffer
	if err := copyContent(ctx, &data, content); err != nil {
		return Info{}, m.fail("put", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.objects[name]
	if want, ok := wanted(options.Condition); ok && want != old.info.Generation {
		return Info{}, m.fail("put", name, ErrCondition)
	}
	m.writes++
	modified := time.Date(2000, 1, 1, 0, 0, int(m.writes), 0, time.UTC)
	if m.Clock != nil {
		modified = m.Clock()
	}
	info := Info{Name: name, Size: content.Size, Generation: Generation(strconv.FormatInt(m.writes, 10)), SHA256: content.SHA256,
		Modified: modified, ContentType: options.ContentType, CacheControl: options.CacheControl}
	m.objects[name] = object{data.Bytes(), info}
	if fault == Applied {
		return Info{}, m.fail("put", name, &InjectedError{fault})
	}
	return info, nil
}

// List implements [Bucket]. It lists the bucket as it was when the listing began.
func (m *Memory) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		fault, err := m.begin(ctx, "list", prefix, checkPrefix)
		if err == nil && fault == Applied {
			err = m.fail("list", prefix, &InjectedError{fault})
		}
		if err != nil {
			yield(Info{}, err)
			return
		}
		m.mu.Lock()
		var infos []Info
		for name, o := range m.objects {
			if strings.HasPrefix(name, prefix) {
				infos = append(infos, o.info)
			}
		}
		m.mu.Unlock()
		slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
		for i, info := range infos {
			if err := ctx.Err(); err != nil {
				yield(Info{}, m.fail("list", prefix, err))
				return
			}
			if fault == Partial && i >= len(infos)/2 {
				break
			}
			if !yield(info, nil) {
				return
			}
		}
		if fault == Partial {
			yield(Info{}, m.fail("list", prefix, &InjectedError{fault}))
		}
	}
}

// Delete implements [Bucket].
func (m *Memory) Delete(ctx context.Context, name string, generation Generation) error {
	fault, err := m.begin(ctx, "delete", name, checkName)
	if err == nil && fault == Partial {
		err = m.fail("delete", name, &InjectedError{fault})
	}
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if o, ok := m.objects[name]; ok {
		if o.info.Generation != generation {
			return m.fail("delete", name, ErrCondition)
		}
		delete(m.objects, name)
	}
	if fault == Applied {
		return m.fail("delete", name, &InjectedError{fault})
	}
	return nil
}

// Corrupt changes an object's bytes behind everybody's back, keeping its generation, as a broken disk or an intruder
// would.
func (m *Memory) Corrupt(name string, change func([]byte) []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[name]
	if !ok {
		return fmt.Errorf("corrupt %s: %w", name, ErrNotExist)
	}
	o.data = change(bytes.Clone(o.data))
	o.info.Size = int64(len(o.data))
	m.objects[name] = o
	return nil
}
