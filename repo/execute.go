package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// RaceError says that somebody else published the stream between the reading of a plan's base and its commit. Nothing
// that clients see has changed by this run; planning again on top of the other's publication is all there is to do.
type RaceError struct {
	Stream layout.Stream
	Serial int64 // that was to be published
}

func (e *RaceError) Error() string {
	return fmt.Sprintf("stream %s: somebody else published serial %d in the meantime: run the command again to publish on top of it", e.Stream, e.Serial)
}

// ImmutableError says that an object which never changes exists with other bytes.
type ImmutableError struct {
	Name       string
	Want, Have string // SHA-256, lower-case hex
}

func (e *ImmutableError) Error() string {
	return fmt.Sprintf("%s exists with SHA-256 %s and must not be replaced by %s", e.Name, e.Have, e.Want)
}

// Execute carries out a plan. The package comment says in what order and why. It returns nil when the stream is live as
// planned, or was overtaken by a newer publication after the commit. After an error, executing a newly made plan goes on
// from where this one stopped.
func (p *Publisher) Execute(ctx context.Context, plan *Plan) error {
	run := &execution{Publisher: p, plan: plan, content: map[string]bucket.Content{}}
	run.progress = Progress{Stream: plan.Stream, TotalObjects: len(plan.Writes), TotalBytes: plan.Bytes()}
	for _, w := range plan.Writes {
		if w.content.Open != nil {
			run.content[w.Name] = w.content
		}
	}

	for _, w := range plan.lost {
		if err := run.createOne(ctx, w); err != nil {
			return err
		}
	}
	if len(plan.finish) > 0 {
		p.Log.Info("finish a publication that was cut off", "stream", plan.Stream, "serial", plan.base.Head.Serial)
		if err := run.project(ctx, plan.base.Head, plan.finish, nil); err != nil {
			return err
		}
	}
	if plan.Reason == "" {
		return nil
	}
	for _, class := range []layout.Class{layout.Package, layout.Attestation, layout.Hashed} {
		if err := run.create(ctx, class); err != nil {
			return err
		}
	}
	generations, err := run.generations(ctx)
	if err != nil {
		return err
	}
	if err := run.commit(ctx); err != nil {
		return err
	}
	p.Log.Info("committed", "stream", plan.Stream, "serial", plan.Serial)
	return run.project(ctx, plan.head, plan.project, generations)
}

// execution is one run of Execute.
type execution struct {
	*Publisher
	plan    *Plan
	content map[string]bucket.Content // of the objects that the plan writes anew, by name

	mu       sync.Mutex
	progress Progress // guarded by mu
}

// create writes the immutable objects of one class, many at a time, and manifests one at a time after all others of their
// class, the oldest first: what a manifest names is never newer than the manifest.
func (run *execution) create(ctx context.Context, class layout.Class) error {
	var manifests []Write
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(run.Parallel)
	for _, w := range run.plan.Writes {
		switch {
		case w.Class != class || run.putBack(w.Name):
		case strings.HasPrefix(w.Name, run.plan.Stream.Manifests()):
			manifests = append(manifests, w)
		default:
			group.Go(func() error { return run.createOne(inner, w) })
		}
	}
	err := group.Wait()
	for _, w := range manifests {
		if err == nil {
			err = run.createOne(ctx, w)
		}
	}
	return err
}

// putBack tells whether an object was one of those that the bucket had lost.
func (run *execution) putBack(name string) bool {
	return slices.ContainsFunc(run.plan.lost, func(w Write) bool { return w.Name == name })
}

// createOne creates an immutable object. When the store refuses it or gives no clear answer, what is there decides: the
// same bytes are a success, whoever wrote them.
func (run *execution) createOne(ctx context.Context, w Write) error {
	err := run.write(ctx, w)
	if err == nil {
		return nil
	}
	have, readErr := run.digestOf(ctx, w.Name)
	switch {
	case readErr != nil && errors.Is(err, bucket.ErrCondition):
		return readErr
	case readErr != nil:
		return err
	case have != w.SHA256:
		return &ImmutableError{Name: w.Name, Want: w.SHA256, Have: have}
	}
	return nil
}

// write creates an object from its content, or from where it is taken over.
func (run *execution) write(ctx context.Context, w Write) error {
	if w.origin != nil {
		return run.take(ctx, w)
	}
	_, err := run.put(ctx, w.Name, w.content, bucket.IfAbsent)
	return err
}

// digestOf finds the SHA-256 of an object, by reading it where the store does not know.
func (run *execution) digestOf(ctx context.Context, name string) (string, error) {
	info, err := run.Bucket.Stat(ctx, name)
	if err != nil || info.SHA256 != "" {
		return info.SHA256, err
	}
	r, _, err := run.Bucket.Open(ctx, name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	return digestReader(r)
}

// generations reads the generation of every pointer that will be projected after the commit.
func (run *execution) generations(ctx context.Context) (map[string]bucket.Generation, error) {
	var mu sync.Mutex
	found := map[string]bucket.Generation{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(run.Parallel)
	for _, pointer := range run.plan.project {
		group.Go(func() error {
			info, err := run.Bucket.Stat(ctx, pointer.Name)
			if err != nil && !errors.Is(err, bucket.ErrNotExist) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			found[pointer.Name] = info.Generation
			return nil
		})
	}
	return found, group.Wait()
}

// commit replaces HEAD. An unclear answer is cleared up by reading HEAD back.
func (run *execution) commit(ctx context.Context) error {
	name := run.plan.Stream.Head()
	_, err := run.put(ctx, name, run.content[name], bucket.IfGeneration(run.plan.base.Generation))
	if err == nil {
		return nil
	}
	// The answer may have been lost because ctx ended; what HEAD says now still matters to the caller.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	mine, readErr := run.isHead(ctx, run.plan.head)
	switch {
	case mine:
		return nil
	case readErr != nil:
		return fmt.Errorf("%w; whether serial %d was committed is unknown, since HEAD cannot be read: %w: run the command again to find out", err, run.plan.Serial, readErr)
	case errors.Is(err, bucket.ErrCondition):
		return &RaceError{Stream: run.plan.Stream, Serial: run.plan.Serial}
	}
	return err
}

// isHead tells whether HEAD is the one given.
func (run *execution) isHead(ctx context.Context, head Head) (bool, error) {
	data, _, err := readAll(ctx, run.Bucket, head.Stream.Head(), maxHead)
	if err != nil {
		return false, err
	}
	var now Head
	if err := decodeJSON(data, &now); err != nil {
		return false, err
	}
	return now.equal(&head), nil
}

// project brings pointers up to date with a committed head, in order. generations are those read before a moment at
// which HEAD was known to be head; a pointer that is not in them has its generation read here. It returns nil without
// doing the rest when head is no longer the stream's HEAD.
func (run *execution) project(ctx context.Context, head Head, pointers []Pointer, generations map[string]bucket.Generation) error {
	for _, pointer := range pointers {
		content, err := run.pointerContent(ctx, pointer, head.URL)
		if err != nil {
			return err
		}
		generation, known := generations[pointer.Name]
		for {
			if !known {
				info, err := run.Bucket.Stat(ctx, pointer.Name)
				if err != nil && !errors.Is(err, bucket.ErrNotExist) {
					return err
				}
				generation = info.Generation
				mine, err := run.isHead(ctx, head)
				if err != nil {
					return err
				}
				if !mine {
					run.Log.Info("a newer publication has taken over the pointers", "stream", head.Stream, "serial", head.Serial)
					return nil
				}
			}
			_, err = run.put(ctx, pointer.Name, content, bucket.IfGeneration(generation))
			if err == nil {
				break
			}
			if !errors.Is(err, bucket.ErrCondition) {
				return fmt.Errorf("%w: serial %d is committed, and any next run brings its pointers up to date", err, head.Serial)
			}
			known = false
		}
	}
	return nil
}

// pointerContent is the bytes of a pointer in the bucket with a public address: those of the plan, or, when an earlier
// publication is finished, those in its manifest or in the object that it is a copy of.
func (run *execution) pointerContent(ctx context.Context, pointer Pointer, url string) (bucket.Content, error) {
	if pointer.Copy == "" {
		_, data := pointer.in(url)
		return text(data), nil
	}
	if c, ok := run.content[pointer.Copy]; ok {
		return c, nil
	}
	data, err := hashed(ctx, run.Bucket, pointer.Copy, pointer.SHA256)
	return text(data), err
}

// put writes an object with the headers of its class and counts the progress.
func (run *execution) put(ctx context.Context, name string, content bucket.Content, condition bucket.Condition) (bucket.Info, error) {
	open := content.Open
	content.Open = func() (io.ReadCloser, error) {
		r, err := open()
		return &countingReader{ReadCloser: r, run: run}, err
	}
	info, err := run.Bucket.Put(ctx, name, content, putOptions(name, condition))
	if err == nil {
		run.count(1, 0)
	}
	return info, err
}

// putOptions are the headers of an object's class and the condition of a write.
func putOptions(name string, condition bucket.Condition) bucket.PutOptions {
	return bucket.PutOptions{
		ContentType:  layout.ContentType(name),
		CacheControl: layout.ClassOf(name).Policy().CacheControl,
		Condition:    condition,
	}
}

func (run *execution) count(objects int, bytes int64) {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.progress.Objects += objects
	run.progress.Bytes = min(run.progress.Bytes+bytes, run.progress.TotalBytes)
	if run.Progress != nil {
		run.Progress(run.progress)
	}
}

// countingReader reports what is read through it as progress.
type countingReader struct {
	io.ReadCloser
	run *execution
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.run.count(0, int64(n))
	return n, err
}

// unfinished finds the pointers of the live publication that do not have the bytes which its manifest gives them. The
// pointers are written in order, so when the last one is right they all are: one read when there is nothing to do. With
// all, none is taken for right without a look.
func (p *Publisher) unfinished(ctx context.Context, state *State, all bool) ([]Pointer, error) {
	pointers := state.Manifest.Pointers
	if len(pointers) == 0 {
		return nil, nil
	}
	var found []Pointer
	for i := len(pointers) - 1; i >= 0; i-- {
		want, _ := pointers[i].in(state.Head.URL)
		ok, err := p.hasBytes(ctx, want)
		if err != nil {
			return nil, err
		}
		if i == len(pointers)-1 && ok && !all {
			return nil, nil
		}
		if !ok {
			found = append([]Pointer{pointers[i]}, found...)
		}
	}
	return found, nil
}

func (p *Publisher) hasBytes(ctx context.Context, o Object) (bool, error) {
	r, _, err := p.Bucket.Open(ctx, o.Name)
	if errors.Is(err, bucket.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer r.Close()
	have, err := digestReader(r)
	return have == o.SHA256, err
}

// content is a package file on disk. It is opened when it is written, and the bucket checks what it reads against the
// digest under which the file was planned, so a file that changed in between is refused.
func (f *Files) content(name string, o Object) bucket.Content {
	return bucket.Content{
		Size: o.Size, SHA256: o.SHA256,
		Open: func() (io.ReadCloser, error) { return os.Open(f.paths[name]) },
	}
}
