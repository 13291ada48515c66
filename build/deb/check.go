package deb

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"sigs.k8s.io/pkgs/build/payload"
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
		if !c.form.MatchString(c.value) {
			return fmt.Errorf("field %s %q: expected %s", c.field, payload.Abbreviate(c.value), c.expected)
		}
		if err := checkLine(c.field, c.value); err != nil {
			return err
		}
	}
	if !slices.Contains(priorities, m.Priority) {
		return fmt.Errorf("field Priority %q: expected one of %s", m.Priority, strings.Join(priorities, ", "))
	}
	if m.Homepage != "" {
		u, err := url.Parse(m.Homepage)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(m.Homepage, " <>") {
			return fmt.Errorf("field Homepage %q: expected a URL", payload.Abbreviate(m.Homepage))
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
	if err := checkLine("Summary", m.Summary); err != nil {
		return err
	}
	if err := payload.CheckText(m.Description); err != nil {
		return fmt.Errorf("field Description %w", err)
	}
	if strings.HasPrefix(m.Description, ".") || strings.Contains(m.Description, "\n.") {
		return errors.New("field Description has a line with a full stop in front: expected none, they stand for empty lines")
	}
	return nil
}

func (m Meta) checkRelations() error {
	for _, r := range m.relations() {
		for _, relation := range r.list {
			for alternative := range strings.SplitSeq(relation, " | ") {
				if !relationForm.MatchString(alternative) {
					return fmt.Errorf("field %s %q: expected a form like \"iptables (>= 1.4.21)\" or \"a | b\"", r.field, payload.Abbreviate(relation))
				}
				if r.field == "Provides" && strings.Contains(alternative, "(") && !strings.Contains(alternative, "(= ") {
					return fmt.Errorf("field Provides %q: expected no version or one behind =", relation)
				}
			}
			if one := r.field != "Pre-Depends" && r.field != "Depends" && r.field != "Recommends" && r.field != "Suggests"; one && strings.Contains(relation, "|") {
				return fmt.Errorf("field %s %q: expected one package, alternatives make no sense here", r.field, relation)
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
			return fmt.Errorf("field %q: expected a name like Multi-Arch", payload.Abbreviate(f.Name))
		}
		if taken[strings.ToLower(f.Name)] {
			return fmt.Errorf("field %s is there twice: remove it from the extra fields", f.Name)
		}
		taken[strings.ToLower(f.Name)] = true
		if err := checkLine(f.Name, f.Value); err != nil {
			return err
		}
	}
	return nil
}

func (m Meta) checkScripts() error {
	for name, text := range m.Scripts {
		if !slices.Contains(scripts, name) {
			return fmt.Errorf("script %q: expected one of %s", name, strings.Join(scripts, ", "))
		}
		if !strings.HasPrefix(text, "#!/") {
			return fmt.Errorf("script %s: expected a first line like #!/bin/sh", name)
		}
		if err := payload.CheckScript(text); err != nil {
			return fmt.Errorf("script %s %w", name, err)
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
	if err := payload.CheckLine(value); err != nil {
		return fmt.Errorf("field %s %w", field, err)
	}
	return nil
}
