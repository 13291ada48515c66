package release

import (
	"cmp"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Version is the version of an upstream release. The zero value is no version. Two versions are the same if they are
// equal with ==.
type Version struct {
	text string
	// The parts of text. stage is alpha, beta or rc, or empty for a release; build is the commit of a nightly build.
	major, minor, patch uint32
	stage               string
	number, distance    uint32
	build               string
}

// Channel tells how finished a version is.
type Channel string

const (
	Stable     Channel = "stable"
	Prerelease Channel = "prerelease"
	Nightly    Channel = "nightly"
)

// UnmarshalText reads stable, prerelease or nightly.
func (c *Channel) UnmarshalText(text []byte) error {
	if s := Channel(text); s != Stable && s != Prerelease && s != Nightly {
		return fmt.Errorf("unknown channel %q: expected stable, prerelease or nightly", text)
	}
	*c = Channel(text)
	return nil
}

// Nine digits fit into 32 bits, and no number begins with a zero: then every version is written in one way only.
const number = `(0|[1-9][0-9]{0,8})`

var versionForm = regexp.MustCompile(`^v` + number + `\.` + number + `\.` + number +
	`(?:-(alpha|beta|rc)\.` + number + `(?:\.` + number + `\+([0-9a-f]{3,64}))?)?$`)

// ParseVersion reads the three forms of versions: v1.34.1, v1.35.0-alpha.1 (beta and rc, too) and, for a nightly build,
// v1.36.0-alpha.0.721+f8ff8f44206ff4, which is the 721st commit after v1.36.0-alpha.0. A build of a release branch has the
// last form as well, for upstream tags v1.36.2-rc.0 together with v1.36.1.
func ParseVersion(s string) (Version, error) {
	m := versionForm.FindStringSubmatch(s)
	if m == nil {
		hint := ""
		if versionForm.MatchString("v" + s) {
			hint = fmt.Sprintf(" (did you mean v%s?)", s)
		}
		if len(s) > 100 {
			s = s[:100] + "…"
		}
		return Version{}, fmt.Errorf("%q is not a version: expected a form like v1.34.1, v1.35.0-rc.1 or v1.36.0-alpha.0.721+f8ff8f44206ff4%s", s, hint)
	}
	n := func(i int) uint32 {
		u, _ := strconv.ParseUint(m[i], 10, 32) // the pattern lets nothing else through; an absent part is 0
		return uint32(u)
	}
	return Version{text: s, major: n(1), minor: n(2), patch: n(3), stage: m[4], number: n(5), distance: n(6), build: m[7]}, nil
}

// String is the version as upstream writes it: v1.35.0-alpha.1.
func (v Version) String() string { return v.text }

// Package is the version as packages write it, without a revision. Both dpkg and rpm sort a tilde before the end of a
// version, so that 1.35.0~alpha.1 is older than 1.35.0. The commit of a nightly build follows the others with a dot,
// 1.36.0~alpha.0.721.f8ff8f44206ff4, and not with a plus, which some object stores take for a space in a URL.
func (v Version) Package() string {
	s := strings.TrimPrefix(v.text, "v")
	s = strings.Replace(s, "-", "~", 1)
	return strings.Replace(s, "+", ".", 1)
}

// Channel is Stable, Prerelease or Nightly.
func (v Version) Channel() Channel {
	switch {
	case v.build != "":
		return Nightly
	case v.stage != "":
		return Prerelease
	}
	return Stable
}

// Major is the first number of v.
func (v Version) Major() int { return int(v.major) }

// Minor is the line of versions that v belongs to: 1.35.
func (v Version) Minor() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

// NextMinor is the first release of the minor version after v's: v1.35.0 for v1.34.5.
func (v Version) NextMinor() Version {
	next := Version{major: v.major, minor: v.minor + 1}
	next.text = fmt.Sprintf("v%d.%d.0", next.major, next.minor)
	return next
}

// NextPatch is the release after v in its minor: v1.34.6 for v1.34.5.
func (v Version) NextPatch() Version {
	next := Version{major: v.major, minor: v.minor, patch: v.patch + 1}
	next.text = fmt.Sprintf("v%d.%d.%d", next.major, next.minor, next.patch)
	return next
}

// Towards is the version of a nightly build of a commit on the way to the release v, where upstream gives it none:
// v1.36.0-alpha.0.26112119+f8ff8f44206ff4. In the place of a number of commits it has the hour of a time in UTC, as year,
// month, day and hour with two digits each, so that later builds are newer. The error says that the commit or the year cannot
// be.
func (v Version) Towards(commit string, at time.Time) (Version, error) {
	if at = at.UTC(); v.Channel() != Stable || at.Year() < 2010 || at.Year() > 2099 {
		return Version{}, fmt.Errorf("%s of %s cannot be on the way to %s", commit, at.Format(time.DateOnly), v)
	}
	return ParseVersion(fmt.Sprintf("%s-alpha.0.%s+%s", v, at.Format("06010215"), commit))
}

// ParsePackage reads a version as packages write it, see [Version.Package].
func ParsePackage(s string) (Version, error) {
	text := strings.Replace(s, "~", "-", 1)
	if i := strings.LastIndexByte(text, '.'); strings.Count(text, ".") == 5 {
		text = text[:i] + "+" + text[i+1:]
	}
	v, err := ParseVersion("v" + text)
	if err == nil && v.Package() != s {
		err = fmt.Errorf("%q is not how packages write a version", s)
	}
	return v, err
}

// earlierNumbers is how many prereleases of an earlier stage are thought possible: nothing says how many there were.
const earlierNumbers = 6

// Before yields versions of the same minor and channel that may have been released before v, the oldest first: all earlier
// patches of a release; the earlier numbers of a prerelease and, for a stage before it, the first few. Of a nightly build
// there is none.
func (v Version) Before() iter.Seq[Version] {
	return func(yield func(Version) bool) {
		w := Version{major: v.major, minor: v.minor, patch: v.patch}
		switch v.Channel() {
		case Stable:
			for w.patch = 0; w.patch < v.patch; w.patch++ {
				w.text = fmt.Sprintf("v%d.%d.%d", w.major, w.minor, w.patch)
				if !yield(w) {
					return
				}
			}
		case Prerelease:
			for _, w.stage = range []string{"alpha", "beta", "rc"} {
				if w.stageOrder() > v.stageOrder() {
					return
				}
				numbers := uint32(earlierNumbers)
				if w.stage == v.stage {
					numbers = v.number
				}
				for w.number = range numbers {
					w.text = fmt.Sprintf("v%d.%d.%d-%s.%d", w.major, w.minor, w.patch, w.stage, w.number)
					if !yield(w) {
						return
					}
				}
			}
		}
	}
}

// Commit is the commit that a nightly build was made of, as the version has it; empty for others.
func (v Version) Commit() string { return v.build }

// IsZero tells that v is no version.
func (v Version) IsZero() bool { return v.text == "" }

// Compare is negative if v is older than w, zero if they are the same, positive if v is newer. It is the order of
// semantic versions, and of two builds of one commit count, which have none there, that of their commits' names: the
// order in which dpkg and rpm put the versions of the packages, but for that last case.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.major, w.major), cmp.Compare(v.minor, w.minor), cmp.Compare(v.patch, w.patch),
		cmp.Compare(v.stageOrder(), w.stageOrder()), cmp.Compare(v.number, w.number),
		// v1.36.0-alpha.0 is older than the builds that follow it, even one at distance 0.
		cmp.Compare(min(len(v.build), 1), min(len(w.build), 1)), cmp.Compare(v.distance, w.distance), strings.Compare(v.build, w.build))
}

// stageOrder counts the stages on the way to a release, which comes last.
func (v Version) stageOrder() int {
	return slices.Index([]string{"alpha", "beta", "rc", ""}, v.stage)
}

// UnmarshalText reads what [ParseVersion] reads.
func (v *Version) UnmarshalText(text []byte) error {
	w, err := ParseVersion(string(text))
	*v = w
	return err
}

// MarshalText is String in bytes.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.text), nil }
