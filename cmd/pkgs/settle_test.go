package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/verify"
)

const (
	settledStream = layout.Stream("core:/stable:/v1.35")
	settledAlias  = layout.Stream("core:/stable:/latest")
)

// TestCutOffBehindPointers kills a cut at every write behind its last pointer: the lists of streams, and an alias that follows.
// The next run of whoever has nothing to publish, or of the nightly job, brings all of that to its end, and pkgs verify says
// before that something is left. After that a cut of the same version takes three reads and no more.
func TestCutOffBehindPointers(t *testing.T) {
	c := newCommunity(t)
	for patch := range 2 {
		c.upstream.Kubernetes(fmt.Sprintf("v1.35.%d", patch), releaseDate, nightsArch)
	}
	c.upstream.Mark("kubernetes", "release/stable-1.35.txt", "v1.35.1", releaseDate)
	config := fmt.Sprintf(`bucket: bucket
url: https://pkgs.example.org
signing: {key: one.asc}
architectures: [%s]
revision: "1.1"
cache: cache
%sstreams:
  - {name: %q, released: {marker: "release/stable-1.35.txt"}, packages: {kubectl: cut}}
  - {name: %q, alias: "core:/stable:/v{newest}"}
`, nightsArch, c.upstream.Config(), settledStream, settledAlias)
	if err := os.WriteFile(c.program.configFile, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	staging := bucket.NewMemory()
	pkgs := func(b bucket.Bucket, args ...string) error {
		p := &program{
			stdout: io.Discard, stderr: io.Discard, now: c.program.now, getenv: c.program.getenv, backoff: time.Millisecond,
			openBucket: func(address string) (bucket.Bucket, error) {
				if filepath.Base(address) == "staging" {
					return staging, nil
				}
				return b, nil
			},
		}
		root := newRoot(p)
		root.SetArgs(append(args, "--config", c.program.configFile))
		root.SetOut(io.Discard)
		root.SetErr(io.Discard)
		return root.ExecuteContext(t.Context())
	}
	base := bucket.NewMemory()
	if err := pkgs(base, "cut", "v1.35.0", "--confirm"); err != nil {
		t.Fatal(err)
	}

	// The writes of one that nobody kills.
	var mu sync.Mutex
	var writes []string // guarded by mu
	whole := base.Clone()
	whole.Fault = func(op, name string) bucket.Fault {
		mu.Lock()
		defer mu.Unlock()
		if op == "put" {
			writes = append(writes, name)
		}
		return bucket.OK
	}
	cut := []string{"cut", "v1.35.1", "--confirm"}
	if err := pkgs(whole, cut...); err != nil {
		t.Fatal(err)
	}
	last := slices.Index(writes, settledStream.Rpm(layout.RepomdAsc))
	if last < 0 || writes[len(writes)-1] != settledStream.Settled() {
		t.Fatalf("the writes are %q", writes)
	}
	named, deaths := 0, 0
	for dies := last + 1; dies < len(writes); dies++ {
		// Of the alias's own publication, which is like any, not every write.
		if class := layout.ClassOf(writes[dies]); (class.Policy().Immutable || class == layout.Pointer) && dies%5 > 0 {
			continue
		}
		deaths++
		b := base.Clone()
		n, dead := 0, false // guarded by mu
		b.Fault = func(op, name string) bucket.Fault {
			mu.Lock()
			defer mu.Unlock()
			if op == "put" {
				if n++; n > dies {
					dead = true
				}
			}
			if dead {
				return bucket.NotApplied
			}
			return bucket.OK
		}
		where := "at " + writes[dies]
		if err := pkgs(b, cut...); err == nil || !dead {
			t.Fatalf("%s: a dead process ends with %v", where, err)
		}
		b.Fault = nil
		state, err := repo.ReadState(t.Context(), b, settledStream)
		if err != nil || state.Head.Serial != 2 {
			t.Fatalf("%s: serial %d is live: %v", where, state.Head.Serial, err)
		}
		var left *unshownError
		var damage *verify.DamageError // the alias is between two states
		if err := pkgs(b, "verify"); errors.As(err, &left) {
			named++
			if exitCode(err) != exitDrift {
				t.Errorf("%s: verify has exit code %d", where, exitCode(err))
			}
		} else if err != nil && !errors.As(err, &damage) {
			t.Errorf("%s: %v", where, err)
		} else if err == nil && listsOf(t, b) != 2 {
			t.Errorf("%s: pkgs verify has nothing to say", where)
		}
		next := cut
		if deaths%2 == 0 {
			next = []string{"reconcile", "--confirm"}
		}
		if err := pkgs(b, next...); err != nil {
			t.Errorf("%s: the next run, %v: %v", where, next, err)
		}
		if n := listsOf(t, b); n != 2 {
			t.Errorf("%s: after the next run, %v, streams.json lists %d streams as they are", where, next, n)
		}
		for _, name := range []string{settledStream.Latest(), settledAlias.Latest(), settledStream.FolderLatest()} {
			if text := objectText(t, b, name); text != "1.35.1\n" {
				t.Errorf("%s: %s says %q", where, name, text)
			}
		}
		alias, err := repo.ReadState(t.Context(), b, settledAlias)
		if err != nil || !alias.Shows(state) {
			t.Errorf("%s: after the next run, %v, the alias does not follow: %v", where, next, err)
		}
		if err := pkgs(b, "verify"); err != nil {
			t.Errorf("%s: after the next run, %v: %v", where, next, err)
		}
		var requests atomic.Int64
		b.Fault = func(op, name string) bucket.Fault {
			if requests.Add(1); op != "open" {
				t.Errorf("%s: a cut without a change asks for %s %s", where, op, name)
			}
			return bucket.OK
		}
		if err := pkgs(b, cut...); err != nil || requests.Load() != 3 {
			t.Errorf("%s: a cut without a change takes %d requests: %v", where, requests.Load(), err)
		}
	}
	t.Logf("died at %d writes, pkgs verify named what was left after %d", deaths, named)
	if named == 0 {
		t.Error("pkgs verify never named what was left")
	}

	// A promotion that dies there is brought to its end by the next, which has nothing to promote. The streams that follow others
	// come last, and are looked at once more by the one after that.
	whole.Fault = nil
	staging = whole
	promote := []string{"promote", filepath.Join(c.dir, "staging"), filepath.Join(c.dir, "bucket"), "--confirm"}
	production, dead := bucket.NewMemory(), false
	production.Fault = func(op, name string) bucket.Fault {
		mu.Lock()
		defer mu.Unlock()
		if dead = dead || op == "put" && name == layout.Streams; dead {
			return bucket.NotApplied
		}
		return bucket.OK
	}
	if err := pkgs(production, promote...); err == nil || !dead {
		t.Fatalf("a dead promotion ends with %v", err)
	}
	production.Fault = nil
	settled := func(name layout.Stream) bool {
		t.Helper()
		state, err := repo.ReadState(t.Context(), production, name)
		if err != nil {
			t.Fatal(err)
		}
		settled, err := repo.Settled(t.Context(), production, state)
		if err != nil {
			t.Fatal(err)
		}
		return settled
	}
	for following := range 2 {
		if err := pkgs(production, promote...); err != nil {
			t.Error(err)
		}
		if n := listsOf(t, production); n != 2 {
			t.Errorf("after the next promotion streams.json lists %d streams as they are", n)
		}
		// The alias was not there yet when the first of them looked.
		if got := settled(settledStream); got != (following == 1) || !settled(settledAlias) {
			t.Errorf("promotion %d: settled %t, the alias %t", following, got, settled(settledAlias))
		}
	}
}

// listsOf is how many streams streams.json lists with the serial that is live.
func listsOf(t *testing.T, b bucket.Bucket) (right int) {
	t.Helper()
	var list struct {
		Streams []struct {
			Stream layout.Stream
			Serial int64
		}
	}
	if err := json.Unmarshal([]byte(objectText(t, b, layout.Streams)), &list); err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Streams {
		if state, err := repo.ReadState(t.Context(), b, s.Stream); err == nil && state.Head.Serial == s.Serial {
			right++
		}
	}
	return right
}

func objectText(t *testing.T, b bucket.Bucket, name string) string {
	t.Helper()
	r, _, err := b.Open(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
