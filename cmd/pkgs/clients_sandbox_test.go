package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A sandbox is a throwaway Debian system in which a client runs: a writable layer in memory over one of the systems
// that testdata/clients/roots made, in a mount namespace and a network namespace of its own. There is no network but
// the sandbox's own loopback, so the address 127.0.0.1:8080 is free in every sandbox, whatever the machine's other
// programs and the tests beside it do, and a client that wanted more than our server would fail.
//
// Namespaces belong to threads. All that happens inside is done by one goroutine that is locked to its thread; when
// it ends, the thread goes, and the mounts, the network and the processes with it.
type sandbox struct {
	t *testing.T
	// root is the folder of the Debian system, as the sandbox's own thread sees it. Elsewhere it is empty.
	root string
	// scratch is a folder outside of the Debian system that every thread sees alike.
	scratch string
	work    chan func()
	server  *exec.Cmd
}

// address is where a sandbox's server listens, and so the public URL in the config that the tests publish with.
const address = "127.0.0.1:8080"

// stagingAddress is another name of the same address, which nothing that was promoted may have in it.
const stagingAddress = "localhost:8080"

// systems is the folder of the Debian systems that testdata/clients/roots makes.
const systems = "../../.cache/roots"

// commandTime is more than any command of a client takes on a busy machine.
const commandTime = 3 * time.Minute

// newSandbox makes a sandbox with a system of the Debian release called suite.
func newSandbox(t *testing.T, suite string) *sandbox {
	t.Helper()
	lower := absolute(t, filepath.Join(systems, suite))
	s := &sandbox{t: t, root: filepath.Join(t.TempDir(), "root"), scratch: t.TempDir(), work: make(chan func())}
	ready := make(chan error)
	go s.thread(lower, ready)
	if err := <-ready; err != nil {
		t.Fatalf("sandbox: %v", err)
	}
	t.Cleanup(func() {
		s.stopServer()
		close(s.work)
	})
	return s
}

// thread is the life of the sandbox's goroutine.
func (s *sandbox) thread(lower string, ready chan<- error) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	err := s.enter(lower)
	ready <- err
	if err != nil {
		return
	}
	for f := range s.work {
		f()
	}
}

// enter makes the namespaces and what is mounted in them.
func (s *sandbox) enter(lower string) error {
	if err := syscall.Unshare(syscall.CLONE_NEWNS | syscall.CLONE_NEWNET); err != nil {
		return fmt.Errorf("no namespaces of its own: %w", err)
	}
	layers := filepath.Dir(s.root)
	upper, workdir := filepath.Join(layers, "layers/upper"), filepath.Join(layers, "layers/work")
	if err := errors.Join(
		syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""),
		syscall.Mount("pkgs-test", layers, "tmpfs", 0, "size=2g,mode=755"),
		os.MkdirAll(upper, 0o755), os.MkdirAll(workdir, 0o755), os.Mkdir(s.root, 0o755),
	); err != nil {
		return err
	}
	overlay := "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + workdir
	if err := syscall.Mount("pkgs-test", s.root, "overlay", 0, overlay); err != nil {
		// A kernel without overlayfs, or a file system that cannot be below one: a copy does as well, only slower.
		if out, err := exec.Command("cp", "-a", lower+"/.", s.root).CombinedOutput(); err != nil {
			return fmt.Errorf("copy %s: %w: %s", lower, err, out)
		}
	}
	if err := errors.Join(
		syscall.Mount("proc", s.root+"/proc", "proc", 0, ""),
		syscall.Mount("/dev", s.root+"/dev", "", syscall.MS_BIND|syscall.MS_REC, ""),
	); err != nil {
		return err
	}
	if out, err := s.command(s.root, "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("loopback: %w: %s", err, out)
	}
	return nil
}

// inside calls f on the sandbox's thread, where the sandbox's files and network are. f must not end the test.
func (s *sandbox) inside(f func() error) error {
	result := make(chan error)
	s.work <- func() { result <- f() }
	return <-result
}

// command is a command as it runs inside: chrooted if chroot is not empty, with little in its environment.
func (s *sandbox) command(chroot, name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	s.t.Cleanup(cancel)
	home := s.scratch
	if chroot != "" {
		home = "/root"
	}
	cmd := exec.CommandContext(ctx, name, args...)
	if chroot != "" {
		// Found by the shell's rules in there: exec.Command looked for it out here.
		cmd = exec.CommandContext(ctx, "/usr/bin/env", append([]string{"--", name}, args...)...)
		cmd.Dir = "/"
	}
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
		"HOME=" + home, "DEBIAN_FRONTEND=noninteractive"}
	// What runs inside never outlives the sandbox.
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: chroot, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// try runs a command of the Debian system and returns what it printed on both outputs.
func (s *sandbox) try(name string, args ...string) (string, error) {
	return s.combined(s.root, name, args...)
}

// run is try for a command that must succeed.
func (s *sandbox) run(name string, args ...string) string {
	s.t.Helper()
	out, err := s.try(name, args...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// tryHost runs a command of this machine inside the sandbox: the Debian system is at s.root for it.
func (s *sandbox) tryHost(name string, args ...string) (string, error) {
	return s.combined("", name, args...)
}

// runHost is tryHost for a command that must succeed.
func (s *sandbox) runHost(name string, args ...string) string {
	s.t.Helper()
	out, err := s.tryHost(name, args...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (s *sandbox) combined(chroot, name string, args ...string) (string, error) {
	var out []byte
	err := s.inside(func() (err error) {
		out, err = s.command(chroot, name, args...).CombinedOutput()
		return err
	})
	return string(out), err
}

// write puts a file into the Debian system.
func (s *sandbox) write(name, content string) {
	s.t.Helper()
	err := s.inside(func() error {
		file := filepath.Join(s.root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return os.WriteFile(file, []byte(content), 0o644)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// read is the content of a file of the Debian system.
func (s *sandbox) read(name string) string {
	s.t.Helper()
	var data []byte
	err := s.inside(func() (err error) {
		data, err = os.ReadFile(filepath.Join(s.root, name))
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

// lstat describes a file of the Debian system: type and permissions as ls -l shows them, owner and group in numbers;
// or "missing".
func (s *sandbox) lstat(name string) string {
	s.t.Helper()
	var described string
	err := s.inside(func() error {
		info, err := os.Lstat(filepath.Join(s.root, name))
		if errors.Is(err, os.ErrNotExist) {
			described = "missing"
			return nil
		}
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		described = fmt.Sprintf("%s %d:%d", info.Mode(), owner.Uid, owner.Gid)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return described
}

// serve serves a bucket inside the sandbox with pkgs serve, at the address that its streams were published for. A
// server that is running already makes room.
func (s *sandbox) serve(p *published, bucket string) {
	s.t.Helper()
	s.stopServer()
	out := &bytes.Buffer{}
	err := s.inside(func() error {
		cmd := s.command("", p.program, "serve", bucket, "--addr", address)
		// For as long as the test takes: not under the time limit of a command.
		s.server = exec.Command(cmd.Path, cmd.Args[1:]...)
		s.server.Env, s.server.SysProcAttr = cmd.Env, cmd.SysProcAttr
		s.server.Stdout, s.server.Stderr = out, out
		return s.server.Start()
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for range 600 {
		if s.inside(answers) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.stopServer() // which ends the writing to out
	s.t.Fatalf("pkgs serve does not answer:\n%s", out)
}

// answers tells whether the sandbox's server accepts connections. It makes its socket on the calling thread, unlike the
// net package, whose resolver and dialer may use others.
func answers() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return syscall.Connect(fd, &syscall.SockaddrInet4{Port: 8080, Addr: [4]byte{127, 0, 0, 1}})
}

func (s *sandbox) stopServer() {
	if s.server == nil {
		return
	}
	if err := s.server.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Error(err)
	}
	_ = s.server.Wait() // killed
	s.server = nil
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	abs, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
