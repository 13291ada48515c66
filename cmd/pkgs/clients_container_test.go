package main_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// image is what deploy/Containerfile says of the image's last stage.
type image struct {
	files      map[string]string // by path in the image, where they come from
	env        []string
	user, dir  string
	entrypoint []string
}

func readContainerfile(t *testing.T) image {
	t.Helper()
	data, err := os.ReadFile("deploy/Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	var last image
	var base string
	for line := range strings.Lines(string(data)) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		words := strings.Fields(rest)
		switch instruction {
		case "FROM":
			last, base = image{files: map[string]string{}}, rest
		case "COPY":
			if from := words[0]; strings.HasPrefix(from, "--from=") {
				last.files[words[2]] = words[1]
			}
		case "ENV":
			last.env = append(last.env, words...)
		case "USER":
			last.user = rest
		case "WORKDIR":
			last.dir = rest
		case "ENTRYPOINT":
			if err := json.Unmarshal([]byte(rest), &last.entrypoint); err != nil {
				t.Fatal(err)
			}
		}
	}
	if base != "scratch" || last.user != "65532:65532" || len(last.files) != 2 || last.files[last.entrypoint[0]] != "/pkgs" {
		t.Fatalf("the image is %+v on %s", last, base)
	}
	return last
}

// testContainer lays out the image of deploy/Containerfile and cuts a release in it, as it is run: the file system is
// read-only but for one folder, the user is nobody in particular, and there is no network and nothing else of any system.
func testContainer(t *testing.T, p *published) {
	made := readContainerfile(t)
	root := filepath.Join(t.TempDir(), "root")
	sources := map[string]string{"/pkgs": p.program, "/etc/ssl/certs/ca-certificates.crt": "/etc/ssl/certs/ca-certificates.crt"}
	for path, from := range made.files {
		source := sources[from]
		if source == "" {
			t.Fatalf("the image has %s, and this test does not know %s", path, from)
		}
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		command(t, ".", "cp", "-L", source, filepath.Join(root, path))
	}
	for _, dir := range []string{"var/lib/pkgs", "release", strings.TrimPrefix(made.dir, "/")} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := strings.ReplaceAll(readFile(t, p.config), absolute(t, "../../.cache/clients/release"), "/release")
	writeFile(t, filepath.Join(root, made.dir, "pkgs.yaml"), strings.Replace(config, "bucket: second", "bucket: /var/lib/pkgs/bucket", 1))
	writeFile(t, filepath.Join(root, made.dir, "bad.yaml"), strings.Replace(config, "bucket: second", "bucket: /bucket", 1))
	writeFile(t, filepath.Join(root, made.dir, "key.asc"), readFile(t, filepath.Join(filepath.Dir(p.config), "key.asc")))

	run := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), commandTime)
		defer cancel()
		// Mounts are those of the shell's own namespace, and go with it.
		const script = `root=$1 release=$2 user=$3 dir=$4; shift 4
			mount --make-rprivate / && mount --bind "$root" "$root" && mount --bind "$release" "$root/release" &&
			mount -o remount,bind,ro "$root" && mount -t tmpfs -o mode=1777 pkgs-test "$root/var/lib/pkgs" &&
			exec chroot --userspec="$user" "$root" "$@"`
		argv := append([]string{"-c", script, "container", root, absolute(t, "../../.cache/clients/release"), made.user, made.dir, made.entrypoint[0]}, args...)
		cmd := exec.CommandContext(ctx, "/bin/sh", argv...)
		cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, made.env...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC, Pdeathsig: syscall.SIGKILL}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	in := func(file string) string { return filepath.Join(made.dir, file) }
	if out, err := run("version"); err != nil || !strings.Contains(out, "built with go") {
		t.Errorf("version: %v\n%s", err, out)
	}
	if out, err := run("cut", "v1.35.0", "--config", in("pkgs.yaml"), "--confirm"); err != nil || !strings.Contains(out, "verified "+stream+" in /var/lib/pkgs/bucket: right") {
		t.Errorf("cut: %v\n%s", err, out)
	}
	// The test would prove nothing if the file system could be written to.
	if out, err := run("cut", "v1.35.0", "--config", in("bad.yaml"), "--confirm"); err == nil || !strings.Contains(out, "read-only file system") {
		t.Errorf("a cut into a folder of the image: %v\n%s", err, out)
	}
}
