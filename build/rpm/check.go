package rpm

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
)

var (
	nameForm        = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
	versionForm     = regexp.MustCompile(`^[0-9][A-Za-z0-9._+~^]*$`)
	archForm        = regexp.MustCompile(`^[a-z0-9][a-z0-9_]{0,31}$`)
	interpreterForm = regexp.MustCompile(`^/[A-Za-z0-9/_.+-]+( [A-Za-z0-9/_.+=-]+)*$`)
)

// maxWord is how many bytes a word in the name of a package has at most.
const maxWord = 128

// Check says what is wrong with m, if anything. [Write] calls it before it writes a byte.
func (m Meta) Check() error {
	for _, c := range []struct {
		what, value string
		form        *regexp.Regexp
		expected    string
	}{
		{"name", m.Name, nameForm, "letters, digits and . _ + -, the first a letter or digit"},
		{"version", m.Version, versionForm, "a digit, then letters, digits and . _ + ~ ^"},
		{"release", m.Release, versionForm, "a digit, then letters, digits and . _ + ~ ^"},
		{"architecture", m.Arch, archForm, "RPM's name, such as x86_64"},
	} {
		if len(c.value) > maxWord || !c.form.MatchString(c.value) {
			return fmt.Errorf("%s %q: expected %s", c.what, payload.Abbreviate(c.value), c.expected)
		}
	}
	for _, l := range []struct {
		what, value string
		needed      bool
	}{
		{"summary", m.Summary, true}, {"license", m.License, true}, {"vendor", m.Vendor, false},
		{"packager", m.Packager, false}, {"group", m.Group, false}, {"build host", m.BuildHost, false}, {"url", m.URL, false},
	} {
		if l.value == "" && !l.needed {
			continue
		}
		if err := payload.CheckLine(l.value); err != nil {
			return fmt.Errorf("%s %w", l.what, err)
		}
	}
	if m.URL != "" {
		u, err := url.Parse(m.URL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return fmt.Errorf("url %q: expected one with https://", payload.Abbreviate(m.URL))
		}
	}
	if err := payload.CheckText(m.Description); err != nil {
		return fmt.Errorf("description %w", err)
	}
	if !inHeader(m.Time) {
		return errors.New("no Time: every package needs one that its next build gives it again")
	}
	for _, err := range []error{m.checkRelations(), m.checkScripts(), m.checkChangelog()} {
		if err != nil {
			return err
		}
	}
	return nil
}

// inHeader tells whether the 32 bits of a header can say the time.
func inHeader(t time.Time) bool { return t.Unix() > 0 && t.Unix() <= math.MaxUint32 }

func (m Meta) checkRelations() error {
	for _, r := range []struct {
		what string
		list []Relation
		rich bool
	}{
		{"requires", m.Requires, true}, {"provides", m.Provides, false}, {"conflicts", m.Conflicts, true},
		{"obsoletes", m.Obsoletes, false}, {"recommends", m.Recommends, true}, {"suggests", m.Suggests, true},
		{"supplements", m.Supplements, true}, {"enhances", m.Enhances, true},
	} {
		for _, relation := range r.list {
			if err := relation.check(r.rich); err != nil {
				return fmt.Errorf("%s: %w", r.what, err)
			}
			if r.what == "provides" && relation.Op != Any && relation.Op != Equal {
				return fmt.Errorf("provides: relation %q: expected no version or one behind =", relation)
			}
		}
	}
	return nil
}

func (m Meta) checkScripts() error {
	for _, s := range m.scripts() {
		if s.Interpreter != "" && (!interpreterForm.MatchString(s.Interpreter) || len(s.Interpreter) > 1024) {
			return fmt.Errorf("script %s: interpreter %q: expected an absolute path and plain arguments", s.name,
				payload.Abbreviate(s.Interpreter))
		}
		if err := payload.CheckScript(s.Body); err != nil {
			return fmt.Errorf("script %s %w", s.name, err)
		}
		for _, relation := range s.Requires {
			if err := relation.check(true); err != nil {
				return fmt.Errorf("requires(%s): %w", s.name, err)
			}
		}
		for _, relation := range s.After {
			if err := relation.check(false); err != nil {
				return fmt.Errorf("after(%s): %w", s.name, err)
			}
		}
	}
	return nil
}

func (m Meta) checkChangelog() error {
	for i, c := range m.Changelog {
		if err := payload.CheckLine(c.Author); err != nil {
			return fmt.Errorf("changelog: author %w", err)
		}
		if err := payload.CheckText(c.Text); err != nil {
			return fmt.Errorf("changelog: text %w", err)
		}
		if strings.TrimSpace(c.Text) == "" || !inHeader(c.Time) {
			return fmt.Errorf("changelog: entry of %s: expected a text and a time", c.Author)
		}
		if i > 0 && c.Time.After(m.Changelog[i-1].Time) {
			return fmt.Errorf("changelog: entry of %s is newer than the one before it: put the newest first",
				c.Time.UTC().Format(time.DateOnly))
		}
	}
	return nil
}
