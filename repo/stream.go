package repo

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
)

// Stream says what one stream is and what may be in it. It comes from the configuration.
type Stream struct {
	Name layout.Stream
	// Origin, Label, Suite, Codename and Description are the fields of Release that name the stream. They never
	// change during a stream's life: apt asks its user when Origin or Label do.
	Origin, Label, Suite, Codename, Description string
	// Architectures are those that each version must be published for.
	Architectures []Architecture
	// Members are the packages that belong to the stream, by name.
	Members map[string]Member
	// Advisories are the notices about packages of the stream; those that it does not have are left out. Nil, unlike an empty
	// list, leaves the advisories as they are that were published.
	Advisories []Notice
}

// Architecture is one processor architecture in the words of the two formats.
type Architecture struct{ Deb, Rpm string }

// Member says which versions of a package belong to a stream.
type Member struct {
	// Minor is the minor version that the package's version must have, such as 1.35; empty for any.
	Minor string
	// Prereleases tells whether versions with a ~ belong here.
	Prereleases bool
	// Main tells that the stream is there for this package, and has others beside it only because this one needs them.
	Main bool
	// Keyring tells that the package brings users the keyring: it fits every architecture (all as deb, noarch as rpm), and
	// its versions follow the keys and not the stream's packages.
	Keyring bool
}

// admit checks that a package of this name and upstream version belongs to the stream.
func (s *Stream) admit(file, name, version string) error {
	member, ok := s.Members[name]
	if !ok {
		return fmt.Errorf("%s: package %s is not in the list of packages of stream %s", file, name, s.Name)
	}
	if member.Minor != "" && version != member.Minor && !strings.HasPrefix(version, member.Minor+".") {
		return fmt.Errorf("%s: version %s does not belong to stream %s, which holds %s.x of %s", file, version, s.Name, member.Minor, name)
	}
	if strings.Contains(version, "~") && !member.Prereleases {
		return fmt.Errorf("%s: version %s is a prerelease, and stream %s holds releases only", file, version, s.Name)
	}
	return nil
}

// Contents are the packages of a stream in both formats, as an index would list them, and the advisories about rpms.
type Contents struct {
	Debs       []*apt.Package
	Rpms       []*yum.Package
	Advisories []yum.Advisory
}

// An item is what deb and rpm have in common for the gates.
type item struct {
	file, name, version, arch, format string
}

// items lists the packages of both formats; version is the upstream part, without epoch and revision.
func (c *Contents) items() []item {
	var items []item
	for _, p := range c.Debs {
		items = append(items, item{p.Filename, p.Name, upstream(p.Version), p.Architecture, "deb"})
	}
	for _, p := range c.Rpms {
		items = append(items, item{p.Href, p.Name, p.Version, p.Arch, "rpm"})
	}
	return items
}

// upstream cuts the revision from a Debian version: 1.35.0-1.1 is 1.35.0.
func upstream(version string) string {
	if i := strings.LastIndexByte(version, '-'); i >= 0 {
		return version[:i]
	}
	return version
}

// architectures are those for which each version of a package must be there.
func (s *Stream) architectures(name string) []Architecture {
	if s.Members[name].Keyring {
		return []Architecture{everyArchitecture}
	}
	return s.Architectures
}

// everyArchitecture is what both formats call a package that fits all.
var everyArchitecture = Architecture{Deb: "all", Rpm: "noarch"}

// judge is gate for contents to which packages came or which they left. When they are all keyring packages, it looks at no
// others: new keys reach also those streams that are no longer as packages would have to be today. Nothing changed is
// nothing to judge: what is only signed again was right when it was published, maybe by rules of that time.
func (s *Stream) judge(c *Contents, changed, problems []string) error {
	if len(changed) == 0 {
		return nil
	}
	if !slices.ContainsFunc(changed, func(name string) bool { return !s.isKeyring(name) }) {
		keyrings := c.where(s.isKeyring)
		c = &keyrings
	}
	return s.gate(c, problems)
}

// gate refuses contents that users must not be given: a package that does not belong to the stream, a version that is not
// there for every architecture in both formats, or a package that cannot be installed since the stream lacks what it
// depends on. It reports everything that it finds, not only the first, and beside it the problems that were known before.
func (s *Stream) gate(c *Contents, problems []string) error {
	have := map[item]bool{}
	versions := map[[2]string]bool{}
	for _, it := range c.items() {
		if err := s.admit(it.file, it.name, it.version); err != nil {
			problems = append(problems, err.Error())
			continue
		}
		versions[[2]string{it.name, it.version}] = true
		it.file = ""
		have[it] = true
	}
	for v := range versions {
		for _, a := range s.architectures(v[0]) {
			for _, want := range []item{{"", v[0], v[1], a.Deb, "deb"}, {"", v[0], v[1], a.Rpm, "rpm"}} {
				if !have[want] {
					problems = append(problems, fmt.Sprintf("%s %s is missing as %s for %s", want.name, want.version, want.format, want.arch))
				}
			}
		}
	}
	problems = append(problems, s.unmet(c)...)
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(problems)
	return &GateError{Stream: s.Name, Problems: problems}
}

// GateError says why a publication was refused before anything was written.
type GateError struct {
	Stream   layout.Stream
	Problems []string
}

func (e *GateError) Error() string {
	return fmt.Sprintf("stream %s would not be right:%s", e.Stream, asLines(e.Problems))
}

// asLines is what follows a colon: the one problem, or all of them in lines of their own.
func asLines(problems []string) string {
	if len(problems) == 1 {
		return " " + problems[0]
	}
	return "\n  " + strings.Join(problems, "\n  ")
}
