package repo

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
)

// TestClientsDisk publishes to a directory whose disk is full, and to one that is read-only. (Like the tests of real clients,
// whose name it shares, it needs root, to mount.) The error says what to do, nothing is lost, and the same run completes the
// publication when there is room.
func TestClientsDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("needs root, to mount a small disk: run make test as root, or make test-short without this test")
	}
	first, second := twoPublications(t)
	for _, c := range []struct{ name, full, roomy, want string }{
		{"full", "", "size=4m", "the disk is full: make room or choose another directory"},
		{"read-only", "ro", "rw", "the file system is read-only: choose another directory or mount it for writing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := syscall.Mount("pkgs-test", dir, "tmpfs", 0, "size=4m"); err != nil {
				t.Fatal(err)
			}
			b := bucket.NewDir(dir)
			t.Cleanup(func() {
				b.Close()
				if err := syscall.Unmount(dir, 0); err != nil {
					t.Error(err)
				}
			})
			remount := func(how string) {
				t.Helper()
				var flags uintptr = syscall.MS_REMOUNT
				if how == "ro" {
					flags, how = flags|syscall.MS_RDONLY, ""
				} else if how == "rw" {
					how = ""
				}
				if err := syscall.Mount("pkgs-test", dir, "tmpfs", flags, how); err != nil {
					t.Fatal(err)
				}
			}
			if err := execute(t, b, ripe(t, first, b)); err != nil {
				t.Fatal(err)
			}
			full := c.full
			if full == "" { // room for a few files more
				var now syscall.Statfs_t
				if err := syscall.Statfs(dir, &now); err != nil {
					t.Fatal(err)
				}
				full = fmt.Sprintf("size=%d", (int64(now.Blocks-now.Bfree)+8)*now.Bsize)
			}
			remount(full)
			err := execute(t, b, ripe(t, second, b))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want one that says %q", err, c.want)
			}
			if n := check(t, b); n != 2 {
				t.Errorf("a client finds %d debs", n)
			}
			remount(c.roomy)
			if _, err := finish(t, b, second); err != nil {
				t.Fatal(err)
			}
			if n := check(t, b); n != 4 {
				t.Errorf("with room a client finds %d debs", n)
			}
		})
	}
}
