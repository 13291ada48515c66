package main_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The rpm clients are this machine's, dnf 4 and zypper, told to work on a system elsewhere: a sandbox's Debian, which
// has a shell for the packages' scripts, with an empty rpm database. What our packages require of a distribution stands
// in a repository of stubs.

// stubs are the names by which distributions know what our packages may require, and the versions of today.
var stubs = []string{"iptables 1.8.10", "iproute 6.5.0", "conntrack-tools 1.4.7", "util-linux 2.39", "ethtool 6.6",
	"ebtables 2.0.11", "socat 1.8.0", "glibc 2.38", "systemd 255", "bash 5.2"}

// stubSpec makes one empty package of each.
func stubSpec() string {
	var spec strings.Builder
	spec.WriteString("Name: stubs\nVersion: 1\nRelease: 1\nSummary: Stubs\nLicense: Apache-2.0\nBuildArch: noarch\n" +
		"%description\nStubs.\n")
	for _, stub := range stubs {
		name, version, _ := strings.Cut(stub, " ")
		spec.WriteString("%package -n " + name + "\nVersion: " + version + "\nSummary: A stub of " + name + "\n")
		if name == "bash" {
			spec.WriteString("Provides: /bin/sh\n")
		}
		spec.WriteString("%description -n " + name + "\nA stub.\n%files -n " + name + "\n")
	}
	return spec.String()
}

// newRpmSandbox is a sandbox with an empty rpm database, a key in a file that rpm clients can import, and the stubs.
// It returns the folder of the stubs' repository.
func newRpmSandbox(t *testing.T) (s *sandbox, stubs string) {
	t.Helper()
	s = newSandbox(t, "bookworm")
	// Debian's rpm keeps its database in the user's home; a distribution of rpms has it here.
	writeFile(t, filepath.Join(s.scratch, ".rpmmacros"), "%_dbpath /var/lib/rpm\n%_topdir "+s.scratch+"/build\n")
	spec := filepath.Join(s.scratch, "stubs.spec")
	writeFile(t, spec, stubSpec())
	stubs = filepath.Join(s.scratch, "stubs")
	s.runHost("rpmbuild", "-bb", "--quiet", "--define", "_rpmdir "+stubs, spec)
	s.runHost("createrepo_c", "--quiet", stubs)
	s.runHost("rpm", "--root", s.root, "--initdb")
	return s, stubs
}

// repoFile is what a user writes into /etc/yum.repos.d, by a base URL or by our list of mirrors.
func repoFile(how string) string {
	url := "http://" + address + "/" + stream + "/rpm/"
	line := how + "=" + url
	if how == "mirrorlist" {
		line += "mirrorlist"
	}
	return "[kubernetes]\nname=Kubernetes\n" + line + "\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\n" +
		"gpgkey=" + url + "repodata/repomd.xml.key\n"
}

// dnf is the command line of dnf for a sandbox, before the command itself.
type dnf struct {
	*sandbox
	common []string
}

func newDnf(t *testing.T, how string) *dnf {
	t.Helper()
	s, stubs := newRpmSandbox(t)
	repos := filepath.Join(s.scratch, "repos")
	if err := os.Mkdir(repos, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(repos, "stubs.repo"), "[stubs]\nname=stubs\nbaseurl=file://"+stubs+"\ngpgcheck=0\n")
	config := filepath.Join(s.scratch, "dnf.conf")
	writeFile(t, config, "[main]\ngpgcheck=1\nrepo_gpgcheck=0\nretries=1\ntimeout=10\nmetadata_expire=0\n")
	d := &dnf{s, []string{"-y", "--installroot=" + s.root, "--config=" + config, "--setopt=reposdir=" + repos,
		"--setopt=cachedir=" + s.scratch + "/cache", "--setopt=logdir=" + s.scratch, "--setopt=install_weak_deps=0",
		"--releasever=1", "--noplugins"}}
	d.repo(repoFile(how))
	return d
}

// repo makes text the configuration of our repository.
func (d *dnf) repo(text string) {
	d.t.Helper()
	writeFile(d.t, filepath.Join(d.scratch, "repos/kubernetes.repo"), text)
}

func (d *dnf) attempt(args ...string) (string, error) {
	return d.tryHost("dnf", append(append([]string{}, d.common...), args...)...)
}

func (d *dnf) dnf(args ...string) string {
	d.t.Helper()
	return d.runHost("dnf", append(append([]string{}, d.common...), args...)...)
}

func testDnf(t *testing.T, p *published, how string) {
	d := newDnf(t, how)
	d.serve(p, p.first)
	d.dnf("install", "kubelet", "kubeadm", "kubectl", "cri-tools")
	d.checkRpms("v1.35.0")

	d.write("/etc/sysconfig/kubelet", editedSysconfig)
	d.serve(p, p.second)
	d.dnf("--refresh", "makecache") // a cache of the same second counts as fresh
	d.checkAdvisory()
	d.dnf("upgrade")
	d.checkRpms("v1.35.1")
	d.checkEdited()

	// A machine of another architecture, by metadata and download.
	foreign := filepath.Join(d.scratch, "foreign")
	d.dnf("--forcearch=aarch64", "install", "--downloadonly", "--downloaddir="+foreign, "--installroot="+d.scratch+"/aarch64", "kubelet")
	d.compareDownload(p, foreign, "rpm/aarch64/kubelet-1.35.1-*.aarch64.rpm")

	d.dnf("remove", "kubelet", "kubeadm", "kubectl", "cri-tools", "kubernetes-cni")
	d.checkRemoved()
}

// checkAdvisory checks what dnf knows of the stream's advisory before its packages are updated.
func (d *dnf) checkAdvisory() {
	d.t.Helper()
	list := d.dnf("updateinfo", "list", "--security")
	for _, want := range []string{"kubelet-1.35.1-1.1.x86_64", "kubeadm-1.35.1-1.1.x86_64"} {
		if !regexp.MustCompile(`(?m)^EX-2026-1 +Important/Sec\. +` + regexp.QuoteMeta(want) + `$`).MatchString(list) {
			d.t.Errorf("dnf lists no advisory for %s:\n%s", want, list)
		}
	}
	if strings.Contains(list, "kubectl") || strings.Contains(list, "aarch64") {
		d.t.Errorf("dnf lists advisories for what has none:\n%s", list)
	}
	info := d.dnf("updateinfo", "info", "EX-2026-1")
	for _, want := range []string{"Requests of a certain form were let in", "CVE-2026-0001", "They are <refused> again."} {
		if !strings.Contains(info, want) {
			d.t.Errorf("dnf does not tell %q of the advisory:\n%s", want, info)
		}
	}
	if check := d.dnf("check-update", "--security", "kubectl"); strings.Contains(check, "1.35.1") {
		d.t.Errorf("dnf takes the update of kubectl for one of security:\n%s", check)
	}
}

// testStaged installs from the bucket for staging, before anything in it is promoted: its mirrorlist leads to itself.
func testStaged(t *testing.T, p *published) {
	d := newDnf(t, "mirrorlist")
	d.repo(strings.ReplaceAll(repoFile("mirrorlist"), address, stagingAddress))
	d.serve(p, p.staged)
	d.dnf("install", "kubelet", "kubeadm", "kubectl", "cri-tools")
	d.checkRpms("v1.35.1")
	for bucket, want := range map[string]string{p.staged: stagingAddress, p.first: address, p.second: address} {
		list, err := os.ReadFile(filepath.Join(bucket, stream, "rpm/mirrorlist"))
		if err != nil || !strings.HasPrefix(string(list), "http://"+want+"/"+stream+"/rpm-snapshots/") {
			t.Errorf("the mirrorlist in %s is %q, %v", bucket, list, err)
		}
	}
}

// rpmFiles are what an installed stream must have brought, of each package.
var rpmFiles = []struct{ name, mode string }{
	{"/usr/bin/kubeadm", "-rwxr-xr-x"},
	{"/usr/bin/kubectl", "-rwxr-xr-x"},
	{"/usr/bin/kubelet", "-rwxr-xr-x"},
	{"/usr/bin/crictl", "-rwxr-xr-x"},
	{"/usr/lib/systemd/system/kubelet.service", "-rw-r--r--"},
	{"/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf", "-rw-r--r--"},
	{"/etc/sysconfig/kubelet", "-rw-r--r--"},
	{"/opt/cni/bin/host-local", "-rwxr-xr-x"},
	{"/opt/cni/bin/loopback", "-rwxr-xr-x"},
	{"/usr/share/licenses/kubelet/LICENSE", "-rw-r--r--"},
	{"/usr/share/doc/kubelet/README.md", "-rw-r--r--"},
}

const editedSysconfig = "KUBELET_EXTRA_ARGS=--v=4\n"

// checkRpms checks what is installed in a sandbox: every file, by its mode and by rpm's own judgement, and that kubelet
// runs.
func (s *sandbox) checkRpms(version string) {
	s.t.Helper()
	for _, f := range rpmFiles {
		if got, want := s.lstat(f.name), f.mode+" 0:0"; got != want {
			s.t.Errorf("%s is %s, want %s", f.name, got, want)
		}
	}
	for _, name := range debFolders {
		if got := s.lstat(name); !strings.HasPrefix(got, "d") || !strings.HasSuffix(got, " 0:0") {
			s.t.Errorf("%s is %s, want a folder of root's", name, got)
		}
	}
	if got, want := s.run("/usr/bin/kubelet", "--version"), "Kubernetes "+version; !strings.Contains(got, want) {
		s.t.Errorf("kubelet --version says %q, want %q", got, want)
	}
	out, _ := s.tryHost("rpm", "--root", s.root, "--verify", "kubelet", "kubeadm", "kubectl", "cri-tools", "kubernetes-cni")
	for line := range strings.Lines(out) {
		// The user's configuration may differ: S.5....T.  c /etc/sysconfig/kubelet.
		if !strings.HasSuffix(line, " c /etc/sysconfig/kubelet\n") {
			s.t.Errorf("rpm --verify: %s", line)
		}
	}
	signatures := s.runHost("rpm", "--root", s.root, "--query", "--qf", "%{NAME} %{RSAHEADER:pgpsig}\n",
		"kubelet", "kubeadm", "kubectl", "cri-tools", "kubernetes-cni")
	if strings.Count(signatures, "RSA/SHA256") != 5 {
		s.t.Errorf("not every installed rpm carries an RSA/SHA256 signature:\n%s", signatures)
	}
}

func (s *sandbox) checkEdited() {
	s.t.Helper()
	if got := s.read("/etc/sysconfig/kubelet"); got != editedSysconfig {
		s.t.Errorf("the upgrade made /etc/sysconfig/kubelet %q, want the user's %q", got, editedSysconfig)
	}
}

// checkRemoved checks that nothing is left but the configuration that the user edited, as rpm keeps it.
func (s *sandbox) checkRemoved() {
	s.t.Helper()
	for _, f := range rpmFiles {
		if got := s.lstat(f.name); got != "missing" {
			s.t.Errorf("after removing, %s is %s", f.name, got)
		}
	}
	if got := s.read("/etc/sysconfig/kubelet.rpmsave"); got != editedSysconfig {
		s.t.Errorf("/etc/sysconfig/kubelet.rpmsave is %q, want the user's %q", got, editedSysconfig)
	}
}

// compareDownload compares the one file of a folder, wherever below it, with an object of the second bucket.
func (s *sandbox) compareDownload(p *published, dir, pattern string) {
	s.t.Helper()
	object := objects(s.t, p.second, pattern)[0]
	want, err := os.ReadFile(filepath.Join(p.second, object))
	if err != nil {
		s.t.Fatal(err)
	}
	var got []byte
	err = s.inside(func() error {
		return filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
			if err == nil && filepath.Base(name) == filepath.Base(object) {
				got, err = os.ReadFile(name)
			}
			return err
		})
	})
	if err != nil || string(got) != string(want) {
		s.t.Errorf("downloaded %s with sha256 %x, want %x (%v)", object, sha256.Sum256(got), sha256.Sum256(want), err)
	}
}

// testDnfDamage damages what is published, one object at a time, and wants dnf to refuse it.
func testDnfDamage(t *testing.T, p *published, how string) {
	d := newDnf(t, how)
	attempt := func(d *dnf) (string, error) {
		d.runHost("rm", "-rf", d.scratch+"/cache")
		return d.attempt("install", "--downloadonly", "kubelet")
	}
	d.serve(p, p.second)
	if out, err := attempt(d); err != nil {
		t.Fatalf("dnf refuses the undamaged stream: %v\n%s", err, out)
	}
	for _, damage := range rpmDamages {
		t.Run(damage.name, func(t *testing.T) {
			d.serve(p, damage.make(t, p))
			if out, err := attempt(d); err == nil {
				t.Errorf("dnf took a stream with damage to %s:\n%s", damage.name, out)
			} else if !strings.Contains(out, damage.dnfSays) {
				t.Errorf("dnf does not say %q, so it may have failed for another reason:\n%s", damage.dnfSays, out)
			}
		})
	}
	t.Run("another key", func(t *testing.T) {
		d := newDnf(t, how) // one that has never seen ours
		d.serve(p, p.second)
		key := filepath.Join(d.scratch, "another.asc")
		writeFile(t, key, readFile(t, anotherKey(t, p)))
		ours, _, _ := strings.Cut(repoFile(how), "gpgkey=")
		d.repo(ours + "gpgkey=file://" + key + "\n")
		if out, err := attempt(d); err == nil || !strings.Contains(out, "repomd.xml GPG signature verification error") {
			t.Errorf("dnf took a stream whose key it does not have, or failed for another reason: %v\n%s", err, out)
		}
		// The packages are signed themselves: with the index unchecked, dnf still refuses to install them.
		d.repo(strings.Replace(ours, "repo_gpgcheck=1", "repo_gpgcheck=0", 1) + "gpgkey=file://" + key + "\n")
		if out, err := d.attempt("install", "kubectl"); err == nil || !strings.Contains(out, "GPG check FAILED") {
			t.Errorf("dnf installed a package whose key it does not have, or failed for another reason: %v\n%s", err, out)
		}
	})
	t.Run("an index forged to fit a damaged package", func(t *testing.T) {
		forged := rpmDamages[0].make(t, p)
		rpm := filepath.Join(forged, stream, "rpm")
		if err := os.RemoveAll(rpm + "/repodata"); err != nil {
			t.Fatal(err)
		}
		command(t, rpm, "createrepo_c", "--quiet", ".")
		d.serve(p, forged)
		unchecked := strings.Replace(repoFile("baseurl"), "repo_gpgcheck=1", "repo_gpgcheck=0", 1)
		d.repo(strings.Replace(unchecked, "repodata/repomd.xml.key", "../deb/Release.key", 1))
		if out, err := d.attempt("install", "--downloadonly", "kubelet"); err == nil {
			t.Errorf("dnf took a damaged package of a forged index:\n%s", out)
		}
	})
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
