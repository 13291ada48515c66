package yum

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// Advisory is a notice that certain packages fix something, an <update> of the index updateinfo. It is what
// `dnf updateinfo` and `zypper list-patches` show. Texts are plain; those that are empty are left out where they may be.
type Advisory struct {
	// ID is unique: PKGS-2026-0001. Type is security, bugfix, enhancement or newpackage.
	ID, Type string
	// Severity is Critical, Important, Moderate, Low or None, for security alone.
	Severity string
	// From is the address of who issues it, Title one line, Description any number of them.
	From, Title, Description string
	// Rights, Summary and Solution are further texts that some distributions have.
	Rights, Summary, Solution string
	// Issued is when it was first published, Updated when last changed; a zero Updated is left out.
	Issued, Updated time.Time
	References      []Reference
	// Packages are the packages that fix it. Reboot tells that machines should be started anew after the update.
	Packages []AdvisedPackage
	Reboot   bool
}

// Reference is a link of an Advisory. Type is bugzilla, cve, vendor, self or other.
type Reference struct{ Type, ID, Title, Href string }

// AdvisedPackage is a package of an Advisory.
type AdvisedPackage struct {
	Name, Epoch, Version, Release, Arch string
	// SourceRPM may be empty. File is the base name of the package's file.
	SourceRPM, File string
}

var (
	advisoryID    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:._+-]{0,127}$`)
	advisoryTypes = "security bugfix enhancement newpackage"
	severities    = "Critical Important Moderate Low None"
	linkTypes     = "bugzilla cve vendor self other"
)

// oneOf tells whether word is one of the words of a list.
func oneOf(word, list string) bool { return slices.Contains(strings.Fields(list), word) }

// check tells whether an index can say what the advisory holds.
func (a *Advisory) check() error {
	switch {
	case !advisoryID.MatchString(a.ID):
		return fmt.Errorf("id %q: expected letters, digits and : . _ + -", refusal.Shorten(a.ID))
	case !oneOf(a.Type, advisoryTypes):
		return fmt.Errorf("type %q: expected one of %s", refusal.Shorten(a.Type), advisoryTypes)
	case a.Severity != "" && !oneOf(a.Severity, severities):
		return fmt.Errorf("severity %q: expected one of %s", refusal.Shorten(a.Severity), severities)
	case a.Title == "":
		return errors.New("title is missing")
	case a.Issued.IsZero():
		return errors.New("issued is missing: say when it was first published")
	case !a.Updated.IsZero() && a.Updated.Before(a.Issued):
		return errors.New("updated is before issued")
	case len(a.Packages) == 0:
		return errors.New("packages is empty: name those that fix it")
	}
	for _, s := range []string{a.From, a.Title} {
		if err := checkLine(s); err != nil {
			return err
		}
	}
	for _, s := range []string{a.Description, a.Rights, a.Summary, a.Solution} {
		if err := checkText(s); err != nil {
			return err
		}
	}
	for _, r := range a.References {
		if !oneOf(r.Type, linkTypes) || r.Href == "" {
			return fmt.Errorf("reference %q: expected an href, and as its type one of %s", refusal.Shorten(r.ID), linkTypes)
		}
		for _, s := range []string{r.ID, r.Title, r.Href} {
			if err := checkLine(s); err != nil {
				return fmt.Errorf("reference: %w", err)
			}
		}
	}
	return nil
}

// Updateinfo writes the index updateinfo, uncompressed: the advisories in the order of their IDs, in the form that
// createrepo_c gives them.
func Updateinfo(advisories []Advisory) ([]byte, error) {
	list := slices.SortedFunc(slices.Values(advisories), func(a, b Advisory) int { return strings.Compare(a.ID, b.ID) })
	var b bytes.Buffer
	b.WriteString(xmlStart + "<updates>\n")
	for i := range list {
		a := &list[i]
		err := a.check()
		if i > 0 && list[i-1].ID == a.ID {
			err = errors.New("the id is there twice")
		}
		if err != nil {
			return nil, &Error{File: "updateinfo", Err: fmt.Errorf("advisory %s: %w", refusal.Shorten(a.ID), err)}
		}
		a.xml(&b)
	}
	b.WriteString("</updates>\n")
	return b.Bytes(), nil
}

func (a *Advisory) xml(b *bytes.Buffer) {
	date := func(name string, t time.Time) {
		if !t.IsZero() {
			fmt.Fprintf(b, "    <%s date=\"%s\"/>\n", name, t.UTC().Format(time.DateTime))
		}
	}
	some := func(name, value string) {
		if value != "" {
			element(b, "    ", name, value)
		}
	}
	b.WriteString("  <update")
	attribute(b, "from", a.From)
	attribute(b, "status", "final")
	attribute(b, "type", a.Type)
	attribute(b, "version", "1")
	b.WriteString(">\n")
	element(b, "    ", "id", a.ID)
	element(b, "    ", "title", a.Title)
	date("issued", a.Issued)
	date("updated", a.Updated)
	some("rights", a.Rights)
	some("severity", a.Severity)
	some("summary", a.Summary)
	element(b, "    ", "description", a.Description)
	some("solution", a.Solution)
	if len(a.References) > 0 {
		b.WriteString("    <references>\n")
		for _, r := range a.References {
			b.WriteString("      <reference")
			attribute(b, "href", r.Href)
			attribute(b, "id", r.ID)
			attribute(b, "type", r.Type)
			attribute(b, "title", r.Title)
			b.WriteString("/>\n")
		}
		b.WriteString("    </references>\n")
	}
	b.WriteString("    <pkglist>\n      <collection>\n")
	for _, p := range a.Packages {
		p.xml(b, a.Reboot)
	}
	b.WriteString("      </collection>\n    </pkglist>\n  </update>\n")
}

func (p AdvisedPackage) xml(b *bytes.Buffer, reboot bool) {
	b.WriteString("        <package")
	attribute(b, "name", p.Name)
	attribute(b, "version", p.Version)
	attribute(b, "release", p.Release)
	attribute(b, "epoch", p.Epoch)
	attribute(b, "arch", p.Arch)
	if p.SourceRPM != "" {
		attribute(b, "src", p.SourceRPM)
	}
	b.WriteString(">\n")
	element(b, "          ", "filename", p.File)
	if reboot {
		b.WriteString("          <reboot_suggested>True</reboot_suggested>\n")
	}
	b.WriteString("        </package>\n")
}
