package build

import (
	"embed"
	"fmt"
	"strings"

	"sigs.k8s.io/pkgs/build/rpm"
)

// The scripts of packages with units. They are for any /bin/sh, never fail because of systemd, and work where it is not
// installed or not running: enabling a unit makes links, which is possible in a chroot as well, and whoever talks to the
// manager first looks whether there is one, in /run/systemd/system.
//
// Debian packages use deb-systemd-helper and deb-systemd-invoke, which are part of the essential init-system-helpers: the
// first works without systemd and remembers what the administrator decided, the second honours policy-rc.d. RPM
// packages do with systemctl what the macros of systemd would do.
//
//go:embed scripts
var scriptFiles embed.FS

// script fills in the units of a script: @units@ are all, @restart@ those that an upgrade restarts, of which there may be
// none. It is empty if there are no units. (A template engine would double the size of the program.)
func (d *Definition) script(name string) string {
	if len(d.Units) == 0 {
		return ""
	}
	text, err := scriptFiles.ReadFile("scripts/" + name + ".sh")
	if err != nil {
		panic(fmt.Sprintf("build: script %s: %v", name, err)) // the scripts are part of the program
	}
	var units, restart []string
	for _, u := range d.Units {
		units = append(units, u.Name)
		if u.OnUpgrade == "try-restart" {
			restart = append(restart, u.Name)
		}
	}
	return strings.NewReplacer("@units@", strings.Join(units, " "), "@restart@", strings.Join(restart, " ")).Replace(string(text))
}

func (d *Definition) debScripts() map[string]string {
	if len(d.Units) == 0 {
		return nil
	}
	scripts := map[string]string{}
	for _, name := range []string{"preinst", "postinst", "prerm", "postrm"} {
		scripts[name] = d.script("deb-" + name)
	}
	return scripts
}

// rpmScript is a script of the rpm. Where systemd is installed in the same transaction, as in new systems and images, it must be
// there before the script can ask for its presets; where it is not, the package can do without it.
func (d *Definition) rpmScript(name string) rpm.Script {
	s := rpm.Script{Body: d.script("rpm-" + name)}
	if s.Body != "" {
		s.After = []rpm.Relation{{Name: "systemd"}}
	}
	return s
}
