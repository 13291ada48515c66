package yum

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// scanner reads what xml.go wrote. It is no XML parser: it expects the very bytes, and whatever differs is an error that
// it keeps and that makes everything after it fail. Values are what stands between.
type scanner struct {
	rest string
	err  error
}

var errForm = errors.New("not in the form that this program writes")

func (s *scanner) fail() {
	if s.err == nil {
		s.err = fmt.Errorf("%w, at %q", errForm, refusal.Shorten(s.rest))
	}
}

// is tells whether text comes next.
func (s *scanner) is(text string) bool { return s.err == nil && strings.HasPrefix(s.rest, text) }

// literal steps over text.
func (s *scanner) literal(text string) {
	if !s.is(text) {
		s.fail()
		return
	}
	s.rest = s.rest[len(text):]
}

// skip steps over text if it comes next, and tells whether it did.
func (s *scanner) skip(text string) bool {
	ok := s.is(text)
	if ok {
		s.rest = s.rest[len(text):]
	}
	return ok
}

// until returns what stands before the next end, and steps over both.
func (s *scanner) until(end string) string {
	i := strings.Index(s.rest, end)
	if s.err != nil || i < 0 {
		s.fail()
		return ""
	}
	value := s.rest[:i]
	s.rest = s.rest[i+len(end):]
	return value
}

var escapes = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&quot;", `"`, "&#10;", "\n", "&#9;", "\t")

// unescape is the inverse of the two ways in which xml.go escapes.
func unescape(s string) string {
	if !strings.Contains(s, "&") {
		return s
	}
	return escapes.Replace(s)
}

// text returns the unescaped text of an element and steps over its end. That each character was escaped the way we do
// it is checked when the whole is written again.
func (s *scanner) text(name string) string { return unescape(s.until("</" + name + ">\n")) }

func (s *scanner) element(indent, name string) string {
	if s.skip(indent + "<" + name + "/>\n") {
		return ""
	}
	s.literal(indent + "<" + name + ">")
	return s.text(name)
}

func (s *scanner) attribute(name string) string {
	s.literal(" " + name + `="`)
	return unescape(s.until(`"`))
}

func (s *scanner) number(name string) int64 {
	n, err := strconv.ParseInt(s.attribute(name), 10, 64)
	if err != nil || n < 0 {
		s.fail()
	}
	return n
}

// count returns the number that is all the text of an element.
func (s *scanner) count(name string) int64 {
	n, err := strconv.ParseInt(s.element("    ", name), 10, 64)
	if err != nil || n < 0 {
		s.fail()
	}
	return n
}

func (s *scanner) version() (v evr) {
	s.literal("  <version")
	v = evr{s.attribute("epoch"), s.attribute("ver"), s.attribute("rel")}
	s.literal("/>\n")
	return v
}

// parseRecord is the inverse of a record's primary, filelists and other.
func parseRecord(primary, filelists, other []byte) (*record, error) {
	r := new(record)
	for _, part := range []struct {
		name  string
		data  []byte
		parse func(*scanner)
	}{
		{"filelists", filelists, r.parseFilelists},
		{"other", other, r.parseOther},
		{"primary", primary, r.parsePrimary},
	} {
		s := &scanner{rest: string(part.data)}
		if part.parse(s); s.err == nil && s.rest != "" {
			s.fail()
		}
		if s.err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, s.err)
		}
	}
	if err := r.checkAll(); err != nil {
		return nil, err
	}
	var again bytes.Buffer
	again.Grow(len(primary) + len(filelists) + len(other))
	for _, part := range []struct {
		write func(*bytes.Buffer)
		data  []byte
	}{{r.primary, primary}, {r.filelists, filelists}, {r.other, other}} {
		again.Reset()
		if part.write(&again); !bytes.Equal(again.Bytes(), part.data) {
			return nil, errForm
		}
	}
	return r, nil
}

// parsePrimaryRecord is the inverse of a record's primary, for as much as that tells: not all files, and no changes.
func parsePrimaryRecord(primary []byte) (*record, error) {
	r := new(record)
	s := &scanner{rest: string(primary)}
	if r.parsePrimary(s); s.err == nil && s.rest != "" {
		s.fail()
	}
	if s.err != nil {
		return nil, s.err
	}
	if err := r.checkAll(); err != nil {
		return nil, err
	}
	var again bytes.Buffer
	if r.primary(&again); !bytes.Equal(again.Bytes(), primary) {
		return nil, errForm
	}
	return r, nil
}

// checkAll holds a record that was parsed to what newRecord and ReadPackage accept.
func (r *record) checkAll() error {
	if err := r.check(); err != nil {
		return err
	}
	if !digestForm.MatchString(r.digest) {
		return fmt.Errorf("%q is no SHA-256 digest in lower-case hex", refusal.Shorten(r.digest))
	}
	if err := checkHref(r.href); err != nil {
		return err
	}
	for _, list := range r.relations {
		for _, d := range list {
			if err := d.check(); err != nil {
				return err
			}
		}
	}
	for _, f := range r.files {
		if err := f.check(r.arch == "src"); err != nil {
			return err
		}
	}
	for _, c := range r.changes {
		if err := c.check(); err != nil {
			return err
		}
	}
	return nil
}

func (r *record) parsePrimary(s *scanner) {
	s.literal("<package type=\"rpm\">\n")
	r.name = s.element("  ", "name")
	r.arch = s.element("  ", "arch")
	r.version = s.version()
	s.literal("  <checksum type=\"sha256\" pkgid=\"YES\">")
	r.digest = s.text("checksum")
	r.summary = s.element("  ", "summary")
	r.description = s.element("  ", "description")
	r.packager = s.element("  ", "packager")
	r.url = s.element("  ", "url")
	s.literal("  <time")
	r.buildTime = s.number("file")
	s.number("build")
	s.literal("/>\n  <size")
	r.size, r.installed, r.archive = s.number("package"), uint64(s.number("installed")), uint64(s.number("archive"))
	s.literal("/>\n" + location)
	r.href = unescape(s.until("\""))
	s.literal("/>\n  <format>\n")
	r.license = s.element("    ", "rpm:license")
	r.vendor = s.element("    ", "rpm:vendor")
	r.group = s.element("    ", "rpm:group")
	r.buildHost = s.element("    ", "rpm:buildhost")
	r.sourceRPM = s.element("    ", "rpm:sourcerpm")
	s.literal("    <rpm:header-range")
	r.headerStart, r.headerEnd = s.number("start"), s.number("end")
	s.literal("/>\n")
	for i, k := range relationKinds {
		if !s.skip("    <rpm:" + k.name + ">\n") {
			continue
		}
		for s.is("      <rpm:entry") {
			r.relations[i] = append(r.relations[i], s.dependency())
		}
		s.literal("    </rpm:" + k.name + ">\n")
	}
	if files := s.files("    "); r.files == nil { // all of them are known from filelists, where that was read
		r.files = files
	}
	s.literal("  </format>\n</package>\n")
}

func (s *scanner) dependency() (d Dependency) {
	s.literal("      <rpm:entry")
	d.Name = s.attribute("name")
	if s.is(" flags=") {
		d.Flags, d.Epoch, d.Version = s.attribute("flags"), s.attribute("epoch"), s.attribute("ver")
		if s.is(" rel=") {
			d.Release = s.attribute("rel")
		}
		switch d.Flags {
		case "LT", "LE", "EQ", "GE", "GT":
		default:
			s.fail()
		}
	}
	d.Pre = s.skip(` pre="1"`)
	s.literal("/>\n")
	return d
}

func (s *scanner) files(indent string) (list []packageFile) {
	for s.skip(indent + "<file") {
		var f packageFile
		if s.is(" type=") {
			if f.kind = s.attribute("type"); f.kind != "dir" && f.kind != "ghost" {
				s.fail()
			}
		}
		s.literal(">")
		f.path = s.text("file")
		list = append(list, f)
	}
	return list
}

// heading reads what filelists and other begin a package with.
func (r *record) parseHeading(s *scanner) {
	s.literal("<package")
	r.digest, r.name, r.arch = s.attribute("pkgid"), s.attribute("name"), s.attribute("arch")
	s.literal(">\n")
	r.version = s.version()
}

func (r *record) parseFilelists(s *scanner) {
	r.parseHeading(s)
	r.files = s.files("  ")
	s.literal("</package>\n")
}

func (r *record) parseOther(s *scanner) {
	r.parseHeading(s)
	for s.skip("  <changelog") {
		c := change{author: s.attribute("author"), time: s.number("date")}
		if !s.skip("/>\n") {
			s.literal(">")
			c.text = s.text("changelog")
		}
		r.changes = append(r.changes, c)
	}
	s.literal("</package>\n")
}
