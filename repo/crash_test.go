package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
	"sigs.k8s.io/pkgs/repo/layout"
)

// moment is when a process dies, relative to a write.
type moment int

const (
	before moment = iota // the write was never begun
	during               // half of the bytes were sent
	after                // the write was done, and nobody was left to hear so
)

func (m moment) String() string { return [...]string{"before", "during", "after"}[m] }

// mortal is a bucket as a process sees it that dies at one of its writes. Nothing works after that.
type mortal struct {
	bucket.Bucket
	dies int // at which write, from 1
	when moment

	mu   sync.Mutex
	puts int    // guarded by mu
	dead bool   // guarded by mu
	at   string // guarded by mu; the object at whose write it died
}

var errDead = errors.New("the process is dead")

// alive counts a write and tells whether it is the last, or an error if there is nobody left to make it.
func (m *mortal) alive(name string, write bool) (last bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return false, errDead
	}
	if !write {
		return false, nil
	}
	if m.puts++; m.puts == m.dies {
		m.dead, m.at = true, name
	}
	return m.dead, nil
}

func (m *mortal) Stat(ctx context.Context, name string) (bucket.Info, error) {
	if _, err := m.alive(name, false); err != nil {
		return bucket.Info{}, err
	}
	return m.Bucket.Stat(ctx, name)
}

func (m *mortal) Open(ctx context.Context, name string) (io.ReadCloser, bucket.Info, error) {
	if _, err := m.alive(name, false); err != nil {
		return nil, bucket.Info{}, err
	}
	return m.Bucket.Open(ctx, name)
}

func (m *mortal) Put(ctx context.Context, name string, content bucket.Content, options bucket.PutOptions) (bucket.Info, error) {
	last, err := m.alive(name, true)
	switch {
	case err != nil:
		return bucket.Info{}, err
	case !last:
		return m.Bucket.Put(ctx, name, content, options)
	case m.when == during:
		open := content.Open
		content.Open = func() (io.ReadCloser, error) {
			r, err := open()
			return struct {
				io.Reader
				io.Closer
			}{io.MultiReader(io.LimitReader(r, content.Size/2), dying{}), r}, err
		}
		m.Bucket.Put(ctx, name, content, options)
	case m.when == after:
		if _, err := m.Bucket.Put(ctx, name, content, options); err != nil {
			return bucket.Info{}, err
		}
	}
	return bucket.Info{}, errDead
}

type dying struct{}

func (dying) Read([]byte) (int, error) { return 0, errDead }

// ripe is a plan as it would have been made for a bucket with the same objects: only the generation of HEAD differs. It
// spares the tests the making of many equal signatures.
func ripe(t *testing.T, plan *Plan, b bucket.Bucket) *Plan {
	t.Helper()
	here := *plan
	base := *plan.base
	info, err := b.Stat(t.Context(), streamName.Head())
	if err != nil && !errors.Is(err, bucket.ErrNotExist) {
		t.Fatal(err)
	}
	base.Generation = info.Generation
	here.base, here.seen = &base, newSightings()
	return &here
}

// twoPublications are the plans of a first publication, and of a second on top of it.
func twoPublications(t *testing.T) (first, second *Plan) {
	t.Helper()
	b := bucket.NewMemory()
	p := publisher(t, b)
	first = mustAdd(t, p, packages(t, "1.35.0", "one"))
	second, err := p.Plan(t.Context(), testStream(), Change{Add: packages(t, "1.35.1", "two")})
	if err != nil {
		t.Fatal(err)
	}
	return first, second
}

// execute carries out a plan on a bucket.
func execute(t *testing.T, b bucket.Bucket, plan *Plan) error {
	t.Helper()
	p := publisher(t, b)
	p.Parallel = 4
	return p.Execute(t.Context(), plan)
}

// finish is the next run: whoever finds the bucket as a crash left it completes what was committed without a key, and
// publishes again what was not. It reports whether it was committed.
func finish(t *testing.T, b bucket.Bucket, plan *Plan) (committed bool, err error) {
	t.Helper()
	state, err := ReadState(t.Context(), b, streamName)
	if err != nil {
		t.Fatal(err)
	}
	if state.Head.Serial < plan.Serial {
		return false, execute(t, b, ripe(t, plan, b))
	}
	p := publisher(t, b)
	p.Signer = nil
	rest, err := p.Plan(t.Context(), testStream(), Change{Base: state})
	if err != nil {
		return true, err
	}
	return true, p.Execute(t.Context(), rest)
}

// eitherState fails the test unless a client finds the publication before or that after, whole: apt through InRelease,
// dnf and zypper through mirrorlist, and dnf and zypper through baseurl unless the crash was between repomd.xml and its
// signature. Of the plain names each must be of one of the two.
func eitherState(t *testing.T, b bucket.Bucket, first, second *Plan, where string) {
	t.Helper()
	// An apt that finds indexes by digest reads InRelease alone, and a client of mirrorlist= neither repomd.xml nor its
	// signature: these may be behind.
	underway := []string{"deb/" + layout.Packages, "deb/" + layout.PackagesGz, "deb/" + layout.Release, "deb/" + layout.ReleaseGpg, "rpm/" + layout.Mirrorlist}
	is := map[string]int{}
	for _, pointer := range second.project {
		i := slices.IndexFunc(first.project, func(p Pointer) bool { return p.Name == pointer.Name })
		old, _ := first.project[i].in(first.head.URL)
		now, _ := pointer.in(second.head.URL)
		switch digest([]byte(read(t, b, pointer.Name))) {
		case old.SHA256:
			is[pointer.Name] = 1
		case now.SHA256:
			is[pointer.Name] = 2
		default:
			t.Errorf("%s: %s has the bytes of neither publication", where, pointer.Name)
		}
	}
	if is[streamName.Rpm(layout.Repomd)] != is[streamName.Rpm(layout.RepomdAsc)] {
		if !strings.HasSuffix(where, layout.Repomd) && !strings.HasSuffix(where, layout.RepomdAsc) {
			t.Errorf("%s: repomd.xml and its signature are of different publications", where)
		}
		underway = append(underway, "rpm/"+layout.Repomd, "rpm/"+layout.RepomdAsc)
	}
	if debs, rpms := counts(t, b, underway...); debs != 2 && debs != 4 || rpms != 2 && rpms != 4 {
		// Between the two, the checker cannot count the packages of baseurl.
		if rpms != 0 || !slices.Contains(underway, "rpm/"+layout.Repomd) {
			t.Errorf("%s: a client finds %d debs and %d rpms", where, debs, rpms)
		}
	}
}

// crash carries out a plan in a process that dies, and returns at which write and object it did; name is empty when it
// came to its end before.
func crash(t *testing.T, b bucket.Bucket, plan *Plan, dies int, when moment) (name string) {
	t.Helper()
	m := &mortal{Bucket: b, dies: dies, when: when}
	err := execute(t, m, plan)
	if m.at == "" && err != nil {
		t.Fatal(err)
	}
	if m.at != "" && err == nil && when != after {
		t.Errorf("%s %s: a dead process says that it has published", when, m.at)
	}
	return m.at
}

// TestCrashes kills a publication before, in the middle of and after every write that it makes. After each, a client finds
// the old state or the new one, and the next run completes the new one, without a key if it was committed.
func TestCrashes(t *testing.T) {
	first, second := twoPublications(t)
	eachKind(t, func(t *testing.T, fresh func() bucket.Bucket, _ *buckettest.Faults) {
		points, finished := 0, 0
		for _, when := range []moment{before, during, after} {
			for dies := 1; ; dies++ {
				b := fresh()
				if err := execute(t, b, ripe(t, first, b)); err != nil {
					t.Fatal(err)
				}
				at := crash(t, b, ripe(t, second, b), dies, when)
				if at == "" {
					break
				}
				points++
				where := fmt.Sprintf("%s %s", when, at)
				eitherState(t, b, first, second, where)
				committed, err := finish(t, b, second)
				if err != nil {
					t.Errorf("%s: the next run fails: %v", where, err)
				}
				if committed {
					finished++
				}
				if n := check(t, b); n != 4 {
					t.Errorf("%s: after the next run a client finds %d debs", where, n)
				}
			}
		}
		if writes := len(second.Writes); points != 3*writes || finished < 3*len(second.project) {
			t.Errorf("died at %d points, of which %d were after the commit; a publication has %d writes", points, finished, writes)
		}
	})
}

// TestCrashesTwice kills a publication, and then the run that goes on with it, each somewhere.
func TestCrashesTwice(t *testing.T) {
	first, second := twoPublications(t)
	eachKind(t, func(t *testing.T, fresh func() bucket.Bucket, faults *buckettest.Faults) {
		random := rand.New(rand.NewPCG(1, 2))
		pairs := 100
		if faults != nil {
			pairs = 10
		}
		twice := 0
		for range pairs {
			b := fresh()
			if err := execute(t, b, ripe(t, first, b)); err != nil {
				t.Fatal(err)
			}
			where := ""
			for range 2 {
				when := moment(random.IntN(3))
				m := &mortal{Bucket: b, dies: 1 + random.IntN(len(second.Writes)), when: when}
				_, err := finish(t, m, second)
				if m.at == "" {
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				if where != "" {
					where += ", then "
					twice++
				}
				where += fmt.Sprintf("%s %s", when, m.at)
				eitherState(t, b, first, second, where)
			}
			if _, err := finish(t, b, second); err != nil {
				t.Errorf("%s: the third run fails: %v", where, err)
			}
			if n := check(t, b); n != 4 {
				t.Errorf("%s: after the third run a client finds %d debs", where, n)
			}
		}
		if twice < pairs/4 {
			t.Errorf("only %d of %d publications died twice", twice, pairs)
		}
	})
}
