package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// service is a definition with two units, one of each kind.
func service(t *testing.T) *Definition {
	t.Helper()
	all, err := Load(folder(head + `units:
  - {name: keep.service}
  - {name: restart.service, on-upgrade: try-restart}
files:
  - {path: /usr/lib/systemd/system/keep.service, local: tool.service}
  - {path: /usr/lib/systemd/system/restart.service, local: tool.service}
`))
	if err != nil {
		t.Fatal(err)
	}
	return all["tool"]
}

// fakes makes programs that do nothing but write down how they are called, and answer as told.
func fakes(t *testing.T, answers map[string]int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"systemctl", "deb-systemd-helper", "deb-systemd-invoke"} {
		script := "#!/bin/sh\necho \"${0##*/} $*\" >>" + dir + "/log\ncase \"${0##*/} $*\" in\n"
		for call, answer := range answers {
			script += fmt.Sprintf("%q) exit %d ;;\n", call, answer)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script+"esac\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What each script calls, with systemd running and not, in every case in which dpkg and rpm run it.
func TestScriptCalls(t *testing.T) {
	d := service(t)
	debs := d.debScripts()
	scripts := map[string]string{"post": d.rpmScript("post").Body, "preun": d.rpmScript("preun").Body, "postun": d.rpmScript("postun").Body}
	for name, text := range debs {
		scripts[name] = text
	}
	enable := []string{
		"deb-systemd-helper --quiet was-enabled keep.service", "deb-systemd-helper enable keep.service",
		"deb-systemd-helper --quiet was-enabled restart.service", "deb-systemd-helper enable restart.service",
	}
	reload := "systemctl --system daemon-reload"
	for _, c := range []struct {
		script, args string
		answers      map[string]int
		// offline are the calls where systemd does not run, online those that come on top where it does.
		offline, online []string
	}{
		{"preinst", "install", nil, nil, nil},
		{"preinst", "install 1.0-1", nil, nil, nil},
		{"preinst", "upgrade 1.0-1", nil, []string{"deb-systemd-helper debian-installed keep.service", "deb-systemd-helper debian-installed restart.service"}, nil},
		{"preinst", "upgrade 1.0-1", map[string]int{"deb-systemd-helper debian-installed keep.service": 1, "deb-systemd-helper update-state keep.service": 1},
			[]string{"deb-systemd-helper debian-installed keep.service", "deb-systemd-helper update-state keep.service", "deb-systemd-helper debian-installed restart.service"}, nil},
		{"preinst", "abort-upgrade 1.0-1", nil, nil, nil},
		{"postinst", "configure", nil, enable, []string{reload}},
		{"postinst", "configure 1.0-1", nil, enable, []string{reload, "deb-systemd-invoke try-restart restart.service"}},
		{"postinst", "configure 1.0-1", map[string]int{"deb-systemd-helper --quiet was-enabled keep.service": 1},
			[]string{enable[0], "deb-systemd-helper update-state keep.service", enable[2], enable[3]}, []string{reload, "deb-systemd-invoke try-restart restart.service"}},
		{"postinst", "abort-remove", nil, enable, []string{reload}},
		{"postinst", "triggered x", nil, nil, nil},
		{"prerm", "remove", nil, nil, []string{"deb-systemd-invoke stop keep.service restart.service"}},
		{"prerm", "upgrade 2.0-1", nil, nil, nil},
		{"prerm", "deconfigure", nil, nil, nil},
		{"postrm", "remove", nil, []string{"deb-systemd-helper purge keep.service restart.service"}, []string{reload}},
		{"postrm", "purge", nil, []string{"deb-systemd-helper purge keep.service restart.service"}, []string{reload}},
		{"postrm", "upgrade 2.0-1", nil, nil, nil},
		{"postrm", "abort-install", nil, nil, nil},

		{"post", "1", nil, []string{"systemctl --no-reload preset keep.service restart.service"}, []string{"systemctl daemon-reload"}},
		{"post", "2", nil, nil, []string{"systemctl daemon-reload"}},
		{"preun", "1", nil, nil, nil},
		{"preun", "0", nil, []string{"systemctl --no-reload disable keep.service restart.service"}, []string{"systemctl stop keep.service restart.service"}},
		{"postun", "0", nil, nil, []string{"systemctl daemon-reload"}},
		{"postun", "1", nil, nil, []string{"systemctl daemon-reload", "systemctl try-restart restart.service"}},
	} {
		for _, running := range []bool{false, true} {
			want := slices.Clone(c.offline)
			if running {
				want = append(want, c.online...)
			}
			t.Run(fmt.Sprintf("%s %s running=%v", c.script, c.args, running), func(t *testing.T) {
				bin := fakes(t, c.answers)
				manager := filepath.Join(bin, "no-manager")
				if running {
					manager = bin
				}
				text := strings.ReplaceAll(scripts[c.script], "/run/systemd/system", manager)
				cmd := exec.Command("/bin/sh", append([]string{"-c", text, c.script}, strings.Fields(c.args)...)...)
				cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
				if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
					t.Errorf("%v\n%s", err, out)
				}
				log, err := os.ReadFile(filepath.Join(bin, "log"))
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				if got := strings.Split(strings.TrimSpace(string(log)), "\n"); !slices.Equal(got, want) && !(string(log) == "" && want == nil) {
					t.Errorf("it called\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			})
		}
	}
}

// Scripts succeed where nothing of systemd is installed and where every call of it fails.
func TestScriptsNeverFail(t *testing.T) {
	d := service(t)
	failing := t.TempDir()
	for _, name := range []string{"systemctl", "deb-systemd-helper", "deb-systemd-invoke"} {
		if err := os.WriteFile(filepath.Join(failing, name), []byte("#!/bin/sh\nexit 7\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	scripts := map[string]string{"post 1": d.rpmScript("post").Body, "post 2": d.rpmScript("post").Body, "preun 0": d.rpmScript("preun").Body,
		"postun 0": d.rpmScript("postun").Body, "postun 1": d.rpmScript("postun").Body}
	for _, call := range []string{"preinst upgrade 1", "postinst configure", "postinst configure 1", "prerm remove", "postrm remove", "postrm purge"} {
		name, _, _ := strings.Cut(call, " ")
		scripts[call] = d.debScripts()[name]
	}
	for call, text := range scripts {
		for _, path := range []string{t.TempDir(), failing} {
			text := strings.ReplaceAll(text, "/run/systemd/system", failing)
			f := strings.Fields(call)
			cmd := exec.Command("/bin/sh", append([]string{"-c", text}, f...)...)
			cmd.Env = []string{"PATH=" + path}
			// A deb's scripts may say that something is missing: init-system-helpers is essential there.
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", call, err, out)
			}
		}
	}
}

// system is a root directory with dpkg's database in which scripts run with DPKG_ROOT instead of in a chroot.
type system struct {
	t    *testing.T
	root string
}

func newSystem(t *testing.T) system {
	t.Helper()
	s := system{t, t.TempDir()}
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "usr/lib/systemd/system", "usr/lib/systemd/system-preset", "usr/bin", "etc"} {
		if err := os.MkdirAll(filepath.Join(s.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// /usr is merged, as it is by default since Debian 10 and Ubuntu 19.04.
	for _, link := range []string{"lib", "bin"} {
		if err := os.Symlink("usr/"+link, filepath.Join(s.root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.root, "var/lib/dpkg/status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s system) dpkg(args ...string) string {
	s.t.Helper()
	return run(s.t, "dpkg", "dpkg", append([]string{"--root=" + s.root, "--force-script-chrootless", "--force-not-root", "--force-bad-path",
		"--force-depends", "--force-architecture", "--force-confold", "--no-triggers", "--force-unsafe-io"}, args...)...)
}

func (s system) exists(path string) bool {
	_, err := os.Lstat(filepath.Join(s.root, path))
	return err == nil
}

// expect fails the test when a path is there and should not be, or the other way round.
func (s system) expect(when string, paths map[string]bool) {
	s.t.Helper()
	for path, want := range paths {
		if s.exists(path) != want {
			s.t.Errorf("%s: %s is there: %v", when, path, !want)
		}
	}
}

const (
	wanted = "etc/systemd/system/multi-user.target.wants/kubelet.service"
	unit   = "usr/lib/systemd/system/kubelet.service"
	state  = "var/lib/systemd/deb-systemd-helper-enabled/kubelet.service.dsh-also"
)

// kubelets builds kubelet in two versions, of which the second is an upgrade.
func kubelets(t *testing.T) (first, second string) {
	t.Helper()
	c := config(t, kubernetes(t))
	a, b := request(t, "kubelet", "v1.34.1", "amd64"), request(t, "kubelet", "v1.34.1", "amd64")
	b.DebRevision = "2.1"
	a.Formats, b.Formats = []Format{Deb}, []Format{Deb}
	list, err := Build(t.Context(), c, []Request{a, b})
	if err != nil {
		t.Fatal(err)
	}
	return list[0].Path, list[1].Path
}

// Installation, upgrades, removal and purging with the real dpkg and the real deb-systemd-helper.
func TestDpkg(t *testing.T) {
	t.Parallel()
	need(t, "deb-systemd-helper", "init-system-helpers")
	first, second := kubelets(t)
	env := func(s system, text string) {
		if err := os.WriteFile(filepath.Join(s.root, "etc/default/kubelet"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	disable := func(s system) {
		if err := os.Remove(filepath.Join(s.root, wanted)); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("enabled", func(t *testing.T) {
		t.Parallel()
		s := newSystem(t)
		s.dpkg("-i", first)
		s.expect("installed", map[string]bool{wanted: true, unit: true, "etc/default/kubelet": true, "etc/kubernetes/manifests": true, "var/lib/kubelet": true})
		env(s, "KUBELET_EXTRA_ARGS=--v=4\n")
		s.dpkg("-i", second)
		s.expect("upgraded", map[string]bool{wanted: true, unit: true})
		if data, err := os.ReadFile(filepath.Join(s.root, "etc/default/kubelet")); err != nil || string(data) != "KUBELET_EXTRA_ARGS=--v=4\n" {
			t.Errorf("the conffile has become %q, %v", data, err)
		}
		s.dpkg("-r", "kubelet")
		s.expect("removed", map[string]bool{wanted: false, unit: false, state: false, "etc/default/kubelet": true})
		s.dpkg("-i", first)
		s.expect("installed again", map[string]bool{wanted: true, unit: true})
		s.dpkg("-P", "kubelet")
		s.expect("purged", map[string]bool{wanted: false, unit: false, state: false, "etc/default/kubelet": false, "etc/kubernetes": false, "var/lib/kubelet": false})
	})

	t.Run("disabled by the administrator", func(t *testing.T) {
		t.Parallel()
		s := newSystem(t)
		s.dpkg("-i", first)
		disable(s)
		s.dpkg("-i", second)
		s.expect("upgraded", map[string]bool{wanted: false, unit: true})
		s.dpkg("-i", first)
		s.expect("downgraded", map[string]bool{wanted: false, unit: true})
		s.dpkg("-P", "kubelet")
		s.expect("purged", map[string]bool{wanted: false, state: false})
	})

	t.Run("disabled by a preset", func(t *testing.T) {
		t.Parallel()
		s := newSystem(t)
		if err := os.WriteFile(filepath.Join(s.root, "usr/lib/systemd/system-preset/10-test.preset"), []byte("disable kubelet.service\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		// deb-systemd-helper asks systemctl about presets if the system has one, and then runs that of this machine.
		need(t, "systemctl", "systemd")
		if err := os.WriteFile(filepath.Join(s.root, "usr/bin/systemctl"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
		s.dpkg("-i", first)
		s.expect("installed", map[string]bool{wanted: false, unit: true})
		s.dpkg("-i", second)
		s.expect("upgraded", map[string]bool{wanted: false, unit: true})
	})

	for _, disabled := range []bool{false, true} {
		t.Run(fmt.Sprintf("from pkgs.k8s.io, disabled=%v", disabled), func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			s.dpkg("-i", oldKubelet(t))
			s.expect("old", map[string]bool{wanted: true, unit: true, state: false, "var/lib/kubelet/.kubelet-keep": true})
			if disabled {
				disable(s)
			}
			env(s, "KUBELET_EXTRA_ARGS=--v=4\n")
			s.dpkg("-i", first)
			// The unit has moved from /lib to /usr/lib, which is the same file.
			s.expect("upgraded", map[string]bool{wanted: !disabled, unit: true, "var/lib/kubelet/.kubelet-keep": false, "var/lib/kubelet": true})
			if data, err := os.ReadFile(filepath.Join(s.root, unit)); err != nil || !strings.Contains(string(data), "man:kubelet(1)") {
				t.Errorf("the unit is %q, %v", data, err)
			}
			s.dpkg("-i", second)
			s.expect("upgraded twice", map[string]bool{wanted: !disabled, unit: true})
			if data, _ := os.ReadFile(filepath.Join(s.root, "etc/default/kubelet")); string(data) != "KUBELET_EXTRA_ARGS=--v=4\n" {
				t.Errorf("the conffile has become %q", data)
			}
			s.dpkg("-P", "kubelet")
			s.expect("purged", map[string]bool{wanted: false, unit: false, state: false})
		})
	}
}

// oldKubelet makes a package as those of pkgs.k8s.io were: the unit in /lib, and systemctl preset in the postinst.
func oldKubelet(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"DEBIAN/control":                     "Package: kubelet\nVersion: 1.34.0-1.1\nArchitecture: amd64\nMaintainer: K <k@example.org>\nDescription: old\n",
		"DEBIAN/conffiles":                   "/etc/default/kubelet\n",
		"DEBIAN/postinst":                    "#!/bin/sh -e\nmkdir -p $DPKG_ROOT/etc/systemd/system/multi-user.target.wants\nln -sf /lib/systemd/system/kubelet.service $DPKG_ROOT/" + wanted + "\n",
		"etc/default/kubelet":                "KUBELET_EXTRA_ARGS=\n",
		"lib/systemd/system/kubelet.service": "[Service]\nExecStart=/usr/bin/kubelet\n[Install]\nWantedBy=multi-user.target\n",
		"usr/bin/kubelet":                    "old",
		"var/lib/kubelet/.kubelet-keep":      "",
	} {
		path := filepath.Join(dir, name)
		mode := os.FileMode(0o644)
		if name == "DEBIAN/postinst" {
			mode = 0o755
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
			t.Fatal(err)
		}
	}
	deb := filepath.Join(t.TempDir(), "kubelet.deb")
	run(t, "dpkg", "dpkg-deb", "--root-owner-group", "-b", dir, deb)
	return deb
}

func need(t *testing.T, program, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is needed: apt-get install %s", program, debianPackage)
	}
}
