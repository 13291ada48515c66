package repo

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
)

// What a person takes out stays known as withdrawn, and out, until it is added again by somebody who says so; what makes room for newer packages does not.
func TestWithdrawn(t *testing.T) {
	b := bucket.NewMemory()
	p := publisher(t, b)
	old, middle, latest := packages(t, "1.35.0", "0"), packages(t, "1.35.1", "1"), packages(t, "1.35.2", "2")
	mustAdd(t, p, old)
	mustAdd(t, p, middle)
	mustAdd(t, p, latest)
	change := func(c Change) []Withdrawn {
		t.Helper()
		plan, err := p.Plan(t.Context(), testStream(), c)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Execute(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
		state, err := ReadState(t.Context(), b, streamName)
		if err != nil {
			t.Fatal(err)
		}
		return state.Manifest.Withdrawn
	}
	names := func(f *Files) []string { return only(f.digests(), map[string]string{}) }

	withdrawn := change(Change{Yank: names(latest), Reason: "does not start"})
	if len(withdrawn) != 4 || withdrawn[0].Name != "deb/amd64/kubectl_1.35.2-1.1_amd64.deb" || withdrawn[0].Serial != 4 || withdrawn[0].Reason != "does not start" {
		t.Errorf("after a yank: %+v", withdrawn)
	}
	if withdrawn = change(Change{Retire: names(old)}); len(withdrawn) != 4 {
		t.Errorf("packages that made room count as withdrawn: %+v", withdrawn)
	}
	if withdrawn = change(Change{To: 1, Reason: "all is bad"}); len(withdrawn) != 8 ||
		!slices.ContainsFunc(withdrawn, func(w Withdrawn) bool { return w.Name == "rpm/aarch64/kubectl-1.35.1-1.1.aarch64.rpm" && w.Serial == 6 }) {
		t.Errorf("after a rollback: %+v", withdrawn)
	}
	var gate *GateError
	_, err := p.Plan(t.Context(), testStream(), Change{Add: latest})
	if !errors.As(err, &gate) || len(gate.Problems) != 1 || !strings.Contains(gate.Problems[0], `and 3 more left the index with serial 4, "does not start"`) {
		t.Errorf("what was taken out came back with a cut: %v", err)
	}
	if withdrawn = change(Change{Add: latest, Unyank: true}); len(withdrawn) != 4 || withdrawn[0].Serial != 6 {
		t.Errorf("after some came back: %+v", withdrawn)
	}
}
