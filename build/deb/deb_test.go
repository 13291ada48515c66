package deb_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ulikunitz/xz"

	"sigs.k8s.io/pkgs/build/deb"
	"sigs.k8s.io/pkgs/build/payload"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func kubelet() deb.Meta {
	return deb.Meta{
		Package: "kubelet", Version: "1.34.1~rc.0-1.1", Architecture: "amd64",
		Maintainer: "Kubernetes Authors <dev@kubernetes.io>",
		Section:    "net", Priority: "optional", Homepage: "https://kubernetes.io",
		Summary:     "Node agent for Kubernetes clusters",
		Description: "It runs on every node.\n\nIt starts pods – and\n  * watches them\n",
		PreDepends:  []string{"dpkg (>= 1.17.5)"},
		Depends:     []string{"iptables (>= 1.4.21)", "mount | util-linux (<< 1:3)", "libc6:any"},
		Recommends:  []string{"kubernetes-cni"},
		Suggests:    []string{"socat"},
		Enhances:    []string{"systemd"},
		Breaks:      []string{"kubeadm (<< 1.20)"},
		Conflicts:   []string{"hyperkube"},
		Provides:    []string{"node-agent (= 1.34)"},
		Replaces:    []string{"hyperkube"},
		Extra:       []deb.Field{{"Multi-Arch", "foreign"}, {"Built-From", "v1.34.1-rc.0"}},
		Scripts: map[string]string{
			"postinst": "#!/bin/sh\nset -e\n[ \"$1\" != configure ] || echo configured > /run/kubelet-postinst\n",
			"prerm":    "#!/bin/sh\nset -e\n",
			"postrm":   "#!/bin/sh\nset -e\n",
			"preinst":  "#!/bin/sh\nset -e\n",
		},
		Time: at,
	}
}

func files(t testing.TB) *payload.Tree {
	t.Helper()
	binary := bytes.Repeat([]byte("\x7fELF is how a program begins; "), 40_000)
	long := "/usr/share/doc/kubelet/" + strings.Repeat("long-name-", 20)
	tree, err := payload.NewTree(
		payload.Entry{Path: "/usr/bin/kubelet", Mode: 0o755, Content: payload.Bytes(binary)},
		payload.Entry{Path: "/usr/bin/node agent", Kind: payload.Symlink, Target: "kubelet"},
		payload.Entry{Path: "/etc/default/kubelet", Mode: 0o644, Content: payload.Bytes([]byte("KUBELET_EXTRA_ARGS=\n")), Config: true},
		payload.Entry{Path: "/etc/kubernetes/manifests", Kind: payload.Dir, Mode: 0o700},
		payload.Entry{Path: "/usr/lib/systemd/system/kubelet.service", Mode: 0o644, Content: payload.Bytes([]byte("[Unit]\n"))},
		payload.Entry{Path: "/usr/share/doc/kubelet/README.md", Mode: 0o644, Content: payload.Bytes([]byte("# Kubelet\n")), Doc: true},
		payload.Entry{Path: "/usr/share/doc/kubelet/empty", Mode: 0o640, Content: payload.Bytes(nil)},
		payload.Entry{Path: long, Mode: 0o644, Content: payload.Bytes([]byte("x"))},
		payload.Entry{Path: long + "-link", Kind: payload.Symlink, Target: long},
		payload.Entry{Path: "/usr/share/doc/kubelet/größe", Mode: 0o644, Content: payload.Bytes([]byte("y"))},
		payload.Entry{Path: "/usr/share/doc/kubelet/" + strings.Repeat("n", 240), Mode: 0o644, Content: payload.Bytes([]byte("z"))},
	)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func compressor() *payload.Compressor { return &payload.Compressor{Encoder: payload.Go()} }

// write makes a package in a directory of its own and returns its path.
func write(t testing.TB, m deb.Meta, tree *payload.Tree, c *payload.Compressor) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), m.FileName())
	if err := deb.WriteFile(t.Context(), path, m, tree, c); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a program of a Debian package and returns what it prints.
func run(t testing.TB, debian string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Fatalf("%s is not installed: apt-get install %s", args[0], debian)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC", "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestDpkgDebReadsEveryField(t *testing.T) {
	m := kubelet()
	path := write(t, m, files(t), compressor())
	for field, want := range map[string]string{
		"Package":      "kubelet",
		"Version":      "1.34.1~rc.0-1.1",
		"Architecture": "amd64",
		"Maintainer":   "Kubernetes Authors <dev@kubernetes.io>",
		"Section":      "net", "Priority": "optional", "Homepage": "https://kubernetes.io",
		"Pre-Depends": "dpkg (>= 1.17.5)",
		"Depends":     "iptables (>= 1.4.21), mount | util-linux (<< 1:3), libc6:any",
		"Recommends":  "kubernetes-cni",
		"Suggests":    "socat",
		"Enhances":    "systemd",
		"Breaks":      "kubeadm (<< 1.20)",
		"Conflicts":   "hyperkube",
		"Provides":    "node-agent (= 1.34)",
		"Replaces":    "hyperkube",
		"Multi-Arch":  "foreign",
		"Built-From":  "v1.34.1-rc.0",
		"Description": "Node agent for Kubernetes clusters\n It runs on every node.\n .\n It starts pods – and\n   * watches them",
	} {
		if got := strings.TrimSuffix(run(t, "dpkg", "dpkg-deb", "--field", path, field), "\n"); got != want {
			t.Errorf("%s is %q, expected %q", field, got, want)
		}
	}
	info := run(t, "dpkg", "dpkg-deb", "--info", path)
	for _, want := range []string{"new Debian package, version 2.0", "conffiles", "md5sums", "*  postinst             #!/bin/sh"} {
		if !strings.Contains(info, want) {
			t.Errorf("dpkg-deb --info does not say %q:\n%s", want, info)
		}
	}
	if got := run(t, "dpkg", "dpkg-deb", "--info", path, "conffiles"); got != "/etc/default/kubelet\n" {
		t.Errorf("conffiles are %q", got)
	}
}

func TestContents(t *testing.T) {
	list := run(t, "dpkg", "dpkg-deb", "--contents", write(t, kubelet(), files(t), compressor()))
	var got []string
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		got = append(got, f[0]+" "+f[1]+" "+f[3]+" "+f[4]+" "+strings.Join(f[5:], " "))
	}
	const when = " root/root 2026-03-04 05:06 "
	long := "./usr/share/doc/kubelet/" + strings.Repeat("long-name-", 20)
	want := []string{
		"drwxr-xr-x" + when + "./",
		"drwxr-xr-x" + when + "./etc/",
		"drwxr-xr-x" + when + "./etc/default/",
		"-rw-r--r--" + when + "./etc/default/kubelet",
		"drwxr-xr-x" + when + "./etc/kubernetes/",
		"drwx------" + when + "./etc/kubernetes/manifests/",
		"drwxr-xr-x" + when + "./usr/",
		"drwxr-xr-x" + when + "./usr/bin/",
		"-rwxr-xr-x" + when + "./usr/bin/kubelet",
		"lrwxrwxrwx" + when + "./usr/bin/node agent -> kubelet",
		"drwxr-xr-x" + when + "./usr/lib/",
		"drwxr-xr-x" + when + "./usr/lib/systemd/",
		"drwxr-xr-x" + when + "./usr/lib/systemd/system/",
		"-rw-r--r--" + when + "./usr/lib/systemd/system/kubelet.service",
		"drwxr-xr-x" + when + "./usr/share/",
		"drwxr-xr-x" + when + "./usr/share/doc/",
		"drwxr-xr-x" + when + "./usr/share/doc/kubelet/",
		"-rw-r--r--" + when + "./usr/share/doc/kubelet/README.md",
		"-rw-r-----" + when + "./usr/share/doc/kubelet/empty",
		"-rw-r--r--" + when + "./usr/share/doc/kubelet/größe",
		"-rw-r--r--" + when + long,
		"lrwxrwxrwx" + when + long + "-link -> " + long[1:],
		"-rw-r--r--" + when + "./usr/share/doc/kubelet/" + strings.Repeat("n", 240),
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("contents:\n%s\nexpected:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestExtractedFilesAreThoseOfTheTree(t *testing.T) {
	tree := files(t)
	path := write(t, kubelet(), tree, compressor())
	root := t.TempDir()
	run(t, "dpkg", "dpkg-deb", "--extract", path, root)
	for _, e := range tree.Entries() {
		sameAs(t, e, filepath.Join(root, e.Path))
	}
	control := t.TempDir()
	run(t, "dpkg", "dpkg-deb", "--control", path, control)
	sums, err := filepath.Abs(filepath.Join(control, "md5sums"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("md5sum", "--check", "--strict", "--quiet", sums)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("md5sum --check: %v\n%s", err, out)
	}
	text, _ := os.ReadFile(sums)
	if strings.Contains(string(text), "etc/default") || strings.Count(string(text), "\n") != 7 {
		t.Errorf("expected the seven files that are not conffiles:\n%s", text)
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
	kind := map[payload.Kind]fs.FileMode{payload.Dir: fs.ModeDir, payload.Symlink: fs.ModeSymlink}[e.Kind]
	if info.Mode().Type() != kind || e.Kind != payload.Symlink && uint32(info.Mode().Perm()) != e.Mode || !info.ModTime().Equal(at) {
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

// dpkg-gencontrol counts a tree on disk; our count of the same tree must be the same.
func TestInstalledSizeIsThatOfDpkgGencontrol(t *testing.T) {
	path := write(t, kubelet(), files(t), compressor())
	source := t.TempDir()
	root := filepath.Join(source, "debian", "tmp")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "dpkg", "dpkg-deb", "--extract", path, root)
	for name, text := range map[string]string{
		"control":   "Source: x\nMaintainer: A <a@b.c>\n\nPackage: x\nArchitecture: all\nDescription: x\n x\n",
		"changelog": "x (1-1) unstable; urgency=low\n\n  * x\n\n -- A <a@b.c>  Wed, 04 Mar 2026 05:06:07 +0000\n",
	} {
		if err := os.WriteFile(filepath.Join(source, "debian", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := exec.LookPath("dpkg-gencontrol"); err != nil {
		t.Fatal("dpkg-gencontrol is not installed: apt-get install dpkg-dev")
	}
	cmd := exec.Command("dpkg-gencontrol", "-O")
	cmd.Dir = source
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(string(out), "Installed-Size: ")
	want, _, _ = strings.Cut(want, "\n")
	if got := strings.TrimSpace(run(t, "dpkg", "dpkg-deb", "--field", path, "Installed-Size")); got != want {
		t.Errorf("Installed-Size is %s, dpkg-gencontrol says %s", got, want)
	}
}

// Lintian has an opinion on much that a package holds. With that in order, it must find nothing in the format. There is no
// manual page, so that we know it looked.
func TestLintianFindsTheFormatRight(t *testing.T) {
	m := kubelet()
	m.PreDepends, m.Extra, m.Scripts = nil, nil, nil
	m.Scripts = map[string]string{"postinst": "#!/bin/sh\nset -e\necho configured\n"}
	var changelog bytes.Buffer
	z, err := gzip.NewWriterLevel(&changelog, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(z, "kubelet (%s) unstable; urgency=medium\n\n  * Release.\n\n -- %s  Wed, 04 Mar 2026 05:06:07 +0000\n", m.Version, m.Maintainer)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	tree, err := payload.NewTree(
		payload.Entry{Path: "/usr/bin/kubelet", Mode: 0o755, Content: payload.Bytes([]byte("#!/bin/sh\nexit 0\n"))},
		payload.Entry{Path: "/usr/bin/node-agent", Kind: payload.Symlink, Target: "kubelet"},
		payload.Entry{Path: "/etc/default/kubelet", Mode: 0o644, Content: payload.Bytes([]byte("KUBELET_EXTRA_ARGS=\n")), Config: true},
		payload.Entry{Path: "/usr/share/doc/kubelet/changelog.Debian.gz", Mode: 0o644, Content: payload.Bytes(changelog.Bytes())},
		payload.Entry{Path: "/usr/share/doc/kubelet/copyright", Mode: 0o644, Content: payload.Bytes([]byte(
			"Copyright 2026 The Kubernetes Authors\n\nApache-2.0, see /usr/share/common-licenses/Apache-2.0\n"))},
	)
	if err != nil {
		t.Fatal(err)
	}
	out := run(t, "lintian", "lintian", "--allow-root", "--no-cfg", "--pedantic", "--fail-on", "none", write(t, m, tree, compressor()))
	if want := "W: kubelet: no-manual-page [usr/bin/kubelet]\nW: kubelet: no-manual-page [usr/bin/node-agent]\n"; out != want {
		t.Errorf("lintian says\n%sexpected\n%s", out, want)
	}
}

// A package goes through its life in a root of its own: install, edit of a conffile, upgrade, removal, purge.
func TestDpkgInstalls(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("dpkg installs as root only: run the tests as root")
	}
	root := t.TempDir()
	for _, dir := range []string{"var/lib/dpkg/updates", "var/lib/dpkg/info", "etc", "run"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dpkg := func(args ...string) string {
		t.Helper()
		return run(t, "dpkg", append([]string{"dpkg", "--root=" + root, "--log=/dev/null", "--force-depends", "--force-not-root",
			"--force-script-chrootless", "--force-confold", "--no-triggers"}, args...)...)
	}
	m := kubelet()
	m.PreDepends, m.Conflicts, m.Breaks, m.Replaces = nil, nil, nil, nil
	for name := range m.Scripts {
		m.Scripts[name] = fmt.Sprintf("#!/bin/sh\nset -e\necho %s \"$@\" >> %s\n", name, filepath.Join(root, "log"))
	}
	tree := files(t)
	dpkg("--install", write(t, m, tree, compressor()))
	for _, e := range tree.Entries() {
		sameAs(t, e, filepath.Join(root, e.Path))
	}
	if out := dpkg("--verify", "kubelet"); out != "" {
		t.Errorf("dpkg --verify says:\n%s", out)
	}
	conffile := filepath.Join(root, "etc/default/kubelet")
	if err := os.WriteFile(conffile, []byte("edited\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Version = "1.34.1-1.1"
	dpkg("--install", write(t, m, tree, compressor()))
	if text, err := os.ReadFile(conffile); err != nil || string(text) != "edited\n" {
		t.Errorf("the upgrade leaves %q in the conffile: %v", text, err)
	}
	dpkg("--remove", "kubelet")
	if _, err := os.Lstat(conffile); err != nil {
		t.Error("removal takes the conffile along")
	}
	dpkg("--purge", "kubelet")
	if _, err := os.Lstat(conffile); err == nil {
		t.Error("purge leaves the conffile")
	}
	log, _ := os.ReadFile(filepath.Join(root, "log"))
	want := "preinst install\npostinst configure \nprerm upgrade 1.34.1-1.1\npreinst upgrade 1.34.1~rc.0-1.1 1.34.1-1.1\n" +
		"postrm upgrade 1.34.1-1.1\npostinst configure 1.34.1~rc.0-1.1\nprerm remove\npostrm remove\npostrm purge\n"
	if string(log) != want {
		t.Errorf("scripts ran as\n%sexpected\n%s", log, want)
	}
}

func TestReproducible(t *testing.T) {
	tree := files(t)
	one := &payload.Compressor{Encoder: payload.Go(), Workers: 1, BlockSize: 128 << 10}
	many := &payload.Compressor{Encoder: payload.Go(), Workers: 8, BlockSize: 128 << 10, Cache: t.TempDir()}
	want, err := os.ReadFile(write(t, kubelet(), tree, one))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := os.ReadFile(write(t, kubelet(), tree, many)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the same package has other bytes: %v", err)
		}
	}
}

func TestFailureLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	changed := filepath.Join(dir, "binary")
	if err := os.WriteFile(changed, []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	tree, err := payload.NewTree(payload.Entry{Path: "/usr/bin/x", Mode: 0o755,
		Content: payload.FromFile(changed, 3, payload.Bytes([]byte("old")).SHA256)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	stop(stopped)
	bad := kubelet()
	bad.Version = "v1.34"
	for name, try := range map[string]func(string) error{
		"SHA-256":      func(p string) error { return deb.WriteFile(t.Context(), p, kubelet(), tree, compressor()) },
		"stopped":      func(p string) error { return deb.WriteFile(ctx, p, kubelet(), files(t), compressor()) },
		"Version":      func(p string) error { return deb.WriteFile(t.Context(), p, bad, files(t), compressor()) },
		"no encoder":   func(p string) error { return deb.WriteFile(t.Context(), p, kubelet(), files(t), &payload.Compressor{}) },
		"kubelet_1.34": func(p string) error { return deb.WriteFile(t.Context(), p, kubelet(), tree, compressor()) },
	} {
		out := t.TempDir()
		err := try(filepath.Join(out, "x.deb"))
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, expected an error with %q", err, name)
		}
		if left, _ := os.ReadDir(out); len(left) != 0 {
			t.Errorf("%s: %s is left behind", name, left[0].Name())
		}
	}
}

// read takes a package apart: the members of the archive, and those of its two tars by "control/" or "data/" and name.
func read(t testing.TB, data []byte) map[string]*tar.Header {
	t.Helper()
	all := make(map[string]*tar.Header)
	rest, ok := bytes.CutPrefix(data, []byte("!<arch>\n"))
	if !ok {
		t.Fatal("not an ar archive")
	}
	for _, want := range []string{"debian-binary", "control.tar.xz", "data.tar.xz"} {
		if len(rest) < 60 {
			t.Fatalf("archive ends before %s", want)
		}
		name := strings.TrimRight(string(rest[:16]), " ")
		size, err := strconv.Atoi(strings.TrimRight(string(rest[48:58]), " "))
		if err != nil || name != want || len(rest) < 60+size {
			t.Fatalf("member %q of %d bytes, expected %s: %v", name, size, want, err)
		}
		body := rest[60 : 60+size]
		rest = rest[60+size+size%2:]
		if want == "debian-binary" {
			continue
		}
		x, err := xz.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		last := ""
		for r := tar.NewReader(x); ; {
			h, err := r.Next()
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSuffix(h.Name, "/") <= last && last != "" {
				t.Errorf("%s stands behind %s", h.Name, last)
			}
			last = strings.TrimSuffix(h.Name, "/")
			content, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			h.PAXRecords = map[string]string{"content": string(content)}
			all[strings.TrimSuffix(want, ".tar.xz")+"/"+h.Name] = h
		}
	}
	if len(rest) != 0 {
		t.Errorf("%d bytes behind the last member", len(rest))
	}
	return all
}

func FuzzWrite(f *testing.F) {
	f.Add("usr/bin/kubelet\netc/default/kubelet\nusr/share/doc/kubelet", []byte("text"), uint16(0o755), "a line\n\nanother")
	f.Add("a\na/b\nc\nd/\x00", []byte{}, uint16(0o4755), "")
	f.Fuzz(func(t *testing.T, names string, data []byte, mode uint16, description string) {
		var entries []payload.Entry
		for i, name := range strings.Split(names, "\n") {
			e := payload.Entry{Path: "/" + name, Mode: uint32(mode) & 0o7777, Kind: payload.Kind(i % 3)}
			switch e.Kind {
			case payload.File:
				e.Content, e.Config = payload.Bytes(append([]byte(name), data...)), i%2 == 1
			case payload.Symlink:
				e.Target = name
			}
			entries = append(entries, e)
		}
		tree, err := payload.NewTree(entries...)
		if err != nil {
			return
		}
		m := kubelet()
		m.Description = description
		path := filepath.Join(t.TempDir(), "x.deb")
		if err := deb.WriteFile(t.Context(), path, m, tree, compressor()); err != nil {
			if m.Check() == nil && !strings.Contains(err.Error(), "conffile") {
				t.Fatal(err)
			}
			return
		}
		all, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, all)
		for _, e := range tree.Entries() {
			name := "data/." + e.Path
			if e.Kind == payload.Dir {
				name += "/"
			}
			h := got[name]
			if h == nil {
				t.Fatalf("%s is not in the package", name)
			}
			if h.Linkname != e.Target || h.Uname != "root" || h.Uid != 0 || !h.ModTime.Equal(at) ||
				e.Kind != payload.Symlink && uint32(h.Mode) != e.Mode ||
				e.Kind == payload.File && payload.Bytes([]byte(h.PAXRecords["content"])).SHA256 != e.Content.SHA256 {
				t.Errorf("%s came back as %+v", e.Path, h)
			}
		}
		control := got["control/./control"].PAXRecords["content"]
		for line := range strings.Lines(control) {
			if field, _, ok := strings.Cut(line, ":"); line[0] != ' ' && (!ok || strings.Contains(field, " ")) {
				t.Errorf("control has the line %q", line)
			}
		}
	})
}
