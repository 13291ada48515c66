package apt

import (
	"os/exec"
	"testing"
)

func TestCompareVersionsAgainstDpkg(t *testing.T) {
	dpkg := tool(t, "dpkg", "dpkg")
	versions := []string{"1.0", "1.0-1", "1.0~rc1", "1.0+dfsg", "1.10", "1.9", "1:0.1", "1.0-1.1", "1.34.1-1.1", "1.34.1-2.1",
		"1.34.0~alpha.1-1.1", "1.34.0-1.1", "1.0~~", "1.0a", "0", "00", "1.0-0", "1.0.0"}
	for i, a := range versions {
		for _, b := range versions[i:] {
			op := map[bool]string{true: "eq"}[CompareVersions(a, b) == 0]
			if CompareVersions(a, b) < 0 {
				op = "lt"
			} else if op == "" {
				op = "gt"
			}
			if err := exec.Command(dpkg, "--compare-versions", a, op, b).Run(); err != nil {
				t.Errorf("we say that %s %s %s, dpkg says that it is not", a, op, b)
			}
			if CompareVersions(a, b) > 0 != (CompareVersions(b, a) < 0) {
				t.Errorf("%s and %s compare differently the other way round", a, b)
			}
		}
	}
	for _, v := range append([]string{"v1.0", "1.0_1", "1.0-", "", "1 0", "1:2:3"}, versions...) {
		ours := Strict.checkVersion(v) == nil
		theirs := exec.Command(dpkg, "--validate-version", v).Run() == nil
		if ours != theirs && v != "1:2:3" { // which dpkg takes and this package does not
			t.Errorf("version %q: accepted %v, by dpkg %v", v, ours, theirs)
		}
	}
}

func TestRelations(t *testing.T) {
	relations, err := ParseRelations("cri-tools (>= 1.30.0),iptables | nftables ,\n mount:any")
	if err != nil {
		t.Fatal(err)
	}
	if len(relations) != 3 || relations[0][0] != (Alternative{"cri-tools", "", ">=", "1.30.0"}) ||
		relations[1][1].Name != "nftables" || relations[2][0].Architecture != "any" {
		t.Errorf("got %+v", relations)
	}
	for _, c := range []struct {
		operator, version, provided string
		want                        bool
	}{
		{"", "", "1", true}, {">=", "1.30.0", "1.30.0-1.1", true}, {">=", "1.30.0", "1.30.0~rc.1-1.1", false},
		{"=", "1.0", "1.0", true}, {"=", "1.0", "1.0-1", false}, {"<<", "1", "1", false}, {"<=", "1", "1", true},
		{">>", "1", "1-1", true},
	} {
		if got := (Alternative{Operator: c.operator, Version: c.version}).Accepts(c.provided); got != c.want {
			t.Errorf("(%s %s) accepts %s: %v", c.operator, c.version, c.provided, got)
		}
	}
}
