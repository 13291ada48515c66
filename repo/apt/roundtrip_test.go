package apt

import (
	"bytes"
	"compress/gzip"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// checkRoundTrip holds an index to what is promised: it is parsed back to the packages that it was made of, and from
// them the same bytes come again.
func checkRoundTrip(t *testing.T, packages []*Package) {
	t.Helper()
	cfg := testConfig
	for _, p := range packages {
		if !slices.Contains(cfg.Architectures, p.Architecture) && p.Architecture != "all" {
			cfg.Architectures = append(slices.Clone(cfg.Architectures), p.Architecture)
		}
	}
	files, err := Index(cfg, packages)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParsePackages(files[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(packages)
	slices.SortFunc(want, compare)
	if len(back) != len(want) {
		t.Fatalf("%d packages came back, want %d", len(back), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(back[i], want[i]) {
			t.Errorf("came back as\n%+v\nwas\n%+v", back[i], want[i])
		}
	}
	release, err := ParseRelease(files[4].Data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Index(release.Config, back)
	if err != nil || !reflect.DeepEqual(again, files) {
		t.Errorf("the index of what was parsed differs, %v", err)
	}
	for i, f := range release.Indexes {
		if f.Path != files[i].Path || f.Size != int64(len(files[i].Data)) || !strings.HasSuffix(files[i+2].Path, f.SHA256) {
			t.Errorf("Release says %+v of %s", f, files[i].Path)
		}
	}
	r, err := gzip.NewReader(bytes.NewReader(files[1].Data))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(r); err != nil || !bytes.Equal(plain, files[0].Data) || !r.ModTime.IsZero() || r.Name != "" {
		t.Errorf("Packages.gz: %v, header %+v", err, r.Header)
	}
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
	other := testConfig
	other.Date = other.Date.In(time.FixedZone("", 3600)).Add(time.Millisecond)
	other.Architectures = []string{"amd64", "arm64", "ppc64el", "s390x"}
	if again, _ := Index(other, packages); !reflect.DeepEqual(files, again) {
		t.Error("the index depends on the order of packages or architectures, or on the time zone")
	}

	// What is not just so is refused.
	text := string(files[0].Data)
	for _, edit := range [][2]string{
		{"\n\n", "\n\n\n"}, {"Package: ", "Package:  "}, {"Version: ", "version: "}, {"\nSize: ", "\nSize: 0"},
		{"SHA256: ", "SHA256: 0"}, {"Filename: all/", "Filename: ../"}, {"Section: net\n", "Section: net\nSection: net\n"},
		{" .\n", " \n"}, {"Filename: ", "Comment: x\nFilename: "}, {"Size: ", "MD5sum: 00\nSize: "}, {"\n\n", "\n"},
		{"Architecture: all", "Architecture: any"}, {"Homepage: ", "Homepage:"}, {"Package: empty", "Package: zzz"},
		{"Depends: ", "Depends: <"}, {"ö", "\xf6"}, {"Maintainer: ", "# "},
	} {
		if _, err := ParsePackages([]byte(strings.Replace(text, edit[0], edit[1], 1))); err == nil ||
			!strings.HasPrefix(err.Error(), "Packages: ") || !strings.Contains(text, edit[0]) {
			t.Errorf("%q for %q: got %v", edit[1], edit[0], err)
		}
	}
	if _, err := ParsePackages(files[0].Data[:len(text)-1]); err == nil {
		t.Error("a truncated Packages is accepted")
	}
	release := string(files[4].Data)
	for _, edit := range [][2]string{
		{"Origin: ", "Origin:  "}, {"Suite: v1.34", "Suite: v1 34"}, {"+0000", "+0100"}, {"Tue", "Wed"}, {"yes", "no"},
		{"Label: ", "Label: \x01"}, {" Packages\n", " packages\n"}, {"SHA256:", "SHA512:"}, {"Date: ", "Datum: "},
		{"amd64 arm64", "arm64 amd64"}, {"Codename", "Suite"}, {"Valid-Until: Mon, 14 Dec 2099", "Valid-Until: Thu, 14 Dec 2000"},
		{" Packages.gz", " ../Packages.gz"},
	} {
		if _, err := ParseRelease([]byte(strings.Replace(release, edit[0], edit[1], 1))); err == nil ||
			!strings.HasPrefix(err.Error(), "Release: ") || !strings.Contains(release, edit[0]) {
			t.Errorf("Release with %q for %q: got %v", edit[1], edit[0], err)
		}
	}
}

func TestIndexRefuses(t *testing.T) {
	p, err := read(debOf(plainControl))
	if err != nil {
		t.Fatal(err)
	}
	with := func(edit func(*Package)) *Package {
		c := *p
		edit(&c)
		return &c
	}
	config := func(edit func(*Config)) Config {
		c := testConfig
		edit(&c)
		return c
	}
	moved := func(p *Package) {
		p.Stanza = bytes.Replace(p.Stanza, []byte(p.Filename), []byte("b.deb"), 1)
		p.Filename = "b.deb"
	}
	for name, c := range map[string]struct {
		cfg      Config
		packages []*Package
		want     string
	}{
		"same version":       {testConfig, []*Package{p, with(moved)}, "cannot tell them apart"},
		"same file":          {testConfig, []*Package{p, p}, "there twice"},
		"another name":       {testConfig, []*Package{with(func(p *Package) { p.Name = "other" })}, "another package"},
		"no stanza":          {testConfig, []*Package{with(func(p *Package) { p.Stanza = nil })}, "stanza: no fields"},
		"injected stanza":    {testConfig, []*Package{with(func(p *Package) { p.Stanza = append(append(p.Stanza, '\n'), p.Stanza...) })}, "stanza"},
		"architecture":       {config(func(c *Config) { c.Architectures = []string{"arm64"} }), []*Package{p}, "not one of the repository's"},
		"no date":            {config(func(c *Config) { c.Date = time.Time{} }), nil, "field Date"},
		"expired":            {config(func(c *Config) { c.ValidUntil = c.Date }), nil, "not after Date"},
		"suite with a space": {config(func(c *Config) { c.Suite = "a b" }), nil, "field Suite"},
		"injected origin":    {config(func(c *Config) { c.Origin = "a\nSuite: b" }), nil, "field Origin"},
		"architecture twice": {config(func(c *Config) { c.Architectures = []string{"amd64", "amd64"} }), nil, "there twice"},
	} {
		if files, err := Index(c.cfg, c.packages); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %d files, %v, want an error with %q", name, len(files), err, c.want)
		}
	}
}
