package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// Retention says what a collection of garbage leaves alone.
type Retention struct {
	// Age is how long an object is kept after it was first found that nothing names it; 0 is 14 days, and a day is the
	// least.
	Age time.Duration
	// Share is the largest part of a stream's objects that one run deletes, above 0 and up to 1; 0 is a tenth.
	Share float64
}

// Collection is a plan to delete what no publication needs: a value that is printed and then carried out.
type Collection struct {
	Stream layout.Stream `json:"stream"`
	Bucket string        `json:"bucket"`
	Time   time.Time     `json:"time"`
	// Objects and Bytes count all that the stream has beside its state.
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
	// Found are objects that nothing names, seen for the first time: they are noted, and go later. Waiting counts those
	// that were noted before and are not old enough, and Left those that are, and that the next runs delete.
	Found   []Garbage `json:"found"`
	Waiting int       `json:"waiting"`
	Left    int       `json:"left"`
	// Delete are the objects that this run deletes, those first that were noted first.
	Delete []Garbage `json:"delete"`

	marks      *marks
	generation bucket.Generation // of the list of marks
	stale      bool              // the list has marks that no longer hold
}

// Garbage is an object that nothing names.
type Garbage struct {
	Name  string       `json:"name"`
	Class layout.Class `json:"class"`
	Size  int64        `json:"size"`
	// Since is when a collection saw it first.
	Since time.Time `json:"since"`
	// Orphan says that no publication ever named it: a run left it that died before its commit.
	Orphan bool `json:"orphan"`
}

// Empty tells whether there is nothing to note and nothing to delete.
func (c *Collection) Empty() bool { return len(c.Found)+len(c.Delete) == 0 && !c.stale }

// Freed is how many bytes the run deletes.
func (c *Collection) Freed() (n int64) {
	for _, g := range c.Delete {
		n += g.Size
	}
	return n
}

// Collect plans to delete objects of a stream that nothing has named for as long as r says:
//
//   - indexes and snapshots that neither the live publication names nor one of the last that were live before it;
//   - packages and attestations that no publication ever named;
//   - in a stream that does not keep its packages (see [layout.Stream.Keeps]), those that none of the said publications
//     names.
//
// Manifests and records are never deleted, and neither are pointers. Objects are found by listing. Nothing is written.
func (p *Publisher) Collect(ctx context.Context, stream layout.Stream, r Retention) (*Collection, error) {
	r.Age, r.Share = cmp.Or(r.Age, 14*24*time.Hour), cmp.Or(r.Share, 0.1)
	if r.Age < minRetention || r.Share <= 0 || r.Share > 1 {
		return nil, fmt.Errorf("stream %s: objects can be kept for %s or longer, and a share above 0 and up to 1 can be deleted at a time", stream, minRetention)
	}
	c := &Collection{
		Stream: stream, Bucket: p.Bucket.String(), Time: p.Now().UTC().Truncate(time.Second),
		Found: []Garbage{}, Delete: []Garbage{},
	}
	// HEAD is read before the list and the list before the objects: the argument of safety needs this order.
	state, err := ReadState(ctx, p.Bucket, stream)
	if err != nil {
		return nil, err
	}
	if c.marks, c.generation, err = readMarks(ctx, p.Bucket, stream); err != nil {
		return nil, err
	}
	if s := c.marks.Sweep; s.active(c.Time) {
		return nil, &BusyError{stream, s.By, s.Until.Add(maxSkew)}
	}
	unnamed, err := p.unnamed(ctx, c, state)
	if err != nil {
		return nil, err
	}
	c.decide(unnamed, r)
	return c, nil
}

// candidate is an object that may go once it is old enough.
type candidate struct {
	bucket.Info
	orphan bool
}

// unnamed finds the objects of a stream that may go once they are old enough.
func (p *Publisher) unnamed(ctx context.Context, c *Collection, state *State) ([]candidate, error) {
	named, err := retained(ctx, p.Bucket, state)
	if err != nil {
		return nil, err
	}
	var found []candidate
	orphans := map[string]bool{} // packages and attestations of which it is not known yet that they were named
	for info, err := range p.Bucket.List(ctx, string(c.Stream)+"/") {
		if err != nil {
			return nil, err
		}
		c.Objects++
		c.Bytes += info.Size
		switch class := layout.ClassOf(info.Name); {
		case named[info.Name]:
		case class == layout.Hashed:
			found = append(found, candidate{Info: info})
		case class == layout.Package, class == layout.Attestation:
			found = append(found, candidate{Info: info})
			orphans[info.Name] = true
		}
	}
	if len(orphans) > 0 {
		if err := walk(ctx, p.Bucket, state, func(m *Manifest, _ string) bool {
			for _, o := range m.Objects {
				delete(orphans, o.Name)
			}
			return len(orphans) > 0
		}); err != nil {
			return nil, err
		}
	}
	for i := range found {
		found[i].orphan = orphans[found[i].Name]
	}
	return slices.DeleteFunc(found, func(f candidate) bool {
		return c.Stream.Keeps() && layout.ClassOf(f.Name) != layout.Hashed && !f.orphan
	}), nil
}

// retained are the names of all objects that the live publication names, or one of those that were live in the bucket
// before it and are kept in any case.
func retained(ctx context.Context, b bucket.Bucket, state *State) (map[string]bool, error) {
	named := map[string]bool{}
	for _, o := range state.Manifest.Objects {
		named[o.Name] = true
	}
	for _, ref := range state.Head.Before {
		m, err := readManifest(ctx, b, state.Head.Stream, ref.Serial, ref.SHA256)
		if err != nil {
			return nil, &ChainError{Stream: state.Head.Stream, Serial: ref.Serial, Err: err}
		}
		for _, o := range m.Objects {
			named[o.Name] = true
		}
	}
	return named, nil
}

// decide notes which of the objects that nothing names are new, and which are old enough to be deleted in this run.
func (c *Collection) decide(unnamed []candidate, r Retention) {
	old := c.marks.Objects
	c.stale = c.marks.Sweep != nil
	c.marks.Objects, c.marks.Sweep = map[string]mark{}, nil
	var due []Garbage
	for _, u := range unnamed {
		m, ok := old[u.Name]
		known := ok && m.Generation == u.Generation && m.Modified.Equal(u.Modified)
		if !known {
			m = mark{Since: c.Time, Generation: u.Generation, Modified: u.Modified}
		} else {
			delete(old, u.Name)
		}
		c.marks.Objects[u.Name] = m
		g := Garbage{Name: u.Name, Class: layout.ClassOf(u.Name), Size: u.Size, Since: m.Since, Orphan: u.orphan}
		switch {
		case !known:
			c.Found = append(c.Found, g)
		case c.Time.Sub(m.Since) < r.Age:
			c.Waiting++
		default:
			due = append(due, g)
		}
	}
	c.stale = c.stale || len(old) > 0
	slices.SortStableFunc(due, func(a, b Garbage) int { return a.Since.Compare(b.Since) })
	most := min(len(due), int(r.Share*float64(c.Objects)))
	c.Delete = append(c.Delete, due[:most]...)
	c.Left = len(due) - most
}

// Sweep carries out a collection: it notes what was found and deletes what is old enough. An object that was written again
// since it was looked at stays. After an error, or a crash, a new collection goes on from where this one stopped.
//
// The error is a [*BusyError] or a [*RaceError] if another collection, or a publisher that needs one of the objects, came
// in between; nothing was deleted then.
func (p *Publisher) Sweep(ctx context.Context, c *Collection) error {
	if c.Empty() {
		return nil
	}
	if now := p.Now(); now.Sub(c.Time) > maxCollect || now.Before(c.Time) {
		return fmt.Errorf("stream %s: this collection was planned at %s, and now it is %s: plan it again", c.Stream, c.Time.Format(time.RFC3339), now.Format(time.RFC3339))
	}
	list := *c.marks
	if len(c.Delete) > 0 {
		list.Sweep = &sweep{Until: p.Now().UTC().Add(maxSweep), By: p.By, Names: map[string]bool{}}
		for _, g := range c.Delete {
			list.Sweep.Names[g.Name] = true
		}
	}
	written, err := writeMarks(ctx, p.Bucket, &list, c.generation)
	if errors.Is(err, bucket.ErrCondition) {
		return &BusyError{c.Stream, "another run", p.Now().UTC()}
	}
	if err != nil {
		return err
	}
	gone := map[string]bool{}
	// The store has just said what time it is. What a wrong clock noted would be taken for older or newer than it is.
	if skew := written.Modified.Sub(p.Now()); skew.Abs() > maxCollect {
		err = fmt.Errorf("stream %s: this machine's clock says %s and the store's %s: nothing is noted or deleted by a clock that is wrong", c.Stream, p.Now().UTC().Format(time.RFC3339), written.Modified.Format(time.RFC3339))
		for _, g := range c.Found {
			gone[g.Name] = true
		}
	} else if len(c.Delete) > 0 {
		gone, err = p.delete(ctx, c, list.Sweep.Until)
	}
	if list.Sweep == nil && len(gone) == 0 {
		return err
	}
	// Even after an error the list can say that the deletion is over; what was not deleted is still on it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return errors.Join(err, p.endSweep(ctx, c.Stream, list.Sweep, gone))
}

// endSweep writes down that a deletion is over, if there was one, and what is off the list. Publishers may have taken other
// objects off it meanwhile.
func (p *Publisher) endSweep(ctx context.Context, stream layout.Stream, mine *sweep, gone map[string]bool) error {
	for {
		list, generation, err := readMarks(ctx, p.Bucket, stream)
		if err != nil || mine == nil && list.Sweep != nil {
			return err
		}
		if mine != nil && (list.Sweep == nil || !list.Sweep.Until.Equal(mine.Until) || list.Sweep.By != mine.By) {
			return nil
		}
		list.Sweep = nil
		for name := range gone {
			delete(list.Objects, name)
		}
		if _, err = writeMarks(ctx, p.Bucket, list, generation); !errors.Is(err, bucket.ErrCondition) {
			return err
		}
	}
}

// delete deletes objects until it is done or the time is over, and returns which are gone.
func (p *Publisher) delete(ctx context.Context, c *Collection, until time.Time) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, until.Sub(p.Now()))
	defer cancel()
	var mu sync.Mutex
	gone := map[string]bool{}
	progress := Progress{Stream: c.Stream, TotalObjects: len(c.Delete), TotalBytes: c.Freed()}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.Parallel)
	for _, g := range c.Delete {
		generation := c.marks.Objects[g.Name].Generation
		group.Go(func() error {
			if !p.Now().Before(until) {
				return fmt.Errorf("stream %s: the time to delete objects is over: run the command again for the rest", c.Stream)
			}
			err := p.Bucket.Delete(ctx, g.Name, generation)
			if errors.Is(err, bucket.ErrCondition) {
				p.Log.Info("is left, since it was written again", "object", g.Name)
				return nil
			}
			if err != nil {
				return err
			}
			p.Log.Info("deleted", "object", g.Name, "unnamed since", g.Since)
			mu.Lock()
			defer mu.Unlock()
			gone[g.Name] = true
			progress.Objects++
			progress.Bytes += g.Size
			if p.Progress != nil {
				p.Progress(progress)
			}
			return nil
		})
	}
	return gone, group.Wait()
}

// Print writes the collection for a person.
func (c *Collection) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "stream %s in %s\n", c.Stream, c.Bucket)
	fmt.Fprintf(&b, "  %s, %s; that nothing names: %d newly found, %d found before and not old enough, %d to delete\n",
		Count(c.Objects, "object"), Size(c.Bytes), len(c.Found), c.Waiting, len(c.Delete)+c.Left)
	for _, g := range c.Found {
		fmt.Fprintf(&b, "    ? %s%s\n", strings.TrimPrefix(g.Name, string(c.Stream)+"/"), g.why())
	}
	for _, g := range c.Delete {
		fmt.Fprintf(&b, "    - %s%s, found on %s\n", strings.TrimPrefix(g.Name, string(c.Stream)+"/"), g.why(), g.Since.Format(time.DateOnly))
	}
	if len(c.Delete) > 0 {
		fmt.Fprintf(&b, "  deletes %s, %s\n", Count(len(c.Delete), "object"), Size(c.Freed()))
	}
	if c.Left > 0 {
		fmt.Fprintf(&b, "  %d more could go: no run deletes more than a part of a stream\n", c.Left)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (g Garbage) why() string {
	if g.Orphan {
		return ", of a run that died"
	}
	return ""
}
