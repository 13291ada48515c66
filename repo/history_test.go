package repo

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// TestFind: a person names packages by name and whole version; the beginning of one stands for nothing.
func TestFind(t *testing.T) {
	var state State
	state.Head.Stream, state.Manifest.Stream = streamName, streamName
	for _, name := range []string{
		"deb/amd64/kubelet_1.35.0-1.1_amd64.deb", "deb/amd64/kubelet_1.35.0-1.2_amd64.deb", "deb/arm64/kubelet_1.35.0-1.1_arm64.deb",
		"rpm/x86_64/kubelet-1.35.0-1.1.x86_64.rpm", "rpm/x86_64/kubelet-1.35.0-1.2.x86_64.rpm", "rpm/x86_64/kubelet-extra-1.35.0-1.1.x86_64.rpm",
	} {
		state.Manifest.Objects = append(state.Manifest.Objects, Object{Name: string(streamName) + "/" + name, Class: layout.Package})
	}
	for _, c := range []struct {
		wanted string
		want   []string
		err    string
	}{
		{"kubelet=1.35.0-1.1", []string{"deb/amd64/kubelet_1.35.0-1.1_amd64.deb", "deb/arm64/kubelet_1.35.0-1.1_arm64.deb", "rpm/x86_64/kubelet-1.35.0-1.1.x86_64.rpm"}, ""},
		{"rpm/x86_64/kubelet-1.35.0-1.2.x86_64.rpm", []string{"rpm/x86_64/kubelet-1.35.0-1.2.x86_64.rpm"}, ""},
		{"kubelet=1.35.0-1", nil, "name one of kubelet=1.35.0-1.1, kubelet=1.35.0-1.2"},
		{"kubelet", nil, "name one of kubelet=1.35.0-1.1"},
		{"kubectl=1.35.0-1.1", nil, "there is no package kubectl in the index"},
		{"", nil, "there is no package"},
	} {
		got, err := state.Find([]string{c.wanted})
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) || c.err == "" && (err != nil || !slices.Equal(got, c.want)) {
			t.Errorf("%q: %q, %v", c.wanted, got, err)
		}
	}
}

// TestNeverPublished: what asks for publications of a stream that has none is told so.
func TestNeverPublished(t *testing.T) {
	b := bucket.NewMemory()
	want := "stream " + string(streamName) + " was never published"
	if _, _, err := Diff(t.Context(), b, streamName, 1, 2); err == nil || err.Error() != want {
		t.Errorf("diff: %v", err)
	}
	if _, err := publisher(t, b).Plan(t.Context(), testStream(), Change{To: 1, Reason: "back"}); err == nil || err.Error() != want {
		t.Errorf("rollback: %v", err)
	}
}
