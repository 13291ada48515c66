package repo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/sign"
)

// repeating is a key that makes each signature once: the tests here make the same publications in thousands of orders.
type repeating struct {
	sign.Key
	mu   sync.Mutex
	made map[string][]byte // guarded by mu
}

func (r *repeating) Sign(ctx context.Context, data []byte, opts keys.SignOpts) ([]byte, error) {
	id := fmt.Sprint(digest(data), opts)
	r.mu.Lock()
	defer r.mu.Unlock()
	if made, ok := r.made[id]; ok {
		return made, nil
	}
	made, err := r.Key.Sign(ctx, data, opts)
	r.made[id] = made
	return made, err
}

// turnstile lets the requests of some publishers through one at a time, in an order that a test decides on. Every
// publisher stops before each request until it is let through, and one that has ended no longer counts.
type turnstile struct {
	mu      sync.Mutex
	changed *sync.Cond
	waiting map[int]int  // guarded by mu; how many requests of a publisher stand before it
	running map[int]bool // guarded by mu; publishers that have not ended
	next    int          // guarded by mu; who may go through, -1 for nobody
}

func newTurnstile(publishers int) *turnstile {
	s := &turnstile{waiting: map[int]int{}, running: map[int]bool{}, next: -1}
	s.changed = sync.NewCond(&s.mu)
	for i := range publishers {
		s.running[i] = true
	}
	return s
}

// pass waits until a publisher is let through.
func (s *turnstile) pass(who int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[who]++
	s.changed.Broadcast()
	for s.next != who {
		s.changed.Wait()
	}
	s.next = -1
	s.changed.Broadcast()
	if s.waiting[who]--; s.waiting[who] == 0 {
		delete(s.waiting, who)
	}
}

// end says that a publisher has no more requests.
func (s *turnstile) end(who int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, who)
	s.changed.Broadcast()
}

// step waits until every publisher that has not ended stands before a request, and lets the one go that choose names
// among them. It returns false when all have ended.
func (s *turnstile) step(choose func(ready []int) int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.next != -1 || len(s.waiting) < len(s.running) {
		s.changed.Wait()
	}
	if len(s.running) == 0 {
		return false
	}
	ready := make([]int, 0, 2)
	for who := range s.waiting {
		ready = append(ready, who)
	}
	slices.Sort(ready)
	s.next = choose(ready)
	s.changed.Broadcast()
	return true
}

// gated is a bucket as one publisher sees it, who has to pass a turnstile before each request that stops names.
type gated struct {
	bucket.Bucket
	who   int
	gate  *turnstile
	stops func(op, name string) bool
}

func (g *gated) pass(op, name string) {
	if g.stops(op, name) {
		g.gate.pass(g.who)
	}
}

func (g *gated) Stat(ctx context.Context, name string) (bucket.Info, error) {
	g.pass("stat", name)
	return g.Bucket.Stat(ctx, name)
}

func (g *gated) Open(ctx context.Context, name string) (io.ReadCloser, bucket.Info, error) {
	g.pass("open", name)
	return g.Bucket.Open(ctx, name)
}

func (g *gated) Put(ctx context.Context, name string, c bucket.Content, o bucket.PutOptions) (bucket.Info, error) {
	g.pass("put", name)
	return g.Bucket.Put(ctx, name, c, o)
}

// contest is two publishers of one stream who each have something to publish, and do it again after a defeat.
type contest struct {
	t     *testing.T
	first *Plan // on top of which both begin
	adds  [2]*Files
	plans [2]*Plan // to add them on top of that
	key   *repeating
}

// newContest has both add another revision of a deb, each for one architecture.
func newContest(t *testing.T) *contest {
	t.Helper()
	c := &contest{t: t, key: &repeating{Key: testKey(t), made: map[string][]byte{}}}
	b := bucket.NewMemory()
	c.first = mustAdd(t, publisher(t, b), packages(t, "1.35.0", "one"))
	for i := range c.adds {
		c.adds[i] = revised(t, "1.35.0", "1.2", "text")
		c.adds[i].Debs, c.adds[i].Rpms = c.adds[i].Debs[i:i+1], nil
		var err error
		if c.plans[i], err = c.publisher(b).Plan(t.Context(), testStream(), Change{Add: c.adds[i]}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *contest) publisher(b bucket.Bucket) *Publisher {
	p := publisher(c.t, b)
	var err error
	if p.Signer, err = sign.New(c.key); err != nil {
		c.t.Fatal(err)
	}
	p.Parallel = 1
	return p
}

// publish adds files again and again until they are published, the first time by a plan if there is one.
func (c *contest) publish(b bucket.Bucket, files *Files, plan *Plan) error {
	p := c.publisher(b)
	for range 20 {
		var err error
		if plan == nil {
			plan, err = p.Plan(context.Background(), testStream(), Change{Add: files})
		}
		if err == nil {
			err = p.Execute(context.Background(), plan)
		}
		var race *RaceError
		if !errors.As(err, &race) {
			return err
		}
		plan = nil
	}
	return errors.New("never won")
}

// run lets both publish with their requests in the order that choose decides on, and then checks what must hold: both
// are published, one after the other, and once a run without anything to do has come by, clients find all of it. When they
// are planned, it is the executions that meet, and what the loser does then.
func (c *contest) run(b bucket.Bucket, planned bool, stops func(op, name string) bool, choose func(ready []int) int) {
	c.t.Helper()
	gate := newTurnstile(2)
	var outcomes [2]error
	for who, files := range c.adds {
		var plan *Plan
		if planned {
			plan = ripe(c.t, c.plans[who], b)
		}
		go func() {
			defer gate.end(who)
			outcomes[who] = c.publish(&gated{b, who, gate, stops}, files, plan)
		}()
	}
	var trace []int
	for gate.step(func(ready []int) int {
		who := choose(ready)
		trace = append(trace, who)
		return who
	}) {
	}
	c.check(b, 3, trace, outcomes[:])
}

// check checks that the stream has a linear history up to a serial, with all that was added, and pointers that are those
// of HEAD.
func (c *contest) check(b bucket.Bucket, serial int64, trace any, outcomes []error) {
	c.t.Helper()
	if err := errors.Join(outcomes...); err != nil {
		c.t.Fatalf("%v: %v", trace, err)
	}
	state, err := ReadState(c.t.Context(), b, streamName)
	if err != nil {
		c.t.Fatal(err)
	}
	if state.Head.Serial != serial {
		c.t.Fatalf("%v: serial %d is live, want %d", trace, state.Head.Serial, serial)
	}
	next := serial
	err = walk(c.t.Context(), b, state, func(m *Manifest, _ string) bool {
		if m.Serial != next {
			c.t.Errorf("%v: the history has serial %d where %d should be", trace, m.Serial, next)
		}
		next--
		return true
	})
	if err != nil || next != 0 {
		c.t.Fatalf("%v: the history ends before serial %d: %v", trace, next, err)
	}
	for _, files := range c.adds {
		if !files.publishedIn(state) {
			c.t.Fatalf("%v: what was published is lost", trace)
		}
	}
	for _, pointer := range state.Manifest.Pointers {
		want, _ := pointer.in(state.Head.URL)
		if got := digest([]byte(read(c.t, b, pointer.Name))); got != want.SHA256 {
			c.t.Fatalf("%v: after both have ended, %s is not that of HEAD", trace, pointer.Name)
		}
	}
}

// stopsAtWrites are the writes whose order matters. Of the plain names, which go out together, Packages stands for all.
func stopsAtWrites(op, name string) bool {
	switch path.Base(name) {
	case "HEAD", layout.InRelease, layout.Packages, layout.ReleaseGpg:
		return op == "put"
	}
	return false
}

// TestEveryInterleaving has two publishers of one stream in every order of their writes of HEAD and the pointers, through
// the defeat of one of them and his finishing of the other's work, to the end of both.
func TestEveryInterleaving(t *testing.T) {
	c := newContest(t)
	base := bucket.NewMemory()
	if err := execute(t, base, ripe(t, c.first, base)); err != nil {
		t.Fatal(err)
	}
	var path []int // the choices at each step; the next path takes the other choice at the last step that has one
	tried := 0
	for {
		var width []int
		c.run(base.Clone(), false, stopsAtWrites, func(ready []int) int {
			depth := len(width)
			if depth == 0 {
				ready = ready[:1] // who is first does not matter: the two do the same
			}
			width = append(width, len(ready))
			if depth == len(path) {
				path = append(path, 0)
			}
			return ready[path[depth]]
		})
		tried++
		path = path[:len(width)]
		last := len(path) - 1
		for last >= 0 && path[last] == width[last]-1 {
			last--
		}
		if last < 0 {
			break
		}
		path = path[:last+1]
		path[last]++
	}
	t.Logf("%d orders", tried)
	if tried < 100 {
		t.Errorf("only %d orders were tried", tried)
	}
}

// races is how many orders TestRandomInterleavings tries on the memory bucket. On a directory it tries an eighth as many, and
// on each of the cloud stores a sixteenth.
var races = flag.Int("races", 200, "random orders of two publishers to try")

// TestRandomInterleavings has two publishers in random orders of all their requests that touch HEAD or a pointer,
// readings too.
func TestRandomInterleavings(t *testing.T) {
	c := newContest(t)
	stops := func(op, name string) bool {
		class := layout.ClassOf(name)
		return class == layout.State || class == layout.Pointer && !strings.HasSuffix(name, layout.Packages)
	}
	eachKind(t, func(t *testing.T, fresh func() bucket.Bucket, faults *buckettest.Faults) {
		c := *c
		c.t = t
		random := rand.New(rand.NewPCG(3, 4))
		base := fresh()
		memory, _ := base.(*bucket.Memory)
		orders := 1 + *races/8
		switch {
		case memory != nil:
			orders = *races
			if err := execute(t, memory, ripe(t, c.first, memory)); err != nil {
				t.Fatal(err)
			}
		case faults != nil:
			orders = 1 + *races/16
		}
		for range orders {
			var b bucket.Bucket
			if memory != nil {
				b = memory.Clone()
			} else {
				b = fresh()
				if err := execute(t, b, ripe(t, c.first, b)); err != nil {
					t.Fatal(err)
				}
			}
			// Long runs of one publisher reach deeper than a coin for each step. One in four begins with the planning.
			who, stay := 0, 1+random.IntN(20)
			c.run(b, random.IntN(4) > 0, stops, func(ready []int) int {
				if random.IntN(stay) == 0 {
					who = 1 - who
				}
				if !slices.Contains(ready, who) {
					return ready[0]
				}
				return who
			})
		}
		t.Logf("%d orders", orders)
	})
}
