package repo

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/bucket"
)

func TestSite(t *testing.T) {
	b := bucket.NewMemory()
	p := signedBy(t, b, []string{"one"}, "two")
	files := packages(t, "1.35.0", "one")
	plan := mustAdd(t, p, files)
	if !plan.GivesKeys() {
		t.Error("the first publication gives no keys")
	}
	written, err := p.Site(t.Context(), streamName)
	if err != nil {
		t.Fatal(err)
	}
	one, two := keyFile(t, "one").Info().Fingerprint, keyFile(t, "two").Info().Fingerprint
	want := []string{
		string(streamName) + "/core.sources", string(streamName) + "/core.list", string(streamName) + "/core.repo",
		"keys/" + one + ".asc", "keys/" + two + ".asc",
	}
	if !slices.Equal(written, want) {
		t.Errorf("wrote %q, want %q", written, want)
	}
	ring, err := keys.ParseKeyring("keys", []byte(read(t, b, want[4])))
	if err != nil || len(ring.Keys()) != 1 || ring.Keys()[0].Fingerprint != two {
		t.Errorf("%s holds %v, %v", want[4], ring, err)
	}
	if text := read(t, b, want[2]); !strings.Contains(text, p.URL+"/"+string(streamName)+"/rpm/mirrorlist") {
		t.Errorf("%s is\n%s", want[2], text)
	}
	if again, err := p.Site(t.Context(), streamName); err != nil || len(again) != 0 {
		t.Errorf("wrote %q again: %v", again, err)
	}
	p.URL = "https://elsewhere.example.org"
	if moved, err := p.Site(t.Context(), streamName); err != nil || len(moved) != 3 {
		t.Errorf("after moving, wrote %q: %v", moved, err)
	}
	if err := resign(t, p); err != nil {
		t.Fatal(err)
	}
	next, err := p.Plan(t.Context(), testStream(), Change{Resign: true})
	if err != nil || next.GivesKeys() {
		t.Errorf("a new signature gives other keys: %v", err)
	}
}
