package rpm_test

import (
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/rpm"
)

func TestCheckRefuses(t *testing.T) {
	if err := kubelet().Check(); err != nil {
		t.Fatal(err)
	}
	requires := func(r rpm.Relation) func(*rpm.Meta) {
		return func(m *rpm.Meta) { m.Requires = []rpm.Relation{r} }
	}
	for want, change := range map[string]func(*rpm.Meta){
		`name "a b"`:               func(m *rpm.Meta) { m.Name = "a b" },
		`name "../a"`:              func(m *rpm.Meta) { m.Name = "../a" },
		`name "aaaa`:               func(m *rpm.Meta) { m.Name = strings.Repeat("a", 129) },
		`release "1111`:            func(m *rpm.Meta) { m.Release = strings.Repeat("1", 129) },
		`name ""`:                  func(m *rpm.Meta) { m.Name = "" },
		`version "v1"`:             func(m *rpm.Meta) { m.Version = "v1" },
		`version "1-2"`:            func(m *rpm.Meta) { m.Version = "1-2" },
		`version "1:2"`:            func(m *rpm.Meta) { m.Version = "1:2" },
		`version "1\n"`:            func(m *rpm.Meta) { m.Version = "1\n" },
		`release ""`:               func(m *rpm.Meta) { m.Release = "" },
		`architecture "x86-64"`:    func(m *rpm.Meta) { m.Arch = "x86-64" },
		"summary is empty":         func(m *rpm.Meta) { m.Summary = "" },
		`summary is "a\ufffe"`:     func(m *rpm.Meta) { m.Summary = "a\ufffe" },
		"license is empty":         func(m *rpm.Meta) { m.License = "" },
		`vendor is "a\x00"`:        func(m *rpm.Meta) { m.Vendor = "a\x00" },
		`build host is "a\nb"`:     func(m *rpm.Meta) { m.BuildHost = "a\nb" },
		`url "kubernetes.io"`:      func(m *rpm.Meta) { m.URL = "kubernetes.io" },
		`the line "\x1b"`:          func(m *rpm.Meta) { m.Description = "\x1b" },
		"no Time":                  func(m *rpm.Meta) { m.Time = time.Time{} },
		"no Time: every":           func(m *rpm.Meta) { m.Time = time.Unix(1<<32, 0) },
		`requires: relation "a b"`: requires(rpm.Relation{Name: "a b"}),
		`relation ""`:              requires(rpm.Relation{}),
		`relation "rpmlib(X)"`:     requires(rpm.Relation{Name: "rpmlib(X)"}),
		`relation "a == 1"`:        requires(rpm.Relation{Name: "a", Op: "==", Version: "1"}),
		`with version "v 1"`:       requires(rpm.Relation{Name: "a", Op: rpm.Equal, Version: "v 1"}),
		`with version ""`:          requires(rpm.Relation{Name: "a", Op: rpm.Equal}),
		`with version "1"`:         requires(rpm.Relation{Name: "a", Version: "1"}),
		`relation "(a or b"`:       requires(rpm.Relation{Name: "(a or b"}),
		`relation "(a) or (b)"`:    requires(rpm.Relation{Name: "(a) or (b)"}),
		`relation "(a\x00b)"`:      requires(rpm.Relation{Name: "(a\x00b)"}),
		"is too long":              requires(rpm.Relation{Name: strings.Repeat("a", 1025)}),
		"provides: relation \"(a)": func(m *rpm.Meta) { m.Provides = []rpm.Relation{{Name: "(a)"}} },
		`provides: relation "a <`:  func(m *rpm.Meta) { m.Provides = []rpm.Relation{{"a", rpm.Less, "1"}} },
		"requires(post): relation": func(m *rpm.Meta) { m.Post.Requires = []rpm.Relation{{}} },
		"after(post): relation":    func(m *rpm.Meta) { m.Post.After = []rpm.Relation{{Name: "(a or b)"}} },
		"script pre: interpreter":  func(m *rpm.Meta) { m.Pre.Interpreter = "<lua>" },
		"script preun is not":      func(m *rpm.Meta) { m.PreUn.Body = "\x00" },
		"author is empty":          func(m *rpm.Meta) { m.Changelog[0].Author = "" },
		"expected a text and":      func(m *rpm.Meta) { m.Changelog[0].Text = "" },
		`changelog: text has the`:  func(m *rpm.Meta) { m.Changelog[0].Text = "\r" },
		"is newer than the one":    func(m *rpm.Meta) { m.Changelog[0], m.Changelog[1] = m.Changelog[1], m.Changelog[0] },
	} {
		m := kubelet()
		change(&m)
		if err := m.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected an error with %q", err, want)
		}
	}
}

func FuzzParseRelation(f *testing.F) {
	for _, s := range []string{"kubernetes-cni >= 1.2.0", "iptables", "/bin/sh", "(a or (b with c))", "a  =  1", "config(x) = 1:2-3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := rpm.ParseRelation(s)
		if err != nil {
			return
		}
		again, err := rpm.ParseRelation(r.String())
		if err != nil || again != r {
			t.Errorf("%q is %+v, and written again %+v: %v", s, r, again, err)
		}
	})
}
