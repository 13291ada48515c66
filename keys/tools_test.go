package keys

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// run runs a program with an input and returns what it printed. A program that is missing fails the test.
func run(t *testing.T, debianPackage string, env []string, input []byte, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: install the Debian package %s", name, debianPackage)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C", "TZ=UTC"), env...)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// gpgHome makes a home for gpg, whose path must be short, and ends the agent that gpg starts in it.
func gpgHome(t *testing.T) []string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"GNUPGHOME=" + dir}
	t.Cleanup(func() {
		run(t, "gpg-agent", env, nil, "gpgconf", "--kill", "all")
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return env
}

func TestGnuPGImportsOurKeys(t *testing.T) {
	one := private(t, "one-private.asc")
	public, err := Merge(one.Public(), private(t, "two-private.asc").Public()).Armor()
	if err != nil {
		t.Fatal(err)
	}
	env := gpgHome(t)
	run(t, "gpg", env, public, "gpg", "--batch", "--import")
	list := run(t, "gpg", env, nil, "gpg", "--batch", "--with-colons", "--list-keys")
	if strings.Count(list, "\npub:") != 2 || strings.Contains(list, "\nsub:") || !strings.Contains(list, one.Info().Fingerprint) ||
		!strings.Contains(list, one.Info().UserID) {
		t.Errorf("gpg lists\n%s", list)
	}

	locked, err := one.Armor([]byte("from pkgs"))
	if err != nil {
		t.Fatal(err)
	}
	env = gpgHome(t)
	loopback := []string{"--batch", "--pinentry-mode", "loopback", "--passphrase", "from pkgs"}
	run(t, "gpg", env, locked, "gpg", append(loopback, "--import")...)
	signature := run(t, "gpg", env, []byte("x"), "gpg", append(loopback, "--quiet", "--clearsign")...)
	if !strings.Contains(signature, "BEGIN PGP SIGNATURE") {
		t.Errorf("gpg cannot sign with the key that we locked: %s", signature)
	}
}

func TestRPMImportsOurKeys(t *testing.T) {
	one := private(t, "one-private.asc")
	public, err := one.Public().Armor()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "repomd.xml.key")
	if err := os.WriteFile(file, public, 0o644); err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(dir, "db")
	run(t, "rpm", nil, nil, "rpmkeys", "--dbpath", db, "--import", file)
	got := run(t, "rpm", nil, nil, "rpm", "--dbpath", db, "-q", "gpg-pubkey", "--qf", "%{version}-%{release} %{packager}\n")
	want := strings.ToLower(one.Info().KeyID[8:]) + "-6592"
	if !strings.HasPrefix(got, want) || !strings.Contains(got, one.Info().UserID) {
		t.Errorf("rpm calls the key %q, expected it to start with %q", got, want)
	}
}
