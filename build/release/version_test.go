package release

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

func version(t testing.TB, s string) Version {
	t.Helper()
	v, err := ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// ordered are versions from the oldest to the newest.
var ordered = []string{
	"v0.8.7", "v1.9.1", "v1.24.0", "v1.31.0-alpha.0.2+0ff", "v1.31.0-alpha.1", "v1.31.0-alpha.2", "v1.31.0-alpha.10",
	"v1.31.0-beta.0", "v1.31.0-rc.0", "v1.31.0-rc.1", "v1.31.0", "v1.31.1", "v1.31.10",
	"v1.36.0-alpha.0", "v1.36.0-alpha.0.9+fffffff", "v1.36.0-alpha.0.721+000000000000ff", "v1.36.0-alpha.0.1000+12345678901234",
	"v1.36.0-alpha.1", "v1.36.0-beta.0.3+9abcdef", "v1.36.0", "v1.36.1", "v1.36.2-rc.0", "v1.36.2-rc.0.12+abc",
	"v1.36.2-rc.0.13+000", "v1.36.2", "v1.37.0-alpha.0", "v2.0.0",
}

func TestVersion(t *testing.T) {
	for _, c := range []struct {
		text, pkg, minor string
		channel          Channel
	}{
		{"v1.34.1", "1.34.1", "1.34", Stable},
		{"v1.31.0-alpha.1", "1.31.0~alpha.1", "1.31", Prerelease},
		{"v1.31.0-beta.0", "1.31.0~beta.0", "1.31", Prerelease},
		{"v1.31.0-rc.12", "1.31.0~rc.12", "1.31", Prerelease},
		{"v1.36.0-alpha.0.721+f8ff8f44206ff4", "1.36.0~alpha.0.721.f8ff8f44206ff4", "1.36", Nightly},
		{"v1.36.2-rc.0.12+abc", "1.36.2~rc.0.12.abc", "1.36", Nightly},
	} {
		v := version(t, c.text)
		if v.String() != c.text || v.Package() != c.pkg || v.Minor() != c.minor || v.Channel() != c.channel {
			t.Errorf("%s: got %s, %s, %s", c.text, v.Package(), v.Minor(), v.Channel())
		}
	}
}

func TestBadVersions(t *testing.T) {
	for _, s := range []string{
		"", "v", "1.34", "v1.34", "v1.34.1.2", "v01.34.1", "v1.34.01", "v1.34.1-", "v1.34.1-rc", "v1.34.1-rc1", "v1.34.1-rc.01",
		"v1.34.1-RC.1", "v1.34.1-gamma.1", "v1.34.1+abc", "v1.34.1-rc.1+abc", "v1.34.1-rc.1.2", "v1.34.1-rc.1.2+", "v1.34.1-rc.1.2+XYZ",
		"v1.34.1-rc.1.2+abc-dirty", "v1.34.1 ", " v1.34.1", "v1.34.1\n", "V1.34.1", "v1.34.1234567890", "v1.34.-1", "v1.34.1~rc.1",
		"v1.34.1/../v1.34.2", "latest",
	} {
		if v, err := ParseVersion(s); err == nil {
			t.Errorf("%q was read as %+v", s, v)
		}
	}
	_, err := ParseVersion("1.34.1")
	if err == nil || !strings.Contains(err.Error(), "did you mean v1.34.1?") {
		t.Errorf("got %v", err)
	}
}

func TestOrder(t *testing.T) {
	for i, a := range ordered {
		for j, b := range ordered {
			got := version(t, a).Compare(version(t, b))
			if got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("%s against %s: %d", a, b, got)
			}
		}
	}
}

// The versions of packages sort as those of the releases do, with every revision that has been in use, in dpkg and in rpm.
func TestPackageOrder(t *testing.T) {
	var all []string
	for _, s := range ordered {
		all = append(all, version(t, s).Package()+"-1.1", version(t, s).Package()+"-2.1", version(t, s).Package()+"-150500.1.1")
	}
	t.Run("dpkg", func(t *testing.T) {
		need(t, "dpkg", "dpkg")
		var script strings.Builder
		for i := range all[1:] {
			fmt.Fprintf(&script, "dpkg --compare-versions %s lt %s || echo %s is not older than %s\n", all[i], all[i+1], all[i], all[i+1])
		}
		if out, err := exec.Command("sh", "-c", script.String()).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("rpm", func(t *testing.T) {
		need(t, "rpm", "rpm")
		var lua strings.Builder
		for i := range all[1:] {
			// rpm compares version and release one after the other.
			a, ra, _ := strings.Cut(all[i], "-")
			b, rb, _ := strings.Cut(all[i+1], "-")
			fmt.Fprintf(&lua, "local c = rpm.vercmp('%s', '%s'); if c == 0 then c = rpm.vercmp('%s', '%s') end; if c >= 0 then print('%s is not older than %s') end; ",
				a, b, ra, rb, all[i], all[i+1])
		}
		out, err := exec.Command("rpm", "--eval", "%{lua:"+lua.String()+"}").CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "" {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// What pkgs.k8s.io serves today is upgraded by what we publish: by every later version whatever its revision, and by the same
// version with a revision above those that were in use. So are CRI-O's branch builds, which are called after the last release
// with -dev behind it, and so sort below it: ours are called after the next.
func TestUpgradeFromToday(t *testing.T) {
	need(t, "dpkg", "dpkg")
	need(t, "rpm", "rpm")
	ours := func(v, revision string) string { return version(t, v).Package() + "-" + revision }
	for _, c := range []struct{ old, new string }{
		{"1.34.1-1.1", ours("v1.34.2", "1.1")}, {"1.34.1-2.1", ours("v1.34.2", "1.1")}, {"1.34.1-150500.2.1", ours("v1.34.2", "1.1")},
		{"1.34.9-150500.1.1", ours("v1.34.10", "1.1")}, {"1.34.1-2.1", ours("v1.34.1", "3.1")}, {"1.34.1-150500.2.1", ours("v1.34.1", "150500.3.1")},
		{"1.35.0~rc.0-1.1", ours("v1.35.0-rc.1", "1.1")}, {"1.35.0~rc.1-150500.1.1", ours("v1.35.0", "1.1")},
		{"1.36.0~alpha.1-150500.1.1", ours("v1.36.0-alpha.1.7+abc", "1.1")}, {"1.8.0-150500.1.1", ours("v1.9.1", "1.1")},
		{"1.36.1-150500.1.1", ours("v1.36.2-rc.0.12+abc", "1.1")}, {"1.36.1~dev-150500.9.1", ours("v1.36.2-rc.0.12+abc", "1.1")},
		{ours("v1.36.2-rc.0.12+abc", "150500.9.1"), ours("v1.36.2", "1.1")},
	} {
		if out, err := exec.Command("dpkg", "--compare-versions", c.old, "lt", c.new).CombinedOutput(); err != nil {
			t.Errorf("dpkg does not take %s for an upgrade of %s: %v %s", c.new, c.old, err, out)
		}
		v, r, _ := strings.Cut(c.old, "-")
		w, s, _ := strings.Cut(c.new, "-")
		lua := fmt.Sprintf("%%{lua:local c = rpm.vercmp('%s', '%s'); if c == 0 then c = rpm.vercmp('%s', '%s') end; print(c)}", v, w, r, s)
		if out, err := exec.Command("rpm", "--eval", lua).CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "-1" {
			t.Errorf("rpm does not take %s for an upgrade of %s: %v %s", c.new, c.old, err, out)
		}
	}
}

// need fails the test when a program that judges it is not there.
func need(t *testing.T, program, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is needed: apt-get install %s", program, debianPackage)
	}
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range ordered {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			return
		}
		if v.String() != s || v.Compare(v) != 0 || v.Channel() == "" {
			t.Errorf("%q became %+v", s, v)
		}
		if p := v.Package(); strings.ContainsAny(p, "-+/ :") || p[0] < '0' || p[0] > '9' {
			t.Errorf("%q is no version for a package", p)
		}
	})
}

func TestNeighbours(t *testing.T) {
	for version, want := range map[string]string{
		"v1.34.2":               "v1.34.0 v1.34.1",
		"v1.34.0":               "",
		"v1.36.0-alpha.2":       "v1.36.0-alpha.0 v1.36.0-alpha.1",
		"v1.36.0-beta.1":        "v1.36.0-alpha.0 v1.36.0-alpha.1 v1.36.0-alpha.2 v1.36.0-alpha.3 v1.36.0-alpha.4 v1.36.0-alpha.5 v1.36.0-beta.0",
		"v1.36.0-alpha.0.7+abc": "",
	} {
		v, err := ParseVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for w := range v.Before() {
			again, err := ParseVersion(w.String())
			if err != nil || again != w || w.Compare(v) >= 0 {
				t.Errorf("%s: before it is %v, which is read as %v, %v", v, w, again, err)
			}
			got = append(got, w.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("before %s: %v", v, got)
		}
		next := v.NextMinor()
		if again, err := ParseVersion(next.String()); err != nil || again != next || next.Compare(v) <= 0 || next.Minor() == v.Minor() {
			t.Errorf("after %s: %v", v, next)
		}
	}
}
