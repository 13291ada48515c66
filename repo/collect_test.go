package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/verify"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const day = 24 * time.Hour

// timed returns a bucket and a publisher with the same clock.
func timed(t testing.TB) (*bucket.Memory, *Publisher, *clock) {
	c := &clock{now: now}
	b := bucket.NewMemory()
	b.Clock = c.Now
	p := publisher(t, b)
	p.Now, p.By, p.Validity = c.Now, "tester", 400*day
	return b, p, c
}

// carryOut plans and executes a change.
func carryOut(t testing.TB, p *Publisher, stream Stream, change Change) {
	t.Helper()
	plan, err := p.Plan(t.Context(), stream, change)
	if err == nil {
		err = p.Execute(t.Context(), plan)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// collect plans and carries out a collection that may delete everything at once.
func collect(t testing.TB, p *Publisher, stream layout.Stream) *Collection {
	t.Helper()
	c, err := p.Collect(t.Context(), stream, Retention{Share: 1})
	if err == nil {
		err = p.Sweep(t.Context(), c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func names(garbage []Garbage) (all []string) {
	for _, g := range garbage {
		all = append(all, g.Name)
	}
	return all
}

// sound fails the test unless a client finds nothing wrong with a stream and every object that is kept in any case is there.
func sound(t testing.TB, b bucket.Bucket, stream layout.Stream, at time.Time) {
	t.Helper()
	report, err := verify.Stream(context.Background(), verify.Config{Source: verify.FromBucket(b), Keyring: signer(t).Keyring(), Now: at}, stream)
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		t.Error(err)
	}
	state, err := ReadState(context.Background(), b, stream)
	if err != nil {
		t.Fatal(err)
	}
	named, err := retained(context.Background(), b, state)
	if err != nil {
		t.Fatal(err)
	}
	for name := range named {
		if _, err := b.Stat(context.Background(), name); err != nil {
			t.Error(err)
		}
	}
	if _, err := History(context.Background(), b, stream, 0); err != nil {
		t.Error(err)
	}
}

// TestCollect lets a stream grow old, in which packages are kept for ever, and another in which they are not.
func TestCollect(t *testing.T) {
	for _, name := range []layout.Stream{streamName, "core:/prerelease:/v1.35"} {
		t.Run(string(name), func(t *testing.T) {
			b, p, c := timed(t)
			stream := testStream()
			stream.Name = name
			if got := collect(t, p, name); !got.Empty() {
				t.Errorf("a stream that does not exist: %+v", got)
			}
			old := packages(t, "1.35.0", "old")
			carryOut(t, p, stream, Change{Add: old})
			first := objects(t, b)
			// The old package leaves the index, and Retained publications follow.
			for i := range Retained {
				if i < Retained-1 {
					if got := collect(t, p, name); !got.Empty() && name.Keeps() {
						t.Errorf("after %d publications: %v", i+1, names(got.Found))
					}
				}
				carryOut(t, p, stream, Change{Add: packages(t, fmt.Sprintf("1.35.%d", i+1), "text")})
				if i == 0 {
					carryOut(t, p, stream, Change{Retire: only(old.digests(), nil), Reason: "keep one"})
				}
				c.pass(day)
			}
			manifests := 0
			for object := range objects(t, b) {
				if strings.HasPrefix(object, name.Manifests()) {
					manifests++
				}
			}

			// What nothing names: the indexes of the first two publications, and the old packages if they are not kept.
			before := objects(t, b)
			dry, err := p.Collect(t.Context(), name, Retention{})
			if err != nil {
				t.Fatal(err)
			}
			if after := objects(t, b); len(differences(before, after)) > 0 {
				t.Error("a plan wrote something")
			}
			found := collect(t, p, name)
			if !slices.Equal(names(found.Found), names(dry.Found)) || len(found.Delete) != 0 {
				t.Errorf("found %v, planned %v", names(found.Found), names(dry.Found))
			}
			gone := map[string]bool{}
			for _, g := range found.Found {
				gone[g.Name] = true
				if g.Orphan || g.Class == layout.Package && name.Keeps() || g.Class != layout.Package && g.Class != layout.Hashed {
					t.Errorf("%+v may go", g)
				}
			}
			for object := range first {
				class := layout.ClassOf(object)
				want := class == layout.Hashed && strings.HasPrefix(object, string(name)+"/") || class == layout.Package && !name.Keeps()
				if gone[object] != want {
					t.Errorf("%s is found: %t", object, gone[object])
				}
			}
			c.pass(14*day - time.Minute)
			if got := collect(t, p, name); len(got.Delete) != 0 || got.Waiting != len(gone) {
				t.Errorf("too early: %v, %d waiting", names(got.Delete), got.Waiting)
			}
			c.pass(time.Minute)
			if got := collect(t, p, name); len(got.Delete) != len(gone) || got.Left != 0 {
				t.Errorf("deleted %v", names(got.Delete))
			}
			after := objects(t, b)
			for object := range gone {
				if _, there := after[object]; there {
					t.Errorf("%s is still there", object)
				}
			}
			for object := range after {
				if strings.HasPrefix(object, name.Manifests()) {
					manifests--
				}
			}
			if manifests != 0 {
				t.Errorf("%d manifests were deleted", manifests)
			}
			sound(t, b, name, c.Now())
			if got := collect(t, p, name); !got.Empty() {
				t.Errorf("there is more: %+v", got)
			}
			// Nobody is told that objects are lost, or extra.
			state, err := ReadState(t.Context(), b, name)
			if err != nil {
				t.Fatal(err)
			}
			if look, err := Inspect(t.Context(), b, state); err != nil || len(look.Damage) > 0 && name.Keeps() {
				t.Errorf("%v %v", look, err)
			}
		})
	}
}

// TestCollectShare deletes a large part of a stream, a little at a time, the oldest first.
func TestCollectShare(t *testing.T) {
	b, p, c := timed(t)
	for i := range 12 {
		carryOut(t, p, testStream(), Change{Add: packages(t, fmt.Sprintf("1.35.%d", i), "text")})
		collect(t, p, streamName)
		c.pass(time.Hour)
	}
	c.pass(15 * day)
	last := time.Time{}
	for runs := 1; ; runs++ {
		got, err := p.Collect(t.Context(), streamName, Retention{Share: 0.05})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Sweep(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		if most := int(0.05 * float64(got.Objects)); len(got.Delete) > most || got.Left > 0 && len(got.Delete) != most {
			t.Fatalf("%d of %d objects deleted, %d left", len(got.Delete), got.Objects, got.Left)
		}
		for _, g := range got.Delete {
			if g.Since.Before(last) {
				t.Errorf("%s is deleted after what was found later", g.Name)
			}
			last = g.Since
		}
		if got.Left == 0 {
			if runs < 5 {
				t.Errorf("only %d runs", runs)
			}
			break
		}
	}
	sound(t, b, streamName, c.Now())
	for _, r := range []Retention{{Age: time.Hour}, {Share: 1.1}, {Share: -1}} {
		if _, err := p.Collect(t.Context(), streamName, r); err == nil {
			t.Errorf("%+v is allowed", r)
		}
	}
}

// TestOrphans lets runs die before their commit and others find what they left.
func TestOrphans(t *testing.T) {
	b, p, c := timed(t)
	carryOut(t, p, testStream(), Change{Add: packages(t, "1.35.0", "one")})
	dies := func(files *Files) {
		t.Helper()
		b.Fault = func(op, name string) bucket.Fault {
			if op == "put" && strings.Contains(name, "/manifests/") {
				return bucket.NotApplied
			}
			return bucket.OK
		}
		if _, err := add(t, p, files); err == nil {
			t.Fatal("the run did not die")
		}
		b.Fault = nil
	}
	dies(packages(t, "1.35.1", "lost"))
	var taken *ImmutableError
	if _, err := add(t, p, packages(t, "1.35.1", "another")); !errors.As(err, &taken) || !taken.Orphan || !strings.Contains(err.Error(), "pkgs gc") {
		t.Errorf("a name taken by an orphan: error %v", err)
	}
	if got := collect(t, p, streamName); len(got.Found) < 4 || !slices.ContainsFunc(got.Found, func(g Garbage) bool { return g.Orphan && g.Class == layout.Package }) {
		t.Errorf("found %v", names(got.Found))
	}
	c.pass(14 * day)
	if got := collect(t, p, streamName); len(got.Delete) < 4 {
		t.Errorf("deleted %v", names(got.Delete))
	}
	mustAdd(t, p, packages(t, "1.35.1", "another"))
	sound(t, b, streamName, c.Now())

	// What was published once and left the index is another matter.
	carryOut(t, p, testStream(), Change{Yank: only(packages(t, "1.35.1", "another").digests(), nil), Reason: "a test"})
	again, err := p.Plan(t.Context(), testStream(), Change{Add: packages(t, "1.35.1", "third"), Unyank: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Execute(t.Context(), again); !errors.As(err, &taken) || taken.Orphan || taken.Serial != 2 || !strings.Contains(err.Error(), "serial 2 named it") {
		t.Errorf("a name taken by a publication: error %v", err)
	}

	// A stream that lost its HEAD is not taken for one that was never published.
	state, err := ReadState(t.Context(), b, streamName)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), streamName.Head(), state.Generation); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Collect(t.Context(), streamName, Retention{}); err == nil || !strings.Contains(err.Error(), "HEAD is lost") {
		t.Errorf("without HEAD: error %v", err)
	}
}

// TestFirstPublicationDies collects what is left of a stream that never was.
func TestFirstPublicationDies(t *testing.T) {
	b, p, c := timed(t)
	b.Fault = func(op, name string) bucket.Fault {
		if op == "put" && name == streamName.Head() {
			return bucket.NotApplied
		}
		return bucket.OK
	}
	if _, err := add(t, p, packages(t, "1.35.0", "one")); err == nil {
		t.Fatal("the run did not die")
	}
	b.Fault = nil
	collect(t, p, streamName)
	c.pass(14 * day)
	collect(t, p, streamName)
	for name := range objects(t, b) {
		if strings.HasPrefix(name, string(streamName)+"/") {
			t.Errorf("%s is left", name)
		}
	}
	mustAdd(t, p, packages(t, "1.35.0", "two"))
	sound(t, b, streamName, c.Now())
}

// TestCollectClock runs collections on machines whose clocks are wrong.
func TestCollectClock(t *testing.T) {
	b, p, c := timed(t)
	for i := range Retained + 2 {
		carryOut(t, p, testStream(), Change{Add: packages(t, fmt.Sprintf("1.35.%d", i), "text")})
	}
	collect(t, p, streamName)
	before := objects(t, b)
	fast := publisher(t, b)
	fast.Now = func() time.Time { return c.Now().Add(100 * day) }
	got, err := fast.Collect(t.Context(), streamName, Retention{Share: 1})
	if err != nil || len(got.Delete) == 0 {
		t.Fatalf("%v %v", got, err)
	}
	if err := fast.Sweep(t.Context(), got); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("a clock that is ahead: error %v", err)
	}
	if differ := differences(before, objects(t, b)); len(differ) > 0 {
		t.Errorf("%v changed", differ)
	}
	// A clock that is behind would make what it notes older than it is, for those that are right.
	carryOut(t, p, testStream(), Change{Add: packages(t, "1.35.9", "text")})
	before = objects(t, b)
	slow := publisher(t, b)
	slow.Now = func() time.Time { return c.Now().Add(-100 * day) }
	got, err = slow.Collect(t.Context(), streamName, Retention{})
	if err != nil || len(got.Found) == 0 || len(got.Delete) != 0 {
		t.Fatalf("%v %v", got, err)
	}
	if err := slow.Sweep(t.Context(), got); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("a clock that is behind: error %v", err)
	}
	if differ := differences(before, objects(t, b)); len(differ) > 0 {
		t.Errorf("%v changed", differ)
	}
	// A plan that lay about is not carried out.
	got, err = p.Collect(t.Context(), streamName, Retention{})
	if err != nil {
		t.Fatal(err)
	}
	got.stale = true
	c.pass(2 * time.Hour)
	if err := p.Sweep(t.Context(), got); err == nil || !strings.Contains(err.Error(), "plan it again") {
		t.Errorf("an old plan: error %v", err)
	}
	plan, err := p.Plan(t.Context(), testStream(), Change{Resign: true})
	if err != nil {
		t.Fatal(err)
	}
	c.pass(13 * time.Hour)
	if err := p.Execute(t.Context(), plan); err == nil || !strings.Contains(err.Error(), "run the command again") {
		t.Errorf("an old plan of a publication: error %v", err)
	}
}

// TestCollectCrashes kills a collection before and after each of its writes. The next one goes on, and publications go on
// in any case.
func TestCollectCrashes(t *testing.T) {
	old, p, c := timed(t)
	for i := range Retained + 2 {
		carryOut(t, p, testStream(), Change{Add: packages(t, fmt.Sprintf("1.35.%d", i), "text")})
	}
	collect(t, p, streamName)
	c.pass(15 * day)
	for _, fault := range []bucket.Fault{bucket.NotApplied, bucket.Applied} {
		for dies := 1; ; dies++ {
			b := old.Clone()
			p := publisher(t, b)
			p.Now, p.By, p.Validity, p.Parallel = c.Now, "tester", 400*day, 1
			writes, dead := 0, false
			var at string
			b.Fault = func(op, name string) bucket.Fault {
				switch {
				case dead:
					return bucket.NotApplied
				case op != "put" && op != "delete":
					return bucket.OK
				}
				if writes++; writes == dies {
					dead, at = true, fmt.Sprint(fault, " ", op, " ", name)
					return fault
				}
				return bucket.OK
			}
			got, err := p.Collect(t.Context(), streamName, Retention{Share: 1})
			if err != nil {
				t.Fatal(err)
			}
			err = p.Sweep(t.Context(), got)
			b.Fault = nil
			if !dead {
				if err != nil || dies < 10 {
					t.Fatalf("after %d writes: %v", dies, err)
				}
				break
			}
			sound(t, b, streamName, c.Now())
			if dies%5 == 1 || strings.Contains(at, "put") {
				carryOut(t, p, testStream(), Change{Resign: true})
			}
			var busy *BusyError
			if _, err := p.Collect(t.Context(), streamName, Retention{}); err != nil && !errors.As(err, &busy) {
				t.Errorf("%s: %v", at, err)
			}
			before := c.Now()
			c.pass(maxSweep + maxSkew)
			collect(t, p, streamName)
			after := objects(t, b)
			for _, g := range got.Delete {
				if _, there := after[g.Name]; there {
					t.Errorf("%s: %s is still there", at, g.Name)
				}
			}
			sound(t, b, streamName, c.Now())
			c.pass(before.Sub(c.Now()))
		}
	}
}
