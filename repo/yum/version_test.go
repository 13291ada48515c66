package yum

import (
	"fmt"
	"strings"
	"testing"
)

func TestCompareVersionsAgainstRPM(t *testing.T) {
	versions := []string{"1.0", "1.0.0", "1.00", "1.1", "1.10", "1.9", "1.0~rc1", "1.0~rc1^git1", "1.0~~", "1.0^", "1.0^git1",
		"1.0^git1~pre", "1.0^git2", "1.0a", "1.0.a", "a", "1a", "1_0", "1..0", "1.0.", "1+0", "2~", "2", "10xyz", "10.1xyz",
		"xyz10", "xyz10.1", "005", "5", "1.34.1-1.1", "1.34.1-150500.1.1", "1.34.1-2.1", "1.34.0~alpha.1-1", "1.34.0-1",
		"0:1.0", "1:0.1", "2:1.0", "20231114", "1.0^20231114", "1.0~", "1.0^^", "1.0^~", "Z", "z"}
	var script strings.Builder
	script.WriteString("%{lua:\n")
	for _, a := range versions {
		for _, b := range versions {
			fmt.Fprintf(&script, "print(rpm.vercmp(%q,%q)..' ')\n", a, b)
		}
	}
	script.WriteString("}")
	got := strings.Fields(run(t, t.TempDir(), tool(t, "rpm", "rpm"), "--eval", script.String()))
	if len(got) != len(versions)*len(versions) {
		t.Fatalf("rpm compared %d pairs, want %d", len(got), len(versions)*len(versions))
	}
	for i, a := range versions {
		for j, b := range versions {
			want := got[i*len(versions)+j]
			if c := CompareVersions(a, b); fmt.Sprint(c) != want && fmt.Sprint(c) != want+"0" {
				t.Errorf("CompareVersions(%q, %q) = %d, rpm says %s", a, b, c, want)
			}
		}
	}
}

func TestAccepts(t *testing.T) {
	for _, c := range []struct {
		flags, epoch, version, release, provided string
		want                                     bool
	}{
		{"", "", "", "", "0:1-1", true},
		{"GE", "0", "1.28.0", "", "0:1.28.0-1.1", true},
		{"GE", "0", "1.28.0", "", "0:1.28.0~rc.1-1.1", false},
		{"EQ", "0", "1.28.0", "", "0:1.28.0-7", true},
		{"EQ", "0", "1.28.0", "6", "0:1.28.0-7", false},
		{"GT", "0", "1.28.0", "", "0:1.28.0-7", false},
		{"LT", "1", "1.0", "", "0:9-1", true},
		{"LE", "0", "9", "1", "0:9-1", true},
	} {
		d := Dependency{Name: "x", Flags: c.flags, Epoch: c.epoch, Version: c.version, Release: c.release}
		if got := d.Accepts(c.provided); got != c.want {
			t.Errorf("%+v.Accepts(%q) = %v", d, c.provided, got)
		}
	}
}

func TestRich(t *testing.T) {
	for text, want := range map[string]bool{
		"(a and b)": true, "(a or b or c)": true, "(a if b)": true, "(a if b else c)": true, "(a)": true, "(a with b)": true,
		"(a >= 1.0 and (b or c < 2:3-4))": true, "(pkgconfig(x) = 1 or font(:lang=en))": true, "(a unless b else c)": true,
		"((a with b) without c)": true, "( a  and b )": true,
		"(a and b or c)": false, "(a b)": false, "(a and)": false, "(and)": true, "(a if b if c)": false, "(a else b)": false,
		"(a >= )": false, "(a and b) ": false, "(a)(b)": false, "((a)": false, "(a = 1-2-3)": false, "(= 1)": false,
	} {
		if err := checkRich(text); (err == nil) != want {
			t.Errorf("checkRich(%q) = %v", text, err)
		}
	}
}
