package site

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/layout"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestGolden(t *testing.T) {
	for name, keyring := range map[string]string{
		"core:/stable:/v1.35": "", "addons:/cri-o:/prerelease:/main": "", "core:/stable:/v1.36": "example-archive-keyring",
	} {
		stream, err := layout.ParseStream(name)
		if err != nil {
			t.Fatal(err)
		}
		r := Repository{Stream: stream, URL: "https://pkgs.example.org", Keyring: keyring}
		got := r.Instructions() + "\n# .list\n" + r.AptList() + "\n# .sources\n" + r.AptSources() +
			"\n# .repo\n" + r.Repo()
		file := filepath.Join("testdata", strings.ReplaceAll(stream.Project(), ":", "-")+".txt")
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
		}
		if got := KeyringOf([]byte(r.AptSources())); got != keyring {
			t.Errorf("%s: the page names the keyring package %q", name, got)
		}
	}
}
