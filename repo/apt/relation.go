package apt

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// Relation is one comma-separated part of Depends and its like: any one of the alternatives satisfies it.
type Relation []Alternative

// Alternative names a package and, where Operator is not empty, which of its versions: <<, <=, =, >= or >>.
// Architecture is what follows the name after a colon ("any", "native" or an architecture) and mostly empty.
type Alternative struct {
	Name, Architecture, Operator, Version string
}

// Accepts tells whether a package of that version satisfies the alternative, its name aside.
func (a Alternative) Accepts(version string) bool {
	c := CompareVersions(version, a.Version)
	switch a.Operator {
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	case ">>":
		return c > 0
	}
	return a.Operator == ""
}

// Lists of relations longer than this are refused: no package comes near, and apt's cache holds them all.
const maxRelations = 4096

// aptLast is how many characters apt wants to see behind the last parenthesis of a field that opens, the one that closes
// among them (ParseDepends in its apt-pkg/deb/deblistparser.cc; apt 2.6 and before): it has them for "(= 3)" and not for "(=3)".
const aptLast = 4

// relationForm is an alternative of Debian Policy 7.1 as binary packages may have it: no restrictions to architectures
// or build profiles, which belong into source packages and make apt refuse the whole index.
//
// The second is what foreign packages have besides: names of other letters, and the operators < and >, which mean <= and
// >= to dpkg, or none before a version, which means =.
var relationForm = [2]*regexp.Regexp{
	regexp.MustCompile(`^([a-z0-9][a-z0-9+.-]+)(?::([a-z0-9][a-z0-9-]*))?` +
		`(?:[ \t\n]*\([ \t\n]*(<<|<=|=|>=|>>)[ \t\n]*([^ \t\n()]+)[ \t\n]*\))?$`),
	regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9+._-]*)(?::([a-z0-9][a-z0-9-]*))?` +
		`(?:[ \t\n]*\([ \t\n]*(<<|<=|<|=|>=|>>|>|)[ \t\n]*([^ \t\n()]+)[ \t\n]*\))?$`),
}

// ParseRelations takes a relationship field of a binary package apart, such as Depends or Provides. The empty field has
// no relations.
func ParseRelations(field string) ([]Relation, error) { return Strict.parseRelations(field) }

func (g Grammar) parseRelations(field string) ([]Relation, error) {
	if field == "" {
		return nil, nil
	}
	if field[0] == '\n' {
		return nil, errors.New("its first line is empty, where dpkg wants the first relation")
	}
	if i := strings.LastIndexByte(field, '('); i >= 0 && len(strings.TrimLeft(field[i+1:], " \t\n")) < aptLast {
		return nil, fmt.Errorf("%q at its end makes apt refuse the whole index: write a space before the version", refusal.Shorten(field[i:]))
	}
	parts := strings.Split(field, ",")
	relations := make([]Relation, 0, len(parts))
	alternatives := 0
	for _, part := range parts {
		var r Relation
		for _, text := range strings.Split(part, "|") {
			a, err := g.parseAlternative(strings.Trim(text, " \t\n"))
			if err != nil {
				return nil, err
			}
			r = append(r, a)
		}
		if alternatives += len(r); alternatives > maxRelations {
			return nil, fmt.Errorf("more than %d relations", maxRelations)
		}
		relations = append(relations, r)
	}
	return relations, nil
}

func (g Grammar) parseAlternative(text string) (Alternative, error) {
	m := relationForm[g].FindStringSubmatch(text)
	if m == nil {
		return Alternative{}, fmt.Errorf("%q is not a relation to a package: expected name or name (>= version)",
			refusal.Shorten(text))
	}
	if m[4] != "" {
		if err := g.checkVersion(m[4]); err != nil {
			return Alternative{}, err
		}
	}
	a := Alternative{Name: m[1], Architecture: m[2], Operator: m[3], Version: m[4]}
	if a.Version != "" && a.Operator == "" {
		a.Operator = "="
	}
	return a, nil
}

// checkRelations tells whether the value of the relationship field called name is well formed. Only a package's own
// wishes may offer a choice, and what it provides or was built with is one version exactly.
func (g Grammar) checkRelations(name, value string) error {
	relations, err := g.parseRelations(value)
	if err != nil {
		return err
	}
	choice := name == "Pre-Depends" || name == "Depends" || name == "Recommends" || name == "Suggests"
	exact := name == "Provides" || name == "Built-Using" || name == "Static-Built-Using"
	for _, r := range relations {
		if len(r) > 1 && !choice {
			return fmt.Errorf("%q offers a choice, which %s may not", r[0].Name+" | "+r[1].Name, name)
		}
		if op := r[0].Operator; exact && op != "" && op != "=" {
			return fmt.Errorf("%q: expected = as the only operator in %s", r[0].Name+" ("+op+" …)", name)
		}
	}
	return nil
}
