package main_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An aptClient is an apt that users have.
type aptClient struct {
	suite string // of Debian
	// keyring is where the key goes and in which form: the way of the Kubernetes documentation (gpg --dearmor), and the
	// shorter one that newer systems allow.
	keyring string
}

var aptClients = []aptClient{
	{"bullseye", "/etc/apt/keyrings/kubernetes-apt-keyring.gpg"}, // apt 2.2, dpkg 1.20, gpgv 2.2
	{"bookworm", "/etc/apt/keyrings/kubernetes-apt-keyring.gpg"}, // apt 2.6, gpgv 2.2
	{"trixie", "/etc/apt/keyrings/kubernetes-apt-keyring.asc"},   // apt 3.0, sqv
}

// strictly makes apt-get fail where it would only warn, and check what some images' configuration lets pass.
var strictly = []string{"-q", "-y", "-o", "APT::Update::Error-Mode=any", "-o", "Acquire::Retries=0",
	"-o", "Acquire::Check-Date=true", "-o", "Acquire::Check-Valid-Until=true", "-o", "Dpkg::Use-Pty=0"}

func aptGet(args ...string) []string { return append(append([]string{}, strictly...), args...) }

// newAptSandbox is a sandbox whose apt knows the stream and trusts the armored key.
func newAptSandbox(t *testing.T, p *published, client aptClient, key string) *sandbox {
	t.Helper()
	s := newSandbox(t, client.suite)
	s.write("/etc/apt/sources.list.d/kubernetes.list",
		"deb [signed-by="+client.keyring+"] http://"+address+"/"+stream+"/deb/ /\n")
	s.trust(client, key)
	return s
}

// trust puts a key where the sandbox's apt looks for it.
func (s *sandbox) trust(client aptClient, key string) {
	s.t.Helper()
	if strings.HasSuffix(client.keyring, ".gpg") {
		key = command(s.t, s.scratch, "gpg", "--dearmor", "--output", "-", key)
	} else {
		data, err := os.ReadFile(key)
		if err != nil {
			s.t.Fatal(err)
		}
		key = string(data)
	}
	s.write(client.keyring, key)
}

// debFiles are what an installed stream must have brought, of each package, and how: root's, with these permissions.
var debFiles = []struct{ name, mode string }{
	{"/usr/bin/kubeadm", "-rwxr-xr-x"},
	{"/usr/bin/kubectl", "-rwxr-xr-x"},
	{"/usr/bin/kubelet", "-rwxr-xr-x"},
	{"/usr/bin/crictl", "-rwxr-xr-x"},
	{"/lib/systemd/system/kubelet.service", "-rw-r--r--"},
	{"/lib/systemd/system/kubelet.service.d/10-kubeadm.conf", "-rw-r--r--"},
	{"/etc/default/kubelet", "-rw-r--r--"},
	{"/opt/cni/bin/host-local", "-rwxr-xr-x"},
	{"/opt/cni/bin/loopback", "-rwxr-xr-x"},
	{"/usr/share/doc/kubelet/README.md", "-rw-r--r--"},
	{"/usr/share/doc/kubelet/copyright", "-rw-r--r--"},
}

// debFolders must be there, whatever their permissions.
var debFolders = []string{"/var/lib/kubelet", "/etc/kubernetes", "/etc/kubernetes/manifests", "/etc/cni/net.d"}

func testApt(t *testing.T, p *published, client aptClient) {
	s := newAptSandbox(t, p, client, p.key)
	s.serve(p, p.first)
	s.run("apt-get", aptGet("update")...)
	if policy := s.run("apt-cache", "policy", "kubelet"); !strings.Contains(policy, "Candidate: 1.35.0-1.1") {
		t.Fatalf("apt does not see kubelet 1.35.0-1.1:\n%s", policy)
	}

	s.run("apt-get", aptGet("install", "kubelet", "kubeadm", "kubectl", "cri-tools")...)
	for _, f := range debFiles {
		if got, want := s.lstat(f.name), f.mode+" 0:0"; got != want {
			t.Errorf("%s is %s, want %s", f.name, got, want)
		}
	}
	for _, name := range debFolders {
		if got := s.lstat(name); !strings.HasPrefix(got, "d") || !strings.HasSuffix(got, " 0:0") {
			t.Errorf("%s is %s, want a folder of root's", name, got)
		}
	}
	if got, want := s.run("/usr/bin/kubelet", "--version"), "Kubernetes v1.35.0"; !strings.Contains(got, want) {
		t.Errorf("kubelet --version says %q, want %q", got, want)
	}
	got := s.run("dpkg-query", "-W", "-f", "${Conffiles}", "kubelet") // each with its digest
	if words := strings.Fields(got); len(words) != 2 || words[0] != "/etc/default/kubelet" {
		t.Errorf("kubelet's conffiles are %q, want /etc/default/kubelet alone", got)
	}
	if got := strings.TrimSpace(s.run("systemctl", "is-enabled", "kubelet.service")); got != "enabled" {
		t.Errorf("kubelet.service is %s after installing, want enabled as Debian's preset says", got)
	}
	s.intact("kubelet", "kubeadm", "kubectl", "cri-tools", "kubernetes-cni")
	s.downloadForeign(p.first, "kubelet_1.35.0-1.1_arm64.deb")

	// An upgrade keeps what the user wrote into the configuration.
	edited := "KUBELET_EXTRA_ARGS=--v=4\n"
	s.write("/etc/default/kubelet", edited)
	s.serve(p, p.second)
	s.run("apt-get", aptGet("update")...)
	s.run("apt-get", aptGet("upgrade")...)
	if got, want := s.run("/usr/bin/kubelet", "--version"), "Kubernetes v1.35.1"; !strings.Contains(got, want) {
		t.Errorf("after the upgrade kubelet --version says %q, want %q", got, want)
	}
	if got := s.read("/etc/default/kubelet"); got != edited {
		t.Errorf("the upgrade made /etc/default/kubelet %q, want the user's %q", got, edited)
	}
	if got := s.run("dpkg-query", "-W", "-f", "${Package} ${Version}\n", "kubeadm", "kubectl", "kubelet"); strings.Count(got, "1.35.1-1.1") != 3 {
		t.Errorf("after the upgrade dpkg has\n%s", got)
	}

	// Removing keeps the configuration, purging does not.
	s.run("apt-get", aptGet("remove", "kubelet", "kubeadm", "kubectl", "cri-tools", "kubernetes-cni")...)
	for _, f := range debFiles {
		want := "missing"
		if f.name == "/etc/default/kubelet" {
			want = f.mode + " 0:0"
		}
		if got := s.lstat(f.name); got != want {
			t.Errorf("after removing, %s is %s, want %s", f.name, got, want)
		}
	}
	s.run("apt-get", aptGet("purge", "kubelet", "kubeadm", "kubectl", "cri-tools", "kubernetes-cni")...)
	for _, name := range []string{"/etc/default/kubelet", "/etc/systemd/system/multi-user.target.wants/kubelet.service"} {
		if got := s.lstat(name); got != "missing" {
			t.Errorf("after purging, %s is %s", name, got)
		}
	}
	if left := s.run("dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n"); strings.Contains(left, "kube") {
		t.Errorf("after purging dpkg still knows\n%s", left)
	}
}

// intact lets dpkg compare what is installed with what the packages said.
func (s *sandbox) intact(packages ...string) {
	s.t.Helper()
	if out := s.run("dpkg", append([]string{"--verify"}, packages...)...); out != "" {
		s.t.Errorf("dpkg --verify:\n%s", out)
	}
	if out := s.run("dpkg", "--audit"); out != "" {
		s.t.Errorf("dpkg --audit:\n%s", out)
	}
}

// downloadForeign lets apt download a package for an architecture that is not the machine's, and compares it with the
// object in the bucket.
func (s *sandbox) downloadForeign(bucket, name string) {
	s.t.Helper()
	object := objects(s.t, bucket, "deb/*/"+name)[0]
	want, err := os.ReadFile(filepath.Join(bucket, object))
	if err != nil {
		s.t.Fatal(err)
	}
	arch := filepath.Base(filepath.Dir(object))
	s.run("dpkg", "--add-architecture", arch)
	s.run("apt-get", aptGet("update")...)
	s.run("sh", "-c", "mkdir -p /tmp/foreign && cd /tmp/foreign && exec apt-get "+
		strings.Join(aptGet("download", "kubelet:"+arch), " "))
	if got := s.read("/tmp/foreign/" + name); got != string(want) {
		s.t.Errorf("apt downloaded %s with sha256 %x, want %x", name, sha256.Sum256([]byte(got)), sha256.Sum256(want))
	}
	s.run("dpkg", "--remove-architecture", arch)
	s.run("apt-get", aptGet("update")...)
}

// testAptDamage damages what is published, one object at a time, and wants apt to refuse it.
func testAptDamage(t *testing.T, p *published, client aptClient) {
	s := newAptSandbox(t, p, client, p.key)
	attempt := func() (string, error) {
		s.run("sh", "-c", "rm -rf /var/lib/apt/lists /var/cache/apt/archives")
		if out, err := s.try("apt-get", aptGet("update")...); err != nil {
			return out, err
		}
		return s.try("apt-get", aptGet("install", "--download-only", "kubelet")...)
	}
	s.serve(p, p.second)
	if out, err := attempt(); err != nil {
		t.Fatalf("apt refuses the undamaged stream: %v\n%s", err, out)
	}
	for _, d := range aptDamages {
		t.Run(d.name, func(t *testing.T) {
			s.serve(p, d.makeFor(t, p))
			out, err := attempt()
			if err == nil {
				t.Errorf("apt took a stream with damage to %s:\n%s", d.name, out)
			} else if !strings.Contains(out, d.aptSays) {
				t.Errorf("apt does not say %q, so it may have failed for another reason:\n%s", d.aptSays, out)
			}
		})
	}
	t.Run("another key", func(t *testing.T) {
		s.serve(p, p.second)
		s.trust(client, anotherKey(t, p))
		defer s.trust(client, p.key)
		if out, err := attempt(); err == nil {
			t.Errorf("apt took a stream whose key it does not have:\n%s", out)
		} else if !strings.Contains(out, "InRelease") {
			t.Errorf("apt failed, but not for the signature of InRelease:\n%s", out)
		}
	})
}

// anotherKey makes a key that has signed nothing, and returns the name of a file with its public half.
func anotherKey(t *testing.T, p *published) string {
	t.Helper()
	dir := t.TempDir()
	p.pkgs(t, "keys", "generate", "--out", filepath.Join(dir, "key.asc"), "--name", "another", "--email", "another@example.org")
	config := filepath.Join(dir, "pkgs.yaml")
	writeFile(t, config, readFile(t, p.config))
	public := filepath.Join(dir, "public.asc")
	writeFile(t, public, p.pkgs(t, "keys", "export", "--config", config))
	return public
}
