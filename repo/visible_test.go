package repo

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// What a plan says to be visible is what the bucket has under mutable names afterwards and had not before, and an old pointer
// is known by its bytes.
func TestVisible(t *testing.T) {
	b := bucket.NewMemory()
	p := publisher(t, b)
	read := func() map[string]string {
		digests := map[string]string{}
		for o, err := range b.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			if c := layout.ClassOf(o.Name); c == layout.Pointer || c == layout.Page {
				if info, err := b.Stat(t.Context(), o.Name); err != nil {
					t.Fatal(err)
				} else {
					digests[o.Name] = info.SHA256
				}
			}
		}
		return digests
	}
	before := read()
	for _, version := range []string{"1.35.0", "1.35.1"} {
		plan := mustAdd(t, p, packages(t, version, version))
		after := read()
		visible := map[string]string{}
		for _, o := range plan.Visible() {
			visible[o.Name] = o.SHA256
		}
		for name, sum := range after {
			if changed := before[name] != sum; changed != (visible[name] != "") || changed && visible[name] != sum {
				t.Errorf("%s: %s was %.8s, is %.8s, and the plan said %.8s", version, name, before[name], sum, visible[name])
			}
		}
		if len(visible) == 0 || len(visible) > len(after) {
			t.Errorf("%s: %d objects are visible, the bucket has %d", version, len(visible), len(after))
		}
		state, err := ReadState(t.Context(), b, streamName)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range state.Pointers() {
			if after[o.Name] != o.SHA256 {
				t.Errorf("%s: %s has %.8s, and the state says %.8s", version, o.Name, after[o.Name], o.SHA256)
			}
		}
		if version == "1.35.0" {
			before = after
			continue
		}
		name := streamName.Deb(layout.InRelease)
		for want, sum := range map[int64]string{1: before[name], 2: after[name], 0: strings.Repeat("0", 64)} {
			if got, err := SerialOf(t.Context(), b, state, name, sum, 100); err != nil || got != want {
				t.Errorf("the InRelease of serial %d is said to be that of %d (%v)", want, got, err)
			}
		}
		if got, err := SerialOf(t.Context(), b, state, name, before[name], 0); err != nil || got != 0 {
			t.Errorf("with a limit of none before the live one, %d is found (%v)", got, err)
		}
	}
	plan, err := p.Plan(t.Context(), testStream(), Change{})
	if err != nil || len(plan.Visible()) != 0 {
		t.Errorf("nothing to do makes %v visible (%v)", plan, err)
	}
	if slices.ContainsFunc(plan.Writes, func(w Write) bool { return true }) {
		t.Error("nothing to do writes something")
	}
}
