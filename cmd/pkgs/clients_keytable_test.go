package main_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
)

var update = flag.Bool("update", false, "write the golden files anew")

// A keyClient judges a repository of a kind.
type keyClient struct {
	name keys.Client
	// suite is the Debian system that it runs in. In that of host it is this machine's own, and works on a system in $S.
	suite string
	// try is a shell script that succeeds if the client takes the repository in $R.
	try string
}

// host is this machine in the place of a Debian system, for zypper.
const host = "host"

const (
	tryApt = `
mkdir -p /etc/apt/sources.list.d
echo "deb [signed-by=$R/key.gpg] file:$R/deb/ /" >/etc/apt/sources.list.d/k.list
rm -rf /var/lib/apt/lists
exec apt-get -q -o APT::Update::Error-Mode=any -o Acquire::Check-Date=true -o APT::Sandbox::User=root update`

	// Importing the key counts: rpm refuses some then, and others when they sign a package.
	tryRpm = `
rm -rf /tmp/db
rpmkeys --dbpath /tmp/db --import $R/key.asc
exec rpmkeys --dbpath /tmp/db --define "_pkgverify_level all" --checksig -v $R/rpm/hello-1-1.x86_64.rpm`

	tryDnf = `
rm -rf /tmp/d && mkdir -p /tmp/d/repos
cat >/tmp/d/repos/k.repo <<EOF
[k]
name=k
baseurl=file://$R/rpm
gpgcheck=1
repo_gpgcheck=1
gpgkey=file://$R/key.asc
EOF
exec dnf -y --installroot=/tmp/d/root --setopt=reposdir=/tmp/d/repos --setopt=cachedir=/tmp/d/cache --setopt=logdir=/tmp/d \
	--setopt=install_weak_deps=0 --releasever=1 --noplugins install hello`

	tryZypper = `
rm -rf $S/z && mkdir -p $S/z/etc/zypp/repos.d
cat >$S/z/etc/zypp/repos.d/k.repo <<EOF
[k]
name=k
baseurl=file://$R/rpm
gpgcheck=1
repo_gpgcheck=1
pkg_gpgcheck=1
EOF
rpm --root $S/z --import $R/key.asc
zypper --root $S/z --non-interactive refresh
exec zypper --root $S/z --non-interactive install hello`
)

// keyClients are the columns of the table. sqv judges by apt's policy, as apt lets it.
var keyClients = []keyClient{
	{keys.Apt22, "bullseye", tryApt},
	{keys.Apt26, "bookworm", tryApt},
	{keys.Apt30, "trixie", tryApt},
	{keys.Gpgv22, "bookworm", "exec gpgv --keyring $R/key.gpg $R/deb/Release.gpg $R/deb/Release"},
	{keys.Sqv13, "trixie", "export SEQUOIA_CRYPTO_POLICY=/usr/share/apt/default-sequoia.config\nexec sqv --keyring $R/key.gpg $R/deb/Release.gpg $R/deb/Release"},
	{keys.Rpm416, "bullseye", tryRpm},
	{keys.Rpm418, "bookworm", tryRpm},
	{keys.Rpm420, "trixie", tryRpm},
	{keys.Dnf45, "bullseye", tryDnf},
	{keys.Dnf414, "bookworm", tryDnf},
	{keys.Dnf423, "trixie", tryDnf},
	{keys.Zypper14, host, tryZypper},
}

// at runs a shell script in a sandbox at another date.
func (s *sandbox) at(now time.Time, suite, script string) (string, error) {
	try, root := s.try, ""
	if suite == host {
		try, root = s.tryHost, s.root
	}
	return try("sh", "-c", fmt.Sprintf("S=%s; set -e; export TZ=UTC NO_FAKE_STAT=1 DONT_FAKE_MONOTONIC=1 FAKETIME='@%s'\n"+
		"export LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketime.so.1)\n%s", root, now.Format(time.DateTime), script))
}

// keyTable is what the clients said of each kind: whether they took it.
type keyTable struct {
	mu     sync.Mutex
	taken  map[keys.Client]map[string]bool // guarded by mu
	output map[keys.Client]map[string]string
}

// TestClientsKeys shows repositories of all kinds to all clients. What they say becomes the table in keys/README.md, and
// must be what the checks of package keys say.
func TestClientsKeys(t *testing.T) {
	t.Parallel()
	requireClients(t)
	dir := t.TempDir()
	for i := range keyKinds {
		keyKinds[i].repository(t, filepath.Join(dir, fmt.Sprint(i)))
	}
	table := keyTable{taken: map[keys.Client]map[string]bool{}, output: map[keys.Client]map[string]string{}}
	t.Run("clients", func(t *testing.T) {
		for _, suite := range []string{"bullseye", "bookworm", "trixie", host} {
			t.Run(suite, func(t *testing.T) {
				t.Parallel()
				table.ask(t, suite, dir)
			})
		}
	})
	if t.Failed() {
		return
	}
	for i, k := range keyKinds {
		expected := k.refused(t, filepath.Join(dir, fmt.Sprint(i)))
		for _, c := range keyClients {
			if got, want := table.taken[c.name][k.name], !slices.Contains(expected, c.name); got != want {
				t.Errorf("%s: %s takes it: %v, and by the checks of package keys it should be %v; it said\n%s",
					k.name, c.name, got, want, table.output[c.name][k.name])
			}
		}
	}
	golden(t, "../../keys/README.md", "key kinds", table.markdown())
}

// ask shows all kinds to the clients of a system.
func (table *keyTable) ask(t *testing.T, suite, dir string) {
	s := newSandbox(t, strings.Replace(suite, host, "bookworm", 1))
	s.runHost("cp", "-a", dir, s.root+"/kinds")
	for _, c := range keyClients {
		if c.suite != suite {
			continue
		}
		taken, output := map[string]bool{}, map[string]string{}
		for i, k := range keyKinds {
			out, err := s.at(k.today(), suite, fmt.Sprintf("R=$S/kinds/%d\n%s", i, c.try))
			taken[k.name], output[k.name] = err == nil, out
		}
		table.mu.Lock()
		table.taken[c.name], table.output[c.name] = taken, output
		table.mu.Unlock()
	}
}

// refused is which clients refuse a repository, by the checks of package keys.
func (k *keyKind) refused(t *testing.T, dir string) []keys.Client {
	t.Helper()
	read := func(name string) []byte { return []byte(readFile(t, filepath.Join(dir, name))) }
	ring, found, err := keys.CheckFile("key.asc", read("key.asc"))
	if err != nil {
		t.Fatal(err)
	}
	var signatures []keys.Signature
	for _, name := range []string{"deb/InRelease", "deb/Release.gpg", "rpm/repodata/repomd.xml.asc"} {
		by, more, err := keys.CheckSignatures(name, read(name), ring)
		if err != nil {
			t.Fatal(err)
		}
		signatures, found = append(signatures, by...), append(found, more...)
	}
	return keys.Refused(keys.Concerning(found, signatures), k.today())
}

// markdown writes the table.
func (table *keyTable) markdown() string {
	var b strings.Builder
	b.WriteString("|")
	for _, c := range keyClients {
		fmt.Fprintf(&b, " | %s", c.name)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|:-:", len(keyClients)) + "|\n")
	for _, k := range keyKinds {
		fmt.Fprintf(&b, "| %s", k.name)
		for _, c := range keyClients {
			cell := "–"
			if table.taken[c.name][k.name] {
				cell = "✓"
			}
			fmt.Fprintf(&b, " | %s", cell)
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

// golden compares a text with what a file has between the two comments that name it; with -update it puts it there.
func golden(t *testing.T, file, name, text string) {
	t.Helper()
	begin, end := fmt.Sprintf("<!-- %s: go test ./cmd/pkgs -run %s -update -->\n", name, t.Name()), fmt.Sprintf("<!-- end of %s -->\n", name)
	data := []byte(readFile(t, file))
	before, rest, ok := bytes.Cut(data, []byte(begin))
	have, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		t.Fatalf("%s lacks the comments\n%s%s", file, begin, end)
	}
	if string(have) == text {
		return
	}
	if !*update {
		t.Errorf("%s: the clients say\n%s\nand there stands\n%s", file, text, have)
		return
	}
	if err := os.WriteFile(file, slices.Concat(before, []byte(begin+text+end), after), 0o644); err != nil {
		t.Fatal(err)
	}
}
