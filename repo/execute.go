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
	"sync/atomic"
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
	// Orphan says that no publication of the stream ever named the object, and Serial is the last one that did; they are
	// only told of packages.
	Orphan bool
	Serial int64
}

func (e *ImmutableError) Error() string {
	text := fmt.Sprintf("%s exists with SHA-256 %s and must not be replaced by %s", e.Name, e.Have, e.Want)
	switch {
	case e.Orphan:
		text += ": no publication ever named it, so a run left it that died: raise the revision in the configuration, or let `pkgs gc` delete it, which takes its time"
	case e.Serial > 0:
		text += fmt.Sprintf(": serial %d named it, and what was published never changes: raise the revision in the configuration", e.Serial)
	}
	return text
}

// Execute carries out a plan. The package comment says in what order and why. It returns nil when the stream is live as
// planned, or was overtaken by a newer publication after the commit. After an error, executing a newly made plan goes on
// from where this one stopped.
func (p *Publisher) Execute(ctx context.Context, plan *Plan) error {
	if _, unsigned := plan.signer.(*draft); unsigned {
		return errors.New("this plan is not signed yet: have its request signed first")
	}
	run := &execution{Publisher: p, plan: plan, content: map[string]bucket.Content{}, seen: plan.seen}
	run.progress = Progress{Stream: plan.Stream, TotalObjects: len(plan.Writes), TotalBytes: plan.Bytes()}
	for _, w := range plan.Writes {
		if w.content.Open != nil {
			run.content[w.Name] = w.content
		}
	}

	if len(plan.hold) > 0 {
		if err := run.keep(ctx); err != nil {
			return err
		}
	}
	for _, w := range plan.lost {
		if err := run.createOne(ctx, w); err != nil {
			return err
		}
	}
	if len(plan.finish) > 0 {
		p.Log.Info("finish a publication that was cut off", "stream", plan.Stream, "serial", plan.base.Head.Serial)
		run.seen = newSightings() // those of the plan may be what is overwritten now
		if err := run.project(ctx, plan.base.Head, plan.finish); err != nil {
			return err
		}
	}
	if plan.Reason == "" {
		return nil
	}
	if err := run.create(ctx); err != nil {
		return err
	}
	if err := run.commit(ctx); err != nil {
		return err
	}
	p.Log.Info("committed", "stream", plan.Stream, "serial", plan.Serial)
	return run.project(ctx, plan.head, plan.project)
}

// execution is one run of Execute.
type execution struct {
	*Publisher
	plan    *Plan
	content map[string]bucket.Content // of the objects that the plan writes anew, by name
	seen    *sightings                // of pointers, from before the commit

	listing sync.Once // guards what follows
	list    *marks
	listErr error

	mu       sync.Mutex
	progress Progress // guarded by mu
	taken    []string // guarded by mu; attestations that exist with other bytes
}

// keep makes sure that the objects which an earlier publication left, and which the plan relies on, stay.
func (run *execution) keep(ctx context.Context) error {
	if err := run.hold(ctx, run.plan.Stream, run.plan.hold); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(run.Parallel)
	for _, name := range run.plan.hold {
		group.Go(func() error {
			_, err := run.Bucket.Stat(ctx, name)
			if errors.Is(err, bucket.ErrNotExist) {
				err = fmt.Errorf("%w: it was deleted since the plan was made, because nothing named it: plan again", err)
			}
			return err
		})
	}
	return group.Wait()
}

// create writes the immutable objects, many at a time, and after them the manifests which say that they are there, one at a
// time and the oldest first: what a manifest names is never newer than the manifest. Along with the objects it looks at the
// pointers that will be overwritten.
func (run *execution) create(ctx context.Context) error {
	var manifests []Write
	var tasks []func(context.Context) error
	for _, w := range run.plan.Writes {
		switch {
		case !w.Class.Policy().Immutable || run.putBack(w.Name):
		case strings.HasPrefix(w.Name, run.plan.Stream.Manifests()):
			manifests = append(manifests, w)
		default:
			tasks = append(tasks, func(ctx context.Context) error { return run.createOne(ctx, w) })
		}
	}
	for _, pointer := range run.plan.project {
		if _, ok := run.seen.of(pointer.Name); !ok {
			tasks = append(tasks, func(ctx context.Context) error { return run.look(ctx, pointer.Name) })
		}
	}
	err := run.together(ctx, tasks)
	if err == nil && len(run.taken) > 0 {
		slices.Sort(run.taken)
		err = &TakenError{Stream: run.plan.Stream, Names: run.taken}
	}
	for _, w := range manifests {
		if err == nil {
			err = run.createOne(ctx, w)
		}
	}
	return err
}

// together does tasks, some at a time, until one fails. What does one goes on with the next: the stacks that the clients of
// stores need are large, and grow slowly. Half as many begin as there may be, and each brings another when it is done with
// its first task: those that wait for a new connection hold in memory what they will send.
func (run *execution) together(ctx context.Context, tasks []func(context.Context) error) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	one := func() (more bool, err error) {
		i := int(next.Add(1)) - 1
		if i >= len(tasks) {
			return false, nil
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		return true, tasks[i](ctx)
	}
	work := func() error {
		for {
			if more, err := one(); !more || err != nil {
				return err
			}
		}
	}
	for n := range min((run.Parallel+1)/2, len(tasks)) {
		group.Go(func() error {
			more, err := one()
			if !more || err != nil {
				return err
			}
			if n < run.Parallel/2 {
				group.Go(work)
			}
			return work()
		})
	}
	return group.Wait()
}

// putBack tells whether an object was one of those that the bucket had lost.
func (run *execution) putBack(name string) bool {
	return slices.ContainsFunc(run.plan.lost, func(w Write) bool { return w.Name == name })
}

// createOne creates an immutable object. When the store refuses it or gives no clear answer, what is there decides: the
// same bytes are a success, whoever wrote them.
//
// An object that was there before may be one that nothing names and that is to be deleted. So it is taken off the list of
// those, and looked for once more.
func (run *execution) createOne(ctx context.Context, w Write) error {
	for tries := 1; ; tries++ {
		err := run.write(ctx, w)
		if err == nil {
			return nil
		}
		marked, readErr := run.marked(ctx, w.Name)
		have := ""
		if readErr == nil {
			have, readErr = digestIn(ctx, run.Bucket, w.Name)
		}
		switch {
		case errors.Is(readErr, bucket.ErrNotExist) && errors.Is(err, bucket.ErrCondition) && tries < 3:
			continue // it was deleted in the meantime
		case readErr != nil && errors.Is(err, bucket.ErrCondition):
			return readErr
		case readErr != nil:
			return err
		case have != w.SHA256:
			return run.conflict(ctx, w, have)
		case !marked:
			run.done(w.Size)
			return nil
		}
		if err := run.hold(ctx, run.plan.Stream, []string{w.Name}); err != nil {
			return err
		}
		if _, err := run.Bucket.Stat(ctx, w.Name); !errors.Is(err, bucket.ErrNotExist) || tries >= 3 {
			return err
		}
	}
}

// conflict tells what it means that an object exists with other bytes. Attestations are only noted, unless they come from
// another bucket: then the manifest has been made already.
func (run *execution) conflict(ctx context.Context, w Write, have string) error {
	e := &ImmutableError{Name: w.Name, Want: w.SHA256, Have: have}
	switch {
	case w.Class == layout.Attestation && w.origin == nil:
		run.mu.Lock()
		defer run.mu.Unlock()
		run.taken = append(run.taken, w.Name)
		return nil
	case w.Class == layout.Package, w.Class == layout.Attestation:
		err := walk(ctx, run.Bucket, run.plan.base, func(m *Manifest, _ string) bool {
			if _, ok := m.object(w.Name); ok {
				e.Serial = m.Serial
			}
			return e.Serial == 0
		})
		e.Orphan = err == nil && e.Serial == 0
	}
	return e
}

// marked tells whether an object is on the list of those that nothing names. The list is read once: what is not on it then
// stays long enough for this publication.
func (run *execution) marked(ctx context.Context, name string) (bool, error) {
	run.listing.Do(func() { run.list, _, run.listErr = readMarks(ctx, run.Bucket, run.plan.Stream) })
	if run.listErr != nil {
		return false, run.listErr
	}
	return run.list.has(name), nil
}

// write creates an object from its content, or from where it is taken over.
func (run *execution) write(ctx context.Context, w Write) error {
	if w.origin != nil {
		return run.take(ctx, w)
	}
	_, err := run.put(ctx, w.Name, w.content, bucket.IfAbsent)
	return err
}

// digestIn finds the SHA-256 of an object of a bucket, by reading it where the store does not know.
func digestIn(ctx context.Context, b bucket.Bucket, name string) (string, error) {
	info, err := b.Stat(ctx, name)
	if err != nil || info.SHA256 != "" {
		return info.SHA256, err
	}
	r, _, err := b.Open(ctx, name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	return digestReader(r)
}

// commit replaces HEAD. An unclear answer is cleared up by reading HEAD back.
func (run *execution) commit(ctx context.Context) error {
	if age := run.Now().Sub(run.plan.made); age > maxPublish {
		return fmt.Errorf("stream %s: this plan was made %s ago, and objects that it relies on may be gone: run the command again", run.plan.Stream, age.Round(time.Minute))
	}
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

// put writes an object with the headers of its class and counts the progress.
func (run *execution) put(ctx context.Context, name string, content bucket.Content, condition bucket.Condition) (bucket.Info, error) {
	counted := int64(0) // of this write's bytes; each reading of them begins anew
	open := content.Open
	content.Open = func() (io.ReadCloser, error) {
		run.count(func(p *Progress) {
			p.Bytes -= counted
			counted = 0
		})
		r, err := open()
		return &countingReader{ReadCloser: r, run: run, counted: &counted}, err
	}
	run.count(func(p *Progress) { p.InFlight++ })
	info, err := run.Bucket.Put(ctx, name, content, putOptions(name, condition))
	run.count(func(p *Progress) {
		p.InFlight--
		p.Bytes -= counted
		if err == nil {
			p.Objects++
			p.Bytes += content.Size
		}
	})
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

// count changes the progress and reports it.
func (run *execution) count(change func(*Progress)) {
	run.mu.Lock()
	defer run.mu.Unlock()
	change(&run.progress)
	if run.Progress != nil {
		run.Progress(run.progress)
	}
}

// done counts an object that is there without a write of ours.
func (run *execution) done(size int64) {
	run.count(func(p *Progress) {
		p.Objects++
		p.Bytes += size
	})
}

// countingReader reports what is read through it as progress.
type countingReader struct {
	io.ReadCloser
	run     *execution
	counted *int64 // guarded by run.mu
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.run.count(func(p *Progress) {
		*c.counted += int64(n)
		p.Bytes += int64(n)
	})
	return n, err
}

// content is a package file on disk. It is opened when it is written, and the bucket checks what it reads against the
// digest under which the file was planned, so a file that changed in between is refused.
func (f *Files) content(name string, o Object) bucket.Content {
	return bucket.Content{
		Size: o.Size, SHA256: o.SHA256,
		Open: func() (io.ReadCloser, error) { return os.Open(f.paths[name]) },
	}
}
