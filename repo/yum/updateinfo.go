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
	if len(a.Packages) == 0 {
		return errors.New("packages is empty: name those that fix it")
	}
	for _, p := range a.Packages {
		if err := p.check(); err != nil {
			return fmt.Errorf("package %q: %w", refusal.Shorten(p.File), err)
		}
	}
	return a.checkTexts()
}

// check tells whether the package may be one of an index.
func (p *AdvisedPackage) check() error {
	switch {
	case !nameForm.MatchString(p.Name), !archForm.MatchString(p.Arch):
		return errors.New("its name or architecture is malformed")
	case !checkVersion(p.Version), !checkVersion(p.Release), !checkEpoch(p.Epoch):
		return errors.New("its version, release or epoch is malformed")
	}
	if err := checkLine(p.SourceRPM); err != nil {
		return err
	}
	return checkLine(p.File)
}

// checkTexts is check for all but the packages.
func (a *Advisory) checkTexts() error {
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

// updateinfo is what repomd.xml calls the index of advisories.
const updateinfo = "updateinfo"

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
			return nil, &Error{File: updateinfo, Err: fmt.Errorf("advisory %s: %w", refusal.Shorten(a.ID), err)}
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

// XML is the advisory as it stands in the index. Two of the same XML say the same.
func (a *Advisory) XML() string {
	var b bytes.Buffer
	a.xml(&b)
	return b.String()
}

// ParseUpdateinfo reads an index that Updateinfo wrote, uncompressed: the same bytes can be made of what it returns.
func ParseUpdateinfo(data []byte) (list []Advisory, err error) {
	defer refusal.Recover(updateinfo, &err)
	s := &scanner{rest: string(data)}
	s.literal(xmlStart + "<updates>\n")
	for s.is("  <update") {
		list = append(list, s.advisory())
	}
	s.literal("</updates>\n")
	if s.rest != "" {
		s.fail()
	}
	if s.err != nil {
		return nil, s.err
	}
	again, err := Updateinfo(list)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, data) {
		return nil, errForm
	}
	return list, nil
}

// advisory reads an <update>. What it does not check is found when the whole is written again.
func (s *scanner) advisory() (a Advisory) {
	some := func(name string) (value string) {
		if s.is("    <" + name + ">") {
			value = s.element("    ", name)
		}
		return value
	}
	date := func(name string) (t time.Time) {
		if s.skip("    <" + name) {
			var err error
			if t, err = time.Parse(time.DateTime, s.attribute("date")); err != nil {
				s.fail()
			}
			s.literal("/>\n")
		}
		return t
	}
	s.literal("  <update")
	a.From = s.attribute("from")
	s.literal(` status="final"`)
	a.Type = s.attribute("type")
	s.literal(" version=\"1\">\n")
	a.ID, a.Title = s.element("    ", "id"), s.element("    ", "title")
	a.Issued, a.Updated = date("issued"), date("updated")
	a.Rights, a.Severity, a.Summary = some("rights"), some("severity"), some("summary")
	a.Description = s.element("    ", "description")
	a.Solution = some("solution")
	if s.skip("    <references>\n") {
		for s.skip("      <reference") {
			a.References = append(a.References, Reference{Href: s.attribute("href"), ID: s.attribute("id"), Type: s.attribute("type"), Title: s.attribute("title")})
			s.literal("/>\n")
		}
		s.literal("    </references>\n")
	}
	s.literal("    <pkglist>\n      <collection>\n")
	for s.skip("        <package") {
		p := AdvisedPackage{Name: s.attribute("name"), Version: s.attribute("version"), Release: s.attribute("release"),
			Epoch: s.attribute("epoch"), Arch: s.attribute("arch")}
		if s.is(" src=") {
			p.SourceRPM = s.attribute("src")
		}
		s.literal(">\n")
		p.File = s.element("          ", "filename")
		if s.skip("          <reboot_suggested>True</reboot_suggested>\n") {
			a.Reboot = true
		}
		s.literal("        </package>\n")
		a.Packages = append(a.Packages, p)
	}
	s.literal("      </collection>\n    </pkglist>\n  </update>\n")
	return a
}
