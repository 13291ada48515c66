package main_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestClientsKeyringPackage installs the keyring package with real tools, and lets apt and dnf trust the stream by it alone. After
// the switch of a rotation it is what an upgrade of it brings that they need.
func TestClientsKeyringPackage(t *testing.T) {
	t.Parallel()
	requireClients(t)
	d := newDrill(t, "one", "two")
	const about = "package: {name: drill-archive-keyring, maintainer: Drill <drill@example.org>, homepage: 'https://pkgs.example.org', version: "
	d.sign("key: one.asc, " + about + "'1'}")
	d.pkgs("cut", "v1.35.0", "--confirm")
	d.pkgs("keys", "package", "--out", "kept/old")
	again := d.pkgs("keys", "package", "--out", "again")
	if again != strings.ReplaceAll(d.pkgs("keys", "package", "--out", "kept/old"), "kept/old", "again") {
		t.Errorf("the same keyring gives other packages:\n%s", again)
	}
	d.sign("key: one.asc, next: {key: two.asc, phase: announce}, " + about + "'2'}")
	d.pkgs("resign", "--confirm")
	d.pkgs("keys", "package", "--out", "kept/both")
	d.keep("announce")
	d.sign("key: one.asc, next: {key: two.asc, phase: retire}, " + about + "'2'}")
	d.pkgs("resign", "--confirm")
	d.keep("retire")

	lint := command(t, d.dir, "sh", "-c", "lintian --fail-on error --suppress-tags changelog-distribution-does-not-match-changes-file kept/both/deb/all/*.deb 2>&1")
	if strings.Contains(lint, "E: ") {
		t.Errorf("lintian says\n%s", lint)
	}
	for _, suite := range []string{"bullseye", "bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, suite)
			s.runHost("cp", "-a", filepath.Join(d.dir, "kept"), s.root+"/kept")
			steps := []struct {
				install, phase string
				served         bool
			}{{"old", "announce", true}, {"old", "retire", false}, {"both", "retire", true}}
			for _, step := range steps {
				try := func(name, script string) {
					out, err := s.try("sh", "-ec", strings.NewReplacer("$R", "/kept/"+step.phase, "$I", "/kept/"+step.install).Replace(script))
					if (err == nil) != step.served {
						t.Errorf("%s, keyring package %s, phase %s: %v\n%s", name, step.install, step.phase, err, out)
					}
				}
				s.run("sh", "-c", "exec dpkg --install /kept/"+step.install+"/deb/all/*.deb")
				try("apt", strings.ReplaceAll(updateApt, "$K.gpg", "/usr/share/keyrings/drill-archive-keyring.gpg"))
				s.run("sh", "-ec", "rm -rf /tmp/d/cache; mkdir -p /tmp/d/root; rpm --root /tmp/d/root --upgrade --nodeps --nosignature --replacepkgs /kept/"+step.install+"/rpm/noarch/*.rpm")
				try("dnf", "KEY=file:///tmp/d/root/etc/pki/rpm-gpg/RPM-GPG-KEY-drill-archive-keyring"+repoOfDnf+"\ndnf makecache")
			}
			if out := s.run("dpkg", "--verify", "drill-archive-keyring"); out != "" {
				t.Errorf("dpkg --verify says %s", out)
			}
			// The rpm is signed by the key that it brings.
			s.run("sh", "-ec", "rm -rf /tmp/db; rpmkeys --dbpath /tmp/db --import /tmp/d/root/etc/pki/rpm-gpg/RPM-GPG-KEY-drill-archive-keyring; "+
				"rpmkeys --dbpath /tmp/db --define '_pkgverify_level all' --checksig /kept/both/rpm/noarch/*.rpm")
		})
	}
}
