package yum

import (
	"encoding/xml"
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
	for _, want := range []string{`<issued date="2026-01-02 02:04:05"/>`, "<title>A &lt;title&gt;</title>", "<description>x &amp; y</description>",
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
