package build

import (
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/build/release"
)

// dependencies is the whole table: what a package depends on in a version, in the order of the control file. The version is
// the first for which the line holds; the lines of a package are in the order of versions.
var dependencies = []struct{ name, version, deb, rpm string }{
	{"kubelet", "v1.24.0", "iptables (>= 1.4.21), kubernetes-cni (>= 0.8.7), mount, util-linux, conntrack, iproute2",
		"iptables >= 1.4.21, kubernetes-cni >= 0.8.7, util-linux, conntrack-tools, iproute"},
	{"kubelet", "v1.24.5", "iptables (>= 1.4.21), kubernetes-cni (>= 1.1.1), mount, util-linux, conntrack, iproute2",
		"iptables >= 1.4.21, kubernetes-cni >= 1.1.1, util-linux, conntrack-tools, iproute"},
	{"kubelet", "v1.25.0", "iptables (>= 1.4.21), kubernetes-cni (>= 0.8.7), mount, util-linux, conntrack, iproute2",
		"iptables >= 1.4.21, kubernetes-cni >= 0.8.7, util-linux, conntrack-tools, iproute"},
	{"kubelet", "v1.25.1-rc.0", "iptables (>= 1.4.21), kubernetes-cni (>= 1.1.1), mount, util-linux, conntrack, iproute2",
		"iptables >= 1.4.21, kubernetes-cni >= 1.1.1, util-linux, conntrack-tools, iproute"},
	{"kubelet", "v1.28.0", "iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0), mount, util-linux, conntrack, iproute2",
		"iptables >= 1.4.21, kubernetes-cni >= 1.2.0, util-linux, conntrack-tools, iproute"},
	{"kubelet", "v1.32.0", "iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0), mount, util-linux, iproute2",
		"iptables >= 1.4.21, kubernetes-cni >= 1.2.0, util-linux, iproute"},
	{"kubelet", "v1.33.0", "iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0), mount, util-linux",
		"iptables >= 1.4.21, kubernetes-cni >= 1.2.0, util-linux"},
	{"kubelet", "v1.99.0", "iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0), mount, util-linux",
		"iptables >= 1.4.21, kubernetes-cni >= 1.2.0, util-linux"},

	{"kubeadm", "v1.24.0", "kubelet (>= 1.19.0), kubectl (>= 1.19.0), kubernetes-cni (>= 0.8.7), cri-tools (>= 1.23.0)",
		"kubelet >= 1.19.0, kubectl >= 1.19.0, kubernetes-cni >= 0.8.7, cri-tools >= 1.23.0"},
	{"kubeadm", "v1.24.2", "kubelet (>= 1.19.0), kubectl (>= 1.19.0), kubernetes-cni (>= 0.8.7), cri-tools (>= 1.24.2)",
		"kubelet >= 1.19.0, kubectl >= 1.19.0, kubernetes-cni >= 0.8.7, cri-tools >= 1.24.2"},
	{"kubeadm", "v1.24.5", "kubelet (>= 1.19.0), kubectl (>= 1.19.0), kubernetes-cni (>= 1.1.1), cri-tools (>= 1.25.0)",
		"kubelet >= 1.19.0, kubectl >= 1.19.0, kubernetes-cni >= 1.1.1, cri-tools >= 1.25.0"},
	{"kubeadm", "v1.25.0", "kubelet (>= 1.19.0), kubectl (>= 1.19.0), kubernetes-cni (>= 0.8.7), cri-tools (>= 1.24.2)",
		"kubelet >= 1.19.0, kubectl >= 1.19.0, kubernetes-cni >= 0.8.7, cri-tools >= 1.24.2"},
	{"kubeadm", "v1.25.1-rc.0", "kubelet (>= 1.19.0), kubectl (>= 1.19.0), kubernetes-cni (>= 1.1.1), cri-tools (>= 1.25.0)",
		"kubelet >= 1.19.0, kubectl >= 1.19.0, kubernetes-cni >= 1.1.1, cri-tools >= 1.25.0"},
	{"kubeadm", "v1.28.0", "kubelet (>= 1.19.0), kubectl (>= 1.19.0), kubernetes-cni (>= 1.2.0), cri-tools (>= 1.28.0)",
		"kubelet >= 1.19.0, kubectl >= 1.19.0, kubernetes-cni >= 1.2.0, cri-tools >= 1.28.0"},
	{"kubeadm", "v1.30.0", "cri-tools (>= 1.30.0)", "cri-tools >= 1.30.0"},
	{"kubeadm", "v1.32.0", "", ""},
	{"kubeadm", "v1.99.0", "", ""},

	{"kubectl", "v1.24.0", "", ""},
	{"cri-tools", "v1.0.0", "", ""},
	{"kubernetes-cni", "v0.8.7", "", ""},
}

// candidates are versions around every border of the table.
func candidates(t *testing.T) []release.Version {
	var all []release.Version
	for _, s := range strings.Fields(`v0.8.7 v1.0.0 v1.9.1 v1.24.0 v1.24.1 v1.24.2-rc.0 v1.24.2 v1.24.4 v1.24.5-rc.0 v1.24.5 v1.24.17
		v1.25.0-alpha.0.7+abcdef v1.25.0-alpha.1 v1.25.0-rc.1 v1.25.0 v1.25.1-rc.0 v1.25.1-rc.0.3+abcdef v1.25.1 v1.27.16
		v1.28.0-alpha.1 v1.28.0-rc.1 v1.28.0 v1.28.15 v1.29.0-rc.0 v1.29.0 v1.29.14 v1.30.0-rc.2 v1.30.0 v1.31.14
		v1.32.0-alpha.0 v1.32.0-rc.0 v1.32.0-rc.0.5+abcdef v1.32.0 v1.32.1 v1.33.0-beta.0 v1.33.0 v1.34.1 v1.35.0-alpha.1 v1.36.2 v1.99.0`) {
		v, err := release.ParseVersion(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

func TestDependencies(t *testing.T) {
	definitions := defaults(t)
	for _, name := range packages {
		checked := 0
		for _, v := range candidates(t) {
			d := definitions[name]
			if !d.Versions.Contains(v) {
				continue
			}
			checked++
			var deb, rpm string
			for _, line := range dependencies {
				from, err := release.ParseVersion(line.version)
				if err != nil {
					t.Fatal(err)
				}
				if line.name == name && v.Compare(from) >= 0 {
					deb, rpm = line.deb, line.rpm
				}
			}
			p := &prepared{definition: d, request: request(t, name, v.String(), "amd64"), date: released}
			if got := strings.Join(p.debMeta().Depends, ", "); got != deb {
				t.Errorf("%s %s as deb depends on\n%s, want\n%s", name, v, got, deb)
			}
			var relations []string
			for _, r := range p.rpmMeta().Requires {
				relations = append(relations, r.String())
			}
			if got := strings.Join(relations, ", "); got != rpm {
				t.Errorf("%s %s as rpm requires\n%s, want\n%s", name, v, got, rpm)
			}
		}
		if checked < 20 {
			t.Errorf("%s: only %d versions were tried", name, checked)
		}
	}
}

func TestUnsupportedVersions(t *testing.T) {
	for name, versions := range map[string]string{"kubelet": "v1.23.17 v1.24.0-rc.0", "kubeadm": "v1.23.0", "kubernetes-cni": "v0.8.6", "cri-tools": "v0.9.0"} {
		for _, s := range strings.Fields(versions) {
			if v := request(t, name, s, "amd64").Version; defaults(t)[name].Versions.Contains(v) {
				t.Errorf("%s %s can be built", name, s)
			}
		}
	}
}

func TestLibraries(t *testing.T) {
	static := release.Binary{}
	old := release.Binary{Interpreter: "/lib64/ld-linux-x86-64.so.2", Libraries: []string{"libc.so.6", "libpthread.so.0"}, Glibc: "2.9",
		Symbols: map[string][]string{"libc.so.6": {"GLIBC_2.2.5", "GLIBC_2.9"}, "libpthread.so.0": {"GLIBC_2.2.5"}}}
	recent := release.Binary{Interpreter: "/lib/ld64.so.1", Libraries: []string{"ld64.so.2", "libc.so.6"}, Glibc: "2.34", Symbols: map[string][]string{"libc.so.6": {"GLIBC_2.34"}}}
	for _, c := range []struct {
		binaries []release.Binary
		deb, rpm string
	}{
		{nil, "", ""},
		{[]release.Binary{static, static}, "", ""},
		{[]release.Binary{static, old}, "libc6 (>= 2.9)", "libc.so.6()(64bit) libc.so.6(GLIBC_2.2.5)(64bit) libc.so.6(GLIBC_2.9)(64bit) libpthread.so.0()(64bit) libpthread.so.0(GLIBC_2.2.5)(64bit)"},
		{[]release.Binary{recent, {Libraries: []string{"libc.so.6"}, Glibc: "2.9"}}, "libc6 (>= 2.34)", "ld64.so.2()(64bit) libc.so.6()(64bit) libc.so.6(GLIBC_2.34)(64bit)"},
		{[]release.Binary{{Interpreter: "x", Libraries: []string{"libc.so.6"}}}, "libc6", "libc.so.6()(64bit)"},
	} {
		if got := strings.Join(debLibraries(c.binaries), ", "); got != c.deb {
			t.Errorf("got %q, want %q", got, c.deb)
		}
		var names []string
		for _, r := range rpmLibraries(c.binaries) {
			names = append(names, r.Name)
		}
		if got := strings.Join(names, " "); got != c.rpm {
			t.Errorf("got %q, want %q", got, c.rpm)
		}
		for _, b := range c.binaries {
			if err := checkLibraries(b); err != nil {
				t.Error(err)
			}
		}
	}
	for _, b := range []release.Binary{
		{Interpreter: "x", Libraries: []string{"libc.so.6", "libseccomp.so.2"}},
		{Interpreter: "/lib/ld-musl-x86_64.so.1", Libraries: []string{"libc.musl-x86_64.so.1"}},
		{Interpreter: "/lib64/ld-linux-x86-64.so.2"},
	} {
		if checkLibraries(b) == nil {
			t.Errorf("%+v is accepted", b)
		}
	}
}
