package reconcile

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
	"sigs.k8s.io/pkgs/repo/layout"
)

// A night with nothing to do reads HEAD, the manifest, the last pointer and the note of each stream, lists its objects, and
// reads the list of streams once. A quick look does not list.
func TestRequests(t *testing.T) {
	b := bucket.NewMemory()
	s := newScene(t, b)
	s.run() // has the attestations in its cache now
	for _, k := range []struct {
		quick bool
		want  map[string]int
	}{
		{false, map[string]int{"open": 4 + 1, "list": 2}},
		{true, map[string]int{"open": 4 + 1}},
	} {
		s.config.Quick = k.quick
		before := b.Counts()
		s.expect(s.run(), "a night with nothing to do")
		got := map[string]int{}
		for op, n := range b.Counts() {
			if n != before[op] {
				got[op] = n - before[op]
			}
		}
		if !maps.Equal(got, k.want) {
			t.Errorf("quick %t: it took %v, expected %v", k.quick, got, k.want)
		}
	}
}

// A look at many objects takes one request for a thousand of them, and none for each.
func TestManyObjects(t *testing.T) {
	faults := &buckettest.Faults{}
	store, err := buckettest.S3(faults.Front)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b, err := bucket.Options{Pause: time.Millisecond, Patience: 10 * time.Second}.Open(store.Address("prefix"))
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t, b)
	const many = 10_000
	var group errgroup.Group
	group.SetLimit(16)
	for i := range many {
		group.Go(func() error {
			_, err := b.Put(t.Context(), streamName.Deb(layout.ByHash(fmt.Sprintf("%064x", i))), content([]byte("older")), bucket.PutOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	s.run()
	before := faults.Count()
	report := s.run()
	s.expect(report, "a night with nothing to do")
	if requests := faults.Count() - before; requests > 4+1+2+(many+999)/1000 {
		t.Errorf("it took %d requests", requests)
	}
	if older := report.Streams[0].Older; older < many {
		t.Errorf("%d objects are older", older)
	}
}

// slow is a bucket that takes its time for each answer.
type slow struct {
	bucket.Bucket
	latency time.Duration
}

func (s slow) Open(ctx context.Context, name string) (io.ReadCloser, bucket.Info, error) {
	time.Sleep(s.latency)
	return s.Bucket.Open(ctx, name)
}

func (s slow) Stat(ctx context.Context, name string) (bucket.Info, error) {
	time.Sleep(s.latency)
	return s.Bucket.Stat(ctx, name)
}

func (s slow) List(ctx context.Context, prefix string) iter.Seq2[bucket.Info, error] {
	time.Sleep(s.latency)
	return s.Bucket.List(ctx, prefix)
}

// BenchmarkNight is a night with nothing to do over 30 streams, with 30 ms until every answer of the bucket. It should be
// over in 2 s.
func BenchmarkNight(b *testing.B) {
	memory := bucket.NewMemory()
	signer := readSigner(b, "one")
	up := &fakeUpstream{signer: signer, dir: b.TempDir(), releases: []string{"1.35.0"}}
	var streams []Stream
	for i := range 30 {
		s := testStream()
		s.Name = layout.Stream(fmt.Sprintf("core:/stable:/v1.%d", i))
		streams = append(streams, s)
	}
	cache, err := os.MkdirTemp(b.TempDir(), "cache")
	if err != nil {
		b.Fatal(err)
	}
	run := func(latency time.Duration) *Report {
		return Run(context.Background(), Config{
			Upstream: up, Confirm: true, Cache: cache,
			Publisher: repo.NewPublisher(repo.Config{
				Bucket: slow{memory, latency}, URL: "https://pkgs.example.org", Signer: signer, Keyring: signer.Keyring(), Now: func() time.Time { return start },
			}),
		}, streams)
	}
	run(0)
	run(0)
	for b.Loop() {
		if worst := run(30 * time.Millisecond).Worst(); worst != Info {
			b.Fatal(worst)
		}
	}
}
