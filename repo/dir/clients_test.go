package dir

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/packed"
	"sigs.k8s.io/pkgs/repo/yum"
)

// aptIn returns options that keep apt to a folder of its own: nothing of the machine is read or changed.
func aptIn(t testing.TB, source, compression string) []string {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "sources.list"), source+"\n")
	writeFile(t, filepath.Join(dir, "status"), "")
	for _, d := range []string{"lists/partial", "cache/archives/partial", "empty"} {
		os.MkdirAll(filepath.Join(dir, d), 0o755)
	}
	var args []string
	for _, o := range []string{
		"Dir::Etc::SourceList=" + dir + "/sources.list", "Dir::Etc::SourceParts=" + dir + "/empty",
		"Dir::Etc::Main=/dev/null", "Dir::Etc::Parts=" + dir + "/empty", "Dir::Etc::Preferences=/dev/null",
		"Dir::Etc::PreferencesParts=" + dir + "/empty", "Dir::State=" + dir, "Dir::State::Lists=" + dir + "/lists",
		"Dir::State::Status=" + dir + "/status", "Dir::Cache=" + dir + "/cache", "APT::Sandbox::User=root",
		"APT::Architecture=amd64", "APT::Architectures::=amd64", "APT::Architectures::=arm64",
		"APT::Update::Error-Mode=any", "Acquire::Check-Date=true", "Acquire::Check-Valid-Until=true",
		"Acquire::Languages=none", "Debug::NoLocking=true", "Acquire::CompressionTypes::Order::=" + compression,
	} {
		args = append(args, "-o", o)
	}
	return args
}

// count records which names a server was asked for.
func serve(t testing.TB, dir string) (url string, asked func() string) {
	t.Helper()
	names := make(chan string, 1000)
	files := http.FileServer(http.Dir(dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		names <- r.URL.Path
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() string {
		var list []string
		for len(names) > 0 {
			list = append(list, <-names)
		}
		return strings.Join(list, "\n")
	}
}

// apt reads both layouts in every compression, members of several pieces among them, finds the packages of its
// architectures and those of all, and downloads them.
func TestApt(t *testing.T) {
	dir := t.TempDir()
	pool := filepath.Join(dir, "pool")
	for i := range 100 {
		addDeb(t, pool, fmt.Sprintf("p%02d", i), "1.0-1", []string{"amd64", "arm64", "all"}[i%3])
	}
	oddDebs(t, pool)
	os.Rename(filepath.Join(pool, "odd0.deb"), filepath.Join(pool, "epoch_3%3a1.0_amd64.deb"))
	os.Mkdir(filepath.Join(pool, "für dich"), 0o755)
	os.Rename(filepath.Join(pool, "odd1.deb"), filepath.Join(pool, "für dich/[colons] & 'more'  (1)!.deb"))
	cfg := Config{
		Compress: []packed.Compression{packed.Gzip, packed.XZ, packed.Zstd}, Contents: true,
		Release: apt.Config{Date: date, ValidUntil: date.AddDate(50, 0, 0), Origin: "Örigin", Label: "Label", Suite: "stable",
			Codename: "code", Version: "1.2", NotAutomatic: true, ButAutomaticUpgrades: true, Description: "A test"},
	}
	mustIndex(t, dir, cfg)
	cfg.Dists = true
	mustIndex(t, dir, cfg)
	url, asked := serve(t, dir)
	for _, source := range []string{"./", "stable main"} {
		for _, compression := range []string{"gz", "xz", "zst"} {
			options := aptIn(t, "deb [trusted=yes] "+url+" "+source, compression)
			asked()
			run := func(command string, args ...string) string {
				return tool(t, t.TempDir(), "apt", command, append(append([]string(nil), options...), args...)...)
			}
			run("apt-get", "update")
			if got := asked(); !strings.Contains(got, "by-hash") || strings.Contains(got, "Packages") {
				t.Errorf("%s, %s: apt asked for\n%s", source, compression, got)
			}
			names := strings.Fields(run("apt-cache", "pkgnames", "p"))
			if len(names) != 100 {
				t.Errorf("%s, %s: apt knows %d packages, want 100", source, compression, len(names))
			}
			policy := run("apt-cache", "policy", "epoch", "p00", "p02", "p01:arm64")
			for _, want := range []string{"Candidate: 3:1.0~rc1+dfsg-2", "p00:", "p02:", "p01:arm64:"} {
				if !strings.Contains(policy, want) {
					t.Errorf("%s, %s: apt-cache policy does not say %q:\n%s", source, compression, want, policy)
				}
			}
			if all := run("apt-cache", "policy"); !strings.Contains(all, "100 "+url) || !strings.Contains(all, "v=1.2,o=Örigin,a=stable,n=code,l=Label") {
				t.Errorf("%s, %s: apt-cache policy says\n%s", source, compression, all)
			}
			if compression != "gz" {
				continue
			}
			into := t.TempDir()
			tool(t, into, "apt", "apt-get", append(append([]string(nil), options...), "download", "p00", "p02", "p01:arm64", "epoch", "colons")...)
			if got, _ := filepath.Glob(filepath.Join(into, "*.deb")); len(got) != 5 {
				t.Errorf("%s: apt downloaded %q", source, got)
			}
		}
	}
	for _, name := range []string{"Packages", "dists/stable/main/binary-arm64/Packages"} {
		out := tool(t, dir, "python3-debian", "/usr/bin/python3", "-c", "import sys\nfrom debian import deb822\n"+
			"print(sum(1 for p in deb822.Packages.iter_paragraphs(open(sys.argv[1]), use_apt_pkg=False) if p['Package'].startswith('p')))", name)
		if want := map[bool]string{true: "100", false: "66"}[name == "Packages"]; strings.TrimSpace(out) != want {
			t.Errorf("python3-debian finds %s packages in %s, want %s", strings.TrimSpace(out), name, want)
		}
	}
}

// dnf returns options that keep dnf to a folder of its own with one repository.
func dnf(t testing.TB, repository string) []string {
	dir := t.TempDir()
	for _, d := range []string{"root", "repos", "cache", "log", "vars"} {
		os.MkdirAll(filepath.Join(dir, d), 0o755)
	}
	writeFile(t, filepath.Join(dir, "dnf.conf"), "[main]\n")
	return []string{"--config", dir + "/dnf.conf", "--installroot", dir + "/root", "--setopt=reposdir=" + dir + "/repos",
		"--setopt=cachedir=" + dir + "/cache", "--setopt=logdir=" + dir + "/log", "--setopt=varsdir=" + dir + "/vars",
		"--setopt=module_platform_id=platform:el9", "--releasever=9", "--forcearch=x86_64",
		"--repofrompath=test," + repository, "--repo=test", "--setopt=test.gpgcheck=0", "--quiet"}
}

// rpmsToRead makes a directory of rpms with advisories and tags, indexed with a compression.
func rpmsToRead(t testing.TB, dir string, c packed.Compression) {
	t.Helper()
	cfg := config()
	cfg.Compress = []packed.Compression{c}
	cfg.Tags = yum.Tags{Content: []string{"binary-x86_64"}, Repo: []string{"a <repo>"}, Distro: []yum.Distro{{CPEID: "cpe:/o:x:1", Tag: "X & Y"}}}
	cfg.Advisories = []yum.Notice{{Named: []string{"p00-1.0-1", "odd0-2:1.0~rc1^git5-1.el9.x86_64"}, Advisory: yum.Advisory{
		ID: "EX-2026:1", Type: "security", Severity: "Important", From: "a@example.org", Title: "A <title> & more", Description: "Long,\nin two lines",
		Issued: date, Updated: date.Add(time.Hour), Reboot: true,
		References: []yum.Reference{{Type: "cve", ID: "CVE-2026-1", Title: "CVE-2026-1", Href: "https://example.org/?a=b&c=d"}},
	}}}
	mustIndex(t, dir, cfg)
}

// dnf, zypper, and createrepo_c's own library in mergerepo_c, read the index in every compression, members of several
// pieces among them.
func TestYumClients(t *testing.T) {
	dir := t.TempDir()
	for i := range 100 {
		addRpm(t, dir, fmt.Sprintf("p%02d", i), "1.0", []string{"x86_64", "noarch"}[i%2])
	}
	os.Mkdir(filepath.Join(dir, "für dich"), 0o755)
	os.Rename(filepath.Join(dir, "p01-1.0-1.noarch.rpm"), filepath.Join(dir, "für dich/_[p] & 'more'%20  (1)!.rpm"))
	oddRpms(t, dir)
	for _, c := range []packed.Compression{packed.Gzip, packed.XZ, packed.Zstd} {
		rpmsToRead(t, dir, c)
		url, _ := serve(t, dir)
		options := dnf(t, url)
		run := func(args ...string) string {
			return tool(t, dir, "dnf", "dnf", append(append([]string(nil), options...), args...)...)
		}
		if got := strings.Fields(run("repoquery", "--queryformat", "%{name}", "p*")); len(got) != 100 {
			t.Errorf("%s: dnf repoquery finds %d packages, want 100", c, len(got))
		}
		if got := run("repoquery", "--requires", "odd0"); !strings.Contains(got, "((ee with ff) or (gg without hh))") {
			t.Errorf("%s: dnf repoquery --requires says %q", c, got)
		}
		if got := run("repoquery", "--list", "odd0"); strings.Count(got, "\n") < 3000 {
			t.Errorf("%s: dnf repoquery --list says %d lines", c, strings.Count(got, "\n"))
		}
		if got := run("repoquery", "--changelogs", "odd1"); !strings.Contains(got, "second & <b>") {
			t.Errorf("%s: dnf repoquery --changelogs says %q", c, got)
		}
		if got := strings.Fields(run("repoquery", "--advisory=EX-2026:1", "--queryformat", "%{name}")); !slices.Equal(got, []string{"odd0", "p00"}) {
			t.Errorf("%s: dnf repoquery --advisory finds %q", c, got)
		}
		run("--assumeyes", "install", "p00", "p01") // checks size and digest
	}

	rpmsToRead(t, dir, packed.Gzip)
	out := t.TempDir()
	tool(t, out, "createrepo-c", "mergerepo_c", "--no-database", "--simple-md-filenames", "--outputdir", out, "--repo", "file://"+dir, "--repo", "file://"+dir)
	if got := strings.Count(gunzip(t, filepath.Join(out, "repodata/primary.xml.gz")), "<package "); got != 109 {
		t.Errorf("mergerepo_c finds %d packages, want 109", got)
	}
}

func TestReposync(t *testing.T) {
	plugins, err := filepath.Abs("../../.cache/dnf-plugins/usr/lib/python3/dist-packages")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(plugins, "dnf-plugins/reposync.py")); err != nil {
		t.Fatalf("%v: run testdata/clients/setup, which unpacks the Debian package dnf-plugins-core there", err)
	}
	t.Setenv("PYTHONPATH", plugins)
	dir := fill(t, 3)
	rpms := filepath.Join(dir, "rpms")
	mustIndex(t, rpms, config())
	url, _ := serve(t, rpms)
	into := t.TempDir()
	args := append(dnf(t, url), "--setopt=pluginpath="+plugins+"/dnf-plugins", "reposync", "--download-metadata", "-p", into)
	tool(t, dir, "dnf", "dnf", args...)
	if got, _ := filepath.Glob(filepath.Join(into, "test", "*.rpm")); len(got) != 3 {
		t.Errorf("dnf reposync brought %q", got)
	}
	if got, _ := filepath.Glob(filepath.Join(into, "test/repodata/*-primary.xml.gz")); len(got) != 1 {
		t.Errorf("dnf reposync brought %q", got)
	}
}

func TestZypper(t *testing.T) {
	dir := t.TempDir()
	for i := range 100 {
		addRpm(t, dir, fmt.Sprintf("p%02d", i), "1.0", []string{"x86_64", "noarch"}[i%2])
	}
	oddRpms(t, dir)
	for _, c := range []packed.Compression{packed.Gzip, packed.XZ, packed.Zstd} {
		rpmsToRead(t, dir, c)
		url, _ := serve(t, dir)
		system := t.TempDir()
		zypper := func(args ...string) string {
			args = append([]string{"--root", system, "--non-interactive", "--no-gpg-checks"}, args...)
			return tool(t, dir, "zypper", "zypper", args...)
		}
		zypper("addrepo", "--no-gpgcheck", url, "test")
		zypper("refresh")
		list := zypper("search", "--details", "--type", "package", "p")
		if got := strings.Count(list, "| test"); got < 100 {
			t.Errorf("%s: zypper search lists %d packages, want 100", c, got)
		}
		if info := zypper("info", "--requires", "odd0"); !strings.Contains(info, "(cc >= 1.0 if dd)") || !strings.Contains(info, "<odd> & \"quoted\" ünïcode") {
			t.Errorf("%s: zypper info says\n%s", c, info)
		}
		patch := zypper("info", "--type", "patch", "EX-2026:1")
		for _, want := range []string{"A <title> & more", "security", "mportant", "in two lines", "reboot"} {
			if !strings.Contains(patch, want) {
				t.Errorf("%s: zypper info does not say %q of the advisory:\n%s", c, want, patch)
			}
		}
	}
}
