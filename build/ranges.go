package build

import (
	"fmt"
	"strings"

	"sigs.k8s.io/pkgs/build/release"
)

// Range is a set of versions. It is written as alternatives separated by ||, each of them bounds that all must hold:
//
//	>=1.24.0 <1.24.5 || =1.25.0
//
// A bound is one of >=, >, <=, < and = with a version behind it, with or without a space and without a v. Versions are
// ordered as semantic versions: 1.32.0-rc.0 is before 1.32.0, and so in the range <1.32.0 and not in >=1.32.0. The zero
// Range holds every version.
type Range struct {
	text      string
	intervals []interval
}

// interval is what lies between two bounds. A bound without a version does not bind.
type interval struct{ low, high bound }

type bound struct {
	version release.Version
	// open tells that the version itself lies outside.
	open bool
}

// maxAlternatives is how many alternatives a range may have. Each is compared with all others.
const maxAlternatives = 100

// ParseRange reads a range.
func ParseRange(s string) (Range, error) {
	r := Range{text: s}
	if n := strings.Count(s, "||") + 1; n > maxAlternatives {
		return Range{}, fmt.Errorf("a range of %d alternatives: expected at most %d", n, maxAlternatives)
	}
	for alternative := range strings.SplitSeq(s, "||") {
		i, err := parseInterval(alternative)
		if err != nil {
			return Range{}, fmt.Errorf("range %q: %w", s, err)
		}
		for _, other := range r.intervals {
			if i.overlaps(other) {
				return Range{}, fmt.Errorf("range %q: %q overlaps with what stands before it", s, strings.TrimSpace(alternative))
			}
		}
		r.intervals = append(r.intervals, i)
	}
	return r, nil
}

func parseInterval(s string) (interval, error) {
	var i interval
	rest := strings.TrimSpace(s)
	if rest == "" {
		return i, fmt.Errorf("expected bounds like >=1.24.0 <1.24.5")
	}
	for rest != "" {
		op := rest[:len(rest)-len(strings.TrimLeft(rest, "<>="))]
		text, after, _ := strings.Cut(strings.TrimLeft(rest[len(op):], " "), " ")
		rest = strings.TrimLeft(after, " ")
		v, err := release.ParseVersion("v" + text)
		if err != nil || strings.HasPrefix(text, "v") {
			return i, fmt.Errorf("%q: expected a version like 1.24.0 behind %q", text, op)
		}
		b := bound{v, op == ">" || op == "<"}
		low, high := op == ">=" || op == ">" || op == "=", op == "<=" || op == "<" || op == "="
		switch {
		case !low && !high:
			return i, fmt.Errorf("%q: expected one of >=, >, <=, < and = before %s", op, text)
		case low && !i.low.version.IsZero(), high && !i.high.version.IsZero():
			return i, fmt.Errorf("%s%s is the second bound on this side", op, text)
		}
		if low {
			i.low = b
		}
		if high {
			i.high = b
		}
	}
	if i.high.before(i.low) {
		return i, fmt.Errorf("no version is in %q", strings.TrimSpace(s))
	}
	return i, nil
}

// before tells that nothing up to b, an upper bound, reaches low, a lower one.
func (b bound) before(low bound) bool {
	if b.version.IsZero() || low.version.IsZero() {
		return false
	}
	c := b.version.Compare(low.version)
	return c < 0 || c == 0 && (b.open || low.open)
}

func (i interval) overlaps(j interval) bool {
	return !i.high.before(j.low) && !j.high.before(i.low)
}

// Contains tells whether v is in the range.
func (r Range) Contains(v release.Version) bool {
	if len(r.intervals) == 0 {
		return true
	}
	point := interval{bound{version: v}, bound{version: v}}
	for _, i := range r.intervals {
		if i.overlaps(point) {
			return true
		}
	}
	return false
}

// Overlaps tells whether some version may be in both ranges.
func (r Range) Overlaps(s Range) bool {
	if len(r.intervals) == 0 || len(s.intervals) == 0 {
		return true
	}
	for _, i := range r.intervals {
		for _, j := range s.intervals {
			if i.overlaps(j) {
				return true
			}
		}
	}
	return false
}

// First is the oldest version that the range names as a lower bound; no version if it reaches down without one.
func (r Range) First() release.Version {
	var first release.Version
	for _, i := range r.intervals {
		if low := i.low.version; low.IsZero() || first.IsZero() || low.Compare(first) < 0 {
			first = low
		}
		if first.IsZero() {
			break
		}
	}
	return first
}

// String is the range as it was written.
func (r Range) String() string { return r.text }

// UnmarshalText reads what [ParseRange] reads.
func (r *Range) UnmarshalText(text []byte) error {
	s, err := ParseRange(string(text))
	*r = s
	return err
}
