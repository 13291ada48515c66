package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestSameFiles(t *testing.T) {
	for name, c := range map[string]struct {
		one, two map[string]string
		want     string
	}{
		"the same":     {map[string]string{"deb/a": "1", "rpm/b": "2"}, map[string]string{"deb/a": "1", "rpm/b": "2"}, ""},
		"a byte":       {map[string]string{"deb/a": "1", "rpm/b": "2"}, map[string]string{"deb/a": "1", "rpm/b": "3"}, "differ in 1 of 2 files: rpm/b"},
		"one missing":  {map[string]string{"deb/a": "1", "rpm/b": "2"}, map[string]string{"deb/a": "1"}, "differ in 1 of 2 files: rpm/b"},
		"one too much": {map[string]string{"deb/a": "1"}, map[string]string{"deb/a": "1", "deb/c": "1"}, "differ in 1 of 2 files: deb/c"},
		"nothing":      {nil, nil, "no files"},
	} {
		t.Run(name, func(t *testing.T) {
			dirs := []string{t.TempDir(), t.TempDir()}
			for i, files := range []map[string]string{c.one, c.two} {
				for name, text := range files {
					file := filepath.Join(dirs[i], name)
					if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			n, err := sameFiles(dirs[0], dirs[1])
			if c.want == "" {
				if err != nil || n != len(c.one) {
					t.Errorf("%d files, %v", n, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, expected %q", err, c.want)
			}
		})
	}
}

// The second build of a check takes itself for somebody else, and can still read what only we can.
func TestAnotherUser(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "key.asc")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `id -u; cat "$0"`, secret)
	asAnotherUser(cmd)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: user namespaces are needed, see user_namespaces(7)", err)
	}
	if want := strconv.Itoa(anotherUser) + "\nsecret"; string(out) != want {
		t.Errorf("%q, expected %q", out, want)
	}
}
