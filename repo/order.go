package repo

import (
	"cmp"
	"fmt"
	"strings"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/yum"
)

// ranked is a package as a client ranks it among those of the same name: apt by dpkg's order of versions, dnf and zypper
// by rpm's.
type ranked struct {
	file, name, arch string
	upstream         string // version without the revision
	version          string // with the revision, as the client compares it
	compare          func(a, b string) int
}

// ranks lists the packages of both formats with the names of their files below the stream, by "deb" and "rpm".
func (c *Contents) ranks() map[string][]ranked {
	all := map[string][]ranked{}
	for _, p := range c.Debs {
		all["deb"] = append(all["deb"], ranked{"deb/" + p.Filename, p.Name, p.Architecture, upstream(p.Version), p.Version, apt.CompareVersions})
	}
	for _, p := range c.Rpms {
		all["rpm"] = append(all["rpm"], ranked{"rpm/" + p.Href, p.Name, p.Arch, p.Version, strings.TrimPrefix(p.EVR(), "0:"), yum.CompareVersions})
	}
	return all
}

// disorder finds what is wrong with the versions of new packages beside those that the stream has before:
//
//   - A version that sorts below the newest one of the same name and architecture. Clients would never install it on their
//     own, so either it fills in history, which has to be said, or it was numbered wrong.
//   - A revision of a version that has a higher one already. Nobody fills in such a thing: what was built later has to
//     replace what was built before, so the revision was forgotten or set back.
//   - A version that clients hold for the same as another one, such as 1.0-1.1 and 1.0-1.01: which of them they install
//     would be chance.
//   - A version that dpkg's order and rpm's order put on different sides of another one.
func disorder(before *Contents, files *Files, backfill bool) []string {
	problems := disagreements(before, files)
	added := files.ranks()
	for _, format := range []string{"deb", "rpm"} {
		existing := map[string][]ranked{} // by name and architecture
		for _, p := range before.ranks()[format] {
			existing[p.name+":"+p.arch] = append(existing[p.name+":"+p.arch], p)
		}
		for _, p := range added[format] {
			newest, problem, published := p.among(existing[p.name+":"+p.arch])
			switch {
			case published || newest == "":
			case problem != "":
				problems = append(problems, problem)
			case p.compare(p.version, newest) < 0 && !backfill:
				problems = append(problems, fmt.Sprintf("%s: %s sorts below %s, which the stream has: nobody's system would upgrade to it; "+
					"give it a version above, or say that it fills in history with --backfill", p.file, p.version, newest))
			}
		}
	}
	return problems
}

// disagreements finds new versions that dpkg and rpm order differently among all versions of the same package.
func disagreements(before *Contents, files *Files) []string {
	versions, added := map[string]map[string]bool{}, map[string]map[string]bool{} // by name
	note := func(to map[string]map[string]bool, c *Contents) {
		for _, it := range c.items() {
			if to[it.name] == nil {
				to[it.name] = map[string]bool{}
			}
			to[it.name][it.version] = true
		}
	}
	note(versions, before)
	note(versions, &files.Contents)
	note(added, &files.Contents)
	var problems []string
	for name, news := range added {
		for v := range news {
			for w := range versions[name] {
				d, r := cmp.Compare(apt.CompareVersions(v, w), 0), cmp.Compare(yum.CompareVersions(v, w), 0)
				if d != r && !(news[w] && w < v) { // a pair of new versions is met twice
					problems = append(problems, fmt.Sprintf("%s: versions %s and %s are ordered differently by dpkg and by rpm, so apt and dnf would upgrade "+
						"in different directions: the version cannot be published beside the other", name, v, w))
				}
			}
		}
	}
	return problems
}

// among compares a package with those of the same name and architecture, and returns the newest version of these and what
// forbids the package in any case. It tells whether the very package is among them.
func (p *ranked) among(existing []ranked) (newest, problem string, published bool) {
	for _, q := range existing {
		if q.file == p.file {
			return "", "", true
		}
		c := p.compare(p.version, q.version)
		switch {
		case c == 0:
			problem = fmt.Sprintf("%s: %s is the same as %s in the order of versions, and the stream has that: raise the revision in the configuration",
				p.file, p.version, q.version)
		case c < 0 && q.upstream == p.upstream:
			problem = fmt.Sprintf("%s: the stream has the higher revision %s of the same version: raise the revision in the configuration above it",
				p.file, q.version)
		}
		if newest == "" || p.compare(q.version, newest) > 0 {
			newest = q.version
		}
	}
	return newest, problem, false
}
