package main_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// zypper is the command line of zypper for a sandbox, before the command itself.
type zypper struct {
	*sandbox
	config string // the file that zypp.conf is read from
	common []string
}

func newZypper(t *testing.T, how, key string) *zypper {
	t.Helper()
	s, stubs := newRpmSandbox(t)
	s.write("/etc/zypp/repos.d/stubs.repo", "[stubs]\nname=stubs\nenabled=1\nautorefresh=1\nbaseurl=file://"+stubs+"\ngpgcheck=0\n")
	// Both signatures are asked for by name: by itself zypper is content with that of the index.
	s.write("/etc/zypp/repos.d/kubernetes.repo", repoFile(how)+"pkg_gpgcheck=1\nautorefresh=1\n")
	config := filepath.Join(s.scratch, "zypp.conf")
	writeFile(t, config, "[main]\n")
	// zypper asks before it trusts a key, and here nobody answers: as an administrator does, the key is imported first.
	trusted := filepath.Join(s.scratch, "trusted.asc")
	writeFile(t, trusted, readFile(t, key))
	s.runHost("rpm", "--root", s.root, "--import", trusted)
	return &zypper{s, config, []string{"ZYPP_CONF=" + config, "zypper", "--root", s.root, "--non-interactive"}}
}

func (z *zypper) attempt(args ...string) (string, error) {
	return z.tryHost("env", append(append([]string{}, z.common...), args...)...)
}

func (z *zypper) zypper(args ...string) string {
	z.t.Helper()
	return z.runHost("env", append(append([]string{}, z.common...), args...)...)
}

func testZypper(t *testing.T, p *published, how string) {
	z := newZypper(t, how, p.key)
	z.serve(p, p.first)
	z.zypper("refresh", "--force")
	z.zypper("install", "--no-recommends", "kubelet", "kubeadm", "kubectl", "cri-tools")
	z.checkRpms("v1.35.0")

	z.write("/etc/sysconfig/kubelet", editedSysconfig)
	z.serve(p, p.second)
	z.zypper("refresh", "--force")
	if patches := z.zypper("list-patches", "--cve"); !strings.Contains(patches, "CVE-2026-0001 | EX-2026-1") {
		t.Errorf("zypper lists no patch for the CVE:\n%s", patches)
	}
	z.zypper("update", "--no-recommends")
	z.checkRpms("v1.35.1")
	z.checkEdited()

	z.zypper("remove", "kubelet", "kubeadm", "kubectl", "cri-tools", "kubernetes-cni")
	z.checkRemoved()

	// A machine of another architecture, by metadata and download.
	writeFile(t, z.config, "[main]\narch = aarch64\n")
	z.zypper("refresh", "--force")
	z.zypper("install", "--download-only", "--no-recommends", "kubelet")
	// By the mirrorlist the package's address has .. in it, and so has its place in the cache.
	z.compareDownload(p, z.root+"/var/cache/zypp", "rpm/aarch64/kubelet-1.35.1-*.aarch64.rpm")
}

// testZypperDamage damages what is published, one object at a time, and wants zypper to refuse it.
func testZypperDamage(t *testing.T, p *published, how string) {
	z := newZypper(t, how, p.key)
	attempt := func() (string, error) {
		z.run("sh", "-c", "rm -rf /var/cache/zypp")
		if out, err := z.attempt("refresh", "--force", "kubernetes"); err != nil {
			return out, err
		}
		return z.attempt("install", "--download-only", "--no-recommends", "kubelet")
	}
	z.serve(p, p.second)
	if out, err := attempt(); err != nil {
		t.Fatalf("zypper refuses the undamaged stream: %v\n%s", err, out)
	}
	for _, damage := range rpmDamages {
		t.Run(damage.name, func(t *testing.T) {
			z.serve(p, damage.make(t, p))
			if out, err := attempt(); err == nil {
				t.Errorf("zypper took a stream with damage to %s:\n%s", damage.name, out)
			} else if !strings.Contains(out, damage.zypperSays) {
				t.Errorf("zypper does not say %q, so it may have failed for another reason:\n%s", damage.zypperSays, out)
			}
		})
	}
	t.Run("another key", func(t *testing.T) {
		z := newZypper(t, how, anotherKey(t, p))
		z.serve(p, p.second)
		if out, err := z.attempt("refresh", "--force", "kubernetes"); err == nil {
			t.Errorf("zypper took a stream whose key it does not have:\n%s", out)
		} else if !strings.Contains(out, "New repository or package signing key received") {
			t.Errorf("zypper failed, but not for the key:\n%s", out)
		}
	})
}
