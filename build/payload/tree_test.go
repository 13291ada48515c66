package payload

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTree(t *testing.T) {
	tree, err := NewTree(
		Entry{Path: "/usr/bin/b", Mode: 0o755, Content: Bytes([]byte("b"))},
		Entry{Path: "/etc/x", Kind: Dir, Mode: 0o700},
		Entry{Path: "/etc/x/link", Kind: Symlink, Target: "../y"},
		Entry{Path: "/etc/x-y", Content: Bytes(nil), Config: true},
		Entry{Path: "/etc/é", Content: Bytes(nil)},
	)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, e := range tree.Entries() {
		paths = append(paths, e.Path)
		if found, ok := tree.Lookup(e.Path); !ok || found.Path != e.Path {
			t.Errorf("Lookup does not find %s", e.Path)
		}
	}
	if want := strings.Fields("/etc/x /etc/x-y /etc/x/link /etc/é /usr/bin/b"); !slices.Equal(paths, want) {
		t.Errorf("%v, expected %v", paths, want)
	}
	if _, ok := tree.Lookup("/etc"); ok {
		t.Error("a directory that nobody declared is in the tree")
	}
}

func TestTreeRefuses(t *testing.T) {
	file := func(path string) Entry { return Entry{Path: path, Mode: 0o644, Content: Bytes(nil)} }
	with := func(e Entry, change func(*Entry)) Entry { change(&e); return e }
	for _, c := range []struct {
		entries []Entry
		want    string
	}{
		{[]Entry{file("usr/bin/x")}, "absolute"},
		{[]Entry{file("")}, "absolute"},
		{[]Entry{file("/")}, "absolute"},
		{[]Entry{file("/a/")}, "absolute"},
		{[]Entry{file("/a//b")}, "absolute"},
		{[]Entry{file("/a/../b")}, "absolute"},
		{[]Entry{file("/a\nb")}, "control"},
		{[]Entry{file("/a\x00b")}, "control"},
		{[]Entry{file("/a\xffb")}, "UTF-8"},
		{[]Entry{file("/" + strings.Repeat("a", 241))}, "240"},
		{[]Entry{file(strings.Repeat("/a", 600))}, "1024"},
		{[]Entry{file("/a"), file("/b"), file("/a")}, "/a: two entries"},
		{[]Entry{file("/a"), file("/a-b"), file("/a/b/c")}, "/a/b/c: lies below /a"},
		{[]Entry{{Path: "/a", Kind: Symlink, Target: "b"}, file("/a/b")}, "/a/b: lies below /a"},
		{[]Entry{{Path: "/a"}}, "no content"},
		{[]Entry{{Path: "/a", Kind: 7}}, "unknown kind"},
		{[]Entry{{Path: "/a", Kind: Symlink}}, "target"},
		{[]Entry{{Path: "/a", Kind: Symlink, Target: "b\nc"}}, "target"},
		{[]Entry{{Path: "/a", Kind: Dir, Target: "b"}}, "target"},
		{[]Entry{{Path: "/a", Kind: Dir, Config: true}}, "only a file"},
		{[]Entry{{Path: "/a", Kind: Dir, Content: Bytes([]byte("x"))}}, "only a file"},
		{[]Entry{with(file("/a"), func(e *Entry) { e.Mode = 0o100644 })}, "mode 0100644"},
		{[]Entry{with(file("/a"), func(e *Entry) { e.Content.Size = 1 << 32 })}, "4294967296"},
		{[]Entry{with(file("/a"), func(e *Entry) { e.Content.Size = -1 })}, "-1"},
		{make([]Entry, maxEntries+1), "100001"},
	} {
		if _, err := NewTree(c.entries...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, expected an error with %q", err, c.want)
		}
	}
}

func TestWriteFileLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.deb")
	write := func(text string, err error) func(*os.File) error {
		return func(f *os.File) error { f.WriteString(text); return err }
	}
	check := func(want string) {
		t.Helper()
		got, err := os.ReadFile(path)
		all, _ := os.ReadDir(dir)
		if want == "" && len(all) != 0 || want != "" && (err != nil || string(got) != want || len(all) != 1) {
			t.Errorf("%q in a directory of %d files, expected %q alone: %v", got, len(all), want, err)
		}
	}
	broken := errors.New("broken")
	if err := WriteFile(t.Context(), path, write("x", broken)); err != broken {
		t.Error(err)
	}
	check("")
	if err := WriteFile(t.Context(), path, write("good", nil)); err != nil {
		t.Error(err)
	}
	check("good")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(broken)
	if err := WriteFile(ctx, path, write("late", nil)); err != broken {
		t.Error(err)
	}
	check("good")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
	if err := WriteFile(t.Context(), filepath.Join(dir, "none", "x"), write("", nil)); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
