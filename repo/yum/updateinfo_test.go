package yum

import (
	"bytes"
	"encoding/xml"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func advisory() Advisory {
	return Advisory{ID: "EX-2026:1", Type: "security", Severity: "Important", From: "a@example.org", Title: "A <title>", Description: "x & y",
		Issued:     time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)),
		References: []Reference{{"cve", "CVE-1", "CVE-1", "https://example.org/?a=b&c=d"}},
		Packages:   []AdvisedPackage{{Name: "a", Epoch: "0", Version: "1", Release: "2", Arch: "noarch", File: "a-1-2.noarch.rpm"}}, Reboot: true}
}

func TestUpdateinfo(t *testing.T) {
	other := advisory()
	other.ID = "EX-2025:9"
	data, err := Updateinfo([]Advisory{advisory(), other})
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, want := range []string{`<update from="a@example.org" status="final" type="security" version="1">`, "<severity>Important</severity>", `<issued date="2026-01-02 02:04:05"/>`, "<title>A &lt;title&gt;</title>", "<description>x &amp; y</description>",
		`<reference href="https://example.org/?a=b&amp;c=d" id="CVE-1" type="cve" title="CVE-1"/>`,
		`<package name="a" version="1" release="2" epoch="0" arch="noarch">`, "<reboot_suggested>True</reboot_suggested>"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
	if strings.Index(text, "EX-2025:9") > strings.Index(text, "EX-2026:1") || strings.Contains(text, "updated") {
		t.Errorf("not as it should be:\n%s", text)
	}
	for name, edit := range map[string]func(*Advisory){
		"expected letters":         func(a *Advisory) { a.ID = "a b" },
		"expected one of secur":    func(a *Advisory) { a.Type = "worse" },
		"expected one of Critic":   func(a *Advisory) { a.Severity = "high" },
		"title is missing":         func(a *Advisory) { a.Title = "" },
		"issued is missing":        func(a *Advisory) { a.Issued = time.Time{} },
		"before issued":            func(a *Advisory) { a.Updated = a.Issued.Add(-1) },
		"packages is empty":        func(a *Advisory) { a.Packages = nil },
		"control character":        func(a *Advisory) { a.Description = "\a" },
		"line feed":                func(a *Advisory) { a.Title = "a\nb" },
		"no character":             func(a *Advisory) { a.Solution = "\ufffe" },
		"expected an href":         func(a *Advisory) { a.References[0].Href = "" },
		"the id is there twice":    func(a *Advisory) { a.ID = other.ID },
		"reference: \"a\\nb\" has": func(a *Advisory) { a.References[0].Title = "a\nb" },
	} {
		a := advisory()
		edit(&a)
		if _, err := Updateinfo([]Advisory{a, other}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error with %q", err, name)
		}
	}
}

// Whatever texts an advisory has, it is refused or comes back from a parser of XML as it was.
func FuzzUpdateinfo(f *testing.F) {
	f.Add("A title", "Many\nlines", "https://example.org/", "EX-1")
	f.Add("<>&\"'", "]]>", "\t", "EX-2")
	f.Fuzz(func(t *testing.T, title, description, href, id string) {
		a := advisory()
		a.ID, a.Title, a.Description, a.References[0].Href = id, title, description, href
		data, err := Updateinfo([]Advisory{a})
		if err != nil {
			return
		}
		if list, err := ParseUpdateinfo(data); err != nil || len(list) != 1 || list[0].XML() != a.XML() {
			t.Errorf("was read back as %+v, %v", list, err)
		}
		var back struct {
			Updates []struct {
				ID          string `xml:"id"`
				Title       string `xml:"title"`
				Description string `xml:"description"`
				References  []struct {
					Href string `xml:"href,attr"`
				} `xml:"references>reference"`
			} `xml:"update"`
		}
		if err := xml.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if u := back.Updates; len(u) != 1 || u[0].ID != id || u[0].Title != title || u[0].Description != description || u[0].References[0].Href != href {
			t.Errorf("came back as %+v", back)
		}
	})
}

// Whatever is read as updateinfo is what would be written.
func FuzzParseUpdateinfo(f *testing.F) {
	full := advisory()
	full.Rights, full.Summary, full.Solution, full.Updated = "r", "s", "<so>", full.Issued
	full.Packages[0].SourceRPM = "a.src.rpm"
	data, err := Updateinfo([]Advisory{full})
	if err != nil {
		f.Fatal(err)
	}
	if list, err := ParseUpdateinfo(data); err != nil || !reflect.DeepEqual(list[0].Packages, full.Packages) || list[0].XML() != full.XML() || !list[0].Reboot {
		f.Fatalf("was read back as %+v, %v", list, err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseUpdateinfo(data)
		if err != nil {
			return
		}
		if again, err := Updateinfo(list); err != nil || !bytes.Equal(again, data) {
			t.Errorf("came back as\n%s\nwas\n%s\n%v", again, data, err)
		}
	})
}

// What is not in the form that is written is not read.
func TestParseUpdateinfoRefuses(t *testing.T) {
	second := advisory()
	second.ID = "EX-2026:2"
	data, err := Updateinfo([]Advisory{advisory(), second})
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range [][2]string{
		{"EX-2026:2", "EX-2026:0"}, {"EX-2026:2", "EX-2026:1"}, {"02:04:05", "2:04:05"}, {`type="security"`, `type="worse"`}, {"&lt;", "&#60;"},
		{`version="1" release`, `version="v-1" release`}, {`status="final"`, `status="retracted"`}, {"</updates>\n", "</updates>\n\n"},
		{"<filename>a-1-2.noarch.rpm</filename>", "<filename>a\n</filename>"}, {"          <reboot_suggested>True</reboot_suggested>\n", "          <x/>\n"},
		{`arch="noarch"`, `arch="../a"`},
	} {
		changed := strings.Replace(string(data), edit[0], edit[1], 1)
		if list, err := ParseUpdateinfo([]byte(changed)); err == nil || changed == string(data) {
			t.Errorf("%q for %q: read %v", edit[1], edit[0], list)
		}
	}
}

func TestNotices(t *testing.T) {
	packages := []AdvisedPackage{
		{Name: "a", Epoch: "0", Version: "1", Release: "2", Arch: "noarch", File: "a-1-2.noarch.rpm"},
		{Name: "a", Epoch: "0", Version: "1", Release: "2", Arch: "x86_64", File: "a-1-2.x86_64.rpm"},
		{Name: "a-b", Epoch: "3", Version: "1~rc1", Release: "2", Arch: "x86_64", File: "a-b.rpm"},
	}
	for _, c := range []struct {
		named []string
		want  string // files, then what is not met
	}{
		{[]string{"a-1-2"}, "a-1-2.noarch.rpm a-1-2.x86_64.rpm"},
		{[]string{"a-1-2.x86_64", "a-1-2"}, "a-1-2.x86_64.rpm a-1-2.noarch.rpm"},
		{[]string{"a-0:1-2.noarch"}, "a-1-2.noarch.rpm"},
		{[]string{"a-b-3:1~rc1-2"}, "a-b.rpm"},
		{[]string{"a-b-1~rc1-2", "a-1-3", "a-1"}, "a-b-1~rc1-2 a-1-3 a-1"},
		{[]string{"a-1-2.noarch", "b-1-2"}, "a-1-2.noarch.rpm b-1-2"},
	} {
		n := Notice{Advisory: advisory(), Named: c.named}
		list, unmet := Resolve([]Notice{n}, slices.Values(packages))
		var got []string
		for _, a := range list {
			for _, p := range a.Packages {
				got = append(got, p.File)
			}
		}
		for _, u := range unmet {
			got = append(got, u.Named)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q: got %q, want %s", c.named, got, c.want)
		}
	}
	for _, c := range []struct{ named, want string }{
		{"kubelet-1.35.0-1.1", "kubelet 1.35.0"}, {"cri-tools-2:1.35.0~rc1-1.1.x86_64", "cri-tools 1.35.0~rc1"}, {"kubelet", " "}, {"kubelet-1.0", " "},
		{"a b-1-1", " "}, {"a-1-1/", " "}, {"-1-1", " "},
	} {
		if name, version := SplitNamed(c.named); name+" "+version != c.want {
			t.Errorf("%s: got %q %q, want %s", c.named, name, version, c.want)
		}
		n := Notice{Advisory: advisory(), Named: []string{c.named}}
		n.Packages = nil
		if err := n.Check(); (err == nil) != (c.want != " ") {
			t.Errorf("%s: %v", c.named, err)
		}
	}
}

// What Repomd writes with tags and advisories is read back, and nothing else.
func TestRepomdTags(t *testing.T) {
	sum := strings.Repeat("0", 64)
	m := &Repomd{Revision: "7", Tags: Tags{Content: []string{"a & b"}, Repo: []string{"c"}, Distro: []Distro{{"cpe:/o:x", "<d>"}, {"", "e"}}}}
	for _, kind := range []string{"primary", "filelists", "other", "updateinfo"} {
		m.Indexes = append(m.Indexes, IndexFile{Kind: kind, Href: "repodata/" + sum + "-" + kind + ".xml.zst", Size: 1, OpenSize: 2,
			SHA256: sum, OpenSHA256: sum, Timestamp: time.Unix(5, 0).UTC()})
	}
	data, err := m.XML()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseRepomd(data)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := back.XML(); err != nil || string(again) != string(data) || len(back.Indexes) != 4 || back.Tags.Distro[0].Tag != "<d>" {
		t.Errorf("came back as\n%s\nwas\n%s\n%v", again, data, err)
	}
	for _, edit := range [][2]string{{".zst", ".bz2"}, {"<repo>c<", "<repo> c<"}, {"updateinfo", "update"}, {"cpeid=", "id="}} {
		if _, err := ParseRepomd([]byte(strings.Replace(string(data), edit[0], edit[1], 1))); err == nil {
			t.Errorf("%q for %q is accepted", edit[1], edit[0])
		}
	}
	m.Tags.Repo = []string{"a\nb"}
	if _, err := m.XML(); err == nil {
		t.Error("a tag of two lines is accepted")
	}
}
