package rpm_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/rpm"
)

func read(t testing.TB, c payload.Content) []byte {
	t.Helper()
	r, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRpmShowsEverything(t *testing.T) {
	path := write(t, kubelet(), files(t), nil)
	query := func(args ...string) string {
		t.Helper()
		return run(t, "rpm", append([]string{"rpm", "-qp"}, append(args, path)...)...)
	}
	info := query("--info")
	for _, want := range []string{
		"Name        : kubelet\nVersion     : 1.34.1~rc.0\nRelease     : 1.1\nArchitecture: x86_64\n",
		"Group       : Unspecified\nSize        : 1040052\nLicense     : Apache-2.0\nSignature   : (none)\n",
		"Source RPM  : kubelet-1.34.1~rc.0-1.1.src.rpm\nBuild Date  : Wed Mar  4 05:06:07 2026\nBuild Host  : pkgs\n",
		"Packager    : Kubernetes Authors <dev@kubernetes.io>\nVendor      : Kubernetes\nURL         : https://kubernetes.io\n",
		"Description :\nIt runs on every node.\n\nIt starts pods – and\n  * watches them\n",
	} {
		if !strings.Contains(info, want) {
			t.Errorf("--info does not say\n%sbut\n%s", want, info)
		}
	}
	for query, want := range map[string]string{
		"--scripts": "preinstall scriptlet (using /bin/sh):\necho pre\npostinstall scriptlet (using /bin/sh):\necho post $1\n" +
			"preuninstall scriptlet (using /bin/sh -e):\necho preun\npostuninstall program: /sbin/ldconfig\n",
		"--provides": "agent\nconfig(kubelet) = 1.34.1~rc.0-1.1\nkubelet = 1.34.1~rc.0-1.1\nkubelet(x86-64) = 1.34.1~rc.0-1.1\nnode-agent = 1.34\n",
		"--requires": "(a or (b with c))\n/bin/sh\n/bin/sh\n/bin/sh\n/sbin/ldconfig\nconfig(kubelet) = 1.34.1~rc.0-1.1\niptables >= 1.4.21\n" +
			"rpmlib(CompressedFileNames) <= 3.0.4-1\nrpmlib(FileDigests) <= 4.6.0-1\nrpmlib(PayloadFilesHavePrefix) <= 4.0-1\n" +
			"rpmlib(PayloadIsXz) <= 5.2-1\nrpmlib(RichDependencies) <= 4.12.0-1\nrpmlib(ScriptletInterpreterArgs) <= 4.0.3-1\n" +
			"rpmlib(TildeInVersions) <= 4.10.0-1\nsystemd\nsystemd > 200\nutil-linux\n",
		"--conflicts":    "kubeadm < 1:1.20-3\n",
		"--obsoletes":    "hyperkube <= 1.18\n",
		"--recommends":   "kubernetes-cni\n",
		"--suggests":     "socat > 1\n",
		"--supplements":  "kubeadm\n",
		"--enhances":     "systemd\n",
		"--configfiles":  "/etc/sysconfig/kubelet\n",
		"--licensefiles": "/usr/share/licenses/kubelet/LICENSE\n",
		"--docfiles":     "/usr/share/doc/kubelet/README.md\n/usr/share/doc/kubelet/empty\n/usr/share/doc/kubelet/größe\n",
		"--changelog":    "* Wed Mar 04 2026 A <a@b.c> - 1.34.1-1\n- Release\n- Again\n\n* Wed Feb 04 2026 B <a@b.c>\n- First\n\n",
	} {
		if got := run(t, "rpm", "rpm", "-qp", query, path); got != want {
			t.Errorf("%s says\n%sexpected\n%s", query, got, want)
		}
	}
}

// lines are what rpm -qplv prints for the tree.
func lines(tree *payload.Tree) string {
	var b strings.Builder
	for _, e := range tree.Entries() {
		mode, size, name := os.FileMode(e.Mode).String(), e.Content.Size, e.Path
		switch e.Kind {
		case payload.Dir:
			mode = "d" + mode[1:]
		case payload.Symlink:
			mode, size, name = "lrwxrwxrwx", int64(len(e.Target)), name+" -> "+e.Target
		}
		fmt.Fprintf(&b, "%s root root %d Mar 4 2026 %s\n", mode, size, name)
	}
	return b.String()
}

func TestFilesAreThoseOfTheTree(t *testing.T) {
	tree := files(t)
	path := write(t, kubelet(), tree, nil)
	var got strings.Builder
	for line := range strings.Lines(run(t, "rpm", "rpm", "-qplv", path)) {
		f := strings.Fields(line)
		// Without the number of links, and without year or time of day, of which rpm shows one.
		fmt.Fprintf(&got, "%s %s %s %s %s %s 2026 %s\n", f[0], f[2], f[3], f[4], f[5], f[6], strings.Join(f[8:], " "))
	}
	if got.String() != lines(tree) {
		t.Errorf("rpm -qplv says\n%s\nexpected\n%s", got.String(), lines(tree))
	}
}

func TestPayloadIsACpioArchive(t *testing.T) {
	tree := files(t)
	path := write(t, kubelet(), tree, nil)
	root := t.TempDir()
	archive, err := exec.Command("rpm2cpio", path).Output()
	if err != nil {
		t.Fatalf("rpm2cpio: %v: apt-get install rpm2cpio if it is not there", err)
	}
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Fatal("cpio is not installed: apt-get install cpio")
	}
	cmd := exec.Command("cpio", "--extract", "--quiet", "--make-directories", "--preserve-modification-time")
	cmd.Dir, cmd.Stdin = root, bytes.NewReader(archive)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v\n%s", err, out)
	}
	for _, e := range tree.Entries() {
		sameAs(t, e, filepath.Join(root, e.Path))
	}
}

// sameAs compares an entry to a file on disk.
func sameAs(t *testing.T, e payload.Entry, path string) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Error(err)
		return
	}
	kind := map[payload.Kind]os.FileMode{payload.Dir: os.ModeDir, payload.Symlink: os.ModeSymlink}[e.Kind]
	if info.Mode().Type() != kind || e.Kind != payload.Symlink && uint32(info.Mode().Perm()) != e.Mode ||
		e.Kind == payload.File && !info.ModTime().Equal(at) {
		t.Errorf("%s: mode %v, time %v: expected %#o, %v", e.Path, info.Mode(), info.ModTime(), e.Mode, at)
	}
	switch e.Kind {
	case payload.Symlink:
		if target, err := os.Readlink(path); err != nil || target != e.Target {
			t.Errorf("%s: leads to %q, expected %q: %v", e.Path, target, e.Target, err)
		}
	case payload.File:
		data, err := os.ReadFile(path)
		if err != nil || payload.Bytes(data).SHA256 != e.Content.SHA256 {
			t.Errorf("%s: has other bytes than the tree: %v", e.Path, err)
		}
	}
}

func TestSignature(t *testing.T) {
	s := newSigner(t)
	db := t.TempDir()
	path := write(t, kubelet(), files(t), s)
	check := func(path string) (string, error) { return try(t, "rpm", "rpmkeys", "--dbpath", db, "-Kv", path) }

	if out, err := check(path); err == nil || !strings.Contains(out, "NOKEY") {
		t.Errorf("without the key: %v\n%s", err, out)
	}
	run(t, "rpm", "rpmkeys", "--dbpath", db, "--import", s.publicKey(t))
	out, err := check(path)
	if err != nil {
		t.Errorf("with the key: %v", err)
	}
	for _, want := range []string{"Header V4 RSA/SHA256 Signature, key ID ", "Header SHA256 digest: OK", "Header SHA1 digest: OK", "Payload SHA256 digest: OK"} {
		if !strings.Contains(out, want) {
			t.Errorf("rpm -K does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "NOKEY") || strings.Contains(out, "BAD") || strings.Contains(out, "MD5") {
		t.Errorf("rpm -K says\n%s", out)
	}
	// With everything demanded that rpm can demand.
	if out, err := try(t, "rpm", "rpmkeys", "--dbpath", db, "--define", "_pkgverify_level all", "--define", "_pkgverify_flags 0x0", "-K", path); err != nil || !strings.Contains(out, "digests signatures OK") {
		t.Errorf("rpm -K with _pkgverify_level all: %v\n%s", err, out)
	}

	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// One flipped bit anywhere that matters must be seen: signature, header, payload.
	for _, at := range []int{96 + 200, 96 + 4096 + 100, 96 + 4096 + 1500, len(good) - 100, len(good) - 1} {
		bad := bytes.Clone(good)
		bad[at] ^= 4
		broken := filepath.Join(t.TempDir(), "x.rpm")
		if err := os.WriteFile(broken, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := check(broken); err == nil {
			t.Errorf("rpm -K does not see the flipped bit in byte %d of %d:\n%s", at, len(good), out)
		}
	}
}

// A package goes through its life in a root of its own: install, verification, edit of a configuration file, upgrade,
// removal.
func TestRpmInstalls(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("rpm installs as root only: run the tests as root")
	}
	root := t.TempDir()
	change := func(args ...string) {
		t.Helper()
		run(t, "rpm", append([]string{"rpm", "--root", root, "--nodeps", "--noscripts", "--define", "_pkgverify_level digest"}, args...)...)
	}
	m, tree := kubelet(), files(t)
	change("--install", write(t, m, tree, nil))
	for _, e := range tree.Entries() {
		sameAs(t, e, filepath.Join(root, e.Path))
	}
	if out := run(t, "rpm", "rpm", "--root", root, "--verify", "--nodeps", "kubelet"); out != "" {
		t.Errorf("rpm --verify says\n%s", out)
	}
	config := filepath.Join(root, "etc/sysconfig/kubelet")
	if err := os.WriteFile(config, []byte("edited\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Version = "1.34.1"
	change("--upgrade", write(t, m, tree, nil))
	if text, err := os.ReadFile(config); err != nil || string(text) != "edited\n" {
		t.Errorf("the upgrade leaves %q: %v", text, err)
	}
	if got := run(t, "rpm", "rpm", "--root", root, "--query", "kubelet"); got != "kubelet-1.34.1-1.1.x86_64\n" {
		t.Errorf("installed is %s", got)
	}
	if got := run(t, "rpm", "rpm", "--root", root, "--query", "--file", "/usr/bin/node-agent"); got != "kubelet-1.34.1-1.1.x86_64\n" {
		t.Errorf("the file belongs to %s", got)
	}
	change("--erase", "kubelet")
	if _, err := os.Lstat(filepath.Join(root, "usr/bin/kubelet")); err == nil {
		t.Error("removal leaves the program")
	}
	if text, err := os.ReadFile(config + ".rpmsave"); err != nil || string(text) != "edited\n" {
		t.Errorf("removal saves %q: %v", text, err)
	}
}

// rpm can tell whether the program of an architecture may be installed, and colors of files, from the header alone.
func TestProgramsAreTold(t *testing.T) {
	tree, err := payload.NewTree(
		payload.Entry{Path: "/usr/bin/a", Mode: 0o755, Content: payload.Bytes([]byte("\x7fELF\x02\x01 64 bits"))},
		payload.Entry{Path: "/usr/bin/b", Mode: 0o755, Content: payload.Bytes([]byte("\x7fELF\x01\x01 32 bits"))},
		payload.Entry{Path: "/usr/bin/c", Mode: 0o755, Content: payload.Bytes([]byte("#!/bin/sh"))},
		payload.Entry{Path: "/usr/bin/d", Kind: payload.Dir, Mode: 0o755},
	)
	if err != nil {
		t.Fatal(err)
	}
	got := run(t, "rpm", "rpm", "-qp", "--queryformat", "[%{filecolors} %{fileclass}\n]", write(t, kubelet(), tree, nil))
	if want := "2 ELF 64-bit\n1 ELF 32-bit\n0 \n0 directory\n"; got != want {
		t.Errorf("colors and classes are\n%sexpected\n%s", got, want)
	}
}

func TestPackageWithoutFiles(t *testing.T) {
	tree, err := payload.NewTree()
	if err != nil {
		t.Fatal(err)
	}
	m := rpm.Meta{Name: "node", Version: "1", Release: "1", Arch: "noarch", Summary: "All of it", License: "Apache-2.0", Time: at}
	path := write(t, m, tree, nil)
	if got := run(t, "rpm", "rpm", "-qp", "--list", "--provides", "--requires", path); got != "node = 1-1\nrpmlib(PayloadIsXz) <= 5.2-1\n(contains no files)\n" {
		t.Errorf("%s", got)
	}
	run(t, "rpm", "rpm", "--root", t.TempDir(), "--install", path)
}
