package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/build/release/releasetest"
)

// TestDistVersion asks dist/make what it would call releases of a repository with and without tags: versions in the order in
// which they were made, each of a form that packages can have.
func TestDistVersion(t *testing.T) {
	dir := t.TempDir()
	script, err := os.ReadFile("dist/make")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "cmd/pkgs/dist"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "cmd/pkgs/dist/make")
	if err := os.WriteFile(file, script, 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.org",
			"GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.org", "GIT_DIR="+filepath.Join(dir, ".git"))
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %q: %v", name, args, err)
		}
		return strings.TrimSpace(string(out))
	}
	run("git", "init", "-q")
	var last release.Version
	for _, step := range []struct{ tag, want string }{
		{"", "v0.0.0-alpha.0.1+"}, {"", "v0.0.0-alpha.0.2+"},
		{"v0.1.0-rc.1", "v0.1.0-rc.1"}, {"", "v0.1.0-rc.1.1+"},
		{"v0.1.0", "v0.1.0"}, {"", "v0.1.1-alpha.0.1+"}, {"", "v0.1.1-alpha.0.2+"},
		{"v0.1.1", "v0.1.1"},
	} {
		run("git", "commit", "-q", "--allow-empty", "-m", "step")
		if step.tag != "" {
			run("git", "tag", "-a", "-m", "tag", step.tag)
		}
		got := run(file, "--version")
		v, err := release.ParseVersion(got)
		if err != nil || got != step.want && (step.tag != "" || !strings.HasPrefix(got, step.want)) {
			t.Errorf("got %s, want %s (%v)", got, step.want, err)
		}
		if !last.IsZero() && v.Compare(last) <= 0 {
			t.Errorf("%s does not sort after %s", v, last)
		}
		last = v
	}
}

// TestDistPackages packages a stand-in for the program with the pipeline's own definition, as dist/make does with the real
// one, twice, and looks at what is in the packages.
func TestDistPackages(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "release/v0.1.0")
	files := map[string][]byte{"share/pkgs.1": manual(testRoot(), buildInfo{Version: "v0.1.0"})}
	for _, arch := range []string{"amd64", "s390x"} {
		files["bin/linux/"+arch+"/pkgs"] = releasetest.Program(arch, "pkgs")
	}
	for name, write := range map[string]func(io.Writer) error{
		"share/pkgs.bash": func(w io.Writer) error { return testRoot().GenBashCompletionV2(w, true) },
		"share/_pkgs":     testRoot().GenZshCompletion,
		"share/pkgs.fish": func(w io.Writer) error { return testRoot().GenFishCompletion(w, true) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		files[name] = b.Bytes()
	}
	var sums strings.Builder
	for name, data := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, releaseDate, releaseDate); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
	}
	writeExample(t, filepath.Join(folder, "SHA256SUMS"), sums.String())
	config := string(readExample(t, "../dist/pkgs.yaml"))
	definitions, err := filepath.Abs("dist/definitions")
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"definitions: definitions", "definitions: " + definitions}, {"../../../out/dist/", ""}, {"[amd64, arm64, ppc64le, s390x]", "[amd64, s390x]"},
	} {
		if !strings.Contains(config, change[0]) {
			t.Fatalf("dist/pkgs.yaml has no %q, which dist/make replaces", change[0])
		}
		config = strings.ReplaceAll(config, change[0], change[1])
	}
	writeExample(t, filepath.Join(dir, "pkgs.yaml"), config)
	var digests []map[string][sha256.Size]byte
	for _, out := range []string{"one", "two"} {
		out = filepath.Join(dir, out)
		var stderr bytes.Buffer
		args := []string{"build", "v0.1.0", "--config", filepath.Join(dir, "pkgs.yaml"), "--unsigned", "--out", out}
		if code := run(t.Context(), time.Now, args, io.Discard, &stderr); code != 0 {
			t.Fatalf("exit code %d\n%s", code, &stderr)
		}
		found, err := digestsIn(out)
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, found)
	}
	packages := 0
	for name, sum := range digests[0] {
		if digests[1][name] != sum {
			t.Errorf("%s is not the same the second time", name)
		}
		if strings.HasSuffix(name, ".deb") || strings.HasSuffix(name, ".rpm") {
			packages++
		}
	}
	if packages != 4 {
		t.Errorf("%d packages, want 4", packages)
	}
	for _, list := range [][]string{
		{"sh", "-c", `dpkg-deb --fsys-tarfile "$0" | tar -t`, filepath.Join(dir, "one/deb/s390x/pkgs_0.1.0-1.1_s390x.deb")},
		{"rpm", "-qpl", "--nosignature", filepath.Join(dir, "one/rpm/x86_64/pkgs-0.1.0-1.1.x86_64.rpm")},
	} {
		data, err := exec.Command(list[0], list[1:]...).Output()
		if err != nil {
			t.Fatalf("%s: %v (Debian packages dpkg and rpm)", list[0], err)
		}
		names := strings.Fields(strings.ReplaceAll(string(data), "./", "/"))
		for _, want := range []string{"/usr/bin/pkgs", "/usr/share/man/man1/pkgs.1.gz", "/usr/share/bash-completion/completions/pkgs",
			"/usr/share/fish/vendor_completions.d/pkgs.fish", "/usr/share/doc/pkgs/README.md"} {
			if !slices.Contains(names, want) {
				t.Errorf("%s lists no %s: %q", list[0], want, names)
			}
		}
	}
}
