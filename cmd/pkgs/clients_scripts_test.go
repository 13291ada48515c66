package main_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build"
	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/build/release/releasetest"
	"sigs.k8s.io/pkgs/build/rpm"
)

// The scripts of packages with units, run by the real dpkg and rpm in a Debian system where systemd seems to run: what is
// asked of it is written down. Each package is an upgrade from one as pkgs.k8s.io has served it, whose unit lay in /lib.
func TestClientsScripts(t *testing.T) {
	t.Parallel()
	requireClients(t)
	files := scriptPackages(t)
	for _, c := range []struct {
		name, unit, config string
		restarts           bool
	}{
		{"kubelet", "kubelet.service", "kubelet", false},
		{"cri-o", "crio.service", "crio", true},
	} {
		t.Run(c.name+".deb", func(t *testing.T) {
			t.Parallel()
			s := newManaged(t)
			old := s.oldDeb(c.name, c.unit, c.config)
			install := func(file string) { s.run("dpkg", "--force-depends", "--force-confold", "-i", file) }
			remove := func() { s.run("dpkg", "-r", c.name) }
			s.lifeOf(c.unit, "/etc/default/"+c.config, c.restarts, func() { install(old) }, func() { install(s.bring(files[c.name+" 1 deb"])) },
				func() { install(s.bring(files[c.name+" 2 deb"])) }, remove)
		})
		t.Run(c.name+".rpm", func(t *testing.T) {
			t.Parallel()
			s := newManaged(t)
			old := s.oldRpm(c.name, c.unit, c.config, c.restarts)
			install := func(file string) { s.rpm("-U", "--nodeps", "--nosignature", file) }
			remove := func() { s.rpm("-e", "--nodeps", c.name) }
			s.lifeOf(c.unit, "/etc/sysconfig/"+c.config, c.restarts, func() { install(old) }, func() { install(files[c.name+" 1 rpm"]) },
				func() { install(files[c.name+" 2 rpm"]) }, remove)
		})
	}
	t.Run("order", func(t *testing.T) {
		t.Parallel()
		testOrder(t, files["kubelet 1 rpm"])
	})
}

// scriptsDate is when everything in these tests was released.
var scriptsDate = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// lifeOf installs an old package of a unit, two newer ones over it, and removes it.
func (s *managed) lifeOf(unit, config string, restarts bool, old, first, second, remove func()) {
	s.t.Helper()
	enabled := func(when string, want string) {
		s.t.Helper()
		if got, _ := s.try("env", "SYSTEMD_OFFLINE=1", "systemctl.real", "is-enabled", unit); strings.TrimSpace(got) != want {
			s.t.Errorf("%s: %s is %q, want %q", when, unit, got, want)
		}
	}
	upgrade := func(when string, install func()) {
		s.t.Helper()
		s.forget()
		install()
		log := s.log()
		if !strings.Contains(log, "daemon-reload") || strings.Contains(log, "try-restart "+unit) != restarts {
			s.t.Errorf("%s: systemd was asked for\n%s", when, log)
		}
		for line := range strings.Lines(log) {
			words := strings.Fields(line)
			if slices.Contains(words, unit) && (slices.Contains(words, "stop") || slices.Contains(words, "start") || slices.Contains(words, "restart")) {
				s.t.Errorf("%s: systemd was asked for %s", when, line)
			}
		}
		if got := s.read(config); got != "EDITED=1\n" {
			s.t.Errorf("%s: %s has become %q", when, config, got)
		}
		if got := s.lstat("/usr/lib/systemd/system/" + unit); got != "-rw-r--r-- 0:0" {
			s.t.Errorf("%s: the unit is %s", when, got)
		}
	}
	old()
	enabled("as it was", "enabled")
	s.write(config, "EDITED=1\n")
	s.run("env", "SYSTEMD_OFFLINE=1", "systemctl.real", "disable", unit)
	upgrade("from the old package, disabled", first)
	enabled("from the old package, disabled", "disabled")
	s.run("env", "SYSTEMD_OFFLINE=1", "systemctl.real", "enable", unit)
	upgrade("enabled", second)
	enabled("enabled", "enabled")
	s.forget()
	remove()
	if log := s.log(); !strings.Contains(log, "stop "+unit) || !strings.Contains(log, "daemon-reload") {
		s.t.Errorf("removed: systemd was asked for\n%s", log)
	}
	if got := s.lstat("/etc/systemd/system/multi-user.target.wants/" + unit); got != "missing" {
		s.t.Errorf("removed: it is still wanted: %s", got)
	}
}

// An rpm that is installed together with systemd finds systemd's presets, whichever of the two is named first.
func testOrder(t *testing.T, kubelet string) {
	for _, kubeletFirst := range []bool{true, false} {
		s := newManaged(t)
		wrapper := s.read("/usr/bin/systemctl")
		s.run("rm", "/usr/bin/systemctl")
		systemd := s.writeRpm(rpm.Meta{Name: "systemd", Version: "300", Release: "1", Arch: "x86_64"},
			payload.Entry{Path: "/usr/bin/systemctl", Mode: 0o755, Content: payload.Bytes([]byte(wrapper))})
		both := []string{systemd, kubelet}
		if kubeletFirst {
			slices.Reverse(both)
		}
		s.rpm(append([]string{"-i", "--nodeps", "--nosignature"}, both...)...)
		if log := s.log(); !strings.Contains(log, "--no-reload preset kubelet.service") {
			t.Errorf("kubelet first = %v: systemd was asked for\n%s", kubeletFirst, log)
		}
	}
}

// managed is a sandbox in which systemd seems to run.
type managed struct{ *sandbox }

func newManaged(t *testing.T) *managed {
	s := &managed{newSandbox(t, "bookworm")}
	s.run("mv", "/usr/bin/systemctl", "/usr/bin/systemctl.real")
	// What a running systemd would have to do is only written down; the links of enabled units are made as ever.
	s.write("/usr/bin/systemctl", `#!/bin/sh
echo "$*" >>/systemctl.log
case " $* " in
*" daemon-reload "* | *" stop "* | *" start "* | *"restart "* | *" is-active "*) exit 0 ;;
esac
SYSTEMD_OFFLINE=1 exec /usr/bin/systemctl.real "$@"
`)
	s.run("chmod", "0755", "/usr/bin/systemctl")
	s.run("mkdir", "-p", "/run/systemd/system")
	// Services may be started here: images of containers forbid it.
	s.run("rm", "-f", "/usr/sbin/policy-rc.d")
	return s
}

func (s *managed) forget() { s.write("/systemctl.log", "") }

func (s *managed) log() string {
	s.t.Helper()
	if s.lstat("/systemctl.log") == "missing" {
		return ""
	}
	return s.read("/systemctl.log")
}

// bring copies a file into the Debian system.
func (s *managed) bring(file string) string {
	s.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("/"+filepath.Base(file), string(data))
	return "/" + filepath.Base(file)
}

// rpm runs this machine's rpm on the Debian system, in which its scripts run.
func (s *managed) rpm(args ...string) {
	s.t.Helper()
	s.runHost("rpm", append([]string{"--root", s.root}, args...)...)
}

const oldUnit = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"

// oldDeb makes a package as pkgs.k8s.io has them.
func (s *managed) oldDeb(name, unit, config string) string {
	s.write("/old/DEBIAN/control", "Package: "+name+"\nVersion: 1.34.0-2.1\nArchitecture: amd64\nMaintainer: K <k@example.org>\nDescription: old\n")
	s.write("/old/DEBIAN/conffiles", "/etc/default/"+config+"\n")
	s.write("/old/DEBIAN/postinst", "#!/bin/sh -e\nsystemctl preset "+unit+" >/dev/null 2>&1 || true\n")
	s.write("/old/DEBIAN/prerm", "#!/bin/sh -e\nif [ \"$1\" = remove ]; then systemctl --no-reload disable "+unit+"; systemctl stop "+unit+"; fi\n")
	s.run("chmod", "0755", "/old/DEBIAN/postinst", "/old/DEBIAN/prerm")
	s.write("/old/etc/default/"+config, "")
	s.write("/old/lib/systemd/system/"+unit, oldUnit)
	s.run("dpkg-deb", "--root-owner-group", "-b", "/old", "/old.deb")
	return "/old.deb"
}

// oldRpm makes a package as pkgs.k8s.io has them, with what the macros of systemd stand for in its scripts. In an upgrade it is
// the old package's last script that restarts the unit.
func (s *managed) oldRpm(name, unit, config string, restarts bool) string {
	postun := "systemctl daemon-reload || :\n"
	if restarts {
		postun += "if [ $1 -ge 1 ]; then systemctl try-restart " + unit + " || :; fi\n"
	}
	return s.writeRpm(rpm.Meta{
		Name: name, Version: "1.34.0", Release: "150500.2.1", Arch: "x86_64",
		Post:   rpm.Script{Body: "if [ $1 -eq 1 ]; then systemctl --no-reload preset " + unit + " || :; fi\n"},
		PreUn:  rpm.Script{Body: "if [ $1 -eq 0 ]; then systemctl --no-reload disable --now " + unit + " || :; fi\n"},
		PostUn: rpm.Script{Body: postun},
	},
		payload.Entry{Path: "/usr/lib/systemd/system/" + unit, Mode: 0o644, Content: payload.Bytes([]byte(oldUnit))},
		payload.Entry{Path: "/etc/sysconfig/" + config, Mode: 0o644, Config: true, Content: payload.Bytes([]byte("\n"))})
}

func (s *managed) writeRpm(m rpm.Meta, entries ...payload.Entry) string {
	s.t.Helper()
	m.Summary, m.Description, m.License, m.Time = "Old", "Old.", "MIT", scriptsDate
	tree, err := payload.NewTree(entries...)
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.scratch, m.FileName())
	if err := rpm.WriteFile(s.t.Context(), file, m, tree, &payload.Compressor{Encoder: payload.Go()}, nil); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// scriptPackages builds two versions of the packages with units, in both formats, by "name number format".
func scriptPackages(t *testing.T) map[string]string {
	t.Helper()
	u := releasetest.NewUpstream(t)
	work := t.TempDir()
	definitions, err := build.Default()
	if err != nil {
		t.Fatal(err)
	}
	c := build.Config{Definitions: definitions, Sources: map[string]*release.Source{}, OutDir: work, Compressor: &payload.Compressor{Encoder: payload.Go()}}
	for name, layout := range map[string]release.Layout{"kubernetes": {Releases: "release/{version}"}, "cri-o": {Shared: "artifacts"}} {
		if c.Sources[name], err = release.Open(t.Context(), release.Config{Name: name, URL: u.Source(name), Layout: layout, Cache: filepath.Join(work, "cache")}); err != nil {
			t.Fatal(err)
		}
	}
	amd64, err := release.ParseArchitecture("amd64")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for i, version := range []string{"v1.34.1", "v1.34.2"} {
		u.Kubernetes(version, scriptsDate.Add(time.Duration(i)*time.Hour), "amd64")
		u.CRIO(version, scriptsDate.Add(time.Duration(i)*time.Hour), "amd64")
		v, err := release.ParseVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		var requests []build.Request
		for _, name := range []string{"kubelet", "cri-o"} {
			requests = append(requests, build.Request{Package: name, Version: v, DebRevision: "1.1", RpmRelease: "1.1", Architecture: amd64})
		}
		built, err := build.Build(t.Context(), c, requests)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range built {
			files[p.Name+" "+string('1'+rune(i))+" "+string(p.Format)] = p.Path
		}
	}
	return files
}
