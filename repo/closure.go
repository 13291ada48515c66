package repo

import (
	"fmt"
	"slices"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/yum"
)

// unmet lists the dependencies of packages on members of the stream that no package of the stream satisfies: what would
// make apt or dnf refuse to install a package, on a system that has all its distribution offers. Dependencies on anything
// else are the distribution's business.
func (s *Stream) unmet(c *Contents) []string {
	var problems []string
	debs := map[string][]*apt.Package{} // by name and architecture
	for _, p := range c.Debs {
		debs[p.Name+":"+p.Architecture] = append(debs[p.Name+":"+p.Architecture], p)
	}
	for _, p := range c.Debs {
		relations, err := apt.ParseRelations(p.Depends)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: Depends: %v", p.Filename, err))
			continue
		}
		for _, r := range relations {
			// With an alternative that is not ours, the distribution may satisfy it.
			ours := !slices.ContainsFunc(r, func(a apt.Alternative) bool { _, ok := s.Members[a.Name]; return !ok })
			met := slices.ContainsFunc(r, func(a apt.Alternative) bool {
				return slices.ContainsFunc(debs[a.Name+":"+p.Architecture], func(q *apt.Package) bool { return a.Accepts(q.Version) })
			})
			if ours && !met {
				problems = append(problems, fmt.Sprintf("%s depends on %s %s %s, which the stream does not have for %s",
					p.Filename, r[0].Name, r[0].Operator, r[0].Version, p.Architecture))
			}
		}
	}

	rpms := map[string][]*yum.Package{}
	for _, p := range c.Rpms {
		rpms[p.Name+":"+p.Arch] = append(rpms[p.Name+":"+p.Arch], p)
	}
	for _, p := range c.Rpms {
		for _, d := range p.Requires {
			if _, ours := s.Members[d.Name]; ours && !slices.ContainsFunc(rpms[d.Name+":"+p.Arch], func(q *yum.Package) bool { return d.Accepts(q.EVR()) }) {
				problems = append(problems, fmt.Sprintf("%s requires %s %s %s, which the stream does not have for %s", p.Href, d.Name, d.Flags, d.Version, p.Arch))
			}
		}
	}
	return problems
}
