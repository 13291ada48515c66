package apt

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"pault.ag/go/debian/version"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// versionForm is the grammar of Debian Policy 5.6.12, without the colons that it allows in the upstream version when
// there is an epoch: no package needs them and few programs expect them.
var versionForm = [2]*regexp.Regexp{
	regexp.MustCompile(`^(?:([0-9]{1,10}):)?[0-9][A-Za-z0-9.+~-]*$`),
	regexp.MustCompile(`^(?:([0-9]{1,10}):[0-9][A-Za-z0-9.+~:-]*|[0-9][A-Za-z0-9.+~-]*)$`),
}

// checkVersion tells whether dpkg and every apt take v as a version. dpkg holds epochs in an int and refuses an empty
// revision.
func (g Grammar) checkVersion(v string) error {
	m := versionForm[g].FindStringSubmatch(v)
	if m == nil || len(v) > 256 || strings.HasSuffix(v, "-") {
		return fmt.Errorf("%q is not a version: expected [epoch:]upstream[-revision], beginning with a digit, "+
			"of letters, digits and . + ~ -", refusal.Shorten(v))
	}
	if m[1] == "" {
		return nil
	}
	if _, err := strconv.ParseInt(m[1], 10, 32); err != nil {
		return fmt.Errorf("epoch %s of version %q is too large: dpkg takes at most 2147483647", m[1], v)
	}
	return nil
}

// CompareVersions orders two versions as dpkg does: negative when a is lower than b, 0 when they are equal, positive
// otherwise. What is no version sorts below every version.
func CompareVersions(a, b string) int {
	va, errA := version.Parse(a)
	vb, errB := version.Parse(b)
	switch {
	case errA != nil && errB != nil:
		return strings.Compare(a, b)
	case errA != nil:
		return -1
	case errB != nil:
		return 1
	}
	return version.Compare(va, vb)
}
