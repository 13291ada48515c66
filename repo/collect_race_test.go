package repo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
)

// stepped is a bucket on which operations that matter happen one at a time, when they are let.
type stepped struct {
	bucket.Bucket
	matters func(name string) bool
	let     func()
}

func (s *stepped) step(name string) {
	if s.matters(name) {
		s.let()
	}
}

func (s *stepped) Stat(ctx context.Context, name string) (bucket.Info, error) {
	s.step(name)
	return s.Bucket.Stat(ctx, name)
}

func (s *stepped) Open(ctx context.Context, name string) (io.ReadCloser, bucket.Info, error) {
	s.step(name)
	return s.Bucket.Open(ctx, name)
}

func (s *stepped) Put(ctx context.Context, name string, content bucket.Content, options bucket.PutOptions) (bucket.Info, error) {
	s.step(name)
	return s.Bucket.Put(ctx, name, content, options)
}

func (s *stepped) List(ctx context.Context, prefix string) iter.Seq2[bucket.Info, error] {
	s.step(prefix)
	return s.Bucket.List(ctx, prefix)
}

func (s *stepped) Delete(ctx context.Context, name string, generation bucket.Generation) error {
	s.step(name)
	return s.Bucket.Delete(ctx, name, generation)
}

// actor does something step by step.
type actor struct {
	turn, ready chan struct{}
	over        bool
}

// act starts an actor, which stands before its first step.
func act(do func(step func())) *actor {
	a := &actor{turn: make(chan struct{}), ready: make(chan struct{})}
	go func() {
		do(func() {
			a.ready <- struct{}{}
			<-a.turn
		})
		close(a.ready)
	}()
	_, more := <-a.ready
	a.over = !more
	return a
}

// steps lets the actor make some steps, or all that remain if n is negative, and returns how many it made.
func (a *actor) steps(n int) (made int) {
	for ; made != n && !a.over; made++ {
		a.turn <- struct{}{}
		_, more := <-a.ready
		a.over = !more
	}
	return made
}

// sameBytes is a bucket whose generations are digests, as those of S3 and of a directory are: an object that was deleted and
// written again cannot be told from what it was before.
type sameBytes struct{ *bucket.Memory }

func (s sameBytes) Stat(ctx context.Context, name string) (bucket.Info, error) {
	info, err := s.Memory.Stat(ctx, name)
	info.Generation = bucket.Generation(info.SHA256)
	return info, err
}

func (s sameBytes) Open(ctx context.Context, name string) (io.ReadCloser, bucket.Info, error) {
	r, info, err := s.Memory.Open(ctx, name)
	info.Generation = bucket.Generation(info.SHA256)
	return r, info, err
}

func (s sameBytes) List(ctx context.Context, prefix string) iter.Seq2[bucket.Info, error] {
	return func(yield func(bucket.Info, error) bool) {
		for info, err := range s.Memory.List(ctx, prefix) {
			info.Generation = bucket.Generation(info.SHA256)
			if !yield(info, err) {
				return
			}
		}
	}
}

// real is the generation that an object has below, if it has the one given; the tests' steps keep others out meanwhile.
func (s sameBytes) real(ctx context.Context, name string, g bucket.Generation) (bucket.Generation, error) {
	info, err := s.Memory.Stat(ctx, name)
	if errors.Is(err, bucket.ErrNotExist) {
		return g, nil
	}
	if bucket.Generation(info.SHA256) != g {
		return "another", err
	}
	return info.Generation, err
}

func (s sameBytes) Put(ctx context.Context, name string, content bucket.Content, options bucket.PutOptions) (bucket.Info, error) {
	if info, err := s.Memory.Stat(ctx, name); err == nil && options.Condition == bucket.IfGeneration(bucket.Generation(info.SHA256)) {
		options.Condition = bucket.IfGeneration(info.Generation)
	}
	info, err := s.Memory.Put(ctx, name, content, options)
	info.Generation = bucket.Generation(info.SHA256)
	return info, err
}

func (s sameBytes) Delete(ctx context.Context, name string, g bucket.Generation) error {
	g, err := s.real(ctx, name, g)
	if err != nil {
		return err
	}
	return s.Memory.Delete(ctx, name, g)
}

// every is which part of the interleavings is tried: go test ./repo -run Interleaved -every 1 tries all.
var every = flag.Int("every", 29, "try one of so many interleavings")

// TestCollectInterleaved lets a collection meet publications that need what it is about to delete: a way back, packages of
// a run that died, and packages that left the index. The publication makes some steps, then the collection makes some, and
// then both go on to their ends, one after the other.
func TestCollectInterleaved(t *testing.T) {
	stream := testStream()
	stream.Name = "core:/prerelease:/v1.35" // packages may go, too
	stream.Architectures = stream.Architectures[:1]
	old, p, c := timed(t)
	first, second, orphan := packages(t, "1.35.0", "first"), packages(t, "1.35.1", "second"), packages(t, "1.35.9", "orphan")
	for _, files := range []*Files{first, second, orphan} {
		files.Debs, files.Rpms = files.Debs[:1], slices.DeleteFunc(files.Rpms, func(p *yum.Package) bool { return p.Arch != "x86_64" })
	}
	carryOut(t, p, stream, Change{Add: first})
	index := read(t, old, stream.Name.Deb(layout.Packages))
	carryOut(t, p, stream, Change{Add: second, Retire: only(first.digests(), nil)})
	for range Retained + 1 {
		carryOut(t, p, stream, Change{Resign: true})
	}
	old.Fault = func(op, name string) bucket.Fault {
		if op == "put" && strings.Contains(name, "/manifests/") {
			return bucket.NotApplied
		}
		return bucket.OK
	}
	if plan, err := p.Plan(t.Context(), stream, Change{Add: orphan}); err != nil || p.Execute(t.Context(), plan) == nil {
		t.Fatal("the run did not die")
	}
	old.Fault = nil
	state, err := ReadState(t.Context(), old, stream.Name)
	if err != nil {
		t.Fatal(err)
	}
	serial := state.Head.Serial

	changes := map[string]Change{
		"rollback": {To: 1, Reason: "a test"},
		"orphan":   {Add: orphan},
		"backfill": {Add: first, Backfill: true},
	}
	// All that the two have to do with each other. One of each kind of object stands for all.
	matters := func(name string) bool {
		return name == stream.Name.Head() || name == stream.Name.Marks() || name == string(stream.Name)+"/" ||
			strings.HasSuffix(name, "kubectl_1.35.0-1.1_amd64.deb") || strings.HasSuffix(name, "kubectl_1.35.9-1.1_amd64.deb") ||
			name == stream.Name.Deb(layout.ByHash(digest([]byte(index))))
	}
	n, tried, outcomes := 0, 0, map[string]int{}
	for _, what := range slices.Sorted(maps.Keys(changes)) {
		change := changes[what]
		for _, digests := range []bool{false, true} {
			over := func(b *bucket.Memory) bucket.Bucket {
				if digests {
					return sameBytes{b}
				}
				return b
			}
			marked := old.Clone()
			marker := publisher(t, over(marked))
			marker.Now = func() time.Time { return c.Now().Add(-15 * day) }
			marked.Clock = marker.Now
			if got := collect(t, marker, stream.Name); len(got.Found) < 15 {
				t.Fatalf("found %v", names(got.Found))
			}
			marked.Clock = c.Now
			// begin starts both on a copy of the bucket.
			var memory *bucket.Memory
			var published, collected error
			begin := func() (publication, collection *actor) {
				memory, published, collected = marked.Clone(), nil, nil
				at := func(let func()) *Publisher {
					p := publisher(t, &stepped{over(memory), matters, let})
					p.Now, p.By, p.Validity, p.Parallel = c.Now, "tester", 400*day, 1
					return p
				}
				publication = act(func(let func()) {
					p := at(let)
					var plan *Plan
					if plan, published = p.Plan(t.Context(), stream, change); published == nil {
						published = p.Execute(t.Context(), plan)
					}
				})
				collection = act(func(let func()) {
					p := at(let)
					var got *Collection
					if got, collected = p.Collect(t.Context(), stream.Name, Retention{Share: 1}); collected == nil {
						collected = p.Sweep(t.Context(), got)
					}
				})
				return publication, collection
			}
			x, y := begin()
			publishes, collects := x.steps(-1), y.steps(-1)
			x, y = begin()
			collects, publishes = max(collects, y.steps(-1)), max(publishes, x.steps(-1))
			for i := range publishes + 1 {
				for j := range collects + 1 {
					for _, first := range []string{"publication", "collection"} {
						if n++; n%*every != 0 {
							continue
						}
						publication, collection := begin()
						a, b, n, m := publication, collection, i, j
						if first == "collection" {
							a, b, n, m = collection, publication, j, i
						}
						a.steps(n)
						b.steps(m)
						a.steps(-1)
						b.steps(-1)
						tried++
						where := fmt.Sprintf("%s, generations are digests: %t, the %s first, %d steps of the publication and %d of the collection", what, digests, first, i, j)
						sound(t, memory, stream.Name, c.Now())
						for _, err := range []error{published, collected} {
							var busy *BusyError
							if err != nil && !errors.As(err, &busy) && !errors.Is(err, bucket.ErrNotExist) && !strings.Contains(err.Error(), "is not in the bucket") {
								t.Errorf("%s: %v", where, err)
							}
						}
						outcomes[fmt.Sprintf("%s: publication %T, collection %T", what, published, collected)]++
						state, err := ReadState(t.Context(), memory, stream.Name)
						if err != nil {
							t.Fatal(err)
						}
						if (published == nil) != (state.Head.Serial == serial+1) {
							t.Errorf("%s: serial %d, error %v", where, state.Head.Serial, published)
						}
						if t.Failed() {
							t.Fatal(where)
						}
					}
				}
			}
			t.Logf("%s: %d and %d steps", what, publishes, collects)
		}
	}
	t.Logf("%d interleavings: %v", tried, outcomes)
}
