package site

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// nowhere is where no server answers: the clients here only read their configuration.
const nowhere = "http://127.0.0.1:1"

var core = Repository{Stream: "core:/stable:/v1.35", URL: nowhere}

// run runs a program and returns what it printed. One that is missing fails the test.
func run(t *testing.T, debianPackage, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: install the Debian package %s", name, debianPackage)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestAptReads: both forms make apt ask for the same files.
func TestAptReads(t *testing.T) {
	for name, text := range map[string]string{"core.list": core.AptList(), "core.sources": core.AptSources()} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "parts", name), text)
		write(t, filepath.Join(dir, "lists/partial/x"), "")
		out := run(t, "apt", "apt-get", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", "Dir::Etc::sourceparts="+filepath.Join(dir, "parts"),
			"-o", "Dir::State::lists="+filepath.Join(dir, "lists"), "-o", "APT::Sandbox::User=root", "update", "--print-uris")
		if want := "'" + nowhere + "/core:/stable:/v1.35/deb/InRelease'"; !strings.Contains(out, want) || strings.Contains(out, "W:") {
			t.Errorf("apt reads %s as\n%s", name, out)
		}
	}
}

func TestDnfReads(t *testing.T) {
	for _, text := range []string{core.Repo(), core.repo(core.baseURL())} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "repos/core.repo"), text)
		out := run(t, "dnf", "dnf", "--setopt=reposdir="+filepath.Join(dir, "repos"), "--setopt=cachedir="+filepath.Join(dir, "cache"),
			"--setopt=logdir="+filepath.Join(dir, "log"), "--installroot="+filepath.Join(dir, "root"), "--releasever=1", "repolist", "--all")
		if !slices.Contains(strings.Fields(out), "core") || !strings.Contains(out, "core:/stable:/v1.35") || strings.Contains(out, "nvalid") {
			t.Errorf("dnf reads\n%s\nas\n%s", text, out)
		}
	}
}

func TestZypperReads(t *testing.T) {
	zypper := func(root string, args ...string) string {
		return run(t, "zypper", "zypper", append([]string{"--root", root, "--non-interactive"}, args...)...)
	}
	for text, want := range map[string]string{
		core.Repo():               `mirrorlist="` + nowhere + `/core:/stable:/v1.35/rpm/mirrorlist"`,
		core.repo(core.baseURL()): "<url>" + nowhere + "/core:/stable:/v1.35/rpm/</url>",
	} {
		root := t.TempDir()
		write(t, filepath.Join(root, "etc/zypp/repos.d/core.repo"), text)
		out := zypper(root, "--xmlout", "repos", "--details")
		for _, want := range []string{want, `alias="core"`, `enabled="1"`, `gpgcheck="1"`, `repo_gpgcheck="1"`,
			`gpgkey="` + nowhere + `/core:/stable:/v1.35/rpm/repodata/repomd.xml.key"`} {
			if !strings.Contains(out, want) {
				t.Errorf("zypper reads\n%s\nwithout %s as\n%s", text, want, out)
			}
		}
	}
	// Without a file.
	root := t.TempDir()
	_, line, ok := strings.Cut(core.Instructions(), "\n#   sudo zypper ")
	if !ok {
		t.Fatal("there is no line for zypper addrepo")
	}
	zypper(root, strings.Fields(line)...)
	if out := zypper(root, "--xmlout", "repos"); !strings.Contains(out, `alias="core"`) || !strings.Contains(out, `repo_gpgcheck="1"`) || !strings.Contains(out, `autorefresh="1"`) {
		t.Errorf("zypper addrepo made\n%s", out)
	}
}

// TestInstructionsAreShell: what users paste is what a shell can read.
func TestInstructionsAreShell(t *testing.T) {
	file := filepath.Join(t.TempDir(), "script")
	packaged := core
	packaged.Keyring = "example-archive-keyring"
	write(t, file, core.Instructions()+packaged.Instructions())
	run(t, "dash", "sh", "-n", file)
}
