package deb_test

import (
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/deb"
)

func TestCheckRefuses(t *testing.T) {
	if err := kubelet().Check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*deb.Meta){
		`Package "Kubelet"`:      func(m *deb.Meta) { m.Package = "Kubelet" },
		`Package "k"`:            func(m *deb.Meta) { m.Package = "k" },
		`Package "../k"`:         func(m *deb.Meta) { m.Package = "../k" },
		`Package "a\nb"`:         func(m *deb.Meta) { m.Package = "a\nb" },
		`Version "v1.34.1-1"`:    func(m *deb.Meta) { m.Version = "v1.34.1-1" },
		`Version "1:1.34.1-1"`:   func(m *deb.Meta) { m.Version = "1:1.34.1-1" },
		`Version "1.34.1-"`:      func(m *deb.Meta) { m.Version = "1.34.1-" },
		`Version "1/2"`:          func(m *deb.Meta) { m.Version = "1/2" },
		`Version ""`:             func(m *deb.Meta) { m.Version = "" },
		`Architecture "x86_64"`:  func(m *deb.Meta) { m.Architecture = "x86_64" },
		`Maintainer "nobody"`:    func(m *deb.Meta) { m.Maintainer = "nobody" },
		`Maintainer "A <a@b>\n`:  func(m *deb.Meta) { m.Maintainer = "A <a@b>\nX: y" },
		`Section "Net"`:          func(m *deb.Meta) { m.Section = "Net" },
		`Priority "extra"`:       func(m *deb.Meta) { m.Priority = "extra" },
		`Homepage "kubernetes.i`: func(m *deb.Meta) { m.Homepage = "kubernetes.io" },
		`Homepage "https://a\nb`: func(m *deb.Meta) { m.Homepage = "https://a\nb" },
		"Summary is empty":       func(m *deb.Meta) { m.Summary = "" },
		`Summary is "a\nb"`:      func(m *deb.Meta) { m.Summary = "a\nb" },
		`Summary is "a\ufffe"`:   func(m *deb.Meta) { m.Summary = "a\ufffe" },
		`Summary is " a"`:        func(m *deb.Meta) { m.Summary = " a" },
		"Summary has 8193":       func(m *deb.Meta) { m.Summary = strings.Repeat("a", 8193) },
		`the line "a\tb"`:        func(m *deb.Meta) { m.Description = "x\na\tb" },
		`the line "a\r"`:         func(m *deb.Meta) { m.Description = "a\r\nb" },
		"full stop in front":     func(m *deb.Meta) { m.Description = "a\n.b" },
		"no Time":                func(m *deb.Meta) { m.Time = time.Time{} },
		`Depends "a (>= 1"`:      func(m *deb.Meta) { m.Depends = []string{"a (>= 1"} },
		`Depends "a, b"`:         func(m *deb.Meta) { m.Depends = []string{"a, b"} },
		`Depends "a (> 1)"`:      func(m *deb.Meta) { m.Depends = []string{"a (> 1)"} },
		`Depends "<!x>"`:         func(m *deb.Meta) { m.Depends = []string{"<!x>"} },
		`Depends "a [amd64]"`:    func(m *deb.Meta) { m.Depends = []string{"a [amd64]"} },
		`Depends "a\nX: y"`:      func(m *deb.Meta) { m.Depends = []string{"a\nX: y"} },
		`Depends ""`:             func(m *deb.Meta) { m.Depends = []string{""} },
		`Provides "a (>= 1)"`:    func(m *deb.Meta) { m.Provides = []string{"a (>= 1)"} },
		`Conflicts "aa | bb"`:    func(m *deb.Meta) { m.Conflicts = []string{"aa | bb"} },
		`field "x"`:              func(m *deb.Meta) { m.Extra = []deb.Field{{"x", "y"}} },
		`field "X y"`:            func(m *deb.Meta) { m.Extra = []deb.Field{{"X y", "y"}} },
		"field Depends is":       func(m *deb.Meta) { m.Extra = []deb.Field{{"Depends", "y"}} },
		"field Multi-Arch is":    func(m *deb.Meta) { m.Extra = []deb.Field{{"Multi-Arch", "same"}, {"Multi-Arch", "same"}} },
		"Multi-Arch is empty":    func(m *deb.Meta) { m.Extra = []deb.Field{{"Multi-Arch", ""}} },
		`Origin is "a\nb"`:       func(m *deb.Meta) { m.Extra = []deb.Field{{"Origin", "a\nb"}} },
		`script "config"`:        func(m *deb.Meta) { m.Scripts = map[string]string{"config": "#!/bin/sh"} },
		"script prerm: expected": func(m *deb.Meta) { m.Scripts = map[string]string{"prerm": "exit 0"} },
		"script prerm is not":    func(m *deb.Meta) { m.Scripts = map[string]string{"prerm": "#!/bin/sh\x00"} },
	} {
		m := kubelet()
		change(&m)
		if err := m.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected an error with %q", err, want)
		}
	}
}
