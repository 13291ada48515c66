package yum

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// evr is a version as rpm writes it: [epoch:]version[-release]. Without an epoch it is 0.
type evr struct{ epoch, version, release string }

// parseEVR takes a version apart. The release may be empty, the version not.
func parseEVR(s string) (evr, error) {
	v := evr{epoch: "0"}
	rest := s
	if e, after, ok := strings.Cut(s, ":"); ok {
		v.epoch, rest = e, after
	}
	var dash bool
	v.version, v.release, dash = strings.Cut(rest, "-")
	if !checkEpoch(v.epoch) || !checkVersion(v.version) || dash && !checkVersion(v.release) {
		return evr{}, fmt.Errorf("%q is not a version: expected [epoch:]version[-release], of letters, digits and "+
			". _ + ~ ^", refusal.Shorten(s))
	}
	return v, nil
}

// checkEpoch tells whether s is a number below 2^32 as people write numbers.
func checkEpoch(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32) // takes digits alone
	return err == nil && (s == "0" || s[0] != '0')
}

// checkVersion tells whether s consists of letters, digits and . _ + ~ ^ and begins with a letter or digit. Every relation
// of every package is asked, so there is no regular expression here.
func checkVersion(s string) bool {
	for i, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case i > 0 && (c == '.' || c == '_' || c == '+' || c == '~' || c == '^'):
		default:
			return false
		}
	}
	return s != "" && len(s) <= 256
}

// CompareVersions orders two versions of the form [epoch:]version[-release] as rpm does: negative when a is lower than b,
// 0 when they are equal, positive otherwise. Where one has no release, releases do not count: that is how a dependency
// on a version is met by each of its releases.
func CompareVersions(a, b string) int {
	va, vb := splitEVR(a), splitEVR(b)
	if c := compareEpochs(va.epoch, vb.epoch); c != 0 {
		return c
	}
	if c := compareParts(va.version, vb.version); c != 0 {
		return c
	}
	if va.release == "" || vb.release == "" {
		return 0
	}
	return compareParts(va.release, vb.release)
}

func splitEVR(s string) (v evr) {
	rest := s
	if e, after, ok := strings.Cut(s, ":"); ok {
		v.epoch, rest = e, after
	}
	v.version, v.release, _ = strings.Cut(rest, "-")
	return v
}

func compareEpochs(a, b string) int {
	na, _ := strconv.ParseUint(a, 10, 64)
	nb, _ := strconv.ParseUint(b, 10, 64)
	return cmp.Compare(na, nb)
}

// compareParts orders two versions or two releases. Both are read as runs of digits and runs of letters; what lies
// between separates and says nothing more, but for two characters: ~ sorts before everything, even before the end, and ^
// after the end but before everything else. Digits sort after letters. This is what rpm's manual calls version
// comparison (rpm-version(7)).
func compareParts(a, b string) int {
	for a != b {
		a, b = strings.TrimLeftFunc(a, isSeparator), strings.TrimLeftFunc(b, isSeparator)
		if c, done := compareMarks(a, b); done {
			return c
		} else if c == bothMarked {
			a, b = a[1:], b[1:]
			continue
		}
		var ra, rb string
		digits := isDigit(rune(a[0]))
		if digits {
			ra, a = cutRun(a, isDigit)
			rb, b = cutRun(b, isDigit)
		} else {
			ra, a = cutRun(a, isLetter)
			rb, b = cutRun(b, isLetter)
		}
		switch {
		case rb == "" && digits:
			return 1
		case rb == "":
			return -1
		case digits:
			ra, rb = strings.TrimLeft(ra, "0"), strings.TrimLeft(rb, "0")
			if c := cmp.Compare(len(ra), len(rb)); c != 0 {
				return c
			}
		}
		if c := strings.Compare(ra, rb); c != 0 {
			return c
		}
	}
	return 0
}

// bothMarked is what compareMarks returns when both versions go on with the same mark.
const bothMarked = 2

// compareMarks settles what the next characters decide before any run is read: a tilde, a caret or the end of either
// version.
func compareMarks(a, b string) (c int, done bool) {
	switch ta, tb := strings.HasPrefix(a, "~"), strings.HasPrefix(b, "~"); {
	case ta && tb:
		return bothMarked, false
	case ta:
		return -1, true
	case tb:
		return 1, true
	}
	switch ca, cb := strings.HasPrefix(a, "^"), strings.HasPrefix(b, "^"); {
	case ca && cb:
		return bothMarked, false
	case ca && b == "", cb && a != "":
		return 1, true
	case cb, ca:
		return -1, true
	}
	if a == "" || b == "" {
		return cmp.Compare(len(a), len(b)), true
	}
	return 0, false
}

func isDigit(r rune) bool     { return r >= '0' && r <= '9' }
func isLetter(r rune) bool    { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
func isSeparator(r rune) bool { return !isDigit(r) && !isLetter(r) && r != '~' && r != '^' }

func cutRun(s string, of func(rune) bool) (run, rest string) {
	rest = strings.TrimLeftFunc(s, of)
	return s[:len(s)-len(rest)], rest
}
