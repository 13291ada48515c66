package yum

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/pkgs/repo/layout"
)

// Repomd is what a repomd.xml says.
type Repomd struct {
	// Revision is a decimal number.
	Revision string
	// Indexes are primary, filelists and other, in this order.
	Indexes []IndexFile
}

// IndexFile is one index that a repomd.xml names. Sizes are in bytes, digests in lower-case hex; the open ones are those
// of the uncompressed index. Href leads there from the repository's root.
type IndexFile struct {
	Kind, Href         string
	Size, OpenSize     int64
	SHA256, OpenSHA256 string
	Timestamp          time.Time
}

func (m *Repomd) xml() []byte {
	const url = "http://linux.duke.edu/metadata/"
	var b bytes.Buffer
	b.WriteString(xmlStart + `<repomd xmlns="` + url + `repo" xmlns:rpm="` + url + "rpm\">\n")
	fmt.Fprintf(&b, "  <revision>%s</revision>\n", m.Revision)
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

// maxRepomd bounds a repomd.xml in bytes; ours have some two thousand.
const maxRepomd = 1 << 20

// ParseRepomd reads a repomd.xml that Index wrote: the same bytes can be made of what it returns.
func ParseRepomd(data []byte) (m *Repomd, err error) {
	defer refuse("repomd.xml", &err)
	if len(data) > maxRepomd {
		return nil, fmt.Errorf("larger than %d bytes", maxRepomd)
	}
	s := &scanner{rest: string(data)}
	s.until("<revision>")
	m = &Repomd{Revision: s.text("revision")}
	for _, i := range indexes() {
		s.literal("  <data type=\"" + i.kind + "\">\n    <checksum type=\"sha256\">")
		file := IndexFile{Kind: i.kind, SHA256: s.text("checksum")}
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
	if !revisionForm.MatchString(m.Revision) {
		return nil, fmt.Errorf("revision %q is no decimal number", shorten(m.Revision))
	}
	for _, i := range m.Indexes {
		if !digestForm.MatchString(i.SHA256) || !digestForm.MatchString(i.OpenSHA256) {
			return nil, fmt.Errorf("%s: its digests are malformed", i.Kind)
		}
		if i.Href != layout.Repodata(i.SHA256, i.Kind) {
			return nil, fmt.Errorf("%s: its location %q is not named after its digest", i.Kind, shorten(i.Href))
		}
	}
	if !bytes.Equal(m.xml(), data) {
		return nil, errors.New("not in the form that this program writes")
	}
	return m, nil
}
