package apt

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/layout"
)

// What the tests of this file are about: packages that dpkg-deb made, indexed here and by Debian's own programs, and
// read by Debian's own clients.

var testConfig = Config{
	Origin: "obs://build.opensuse.org/isv:kubernetes:core:stable:v1.34/deb", Label: "isv:kubernetes:core:stable:v1.34",
	Suite: "v1.34", Codename: "deb", Description: "Kubernetes v1.34 (Stable) (deb)",
	Architectures: []string{"s390x", "amd64", "arm64", "ppc64el"},
	Date:          time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC),
	ValidUntil:    time.Date(2099, 12, 14, 22, 13, 20, 0, time.UTC),
}

// testPackages builds one package of every kind into dir.
func testPackages(t testing.TB, dir string) {
	const maintainer = "Maintainer: Kubernetes Authors <dev@kubernetes.io>\n"
	makeDeb(t, dir, "amd64/kubeadm_1.34.1-1.1_amd64.deb", "Package: kubeadm\nVersion: 1.34.1-1.1\nArchitecture: amd64\n"+maintainer+
		"Installed-Size: 71234\nDepends: cri-tools (>= 1.30.0)\nSection: admin\nPriority: optional\n"+
		"Homepage: https://kubernetes.io\nDescription: Command-line utility for administering a Kubernetes cluster\n"+
		" Command-line utility for administering a Kubernetes cluster.\n .\n A second paragraph.\n  * indented\n",
		[]string{"-Zxz"}, "usr/bin/kubeadm")
	makeDeb(t, dir, "arm64/kubeadm_1.34.1-1.1_arm64.deb", "Package: kubeadm\nVersion: 1.34.1-1.1\nArchitecture: arm64\n"+maintainer+
		"Description: Command-line utility\n", []string{"-Zgzip"}, "usr/bin/kubeadm")
	makeDeb(t, dir, "amd64/kubeadm_1.34.0~rc.1-1.1_amd64.deb", "Package: kubeadm\nVersion: 1.34.0~rc.1-1.1\nArchitecture: amd64\n"+maintainer+
		"Depends: cri-tools (>= 1.30.0),iptables | nftables ,\n  mount:any\nDescription: Command-line utility\n",
		[]string{"-Zzstd"}, "usr/bin/kubeadm")
	makeDeb(t, dir, "all/everything+1.x_1.0+dfsg-3~deb12u1_all.deb", "Package: everything+1.x\nVersion: 2:1.0+dfsg-3~deb12u1\nArchitecture: all\n"+
		"Maintainer: Jörg Ünïcode <j@example.org>\nSource: other-source (1.0+dfsg-3)\nEssential: no\nMulti-Arch: foreign\n"+
		"Pre-Depends: dpkg (>= 1.15.6~)\nDepends: aa, bb (<< 2), cc (<= 3), dd (>> 4), ee (= 1:2-3)\nRecommends: rr | ss\n"+
		"Suggests: tt\nEnhances: uu\nConflicts: vv (<< 1)\nBreaks: ww\nReplaces: xx, yy\nProvides: virtual, mail (= 1.0)\n"+
		"Built-Using: gcc-12 (= 12.2.0-14)\nStatic-Built-Using: golang (= 1.0)\nTag: role::program, scope::utility\n"+
		"Task: tests\nOrigin: Nowhere\nBugs: mailto:b@example.org\nSection: net\nPriority: extra\n"+
		"zebra-field: kept\nX-UPPER: kept too\nHomepage: https://example.org/?a=b&c=<d>\nInstalled-Size: 7\n"+
		"Description: one of överything — \"quoted\" <tags>\n", nil, "usr/share/doc/every thing/a")
	makeDeb(t, dir, "empty_0_s390x.deb", "Package: empty\nVersion: 0\nArchitecture: s390x\n"+maintainer+
		"Description: installs nothing\n", []string{"-Znone"})
}

func writeFiles(t testing.TB, dir string, files []layout.File) {
	t.Helper()
	for _, f := range files {
		write(t, filepath.Join(dir, f.Path), string(f.Data))
	}
}

func indexOf(t testing.TB, packages []*Package) map[string][]byte {
	t.Helper()
	files, err := Index(testConfig, packages)
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string][]byte)
	for _, f := range files {
		m[f.Path] = f.Data
	}
	return m
}

// paragraphs has python3-debian parse a file of paragraphs. The names of fields come out in small letters: they mean the
// same in any, and apt-ftparchive leaves unknown ones as they are where dpkg-scanpackages and we write capitals.
func paragraphs(t testing.TB, text string) []map[string]string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "paragraphs")
	write(t, name, text)
	if _, err := os.Stat("/usr/lib/python3/dist-packages/debian/deb822.py"); err != nil {
		t.Fatal("install the Debian package python3-debian")
	}
	out := run(t, "", "/usr/bin/python3", "-c", "import json,sys\nfrom debian import deb822\n"+
		"print(json.dumps([{k.lower():v for k,v in p.items()} for p in deb822.Packages.iter_paragraphs(open(sys.argv[1]),use_apt_pkg=False)]))", name)
	var list []map[string]string
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestAgainstScanpackages(t *testing.T) {
	dir := t.TempDir()
	testPackages(t, dir)
	ours := string(indexOf(t, readAll(t, dir))["Packages"])
	theirs := run(t, dir, tool(t, "dpkg-scanpackages", "dpkg-dev"), "-m", "-h", "sha256", ".")

	// dpkg-scanpackages writes "./" before file names, and orders packages of one name by the bytes of their versions.
	theirs = strings.ReplaceAll(theirs, "Filename: ./", "Filename: ")
	if got, want := stanzas(ours), stanzas(theirs); !reflect.DeepEqual(got, want) {
		t.Errorf("stanzas differ\nours:\n%s\ndpkg-scanpackages:\n%s", ours, theirs)
	}
}

// stanzas maps the stanzas of a Packages file, to the byte, by their file names.
func stanzas(text string) map[string]string {
	m := make(map[string]string)
	for _, s := range strings.SplitAfter(text, "\n\n") {
		if f := regexp.MustCompile(`(?m)^Filename: (.*)$`).FindStringSubmatch(s); f != nil {
			m[f[1]] = s
		}
	}
	return m
}

func TestAgainstFtparchive(t *testing.T) {
	dir := t.TempDir()
	testPackages(t, dir)
	index := indexOf(t, readAll(t, dir))
	theirs := run(t, dir, tool(t, "apt-ftparchive", "apt-utils"), "--md5=no", "--sha1=no", "--sha512=no", "packages", ".")
	theirs = strings.ReplaceAll(theirs, "Filename: ./", "Filename: ")

	want := byFilename(paragraphs(t, theirs))
	got := byFilename(paragraphs(t, string(index["Packages"])))
	if len(got) != 5 {
		t.Errorf("%d packages, want 5", len(got))
	}
	for name, p := range want {
		delete(p, "sha512") // --sha512=no has no effect on apt 2.6
		for field, value := range p {
			if got[name][field] != value {
				t.Errorf("%s: %s is %q, apt-ftparchive says %q", name, field, got[name][field], value)
			}
		}
		for field, value := range got[name] {
			if _, ok := p[field]; !ok {
				t.Errorf("%s: %s is %q, apt-ftparchive has no such field", name, field, value)
			}
		}
	}

	writeFiles(t, dir, filesOf(index, "Packages", "Packages.gz"))
	set := "APT::FTPArchive::Release::"
	release := run(t, dir, "apt-ftparchive", "-o", set+"Origin="+testConfig.Origin, "-o", set+"Label="+testConfig.Label,
		"-o", set+"Suite="+testConfig.Suite, "-o", set+"Codename="+testConfig.Codename,
		"-o", set+"Description="+testConfig.Description, "-o", set+"Architectures=amd64 arm64 ppc64el s390x",
		"-o", set+"Acquire-By-Hash=yes", "-o", set+"ValidTime=1", "-o", set+"Valid-Until=Mon, 14 Dec 2099 22:13:20 +0000",
		"-o", "APT::FTPArchive::DoByHash=no",
		"-o", set+"Patterns::=Packages", "-o", set+"Patterns::=Packages.gz", "release", ".")
	for _, forms := range []string{"MD5Sum", "SHA1", "SHA512"} { // asked for or not, apt-ftparchive writes them here
		release = regexp.MustCompile(`(?m)^`+forms+`:\n( .*\n)*`).ReplaceAllString(release, "")
	}
	date := regexp.MustCompile(`Date: .*`)
	if ours, want := releaseFields(date.ReplaceAllString(string(index["Release"]), "Date: x")),
		releaseFields(date.ReplaceAllString(release, "Date: x")); !reflect.DeepEqual(ours, want) {
		t.Errorf("Release differs\nours:\n%s\napt-ftparchive:\n%s", index["Release"], release)
	}
	if d := date.FindString(string(index["Release"])); d != "Date: Tue, 14 Nov 2023 22:13:20 +0000" {
		t.Errorf("%s", d)
	}
}

func byFilename(list []map[string]string) map[string]map[string]string {
	m := make(map[string]map[string]string)
	for _, p := range list {
		m[p["filename"]] = p
	}
	return m
}

func filesOf(index map[string][]byte, names ...string) (files []layout.File) {
	for _, n := range names {
		files = append(files, layout.File{Path: n, Data: index[n]})
	}
	return files
}

// releaseFields are the lines of a Release file without regard to order and to the width of columns.
func releaseFields(text string) map[string]bool {
	m := make(map[string]bool)
	for _, line := range strings.Split(text, "\n") {
		m[strings.Join(strings.Fields(line), " ")] = true
	}
	return m
}

// aptIn returns options that keep apt to dir: nothing of the machine is read or changed.
func aptIn(t testing.TB, dir, sources string) []string {
	t.Helper()
	write(t, filepath.Join(dir, "sources.list"), sources+"\n")
	write(t, filepath.Join(dir, "status"), "")
	for _, d := range []string{"lists/partial", "cache/archives/partial", "empty"} {
		os.MkdirAll(filepath.Join(dir, d), 0o755)
	}
	var args []string
	for _, o := range []string{
		"Dir::Etc::SourceList=" + dir + "/sources.list", "Dir::Etc::SourceParts=" + dir + "/empty",
		"Dir::Etc::Main=/dev/null", "Dir::Etc::Parts=" + dir + "/empty", "Dir::Etc::Preferences=/dev/null",
		"Dir::Etc::PreferencesParts=" + dir + "/empty", "Dir::State=" + dir, "Dir::State::Lists=" + dir + "/lists",
		"Dir::State::Status=" + dir + "/status", "Dir::Cache=" + dir + "/cache", "APT::Sandbox::User=root",
		"APT::Architecture=amd64", "APT::Architectures::=amd64", "APT::Architectures::=arm64", "APT::Architectures::=s390x",
		"APT::Update::Error-Mode=any", "Acquire::Check-Date=true", "Acquire::Check-Valid-Until=true",
		"Acquire::Languages=none", "Debug::NoLocking=true",
	} {
		args = append(args, "-o", o)
	}
	return args
}

func TestAptReadsIt(t *testing.T) {
	repository, state := t.TempDir(), t.TempDir()
	testPackages(t, repository)
	files, err := Index(testConfig, readAll(t, repository))
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, repository, files)
	options := aptIn(t, state, "deb [trusted=yes] file:"+repository+"/ ./")
	apt := func(command string, args ...string) string {
		return run(t, state, tool(t, command, "apt"), append(append([]string(nil), options...), args...)...)
	}
	apt("apt-get", "update")

	policy := apt("apt-cache", "policy", "kubeadm")
	for _, want := range []string{"Candidate: 1.34.1-1.1", "1.34.0~rc.1-1.1 500"} {
		if !strings.Contains(policy, want) {
			t.Errorf("apt-cache policy does not say %q:\n%s", want, policy)
		}
	}
	sources := apt("apt-cache", "policy")
	if want := "release v=,o=" + testConfig.Origin + ",a=v1.34,n=deb,l=" + testConfig.Label; !strings.Contains(sources,
		strings.Replace(want, "v=,", "", 1)) {
		t.Errorf("apt-cache policy does not say %q:\n%s", want, sources)
	}
	for _, p := range readAll(t, repository) {
		show := apt("apt-cache", "show", fmt.Sprintf("%s:%s=%s", p.Name, nativeOf(p), p.Version))
		if got := stanzas(show)[p.Filename]; sameLines(got, string(p.Stanza)) != "" {
			t.Errorf("apt-cache show %s:\n%s", p.Filename, show)
		}
	}
	if out := apt("apt-get", "download", "--print-uris", "empty:s390x", "everything+1.x"); strings.Count(out, "SHA256:") != 2 {
		t.Errorf("apt-get download --print-uris:\n%s", out)
	}
}

// nativeOf is the architecture by which apt addresses a package: those of all architectures belong to the native one.
func nativeOf(p *Package) string {
	if p.Architecture == "all" {
		return "amd64"
	}
	return p.Architecture
}

// sameLines says where two stanzas differ, the Description-md5 that apt adds aside.
func sameLines(a, b string) string {
	a = regexp.MustCompile(`Description-md5: .*\n`).ReplaceAllString(a, "")
	if strings.TrimSpace(a) != strings.TrimSpace(b) {
		return a
	}
	return ""
}
