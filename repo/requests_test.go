package repo

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
	"sigs.k8s.io/pkgs/repo/layout"
)

// log notes the operations on a memory bucket.
type log struct {
	mu  sync.Mutex
	ops []string // guarded by mu; "put name" and the like
}

func watch(b *bucket.Memory) *log {
	l := &log{}
	b.Fault = func(op, name string) bucket.Fault {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ops = append(l.ops, op+" "+name)
		return bucket.OK
	}
	return l
}

// counts are the numbers of operations since the last call, by kind.
func (l *log) counts() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := map[string]int{}
	for _, op := range l.ops {
		kind, _, _ := strings.Cut(op, " ")
		n[kind]++
	}
	l.ops = nil
	return n
}

// TestRequests counts exactly what publications ask of a bucket. That nothing is listed is part of it.
func TestRequests(t *testing.T) {
	b := bucket.NewMemory()
	p := publisher(t, b)
	one, two := packages(t, "1.35.0", "one"), packages(t, "1.35.1", "two")
	expect := func(what string, l *log, want map[string]int) {
		t.Helper()
		if got := l.counts(); !maps.Equal(got, want) {
			t.Errorf("%s took %v, want %v", what, got, want)
		}
	}

	l := watch(b)
	mustAdd(t, p, one)
	// 4 packages; Packages and Packages.gz by hash; primary, filelists and other twice, with the snapshot's repomd.xml, its
	// signature and the key; manifest and HEAD; 10 pointers, which are looked at before. HEAD is looked for, and
	// two pointers, which would tell that it is lost.
	expect("the first publication", l, map[string]int{"open": 1, "stat": 12, "put": 4 + 2 + 9 + 2 + 10})
	mustAdd(t, p, one)
	expect("no change", l, map[string]int{"open": 3}) // HEAD, the manifest, the last pointer
	mustAdd(t, p, two)
	// Also Packages.gz, primary, filelists and other are read. The keys are not written, the last pointer and Packages.gz
	// have been seen.
	expect("a new version", l, map[string]int{"open": 7, "stat": 6, "put": 4 + 2 + 9 + 2 + 8})

	// One deb more, as a revision that is not there for all yet. Of the rpms, primary alone is read.
	deb := revised(t, "1.35.1", "1.2", "three")
	deb.Debs, deb.Rpms = deb.Debs[:1], nil
	mustAdd(t, p, deb)
	expect("one more deb", l, map[string]int{"open": 5, "stat": 4, "put": 1 + 2 + 2 + 5})
	if debs, rpms := counts(t, b); debs != 5 || rpms != 4 {
		t.Errorf("a client finds %d debs and %d rpms", debs, rpms)
	}
	l.counts()

	plan, err := p.Plan(t.Context(), testStream(), Change{To: 2, Reason: "a test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Execute(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	writes := 0
	for _, op := range l.ops {
		name, ok := strings.CutPrefix(op, "put ")
		if !ok {
			continue
		}
		writes++
		if class := layout.ClassOf(name); class == layout.Package || class == layout.Attestation || strings.Contains(name, "/by-hash/") || strings.Contains(name, "-primary") {
			t.Errorf("a rollback writes %s again", name)
		}
	}
	if writes > 16 {
		t.Errorf("a rollback writes %d objects: %v", writes, l.ops)
	}
	t.Logf("a rollback of debs alone takes %v", l.counts())

	mustAdd(t, p, packages(t, "1.35.2", "four"))
	l.counts()
	plan, err = p.Plan(t.Context(), testStream(), Change{To: 2, Reason: "a test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Execute(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	for _, w := range plan.Writes {
		if w.Class == layout.Package || strings.Contains(w.Name, "/by-hash/") || strings.Contains(w.Name, "/rpm/repodata/") && w.Class == layout.Hashed {
			t.Errorf("a rollback writes %s again", w.Name)
		}
	}
	// The snapshot's 6 objects, manifest and HEAD, 8 pointers.
	if n := l.counts(); n["put"] != 16 || n["list"] != 0 || n["delete"] != 0 {
		t.Errorf("a rollback takes %v", n)
	}
	check(t, b)
}

// TestWriteOrder holds the order of the writes of one publication, which the package comment explains.
func TestWriteOrder(t *testing.T) {
	b := bucket.NewMemory()
	p := publisher(t, b)
	mustAdd(t, p, packages(t, "1.35.0", "one"))
	l := watch(b)
	plan := mustAdd(t, p, packages(t, "1.35.1", "two"))
	var puts []string
	for _, op := range l.ops {
		if name, ok := strings.CutPrefix(op, "put "); ok {
			puts = append(puts, strings.TrimPrefix(name, string(streamName)+"/"))
		}
	}
	at := func(name string) int { return slices.Index(puts, name) }
	manifest, head := at(streamName.Manifest(plan.Serial, plan.head.Manifest)), at(streamName.Head())
	if head != manifest+1 {
		t.Errorf("HEAD is write %d, the manifest %d", head, manifest)
	}
	for i, name := range puts {
		if immutable := layout.ClassOf(string(streamName) + "/" + name).Policy().Immutable; i != head && i != manifest && immutable != (i < manifest) {
			t.Errorf("%s is write %d, the manifest %d", name, i, manifest)
		}
	}
	turns := []string{layout.InRelease + " " + layout.Mirrorlist, layout.Packages + " " + layout.PackagesGz + " " + layout.Release + " " + layout.ReleaseGpg, layout.Repomd, layout.RepomdAsc}
	i := head + 1
	for _, names := range turns {
		var want []string
		for name := range strings.FieldsSeq(names) {
			half := "deb/"
			if strings.HasPrefix(name, "repodata/") || name == layout.Mirrorlist {
				half = "rpm/"
			}
			want = append(want, half+name)
		}
		got := slices.Clone(puts[i:min(i+len(want), len(puts))])
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("writes from %d on are %q, want %q", i, got, want)
		}
		i += len(want)
	}
	if i != len(puts) {
		t.Errorf("%d writes, want %d", len(puts), i)
	}
}

// TestProgress follows a publication whose packages are there already: what is counted in the end is what was planned,
// never goes beyond, and nothing stays under way. The bytes of a write are counted once, however often they are read.
func TestProgress(t *testing.T) {
	first, second := twoPublications(t)
	eachKind(t, func(t *testing.T, fresh func() bucket.Bucket, _ *buckettest.Faults) {
		b := fresh()
		if err := execute(t, b, ripe(t, first, b)); err != nil {
			t.Fatal(err)
		}
		plan := ripe(t, second, b)
		if _, err := b.Put(t.Context(), plan.Writes[0].Name, plan.Writes[0].content, bucket.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		p := publisher(t, b)
		var last Progress
		most := 0
		p.Progress = func(now Progress) {
			if now.Objects > now.TotalObjects || now.Bytes > now.TotalBytes || now.Objects < last.Objects {
				t.Errorf("%+v after %+v", now, last)
			}
			last, most = now, max(most, now.InFlight)
		}
		if err := p.Execute(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
		if last.Objects != len(plan.Writes) || last.Bytes != plan.Bytes() || last.InFlight != 0 || most < 1 {
			t.Errorf("in the end %+v, at most %d under way; the plan has %d objects and %d bytes", last, most, len(plan.Writes), plan.Bytes())
		}
	})
}
