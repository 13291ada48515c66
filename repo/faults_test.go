package repo

import (
	"errors"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
	"sigs.k8s.io/pkgs/repo/layout"
)

// TestFaults publishes while three requests in ten go wrong, in one way or in all. A run ends with the publication live,
// or with an error; it asks a bounded number of times; whatever it leaves behind a client can use; and the runs after it
// complete it.
func TestFaults(t *testing.T) {
	first, second := twoPublications(t)
	for _, c := range []struct {
		name  string
		kinds []buckettest.Trouble
	}{
		{"dropped", []buckettest.Trouble{buckettest.Dropped}},
		{"lost replies", []buckettest.Trouble{buckettest.Lost}},
		{"short reads", []buckettest.Trouble{buckettest.Short}},
		{"time-outs", []buckettest.Trouble{buckettest.Stalled}},
		{"done, but 503", []buckettest.Trouble{buckettest.Late}},
		{"409", []buckettest.Trouble{buckettest.Status + 409}},
		{"412", []buckettest.Trouble{buckettest.Status + 412}},
		{"429", []buckettest.Trouble{buckettest.Status + 429}},
		{"503", []buckettest.Trouble{buckettest.Status + 503}},
		{"all", nil},
	} {
		for name, start := range stores {
			t.Run(c.name+" "+name, func(t *testing.T) {
				t.Parallel()
				faults := &buckettest.Faults{}
				store, err := start(faults.Front)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(store.Close)
				b := openHasty(t, store)
				if err := execute(t, b, ripe(t, first, b)); err != nil {
					t.Fatal(err)
				}
				runs, failed := 0, 0
				for done := false; !done && runs < 20; runs++ {
					plan := ripe(t, second, b)
					faults.Set(buckettest.Often(uint64(runs+1), c.kinds...))
					before := faults.Count()
					err := execute(t, b, plan)
					requests := faults.Count() - before
					faults.Calm()
					if err != nil {
						failed++
						clearError(t, err)
					}
					// Each of some 70 operations, with the looks that clear up what became of one, is tried 5 times at most.
					if requests > 70*2*5 {
						t.Errorf("a run made %d requests", requests)
					}
					if debs, rpms := counts(t, b, underwayNames...); debs != 2 && debs != 4 || rpms != 2 && rpms != 4 && rpms != 0 {
						t.Errorf("after %v a client finds %d debs and %d rpms", err, debs, rpms)
					}
					state, rerr := ReadState(t.Context(), b, streamName)
					if rerr != nil {
						t.Fatal(rerr)
					}
					if err == nil && state.Head.Serial != 2 {
						t.Errorf("a run ended well with serial %d", state.Head.Serial)
					}
					done = state.Head.Serial == 2
				}
				if _, err := finish(t, b, second); err != nil {
					t.Fatal(err)
				}
				if n := check(t, b); n != 4 {
					t.Errorf("in the end a client finds %d debs", n)
				}
				t.Logf("%d runs, %d of them failed", runs, failed)
			})
		}
	}
}

// underwayNames are the objects that may be of another publication than the rest after a run was cut off.
var underwayNames = []string{"deb/" + layout.Packages, "deb/" + layout.PackagesGz, "deb/" + layout.Release, "deb/" + layout.ReleaseGpg,
	"rpm/" + layout.Mirrorlist, "rpm/" + layout.Repomd, "rpm/" + layout.RepomdAsc}

// clearError fails the test unless an error says which object it is about, or that somebody else was faster.
func clearError(t *testing.T, err error) {
	t.Helper()
	var race *RaceError
	var object *bucket.Error
	if !errors.As(err, &race) && !errors.As(err, &object) || errors.As(err, new(*ImmutableError)) {
		t.Errorf("the error is %v", err)
	}
}
