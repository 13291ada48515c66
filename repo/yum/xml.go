package yum

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// The three fragments of a package, written as createrepo_c lays them out. scan.go reads them back.

var (
	escapeText      = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	escapeAttribute = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\n", "&#10;", "\t", "&#9;")
)

// element writes <name>text</name> on a line of its own.
func element(b *bytes.Buffer, indent, name, text string) {
	b.WriteString(indent + "<" + name)
	if text == "" {
		b.WriteString("/>\n")
		return
	}
	b.WriteByte('>')
	writeEscaped(b, escapeText, text)
	b.WriteString("</" + name + ">\n")
}

// attribute writes a space and name="value".
func attribute(b *bytes.Buffer, name, value string) {
	b.WriteString(" " + name + `="`)
	writeEscaped(b, escapeAttribute, value)
	b.WriteByte('"')
}

// writeEscaped writes s with its special characters replaced; most texts have none.
func writeEscaped(b *bytes.Buffer, escape *strings.Replacer, s string) {
	if escapedSize(s) == len(s) {
		b.WriteString(s)
	} else {
		escape.WriteString(b, s)
	}
}

func (v evr) element(b *bytes.Buffer) {
	b.WriteString("  <version")
	attribute(b, "epoch", v.epoch)
	attribute(b, "ver", v.version)
	attribute(b, "rel", v.release)
	b.WriteString("/>\n")
}

// primary writes the package's element of the index primary.
func (r *record) primary(b *bytes.Buffer) {
	b.WriteString("<package type=\"rpm\">\n")
	element(b, "  ", "name", r.name)
	element(b, "  ", "arch", r.arch)
	r.version.element(b)
	fmt.Fprintf(b, "  <checksum type=\"sha256\" pkgid=\"YES\">%s</checksum>\n", r.digest)
	element(b, "  ", "summary", r.summary)
	element(b, "  ", "description", r.description)
	element(b, "  ", "packager", r.packager)
	element(b, "  ", "url", r.url)
	fmt.Fprintf(b, "  <time file=\"%d\" build=\"%d\"/>\n", r.buildTime, r.buildTime)
	fmt.Fprintf(b, "  <size package=\"%d\" installed=\"%d\" archive=\"%d\"/>\n", r.size, r.installed, r.archive)
	b.WriteString(location)
	writeEscaped(b, escapeAttribute, r.href)
	b.WriteString("\"/>\n  <format>\n")
	element(b, "    ", "rpm:license", r.license)
	element(b, "    ", "rpm:vendor", r.vendor)
	element(b, "    ", "rpm:group", r.group)
	element(b, "    ", "rpm:buildhost", r.buildHost)
	element(b, "    ", "rpm:sourcerpm", r.sourceRPM)
	fmt.Fprintf(b, "    <rpm:header-range start=\"%d\" end=\"%d\"/>\n", r.headerStart, r.headerEnd)
	for i, k := range relationKinds {
		if len(r.relations[i]) == 0 {
			continue
		}
		b.WriteString("    <rpm:" + k.name + ">\n")
		for _, d := range r.relations[i] {
			d.element(b)
		}
		b.WriteString("    </rpm:" + k.name + ">\n")
	}
	for _, f := range r.files {
		if f.primary() {
			f.element(b, "    ")
		}
	}
	b.WriteString("  </format>\n</package>\n")
}

// location begins the one line of primary in which a package's href stands. A prefix goes right behind it.
const location = "  <location href=\""

func (d Dependency) element(b *bytes.Buffer) {
	b.WriteString("      <rpm:entry")
	attribute(b, "name", d.Name)
	if d.Flags != "" {
		attribute(b, "flags", d.Flags)
		attribute(b, "epoch", d.Epoch)
		attribute(b, "ver", d.Version)
		if d.Release != "" {
			attribute(b, "rel", d.Release)
		}
	}
	if d.Pre {
		attribute(b, "pre", "1")
	}
	b.WriteString("/>\n")
}

func (f packageFile) element(b *bytes.Buffer, indent string) {
	b.WriteString(indent + "<file")
	if f.kind != "" {
		attribute(b, "type", f.kind)
	}
	b.WriteByte('>')
	writeEscaped(b, escapeText, f.path)
	b.WriteString("</file>\n")
}

// heading begins the package's element of the indexes filelists and other.
func (r *record) heading(b *bytes.Buffer) {
	b.WriteString("<package")
	attribute(b, "pkgid", r.digest)
	attribute(b, "name", r.name)
	attribute(b, "arch", r.arch)
	b.WriteString(">\n")
	r.version.element(b)
}

// filelists writes the package's element of the index filelists.
func (r *record) filelists(b *bytes.Buffer) {
	r.heading(b)
	for _, f := range r.files {
		f.element(b, "  ")
	}
	b.WriteString("</package>\n")
}

// other writes the package's element of the index other.
func (r *record) other(b *bytes.Buffer) {
	r.heading(b)
	for _, c := range r.changes {
		b.WriteString("  <changelog")
		attribute(b, "author", c.author)
		attribute(b, "date", strconv.FormatInt(c.time, 10))
		if c.text == "" {
			b.WriteString("/>\n")
			continue
		}
		b.WriteByte('>')
		writeEscaped(b, escapeText, c.text)
		b.WriteString("</changelog>\n")
	}
	b.WriteString("</package>\n")
}

// bound is a number of bytes that the three fragments together do not exceed: every text once more for each index that
// has it, with room for its tags, and with its escaped characters as long as the longest of them.
func (r *record) bound() int {
	const tags = 128
	n := 20*tags + 3*(len(r.name)+len(r.arch)) + len(r.href)
	for _, s := range []string{r.summary, r.description, r.packager, r.url, r.license, r.vendor, r.group, r.buildHost,
		r.sourceRPM} {
		n += escapedSize(s)
	}
	for _, list := range r.relations {
		for _, d := range list {
			n += tags + escapedSize(d.Name) + len(d.Epoch) + len(d.Version) + len(d.Release)
		}
	}
	for _, f := range r.files {
		size := tags + escapedSize(f.path)
		if n += size; f.primary() {
			n += size
		}
	}
	for _, c := range r.changes {
		n += tags + escapedSize(c.author) + escapedSize(c.text)
	}
	return n
}

func escapedSize(s string) int {
	n := len(s)
	for i := range len(s) {
		switch s[i] {
		case '&', '<', '>', '"', '\n', '\t':
			n += len("&quot;") - 1
		}
	}
	return n
}
