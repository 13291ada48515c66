package release_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/build/release/releasetest"
)

// CRI-O's markers of branches name commits alone, those of releases a version.
func TestMarked(t *testing.T) {
	upstream := releasetest.NewUpstream(t)
	at := time.Date(2026, 11, 21, 19, 30, 0, 0, time.UTC)
	commit := strings.Repeat("0f", 20)
	for name, text := range map[string]string{
		"latest-bundle-main.txt": commit, "sha256.txt": strings.Repeat("0f", 32) + "\r\n", "latest-1.36.txt": "v1.36.1\n",
		"short.txt": "0f0f0f0f", "upper.txt": strings.ToUpper(commit), "two.txt": commit + "\n" + commit, "none.txt": "", "patch.txt": "v1.36.1001", "minor.txt": "v1.1001.0", "number.txt": "v1.36.0-rc.1001", "long.txt": strings.Repeat("0", 300),
	} {
		upstream.Put("cri-o", name, []byte(text), at)
	}
	source, err := release.Open(t.Context(), release.Config{Name: "cri-o", URL: upstream.Source("cri-o"), Cache: filepath.Join(t.TempDir(), "cache"), Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := source.Marked(t.Context(), "latest-bundle-main.txt"); err != nil || m != (release.Marked{Commit: commit, Modified: at}) {
		t.Errorf("a commit: %+v, %v", m, err)
	}
	if m, err := source.Marked(t.Context(), "sha256.txt"); err != nil || len(m.Commit) != 64 || !m.Version.IsZero() {
		t.Errorf("a commit in SHA-256: %+v, %v", m, err)
	}
	if m, err := source.Marked(t.Context(), "latest-1.36.txt"); err != nil || m.Version.String() != "v1.36.1" || m.Commit != "" {
		t.Errorf("a version: %+v, %v", m, err)
	}
	if v, err := source.Marker(t.Context(), "latest-bundle-main.txt"); err == nil || !v.IsZero() || !strings.Contains(err.Error(), "names the commit "+commit) {
		t.Errorf("a commit where a version has to be: %s, %v", v, err)
	}
	for _, name := range []string{"short.txt", "upper.txt", "two.txt", "none.txt", "patch.txt", "minor.txt", "number.txt", "long.txt", "../latest-1.36.txt"} {
		if m, err := source.Marked(t.Context(), name); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if _, err := source.Marked(t.Context(), "missing.txt"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing marker: %v", err)
	}
	if text, err := source.Text(t.Context(), "latest-1.36.txt", 100); err != nil || string(text) != "v1.36.1\n" {
		t.Errorf("a text: %q, %v", text, err)
	}
	if _, err := source.Text(t.Context(), "long.txt", 299); err == nil || !strings.Contains(err.Error(), "at most 299 bytes") {
		t.Errorf("a long text: %v", err)
	}
}

func TestTowards(t *testing.T) {
	commit := strings.Repeat("0f", 20)
	next, err := release.ParseVersion("v1.36.2")
	if err != nil {
		t.Fatal(err)
	}
	build := func(at time.Time) release.Version {
		v, err := next.Towards(commit, at)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	at := time.Date(2026, 1, 2, 3, 59, 0, 0, time.FixedZone("east", 3600))
	v := build(at)
	if v.String() != "v1.36.2-alpha.0.26010202+"+commit || v.Channel() != release.Nightly || v.Commit() != commit {
		t.Errorf("the build is %s", v)
	}
	if last, _ := release.ParseVersion("v1.36.1"); last.NextPatch() != next || v.Compare(last) <= 0 || v.Compare(next) >= 0 {
		t.Errorf("%s is not between %s and %s", v, last, next)
	}
	for _, later := range []time.Duration{time.Hour, 23 * time.Hour, 31 * 24 * time.Hour, 360 * 24 * time.Hour} {
		if w := build(at.Add(later)); w.Compare(v) <= 0 {
			t.Errorf("%s is not newer than %s", w, v)
		}
	}
	for _, c := range []struct {
		to     release.Version
		commit string
		at     time.Time
	}{{v, commit, at}, {next, "", at}, {next, "main", at}, {next, commit, time.Time{}}, {release.Version{}, commit, at}} {
		if v, err := c.to.Towards(c.commit, c.at); err == nil {
			t.Errorf("%s towards %s at %s gives %s", c.commit, c.to, c.at, v)
		}
	}
}

func FuzzParsePackage(f *testing.F) {
	for _, s := range []string{"1.35.0", "1.35.0~rc.1", "1.36.0~alpha.0.721.f8ff8f44206ff4", "1.36.0-alpha.1", "1.36.0~alpha.0.721+f8ff", "1..0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := release.ParsePackage(s)
		if err != nil {
			return
		}
		if v.Package() != s {
			t.Errorf("%q is read as %s, which packages write %q", s, v, v.Package())
		}
		if again, err := release.ParseVersion(v.String()); err != nil || again != v {
			t.Errorf("%q is read as %s, which is no version: %v", s, v, err)
		}
	})
}
