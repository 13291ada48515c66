package repo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Withdrawn is a package that left the index because somebody decided so.
type Withdrawn struct {
	// Name is that of the package, relative to the stream.
	Name string `json:"name"`
	// Serial is the publication with which it left, and Reason is why.
	Serial int64  `json:"serial"`
	Reason string `json:"reason"`
}

// withdraw keeps the list of withdrawn packages: those that a yank or a rollback takes out come to it, and those that are
// in the index again leave it.
func withdraw(before []Withdrawn, plan *Plan, change Change, index map[string]string) []Withdrawn {
	if change.Follow != nil {
		return nil // an alias holds back what its stream holds back
	}
	var list []Withdrawn
	for _, w := range before {
		if _, back := index[w.Name]; !back {
			list = append(list, w)
		}
	}
	for _, name := range plan.Removed {
		if !slices.Contains(change.Retire, name) {
			list = append(list, Withdrawn{Name: name, Serial: plan.From + 1, Reason: plan.Reason})
		}
	}
	slices.SortFunc(list, func(a, b Withdrawn) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// resurrected finds the packages to add that a person took out of the index before. Whoever took them out had a reason, and
// whoever adds them often does not know: a cut brings along what its configuration names.
func resurrected(withdrawn []Withdrawn, files *Files) []string {
	offered := files.digests()
	by := map[int64][]Withdrawn{} // by the serial with which they left
	for _, w := range withdrawn {
		if _, back := offered[w.Name]; back {
			by[w.Serial] = append(by[w.Serial], w)
		}
	}
	var problems []string
	for _, serial := range slices.Sorted(maps.Keys(by)) {
		what := by[serial][0].Name
		if n := len(by[serial]) - 1; n > 0 {
			what += fmt.Sprintf(" and %d more", n)
		}
		problems = append(problems, fmt.Sprintf("%s left the index with serial %d, %q: publish another version or revision, "+
			"or say with --unyank that they are to come back", what, serial, by[serial][0].Reason))
	}
	return problems
}
