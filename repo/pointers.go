package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// turn is when a pointer is brought up to date: those of a turn together, and after those of the turns before.
//
// The key comes first, so that a client which fetches it to verify what follows has it. Then one write for each format
// switches over all the clients that find everything else by digest: apt through InRelease, yum through mirrorlist. The
// plain names of apt are for clients that do not; these are between two states until the last of them is written, in
// whatever order that happens, so the sooner the better. Last, repomd.xml.asc directly follows repomd.xml: between the two,
// and only there, a client of baseurl= that checks signatures finds a mismatch.
func turn(name string) int {
	for i, names := range [][]string{
		{layout.ReleaseKey, layout.RepomdKey},
		{layout.InRelease, layout.Mirrorlist},
		{layout.Packages, layout.PackagesGz, layout.Release, layout.ReleaseGpg},
		{layout.Repomd},
		{layout.RepomdAsc},
	} {
		if slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(name, "/"+n) }) {
			return i
		}
	}
	return 2
}

// inTurn sorts pointers by their turns.
func inTurn(pointers []Pointer) {
	slices.SortStableFunc(pointers, func(a, b Pointer) int { return cmp.Compare(turn(a.Name), turn(b.Name)) })
}

// together is how many of the first pointers are written at once. The last of all is written alone, since its bytes tell
// that all the others were. Where there were none before, there are no turns to keep.
func together(pointers []Pointer, none bool) int {
	n := 1
	for n < len(pointers)-1 && (none || turn(pointers[n].Name) == turn(pointers[0].Name)) {
		n++
	}
	return n
}

// sightings are the generations that pointers had when they were looked at; the empty one is that of a pointer which did
// not exist.
type sightings struct {
	mu          sync.Mutex
	generations map[string]bucket.Generation // guarded by mu
}

func newSightings() *sightings { return &sightings{generations: map[string]bucket.Generation{}} }

func (s *sightings) of(name string) (bucket.Generation, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.generations[name]
	return g, ok
}

func (s *sightings) add(name string, g bucket.Generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generations[name] = g
}

// look notes the generation of a pointer.
func (run *execution) look(ctx context.Context, name string) error {
	info, err := run.Bucket.Stat(ctx, name)
	if err != nil && !errors.Is(err, bucket.ErrNotExist) {
		return err
	}
	run.seen.add(name, info.Generation)
	return nil
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

// errOvertaken is why pointers are left to somebody else.
var errOvertaken = errors.New("a newer publication has taken over the pointers")

// project brings pointers up to date with a committed head, in order. It returns nil without doing the rest when head is
// no longer the stream's HEAD.
func (run *execution) project(ctx context.Context, head Head, pointers []Pointer) error {
	for len(pointers) > 0 {
		n := together(pointers, head.Serial == 1)
		var group errgroup.Group // a write that failed is no reason to break off the others
		group.SetLimit(run.Parallel)
		for _, pointer := range pointers[:n] {
			group.Go(func() error { return run.projectOne(ctx, head, pointer) })
		}
		switch err := group.Wait(); {
		case errors.Is(err, errOvertaken):
			run.Log.Info(err.Error(), "stream", head.Stream, "serial", head.Serial)
			return nil
		case err != nil:
			return fmt.Errorf("%w: serial %d is committed, and any next run brings its pointers up to date", err, head.Serial)
		}
		pointers = pointers[n:]
	}
	return nil
}

// projectOne writes one pointer on the condition of a generation that was seen before a moment at which HEAD was known
// to be head: before the commit, or else right now and before HEAD is read again.
func (run *execution) projectOne(ctx context.Context, head Head, pointer Pointer) error {
	content, err := run.pointerContent(ctx, pointer, head.URL)
	if err != nil {
		return err
	}
	_, known := run.seen.of(pointer.Name)
	for range maxOverwritten {
		if !known {
			if err := run.look(ctx, pointer.Name); err != nil {
				return err
			}
			mine, err := run.isHead(ctx, head)
			if err != nil {
				return err
			}
			if !mine {
				return errOvertaken
			}
		}
		generation, _ := run.seen.of(pointer.Name)
		info, err := run.put(ctx, pointer.Name, content, bucket.IfGeneration(generation))
		if err == nil {
			run.seen.add(pointer.Name, info.Generation)
			return nil
		}
		if !errors.Is(err, bucket.ErrCondition) {
			return err
		}
		known = false
	}
	return fmt.Errorf("%s changed %d times while it was to be written", pointer.Name, maxOverwritten)
}

// maxOverwritten is how often a pointer is tried that somebody else writes: more often than there are publishers with a
// commit behind them, whose writes are all that can come in between.
const maxOverwritten = 50

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

// look is which pointers of the live publication are compared with its manifest.
type look int

const (
	lookNone look = iota // it was noted that all are right
	lookLast             // the last is written after all others, so when it is right they all are
	lookAll
)

// unfinished finds the pointers of the live publication that do not have the bytes which its manifest gives them. By
// lookLast, that takes one read when there is nothing to do.
func (p *Publisher) unfinished(ctx context.Context, state *State, look look, seen *sightings) ([]Pointer, error) {
	pointers := state.Manifest.Pointers
	right := make([]bool, len(pointers))
	compare := func(ctx context.Context, i int) (err error) {
		want, _ := pointers[i].in(state.Head.URL)
		right[i], err = p.hasBytes(ctx, want, seen)
		return err
	}
	last := len(pointers) - 1
	if last < 0 || look == lookNone {
		return nil, nil
	}
	if err := compare(ctx, last); err != nil || right[last] && look == lookLast {
		return nil, err
	}
	group, inner := errgroup.WithContext(ctx)
	for i := range last {
		group.Go(func() error { return compare(inner, i) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var found []Pointer
	for i, pointer := range pointers {
		if !right[i] {
			found = append(found, pointer)
		}
	}
	return found, nil
}

// hasBytes tells whether an object has the digest that it should have, and notes its generation.
func (p *Publisher) hasBytes(ctx context.Context, o Object, seen *sightings) (bool, error) {
	r, info, err := p.Bucket.Open(ctx, o.Name)
	if err != nil && !errors.Is(err, bucket.ErrNotExist) {
		return false, err
	}
	seen.add(o.Name, info.Generation)
	if err != nil {
		return false, nil
	}
	defer r.Close()
	have, err := digestReader(r)
	return have == o.SHA256, err
}
