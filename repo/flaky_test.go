package repo

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
)

// flaky is a bucket whose operations fail at random, as those of a disk or a mount do: nothing was done, or it was done and
// reported as failed, or the reading ends halfway. Nobody tries again below the publisher.
type flaky struct {
	bucket.Bucket
	percent atomic.Int64
	count   atomic.Int64 // of operations

	mu     sync.Mutex
	random *rand.Rand // guarded by mu
}

var errFlaky = errors.New("input/output error")

// trouble chooses whether an operation fails, and whether that is before it was done.
func (f *flaky) trouble() (fails, before bool) {
	f.count.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.random.Int64N(100) < f.percent.Load(), f.random.IntN(2) == 0
}

func (f *flaky) fail(op, name string) error {
	return &bucket.Error{Bucket: f.String(), Op: op, Name: name, Err: errFlaky}
}

func (f *flaky) Stat(ctx context.Context, name string) (bucket.Info, error) {
	if fails, _ := f.trouble(); fails {
		return bucket.Info{}, f.fail("stat", name)
	}
	return f.Bucket.Stat(ctx, name)
}

func (f *flaky) Open(ctx context.Context, name string) (io.ReadCloser, bucket.Info, error) {
	fails, before := f.trouble()
	if fails && before {
		return nil, bucket.Info{}, f.fail("open", name)
	}
	r, info, err := f.Bucket.Open(ctx, name)
	if err != nil || !fails {
		return r, info, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(r, info.Size/2), breaking{f.fail("open", name)}), r}, info, nil
}

func (f *flaky) Put(ctx context.Context, name string, content bucket.Content, options bucket.PutOptions) (bucket.Info, error) {
	fails, before := f.trouble()
	if fails && before {
		return bucket.Info{}, f.fail("put", name)
	}
	info, err := f.Bucket.Put(ctx, name, content, options)
	if err == nil && fails {
		err = f.fail("put", name)
	}
	return info, err
}

type breaking struct{ err error }

func (b breaking) Read([]byte) (int, error) { return 0, b.err }

// TestFlaky publishes to the buckets that ask no network while three operations in ten fail, and then few enough for a run to
// come to its end now and then. A run ends with the publication live, or with an error that names an object; it asks a
// bounded number of times; whatever it leaves behind a client can use; and the runs after it go on from there. (What the cloud
// stores do in such trouble is in TestFaults.)
func TestFlaky(t *testing.T) {
	first, second := twoPublications(t)
	for _, kind := range []string{"memory", "dir", "memory", "dir", "memory", "dir"} {
		t.Run(kind, func(t *testing.T) {
			var b bucket.Bucket = bucket.NewMemory()
			if kind == "dir" {
				b = bucket.NewDir(quickDir(t))
			}
			if err := execute(t, b, ripe(t, first, b)); err != nil {
				t.Fatal(err)
			}
			seed := rand.Uint64()
			f := &flaky{Bucket: b, random: rand.New(rand.NewPCG(seed, 0))}
			failed := map[int64]int{}
			serial := int64(1)
			for run := 0; serial == 1 && run < 400; run++ {
				percent := int64(30)
				if run >= 5 {
					percent = 4
				}
				plan := ripe(t, second, b)
				f.percent.Store(percent)
				f.count.Store(0)
				err := execute(t, f, plan)
				if n := f.count.Load(); n > 200 {
					t.Errorf("a run made %d requests", n)
				}
				if err != nil {
					failed[percent]++
					clearError(t, err)
				}
				if debs, rpms := counts(t, b, underwayNames...); debs != 2 && debs != 4 || rpms != 2 && rpms != 4 && rpms != 0 {
					t.Errorf("after %v a client finds %d debs and %d rpms", err, debs, rpms)
				}
				state, rerr := ReadState(t.Context(), b, streamName)
				if rerr != nil {
					t.Fatal(rerr)
				}
				if state.Head.Serial < serial || err == nil && state.Head.Serial != 2 {
					t.Errorf("serial %d is live after %d: %v", state.Head.Serial, serial, err)
				}
				serial = state.Head.Serial
			}
			if serial != 2 || failed[30] == 0 {
				t.Errorf("serial %d is live, and runs failed: %v", serial, failed)
			}
			if _, err := finish(t, b, second); err != nil {
				t.Fatal(err)
			}
			if n := check(t, b); n != 4 {
				t.Errorf("in the end a client finds %d debs", n)
			}
			t.Logf("seed %d: failed runs by percent of failing operations: %v, the last with serial %d", seed, failed, serial)
		})
	}
}
