package deb

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxLine   = 8 << 10
	maxText   = 64 << 10
	maxScript = 1 << 20
)

// scripts are the maintainer scripts that dpkg knows, in the order in which they are packed.
var scripts = []string{"postinst", "postrm", "preinst", "prerm"}

var priorities = []string{"required", "important", "standard", "optional"}

// The grammar of deb-control(5) and Debian Policy chapter 5 and 7, without epochs in the package's own version, and
// without the arch-specific relations that only source packages have.
var (
	nameForm         = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{1,127}$`)
	versionForm      = regexp.MustCompile(`^[0-9][A-Za-z0-9.+~]*(-[A-Za-z0-9.+~]+)*$`)
	architectureForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
	sectionForm      = regexp.MustCompile(`^[a-z0-9-]+(/[a-z0-9-]+)?$`)
	maintainerForm   = regexp.MustCompile(`^[^<>,\s][^<>,]* <[^<>@\s,]+@[^<>@\s,]+>$`)
	fieldForm        = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*(-[A-Z][A-Za-z0-9]*)*$`)
	relationForm     = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?( \((<<|<=|=|>=|>>) ([0-9]+:)?[0-9][A-Za-z0-9.+~-]*\))?$`)
)

// Check says what is wrong with m, if anything. [Write] calls it before it writes a byte.
func (m Meta) Check() error {
	for _, c := range []struct {
		field, value string
		form         *regexp.Regexp
		expected     string
	}{
		{"Package", m.Package, nameForm, "2 to 128 of a-z, 0-9, + - and ., the first a letter or digit"},
		{"Version", m.Version, versionForm, "a digit, then letters, digits and . + ~, and a revision behind -"},
		{"Architecture", m.Architecture, architectureForm, "Debian's name, such as amd64"},
		{"Maintainer", m.Maintainer, maintainerForm, "Name <user@host>"},
		{"Section", m.Section, sectionForm, "a section of Debian's archive, such as admin"},
	} {
		if !c.form.MatchString(c.value) || len(c.value) > maxLine {
			return fmt.Errorf("%s %q: expected %s", c.field, abbreviate(c.value), c.expected)
		}
		if err := checkLine(c.field, c.value); err != nil {
			return err
		}
	}
	if !slices.Contains(priorities, m.Priority) {
		return fmt.Errorf("Priority %q: expected one of %s", m.Priority, strings.Join(priorities, ", "))
	}
	if m.Homepage != "" {
		u, err := url.Parse(m.Homepage)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(m.Homepage, " <>") {
			return fmt.Errorf("Homepage %q: expected a URL", abbreviate(m.Homepage))
		}
	}
	if m.Time.Unix() <= 0 || m.Time.Unix() >= 1<<33 {
		return errors.New("no Time: every package needs one that its next build gives it again")
	}
	for _, err := range []error{m.checkDescription(), m.checkRelations(), m.checkExtra(), m.checkScripts()} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (m Meta) checkDescription() error {
	if m.Summary == "" {
		return errors.New("no Summary: one line on what the package is")
	}
	if err := checkLine("Summary", m.Summary); err != nil {
		return err
	}
	if len(m.Description) > maxText {
		return fmt.Errorf("Description has %d bytes: expected at most %d", len(m.Description), maxText)
	}
	for line := range strings.SplitSeq(m.Description, "\n") {
		if line == "" {
			continue
		}
		if line[0] == '.' || !plain(line) {
			return fmt.Errorf("Description has the line %q: expected UTF-8 text without control characters and no full stop in front",
				abbreviate(line))
		}
	}
	return nil
}

func (m Meta) checkRelations() error {
	for _, r := range m.relations() {
		for _, relation := range r.list {
			for alternative := range strings.SplitSeq(relation, " | ") {
				if !relationForm.MatchString(alternative) {
					return fmt.Errorf("%s %q: expected a form like \"iptables (>= 1.4.21)\" or \"a | b\"", r.field, abbreviate(relation))
				}
				if r.field == "Provides" && strings.Contains(alternative, "(") && !strings.Contains(alternative, "(= ") {
					return fmt.Errorf("Provides %q: expected no version or one behind =", relation)
				}
			}
			if one := r.field != "Pre-Depends" && r.field != "Depends" && r.field != "Recommends" && r.field != "Suggests"; one && strings.Contains(relation, "|") {
				return fmt.Errorf("%s %q: expected one package, alternatives make no sense here", r.field, relation)
			}
		}
	}
	return nil
}

func (m Meta) checkExtra() error {
	taken := make(map[string]bool)
	for _, f := range (Meta{}).fields(0) {
		taken[strings.ToLower(f.Name)] = true
	}
	for _, f := range m.Extra {
		if !fieldForm.MatchString(f.Name) {
			return fmt.Errorf("field %q: expected a name like Multi-Arch", abbreviate(f.Name))
		}
		if taken[strings.ToLower(f.Name)] {
			return fmt.Errorf("field %s is there twice: remove it from the extra fields", f.Name)
		}
		taken[strings.ToLower(f.Name)] = true
		if f.Value == "" {
			return fmt.Errorf("field %s is empty: remove it or give it a value", f.Name)
		}
		if err := checkLine(f.Name, f.Value); err != nil {
			return err
		}
	}
	return nil
}

func (m Meta) checkScripts() error {
	for name, text := range m.Scripts {
		switch {
		case !slices.Contains(scripts, name):
			return fmt.Errorf("script %q: expected one of %s", name, strings.Join(scripts, ", "))
		case !strings.HasPrefix(text, "#!/"):
			return fmt.Errorf("script %s: expected a first line like #!/bin/sh", name)
		case len(text) > maxScript || strings.ContainsRune(text, 0):
			return fmt.Errorf("script %s: expected text of at most %d bytes", name, maxScript)
		}
	}
	return nil
}

// checkConffile keeps out what dpkg reads in a conffiles line as something else than a path.
func checkConffile(path string) error {
	if strings.ContainsFunc(path, unicode.IsSpace) {
		return fmt.Errorf("conffile %q: expected a path without spaces", path)
	}
	return nil
}

func checkLine(field, value string) error {
	if len(value) > maxLine || !plain(value) || strings.TrimSpace(value) != value {
		return fmt.Errorf("%s %q: expected one line of at most %d bytes without control characters, and no spaces around it",
			field, abbreviate(value), maxLine)
	}
	return nil
}

// plain is text that stays one line in every tool: no control characters, nor the two separators that Unicode has for
// lines, nor what XML cannot hold.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufffe' || r == '\uffff'
	})
}

func abbreviate(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
