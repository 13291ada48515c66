package yum

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/layout"
)

// checkRoundTrip holds an index to what is promised: it is parsed back to the packages that it was made of, and from
// them the same bytes come again.
func checkRoundTrip(t *testing.T, packages []*Package) {
	t.Helper()
	for _, prefix := range []string{"", layout.SnapshotToRpm} {
		cfg := testConfig
		cfg.HrefPrefix = prefix
		files, err := Index(cfg, packages)
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseFiles(t, prefix, files)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(packages)
		slices.SortFunc(want, compare)
		if len(back) != len(want) {
			t.Fatalf("%d packages came back, want %d", len(back), len(want))
		}
		for i := range want {
			if !equal(back[i], want[i]) {
				t.Errorf("prefix %q: came back as\n%+v\nwas\n%+v", prefix, back[i], want[i])
			}
		}
		again, err := Index(cfg, back)
		if err != nil || !reflect.DeepEqual(again, files) {
			t.Errorf("prefix %q: the index of what was parsed differs, %v", prefix, err)
		}
		repomd, err := ParseRepomd(files[3].Data)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range repomd.Indexes {
			if f.Href != files[i].Path || f.Size != int64(len(files[i].Data)) {
				t.Errorf("repomd.xml says %+v of %s", f, files[i].Path)
			}
		}
	}
}

// equal tells whether two packages are the same; no relations and an empty list of them are.
func equal(a, b *Package) bool {
	return reflect.DeepEqual(withoutEmpty(a), withoutEmpty(b))
}

func withoutEmpty(p *Package) Package {
	c := *p
	c.read = nil
	if len(c.Requires) == 0 {
		c.Requires = nil
	}
	if len(c.Provides) == 0 {
		c.Provides = nil
	}
	return c
}

// parseFiles reads an index, and holds its primary alone to the same.
func parseFiles(t testing.TB, prefix string, files []layout.File) ([]*Package, error) {
	packages, err := ParseIndex(prefix, gunzip(t, files[0].Data), gunzip(t, files[1].Data), gunzip(t, files[2].Data))
	alone, perr := ParsePrimary(prefix, gunzip(t, files[0].Data))
	if err == nil && (perr != nil || len(alone) != len(packages)) {
		t.Errorf("primary alone has %d packages, with the others %d: %v", len(alone), len(packages), perr)
	}
	for i := range min(len(alone), len(packages)) {
		want := *packages[i]
		want.Filelists, want.Other = nil, nil
		if !equal(alone[i], &want) {
			t.Errorf("primary alone says %+v, with the others %+v", alone[i], want)
		}
	}
	return packages, err
}

func TestRoundTrip(t *testing.T) {
	checkRoundTrip(t, nil)
	dir := t.TempDir()
	testPackages(t, dir)
	packages := readAll(t, dir)
	checkRoundTrip(t, packages)

	files, err := Index(testConfig, packages)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(packages)
	if again, _ := Index(testConfig, packages); !reflect.DeepEqual(files, again) {
		t.Error("the index depends on the order of the packages")
	}
	later := testConfig
	later.Date = later.Date.In(time.FixedZone("", 3600)).Add(time.Millisecond)
	if again, _ := Index(later, packages); !reflect.DeepEqual(files, again) {
		t.Error("the index depends on the time zone")
	}

	// What is not just so is refused.
	texts := [3][]byte{gunzip(t, files[0].Data), gunzip(t, files[1].Data), gunzip(t, files[2].Data)}
	for _, edit := range [][2]string{
		{`packages="9"`, `packages="8"`}, {"  <name>", " <name>"}, {`epoch="3"`, `epoch="03"`}, {"&lt;", "&#60;"},
		{`flags="GE"`, `flags="NE"`}, {"<packager/>", "<packager></packager>"}, {"/etc/odd/conf", "/etc/odd/../conf"},
		{`<file type="dir">/etc/odd<`, `<file>/etc/odd<`}, {"</metadata>", "</metadata><!-- -->"}, {"noarch/", "../noarch/"},
		{"<summary>Plain<", "<summary>Pl\ufffein<"}, {"x86_64.rpm", "x86_64.exe"}, {`ver="1.0"`, `ver="1-0"`},
		{` pkgid="YES"`, ""}, {`file="1`, `file="2`}, {`installed="`, `installed="0`}, {`pkgid="`, `pkgid="0`},
		{`date="`, `date="-`}, {"second", "sec\x00nd"}, {"</filelists>\n", "</filelists>"},
	} {
		changed, found := texts, false
		for i, text := range texts {
			if bytes.Contains(text, []byte(edit[0])) && !found {
				changed[i], found = []byte(strings.Replace(string(text), edit[0], edit[1], 1)), true
			}
		}
		if _, err := ParseIndex("", changed[0], changed[1], changed[2]); err == nil || !found {
			t.Errorf("%q for %q: found %v, got %v", edit[1], edit[0], found, err)
		}
	}
	repomd := string(files[3].Data)
	for _, edit := range [][2]string{{"<revision>42", "<revision>042"}, {"-primary", "-other"}, {"sha256", "sha1"},
		{"<size>", "<size>0"}, {"</repomd>", "</repomd> "}, {"<data type=\"other\"", "<data type=\"group\""}} {
		if _, err := ParseRepomd([]byte(strings.Replace(repomd, edit[0], edit[1], 1))); err == nil {
			t.Errorf("repomd.xml with %q for %q: accepted", edit[1], edit[0])
		}
	}
}

func TestIndexRefuses(t *testing.T) {
	p, err := read(forge())
	if err != nil {
		t.Fatal(err)
	}
	with := func(edit func(*Package)) *Package {
		c := *p
		edit(&c)
		return &c
	}
	moved := func(p *Package) {
		p.Primary = bytes.Replace(p.Primary, []byte(p.Href), []byte("b.rpm"), 1)
		p.Href = "b.rpm"
	}
	for name, c := range map[string]struct {
		cfg      Config
		packages []*Package
		want     string
	}{
		"same version":     {testConfig, []*Package{p, with(moved)}, "cannot tell them apart"},
		"same file":        {testConfig, []*Package{p, p}, "there twice"},
		"another name":     {testConfig, []*Package{with(func(p *Package) { p.Name = "other" })}, "another package"},
		"another digest":   {testConfig, []*Package{with(func(p *Package) { p.SHA256 = strings.Repeat("0", 64) })}, "another package"},
		"injected":         {testConfig, []*Package{with(func(p *Package) { p.Other = append(p.Other, p.Other...) })}, "other: not in the form"},
		"no fragment":      {testConfig, []*Package{with(func(p *Package) { p.Primary = nil })}, "primary: not in the form"},
		"revision":         {Config{Date: testConfig.Date}, nil, "revision"},
		"date":             {Config{Revision: "1", Date: time.Time{}}, nil, "before 1970"},
		"absolute prefix":  {Config{Revision: "1", Date: testConfig.Date, HrefPrefix: "/rpm/"}, nil, "prefix"},
		"prefix with mark": {Config{Revision: "1", Date: testConfig.Date, HrefPrefix: "../\"/"}, nil, "prefix"},
	} {
		if files, err := Index(c.cfg, c.packages); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %d files, %v, want an error with %q", name, len(files), err, c.want)
		}
	}
}
