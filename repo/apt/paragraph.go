package apt

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// field is one field of a paragraph. The value has no line feed at its end; the lines after the first keep the space
// that they begin with.
type field struct{ name, value string }

// Bounds of a paragraph. The largest control files of Debian have some 100 kB, for lists of languages that they provide.
const (
	maxControl = 1 << 20
	maxFields  = 256
)

// parseParagraph reads one paragraph as dpkg would, but strictly. Names come out in the capitals that dpkg gives them,
// values without white space around, and fields without a value not at all.
func (g Grammar) parseParagraph(data []byte) ([]field, error) {
	if len(data) > maxControl {
		return nil, fmt.Errorf("control file is larger than %d bytes", maxControl)
	}
	if err := checkText(data); err != nil {
		return nil, err
	}
	const usualFields = 16
	fields := make([]field, 0, usualFields)
	whole := strings.TrimSuffix(string(data), "\n")
	from, to := 0, 0 // where in it the value of the last field stands
	for n, text := 1, whole; text != ""; n++ {
		line, rest, _ := strings.Cut(text, "\n")
		at := len(whole) - len(text)
		text = rest
		line = strings.TrimRight(line, " \t")
		switch {
		case line == "":
			if strings.Trim(text, "\n") == "" {
				text = ""
				continue // dpkg takes empty lines at the end
			}
			return nil, fmt.Errorf("line %d: an empty line, expected one paragraph", n)
		case line[0] == ' ' || line[0] == '\t':
			if len(fields) == 0 {
				return nil, fmt.Errorf("line %d: continues a field, but there is none before it", n)
			}
			f := &fields[len(fields)-1]
			if to == at-1 && line[0] == ' ' && len(f.value) == to-from { // as nearly always, it goes on just as it stands there
				to = at + len(line)
				f.value = whole[from:to]
			} else {
				f.value += "\n " + line[1:]
				to = 0
			}
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !g.isFieldName(name) {
			return nil, fmt.Errorf("line %d: %q is not a field: expected \"Name: value\"", n, refusal.Shorten(line))
		}
		name = capitals(name)
		if slices.ContainsFunc(fields, func(f field) bool { return f.name == name }) {
			return nil, fmt.Errorf("line %d: a second field %s", n, name)
		}
		value = strings.TrimLeft(value, " \t")
		from, to = at+len(line)-len(value), at+len(line)
		if fields = append(fields, field{name, value}); len(fields) > maxFields {
			return nil, fmt.Errorf("more than %d fields", maxFields)
		}
	}
	kept := fields[:0]
	for _, f := range fields {
		if f.value != "" {
			kept = append(kept, f)
		}
	}
	return kept, nil
}

// checkText refuses what is not readable text: bytes that are not UTF-8, control characters but tab and line feed, and
// code points that are no characters. Programs differ in what they do with those. So they do with Unicode's own separators
// of lines and paragraphs: to what splits text with Python's splitlines, as python-debian does, a field begins behind one.
func checkText(data []byte) error {
	for i := 0; i < len(data); {
		if c := data[i]; c >= ' ' && c <= '~' {
			i++
			continue
		}
		r, size := utf8.DecodeRune(data[i:])
		bad := refusal.Rune(r, size)
		if r == '\u2028' || r == '\u2029' {
			bad = fmt.Sprintf("separator %U", r)
		}
		if bad != "" {
			return fmt.Errorf("line %d: %s", 1+bytes.Count(data[:i], []byte("\n")), bad)
		}
		i += size
	}
	return nil
}

// isFieldName tells whether s may name a field: words of letters and digits, joined by hyphens, beginning with a letter.
// Debian Policy 5.1 allows all of ASCII that can be seen, but the colon, and no # or - in front; dpkg drops some of it.
func (g Grammar) isFieldName(s string) bool {
	if g == Foreign {
		seen := strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
		return seen && s != "" && s[0] != '#' && s[0] != '-' && len(s) <= 64
	}
	before := byte('-')
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		digit := c >= '0' && c <= '9'
		hyphen := c == '-' && before != '-'
		if !letter && !hyphen && (!digit || i == 0) {
			return false
		}
		before = c
	}
	return before != '-' && len(s) <= 64
}

// capitals writes a field's name as dpkg does: each word with a capital, apart from three that grew otherwise.
func capitals(name string) string {
	if stanzaOrder[name] > 0 {
		return name // as most are
	}
	words := strings.Split(strings.ToLower(name), "-")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	switch name = strings.Join(words, "-"); name {
	case "Md5sum":
		return "MD5sum"
	case "Sha1", "Sha256", "Sha512":
		return strings.ToUpper(name)
	}
	return name
}

// stanzaOrder maps the fields of a package to their places in the order in which dpkg-scanpackages writes them, from 1.
// Others follow by name.
var stanzaOrder = numbered("Package", "Package-Type", "Source", "Version", "Kernel-Version", "Built-For-Profiles",
	"Auto-Built-Package", "Architecture", "Subarchitecture", "Installer-Menu-Item", "Build-Essential", "Essential",
	"Protected", "Origin", "Bugs", "Maintainer", "Installed-Size", "Pre-Depends", "Depends", "Recommends", "Suggests",
	"Enhances", "Conflicts", "Breaks", "Replaces", "Provides", "Built-Using", "Static-Built-Using", "Filename", "Size",
	"MD5sum", "SHA1", "SHA256", "Section", "Priority", "Multi-Arch", "Homepage", "Description", "Tag", "Task")

func numbered(names ...string) map[string]int {
	m := make(map[string]int, len(names))
	for i, name := range names {
		m[name] = i + 1
	}
	return m
}

// writeStanza brings fields into the order of an index and writes them.
func writeStanza(fields []field) []byte {
	type placed struct {
		field
		place int
	}
	size := 0
	list := make([]placed, len(fields))
	for i, f := range fields {
		place := stanzaOrder[f.name]
		if place == 0 {
			place = len(stanzaOrder) + 1
		}
		list[i] = placed{f, place}
		size += len(f.name) + len(": \n") + len(f.value)
	}
	slices.SortFunc(list, func(a, b placed) int { return cmp.Or(a.place-b.place, strings.Compare(a.name, b.name)) })
	stanza := make([]byte, 0, size)
	for i, f := range list {
		fields[i] = f.field
		stanza = append(append(stanza, f.name...), ':')
		if f.value[0] != '\n' {
			stanza = append(stanza, ' ')
		}
		stanza = append(append(stanza, f.value...), '\n')
	}
	return stanza
}
