package rpm

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/pkgs/build/payload"
)

// Relation is a name, and if Op is not Any, the versions meant.
type Relation struct {
	// Name is that of a package, a path or another thing that packages provide, or a rich dependency in parentheses.
	Name    string
	Op      Op
	Version string
}

// Op compares versions.
type Op string

const (
	Any          Op = ""
	Less         Op = "<"
	LessEqual    Op = "<="
	Equal        Op = "="
	GreaterEqual Op = ">="
	Greater      Op = ">"
)

// ParseRelation reads the form that spec files use: "kubernetes-cni >= 1.2.0", "iptables", "/bin/sh" or a rich dependency
// in parentheses.
func ParseRelation(s string) (Relation, error) {
	r := Relation{Name: s}
	if f := strings.Fields(s); len(f) == 3 && !strings.HasPrefix(s, "(") {
		r = Relation{f[0], Op(f[1]), f[2]}
	}
	return r, r.check(true)
}

// String is the form that ParseRelation reads.
func (r Relation) String() string {
	if r.Op == Any {
		return r.Name
	}
	return r.Name + " " + string(r.Op) + " " + r.Version
}

var (
	relationName    = regexp.MustCompile(`^[A-Za-z0-9/_][A-Za-z0-9/_.+:~@%()-]*$`)
	richName        = regexp.MustCompile(`^\([A-Za-z0-9/_.+:~^@%()<>= -]+\)$`)
	relationVersion = regexp.MustCompile(`^([0-9]+:)?[A-Za-z0-9_.+~^]+(-[A-Za-z0-9_.+~^]+)?$`)
)

// check says what is wrong with the relation. rich tells whether it may be a rich dependency.
func (r Relation) check(rich bool) error {
	isRich := strings.HasPrefix(r.Name, "(")
	switch {
	case len(r.Name) > 1024 || len(r.Version) > 256:
		return fmt.Errorf("relation %q is too long", payload.Abbreviate(r.String()))
	case isRich && !rich:
		return fmt.Errorf("relation %q: expected one name, rich dependencies have no meaning here", r.Name)
	case isRich && (!richName.MatchString(r.Name) || !balanced(r.Name) || r.Op != Any):
		return fmt.Errorf("relation %q: expected a rich dependency like \"(a or b)\"", r)
	case !isRich && !relationName.MatchString(r.Name):
		return fmt.Errorf("relation %q: expected a name, or name, comparison and version with spaces between", r)
	case strings.HasPrefix(r.Name, "rpmlib("):
		return fmt.Errorf("relation %q: those on rpm itself are found out, remove it", r)
	}
	if _, ok := operators[r.Op]; !ok {
		return fmt.Errorf("relation %q: expected one of <, <=, =, >=, > between name and version", r)
	}
	if r.Op == Any && r.Version != "" || r.Op != Any && !relationVersion.MatchString(r.Version) {
		return fmt.Errorf("relation %q with version %q: expected a version like 1.2.0 behind a comparison", r, r.Version)
	}
	return nil
}

// balanced tells whether parentheses match, and close for good only at the end.
func balanced(s string) bool {
	depth := 0
	for i, c := range s {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth <= 0 && i < len(s)-1 {
			return false
		}
	}
	return depth == 0
}

// sense is what rpm calls the flags of a relation.
type sense uint32

const (
	senseLess        sense = 1 << 1
	senseGreater     sense = 1 << 2
	senseEqual       sense = 1 << 3
	senseInterpreter sense = 1 << 8
	sensePre         sense = 1 << 9
	sensePost        sense = 1 << 10
	sensePreUn       sense = 1 << 11
	sensePostUn      sense = 1 << 12
	senseRpmlib      sense = 1 << 24
	senseConfig      sense = 1 << 28
)

var operators = map[Op]sense{
	Any:          0,
	Less:         senseLess,
	LessEqual:    senseLess | senseEqual,
	Equal:        senseEqual,
	GreaterEqual: senseGreater | senseEqual,
	Greater:      senseGreater,
}

// dependency is a relation as a header holds it.
type dependency struct {
	name    string
	sense   sense
	version string
}

func dependencies(list []Relation, flags sense) []dependency {
	var all []dependency
	for _, r := range list {
		all = append(all, dependency{r.Name, operators[r.Op] | flags, r.Version})
	}
	return all
}

// compare sorts as rpmbuild does: rpm looks names up by bisection.
func (d dependency) compare(e dependency) int {
	return cmp.Or(cmp.Compare(d.name, e.name), cmp.Compare(d.version, e.version), cmp.Compare(d.sense, e.sense))
}
