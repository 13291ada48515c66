package yum

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// node is an XML element without regard to what it means.
type node struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []node     `xml:",any"`
}

func parseXML(t testing.TB, data []byte) node {
	t.Helper()
	var n node
	if err := xml.Unmarshal(data, &n); err != nil {
		t.Fatal(err)
	}
	return n.trim()
}

// trim drops the white space between elements.
func (n node) trim() node {
	if len(n.Children) > 0 {
		n.Text = strings.TrimSpace(n.Text)
	}
	for i := range n.Children {
		n.Children[i] = n.Children[i].trim()
	}
	return n
}

// meant are the differences from createrepo_c that the package comment explains, undone on createrepo_c's side.
var meant = []struct {
	why  string
	undo func(string) string
}{
	{"time file is the build time, so that every machine makes the same index", func(s string) string {
		return regexp.MustCompile(`<time file="\d+" build="(\d+)"/>`).ReplaceAllString(s, `<time file="$1" build="$1"/>`)
	}},
	{"the file ends with a line feed", func(s string) string { return s + "\n" }},
}

// createrepo has createrepo_c index dir and returns its three indexes, uncompressed.
func createrepo(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := t.TempDir()
	run(t, dir, tool(t, "createrepo_c", "createrepo-c"), "--quiet", "--no-database", "--simple-md-filenames",
		"--general-compress-type=gz", "--outputdir", out, dir)
	m := make(map[string][]byte)
	for _, kind := range []string{"primary", "filelists", "other"} {
		data, err := os.ReadFile(filepath.Join(out, "repodata", kind+".xml.gz"))
		if err != nil {
			t.Fatal(err)
		}
		m[kind] = gunzip(t, data)
	}
	m["repomd"], _ = os.ReadFile(filepath.Join(out, "repodata/repomd.xml"))
	return m
}

func testCreaterepo(t *testing.T, dir string, packages []*Package) {
	theirs := createrepo(t, dir)
	files, err := Index(testConfig, packages)
	if err != nil {
		t.Fatal(err)
	}
	repomd := files[3].Data
	for i, kind := range []string{"primary", "filelists", "other"} {
		text := string(theirs[kind])
		for _, m := range meant {
			text = m.undo(text)
		}
		ours := gunzip(t, files[i].Data)
		want, got := byPackage(parseXML(t, []byte(text))), byPackage(parseXML(t, ours))
		if len(got) != 9 || len(want) != 9 {
			t.Errorf("%s: %d packages, createrepo_c has %d, want 9", kind, len(got), len(want))
		}
		for name := range want {
			if !reflect.DeepEqual(got[name], want[name]) {
				t.Errorf("%s of %s differs\nours: %v\ncreaterepo_c: %v", kind, name, got[name], want[name])
			}
		}
	}
	values := regexp.MustCompile(`>[0-9a-f]+<|[0-9a-f]{64}-`)
	ours, want := values.ReplaceAllString(string(repomd), ""), values.ReplaceAllString(string(theirs["repomd"]), "")
	if ours != want {
		t.Errorf("repomd.xml has another form\nours:\n%s\ncreaterepo_c:\n%s", ours, want)
	}
}

// byPackage maps the packages of an index by name.
func byPackage(index node) map[string]node {
	m := make(map[string]node)
	for _, p := range index.Children {
		name := p.Children[0].Text
		for _, a := range p.Attrs {
			if a.Name.Local == "name" {
				name = a.Value
			}
		}
		m[name] = p
	}
	return m
}
