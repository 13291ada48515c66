package yum

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/layout"
)

// publish lays out a stream below a new folder: rpm/ with the packages and their index, and a snapshot of it.
func publish(t testing.TB) (root string, packages []*Package) {
	root = t.TempDir()
	dir := filepath.Join(root, "rpm")
	testPackages(t, dir)
	packages = readAll(t, dir)
	files, err := Index(testConfig, packages)
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, files)
	cfg := testConfig
	cfg.HrefPrefix = layout.SnapshotToRpm
	if files, err = Index(cfg, packages); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, filepath.Join(root, "rpm-snapshots/42"), files)
	return root, packages
}

// dnf returns options that keep dnf to a folder of its own with one repository.
func dnf(t testing.TB, repository string) []string {
	dir := t.TempDir()
	for _, d := range []string{"root", "repos", "cache", "log", "vars"} {
		os.MkdirAll(filepath.Join(dir, d), 0o755)
	}
	write(t, filepath.Join(dir, "dnf.conf"), "[main]\nplugins=0\n")
	return []string{"--config", dir + "/dnf.conf", "--installroot", dir + "/root", "--setopt=reposdir=" + dir + "/repos",
		"--setopt=cachedir=" + dir + "/cache", "--setopt=logdir=" + dir + "/log", "--setopt=varsdir=" + dir + "/vars",
		"--setopt=module_platform_id=platform:el9", "--releasever=9", "--forcearch=x86_64", "--disableplugin=*",
		"--repofrompath=test,file://" + repository, "--repo=test", "--setopt=test.gpgcheck=0"}
}

func TestClients(t *testing.T) {
	root, packages := publish(t)
	t.Run("dnf", func(t *testing.T) { testDnf(t, root, packages) })
	t.Run("zypper", func(t *testing.T) { testZypper(t, root, packages) })
	t.Run("mergerepo_c", func(t *testing.T) { testMergerepo(t, root) })
	t.Run("createrepo_c", func(t *testing.T) { testCreaterepo(t, filepath.Join(root, "rpm"), packages) })
}

func testDnf(t *testing.T, root string, packages []*Package) {
	for _, repository := range []string{"rpm", "rpm-snapshots/42"} {
		options := dnf(t, filepath.Join(root, repository))
		query := func(args ...string) []string {
			args = append(append(append([]string(nil), options...), "--quiet", "repoquery"), args...)
			lines := strings.Split(strings.TrimSpace(run(t, root, tool(t, "dnf", "dnf"), args...)), "\n")
			sort.Strings(lines)
			return lines
		}
		var want []string
		for _, p := range packages {
			want = append(want, p.Name+" "+p.EVR()+" "+p.Arch)
		}
		sort.Strings(want)
		got := query("--queryformat", "%{name} %{epoch}:%{version}-%{release} %{arch}", "*")
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: dnf repoquery lists %q, want %q", repository, got, want)
		}
		// Installing checks the size and the digest of the file that the index leads to.
		args := append(append([]string(nil), options...), "--assumeyes", "--quiet", "install", "plain-gz", "plain-xz-empty")
		run(t, root, "dnf", args...)
		if repository != "rpm" {
			continue // the rest of the index is the same
		}
		said := query("--requires", "odd-pkg")
		for _, d := range []string{"(aa or bb)", "(cc >= 1.0 if dd)", "baz >= 2:1.0-3", "libc.so.6(GLIBC_2.34)(64bit)"} {
			if i := sort.SearchStrings(said, d); i == len(said) || said[i] != d {
				t.Errorf("dnf repoquery --requires does not say %q: %q", d, said)
			}
		}
		if got := query("--file", "/usr/share/odd/"+longName, "--whatsupplements", "sup"); len(got) != 1 ||
			!strings.HasPrefix(got[0], "odd-pkg") {
			t.Errorf("dnf repoquery --file --whatsupplements says %q", got)
		}
		if got := query("--changelogs", "odd-pkg"); !strings.Contains(strings.Join(got, "\n"), "second & <b>") {
			t.Errorf("dnf repoquery --changelogs says %q", got)
		}
	}
}

func testZypper(t *testing.T, root string, packages []*Package) {
	// From file:// zypper reads nothing outside of the repository's own folder, so not the packages of a snapshot.
	server := httptest.NewServer(http.FileServer(http.Dir(root)))
	defer server.Close()
	for _, repository := range []string{"rpm", "rpm-snapshots/42"} {
		system := t.TempDir()
		zypper := func(args ...string) string {
			args = append([]string{"--root", system, "--non-interactive", "--no-gpg-checks"}, args...)
			return run(t, root, tool(t, "zypper", "zypper"), args...)
		}
		zypper("addrepo", "--no-gpgcheck", server.URL+"/"+repository, "test")
		zypper("refresh")
		list := zypper("search", "--details", "--type", "package")
		for _, p := range packages {
			version := strings.TrimPrefix(p.EVR(), "0:")
			if !strings.Contains(list, p.Name+" ") || !strings.Contains(list, version+" ") {
				t.Errorf("%s: zypper search does not list %s %s:\n%s", repository, p.Name, version, list)
			}
		}
		info := zypper("info", "--requires", "--recommends", "odd-pkg")
		for _, want := range []string{"(aa or bb)", "baz >= 2:1.0-3", "rec > 3", "An <odd> & \"quoted\" 'ünïcode' summary"} {
			if !strings.Contains(info, want) {
				t.Errorf("%s: zypper info does not say %q:\n%s", repository, want, info)
			}
		}
		zypper("install", "--download-only", "--no-recommends", "plain-zst", "plain-bz-empty")
		cached := 0
		filepath.WalkDir(system, func(name string, _ os.DirEntry, _ error) error {
			if strings.HasSuffix(name, ".rpm") {
				cached++
			}
			return nil
		})
		if cached != 2 {
			t.Errorf("%s: zypper install --download-only left %d packages, want 2", repository, cached)
		}
	}
}

// testMergerepo stands for programs that parse an index with createrepo_c's own library.
func testMergerepo(t *testing.T, root string) {
	out := t.TempDir()
	run(t, out, tool(t, "mergerepo_c", "createrepo-c"), "--no-database", "--simple-md-filenames", "--outputdir", out,
		"--repo", "file://"+root+"/rpm", "--repo", "file://"+root+"/rpm")
	data, err := os.ReadFile(filepath.Join(out, "repodata/primary.xml.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(gunzip(t, data)), "<package "); got != 9 {
		t.Errorf("mergerepo_c found %d packages, want 9", got)
	}
}
