package build

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/pkgs/build/release"
)

// crioPrograms are the executables in a bundle of CRI-O, crictl among them, which its package does not have.
var crioPrograms = []string{"conmon", "conmonrs", "crictl", "crio", "crio-credential-provider", "crun", "pinns", "runc"}

// crioBundle is a bundle laid out as upstream's, of one program that is everything in it.
func crioBundle(t testing.TB, program []byte) []byte {
	t.Helper()
	manual := func(name, section string) []byte {
		return []byte(".TH " + strings.ToUpper(name) + " " + section + " 2025-09-10 CRI-O\n.SH NAME\n" + name + " \\- a stand\\-in\n.SH DESCRIPTION\nThis is for tests.\n")
	}
	members := map[string][]byte{
		"cri-o/LICENSE": []byte("a license"), "cri-o/README.md": []byte("read me"), "cri-o/install": []byte("#!/bin/sh\n"),
		"cri-o/contrib/crio.service": []byte("[Unit]\n"), "cri-o/etc/crictl.yaml": []byte("debug: false\n"),
		"cri-o/cni-plugins/bridge":    program,
		"cri-o/completions/bash/crio": []byte("complete -W help crio\n"), "cri-o/completions/fish/crio.fish": []byte("complete -c crio -a help\n"),
		"cri-o/completions/zsh/_crio": []byte("#compdef crio\n"),
		"cri-o/man/crio.8":            manual("crio", "8"), "cri-o/man/crio.conf.5": manual("crio.conf", "5"), "cri-o/man/crio.conf.d.5": manual("crio.conf.d", "5"),
	}
	for _, name := range crioPrograms {
		members["cri-o/bin/"+name] = append(slices.Clone(program), name...) // rpmlint minds files that are the same
	}
	return tarball(t, members)
}

// crioConfig is a configuration with a source of bundles, all in one folder.
func crioConfig(t testing.TB, bundles map[string][]byte) Config {
	t.Helper()
	dir := t.TempDir()
	for name, data := range bundles {
		put(t, dir, name, data)
	}
	c := config(t, dir)
	source, err := release.Open(t.Context(), release.Config{Name: "cri-o", URL: dir, Cache: filepath.Join(t.TempDir(), "inputs")})
	if err != nil {
		t.Fatal(err)
	}
	c.Sources["cri-o"] = source
	return c
}

// crio builds the package in a version for an architecture.
func crio(t testing.TB, program []byte, version, arch string) (deb, rpm Package) {
	t.Helper()
	r := request(t, "cri-o", version, arch)
	name := version
	if commit := r.Version.Commit(); commit != "" {
		name = commit
	}
	list, err := Build(t.Context(), crioConfig(t, map[string][]byte{"cri-o." + arch + "." + name + ".tar.gz": crioBundle(t, program)}), []Request{r})
	if err != nil {
		t.Fatal(err)
	}
	return list[0], list[1]
}

// What is in both formats, as "mode path", with the words of the definition.
const crioContents = `
-rwxr-xr-x /usr/bin/crio
-rwxr-xr-x /usr/bin/pinns
drwxr-xr-x /usr/libexec/crio
-rwxr-xr-x /usr/libexec/crio/conmon
-rwxr-xr-x /usr/libexec/crio/conmonrs
-rwxr-xr-x /usr/libexec/crio/crio-credential-provider
-rwxr-xr-x /usr/libexec/crio/crun
-rwxr-xr-x /usr/libexec/crio/runc
-rw-r--r-- /usr/lib/systemd/system/crio.service
-rw-r--r-- ENVIRONMENT/crio
-rw-r--r-- /etc/crictl.yaml
drwxr-xr-x /etc/containers
drwxr-xr-x /etc/containers/registries.conf.d
-rw-r--r-- /etc/containers/registries.conf.d/crio.conf
drwxr-xr-x /etc/cni
drwxr-xr-x /etc/cni/net.d
-rw-r--r-- /etc/cni/net.d/10-crio-bridge.conflist.disabled
drwxr-xr-x /etc/crio
drwxr-xr-x /etc/crio/crio.conf.d
-rw-r--r-- /etc/crio/crio.conf.d/10-crio.conf
-rw-r--r-- /etc/crio/policy.json
drwxr-xr-x /usr/share/oci-umount
drwxr-xr-x /usr/share/oci-umount/oci-umount.d
-rw-r--r-- /usr/share/oci-umount/oci-umount.d/crio-umount.conf
drwxr-xr-x /var/lib/crio
-rw-r--r-- /usr/share/bash-completion/completions/crio
drwxr-xr-x /usr/share/fish
drwxr-xr-x /usr/share/fish/vendor_completions.d
-rw-r--r-- /usr/share/fish/vendor_completions.d/crio.fish
drwxr-xr-x /usr/share/zsh
drwxr-xr-x ZSH
-rw-r--r-- ZSH/_crio
-rw-r--r-- /usr/share/man/man1/pinns.1.gz
-rw-r--r-- /usr/share/man/man5/crio.conf.5.gz
-rw-r--r-- /usr/share/man/man5/crio.conf.d.5.gz
-rw-r--r-- /usr/share/man/man8/crio.8.gz
-rw-r--r-- /usr/share/doc/cri-o/README.md
`

func expectLines(t *testing.T, what string, got []string, want string) {
	t.Helper()
	wanted := strings.Split(strings.TrimSpace(want), "\n")
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		t.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(wanted, "\n"))
	}
}

// A project whose releases are bundles needs no code: files, modes, conffiles, relations and scripts follow from its
// definition, on an architecture that is not this machine's.
func TestCRIO(t *testing.T) {
	t.Parallel()
	deb, rpm := crio(t, tiny(t, "s390x"), "v1.35.1", "s390x")
	const config = "/etc/containers/registries.conf.d/crio.conf\n/etc/crictl.yaml\nENVIRONMENT/crio\n/etc/cni/net.d/10-crio-bridge.conflist.disabled\n"

	t.Run("deb", func(t *testing.T) {
		place := strings.NewReplacer("ENVIRONMENT", "/etc/default", "ZSH", "/usr/share/zsh/vendor-completions").Replace
		want := place(crioContents) + "-rw-r--r-- /usr/share/doc/cri-o/changelog.Debian.gz\n-rw-r--r-- /usr/share/doc/cri-o/copyright\n-rw-r--r-- /usr/share/lintian/overrides/cri-o\n"
		var got []string
		for line := range strings.Lines(run(t, "dpkg", "dpkg-deb", "-c", deb.Path)) {
			f := strings.Fields(line)
			entry := f[0] + " /" + strings.Trim(strings.TrimPrefix(f[5], "."), "/")
			if f[0] != "drwxr-xr-x" || strings.Contains(want, entry+"\n") { // a deb has the parents of its files, too
				got = append(got, entry)
			}
		}
		expectLines(t, "contents", got, want)
		expectLines(t, "conffiles", strings.Fields(run(t, "dpkg", "dpkg-deb", "-I", deb.Path, "conffiles")), place(config))
		fields := run(t, "dpkg", "dpkg-deb", "-f", deb.Path)
		for _, line := range []string{"Package: cri-o", "Version: 1.35.1-1.1", "Architecture: s390x", "Depends: iptables", "Recommends: kubernetes-cni", "Section: admin"} {
			if !strings.Contains(fields, line+"\n") {
				t.Errorf("%s\nhas no line %q", fields, line)
			}
		}
		postinst, prerm := run(t, "dpkg", "dpkg-deb", "-I", deb.Path, "postinst"), run(t, "dpkg", "dpkg-deb", "-I", deb.Path, "prerm")
		if !strings.Contains(postinst, "for unit in crio.service; do\n\t\t\t[ -z \"$2\" ] || deb-systemd-invoke try-restart") || !strings.Contains(prerm, "deb-systemd-invoke stop crio.service") {
			t.Errorf("the scripts are\n%s\n%s", postinst, prerm)
		}
		unit := run(t, "dpkg", "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/lib/systemd/system/crio.service`, "sh", deb.Path)
		if !strings.Contains(unit, "\nEnvironmentFile=-/etc/default/crio\n") || regexp.MustCompile(`\{|\}`).MatchString(unit) {
			t.Errorf("the unit is\n%s", unit)
		}
		manual := run(t, "dpkg", "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/share/man/man8/crio.8.gz | gzip -d`, "sh", deb.Path)
		if !strings.HasPrefix(manual, ".TH CRIO 8") {
			t.Errorf("the manual page is %q", manual)
		}
	})

	t.Run("rpm", func(t *testing.T) {
		place := strings.NewReplacer("ENVIRONMENT", "/etc/sysconfig", "ZSH", "/usr/share/zsh/site-functions").Replace
		query := func(args ...string) string {
			return run(t, "rpm", "rpm", append([]string{"-qp", "--nosignature", rpm.Path}, args...)...)
		}
		want := place(crioContents) + "drwxr-xr-x /usr/share/doc/cri-o\ndrwxr-xr-x /usr/share/licenses/cri-o\n-rw-r--r-- /usr/share/licenses/cri-o/LICENSE\n-rw-r--r-- /usr/share/licenses/cri-o/LICENSE.GPL-2.0-or-later\n"
		expectLines(t, "contents", strings.Split(strings.TrimSpace(query("--qf", `[%{FILEMODES:perms} %{FILENAMES}\n]`)), "\n"), want)
		expectLines(t, "configuration", strings.Fields(query("-c")), place(config))
		for format, want := range map[string]string{"%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}": "cri-o-1.35.1-1.1.s390x", "%{LICENSE}": "Apache-2.0 AND GPL-2.0-or-later", "%{RECOMMENDS}": "kubernetes-cni"} {
			if got := query("--qf", format); got != want {
				t.Errorf("%s is %q, want %q", format, got, want)
			}
		}
		if requires := query("-R"); !strings.Contains(requires, "iptables\n") {
			t.Errorf("it requires\n%s", requires)
		}
		scripts := query("--scripts")
		for _, call := range []string{"preset crio.service", "--no-reload disable crio.service", "stop crio.service", "for unit in crio.service; do"} {
			if !strings.Contains(scripts, call) {
				t.Errorf("%s\nhas no %q", scripts, call)
			}
		}
	})
}

// Bundles of releases and prereleases are named by version, those of nightly builds by commit.
func TestCRIOVersions(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"v1.35.0": "1.35.0-1.1", "v1.36.0-rc.1": "1.36.0~rc.1-1.1",
		"v1.36.0-alpha.0.721+1f2e3d4c5b6a79880f1e2d3c4b5a697887f6e5d4": "1.36.0~alpha.0.721.1f2e3d4c5b6a79880f1e2d3c4b5a697887f6e5d4-1.1",
	} {
		deb, rpm := crio(t, tiny(t, "arm64"), version, "arm64")
		if deb.Version != want || rpm.Version != want {
			t.Errorf("%s: got %s and %s, want %s", version, deb.Version, rpm.Version, want)
		}
		if got := strings.TrimSpace(run(t, "dpkg", "dpkg-deb", "-f", deb.Path, "Version")); got != want {
			t.Errorf("%s: the deb says %s, want %s", version, got, want)
		}
	}
}

// Every program of a bundle is looked at, and one that is missing is missed.
func TestBadCRIO(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bundle []byte
		want   string
	}{
		"wrong architecture": {crioBundle(t, tiny(t, "arm64")), "is a binary for arm64, expected amd64"},
		"no binary":          {crioBundle(t, []byte("#!/bin/sh\n")), "not an ELF executable"},
		"no crun":            {tarball(t, map[string][]byte{"cri-o/bin/crio": tiny(t, "amd64"), "cri-o/bin/pinns": tiny(t, "amd64"), "cri-o/bin/conmon": tiny(t, "amd64")}), `0 members that are "cri-o/bin/crun"`},
	} {
		t.Run(name, func(t *testing.T) {
			c, want := crioConfig(t, map[string][]byte{"cri-o.amd64.v1.35.0.tar.gz": c.bundle}), c.want
			if _, err := Build(t.Context(), c, []Request{request(t, "cri-o", "v1.35.0", "amd64")}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
			if _, err := os.Stat(c.OutDir); !os.IsNotExist(err) {
				t.Errorf("something was written: %v", err)
			}
		})
	}
}

// A text that is to be compressed is bounded, for it is read into memory.
func TestGzipOfLargeFile(t *testing.T) {
	c := crioConfig(t, map[string][]byte{"manual": make([]byte, maxLocal+1)})
	var err error
	c.Definitions, err = Load(folder(head + "files:\n  - {path: /usr/share/man/man1/tool.1.gz, from: /manual, gzip: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	c.Sources["upstream"] = c.Sources["cri-o"]
	if _, err := Build(t.Context(), c, []Request{request(t, "tool", "v1.0.0", "amd64")}); err == nil || !strings.Contains(err.Error(), "manual has 1048577 bytes: expected at most 1048576") {
		t.Errorf("got %v", err)
	}
}

// Lintian and rpmlint have nothing to say but what the package's overrides and testdata/rpmlint.toml answer.
func TestCRIOLinters(t *testing.T) {
	t.Parallel()
	deb, rpm := crio(t, program(t, runtime.GOARCH), "v1.35.1", runtime.GOARCH)
	if out := run(t, "lintian", "lintian", "--allow-root", "--no-cfg", deb.Path); out != "" {
		t.Error(out)
	}
	config, err := filepath.Abs("testdata/rpmlint.toml")
	if err != nil {
		t.Fatal(err)
	}
	if out := run(t, "rpmlint", "rpmlint", "--config", config, rpm.Path); !strings.Contains(out, "0 errors, 0 warnings") {
		t.Error(out)
	}
}

// A folder of the user's own with nothing but CRI-O's data builds the same package: there is nothing about it in the code.
func TestCRIOIsData(t *testing.T) {
	t.Parallel()
	own := fstest.MapFS{}
	for _, folder := range []string{"cri-o", "licenses"} {
		err := fs.WalkDir(os.DirFS("definitions"), folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(filepath.Join("definitions", path))
			own[strings.Replace(path, "cri-o/", "runtime/", 1)] = &fstest.MapFile{Data: []byte(strings.Replace(string(data), "name: cri-o\n", "name: runtime\n", 1))}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	c := crioConfig(t, map[string][]byte{"cri-o.amd64.v1.35.0.tar.gz": crioBundle(t, tiny(t, "amd64"))})
	var err error
	if c.Definitions, err = Load(own); err != nil {
		t.Fatal(err)
	}
	list, err := Build(t.Context(), c, []Request{request(t, "runtime", "v1.35.0", "amd64")})
	if err != nil {
		t.Fatal(err)
	}
	if name := filepath.Base(list[0].Path); name != "runtime_1.35.0-1.1_amd64.deb" {
		t.Errorf("got %s", name)
	}
}
