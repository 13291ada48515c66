package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
)

// A drill is a stream of one package, published by a program whose clock the test sets.
type drill struct {
	t      *testing.T
	dir    string
	now    time.Time
	config string // with %s in the place of what is said of the signing keys
}

// newDrill makes a drill in a folder of its own, with throwaway keys in it.
func newDrill(t *testing.T, names ...string) *drill {
	t.Helper()
	d := &drill{t: t, dir: t.TempDir(), now: time.Now().UTC()}
	for _, name := range names {
		writeFile(t, filepath.Join(d.dir, name+".asc"), readFile(t, "../../keys/testdata/"+name+"-private.asc"))
	}
	release := absolute(t, "../../.cache/clients/release")
	command(t, "../../testdata/release", "go", "run", ".", "-out", release, "-plugins", "host-local,loopback")
	d.config = `
bucket: bucket
url: http://` + address + `
signing: {%s}
architectures: [amd64]
revision: "1.1"
sources:
  kubernetes: {url: ` + release + `/kubernetes}
streams:
  - name: ` + stream + `
    packages: {kubectl: cut}
`
	return d
}

// sign writes the part of the configuration about signing keys.
func (d *drill) sign(signing string) {
	writeFile(d.t, filepath.Join(d.dir, "pkgs.yaml"), fmt.Sprintf(d.config, signing))
}

// try runs pkgs at the drill's time and returns its output and exit code.
func (d *drill) try(args ...string) (string, int) {
	d.t.Helper()
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	// The program of a script test: see scriptMain.
	cmd := exec.Command(self, args...)
	cmd.Args[0] = "pkgs"
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "TEST_NOW="+d.now.Format(time.RFC3339), "XDG_CACHE_HOME="+filepath.Join(d.dir, "cache"), "SOURCE_DATE_EPOCH=1704153600")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// pkgs is try for what must succeed.
func (d *drill) pkgs(args ...string) string {
	d.t.Helper()
	out, code := d.try(args...)
	if code != 0 {
		d.t.Fatalf("pkgs %s at %s exits with %d:\n%s", strings.Join(args, " "), d.now, code, out)
	}
	return out
}

// keep copies the stream as it is now, and gives its place below the drill's folder.
func (d *drill) keep(name string) {
	d.t.Helper()
	kept := filepath.Join(d.dir, "kept", name)
	if err := os.MkdirAll(kept, 0o755); err != nil {
		d.t.Fatal(err)
	}
	linkTree(d.t, filepath.Join(d.dir, "bucket", stream), kept)
}

// rings writes keyrings for the clients: each of keys alone, and both.
func (d *drill) rings(old, next string) {
	d.t.Helper()
	dir := filepath.Join(d.dir, "kept", "rings")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		d.t.Fatal(err)
	}
	for name, files := range map[string][]string{"old": {old}, "both": {old, next}, "new": {next}} {
		k := keyKind{files: files}
		packets := k.keyring(d.t)
		writeFile(d.t, filepath.Join(dir, name+".gpg"), string(packets))
		writeFile(d.t, filepath.Join(dir, name+".asc"), string(armor("PGP PUBLIC KEY BLOCK", packets, false)))
	}
}

// What a client of a rotation does, with the stream in $R and its keyring in $K.
const (
	updateApt = `
mkdir -p /etc/apt/sources.list.d
echo "deb [signed-by=$K.gpg] file:$R/deb/ /" >/etc/apt/sources.list.d/k.list
rm -rf /var/lib/apt/lists
exec apt-get -q -o APT::Update::Error-Mode=any -o Acquire::Check-Date=true -o Acquire::Check-Valid-Until=true -o APT::Sandbox::User=root update`

	repoOfDnf = `
mkdir -p /tmp/d/repos
cat >/tmp/d/repos/k.repo <<EOF
[k]
name=k
baseurl=file://$R/rpm
gpgcheck=1
repo_gpgcheck=1
skip_if_unavailable=0
gpgkey=$KEY
EOF
dnf() {
	command dnf -q -y --installroot=/tmp/d/root --setopt=reposdir=/tmp/d/repos --setopt=cachedir=/tmp/d/cache --setopt=logdir=/tmp/d \
		--setopt=install_weak_deps=0 --setopt=metadata_expire=0 --releasever=1 --noplugins "$@"
}
`
	updateDnf = `
rm -rf /tmp/d
KEY=file://$K.asc` + repoOfDnf + `
dnf makecache`

	updateZypper = `
rm -rf $S/z && mkdir -p $S/z/etc/zypp/repos.d
cat >$S/z/etc/zypp/repos.d/k.repo <<EOF
[k]
name=k
baseurl=file://$R/rpm
gpgcheck=1
repo_gpgcheck=1
EOF
rpm --root $S/z --import $K.asc
exec zypper --root $S/z --non-interactive refresh`

	checkPackage = `
rm -rf /tmp/db
rpmkeys --dbpath /tmp/db --import $K.asc
exec rpmkeys --dbpath /tmp/db --define "_pkgverify_level all" --checksig $R/rpm/x86_64/kubectl-$V-1.1.x86_64.rpm`
)

// rotationClients are what users have: what each does in the rotation, and what of a stream it judges.
var rotationClients = []struct {
	name         keys.Client
	suite, judge string // apt, yum or a version of a package
	try          string
}{
	{keys.Apt22, "bullseye", "apt", updateApt},
	{keys.Apt26, "bookworm", "apt", updateApt},
	{keys.Apt30, "trixie", "apt", updateApt},
	{keys.Dnf414, "bookworm", "yum", updateDnf},
	{keys.Dnf423, "trixie", "yum", updateDnf},
	{keys.Zypper14, host, "yum", updateZypper},
	{keys.Rpm416, "bullseye", "1.35.0", checkPackage},
	{keys.Rpm418, "bookworm", "1.35.0", checkPackage},
	{keys.Rpm420, "trixie", "1.35.0", checkPackage},
	{keys.Rpm416, "bullseye", "1.35.1", checkPackage},
	{keys.Rpm418, "bookworm", "1.35.1", checkPackage},
	{keys.Rpm420, "trixie", "1.35.1", checkPackage},
}

// plan is what a rotation promises: whether a client that knows some of the keys is served in a phase. The old key signed the
// packages of 1.35.0, and those of 1.35.1 come after the switch.
func plan(phase keys.Phase, judge string, known []string) bool {
	signers := keys.Signers(phase, "old", "new")
	switch judge {
	case "apt": // any signature will do
		return slices.ContainsFunc(signers, func(s string) bool { return slices.Contains(known, s) })
	case "yum": // there is one
		return slices.Contains(known, signers[0])
	case "1.35.0":
		return slices.Contains(known, "old")
	}
	return slices.Contains(known, "new")
}

// TestClientsRotation goes through a rotation with clients that have only the old key, both, or only the new one.
func TestClientsRotation(t *testing.T) {
	t.Parallel()
	requireClients(t)
	d := newDrill(t, "one", "two")
	d.rings("one", "two")
	phases := append([]keys.Phase{keys.Alone}, keys.Phases()...)
	for _, phase := range phases {
		signing := "key: one.asc"
		if phase != keys.Alone {
			signing += ", next: {key: two.asc, phase: " + string(phase) + "}"
		}
		d.sign(signing)
		if phase == keys.Alone {
			d.pkgs("cut", "v1.35.0", "--confirm")
		} else {
			d.pkgs("resign", "--confirm")
		}
		if phase == keys.Switch {
			d.pkgs("cut", "v1.35.1", "--confirm")
		}
		d.pkgs("keys", "check")
		d.keep("phase-" + string(phase))
	}
	for _, suite := range []string{"bullseye", "bookworm", "trixie", host} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, strings.Replace(suite, host, "bookworm", 1))
			s.runHost("cp", "-a", filepath.Join(d.dir, "kept"), s.root+"/kept")
			for _, phase := range phases {
				for _, c := range rotationClients {
					if c.suite != suite || c.judge == "1.35.1" && !phase.Reached(keys.Switch) {
						continue
					}
					for ring, known := range map[string][]string{"old": {"old"}, "both": {"old", "new"}, "new": {"new"}} {
						out, err := s.at(d.now, suite, fmt.Sprintf("R=$S/kept/phase-%s K=$S/kept/rings/%s V=%s\n%s", phase, ring, c.judge, c.try))
						if got, want := err == nil, plan(phase, c.judge, known); got != want {
							t.Errorf("phase %q, %s (%s), knows %s: served %v, planned %v:\n%s", phase, c.name, c.judge, ring, got, want, out)
						}
					}
				}
			}
			if suite == "bookworm" || suite == "trixie" {
				followRotation(t, s, d, suite, phases)
			}
		})
	}
	golden(t, "../../keys/README.md", "rotation", rotationTable())
}

// rotationTable writes what the rotation promises, which the clients have confirmed when the test passes.
func rotationTable() string {
	var b strings.Builder
	rings := [][]string{{"old"}, {"old", "new"}, {"new"}}
	b.WriteString("| phase | apt: old | both | new | dnf, zypper: old | both | new | packages signed by the old key: old | both | new |\n")
	b.WriteString("|---" + strings.Repeat("|:-:", 9) + "|\n")
	for _, phase := range append([]keys.Phase{keys.Alone}, keys.Phases()...) {
		name := string(phase)
		if phase == keys.Alone {
			name = "before"
		}
		b.WriteString("| " + name)
		for _, judge := range []string{"apt", "yum", "1.35.0"} {
			for _, known := range rings {
				cell := "–"
				if plan(phase, judge, known) {
					cell = "✓"
				}
				b.WriteString(" | " + cell)
			}
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

// followRotation is a dnf whose .repo file names the published keys, as ours do: it needs nobody's help from the first phase
// to the last, if it was told to say yes to new keys.
func followRotation(t *testing.T, s *sandbox, d *drill, suite string, phases []keys.Phase) {
	for _, phase := range phases {
		install := "install kubectl"
		if phase == keys.Switch {
			install = "upgrade"
		}
		out, err := s.at(d.now, suite, fmt.Sprintf("R=/kept/phase-%s\nKEY=file://$R/rpm/repodata/repomd.xml.key%s\ndnf %s", phase, repoOfDnf, install))
		if err != nil {
			t.Errorf("phase %q: a dnf that follows the published keys: %v\n%s", phase, err, out)
		}
	}
	if out := s.run("rpm", "--root", "/tmp/d/root", "-q", "kubectl"); !strings.Contains(out, "1.35.1") {
		t.Errorf("the dnf that follows the published keys has %s", out)
	}
}

// alarms asks pkgs keys check what is due about the keys: the phase that the rotation should have reached, or Alone.
func (d *drill) alarms() (phase keys.Phase, code int) {
	d.t.Helper()
	out, code := d.try("keys", "check", "--output", "json")
	out, _, _ = strings.Cut(out, "\npkgs: ")
	var report struct{ Alarms []keys.Alarm }
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		d.t.Fatalf("pkgs keys check at %s: %v\n%s", d.now, err, out)
	}
	for _, a := range report.Alarms {
		phase = a.Phase
	}
	return phase, code
}

// TestClientsAlarms lives through the two years around the expiry of a key, twice: nobody listens to the alarms, and somebody
// does. The clients are shown each day's repository on that day.
func TestClientsAlarms(t *testing.T) {
	t.Parallel()
	requireClients(t)
	expiry := time.Date(2025, 1, 1, 12, 0, 0, 0, time.UTC) // of the throwaway key
	days := []int{-365, -181, -180, -90, -30, -1, 1, 365}
	asleep, awake := newDrill(t, "expiring", "one"), newDrill(t, "expiring", "one")
	asleep.rings("expiring", "one")
	awake.rings("expiring", "one")
	alarm, known := map[int]keys.Phase{}, map[int]string{}
	phase := keys.Alone
	for i, day := range days {
		for _, d := range []*drill{asleep, awake} {
			if d.now = expiry.AddDate(0, 0, day); i == 0 {
				d.sign("key: expiring.asc")
				d.pkgs("cut", "v1.35.0", "--confirm")
			}
		}
		var code int
		if alarm[day], code = asleep.alarms(); (alarm[day] != keys.Alone) != (day >= -180) || code == 0 && alarm[day] != keys.Alone {
			t.Errorf("%d days from the expiry: the alarm is %q, exit code %d", day, alarm[day], code)
		}
		if out, code := asleep.try("resign", "--confirm"); (code == 0) != (day < 0) {
			t.Errorf("%d days from the expiry pkgs resign exits with %d:\n%s", day, code, out)
		}
		asleep.keep(fmt.Sprint(day))

		// What users have had since yesterday must do until somebody has acted on today's alarm.
		awake.keep(fmt.Sprintf("%d-before", day))
		if due, _ := awake.alarms(); due != keys.Alone {
			if !due.Reached(phase) {
				t.Errorf("%d days from the expiry: phase %s is due after phase %s", day, due, phase)
			}
			phase = due
			awake.sign("key: expiring.asc, next: {key: one.asc, phase: " + string(phase) + "}")
		}
		awake.pkgs("resign", "--confirm")
		awake.pkgs("keys", "check")
		awake.keep(fmt.Sprint(day))
		if known[day] = "both"; phase == keys.Alone {
			known[day] = "old"
		}
	}
	if phase != keys.Retire {
		t.Errorf("the alarms led to phase %q", phase)
	}
	for suite, clients := range map[string][]struct{ name, try string }{
		"bookworm": {{"apt 2.6", updateApt}, {"dnf 4.14", updateDnf}, {"rpm 4.18", checkPackage}},
		"trixie":   {{"apt 3.0", updateApt}, {"rpm 4.20", checkPackage}},
	} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, suite)
			s.runHost("cp", "-a", filepath.Join(asleep.dir, "kept"), s.root+"/asleep")
			s.runHost("cp", "-a", filepath.Join(awake.dir, "kept"), s.root+"/awake")
			for _, c := range clients {
				show := func(kept, ring string, day int) (string, bool) {
					out, err := s.at(expiry.AddDate(0, 0, day), suite, fmt.Sprintf("R=/%s K=/%s/rings/%s V=1.35.0\n%s", kept, filepath.Dir(kept), ring, c.try))
					return out, err == nil
				}
				for i, day := range days {
					if out, ok := show(fmt.Sprintf("asleep/%d", day), "old", day); !ok && (day < 0 || alarm[day] == keys.Alone || alarm[-180] == keys.Alone) {
						t.Errorf("%s, %d days from the expiry: an outage without an alarm half a year before:\n%s", c.name, day, out)
					} else if ok && day > 30 && c.try != checkPackage {
						t.Errorf("%s takes an index on day %d that an expired key signed a year ago", c.name, day)
					}
					if out, ok := show(fmt.Sprintf("awake/%d", day), known[day], day); !ok {
						t.Errorf("%s, %d days from the expiry: an outage although every alarm was heeded:\n%s", c.name, day, out)
					}
					// The index of the days before is valid for a month.
					if i > 0 && day-days[i-1] < 30 {
						if out, ok := show(fmt.Sprintf("awake/%d-before", day), known[days[i-1]], day); !ok {
							t.Errorf("%s, %d days from the expiry, before the alarm was heeded: an outage:\n%s", c.name, day, out)
						}
					}
				}
			}
		})
	}
}
