package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/site"
)

// What stands for programs that a pasted line calls and the Debian systems lack, and for the answers of a person. dnf and zypper
// work on a system of their own, in /tmp/rpm.
const pasting = `
sudo() { "$@"; }
curl() {
	out=/tmp/fetched
	while [ $# -gt 1 ]; do
		if [ "$1" = -o ]; then out=$2; mkdir -p "$(dirname "$2")"; fi
		shift
	done
	/usr/lib/apt/apt-helper -q -o APT::Sandbox::User=root download-file "$1" "$out.new" >/dev/null 2>&1
	if [ "$out" = /tmp/fetched ]; then cat "$out.new"; else mv "$out.new" "$out"; fi
	rm -f "$out.new"
}
apt_get() {
	command apt-get -q -y -o APT::Update::Error-Mode=any -o Acquire::Retries=0 -o Acquire::Check-Date=true -o Acquire::Check-Valid-Until=true \
		-o APT::Sandbox::User=root "$@"
}
dnf() {
	command dnf -q -y --installroot=/tmp/rpm --setopt=reposdir=/etc/yum.repos.d --setopt=cachedir=/tmp/d/cache --setopt=logdir=/tmp/d \
		--setopt=install_weak_deps=0 --setopt=metadata_expire=0 --setopt=skip_if_unavailable=0 --releasever=1 --noplugins "$@"
}
rpm() { command rpm --root /tmp/rpm "$@"; }
zypper() { ZYPP_CONF=/tmp/zypp.conf command zypper --root /tmp/rpm --non-interactive "$@"; }
`

// follower is a user who pastes the lines for one client, installs the keyring package as they say and a package, and from then
// on does nothing but upgrade.
type follower struct {
	client           string // as the lines call it
	prepare          string
	install, upgrade string
	installed        string // says the version of kubectl
}

var (
	followsApt = follower{
		client:  "apt",
		install: "apt_get install kubectl; cp /usr/share/keyrings/drill-*.gpg /tmp/first.gpg",
		upgrade: "apt_get update; apt_get upgrade", installed: "dpkg-query -W kubectl",
	}
	followsDnf = follower{
		client: "dnf or yum", prepare: prepareRpm + "mkdir -p /etc/yum.repos.d",
		install: "dnf install kubectl", upgrade: "dnf upgrade", installed: "rpm -q kubectl",
	}
	followsZypper = follower{
		client: "zypper", prepare: prepareRpm + "mkdir -p /tmp/rpm/etc/zypp/repos.d; rm -rf /etc/zypp; ln -s /tmp/rpm/etc/zypp /etc/zypp; " +
			// Otherwise it takes ten minutes until zypper looks for another snapshot.
			"printf '[main]\\nrepo.refresh.delay = 0\\n' >/tmp/zypp.conf",
		install: "zypper install kubectl", upgrade: "zypper refresh --force; zypper update", installed: "rpm -q kubectl",
	}
	// prepareRpm makes an address in /etc/pki that of the system that is worked on.
	prepareRpm = "printf '%%_dbpath /var/lib/rpm\\n' >/root/.rpmmacros; mkdir -p /tmp/rpm/etc/pki; ln -s /tmp/rpm/etc/pki /etc/pki; "
)

// lines are what the pages tell users of a client to paste.
func (f *follower) lines(r site.Repository) string {
	_, lines, _ := strings.Cut(r.Instructions(), " with "+f.client+"\n")
	lines, _, _ = strings.Cut(lines, "\n# or, ")
	lines, _, _ = strings.Cut(lines, "\n# "+stream)
	return strings.ReplaceAll(lines, "sudo apt-get", "sudo apt_get")
}

// TestClientsKeyringPackage goes through a rotation with users who have the keyring package, and do nothing about keys.
func TestClientsKeyringPackage(t *testing.T) {
	t.Parallel()
	requireClients(t)
	d := newDrill(t, "one", "two")
	const name = "drill-archive-keyring"
	phases := append([]keys.Phase{keys.Alone}, keys.Phases()...)
	for _, phase := range phases {
		time.Sleep(time.Second) // clients ask a server by the second what is new
		signing := "key: one.asc, package: {name: " + name + ", maintainer: Drill <drill@example.org>, homepage: 'https://pkgs.example.org'}"
		if phase != keys.Alone {
			signing += ", next: {key: two.asc, phase: " + string(phase) + "}"
		}
		d.sign(signing)
		switch phase {
		case keys.Alone:
			d.pkgs("cut", "v1.35.0", "--confirm")
		case keys.Retire:
			d.pkgs("resign", "--confirm")
			d.pkgs("cut", "v1.35.1", "--confirm")
		default:
			d.pkgs("resign", "--confirm")
		}
		d.pkgs("keys", "check")
		linkTree(t, filepath.Join(d.dir, "bucket"), filepath.Join(d.dir, "phases", string(phase)+"-"))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &published{program: filepath.Join(d.dir, "pkgs")} // which is what a test calls pkgs: see scriptMain
	if err := os.Symlink(self, p.program); err != nil {
		t.Fatal(err)
	}
	repository := site.Repository{Stream: stream, URL: "http://" + address, Keyring: name}
	for _, system := range []struct {
		suite     string
		followers []follower
	}{
		{"bullseye", []follower{followsApt, followsDnf}},
		{"bookworm", []follower{followsApt, followsDnf}},
		{"trixie", []follower{followsApt, followsDnf}},
		{"trixie", []follower{followsZypper}},
	} {
		t.Run(system.suite+"-"+system.followers[0].client, func(t *testing.T) {
			t.Parallel()
			last := ""
			s := newSandbox(t, system.suite)
			for _, phase := range phases {
				s.serve(p, filepath.Join(d.dir, "phases", string(phase)+"-"))
				time.Sleep(time.Second) // nor do they look twice in one
				for _, f := range system.followers {
					script := f.upgrade
					if phase == keys.Alone {
						script = f.prepare + "\n" + f.lines(repository) + "\n" + f.install
					}
					out, err := s.try("sh", "-ec", pasting+script)
					if last = out; err != nil {
						t.Errorf("phase %q, %s: %v\n%s\nby\n%s", phase, f.client, err, out, script)
					}
				}
			}
			for _, f := range system.followers {
				if out := s.run("sh", "-ec", pasting+f.installed); !strings.Contains(out, "1.35.1") {
					t.Errorf("%s ends with %s\n%s", f.client, out, last)
				}
				if f.client != "apt" {
					if out := s.run("sh", "-ec", pasting+"rpm -qf "+repository.RpmKeyring()); !strings.HasPrefix(out, name+"-") {
						t.Errorf("whose is the keyring: %s", out)
					}
					continue
				}
				if out := s.run("dpkg", "-S", repository.AptKeyring()); !strings.HasPrefix(out, name+":") {
					t.Errorf("whose is the keyring: %s", out)
				}
				if out := s.run("dpkg", "--verify", name); out != "" {
					t.Errorf("dpkg --verify says %s", out)
				}
				// Without what the package brought, it would not have worked.
				if out, err := s.try("sh", "-ec", pasting+"cp /tmp/first.gpg "+repository.AptKeyring()+"; rm -rf /var/lib/apt/lists; apt_get update"); err == nil {
					t.Errorf("apt takes an index that is signed by the new key with the old one:\n%s", out)
				}
			}
		})
	}
}
