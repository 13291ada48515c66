package bucket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be another process: what it does is the first word of BUCKET_TEST.
func TestMain(m *testing.M) {
	what, dir, _ := strings.Cut(os.Getenv("BUCKET_TEST"), " ")
	if what == "" {
		os.Exit(m.Run())
	}
	if err := child(what, NewDir(dir)); err != nil {
		println(err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

func child(what string, d *Dir) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch what {
	case "count":
		return count(ctx, d, "counter", 40)
	case "hang":
		// A put whose content never ends: it says so on standard output and waits to be killed.
		half := bytes.Repeat([]byte("x"), 2<<20)
		c := Content{Size: 4 << 20, SHA256: digest(nil), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(half), sayAndWait{})), nil
		}}
		_, err := d.Put(ctx, "folder/half", c, PutOptions{})
		return err
	case "lock":
		root, err := d.open(true)
		if err != nil {
			return err
		}
		if _, err := d.lock(ctx, root); err != nil {
			return err
		}
		_, err = sayAndWait{}.Read(nil)
		return err
	}
	return errors.New("unknown command")
}

type sayAndWait struct{}

func (sayAndWait) Read([]byte) (int, error) {
	os.Stdout.WriteString("waiting\n")
	time.Sleep(time.Minute)
	return 0, io.ErrUnexpectedEOF
}

// start runs the test binary as another process.
func start(t *testing.T, what, dir string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BUCKET_TEST="+what+" "+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, out
}

// waitFor waits until a process says that it waits.
func waitFor(t *testing.T, out io.Reader) {
	t.Helper()
	if _, err := io.ReadFull(out, make([]byte, len("waiting\n"))); err != nil {
		t.Fatal(err)
	}
}

func TestDirTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	one, _ := start(t, "count", dir)
	two, _ := start(t, "count", dir)
	if err := errors.Join(count(t.Context(), NewDir(dir), "counter", 40), one.Wait(), two.Wait()); err != nil {
		t.Fatal(err)
	}
	if got, _ := get(t, NewDir(dir), "counter"); got != "120" {
		t.Errorf("three processes counted to %s instead of 120", got)
	}
}

func TestDirKilledWhileWriting(t *testing.T) {
	dir := t.TempDir()
	cmd, out := start(t, "hang", dir)
	waitFor(t, out)
	unfinished := func() []string {
		files, err := filepath.Glob(dir + "/.bucket/new/*")
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	// While it writes, nobody sees the object, and nobody sweeps its file away.
	put(t, NewDir(dir), "other", "x")
	if got := unfinished(); len(got) != 1 {
		t.Errorf("unfinished files: %q", got)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	d := NewDir(dir)
	if _, err := d.Stat(t.Context(), "folder/half"); !errors.Is(err, ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
	if got := names(t, d, ""); !slices.Equal(got, []string{"other"}) {
		t.Errorf("the bucket holds %q", got)
	}
	put(t, d, "folder/half", "whole")
	if got := unfinished(); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}

func TestDirWaitsForTheLock(t *testing.T) {
	dir := t.TempDir()
	cmd, out := start(t, "lock", dir)
	waitFor(t, out)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	d := NewDir(dir)
	if _, err := d.Put(ctx, "x", Bytes(nil), PutOptions{}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("put beside a held lock: %v", err)
	}
	if got, _ := filepath.Glob(dir + "/.bucket/new/*"); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	put(t, d, "x", "the lock went with its holder")
}

func TestDirSymlinks(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(outside+"/secret", []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := NewDir(dir)
	put(t, d, "real/file", "x")
	for link, target := range map[string]string{"out": outside, "file": outside + "/secret", "in": "real", "up": "..", "dangling": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{link, link + "/secret", link + "/file", link + "/new/object"} {
			if _, err := d.Put(t.Context(), name, Bytes([]byte("y")), PutOptions{}); err == nil || !strings.Contains(err.Error(), "symbolic link") {
				t.Errorf("put %s: %v", name, err)
			}
			if r, _, err := d.Open(t.Context(), name); err == nil || !strings.Contains(err.Error(), "symbolic link") {
				t.Errorf("open %s: %v, %v", name, r, err)
			}
			if err := d.Delete(t.Context(), name, ""); err == nil {
				t.Errorf("delete %s succeeded", name)
			}
		}
		var failed error
		for _, err := range d.List(t.Context(), link) {
			failed = err
		}
		if failed == nil || !strings.Contains(failed.Error(), "symbolic link") || !strings.Contains(failed.Error(), link) {
			t.Errorf("list with %s: %v", link, failed)
		}
	}
	if got, err := os.ReadFile(outside + "/secret"); err != nil || string(got) != "secret" {
		t.Errorf("outside: %q, %v", got, err)
	}
	if list, err := os.ReadDir(outside); err != nil || len(list) != 1 {
		t.Errorf("outside: %v, %v", list, err)
	}
}

func TestDirOddFiles(t *testing.T) {
	dir := t.TempDir()
	d := NewDir(dir)
	put(t, d, "file", "x")
	put(t, d, "folder/x", "x")
	if err := syscall.Mkfifo(dir+"/pipe", 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, want string }{
		{"file/below", "a file stands where the name needs a folder"},
		{"file/below/deep", "a file stands where the name needs a folder"},
		{"folder", "a folder stands where the object belongs"},
		{"pipe", "not a regular file"},
	} {
		for _, condition := range []Condition{nil, IfAbsent} {
			if _, err := d.Put(t.Context(), c.name, Bytes(nil), PutOptions{Condition: condition}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %q", c.name, err, c.want)
			}
		}
	}
	if _, _, err := d.Open(t.Context(), "pipe"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("pipe: %v", err)
	}
	if _, err := NewDir(dir+"/file").Put(t.Context(), "x", Bytes(nil), PutOptions{}); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a file as the bucket: %v", err)
	}
}

// TestDirTruncated is a file that somebody shortens while it is read.
func TestDirTruncated(t *testing.T) {
	dir := t.TempDir()
	d := NewDir(dir)
	put(t, d, "big", strings.Repeat("x", 3<<20))
	r, _, err := d.Open(t.Context(), "big")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(dir+"/big", 2<<20); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := io.ReadAll(r); !errors.Is(err, io.ErrUnexpectedEOF) || !errors.As(err, &e) || e.Op != "read" || e.Name != "big" {
		t.Errorf("got %v", err)
	}
}

func TestDirDeletesEmptyFolders(t *testing.T) {
	dir := t.TempDir()
	d := NewDir(dir)
	info := put(t, d, "a/b/c/d", "x")
	put(t, d, "a/e", "x")
	if err := d.Delete(t.Context(), "a/b/c/d", info.Generation); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir + "/a/b"); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
	if got := names(t, d, ""); !slices.Equal(got, []string{"a/e"}) {
		t.Errorf("the bucket holds %q", got)
	}
}

// TestDirReadingWritesNothing: a bucket that is only read stays as it is, so that a dry run leaves no trace.
func TestDirReadingWritesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bucket")
	d := NewDir(dir)
	_, _ = d.Stat(t.Context(), "x")
	_ = d.Delete(t.Context(), "x", "")
	names(t, d, "")
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("reading made the directory: %v", err)
	}
}

func TestExplain(t *testing.T) {
	for number, want := range map[syscall.Errno]string{
		syscall.ENOSPC: "the disk is full: make room",
		syscall.EROFS:  "is read-only: choose",
		syscall.EACCES: "this user may not: change",
	} {
		err := NewDir("/srv/pkgs").fail("put", "a/b", &os.PathError{Op: "openat", Path: "a", Err: number})
		if !strings.HasPrefix(err.Error(), "put /srv/pkgs/a/b: ") || !strings.Contains(err.Error(), want) || !errors.Is(err, number) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestDirWithoutRights writes to a bucket that belongs to another user.
func TestDirWithoutRights(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	put(t, NewDir(dir), "x", "x")
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(bin, "bucket.test")
	if err := os.WriteFile(binary, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Env = []string{"BUCKET_TEST=count " + dir}
	if os.Getuid() == 0 {
		// Permissions do not bind root: let nobody try.
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Dir = "/"
		if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	} else {
		for _, folder := range []string{dir, dir + "/.bucket", dir + "/.bucket/new"} {
			if err := os.Chmod(folder, 0o555); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(folder, 0o755) })
		}
	}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "put "+dir+"/counter: this user may not: change the directory's owner or mode") {
		t.Errorf("%v: %s", err, out)
	}
}
