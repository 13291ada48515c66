package yum

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// Dependency is a capability, and where Flags is not empty a range of its versions.
type Dependency struct {
	// Name is the capability, or a rich dependency in parentheses.
	Name string
	// Flags is LT, LE, EQ, GE or GT, or empty for any version; then Epoch, Version and Release are empty, too.
	Flags string
	// Epoch is a decimal number. Release may be empty for any release of the version.
	Epoch, Version, Release string
	// Pre marks a requirement of an install script.
	Pre bool
}

// Accepts tells whether a package that provides the capability in the version "epoch:version-release" meets the
// dependency.
func (d Dependency) Accepts(version string) bool {
	if d.Flags == "" {
		return true
	}
	want := d.Epoch + ":" + d.Version
	if d.Release != "" {
		want += "-" + d.Release
	}
	c := CompareVersions(version, want)
	switch d.Flags {
	case "LT":
		return c < 0
	case "LE":
		return c <= 0
	case "EQ":
		return c == 0
	case "GE":
		return c >= 0
	case "GT":
		return c > 0
	}
	return false
}

// relationKinds are the kinds of relations in the order of the index, each with its element's name and its tags.
var relationKinds = [...]struct {
	name                  string
	names, flags, version tag
}{
	{"provides", 1047, 1112, 1113},
	{"requires", 1049, 1048, 1050},
	{"conflicts", 1054, 1053, 1055},
	{"obsoletes", 1090, 1114, 1115},
	{"suggests", 5049, 5051, 5050},
	{"enhances", 5055, 5057, 5056},
	{"recommends", 5046, 5048, 5047},
	{"supplements", 5052, 5054, 5053},
}

const (
	provides = 0
	requires = 1
)

// Flags of a relation in a header (rpm's rpmsenseFlags).
const (
	senseCompare = 0x0f // of the three bits below, and of one that rpm has given up
	senseLess    = 0x02
	senseGreater = 0x04
	senseEqual   = 0x08
	sensePre     = 1<<6 | 1<<9 | 1<<10 // prerequisite, needed by %pre, needed by %post
)

// compareNames are the names of comparisons in an index; the empty string stands for those that make no sense.
var compareNames = map[uint64]string{
	senseLess: "LT", senseGreater: "GT", senseEqual: "EQ", senseLess | senseEqual: "LE", senseGreater | senseEqual: "GE",
}

// readRelations fills in the relations of all kinds. Of what a package requires, an index leaves out what rpm itself or
// the package provides, and repetitions.
func (r *record) readRelations(f *file) error {
	for i, k := range relationKinds {
		names, err := f.main.texts(k.names)
		if err != nil {
			return err
		}
		flags, err := f.main.numbers(k.flags, kindInt32)
		if err != nil {
			return err
		}
		versions, err := f.main.texts(k.version)
		if err != nil {
			return err
		}
		if len(flags) != len(names) || len(versions) != len(names) {
			return fmt.Errorf("%s: %d names, but %d flags and %d versions", k.name, len(names), len(flags), len(versions))
		}
		list := make([]Dependency, len(names))
		for j, name := range names {
			if list[j], err = newDependency(name, flags[j], versions[j]); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			list[j].Pre = list[j].Pre && i == requires
		}
		r.relations[i] = list
	}
	r.relations[requires] = r.external(r.relations[requires])
	return nil
}

func newDependency(name string, flags uint64, version string) (Dependency, error) {
	d := Dependency{Name: name, Pre: flags&sensePre != 0}
	if flags&senseCompare != 0 {
		d.Flags = compareNames[flags&senseCompare]
		if d.Flags == "" {
			return d, fmt.Errorf("%q is compared in an unknown way (flags %#x)", refusal.Shorten(name), flags)
		}
		v, err := parseEVR(version)
		if err != nil {
			return d, fmt.Errorf("%q: %w", refusal.Shorten(name), err)
		}
		d.Epoch, d.Version, d.Release = v.epoch, v.version, v.release
	} else if version != "" {
		return d, fmt.Errorf("%q has the version %q, but no comparison", refusal.Shorten(name), refusal.Shorten(version))
	}
	return d, d.check()
}

// check tells whether a dependency may stand in an index.
func (d Dependency) check() error {
	if err := checkText(d.Name); err != nil {
		return err
	}
	switch {
	case d.Name == "" || len(d.Name) > 4096:
		return errors.New("a capability without a name, or with one of more than 4096 bytes")
	case strings.HasPrefix(d.Name, "("):
		if d.Flags != "" {
			return fmt.Errorf("%q has a version, which a rich dependency cannot have", refusal.Shorten(d.Name))
		}
		return checkRich(d.Name)
	case strings.ContainsAny(d.Name, " \t\n"):
		return fmt.Errorf("%q has white space in its name", refusal.Shorten(d.Name))
	case d.Flags == "":
		if d.Epoch+d.Version+d.Release != "" {
			return fmt.Errorf("%q has a version, but no comparison", refusal.Shorten(d.Name))
		}
		return nil
	case !checkEpoch(d.Epoch) || !checkVersion(d.Version) || d.Release != "" && !checkVersion(d.Release):
		return fmt.Errorf("%q: its version is malformed", refusal.Shorten(d.Name))
	}
	return nil
}

// external leaves those requirements that have to be met by other packages, as createrepo_c chooses them: not rpm's own
// features, not files of the package that primary lists, not what the package provides by that name, nothing twice in
// the same words, and of all symbol versions of libc.so.6 the highest, which implies the others.
func (r *record) external(list []Dependency) []Dependency {
	own := make(map[string]bool)
	for _, f := range r.files {
		if f.primary() {
			own[f.path] = true
		}
	}
	for _, d := range r.relations[provides] {
		own[d.Name] = true
	}
	var kept []Dependency
	var libc Dependency
	last := make(map[string]Dependency)
	for _, d := range list {
		before, again := last[d.Name]
		switch {
		case strings.HasPrefix(d.Name, "rpmlib("), own[d.Name], again && before == d:
		case strings.HasPrefix(d.Name, "libc.so.6"):
			if libc.Name == "" || compareSymbols(d.Name, libc.Name) > 0 {
				libc = d
			}
		default:
			last[d.Name] = d
			kept = append(kept, d)
		}
	}
	if libc.Name != "" {
		kept = append(kept, libc)
	}
	return kept
}

// compareSymbols orders two names such as libc.so.6(GLIBC_2.34)(64bit) by the version within the first parentheses: none
// at all, empty ones, ones without a digit, and then the versions.
func compareSymbols(a, b string) int {
	rankA, versionA := symbolVersion(a)
	rankB, versionB := symbolVersion(b)
	if c := cmp.Compare(rankA, rankB); c != 0 {
		return c
	}
	return compareParts(versionA, versionB)
}

func symbolVersion(name string) (rank int, version string) {
	_, after, ok := strings.Cut(name, "(")
	inside, _, closed := strings.Cut(after, ")")
	digit := strings.IndexAny(inside, "0123456789")
	switch {
	case !ok || !closed:
		return 0, ""
	case inside == "":
		return 1, ""
	case digit < 0:
		return 2, ""
	}
	return 3, inside[digit:]
}
