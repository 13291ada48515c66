package yum

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/repo/layout"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// Repomd is what a repomd.xml says.
type Repomd struct {
	// Revision is a decimal number.
	Revision string
	Tags     Tags
	// Indexes are primary, filelists and other, in this order, and after them updateinfo where there are advisories.
	Indexes []IndexFile
}

// Tags say what a repository is, for programs and people. The clients act on none of them but on a [KeyHint], and that is
// zypper alone.
type Tags struct {
	// Content are words such as binary-x86_64, Repo such as Fedora.
	Content, Repo []string
	// Distro are the distributions that the repository is for, by their CPE identifiers where there are any.
	Distro []Distro
}

// KeyHint is a word of Tags.Content that announces a further key of the repository, by its fingerprint in upper-case hex and the
// time at which it was made. libzypp since 17.26 imports it into rpm's database, without a question, if a key that it trusts has
// signed the repomd.xml: it finds the key beside that, in repomd.xml.key (https://github.com/openSUSE/libzypp/pull/316). The
// form is that of the packages as which rpm lists keys.
func KeyHint(fingerprint string, created time.Time) string {
	return fmt.Sprintf("gpg-pubkey-%s-%08x.asc?fpr=%s", strings.ToLower(fingerprint[max(0, len(fingerprint)-8):]), created.Unix(), fingerprint)
}

// Distro is one distribution of Tags. CPEID may be empty.
type Distro struct{ CPEID, Tag string }

// IndexFile is one index that a repomd.xml names. Sizes are in bytes, digests in lower-case hex; the open ones are those
// of the uncompressed index. Href leads there from the repository's root.
type IndexFile struct {
	Kind, Href         string
	Size, OpenSize     int64
	SHA256, OpenSHA256 string
	Timestamp          time.Time
}

// XML writes repomd.xml. It is an error if a tag or the revision cannot stand there.
func (m *Repomd) XML() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, &Error{File: layout.Repomd, Err: err}
	}
	return m.xml(), nil
}

func (m *Repomd) check() error {
	if !revisionForm.MatchString(m.Revision) {
		return fmt.Errorf("revision %q is no decimal number", refusal.Shorten(m.Revision))
	}
	all := slices.Concat(m.Tags.Content, m.Tags.Repo)
	for _, d := range m.Tags.Distro {
		all = append(all, d.Tag)
		if err := checkLine(d.CPEID); err != nil {
			return fmt.Errorf("CPE identifier: %w", err)
		}
	}
	for _, t := range all {
		if err := checkLine(t); err != nil || t == "" || strings.TrimSpace(t) != t {
			return fmt.Errorf("tag %q: expected one line without spaces around it", refusal.Shorten(t))
		}
	}
	return nil
}

func (m *Repomd) xml() []byte {
	const url = "http://linux.duke.edu/metadata/"
	var b bytes.Buffer
	b.WriteString(xmlStart + `<repomd xmlns="` + url + `repo" xmlns:rpm="` + url + "rpm\">\n")
	fmt.Fprintf(&b, "  <revision>%s</revision>\n", m.Revision)
	m.Tags.xml(&b)
	for _, i := range m.Indexes {
		fmt.Fprintf(&b, "  <data type=\"%s\">\n", i.Kind)
		fmt.Fprintf(&b, "    <checksum type=\"sha256\">%s</checksum>\n", i.SHA256)
		fmt.Fprintf(&b, "    <open-checksum type=\"sha256\">%s</open-checksum>\n", i.OpenSHA256)
		fmt.Fprintf(&b, "    <location href=\"%s\"/>\n", i.Href)
		fmt.Fprintf(&b, "    <timestamp>%d</timestamp>\n", i.Timestamp.Unix())
		fmt.Fprintf(&b, "    <size>%d</size>\n", i.Size)
		fmt.Fprintf(&b, "    <open-size>%d</open-size>\n", i.OpenSize)
		b.WriteString("  </data>\n")
	}
	b.WriteString("</repomd>\n")
	return b.Bytes()
}

func (t Tags) xml(b *bytes.Buffer) {
	if len(t.Content)+len(t.Repo)+len(t.Distro) == 0 {
		return
	}
	b.WriteString("  <tags>\n")
	for _, s := range t.Content {
		element(b, "    ", "content", s)
	}
	for _, s := range t.Repo {
		element(b, "    ", "repo", s)
	}
	for _, d := range t.Distro {
		b.WriteString("    <distro")
		if d.CPEID != "" {
			attribute(b, "cpeid", d.CPEID)
		}
		b.WriteByte('>')
		writeEscaped(b, escapeText, d.Tag)
		b.WriteString("</distro>\n")
	}
	b.WriteString("  </tags>\n")
}

func (s *scanner) tags() (t Tags) {
	if !s.skip("  <tags>\n") {
		return t
	}
	for s.is("    <content>") {
		t.Content = append(t.Content, s.element("    ", "content"))
	}
	for s.is("    <repo>") {
		t.Repo = append(t.Repo, s.element("    ", "repo"))
	}
	for s.skip("    <distro") {
		var d Distro
		if s.is(" cpeid=") {
			d.CPEID = s.attribute("cpeid")
		}
		s.literal(">")
		d.Tag = s.text("distro")
		t.Distro = append(t.Distro, d)
	}
	s.literal("  </tags>\n")
	return t
}

// maxRepomd bounds a repomd.xml in bytes; ours have some two thousand.
const maxRepomd = 1 << 20

// ParseRepomd reads a repomd.xml that Index wrote: the same bytes can be made of what it returns.
func ParseRepomd(data []byte) (m *Repomd, err error) {
	defer refusal.Recover("repomd.xml", &err)
	if len(data) > maxRepomd {
		return nil, fmt.Errorf("larger than %d bytes", maxRepomd)
	}
	s := &scanner{rest: string(data)}
	s.until("<revision>")
	m = &Repomd{Revision: s.text("revision"), Tags: s.tags()}
	for _, kind := range []string{"primary", "filelists", "other", "updateinfo"} {
		if kind == "updateinfo" && !s.is("  <data") {
			break
		}
		s.literal("  <data type=\"" + kind + "\">\n    <checksum type=\"sha256\">")
		file := IndexFile{Kind: kind, SHA256: s.text("checksum")}
		s.literal("    <open-checksum type=\"sha256\">")
		file.OpenSHA256 = s.text("open-checksum")
		s.literal("    <location")
		file.Href = s.attribute("href")
		s.literal("/>\n")
		file.Timestamp = time.Unix(s.count("timestamp"), 0).UTC()
		file.Size, file.OpenSize = s.count("size"), s.count("open-size")
		s.literal("  </data>\n")
		m.Indexes = append(m.Indexes, file)
	}
	if s.err != nil {
		return nil, s.err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	for _, i := range m.Indexes {
		if !digestForm.MatchString(i.SHA256) || !digestForm.MatchString(i.OpenSHA256) {
			return nil, fmt.Errorf("%s: its digests are malformed", i.Kind)
		}
		if plain, _, _ := strings.Cut(i.Href, ".xml"); plain+".xml.gz" != layout.Repodata(i.SHA256, i.Kind) || !hasIndexSuffix(i.Href) {
			return nil, fmt.Errorf("%s: its location %q is not named after its digest", i.Kind, refusal.Shorten(i.Href))
		}
	}
	if !bytes.Equal(m.xml(), data) {
		return nil, errors.New("not in the form that this program writes")
	}
	return m, nil
}

func hasIndexSuffix(href string) bool {
	return strings.HasSuffix(href, ".xml.gz") || strings.HasSuffix(href, ".xml.xz") || strings.HasSuffix(href, ".xml.zst")
}
