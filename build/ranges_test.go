package build

import (
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/build/release"
)

func TestRange(t *testing.T) {
	for _, c := range []struct{ text, in, out string }{
		{">=1.24.0", "v1.24.0 v1.24.1 v2.0.0 v1.25.0-rc.0", "v1.23.9 v1.24.0-rc.1 v1.24.0-alpha.0.1+abc"},
		{">1.24.0", "v1.24.1 v1.24.1-rc.0", "v1.24.0 v1.24.0-rc.0"},
		{"<1.32.0", "v1.31.9 v1.32.0-rc.0 v1.32.0-alpha.0.1+abc", "v1.32.0"},
		{"<=1.32.0", "v1.32.0", "v1.32.1-rc.0"},
		{"=1.25.0", "v1.25.0", "v1.25.1 v1.24.9 v1.25.0-rc.0"},
		{">=1.24.0 <1.24.5 || =1.25.0", "v1.24.0 v1.24.4 v1.24.5-rc.0 v1.25.0", "v1.24.5 v1.25.0-rc.0 v1.25.1"},
		{"  < 1.3.0   >= 1.2.0||=1.4.0 ", "v1.2.0 v1.2.9 v1.4.0", "v1.1.9 v1.3.0"},
		{">=1.2.0-rc.1 <1.2.0", "v1.2.0-rc.1 v1.2.0-rc.2", "v1.2.0-rc.0 v1.2.0"},
	} {
		r, err := ParseRange(c.text)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range strings.Fields(c.in + " " + c.out) {
			v, err := release.ParseVersion(s)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Contains(" "+c.in+" ", " "+s+" "); r.Contains(v) != want {
				t.Errorf("%s in %s: got %v", s, c.text, !want)
			}
		}
	}
	if v, _ := release.ParseVersion("v0.0.1"); !(Range{}).Contains(v) {
		t.Error("the empty range holds nothing")
	}
}

func TestRangeErrors(t *testing.T) {
	for text, want := range map[string]string{
		"": "expected bounds", "||": "expected bounds", ">=1.0.0 ||": "expected bounds", "1.24.0": "expected one of >=", ">=1.24": "expected a version",
		">=v1.24.0": "expected a version", "=>1.24.0": "expected one of", "==1.24.0": "expected one of", ">=1.24.0 >=1.25.0": "second bound",
		"=1.2.0 <1.3.0": "second bound", ">=1.25.0 <1.24.0": "no version", ">1.24.0 <1.24.0": "no version", ">=1.24.0 <1.24.0": "no version",
		">=1.0.0 <2.0.0 || >=1.9.0": "overlaps", "<2.0.0 || =1.0.0": "overlaps", "^1.2.0": "expected a version", ">=1.2.x": "expected a version", ">=": "expected a version",
	} {
		if _, err := ParseRange(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestRangeOverlaps(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{">=1.0.0", "<1.0.0", false}, {">=1.0.0", "<=1.0.0", true}, {">1.0.0", "<=1.0.0", false}, {">1.0.0", "<1.0.0", false},
		{"=1.0.0", "=1.0.0", true}, {"=1.0.0", ">1.0.0", false}, {"<1.0.0", "<0.1.0", true}, {">1.0.0", ">9.0.0", true},
		{">=1.0.0 <2.0.0 || >=3.0.0", ">=2.0.0 <3.0.0", false}, {">=1.0.0 <2.0.0 || >=3.0.0", ">=2.0.0 <=3.0.0", true},
	} {
		a, errA := ParseRange(c.a)
		b, errB := ParseRange(c.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if a.Overlaps(b) != c.want || b.Overlaps(a) != c.want {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.want)
		}
		if !a.Overlaps(Range{}) || !(Range{}).Overlaps(a) {
			t.Errorf("%s does not overlap with everything", c.a)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add(">=1.24.0 <1.24.5 || =1.25.0", "v1.24.3")
	f.Add("<1.32.0", "v1.32.0-rc.0")
	f.Fuzz(func(t *testing.T, text, version string) {
		r, err := ParseRange(text)
		if err != nil {
			return
		}
		v, err := release.ParseVersion(version)
		if err != nil {
			return
		}
		exactly, err := ParseRange("=" + version[1:])
		if err != nil || r.Contains(v) != r.Overlaps(exactly) {
			t.Errorf("%q and %s: %v", text, version, err)
		}
	})
}
