package repo

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
	"sigs.k8s.io/pkgs/repo/layout"
)

const stagingURL = "https://staging.pkgs.example.org"

// staging returns a publisher to a bucket for staging, and one without a key to the bucket for production.
func staging(t testing.TB) (from, to *Publisher) {
	from, to = publisher(t, bucket.NewMemory()), publisher(t, bucket.NewMemory())
	from.URL, to.Signer, to.By = stagingURL, nil, "promoter"
	return from, to
}

// promote plans and executes a promotion.
func promote(t testing.TB, from, to *Publisher) (*Plan, error) {
	t.Helper()
	plan, err := to.Promote(t.Context(), from.Bucket, testStream())
	if err != nil {
		return nil, err
	}
	return plan, to.Execute(t.Context(), plan)
}

func mustPromote(t testing.TB, from, to *Publisher) *Plan {
	t.Helper()
	plan, err := promote(t, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// objects reads everything in a bucket.
func objects(t testing.TB, b bucket.Bucket) map[string]string {
	t.Helper()
	all := map[string]string{}
	for info, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		all[info.Name] = read(t, b, info.Name)
	}
	return all
}

// differences are the names of objects that two buckets do not both have with the same bytes.
func differences(a, b map[string]string) []string {
	differ := map[string]bool{}
	for name := range a {
		differ[name] = differ[name] || a[name] != b[name]
	}
	for name := range b {
		differ[name] = differ[name] || a[name] != b[name]
	}
	var names []string
	for name, is := range differ {
		if is {
			names = append(names, name)
		}
	}
	return names
}

// TestPromote stages publications, promotes them one or several at a time, and compares the buckets.
func TestPromote(t *testing.T) {
	from, to := staging(t)
	one, two := packages(t, "1.35.0", "one"), packages(t, "1.35.1", "two")
	if _, err := promote(t, from, to); err == nil || !strings.Contains(err.Error(), "was never published") {
		t.Errorf("nothing was staged: error %v", err)
	}
	mustAdd(t, from, one)
	mustAdd(t, from, two)

	// What is staged is a repository of its own, all addresses in which are its own.
	if n := check(t, from.Bucket); n != 4 {
		t.Errorf("%d debs are staged, want 4", n)
	}
	for name, data := range objects(t, from.Bucket) {
		if strings.Contains(data, to.URL) {
			t.Errorf("the staged %s leads to production", name)
		}
	}

	plan := mustPromote(t, from, to)
	if plan.Serial != 2 || plan.From != 0 || len(plan.Added) != 8 || plan.Reason == "" {
		t.Errorf("serial %d after %d, %d added: %s", plan.Serial, plan.From, len(plan.Added), plan.Reason)
	}
	if n := check(t, to.Bucket); n != 4 {
		t.Errorf("%d debs are promoted, want 4", n)
	}
	if again := mustPromote(t, from, to); !again.Empty() {
		t.Errorf("promoted twice: %d writes", len(again.Writes))
	}

	// A publication that is promoted together with a later one does not come to production but for its manifest.
	for i, change := range []Change{
		{Yank: only(two.digests(), nil), Reason: "a mistake"},
		{Add: packages(t, "1.35.2", "three")},
		{Resign: true, Reason: "keeping fresh"},
	} {
		p, err := from.Plan(t.Context(), testStream(), change)
		if err != nil {
			t.Fatal(i, err)
		}
		if err := from.Execute(t.Context(), p); err != nil {
			t.Fatal(i, err)
		}
	}
	plan = mustPromote(t, from, to)
	if plan.Serial != 5 || plan.From != 2 || len(plan.Added) != 4 || len(plan.Removed) != 4 || plan.Kept != 4 {
		t.Errorf("serial %d after %d, %d added, %d removed, %d kept", plan.Serial, plan.From, len(plan.Added), len(plan.Removed), plan.Kept)
	}
	if n := check(t, to.Bucket); n != 4 {
		t.Errorf("%d debs are promoted, want 4", n)
	}
	staged, live := objects(t, from.Bucket), objects(t, to.Bucket)
	for name, data := range live {
		switch {
		case name == streamName.Head(), strings.Contains(name, "/promotions/"):
		case name == streamName.Rpm(layout.Mirrorlist):
			if want := strings.Replace(staged[name], stagingURL, to.URL, 1); data != want || !strings.HasPrefix(data, to.URL+"/"+string(streamName)) {
				t.Errorf("the mirrorlist is %q, staged %q", data, staged[name])
			}
		case data != staged[name]:
			t.Errorf("%s differs from what was staged", name)
		}
	}
	histories := map[string][]Publication{}
	for name, p := range map[string]*Publisher{"staged": from, "live": to} {
		var err error
		if histories[name], err = History(t.Context(), p.Bucket, streamName, 0); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := fmt.Sprint(histories["staged"]), fmt.Sprint(histories["live"]); a != b || len(histories["live"]) != 5 {
		t.Errorf("the histories differ:\n%s\n%s", a, b)
	}
}

// TestPromoteDiverged publishes to production on its own.
func TestPromoteDiverged(t *testing.T) {
	from, to := staging(t)
	to.Signer = from.Signer
	mustAdd(t, from, packages(t, "1.35.0", "one"))
	mustPromote(t, from, to)
	mustAdd(t, to, packages(t, "1.35.1", "two"))
	var diverged *DivergedError
	if _, err := promote(t, from, to); !errors.As(err, &diverged) || !diverged.Behind || diverged.ToSerial != 2 {
		t.Errorf("production is ahead: error %v", err)
	}
	// The other way round it works, and staging is where production is.
	mustPromote(t, to, from)
	if plan := mustPromote(t, from, to); !plan.Empty() {
		t.Errorf("the same is live in both: %d writes", len(plan.Writes))
	}
	before := objects(t, to.Bucket)
	mustAdd(t, from, packages(t, "1.35.2", "three"))
	mustAdd(t, to, packages(t, "1.35.3", "four"))
	for range 2 {
		if _, err := promote(t, from, to); !errors.As(err, &diverged) || diverged.Behind {
			t.Errorf("both went on: error %v", err)
		}
		mustAdd(t, from, packages(t, "1.35.4", "five")) // the second time, staging has a higher serial
	}
	if n := check(t, to.Bucket); n != 6 {
		t.Errorf("%d debs, want 6", n)
	}
	if differ := differences(before, objects(t, to.Bucket)); len(differ) == 0 {
		t.Error("nothing was published in the meantime")
	}
}

// TestPromoteRecords has somebody who may write to staging and has no key rewrite the record of a publication, with all that
// names it. The chain is whole, and yet nothing is promoted that an audit of production would refuse from then on: neither on
// top of the publication before, nor to an empty bucket. What is promoted passes in both buckets, whichever way it went.
func TestPromoteRecords(t *testing.T) {
	from, to := staging(t)
	mustAdd(t, from, packages(t, "1.35.0", "one"))
	mustPromote(t, from, to)
	mustAdd(t, from, packages(t, "1.35.1", "two"))
	mustAdd(t, from, packages(t, "1.35.2", "three"))
	staged, live := from.Bucket.(*bucket.Memory), to.Bucket.(*bucket.Memory)
	for what, c := range map[string]struct {
		change func(m *Manifest)
		want   string
	}{
		"who":           {func(m *Manifest) { m.Record.By = "" }, "does not say who"},
		"why":           {func(m *Manifest) { m.Record.Reason = "" }, "does not say why"},
		"configuration": {func(m *Manifest) { m.Record.Config = "" }, "with which configuration"},
		"what came":     {func(m *Manifest) { m.Record.Added = m.Record.Added[1:] }, "the manifests differ by others"},
	} {
		bad := publisher(t, rewrittenChain(t, staged, c.change))
		for where, b := range map[string]*bucket.Memory{"production": live.Clone(), "an empty bucket": bucket.NewMemory()} {
			to := publisher(t, b)
			before := objects(t, b)
			var broken *ChainError
			if _, err := promote(t, bad, to); !errors.As(err, &broken) || broken.Serial != 2 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, to %s: error %v, want one that says %q", what, where, err, c.want)
			}
			if differ := differences(before, objects(t, b)); len(differ) > 0 {
				t.Errorf("%s, to %s: written: %q", what, where, differ)
			}
		}
	}
	// That somebody else had published takes no key to say; which key had signed does.
	bad := publisher(t, rewrittenChain(t, staged, func(m *Manifest) { m.Record.Keys = []string{"0123"} }))
	if _, err := promote(t, bad, publisher(t, live.Clone())); err == nil || !strings.Contains(err.Error(), "the record names [0123]") {
		t.Errorf("keys: %v", err)
	}

	audits := func(promotions int, publishers ...*Publisher) {
		t.Helper()
		for _, p := range publishers {
			report, err := Audit(t.Context(), p.Bucket, streamName, p.Keyring)
			if err != nil || p == to && report.Promotions != promotions {
				t.Errorf("%s: %+v, %v", p.URL, report, err)
			}
		}
	}
	mustPromote(t, from, to)
	audits(2, from, to)
	state, err := ReadState(t.Context(), live, streamName)
	if err != nil {
		t.Fatal(err)
	}
	record, err := readPromotion(t.Context(), live, streamName, *state.Head.Promotion)
	if err != nil || record.By != "promoter" || record.Serial != 3 || record.After != 1 || record.From != staged.String() || !record.Time.Equal(now) || len(record.Config) != 64 {
		t.Errorf("the record of the promotion is %+v, %v", record, err)
	}
	// Production goes on by itself, is brought back to staging, and promoted again.
	to.Signer = from.Signer
	carryOut(t, to, testStream(), Change{Resign: true, Reason: "keeping fresh"})
	mustPromote(t, to, from)
	mustAdd(t, from, packages(t, "1.35.3", "four"))
	mustPromote(t, from, to)
	audits(3, from, to)
}

// TestPromoteCrashes kills a promotion at every write, and the one that goes on after it, too. Clients find the old state
// or the new one, and in the end the new one.
func TestPromoteCrashes(t *testing.T) {
	staged, live := bucket.NewMemory(), bucket.NewMemory()
	from, to := publisher(t, staged), publisher(t, live)
	from.URL, to.Signer = stagingURL, nil
	mustAdd(t, from, packages(t, "1.35.0", "one"))
	mustPromote(t, from, to)
	mustAdd(t, from, packages(t, "1.35.1", "two"))
	mustAdd(t, from, packages(t, "1.35.2", "three"))
	for _, fault := range []bucket.Fault{bucket.NotApplied, bucket.Applied} {
		for dies := 1; ; dies++ {
			b := live.Clone()
			to := publisher(t, b)
			to.Signer, to.Parallel = nil, 1
			var mu sync.Mutex // guards what follows: pointers are written several at a time
			puts, dead := 0, false
			var at string
			b.Fault = func(op, name string) bucket.Fault {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case dead:
					return bucket.NotApplied
				case op != "put":
					return bucket.OK
				}
				if puts++; puts == dies {
					dead, at = true, name
					return fault
				}
				return bucket.OK
			}
			_, err := promote(t, from, to)
			b.Fault = nil
			if !dead {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			where := fmt.Sprintf("%v %s", fault, at)
			plain := []string{"deb/" + layout.Packages, "deb/" + layout.PackagesGz, "deb/" + layout.Release, "deb/" + layout.ReleaseGpg, "rpm/" + layout.Mirrorlist}
			if committed := fault == bucket.Applied; !(at == streamName.Rpm(layout.Repomd) && committed || at == streamName.Rpm(layout.RepomdAsc) && !committed) {
				if debs, rpms := counts(t, b, plain...); debs != 2 && debs != 6 || rpms != 2 && rpms != 6 {
					t.Errorf("%s: a client finds %d debs and %d rpms", where, debs, rpms)
				}
			}
			if _, err := promote(t, from, to); err != nil {
				t.Errorf("%s: the next run fails: %v", where, err)
			}
			if n := check(t, b); n != 6 {
				t.Errorf("%s: after the next run a client finds %d debs", where, n)
			}
			if plan, err := promote(t, from, to); err != nil || !plan.Empty() {
				t.Errorf("%s: there is still something to do: %v", where, err)
			}
		}
	}
}

// TestPromoteDamage damages everything that is staged, one object at a time: nothing of it becomes live.
func TestPromoteDamage(t *testing.T) {
	staged := bucket.NewMemory()
	from := publisher(t, staged)
	mustAdd(t, from, packages(t, "1.35.0", "one"))
	pristine, pointers := objects(t, staged), 0
	for name := range pristine {
		for _, how := range []string{"altered", "shortened", "missing"} {
			b := staged.Clone()
			info, err := b.Stat(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			switch how {
			case "altered":
				err = b.Corrupt(name, func(data []byte) []byte { data[len(data)/2] ^= 1; return data })
			case "shortened":
				err = b.Corrupt(name, func(data []byte) []byte { return data[:len(data)-2] })
			case "missing":
				err = b.Delete(t.Context(), name, info.Generation)
			}
			if err != nil {
				t.Fatal(err)
			}
			to := publisher(t, bucket.NewMemory())
			to.Signer = nil
			_, err = promote(t, publisher(t, b), to)
			if layout.ClassOf(name) == layout.Pointer {
				// The manifest has the bytes of pointers, so production gets the right ones.
				pointers++
				if err != nil || check(t, to.Bucket) != 2 {
					t.Errorf("%s %s: %v", name, how, err)
				}
				continue
			}
			if err == nil {
				t.Errorf("%s %s: promoted", name, how)
			}
			if state, err := ReadState(t.Context(), to.Bucket, streamName); err != nil || state.Exists() {
				t.Errorf("%s %s: something became live: %v", name, how, err)
			}
		}
	}
	if pointers != 3*10 || len(pristine) < 20 {
		t.Errorf("%d of %d objects were pointers", pointers, len(pristine))
	}

	// A stranger's signature counts for nothing, however well everything fits together.
	to := publisher(t, bucket.NewMemory())
	to.Keyring = stranger(t)
	if _, err := promote(t, from, to); err == nil || !strings.Contains(err.Error(), "nothing is promoted") {
		t.Errorf("a signature by an unknown key: error %v", err)
	}
	// Nor does an index that apt would refuse for its age.
	late := publisher(t, bucket.NewMemory())
	late.Now = func() time.Time { return now.AddDate(0, 2, 0) }
	if _, err := promote(t, from, late); err == nil || !strings.Contains(err.Error(), "was valid until") {
		t.Errorf("an index that is out of date: error %v", err)
	}
}

// stranger is a keyring of somebody else.
func stranger(t testing.TB) *keys.Keyring {
	t.Helper()
	const file = "../keys/testdata/two-private.asc"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.ReadPrivate(file, data, func() ([]byte, error) { return nil, errors.New("is locked") })
	if err != nil {
		t.Fatal(err)
	}
	return key.Public()
}

// TestPromoteOvertaken lets another promotion, or a publication, take place between the plan and the commit.
func TestPromoteOvertaken(t *testing.T) {
	from, to := staging(t)
	other := publisher(t, to.Bucket)
	mustAdd(t, from, packages(t, "1.35.0", "one"))
	mustPromote(t, from, to)
	mustAdd(t, from, packages(t, "1.35.1", "two"))
	plan, err := to.Promote(t.Context(), from.Bucket, testStream())
	if err != nil {
		t.Fatal(err)
	}
	mustAdd(t, other, packages(t, "1.35.2", "three"))
	var race *RaceError
	if err := to.Execute(t.Context(), plan); !errors.As(err, &race) {
		t.Errorf("error %v", err)
	}
	if n := check(t, to.Bucket); n != 4 {
		t.Errorf("%d debs, want 4", n)
	}
}

// TestPromoteInStore promotes from one prefix of a cloud store to another: the store copies by itself.
func TestPromoteInStore(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	for scheme, start := range map[string]func(buckettest.Front) (*buckettest.Store, error){"gs": buckettest.GCS, "s3": buckettest.S3} {
		t.Run(scheme, func(t *testing.T) {
			var uploaded atomic.Int64
			store, err := start(func(inner http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method != http.MethodGet && r.ContentLength > 0 {
						uploaded.Add(r.ContentLength)
					}
					inner.ServeHTTP(w, r)
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			open := func(prefix string) bucket.Bucket {
				b, err := bucket.Open(store.Address(prefix))
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
			from, to := publisher(t, open("staging")), publisher(t, open("production"))
			from.URL, to.Signer = stagingURL, nil
			program := make([]byte, 1<<18) // that no compression makes smaller
			rand.NewChaCha8([32]byte{}).Read(program)
			mustAdd(t, from, packages(t, "1.35.0", string(program)))
			mustAdd(t, from, packages(t, "1.35.1", "two"))
			uploaded.Store(0)
			plan := mustPromote(t, from, to)
			if n := check(t, to.Bucket); n != 4 {
				t.Errorf("%d debs, want 4", n)
			}
			var small int64
			for _, w := range plan.Writes {
				if w.origin == nil {
					small += w.Size
				}
			}
			if sent := uploaded.Load(); sent > 2*small+int64(len(plan.Writes))*2000 || plan.Bytes() < 2*small {
				t.Errorf("%d bytes were sent to the store for %d bytes, of which HEAD and the pointers have %d", sent, plan.Bytes(), small)
			}
			for name, data := range objects(t, to.Bucket) {
				if layout.ClassOf(name) == layout.Package && data != read(t, from.Bucket, name) {
					t.Errorf("%s differs", name)
				}
			}
		})
	}
}
