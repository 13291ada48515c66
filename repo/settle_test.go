package repo

import (
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
)

// TestSettled has plans of no change read the note in place of the last pointer, as long as it is about the live publication.
func TestSettled(t *testing.T) {
	b := bucket.NewMemory()
	p := publisher(t, b)
	one := packages(t, "1.35.0", "one")
	plan := func(what string, unsettled bool, reads int) *Plan {
		t.Helper()
		before := b.Counts()
		plan, err := p.Plan(t.Context(), testStream(), Change{Add: one, Settled: true})
		if err != nil {
			t.Fatal(err)
		}
		now := b.Counts()
		if n := now["open"] - before["open"]; n != reads || now["stat"] != before["stat"] || now["list"] != before["list"] {
			t.Errorf("%s: %d reads, expected %d", what, n, reads)
		}
		if plan.Unsettled != unsettled || !plan.Empty() {
			t.Errorf("%s: unsettled %t, %d writes", what, plan.Unsettled, len(plan.Writes))
		}
		return plan
	}
	settle := func(live Ref) {
		t.Helper()
		if err := p.Settle(t.Context(), streamName, live); err != nil {
			t.Fatal(err)
		}
	}
	first := mustAdd(t, p, one)
	// HEAD, the manifest, no note, the last pointer.
	found := plan("without a note", true, 4)
	settle(first.Live())
	plan("with the note", false, 3)
	if first.Live() != found.Live() {
		t.Errorf("%v and %v are live", first.Live(), found.Live())
	}

	second := mustAdd(t, p, packages(t, "1.35.1", "two"))
	plan("with the note of an earlier publication", true, 4)
	settle(second.Live())
	plan("with a note again", false, 3)
	settle(first.Live()) // somebody who is late
	plan("with a note that came late", true, 4)
	if _, err := b.Put(t.Context(), streamName.Settled(), text([]byte("{")), bucket.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	plan("with a note that nobody can read", true, 4)

	// A look at all pointers believes no note.
	settle(second.Live())
	if err := b.Corrupt(streamName.Deb("InRelease"), func(data []byte) []byte { return data[1:] }); err != nil {
		t.Fatal(err)
	}
	all, err := p.Plan(t.Context(), testStream(), Change{Settled: true, Repoint: true})
	if err != nil || len(all.Finish) != 1 {
		t.Errorf("to be finished: %v, %v", all.Finish, err)
	}
}
