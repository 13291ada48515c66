package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
)

// TestCloudLostAnswer: a write that was done and whose answer was lost succeeds, whatever its condition.
func TestCloudLostAnswer(t *testing.T) {
	eachCloud(t, func(t *testing.T, c *cloud, f *buckettest.Faults) {
		method := http.MethodPost // the method of writes
		if _, ok := c.store.(*s3Store); ok {
			method = http.MethodPut
		}
		for _, trouble := range []buckettest.Trouble{buckettest.Dropped, buckettest.Lost, buckettest.Short, buckettest.Late, buckettest.Status + 409, buckettest.Status + 429, buckettest.Status + 500, buckettest.Status + 503} {
			name := fmt.Sprint("object", trouble)
			last := Generation("")
			for i, condition := range []func() Condition{
				func() Condition { return IfAbsent },
				func() Condition { return IfGeneration(last) },
				func() Condition { return nil },
			} {
				f.Once(method, trouble)
				data := fmt.Sprint("version", i)
				info, err := c.Put(t.Context(), name, Bytes([]byte(data)), PutOptions{CacheControl: "no-cache", Condition: condition()})
				if err != nil {
					t.Fatalf("trouble %d, version %d: %v", trouble, i, err)
				}
				got, stat := get(t, c, name)
				if got != data || stat.Generation != info.Generation || info.Name != name || info.CacheControl != "no-cache" {
					t.Errorf("trouble %d, version %d: put said %+v, then there was %q, %+v", trouble, i, info, got, stat)
				}
				last = info.Generation
			}
			f.Once(http.MethodDelete, trouble)
			if err := c.Delete(t.Context(), name, last); err != nil {
				t.Errorf("trouble %d: delete: %v", trouble, err)
			}
			if _, err := c.Stat(t.Context(), name); !errors.Is(err, ErrNotExist) {
				t.Errorf("trouble %d: after its deletion: %v", trouble, err)
			}
		}
	})
}

// TestCloudOvertaken: if another write came after ours before the answer to ours was known to be lost, the error leaves
// open what happened, and is not that of a condition that did not hold.
func TestCloudOvertaken(t *testing.T) {
	eachCloud(t, func(t *testing.T, c *cloud, f *buckettest.Faults) {
		first := put(t, c, "x", "first")
		var requests atomic.Int32
		f.Set(func(r *http.Request) buckettest.Trouble {
			if r.Method != http.MethodPost && r.Method != http.MethodPut {
				return buckettest.None
			}
			switch requests.Add(1) {
			case 1:
				return buckettest.Lost
			case 2: // the second attempt: before it, somebody else writes
				if _, err := c.Put(context.Background(), "x", Bytes([]byte("other")), PutOptions{}); err != nil {
					t.Error(err)
				}
			}
			return buckettest.None
		})
		_, err := c.Put(t.Context(), "x", Bytes([]byte("ours")), PutOptions{Condition: IfGeneration(first.Generation)})
		if err == nil || errors.Is(err, ErrCondition) || !strings.Contains(err.Error(), "read the object") {
			t.Errorf("put: %v", err)
		}
		if got, _ := get(t, c, "x"); got != "other" {
			t.Errorf("the object is %q", got)
		}
	})
}

// TestCloudGivesUp: attempts are bounded, and the error tells the last one's reason.
func TestCloudGivesUp(t *testing.T) {
	eachCloud(t, func(t *testing.T, c *cloud, f *buckettest.Faults) {
		c.pace.attempts = 3
		f.Set(func(*http.Request) buckettest.Trouble { return buckettest.Status + 503 })
		try := func(what string, requests int64, attempt func() error) {
			t.Helper()
			before := f.Count()
			err := attempt()
			if err == nil || errors.Is(err, ErrCondition) || errors.Is(err, ErrNotExist) || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "the last of 3 attempts") {
				t.Errorf("%s: %v", what, err)
			}
			if n := f.Count() - before; n != requests {
				t.Errorf("%s: %d requests, want %d", what, n, requests)
			}
		}
		try("stat", 3, func() error { _, err := c.Stat(t.Context(), "x"); return err })
		try("open", 3, func() error { _, _, err := c.Open(t.Context(), "x"); return err })
		try("put", 3, func() error { _, err := c.Put(t.Context(), "x", Bytes(nil), PutOptions{}); return err })
		try("delete", 3, func() error { return c.Delete(t.Context(), "x", "7") })
		try("list", 3, func() error {
			for _, err := range c.List(t.Context(), "") {
				return err
			}
			return nil
		})
		// Nothing answers: as a server that is there and says nothing, then as one that is not there.
		c.pace.patience = 10 * time.Millisecond
		f.Set(func(r *http.Request) buckettest.Trouble {
			<-r.Context().Done()
			return buckettest.Dropped
		})
		if _, err := c.Stat(t.Context(), "x"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 attempts") {
			t.Errorf("stat: %v", err)
		}
		if _, _, err := c.Open(t.Context(), "x"); err == nil || errors.Is(err, ErrNotExist) || !strings.Contains(err.Error(), "3 attempts") {
			t.Errorf("open: %v", err)
		}
	})
}

// TestCloudBrokenReading: a reading goes on where it broke off, of the same generation or not at all.
func TestCloudBrokenReading(t *testing.T) {
	eachCloud(t, func(t *testing.T, c *cloud, f *buckettest.Faults) {
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
		info := put(t, c, "x", string(data))
		var reads atomic.Int32
		f.Set(func(r *http.Request) buckettest.Trouble {
			if r.Method == http.MethodGet && reads.Add(1) <= 4 {
				return buckettest.Short
			}
			return buckettest.None
		})
		if got, opened := get(t, c, "x"); got != string(data) || opened.Generation != info.Generation {
			t.Errorf("read %d bytes of %+v", len(got), opened)
		}
		// Overwritten after the break: what was read of the old state cannot be completed.
		f.Once(http.MethodGet, buckettest.Short)
		r, _, err := c.Open(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		put(t, c, "x", strings.Repeat("other", 1<<16))
		var e *Error
		if rest, err := io.ReadAll(r); err == nil || !errors.As(err, &e) || e.Op != "read" || !strings.Contains(err.Error(), "overwritten") {
			t.Errorf("read on for %d bytes: %v", len(rest), err)
		}
		// Given up.
		put(t, c, "x", string(data))
		ctx, cancel := context.WithCancel(t.Context())
		r, _, err = c.Open(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		cancel()
		if rest, err := io.ReadAll(r); !errors.Is(err, context.Canceled) || len(rest) == len(data) {
			t.Errorf("read on for %d bytes: %v", len(rest), err)
		}
		// Broken for good.
		f.Calm()
		c.pace.attempts = 3
		f.Once(http.MethodGet, buckettest.Short)
		r, _, err = c.Open(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		f.Set(func(*http.Request) buckettest.Trouble { return buckettest.Dropped })
		if rest, err := io.ReadAll(r); err == nil || !errors.As(err, &e) || e.Op != "read" {
			t.Errorf("read on for %d bytes: %v", len(rest), err)
		}
	})
}

// TestCloudDamage: bytes that are changed on their way do not get out of a store, nor into it.
func TestCloudDamage(t *testing.T) {
	for _, c := range clouds {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var writes, damaged atomic.Int32
			b := c.open(t, "", func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch r.Method {
					case http.MethodGet:
						answer := httptest.NewRecorder()
						next.ServeHTTP(answer, r)
						maps.Copy(w.Header(), answer.Header())
						w.WriteHeader(answer.Code)
						w.Write(bytes.Replace(answer.Body.Bytes(), []byte("good"), []byte("evil"), 1))
						return
					case http.MethodPost, http.MethodPut:
						if writes.Add(1) <= damaged.Load() {
							body, _ := io.ReadAll(r.Body)
							r.Body = io.NopCloser(bytes.NewReader(bytes.Replace(body, []byte("good"), []byte("evil"), 1)))
						}
					}
					next.ServeHTTP(w, r)
				})
			})
			put(t, b, "x", "good bytes")
			r, _, err := b.Open(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if data, err := io.ReadAll(r); err == nil || len(data) != 0 {
				t.Errorf("read %q, %v", data, err)
			}
			writes.Store(0)
			damaged.Store(2)
			if put(t, b, "y", "good bytes"); writes.Load() != 3 {
				t.Errorf("written with %d attempts of which 2 were damaged", writes.Load())
			}
			damaged.Store(1000)
			if _, err := b.Put(t.Context(), "z", Bytes([]byte("good bytes")), PutOptions{}); err == nil {
				t.Error("a damaged write succeeded")
			}
			if _, err := b.Stat(t.Context(), "z"); !errors.Is(err, ErrNotExist) {
				t.Errorf("a damaged write left %v", err)
			}
		})
	}
}

// TestCloudDeleteRace: what is written while a deletion is under way stays.
func TestCloudDeleteRace(t *testing.T) {
	eachCloud(t, func(t *testing.T, c *cloud, f *buckettest.Faults) {
		info := put(t, c, "x", "old")
		f.Set(func(r *http.Request) buckettest.Trouble {
			if r.Method == http.MethodDelete {
				put(t, c, "x", "new")
			}
			return buckettest.None
		})
		if err := c.Delete(t.Context(), "x", info.Generation); !errors.Is(err, ErrCondition) {
			t.Errorf("delete: %v", err)
		}
		if got, _ := get(t, c, "x"); got != "new" {
			t.Errorf("the object is %q", got)
		}
	})
}

// TestCloudFaults has one writer for each object, with trouble at every third request. After each operation a look
// without trouble must find the object in a state that the outcome allows.
func TestCloudFaults(t *testing.T) {
	eachCloud(t, func(t *testing.T, c *cloud, f *buckettest.Faults) {
		const objects, steps = 6, 30
		c.pace.attempts = 4 // so that some operations fail
		var calm [objects]atomic.Bool
		choose := buckettest.Often(1)
		f.Set(func(r *http.Request) buckettest.Trouble {
			for i := range calm {
				if strings.HasSuffix(r.URL.Path, fmt.Sprint("/object", i)) && calm[i].Load() {
					return buckettest.None
				}
			}
			return choose(r)
		})
		var failed, succeeded atomic.Int32
		var group sync.WaitGroup
		for i := range objects {
			group.Go(func() {
				o := &observed{t: t, c: c, name: fmt.Sprint("object", i), calm: &calm[i], random: rand.New(rand.NewPCG(uint64(i), 1))}
				for range steps {
					if o.step() {
						succeeded.Add(1)
					} else {
						failed.Add(1)
					}
				}
			})
		}
		group.Wait()
		if succeeded.Load() < failed.Load() {
			t.Errorf("%d operations failed, %d succeeded", failed.Load(), succeeded.Load())
		}
		t.Logf("%d operations, %d failed, %d requests", objects*steps, failed.Load(), f.Count())
	})
}

// observed is an object with one writer, who knows what it must be.
type observed struct {
	t      *testing.T
	c      *cloud
	name   string
	calm   *atomic.Bool // turns trouble off for readings of the object
	random *rand.Rand

	writes     int
	data       string
	generation Generation // empty while the object does not exist
	before     Generation
}

// look reads the object without trouble.
func (o *observed) look() (string, Generation) {
	o.calm.Store(true)
	defer o.calm.Store(false)
	r, info, err := o.c.Open(context.Background(), o.name)
	if errors.Is(err, ErrNotExist) {
		return "", ""
	}
	if err != nil {
		o.t.Error(err)
		return "", ""
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		o.t.Error(err)
	}
	return string(data), info.Generation
}

// step does something to the object and reports whether it was told what became of it.
func (o *observed) step() bool {
	ctx := context.Background()
	switch kind := o.random.IntN(10); {
	case kind < 2: // read
		r, info, err := o.c.Open(ctx, o.name)
		if err == nil {
			var data []byte
			if data, err = io.ReadAll(r); err == nil && (string(data) != o.data || info.Generation != o.generation) {
				o.t.Errorf("%s: read %d bytes of %+v", o.name, len(data), info)
			}
			r.Close()
		} else if errors.Is(err, ErrNotExist) != (o.generation == "") && errors.Is(err, ErrNotExist) {
			o.t.Errorf("%s: %v", o.name, err)
		}
		return err == nil || errors.Is(err, ErrNotExist)
	case kind < 4: // delete
		generation := o.any()
		err := o.c.Delete(ctx, o.name, generation)
		return o.judge("delete", err, o.generation == "" || generation == o.generation, "")
	}
	o.writes++
	data := strings.Repeat(fmt.Sprintf("%s state %d;", o.name, o.writes), 1+o.random.IntN(1000))
	var condition Condition
	holds := true
	if o.random.IntN(4) > 0 {
		generation := o.any()
		condition, holds = IfGeneration(generation), generation == o.generation
	}
	info, err := o.c.Put(ctx, o.name, Bytes([]byte(data)), PutOptions{Condition: condition})
	known := o.judge("put", err, holds, data)
	if err == nil && info.Generation != o.generation {
		o.t.Errorf("%s: put returned generation %s, and there is %s", o.name, info.Generation, o.generation)
	}
	return known
}

// any chooses a generation for a condition.
func (o *observed) any() Generation {
	return []Generation{o.generation, o.generation, o.before, ""}[o.random.IntN(4)]
}

// judge compares what an operation said with what is there: it was to make the object hold data, or remove it, if its
// condition holds.
func (o *observed) judge(op string, err error, holds bool, data string) bool {
	found, generation := o.look()
	done := found == data && (generation == "") == (data == "")
	kept := found == o.data && generation == o.generation
	switch {
	case errors.Is(err, ErrCondition) && (holds || !kept):
		o.t.Errorf("%s %s with condition that holds=%v, kept=%v: %v", op, o.name, holds, kept, err)
	case err == nil && (!holds || !done):
		o.t.Errorf("%s %s with condition that holds=%v succeeded: done=%v", op, o.name, holds, done)
	case err != nil && (!kept && !done || done && !kept && !holds):
		o.t.Errorf("%s %s: neither done nor not: %v", op, o.name, err)
	}
	if generation != o.generation {
		o.before = o.generation
	}
	o.data, o.generation = found, generation
	return err == nil || errors.Is(err, ErrCondition)
}

// TestCloudFaultyRaces: with trouble at every third request, of many who want to create one object at most one is told
// that he did, and he who did is not told that another had; and a counter counts what was counted.
func TestCloudFaultyRaces(t *testing.T) {
	eachCloud(t, func(t *testing.T, c *cloud, f *buckettest.Faults) {
		f.Set(buckettest.Often(2))
		c.pace.attempts = 5
		ctx := context.Background()
		for round := range 4 {
			const writers = 8
			name := fmt.Sprint("object", round)
			var results [writers]error
			var group sync.WaitGroup
			for w := range writers {
				group.Go(func() {
					_, results[w] = c.Put(ctx, name, Bytes([]byte{byte(w)}), PutOptions{Condition: IfAbsent})
				})
			}
			group.Wait()
			f.Calm()
			data, _ := get(t, c, name)
			for w, err := range results {
				if winner := int(data[0]) == w; winner && errors.Is(err, ErrCondition) || !winner && err == nil {
					t.Errorf("writer %d, with %d in the object: %v", w, data[0], err)
				}
			}
			f.Set(buckettest.Often(uint64(round + 3)))
		}
		var counted, unknown atomic.Int32
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				for range 8 {
					if err := count(ctx, c, "counter", 1); err == nil {
						counted.Add(1)
					} else {
						unknown.Add(1)
					}
				}
			})
		}
		group.Wait()
		f.Calm()
		data, _ := get(t, c, "counter")
		var n int32
		fmt.Sscan(data, &n)
		if n < counted.Load() || n > counted.Load()+unknown.Load() {
			t.Errorf("the counter is at %d, %d were counted, and of %d it is not known", n, counted.Load(), unknown.Load())
		}
		t.Logf("counted %d, and of %d it is not known", counted.Load(), unknown.Load())
	})
}

// TestCloudList lists more than a page, with trouble.
func TestCloudList(t *testing.T) {
	eachCloud(t, func(t *testing.T, c *cloud, f *buckettest.Faults) {
		var want []string
		for i := range 25 {
			want = append(want, fmt.Sprintf("folder/%03d", i))
			put(t, c, want[i], "x")
		}
		c.listPage = 4
		f.Set(buckettest.Often(7))
		if got := names(t, c, "folder/"); !slices.Equal(got, want) {
			t.Errorf("listed %q", got)
		}
	})
}

// TestCloudLargeWrite sends more than anybody may hold in memory.
func TestCloudLargeWrite(t *testing.T) {
	const size = 48 << 20
	sum := sha256.New()
	if _, err := io.Copy(sum, zeros(size)); err != nil {
		t.Fatal(err)
	}
	crc := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	io.Copy(crc, zeros(size))
	content := Content{size, hex.EncodeToString(sum.Sum(nil)), func() (io.ReadCloser, error) { return io.NopCloser(zeros(size)), nil }}
	for _, c := range clouds {
		t.Run(c.name, func(t *testing.T) {
			var received int64
			b := c.open(t, "", func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					received, _ = io.Copy(io.Discard, r.Body)
					if c.name == "GCS" {
						w.Header().Set("Content-Type", "application/json")
						fmt.Fprintf(w, `{"name":"x","size":"%d","generation":"1","crc32c":"%s"}`, size, base64.StdEncoding.EncodeToString(crc.Sum(nil)))
					}
				})
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			info, err := b.Put(t.Context(), "x", content, PutOptions{})
			runtime.ReadMemStats(&after)
			if err != nil || received < size {
				t.Errorf("put %+v, %v; the store received %d bytes", info, err, received)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
				t.Errorf("sending %d MiB took %d MiB of memory", size>>20, used>>20)
			}
		})
	}
}

// zeros is that many bytes.
func zeros(n int64) io.Reader { return io.LimitReader(zero{}, n) }

type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
