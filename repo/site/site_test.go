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
	for _, name := range []string{"core:/stable:/v1.35", "addons:/cri-o:/prerelease:/main"} {
		stream, err := layout.ParseStream(name)
		if err != nil {
			t.Fatal(err)
		}
		const url = "https://pkgs.example.org"
		got := Instructions(stream, url) + "\n# .list\n" + AptList(stream, url) + "\n# .sources\n" + AptSources(stream, url) +
			"\n# .repo\n" + Repo(stream, url) + "\n# .repo with baseurl\n" + RepoBaseURL(stream, url) + "\n# zypper addrepo\n" + ZypperAddrepo(stream, url)
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
	}
}
