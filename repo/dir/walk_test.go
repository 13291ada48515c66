package dir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A directory may be called by a link, and what is called like a package but is none is refused without being waited for.
func TestWalk(t *testing.T) {
	dir := fill(t, 2)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if r := mustIndex(t, link, config()); r.Debs != 2 || r.Rpms != 2 {
		t.Errorf("%d debs and %d rpms by way of a link, expected 2 and 2", r.Debs, r.Rpms)
	}
	for _, update := range []bool{false, true} {
		cfg := config()
		cfg.Update, cfg.SkipInvalid = update, true
		pipe, folder := filepath.Join(dir, "pipe.deb"), filepath.Join(dir, "folder.rpm")
		if err := errors.Join(syscall.Mkfifo(pipe, 0o644), os.Mkdir(folder, 0o755), os.Symlink("gone", filepath.Join(dir, "x.deb"))); err != nil {
			t.Fatal(err)
		}
		r := mustIndex(t, dir, cfg)
		if got := strings.Join(r.Refused, "\n"); r.Debs != 2 || len(r.Refused) != 2 || !strings.Contains(got, "pipe.deb: is not a regular file") || !strings.Contains(got, "x.deb: no such file") {
			t.Errorf("update %v: %d debs, and refused %q", update, r.Debs, got)
		}
		os.RemoveAll(pipe)
		os.RemoveAll(folder)
		os.Remove(filepath.Join(dir, "x.deb"))
	}
}

// Links to folders and to files are followed as createrepo_c, apt-ftparchive and dpkg-scanpackages follow them, but nothing
// is indexed twice, by the name of a link to it or from a folder that is in itself.
func TestLinks(t *testing.T) {
	top := t.TempDir()
	dir, outside := filepath.Join(top, "repository"), filepath.Join(top, "outside")
	a, b := addDeb(t, filepath.Join(dir, "pool"), "aa", "1-1", "amd64"), addRpm(t, dir, "bb", "1", "noarch")
	addDeb(t, outside, "cc", "1-1", "amd64")
	addRpm(t, filepath.Join(outside, "deeper"), "dd", "1", "noarch")
	alone := addDeb(t, filepath.Join(top, "elsewhere"), "ee", "1-1", "amd64")
	for link, to := range map[string]string{
		"aa-latest.deb": a, "bb-latest.rpm": filepath.Base(b), // would come first
		"ee.deb": alone, "by-name": "../outside", "a-part-of-it": "../outside/deeper", "again": outside,
		"pool/here": "../pool", "self": ".", "up": "..", "all": "/", "nowhere": "gone", "../outside/back": dir, "../outside/deeper/circle": "..",
		"latest": a, // not called like a package
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	r := mustIndex(t, dir, config())
	if r.Debs != 3 || r.Rpms != 2 || len(r.Copies)+len(r.Refused) > 0 {
		t.Errorf("got %+v, want 3 debs and 2 rpms", r)
	}
	var got []string
	packages, err := os.ReadFile(filepath.Join(dir, "Packages"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range paragraphs(string(packages)) {
		got = append(got, name)
	}
	for _, p := range elements(t, repodata(t, dir, "primary")) {
		for _, c := range p.Children {
			if c.XMLName.Local == "location" {
				got = append(got, c.Attrs[0].Value)
			}
		}
	}
	slices.Sort(got)
	want := []string{"a-part-of-it/dd-1-1.noarch.rpm", "again/cc_1-1_amd64.deb", "bb-1-1.noarch.rpm", "ee.deb", "pool/aa_1-1_amd64.deb"}
	if !slices.Equal(got, want) {
		t.Errorf("indexed are %q, want %q", got, want)
	}
}

// Where all packages are refused, it says why, and not that there are none.
func TestOutsideOfPool(t *testing.T) {
	dir := t.TempDir()
	addDeb(t, filepath.Join(dir, "debs"), "aa", "1-1", "amd64")
	cfg := config()
	cfg.Dists, cfg.Release.Suite = true, "stable"
	if _, err := Index(context.Background(), dir, cfg); err == nil || !strings.Contains(err.Error(), "debs/aa_1-1_amd64.deb: lies outside of pool") {
		t.Errorf("got %v", err)
	}
	cfg.SkipInvalid = true
	if _, err := Index(context.Background(), dir, cfg); err == nil || !strings.Contains(err.Error(), "there are no packages") {
		t.Errorf("got %v", err)
	}
}

// Of files with the same bytes the first is indexed, and the others are told of.
func TestCopies(t *testing.T) {
	dir := fill(t, 2)
	for of, copied := range map[string]string{"debs/deb000_1.0-1_amd64.deb": "debs/zz.deb", "rpms/rpm000-1.0-1.x86_64.rpm": "rpms/zz.rpm"} {
		if err := os.Link(filepath.Join(dir, of), filepath.Join(dir, copied)); err != nil {
			t.Fatal(err)
		}
	}
	update := config()
	update.Update = true
	for _, read := range []int{4, 0} {
		r := mustIndex(t, dir, update)
		want := []string{"debs/zz.deb: is a copy of debs/deb000_1.0-1_amd64.deb", "rpms/zz.rpm: is a copy of rpms/rpm000-1.0-1.x86_64.rpm"}
		if r.Debs != 2 || r.Rpms != 2 || r.Read != read || len(r.Refused) > 0 || !slices.Equal(r.Copies, want) {
			t.Errorf("got %+v, want %d read", r, read)
		}
	}
}
