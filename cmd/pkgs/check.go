package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
)

// surroundings are what must make no difference to the bytes of a package.
type surroundings struct {
	zone, locale string
	processors   int
	umask        int
	// another tells to be another user, by number.
	another bool
}

// checkBuild builds packages twice, by this program run anew in two kinds of surroundings that differ in time zone, locale,
// number of processors, umask, user, working directory, home and caches, and compares every byte. The packages stay in out
// when they are the same; an error names those that are not. The clock cannot be turned, but it goes on in between, and the
// second build begins in another second than the first.
func (p *program) checkBuild(ctx context.Context, cfg *config, args []string, out string) error {
	config, err := filepath.Abs(cfg.file)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "pkgs-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	begin := p.now()
	var dirs []string
	but := ""
	for i, s := range []surroundings{
		{zone: "UTC", locale: "C", processors: 1, umask: 0o022},
		{zone: "Pacific/Kiritimati", locale: "tr_TR.UTF-8", processors: max(2, runtime.NumCPU()), umask: 0o077, another: true},
	} {
		dir := filepath.Join(work, strconv.Itoa(i))
		if err := os.MkdirAll(filepath.Join(dir, "home"), 0o755); err != nil {
			return err
		}
		if i > 0 {
			if err := sleep(ctx, begin.Truncate(time.Second).Add(time.Second).Sub(p.now())); err != nil {
				return err
			}
		}
		command := append(slices.Clone(args), "--config", config, "--cache", filepath.Join(dir, "cache"), "--out", filepath.Join(dir, "out"))
		err := p.buildIn(ctx, s, dir, command, cfg.Signing.variables())
		if s.another && errors.Is(err, errNoNamespace) {
			s.another, but = false, ", but for the user: "+err.Error()
			err = p.buildIn(ctx, s, dir, command, cfg.Signing.variables())
		}
		if err != nil {
			return err
		}
		dirs = append(dirs, filepath.Join(dir, "out"))
	}
	files, err := sameFiles(dirs[0], dirs[1])
	if err != nil {
		return err
	}
	if err := copyInto(ctx, out, os.DirFS(dirs[0])); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "check: two builds in different surroundings gave the same %d files%s\n", files, but)
	return nil
}

// copyInto copies files to a directory, where they take the place of others of the same names, as those of a build do.
func copyInto(ctx context.Context, dir string, files fs.FS) error {
	return fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if entry.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		from, err := files.Open(name)
		if err != nil {
			return err
		}
		defer from.Close()
		return payload.WriteFile(ctx, to, func(f *os.File) error {
			_, err := io.Copy(f, from)
			return err
		})
	})
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sameFiles compares all files below two directories, and returns how many there are.
func sameFiles(a, b string) (int, error) {
	one, err := digestsIn(a)
	if err != nil {
		return 0, err
	}
	two, err := digestsIn(b)
	if err != nil {
		return 0, err
	}
	all := maps.Clone(one)
	maps.Copy(all, two)
	var different []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if one[name] != two[name] {
			different = append(different, name)
		}
	}
	if len(different) > 0 {
		return 0, fmt.Errorf("two builds in different surroundings differ in %d of %d files: %s", len(different), len(all), strings.Join(different, ", "))
	}
	return len(all), nil
}

// errNoNamespace means that a program could not be started as another user, because this machine does not allow it.
var errNoNamespace = errors.New("this machine has no user namespaces for it")

// buildIn runs this program in surroundings of its own, with dir/home as its home and dir as its working directory. It has
// those of our environment variables that are named.
func (p *program) buildIn(ctx context.Context, s surroundings, dir string, args, variables []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"HOME=" + filepath.Join(dir, "home"), "PATH=" + p.getenv("PATH"), "SOURCE_DATE_EPOCH=" + p.getenv("SOURCE_DATE_EPOCH"),
		"TZ=" + s.zone, "LC_ALL=" + s.locale, "LANG=" + s.locale, "GOMAXPROCS=" + strconv.Itoa(s.processors),
	}
	for _, name := range variables {
		cmd.Env = append(cmd.Env, name+"="+p.getenv(name))
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if s.another {
		asAnotherUser(cmd)
	}
	old := syscall.Umask(s.umask)
	err = cmd.Start()
	syscall.Umask(old)
	if err != nil && s.another {
		return fmt.Errorf("%w: %w", errNoNamespace, err)
	}
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("build in zone %s, locale %s, on %d processors: %w\n%s", s.zone, s.locale, s.processors, err, strings.TrimSpace(complaint.String()))
	}
	return nil
}

// digestsIn hashes every file below dir.
func digestsIn(dir string) (map[string][sha256.Size]byte, error) {
	digests := map[string][sha256.Size]byte{}
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		r, err := os.Open(file)
		if err != nil {
			return err
		}
		defer r.Close()
		h := sha256.New()
		if _, err := io.Copy(h, r); err != nil {
			return err
		}
		digests[name] = [sha256.Size]byte(h.Sum(nil))
		return nil
	})
	if err == nil && len(digests) == 0 {
		err = errors.New("the build made no files")
	}
	return digests, err
}
