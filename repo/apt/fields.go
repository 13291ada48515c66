package apt

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// form is what the value of a field must look like.
type form int

const (
	free        form = iota // any text, any number of lines
	oneLine                 // any text on one line
	packageName             // Debian Policy 5.6.7
	source                  // a name, and a version in parentheses where it differs
	versionText             // Debian Policy 5.6.12
	architecture
	word // section and its like
	priority
	digits // a number
	yesNo
	multiArch
	relations // Debian Policy 7.1
	indexOnly // written by the index, never by a package
	dpkgOnly  // a field of dpkg's database of what is installed
)

// grammar is a pattern, how many bytes a value has at most, and what both say in words. (A pattern that counts to 127 is
// compiled into as many steps, which takes longer than all else that a program does at its start.)
type grammar struct {
	pattern *regexp.Regexp
	most    int
	words   string
}

func (g grammar) match(value string) bool {
	return len(value) <= g.most && g.pattern.MatchString(value)
}

// grammars are those of the forms that a pattern can tell.
var grammars = [2]map[form]grammar{{
	packageName:  {regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`), 128, "two or more small letters, digits and + - ."},
	source:       {regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+( \([0-9][A-Za-z0-9.+~:-]*\))?$`), 512, "name or name (version)"},
	architecture: {regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`), 64, "small letters, digits and -"},
	word:         {regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+./_-]*$`), 64, "one word"},
	priority:     {regexp.MustCompile(`^(required|important|standard|optional|extra)$`), 9, "required, important, standard, optional or extra"},
	digits:       {regexp.MustCompile(`^[0-9]+$`), 15, "a number"},
	yesNo:        {regexp.MustCompile(`^(yes|no)$`), 3, "yes or no"},
	multiArch:    {regexp.MustCompile(`^(no|same|foreign|allowed)$`), 7, "no, same, foreign or allowed"},
}, {
	packageName:  {regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._-]*$`), 128, "letters, digits and + . _ -"},
	source:       {regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._-]* *(\([0-9A-Za-z.+~:-]+\))?$`), 512, "name or name (version)"},
	architecture: {regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`), 64, "small letters, digits and -"},
	yesNo:        {regexp.MustCompile(`^(?i:yes|no)$`), 3, "yes or no"},
	multiArch:    {regexp.MustCompile(`^(no|same|foreign|allowed)$`), 7, "no, same, foreign or allowed"},
}}

// formOf tells what the field called name must look like. A field that this package does not know may say anything:
// apt and dpkg do not look at it.
func formOf(name string) form {
	switch name {
	case "Package":
		return packageName
	case "Source":
		return source
	case "Version":
		return versionText
	case "Architecture":
		return architecture
	case "Section", "Package-Type":
		return word
	case "Priority": // dpkg does not install what has one that only begins like one of Debian Policy 2.5
		return priority
	case "Installed-Size":
		return digits
	case "Essential", "Protected", "Important", "Build-Essential":
		return yesNo
	case "Multi-Arch":
		return multiArch
	case "Pre-Depends", "Depends", "Recommends", "Suggests", "Enhances", "Conflicts", "Breaks", "Replaces", "Provides",
		"Built-Using", "Static-Built-Using":
		return relations
	case "Maintainer", "Original-Maintainer", "Homepage", "Origin", "Bugs", "Vendor", "License":
		return oneLine
	case "Filename", "Size", "Md5sum", "MD5sum", "SHA1", "SHA256", "SHA512", "Description-Md5":
		return indexOnly
	case "Status", "Conffiles", "Config-Version", "Triggers-Pending", "Triggers-Awaited":
		return dpkgOnly
	}
	return free
}

// checkField tells whether a field of a package's control file may stand in an index.
func (g Grammar) checkField(f field) error {
	kind := formOf(f.name)
	switch kind {
	case free:
		return nil
	case indexOnly:
		return fmt.Errorf("field %s: only an index may say this, not a package", f.name)
	case dpkgOnly:
		return fmt.Errorf("field %s: it belongs to dpkg's database, not to a package", f.name)
	case relations:
		if err := g.checkRelations(f.name, f.value); err != nil {
			return fmt.Errorf("field %s: %w", f.name, err)
		}
		return nil
	}
	if strings.Contains(f.value, "\n") {
		return fmt.Errorf("field %s: expected one line", f.name)
	}
	if kind == versionText {
		if err := g.checkVersion(f.value); err != nil {
			return fmt.Errorf("field %s: %w", f.name, err)
		}
	}
	if want, ok := grammars[g][kind]; ok && !want.match(f.value) {
		return fmt.Errorf("field %s: %q: expected %s", f.name, refusal.Shorten(f.value), want.words)
	}
	return nil
}

// checkControl tells whether the fields of a control file describe a package: each is well formed and those that every
// package must have are there: the five of Debian Policy 5.3, or the three without which apt can do nothing.
func (g Grammar) checkControl(fields []field) error {
	if len(fields) == 0 {
		return errors.New("no fields")
	}
	for _, f := range fields {
		if err := g.checkField(f); err != nil {
			return err
		}
	}
	value := func(name string) string {
		for _, f := range fields {
			if f.name == name {
				return f.value
			}
		}
		return ""
	}
	needed := []string{"Package", "Version", "Architecture", "Maintainer", "Description"}
	if g == Foreign {
		needed = needed[:3]
	}
	for _, name := range needed {
		if value(name) == "" {
			return fmt.Errorf("field %s is missing", name)
		}
	}
	if g == Strict && strings.HasPrefix(value("Description"), "\n") {
		return errors.New("field Description: its first line is empty, expected a synopsis")
	}
	switch a := value("Architecture"); {
	case a == "any" || a == "source" || strings.HasPrefix(a, "any-") || strings.HasSuffix(a, "-any"):
		return fmt.Errorf("field Architecture: %q stands for many, expected one architecture or all", a)
	case a == "all" && value("Multi-Arch") == "same":
		return errors.New("field Multi-Arch: same is nothing that a package of Architecture all can be: dpkg does not install it")
	}
	if t := value("Package-Type"); t != "" && t != "deb" {
		return fmt.Errorf("field Package-Type: %q, expected deb: an index of packages to install lists no others", t)
	}
	return nil
}
