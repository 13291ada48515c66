package dir

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"sigs.k8s.io/pkgs/repo/packed"
)

// What the tests of this file are about: a directory of packages that dpkg-deb, rpmbuild and we ourselves made, odd ones
// among them, indexed in place and by Debian's apt-ftparchive and createrepo_c.

// tool runs a program of a Debian package in dir and returns what it printed on standard output.
func tool(t testing.TB, dir, debianPackage, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%v: install the Debian package %s", err, debianPackage)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC", "SOURCE_DATE_EPOCH=1700000000", "HOME="+t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// oddDebs has dpkg-deb make packages that only others make.
func oddDebs(t testing.TB, dir string) {
	for i, c := range []struct {
		control, option string
		files           []string
	}{
		{"Package: epoch\nVersion: 3:1.0~rc1+dfsg-2\nArchitecture: amd64\nMaintainer: Jörg <j@example.org>\nDescription: über\n Größe, 日本語.\n .\n end\n", "-Zxz", []string{"usr/bin/ü"}},
		{"Package: colons\nVersion: 1:2:3-4\nArchitecture: all\nMaintainer: x\nDescription: x\n", "-Zgzip", nil},
		{"Package: relations\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\nProvides: a (= 1), b\nBuilt-Using: gcc (= 4:12)\nDepends: c (> 1), d (< 2) | e:any\nMaintainer: x\nDescription: x\n", "-Zzstd", []string{"usr/lib/" + strings.Repeat("long/", 40) + "name"}},
		{"Package: unknown\nVersion: 0\nArchitecture: all\nX_Under: kept\nPython-Version: 3\nRuby-Versions: all\nMaintainer: x\nSection: Some thing\nPriority: whenever\nDescription: x\n", "-Znone", nil},
		{"Package: undescribed\nVersion: 2.0\nArchitecture: arm64\nMaintainer: x\n", "-Zxz", []string{"etc/x"}},
		{"Package: lenient\nSource: other  (2)\nVersion: 1\nArchitecture: amd64\nMaintainer: x\nInstalled-Size: 1,024.5\nEssential: NO\nDepends: a (1:2), b(3:3)\nDescription: x\n", "-Zgzip", nil},
	} {
		root := t.TempDir()
		writeFile(t, filepath.Join(root, "DEBIAN/control"), c.control)
		for _, f := range c.files {
			writeFile(t, filepath.Join(root, f), "x\n")
		}
		if i == 0 {
			os.Symlink("ü", filepath.Join(root, "usr/bin/link"))
			for n := range 3000 {
				writeFile(t, filepath.Join(root, "usr/share/many", fmt.Sprint(n)), "")
			}
		}
		tool(t, root, "dpkg", "dpkg-deb", "--nocheck", "--root-owner-group", c.option, "--build", root, filepath.Join(dir, fmt.Sprintf("odd%d.deb", i)))
	}
}

const oddSpec = `
Name: odd
Version: 1.0~rc1^git5
Release: 1.el9
Epoch: 2
Summary: <odd> & "quoted" ünïcode
License: MIT and (GPL or "other")
Provides: foo = 1.0, with-epoch = 7:1-2
Requires: baz >= 2:1.0-3, (aa or bb), (cc >= 1.0 if dd), ((ee with ff) or (gg without hh))
Requires(post): systemd
Conflicts: old < 1
Obsoletes: older <= 1:3.2
Recommends: rec > 3
Suggests: sug
Supplements: (xx and yy)
Enhances: enh
%description
日本語 <lines> & ]]>
%install
mkdir -p %{buildroot}/etc/odd %{buildroot}/usr/bin %{buildroot}/usr/share/many
echo x > %{buildroot}/etc/odd/conf
echo x > %{buildroot}/usr/bin/odd
ln -s odd %{buildroot}/usr/bin/link
ln %{buildroot}/usr/bin/odd %{buildroot}/usr/bin/hard
(cd %{buildroot}/usr/share/many; seq 1 3000 | xargs touch)
touch %{buildroot}/usr/share/many/$(printf 'l%.0s' $(seq 200)) "%{buildroot}/usr/share/many/a b & <ü>"
%files
%dir /etc/odd
%config(noreplace) /etc/odd/conf
/usr/bin/*
/usr/share/many
%ghost /var/log/odd.log
%changelog
* Tue Nov 14 2023 Jörg <j@example.org> - 1.0-1
- second & <b>
* Mon Nov 13 2023 Some One <a@example.org> - 0.9-1
- first
%package empty
Summary: No files at all
BuildArch: noarch
%description empty
%files empty
`

func oddRpms(t testing.TB, dir string) {
	top := t.TempDir()
	writeFile(t, filepath.Join(top, "odd.spec"), oddSpec)
	for i, payload := range []string{"w9.gzdio", "w7.xzdio", "w3.zstdio", "w9.bzdio"} {
		spec := strings.Replace(oddSpec, "Name: odd", fmt.Sprintf("Name: odd%d", i), 1)
		if i > 0 { // the thousands of files once
			spec = regexp.MustCompile(`(?m)^\(cd.*$`).ReplaceAllString(spec, "")
		}
		writeFile(t, filepath.Join(top, "odd.spec"), spec)
		tool(t, top, "rpm", "rpmbuild", map[bool]string{true: "-ba", false: "-bb"}[i == 1], "--quiet", "--define", "_topdir "+top, "--define", "_srcrpmdir "+dir, "--define", "_rpmdir "+dir, "--define",
			"_buildhost b", "--define", "_build_id_links none", "--define", "_binary_payload "+payload, filepath.Join(top, "odd.spec"))
	}
}

// addNfpm puts the package that nfpm made into a directory.
func addNfpm(t testing.TB, dir, format string) {
	t.Helper()
	names, err := filepath.Glob("testdata/*." + format)
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, filepath.Base(names[0])), string(data))
}

// paragraphs are the fields of the paragraphs of a file by their Filename. Names of fields are in small letters: they mean
// the same in any, and apt-ftparchive leaves unknown ones as they are, where dpkg-scanpackages and we write capitals.
func paragraphs(text string) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, p := range strings.Split(text, "\n\n") {
		fields := map[string]string{}
		last := ""
		for line := range strings.Lines(p) {
			line = strings.TrimRight(line, "\n")
			if strings.HasPrefix(line, " ") {
				fields[last] += "\n" + line
				continue
			}
			name, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(name)
			fields[last] = strings.TrimSpace(value)
		}
		if name := strings.TrimPrefix(fields["filename"], "./"); name != "" {
			fields["filename"] = name
			all[name] = fields
		}
	}
	return all
}

func TestAgainstFtparchive(t *testing.T) {
	dir := t.TempDir()
	oddDebs(t, dir)
	addDeb(t, dir, "ours", "1.35.0-1.1", "amd64")
	addNfpm(t, dir, "deb")
	mustIndex(t, dir, config())
	ours, err := os.ReadFile(filepath.Join(dir, "Packages"))
	if err != nil {
		t.Fatal(err)
	}
	theirs := tool(t, dir, "apt-utils", "apt-ftparchive", "--md5=no", "--sha1=no", "--sha512=no", "packages", ".")
	got, want := paragraphs(string(ours)), paragraphs(theirs)
	if len(got) != 8 || len(want) != 8 {
		t.Fatalf("%d packages, apt-ftparchive has %d, want 8", len(got), len(want))
	}
	for name, p := range want {
		for _, digest := range []string{"md5sum", "sha1", "sha512"} { // asked for or not, some are there
			delete(p, digest)
		}
		if !reflect.DeepEqual(got[name], p) {
			t.Errorf("%s\nours: %q\napt-ftparchive: %q", name, got[name], p)
		}
	}
	scanned := paragraphs(tool(t, dir, "dpkg-dev", "dpkg-scanpackages", "-m", "-h", "sha256", "."))
	for name, p := range scanned {
		if !reflect.DeepEqual(got[name], p) {
			t.Errorf("%s\nours: %q\ndpkg-scanpackages: %q", name, got[name], p)
		}
	}
}

// contentsOf are the packages of each path of a Contents index, without their sections.
func contentsOf(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		i := strings.LastIndexAny(strings.TrimRight(line, "\n"), " \t")
		owners := regexp.MustCompile(`[^,]*/`).ReplaceAllString(strings.TrimSpace(line[i:]), "")
		all[strings.TrimRight(line[:i], " \t")] = owners
	}
	return all
}

func TestContentsAgainstFtparchive(t *testing.T) {
	dir := t.TempDir()
	oddDebs(t, dir)
	for _, other := range []string{"odd1.deb", "odd3.deb", "odd4.deb"} { // of other architectures
		os.Remove(filepath.Join(dir, other))
	}
	addDeb(t, dir, "ours", "1", "amd64")
	addDeb(t, dir, "twin", "1", "amd64")
	cfg := config()
	cfg.Contents = true
	mustIndex(t, dir, cfg)
	got := contentsOf(gunzip(t, filepath.Join(dir, "Contents-amd64.gz")))
	want := contentsOf(tool(t, dir, "apt-utils", "apt-ftparchive", "contents", "."))
	if len(got) < 3000 || got["usr/share/common"] != "ours,twin" {
		t.Errorf("%d paths, usr/share/common of %q", len(got), got["usr/share/common"])
	}
	if !reflect.DeepEqual(got, want) {
		for name := range want {
			if got[name] != want[name] {
				t.Errorf("%q: we say %q, apt-ftparchive %q", name, got[name], want[name])
			}
		}
		for name := range got {
			if _, ok := want[name]; !ok {
				t.Errorf("%q: apt-ftparchive does not have it", name)
			}
		}
	}
}

func gunzip(t testing.TB, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if _, err := r.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// node is an XML element without regard to what it means.
type node struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []node     `xml:",any"`
}

func (n *node) trim() {
	if len(n.Children) > 0 {
		n.Text = strings.TrimSpace(n.Text)
	}
	for i := range n.Children {
		n.Children[i].trim()
	}
}

// elements are the packages of an index by their digests.
func elements(t testing.TB, text string) map[string]node {
	t.Helper()
	var index node
	if err := xml.Unmarshal([]byte(text), &index); err != nil {
		t.Fatal(err)
	}
	all := map[string]node{}
	for _, p := range index.Children {
		p.trim()
		key := ""
		for _, a := range p.Attrs {
			if a.Name.Local == "pkgid" {
				key = a.Value
			}
		}
		for _, c := range p.Children {
			if c.XMLName.Local == "checksum" {
				key = c.Text
			}
		}
		all[key] = p
	}
	return all
}

// repodata is the uncompressed index of a kind below dir.
func repodata(t testing.TB, dir, kind string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "repodata/*"+kind+".xml.gz"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%d indexes %s, %v", len(names), kind, err)
	}
	return gunzip(t, names[0])
}

func TestAgainstCreaterepo(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	oddRpms(t, dir)
	addRpm(t, dir, "ours", "1.35.0", "x86_64")
	addNfpm(t, dir, "rpm")
	tool(t, dir, "createrepo-c", "createrepo_c", "--quiet", "--no-database", "--general-compress-type=gz", "--outputdir", out, dir)
	mustIndex(t, dir, config())
	// What is meant to differ: time file is the time of the build, so that every machine makes the same index.
	times := regexp.MustCompile(`<time file="\d+" build="(\d+)"/>`)
	for _, kind := range []string{"primary", "filelists", "other"} {
		got := elements(t, repodata(t, dir, kind))
		want := elements(t, times.ReplaceAllString(repodata(t, out, kind), `<time file="$1" build="$1"/>`))
		if len(got) != 11 || len(want) != 11 {
			t.Errorf("%s: %d packages, createrepo_c has %d, want 11", kind, len(got), len(want))
		}
		for id := range want {
			if !reflect.DeepEqual(got[id], want[id]) {
				t.Errorf("%s of %s differs\nours: %.2000v\ncreaterepo_c: %.2000v", kind, id, got[id], want[id])
			}
		}
	}
}

// Both formats and all compressions at once: what one machine makes is what another makes, in whatever order the packages
// lie there.
func TestDeterminism(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	oddDebs(t, first)
	oddRpms(t, first)
	for i := range 80 { // several pieces
		addDeb(t, first, fmt.Sprintf("p%d", i), "1-1", "amd64")
		addRpm(t, first, fmt.Sprintf("p%d", i), "1", "x86_64")
	}
	names, _ := filepath.Glob(filepath.Join(first, "*"))
	for i := range names {
		name := names[len(names)-1-i]
		tool(t, second, "coreutils", "cp", "-r", name, ".")
	}
	cfg := config()
	cfg.Compress = []packed.Compression{packed.Gzip, packed.XZ, packed.Zstd}
	cfg.Contents = true
	mustIndex(t, first, cfg)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	cfg.Update = true
	mustIndex(t, second, cfg)
	same(t, "elsewhere", indexes(t, second), indexes(t, first))
}
