package dir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/deb"
	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/rpm"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/packed"
)

// built is the time of every package, and date that of every index.
var (
	built = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	date  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

func config() Config { return Config{Release: apt.Config{Date: date}} }

// addDeb and addRpm put a package into a directory. Its file is older than two seconds.
func addDeb(t testing.TB, dir, name, version, arch string, more ...string) string {
	t.Helper()
	m := deb.Meta{Package: name, Version: version, Architecture: arch, Maintainer: "Some One <a@example.org>", Section: "net",
		Priority: "optional", Summary: "A test", Description: "It tests.", Time: built}
	return add(t, dir, m.FileName(), append(more, "/usr/bin/"+name), func(file string, tree *payload.Tree, c *payload.Compressor) error {
		return deb.WriteFile(context.Background(), file, m, tree, c)
	})
}

func addRpm(t testing.TB, dir, name, version, arch string) string {
	t.Helper()
	m := rpm.Meta{Name: name, Version: version, Release: "1", Arch: arch, Summary: "A test", Description: "It tests.",
		License: "MIT", BuildHost: "localhost", Time: built}
	return add(t, dir, m.FileName(), []string{"/usr/bin/" + name}, func(file string, tree *payload.Tree, c *payload.Compressor) error {
		return rpm.WriteFile(context.Background(), file, m, tree, c, nil)
	})
}

func add(t testing.TB, dir, base string, programs []string, write func(string, *payload.Tree, *payload.Compressor) error) string {
	t.Helper()
	entries := []payload.Entry{{Path: "/usr/share/common", Mode: 0o644, Content: payload.Bytes([]byte("x\n"))}}
	for _, name := range programs {
		entries = append(entries, payload.Entry{Path: name, Mode: 0o755, Content: payload.Bytes([]byte("#!/bin/sh\n"))})
	}
	tree, err := payload.NewTree(entries...)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, base)
	if err := write(file, tree, &payload.Compressor{Encoder: payload.Go()}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, built, built); err != nil {
		t.Fatal(err)
	}
	return file
}

// fill makes a directory of some packages of both formats.
func fill(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		addDeb(t, filepath.Join(dir, "debs"), fmt.Sprintf("deb%03d", i), "1.0-1", []string{"amd64", "arm64", "all"}[i%3])
		addRpm(t, filepath.Join(dir, "rpms"), fmt.Sprintf("rpm%03d", i), "1.0", []string{"x86_64", "noarch"}[i%2])
	}
	return dir
}

func mustIndex(t testing.TB, dir string, cfg Config) *Result {
	t.Helper()
	result, err := Index(context.Background(), dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, newFolder)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", newFolder, err)
	}
	return result
}

// indexes are all files below dir but packages and state, with their contents.
func indexes(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			if err == nil && e.Name() == stateFolder {
				return filepath.SkipDir
			}
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		if ext := filepath.Ext(name); ext == ".deb" || ext == ".rpm" {
			return nil
		}
		data, err := os.ReadFile(name)
		files[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// same tells whether two directories have the same indexes.
func same(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %s has %d bytes, expected %d, or other ones", what, name, len(got[name]), len(want[name]))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is there, and should not be", what, name)
		}
	}
}

// clean removes the indexes of a directory.
func clean(t testing.TB, dir string) {
	t.Helper()
	for name := range indexes(t, dir) {
		os.Remove(filepath.Join(dir, name))
	}
}

// An update makes the very bytes that are made without one, whatever happened to the packages, and reads what is new.
func TestUpdate(t *testing.T) {
	for name, cfg := range map[string]Config{
		"flat":    {Release: apt.Config{Date: date}},
		"dists":   {Release: apt.Config{Date: date, Suite: "stable"}, Dists: true, Contents: true},
		"no gzip": {Release: apt.Config{Date: date}, Compress: []packed.Compression{packed.XZ, packed.Zstd}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fill(t, 20)
			pool := filepath.Join(dir, "pool")
			if err := os.Rename(filepath.Join(dir, "debs"), pool); err != nil {
				t.Fatal(err)
			}
			update := cfg
			update.Update = true
			check := func(what string, read, debs, rpms int) {
				t.Helper()
				clean(t, dir) // of what an earlier state needs
				r := mustIndex(t, dir, update)
				got := indexes(t, dir)
				if r.Read != read || r.Debs != debs || r.Rpms != rpms || len(r.Anew) > 0 {
					t.Errorf("%s: %+v, want %d read, %d debs, %d rpms", what, r, read, debs, rpms)
				}
				clean(t, dir)
				mustIndex(t, dir, cfg)
				same(t, what, got, indexes(t, dir))
			}
			check("the first time", 40, 20, 20)
			check("again", 0, 20, 20)
			addDeb(t, pool, "deb005a", "2.0-1", "amd64")
			addRpm(t, filepath.Join(dir, "rpms"), "rpm019", "1.1", "x86_64")
			check("one more of each", 2, 21, 21)
			os.Remove(filepath.Join(pool, "deb000_1.0-1_amd64.deb"))
			check("one less", 0, 20, 21)
			addDeb(t, pool, "deb001", "1.0-1", "arm64")
			later := built.Add(time.Second)
			os.Chtimes(filepath.Join(pool, "deb001_1.0-1_arm64.deb"), later, later)
			check("one written anew", 1, 20, 21)
			os.Rename(filepath.Join(dir, "rpms"), filepath.Join(dir, "moved"))
			check("moved", 21, 20, 21)
		})
	}
}

// What can be used of an index in gzip that is still there is used, and the result is the same.
func TestUpdateInPlace(t *testing.T) {
	dir := fill(t, 10)
	update := config()
	update.Update = true
	mustIndex(t, dir, update)
	addDeb(t, dir, "new", "1-1", "amd64")
	mustIndex(t, dir, update)
	got := indexes(t, dir)
	for name := range got { // an update leaves what the state before names
		if strings.Contains(name, "by-hash") || strings.Contains(name, "-") {
			delete(got, name)
		}
	}
	clean(t, dir)
	mustIndex(t, dir, config())
	want := indexes(t, dir)
	for name := range want {
		if strings.Contains(name, "by-hash") || strings.Contains(name, "-") {
			delete(want, name)
		}
	}
	same(t, "updated", got, want)

	// An index that somebody changed is not taken over.
	mustIndex(t, dir, update)
	if err := os.WriteFile(filepath.Join(dir, "Packages.gz"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := mustIndex(t, dir, update)
	if len(r.Anew) != 1 || !strings.Contains(r.Anew[0], "Packages.gz: was changed") {
		t.Errorf("a changed index: %+v", r)
	}
	if text := indexes(t, dir)["Packages.gz"]; text != want["Packages.gz"] {
		t.Error("a changed index was taken over")
	}
}

// A file whose time cannot vouch for it is read again.
func TestRacy(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	os.Chtimes(addDeb(t, dir, "new", "1-1", "amd64"), now, now)
	addDeb(t, dir, "old", "1-1", "amd64")
	update := config()
	update.Update = true
	mustIndex(t, dir, update)
	if r := mustIndex(t, dir, update); r.Read != 1 {
		t.Errorf("%d were read again, want the new one", r.Read)
	}
}

// Whatever byte of a state is damaged, the indexes are right, and the damage is told if it mattered.
func TestDamagedState(t *testing.T) {
	dir := fill(t, 6)
	update := config()
	update.Update = true
	mustIndex(t, dir, update)
	clean(t, dir)
	mustIndex(t, dir, update)
	want := indexes(t, dir)
	for _, name := range []string{"deb", "rpm"} {
		file := filepath.Join(dir, stateFolder, name)
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, damage := range []func([]byte) []byte{
			func(b []byte) []byte { return nil },
			func(b []byte) []byte { return b[:len(b)-1] },
			func(b []byte) []byte { return b[:len(b)/2] },
			func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
			func(b []byte) []byte { b[len(b)-stateFooter] = '9'; return b },
			func(b []byte) []byte { b[len(b)-stateFooter-20] ^= 1; return b },
			func(b []byte) []byte { b[20] ^= 1; return b },
			func(b []byte) []byte { b[0] ^= 1; return b },
			func(b []byte) []byte { return append(b, b...) },
		} {
			if err := os.WriteFile(file, damage(bytes.Clone(good)), 0o644); err != nil {
				t.Fatal(err)
			}
			clean(t, dir)
			r := mustIndex(t, dir, update)
			if len(r.Anew) != 1 || r.Read < 6 {
				t.Errorf("%s: damage was not told: %+v", name, r)
			}
			same(t, name, indexes(t, dir), want)
		}
	}
}

// Nothing is written when a package is refused, and everything is named; with SkipInvalid the others are indexed as if
// it was not there.
func TestRefused(t *testing.T) {
	dir := fill(t, 3)
	mustIndex(t, dir, config())
	want := indexes(t, dir)
	bad := []string{"a.deb", "debs/z.deb", "b.rpm"}
	for _, name := range bad {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("not a package"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Mkdir(filepath.Join(dir, "folder.deb"), 0o755)
	os.Symlink("nowhere", filepath.Join(dir, "dangling.rpm"))
	other := filepath.Join(t.TempDir(), "other") // the same package with other bytes
	os.Rename(addDeb(t, other, "deb000", "1.0-1", "amd64", "/usr/bin/more"), filepath.Join(dir, "debs/twin.deb"))
	clean(t, dir)
	_, err := Index(context.Background(), dir, config())
	var refused *RefusedError
	if !errors.As(err, &refused) || len(refused.Problems) != 5 {
		t.Fatalf("got %v", err)
	}
	for _, name := range append(bad, "dangling.rpm", "debs/twin.deb: is deb000 1.0-1 for amd64, which debs/deb000_1.0-1_amd64.deb is, too, with other bytes") {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
	if got := indexes(t, dir); len(got) > 0 {
		t.Errorf("written nevertheless: %v", got)
	}
	skip := config()
	skip.SkipInvalid = true
	if r := mustIndex(t, dir, skip); len(r.Refused) != 5 || r.Debs != 3 || r.Rpms != 3 {
		t.Errorf("left out: %+v", r)
	}
	same(t, "with bad packages left out", indexes(t, dir), want)
}

// A package that cannot be read for a reason that lies in the machine is not left out: nothing is written.
func TestMachine(t *testing.T) {
	for number, want := range map[syscall.Errno]bool{syscall.EIO: true, syscall.EMFILE: true, syscall.ENOENT: false, syscall.EACCES: false} {
		cfg := config()
		cfg.Log = slog.New(slog.DiscardHandler)
		r := &run{Config: cfg, root: fill(t, 1)}
		var err error
		if r.draft, err = newDraft(r.root); err != nil {
			t.Fatal(err)
		}
		b := &book{state: &state{}, format: format{reader: func() reader {
			return func(io.ReaderAt, file) (entry, [][]byte, error) {
				return entry{}, nil, fmt.Errorf("x.deb: read 0 of 9 bytes: %w", &fs.PathError{Op: "read", Path: "x.deb", Err: number})
			}
		}, compare: compareDebs}}
		err = r.read(context.Background(), b, []file{{path: "debs/deb000_1.0-1_amd64.deb"}})
		if errors.Is(err, number) != want || (len(r.result.Refused) == 0) != want {
			t.Errorf("%v: got %v, refused %q", number, err, r.result.Refused)
		}
		b.close()
	}
}

// Old indexes are there as long as a client may be on its way to them, and no longer; nothing else is touched.
func TestStale(t *testing.T) {
	dir := fill(t, 2)
	others := []string{"by-hash/SHA256/readme", "repodata/comps.xml", "by-hash/README"}
	for _, name := range others {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644)
	}
	mustIndex(t, dir, config())
	first := indexes(t, dir)
	addDeb(t, dir, "more", "1-1", "amd64")
	addRpm(t, dir, "more", "1", "noarch")
	mustIndex(t, dir, config())
	second := indexes(t, dir)
	hashed := func(name string) bool { return len(filepath.Base(name)) >= 64 }
	for name := range first {
		if _, ok := second[name]; !ok {
			t.Errorf("%s is gone while clients may want it", name)
		}
	}
	addDeb(t, dir, "again", "1-1", "amd64")
	addRpm(t, dir, "again", "1", "noarch")
	mustIndex(t, dir, config())
	third := indexes(t, dir)
	for name := range first {
		if _, ok := third[name]; ok == hashed(name) {
			t.Errorf("%s: there is %v", name, ok)
		}
	}
}

// Two runs at a time are one too many.
func TestLock(t *testing.T) {
	dir := fill(t, 1)
	unlock, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Index(context.Background(), dir, config()); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("got %v", err)
	}
	unlock()
	// What a run that was killed has left does no harm.
	os.MkdirAll(filepath.Join(dir, newFolder), 0o755)
	os.WriteFile(filepath.Join(dir, newFolder, "1"), []byte("x"), 0o644)
	mustIndex(t, dir, config())
}

// The same goes for compressions that are not asked for any more, architectures without packages, and indexes of others.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	pool := filepath.Join(dir, "pool")
	addDeb(t, pool, "aa", "1-1", "amd64")
	gone := addDeb(t, pool, "bb", "1-1", "arm64")
	ours, theirs := []string{"Packages.xz", "Packages.zst", "Contents-i386.gz"}, []string{"Packages.bz2", "Packages.md", "Contents"}
	for _, dists := range []bool{false, true} {
		cfg := config()
		cfg.Dists, cfg.Contents, cfg.Release.Suite = dists, true, "stable"
		at, arm := dir, filepath.Join(dir, "Contents-arm64.gz")
		if dists {
			at, arm = filepath.Join(dir, "dists/stable/main/binary-amd64"), filepath.Join(dir, "dists/stable/main/binary-arm64/by-hash")
			addDeb(t, pool, "bb", "1-1", "arm64")
		}
		cfg.Compress = []packed.Compression{packed.XZ, packed.Zstd, packed.Gzip}
		mustIndex(t, dir, cfg)
		for _, name := range append(theirs, ours[2]) {
			writeFile(t, filepath.Join(at, name), "x")
		}
		os.Remove(gone)
		cfg.Compress = []packed.Compression{packed.Gzip}
		there := func(name string) bool { _, err := os.Lstat(name); return err == nil }
		for _, want := range []bool{true, false} { // one run later a client may still want them
			mustIndex(t, dir, cfg)
			for _, name := range ours[:2] {
				if there(filepath.Join(at, name)) != want {
					t.Errorf("%s: there is %v, expected %v", filepath.Join(at, name), !want, want)
				}
			}
			if there(arm) != want {
				t.Errorf("%s: there is %v, expected %v", arm, !want, want)
			}
			cfg.Release.Date = cfg.Release.Date.Add(time.Second)
		}
		if !dists && there(filepath.Join(at, ours[2])) {
			t.Errorf("%s is left", ours[2])
		}
		for _, name := range append(theirs, "Packages", "Packages.gz") {
			if !there(filepath.Join(at, name)) {
				t.Errorf("%s is gone", name)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "dists/stable/main/*")); len(left) != 3 {
		t.Errorf("there are %q, want Contents-amd64.gz, binary-amd64 and by-hash", left)
	}
}

// A run that is interrupted leaves all as it was.
func TestInterrupted(t *testing.T) {
	dir := fill(t, 4)
	mustIndex(t, dir, config())
	want := indexes(t, dir)
	addDeb(t, dir, "more", "1-1", "amd64")
	ctx, cancel := context.WithCancel(context.Background())
	cfg := config()
	cfg.Progress = func(done, _ int, _ int64) {
		if done == 2 {
			cancel()
		}
	}
	if _, err := Index(ctx, dir, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	same(t, "interrupted", indexes(t, dir), want)
	if _, err := os.Stat(filepath.Join(dir, stateFolder)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something is left")
	}
}
