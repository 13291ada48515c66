package main_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rpmlintAccepts has the errors of rpmlint that our packages may have, and why. What lintian is to overlook, and why, the
// packages say themselves.
var rpmlintAccepts = map[string]string{
	"statically-linked-binary": "upstream links its programs so, and one package is for every distribution",
	"dir-or-file-in-opt":       "container runtimes look for network plugins in /opt/cni/bin",
	"no-dependency-on":         "rpmlint takes kubernetes-cni for the translations of something into a language called cni",
	"unknown-key":              "rpmlint asks this machine's rpm, which does not have the key; testSignatures asks one that has",
	"no-group-tag":             "distributions gave groups up years ago",
}

// testLint has rpmlint read every published package, and lintian, which takes its time, those for one architecture.
// They may have opinions, but no errors that nobody has explained.
func testLint(t *testing.T, p *published) {
	t.Run("lintian", func(t *testing.T) {
		lint(t, p, nil, "deb/amd64/*.deb", "lintian", "--no-cfg", "--allow-root")
	})
	t.Run("rpmlint", func(t *testing.T) {
		lint(t, p, rpmlintAccepts, "rpm/*/*.rpm", "rpmlint")
	})
}

func lint(t *testing.T, p *published, accepts map[string]string, pattern, name string, args ...string) {
	t.Helper()
	for _, object := range objects(t, p.second, pattern) {
		args = append(args, filepath.Join(p.second, object))
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		// lintian says "E: package: tag …", rpmlint "package.arch: E: tag …".
		_, rest, isError := strings.Cut(" "+line, " E: ")
		if !isError {
			continue
		}
		words := strings.Fields(rest)
		if name == "lintian" {
			words = words[1:]
		}
		used[words[0]] = true
		if accepts[words[0]] == "" {
			t.Errorf("%s: %s", name, line)
		}
	}
	for tag := range accepts {
		if !used[tag] {
			t.Errorf("%s no longer says %s: take it off the list of what is accepted", name, tag)
		}
	}
}
