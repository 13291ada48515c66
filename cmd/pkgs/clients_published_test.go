package main_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestClients publishes a stream with the pkgs program, twice, and lets the clients that users have judge it. The
// clients are real: apt and dpkg of three Debian releases in systems of their own, and this machine's dnf, zypper, rpm,
// gpgv and sqv. make test installs all of them.
func TestClients(t *testing.T) {
	t.Parallel()
	requireClients(t)
	p := publish(t)
	t.Run("apt", func(t *testing.T) {
		for _, client := range aptClients {
			t.Run(client.suite, func(t *testing.T) {
				t.Parallel()
				testApt(t, p, client)
			})
			t.Run(client.suite+"-damage", func(t *testing.T) {
				t.Parallel()
				testAptDamage(t, p, client)
			})
		}
	})
	t.Run("dnf", func(t *testing.T) {
		for _, how := range repoAddresses {
			t.Run(how, func(t *testing.T) {
				t.Parallel()
				testDnf(t, p, how)
			})
			t.Run(how+"-damage", func(t *testing.T) {
				t.Parallel()
				testDnfDamage(t, p, how)
			})
		}
	})
	t.Run("staged", func(t *testing.T) {
		t.Parallel()
		testStaged(t, p)
	})
	t.Run("alias", func(t *testing.T) {
		t.Parallel()
		testAlias(t, p)
	})
	t.Run("zypper", func(t *testing.T) {
		for _, how := range repoAddresses {
			t.Run(how, func(t *testing.T) {
				t.Parallel()
				testZypper(t, p, how)
			})
			t.Run(how+"-damage", func(t *testing.T) {
				t.Parallel()
				testZypperDamage(t, p, how)
			})
		}
	})
	t.Run("verify", func(t *testing.T) {
		t.Parallel()
		testVerifyDamage(t, p)
	})
	t.Run("signatures", func(t *testing.T) {
		t.Parallel()
		testSignatures(t, p)
	})
	t.Run("lint", func(t *testing.T) {
		t.Parallel()
		testLint(t, p)
	})
	t.Run("container", func(t *testing.T) {
		t.Parallel()
		testContainer(t, p)
	})
	t.Run("indexes", func(t *testing.T) {
		t.Parallel()
		testIndexes(t, p)
	})
}

// requireClients ends the test unless everything is there that testdata/clients/setup installs for it. It says all that
// is missing at once.
func requireClients(t *testing.T) {
	t.Helper()
	var missing []string
	if os.Getuid() != 0 {
		missing = append(missing, "root, to make mounts and to chroot")
	}
	for _, program := range []string{"apt-ftparchive", "createrepo_c", "dnf", "faketime", "gpg", "gpgv", "lintian", "rpm", "rpmbuild",
		"rpmkeys", "rpmlint", "sqv", "zypper"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	for _, client := range aptClients {
		if _, err := os.Stat(filepath.Join(systems, client.suite, "made-from")); err != nil {
			missing = append(missing, "a Debian system in .cache/roots/"+client.suite)
		} else if _, err := os.Stat(filepath.Join(systems, client.suite, "usr/bin/dnf")); err != nil {
			missing = append(missing, "dnf in .cache/roots/"+client.suite+", which testdata/clients/roots brings up to date")
		}
	}
	if _, err := os.Stat(filepath.Join(systems, "trixie/usr/bin/zypper")); err != nil {
		missing = append(missing, "zypper in .cache/roots/trixie, which testdata/clients/roots brings up to date")
	}
	if len(missing) > 0 {
		t.Fatalf("for the tests of real clients there is lacking: %s. Run make test as root, which installs it, or make test-short without these tests",
			strings.Join(missing, "; "))
	}
}

// repoAddresses are the two ways in which a .repo file says where a repository is.
var repoAddresses = []string{"baseurl", "mirrorlist"}

// stream is the one that the tests publish.
const stream = "core:/stable:/v1.35"

// published is what all client tests look at and none changes: a stream in two states.
type published struct {
	program string // bin/pkgs
	config  string // its config file, with the bucket at its second state
	key     string // the public key, armored
	// first and second are buckets with the stream after v1.35.0 was published, and after v1.35.1 was: each was promoted
	// from staged, where both are, and which has another public address.
	first, second, staged string
}

// publish makes a release directory with stand-ins for the programs, a key and two buckets, cuts two versions in the one for
// staging and promotes them. So all that clients are given is what was promoted.
func publish(t *testing.T) *published {
	t.Helper()
	dir := t.TempDir()
	release := absolute(t, "../../.cache/clients/release")
	p := &published{
		program: filepath.Join(dir, "pkgs"),
		config:  filepath.Join(dir, "pkgs.yaml"),
		key:     filepath.Join(dir, "public.asc"),
		first:   filepath.Join(dir, "first"),
		second:  filepath.Join(dir, "second"),
		staged:  filepath.Join(dir, "staged"),
	}
	// As make build makes it, so that what is compiled for one is there for the other, and linked statically.
	command(t, ".", "env", "CGO_ENABLED=0", "go", "build", "-tags", "grpcnotrace,disable_grpc_modules", "-trimpath", "-buildvcs=false", "-o", p.program, ".")
	// Two small plugins are enough here. What an earlier run made is still good.
	command(t, "../../testdata/release", "go", "run", ".", "-out", release, "-plugins", "host-local,loopback")

	p.pkgs(t, "keys", "generate", "--out", filepath.Join(dir, "key.asc"), "--name", "pkgs test", "--email", "test@example.org")
	config := `
signing: {key: key.asc}
architectures: [amd64, arm64, ppc64le, s390x]
revision: "1.1"
sources:
  kubernetes: {url: ` + release + `/kubernetes}
  cri-tools: {url: ` + release + `/cri-tools}
  cni-plugins: {url: ` + release + `/cni-plugins}
advisories:
  - id: EX-2026-1
    type: security
    severity: Important
    title: Requests of a certain form were let in
    description: They are <refused> again.
    issued: "2026-01-15"
    references: [{type: cve, id: CVE-2026-0001, title: CVE-2026-0001, href: "https://example.org/?a=b&c=d"}]
    packages: [kubelet-1.35.1-1.1, kubeadm-1.35.1-1.1.x86_64]
streams:
  - name: ` + stream + `
    packages: {kubeadm: cut, kubelet: cut, kubectl: cut, cri-tools: v1.35.0, kubernetes-cni: v1.9.1}
`
	staging := filepath.Join(dir, "staging.yaml")
	writeFile(t, p.config, "bucket: second\nurl: http://"+address+config)
	writeFile(t, staging, "bucket: staged\nurl: http://"+stagingAddress+config)
	writeFile(t, p.key, p.pkgs(t, "keys", "export", "--config", p.config))
	p.pkgs(t, "cut", "v1.35.0", "--config", staging, "--confirm")
	p.pkgs(t, "promote", p.staged, p.second, "--config", p.config, "--confirm")
	command(t, dir, "cp", "-a", p.second, p.first)
	p.pkgs(t, "cut", "v1.35.1", "--config", staging, "--confirm")
	p.pkgs(t, "promote", p.staged, p.second, "--config", p.config, "--confirm")
	return p
}

// pkgs runs the pkgs program, with a cache of its own, and returns its standard output.
func (p *published) pkgs(t *testing.T, args ...string) string {
	t.Helper()
	cache := "XDG_CACHE_HOME=" + filepath.Join(filepath.Dir(p.config), "cache")
	return command(t, ".", "env", append([]string{cache, p.program}, args...)...)
}

// command runs a command on this machine that must succeed, and returns its standard output.
func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			out = append(out, exit.Stderr...)
		}
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// linkTree makes dst a copy of src whose files are the same files: quick, and safe as long as nobody writes into one.
// Files that dst has under the same names are replaced, as a publication replaces them.
func linkTree(t *testing.T, src, dst string) {
	t.Helper()
	err := filepath.WalkDir(src, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dst, strings.TrimPrefix(name, src))
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return os.Link(name, target)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// objects are the names of the bucket's objects that match a pattern of filepath.Match below the stream.
func objects(t *testing.T, bucket, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(bucket, stream, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no object of %s is called %s (%v)", stream, pattern, err)
	}
	for i := range found {
		found[i] = strings.TrimPrefix(found[i], bucket+"/")
	}
	return found
}
