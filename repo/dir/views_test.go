package dir

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/packed"
)

// Each component and architecture has an index of its own, an empty one, too, in every compression, and apt finds in them
// what belongs there.
func TestComponents(t *testing.T) {
	dir := t.TempDir()
	addDeb(t, filepath.Join(dir, "pool/main/a"), "aa", "1-1", "amd64")
	addDeb(t, filepath.Join(dir, "pool/main"), "every", "1-1", "all")
	addDeb(t, filepath.Join(dir, "pool/contrib"), "bb", "1-1", "arm64")
	cfg := config()
	cfg.Dists, cfg.Contents = true, true
	cfg.Compress = []packed.Compression{packed.Gzip, packed.XZ, packed.Zstd}
	cfg.Release = apt.Config{Date: date, Codename: "code", NotAutomatic: true, Components: []string{"main", "contrib"}, Architectures: []string{"i386"}}
	mustIndex(t, dir, cfg)
	for view, want := range map[string][]string{
		"main/binary-amd64": {"aa", "every"}, "main/binary-arm64": {"every"}, "main/binary-i386": {"every"},
		"contrib/binary-amd64": nil, "contrib/binary-arm64": {"bb"}, "contrib/binary-i386": nil,
	} {
		text, err := os.ReadFile(filepath.Join(dir, "dists/code", view, "Packages"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range paragraphs(string(text)) {
			got = append(got, p["package"])
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", view, got, want)
		}
	}
	release, err := os.ReadFile(filepath.Join(dir, "dists/code/Release"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Architectures: amd64 arm64 i386\n", "Components: main contrib\n", "NotAutomatic: yes\n", " contrib/binary-i386/Packages.xz\n", " main/Contents-i386.zst\n"} {
		if !strings.Contains(string(release), want) {
			t.Errorf("Release does not say %q:\n%s", want, release)
		}
	}
	if text := gunzip(t, filepath.Join(dir, "dists/code/main/Contents-amd64.gz")); !strings.Contains(text, "usr/bin/aa                                              net/aa\n") {
		t.Errorf("Contents are\n%s", text)
	}
	url, _ := serve(t, dir)
	for _, compression := range []string{"gz", "xz", "zst"} {
		options := aptIn(t, "deb [trusted=yes] "+url+" code main contrib", compression)
		options = append(options, "-o", "APT::Architectures::=i386", "-o", "Acquire::By-Hash=force", "-o", "Acquire::PDiffs=true", "-o", "Acquire::Languages::=de")
		tool(t, dir, "apt", "apt-get", append(slices.Clone(options), "update")...)
		if got := tool(t, dir, "apt", "apt-cache", append(options, "policy", "aa", "bb:arm64", "every")...); strings.Count(got, "1-1 1\n") != 3 {
			t.Errorf("%s: apt-cache policy says\n%s", compression, got)
		}
	}

	addDeb(t, filepath.Join(dir, "pool/other"), "cc", "1-1", "amd64")
	if _, err := Index(context.Background(), dir, cfg); err == nil || !strings.Contains(err.Error(), "pool/other/cc_1-1_amd64.deb: is in none of the components main, contrib") {
		t.Errorf("got %v", err)
	}
}

// A repository without packages can be read, too.
func TestEmpty(t *testing.T) {
	dir := t.TempDir()
	for _, c := range [][]packed.Compression{{packed.Gzip, packed.XZ, packed.Zstd}, {packed.XZ, packed.Gzip}, {packed.Zstd}} {
		cfg := config()
		cfg.Deb, cfg.Rpm, cfg.Compress = true, true, c
		mustIndex(t, dir, cfg)
		url, _ := serve(t, dir)
		tool(t, dir, "apt", "apt-get", append(aptIn(t, "deb [trusted=yes] "+url+" ./", string(c[0])), "update")...)
		if got := tool(t, dir, "dnf", "dnf", append(dnf(t, url), "repoquery")...); got != "" {
			t.Errorf("%v: dnf says %q", c, got)
		}
	}
}
