package build

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// contents are the files of every package, as "mode path", without what is in /usr/share.
var contents = map[string][]string{
	"cri-tools": {"-rwxr-xr-x /usr/bin/crictl"},
	"kubeadm": {"-rwxr-xr-x /usr/bin/kubeadm", "drwxr-xr-x /usr/lib/systemd/system/kubelet.service.d",
		"-rw-r--r-- /usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"},
	"kubectl": {"-rwxr-xr-x /usr/bin/kubectl"},
	"kubelet": {"-rw-r--r-- ENVIRONMENT/kubelet", "drwxr-xr-x /etc/kubernetes", "drwxr-xr-x /etc/kubernetes/manifests",
		"-rwxr-xr-x /usr/bin/kubelet", "-rw-r--r-- /usr/lib/systemd/system/kubelet.service", "drwxr-xr-x /var/lib/kubelet"},
	"kubernetes-cni": {"drwxr-xr-x /etc/cni", "drwxr-xr-x /etc/cni/net.d", "drwxr-xr-x /opt/cni", "drwxr-xr-x /opt/cni/bin",
		"-rwxr-xr-x /opt/cni/bin/bridge", "-rwxr-xr-x /opt/cni/bin/host-local", "-rwxr-xr-x /opt/cni/bin/loopback"},
}

var manuals = map[string]string{"cri-tools": "crictl", "kubeadm": "kubeadm", "kubectl": "kubectl", "kubelet": "kubelet"}

// What dpkg-deb and rpm see in the packages is what was wanted, no more and no less.
func TestContents(t *testing.T) {
	for _, name := range packages {
		manual := func(list []string) []string {
			if m := manuals[name]; m != "" {
				list = append(list, "-rw-r--r-- /usr/share/man/man1/"+m+".1.gz")
			}
			return list
		}
		compare := func(t *testing.T, environment string, got, more []string) {
			var want []string
			for _, line := range append(slices.Clone(contents[name]), more...) {
				want = append(want, strings.Replace(line, "ENVIRONMENT", environment, 1))
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		t.Run(name+".deb", func(t *testing.T) {
			var got []string
			parents := regexp.MustCompile(`^(/|/usr|/etc|/opt|/var|/etc/default|/usr/bin|/usr/lib|/var/lib|/usr/lib/systemd.*|/usr/share.*)$`)
			for line := range strings.Lines(run(t, "dpkg", "dpkg-deb", "-c", find(t, name, Deb))) {
				f := strings.Fields(line)
				if f[1] != "root/root" {
					t.Errorf("%s belongs to %s", f[5], f[1])
				}
				path := "/" + strings.Trim(strings.TrimPrefix(f[5], "."), "/")
				// A deb has the parents of its files, too.
				if f[0] == "drwxr-xr-x" && parents.MatchString(path) && !slices.Contains(contents[name], f[0]+" "+path) {
					continue
				}
				got = append(got, f[0]+" "+path)
			}
			doc := "-rw-r--r-- /usr/share/doc/" + name
			compare(t, "/etc/default", got, manual([]string{doc + "/README.md", doc + "/changelog.Debian.gz", doc + "/copyright",
				"-rw-r--r-- /usr/share/lintian/overrides/" + name}))
		})
		t.Run(name+".rpm", func(t *testing.T) {
			out := run(t, "rpm", "rpm", "-qp", "--nosignature", "--qf", `[%{FILEMODES:perms} %{FILENAMES} %{FILEUSERNAME}/%{FILEGROUPNAME}\n]`, find(t, name, Rpm))
			var got []string
			for line := range strings.Lines(out) {
				path, owned := strings.CutSuffix(strings.TrimSpace(line), " root/root")
				if !owned {
					t.Errorf("%s belongs to somebody", line)
				}
				got = append(got, path)
			}
			compare(t, "/etc/sysconfig", got, manual([]string{"drwxr-xr-x /usr/share/doc/" + name, "-rw-r--r-- /usr/share/doc/" + name + "/README.md",
				"drwxr-xr-x /usr/share/licenses/" + name, "-rw-r--r-- /usr/share/licenses/" + name + "/LICENSE"}))
		})
	}
}

func TestControl(t *testing.T) {
	glibc := regexp.MustCompile(`libc6 \(>= 2\.[0-9.]+\)$`)
	fields := run(t, "dpkg", "dpkg-deb", "-f", find(t, "kubelet", Deb))
	for _, want := range []string{"Package: kubelet\n", "Version: 1.34.1-1.1\n", "Maintainer: Kubernetes Authors <dev@kubernetes.io>\n",
		"Section: net\n", "Priority: optional\n", "Homepage: https://kubernetes.io\n", "Description: Node agent for Kubernetes clusters\n",
		"Depends: iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0), mount, util-linux, libc6 (>= 2."} {
		if !strings.Contains(fields, want) {
			t.Errorf("%s\nhas no %s", fields, want)
		}
	}
	if depends := strings.TrimSpace(run(t, "dpkg", "dpkg-deb", "-f", find(t, "kubelet", Deb), "Depends")); !glibc.MatchString(depends) {
		t.Errorf("kubelet is dynamic but depends on %s", depends)
	}
	for _, name := range []string{"cri-tools", "kubeadm", "kubectl", "kubernetes-cni"} {
		if depends := strings.TrimSpace(run(t, "dpkg", "dpkg-deb", "-f", find(t, name, Deb), "Depends")); depends != "" {
			t.Errorf("%s depends on %s", name, depends)
		}
	}
	if conffiles := run(t, "dpkg", "dpkg-deb", "-I", find(t, "kubelet", Deb), "conffiles"); conffiles != "/etc/default/kubelet\n" {
		t.Errorf("the conffiles are %q", conffiles)
	}
}

// The drop-in file names the file with variables that the kubelet's package of the same format has.
func TestDropIn(t *testing.T) {
	const path = "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
	d := defaults(t)["kubeadm"]
	for format, want := range map[Format]string{Deb: "\nEnvironmentFile=-/etc/default/kubelet\n", Rpm: "\nEnvironmentFile=-/etc/sysconfig/kubelet\n"} {
		p := &prepared{definition: d, request: request(t, "kubeadm", "v1.34.1", "amd64"), date: released}
		i := slices.IndexFunc(d.Files, func(f File) bool { return f.Path == path })
		entries, err := p.entries(d.Files[i], format)
		if err != nil {
			t.Fatal(err)
		}
		r, err := entries[0].Content.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		data, err := io.ReadAll(r)
		if err != nil || !strings.Contains(string(data), want) || strings.Contains(string(data), "{") {
			t.Errorf("%s: got %s, %v", format, data, err)
		}
	}
}

func TestRpmHeader(t *testing.T) {
	query := func(name, format string) string {
		return strings.TrimSpace(run(t, "rpm", "rpm", "-qp", "--nosignature", "--qf", format, find(t, name, Rpm)))
	}
	for format, want := range map[string]string{
		"%{NAME}-%{VERSION}-%{RELEASE}": "kubelet-1.34.1-1.1", "%{LICENSE}": "Apache-2.0", "%{URL}": "https://kubernetes.io",
		"%{SUMMARY}": "Node agent for Kubernetes clusters", "%{PACKAGER}": "Kubernetes Authors <dev@kubernetes.io>",
		"%{VENDOR}": "obs://build.opensuse.org/isv:kubernetes", "%{BUILDTIME}": "1757502733", "%{BUILDHOST}": "pkgs.k8s.io",
		"[%{CHANGELOGNAME}]": "Kubernetes Authors <dev@kubernetes.io> - 1.34.1-1.1", "[%{CHANGELOGTEXT}]": "- Package the upstream release v1.34.1.",
	} {
		if got := query("kubelet", format); got != want {
			t.Errorf("%s is %q, want %q", format, got, want)
		}
	}
	requires := run(t, "rpm", "rpm", "-qpR", "--nosignature", find(t, "kubelet", Rpm))
	for _, want := range []string{"iptables >= 1.4.21\n", "kubernetes-cni >= 1.2.0\n", "util-linux\n", "libc.so.6()(64bit)\n", "libc.so.6(GLIBC_2."} {
		if !strings.Contains(requires, want) {
			t.Errorf("%s\nhas no %s", requires, want)
		}
	}
	for _, no := range []string{"mount", "conntrack", "iproute", "libc6"} {
		if strings.Contains(requires, no) {
			t.Errorf("%s\nhas %s", requires, no)
		}
	}
	// rpm's own dependency generator would find the same libraries.
	if runtime.GOOS == "linux" {
		if generator, err := exec.LookPath("/usr/lib/rpm/elfdeps"); err == nil {
			path, _ := exec.LookPath("true")
			cmd := exec.Command(generator, "--requires")
			cmd.Stdin = strings.NewReader(path + "\n")
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(out)) {
				if !strings.Contains(requires, line) && !strings.HasPrefix(line, "rtld(") {
					t.Errorf("elfdeps finds %s", line)
				}
			}
		}
	}
	if docs := run(t, "rpm", "rpm", "-qpd", "--nosignature", find(t, "kubelet", Rpm)); docs != "/usr/share/doc/kubelet/README.md\n/usr/share/man/man1/kubelet.1.gz\n" {
		t.Errorf("the documentation is %q", docs)
	}
	if licenses := run(t, "rpm", "rpm", "-qpL", "--nosignature", find(t, "kubelet", Rpm)); licenses != "/usr/share/licenses/kubelet/LICENSE\n" {
		t.Errorf("the license is %q", licenses)
	}
	if config := run(t, "rpm", "rpm", "-qpc", "--nosignature", find(t, "kubelet", Rpm)); config != "/etc/sysconfig/kubelet\n" {
		t.Errorf("the configuration is %q", config)
	}
}

// dpkg-shlibdeps finds the same dependency on the C library for a dynamically linked binary.
func TestShlibdeps(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"debian/control": "Source: x\n\nPackage: x\nArchitecture: any\n", "program": string(dynamic(t))} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	got := run(t, "dpkg-dev", "sh", "-c", `cd "$1" && dpkg-shlibdeps -O -eprogram`, "sh", dir)
	_, want, found := strings.Cut(run(t, "dpkg", "dpkg-deb", "-f", find(t, "kubelet", Deb), "Depends"), "util-linux, ")
	if want = strings.TrimSpace(want); !found || !strings.Contains(got, "shlibs:Depends="+want+"\n") {
		t.Errorf("dpkg-shlibdeps says %q, the package %q", got, want)
	}
}

// Lintian has nothing to say. What it would say without the overrides in the packages, and why it need not, stands in them.
func TestLintian(t *testing.T) {
	t.Parallel()
	if out := run(t, "lintian", "lintian", append([]string{"--allow-root", "--no-cfg"}, all(t, Deb)...)...); out != "" {
		t.Error(out)
	}
}

// Nor has rpmlint, except for what testdata/rpmlint.toml lists with reasons.
func TestRpmlint(t *testing.T) {
	t.Parallel()
	config, err := filepath.Abs("testdata/rpmlint.toml")
	if err != nil {
		t.Fatal(err)
	}
	out := run(t, "rpmlint", "rpmlint", append([]string{"--config", config}, all(t, Rpm)...)...)
	if !strings.Contains(out, "0 errors, 0 warnings") {
		t.Error(out)
	}
}
