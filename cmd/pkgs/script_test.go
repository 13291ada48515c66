package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sigs.k8s.io/pkgs/build/release/releasetest"
	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/keys/store/kmstest"
)

// The scripts in testdata/*.txtar run pkgs as a user does. Beside testscript's own commands they have:
//
//	release VERSION [ARCH...]   adds a version to the release directory $WORK/release, for amd64 and arm64 or the
//	                            architectures named; the programs in it are the smallest files that pass for programs
//	bundle VERSION              adds a bundle of CRI-O for amd64 and arm64 to $WORK/release/cri-o
//	serverelease                serves $WORK/release over HTTP and puts its address into $RELEASE
//	kms KEY [lies|fails|hangs]  serves the throwaway key KEY as a KMS would and puts the address into $KMS
//	gpghome KEY                 makes a home of gpg, with an agent, that has the throwaway key KEY: $GNUPGHOME
//	locked FILE                 writes the throwaway key one to FILE, locked with a passphrase that it writes to the file passphrase
//	flip FILE OFFSET            changes one byte; a negative OFFSET counts from the end
//	replace FILE OLD NEW        changes text
//	edge                        starts a CDN in front of $WORK/bucket and puts its address into $EDGE: see scriptEdge
//	fetch STATUS URL            asks for an address
//	sign VERSION IDENTITY       signs the programs of a release with a Sigstore whose trusted_root.json it writes
//	json N                      holds the last standard output against being one JSON list of N things
//	upstream VERSION...         makes a server with the layouts of the real upstreams the sources of pkgs.yaml
//
// After each script all its files are searched for private keys and passphrases, those that pkgs left and what it said, which
// is written to $TEST_SAID.
//
// The environment variable TEST_NOW, such as 2026-12-01T00:00:00Z, stops the clock of pkgs there.
func TestScripts(t *testing.T) {
	keysDir, err := filepath.Abs("../../keys/testdata")
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(keysDir, "one-private.asc"))
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := allSecrets()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, ".cache"))
			env.Setenv("TESTKEYS", keysDir)
			env.Values[testingKey{}] = t
			env.Setenv("TEST_SAID", filepath.Join(env.WorkDir, ".said"))
			env.Defer(func() {
				found, size, err := findSecrets(env.WorkDir, secrets)
				if err != nil || len(found) > 0 || size == 0 {
					t.Errorf("%s: key material in %d bytes: %v, %v", filepath.Base(env.WorkDir), size, found, err)
				}
			})
			if err := os.WriteFile(filepath.Join(env.WorkDir, "key.asc"), key, 0o600); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "pkgs.yaml"), []byte(scriptConfig), 0o644)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"release":      scriptRelease,
			"bundle":       scriptBundle,
			"serverelease": scriptServeRelease,
			"kms":          scriptKMS,
			"gpghome":      scriptGPGHome,
			"locked":       scriptLocked,
			"flip":         scriptFlip,
			"replace":      scriptReplace,
			"sign":         scriptSign,
			"upstream":     scriptUpstream,
			"edge":         scriptEdge,
			"json":         scriptJSON,
			"fetch":        scriptFetch,
		},
	})
}

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pkgs": scriptMain})
}

// scriptMain is main with the clock that TEST_NOW sets, if it does. What it says goes to TEST_SAID as well.
func scriptMain() {
	now := time.Now
	if set := os.Getenv("TEST_NOW"); set != "" {
		at, err := time.Parse(time.RFC3339, set)
		if err != nil {
			panic(err)
		}
		now = func() time.Time { return at }
	}
	// The program that pkgs build --check runs has no such variable; what it says, pkgs says.
	said, err := os.OpenFile(cmp.Or(os.Getenv("TEST_SAID"), os.DevNull), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(said, "%q\n", os.Args)
	os.Exit(start(now, io.MultiWriter(os.Stdout, said), io.MultiWriter(os.Stderr, said)))
}

const scriptConfig = `bucket: bucket
url: https://pkgs.example.org
signing: {key: key.asc}
architectures: [amd64, arm64]
revision: "1.1"
sources:
  kubernetes: {url: release/kubernetes}
  cri-tools: {url: release/cri-tools}
  cni-plugins: {url: release/cni-plugins}
streams:
  - name: core:/stable:/v1.35
    packages: {kubeadm: cut, kubelet: cut, kubectl: cut, cri-tools: v1.35.0, kubernetes-cni: v1.9.1}
  - name: core:/prerelease:/v1.35
    packages: {kubectl: cut}
`

// releaseDate is when every release of the scripts was made, after the test key and before any run of a test.
var releaseDate = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

func scriptJSON(ts *testscript.TestScript, _ bool, args []string) {
	var list []any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &list))
	if n := strconv.Itoa(len(list)); n != args[0] {
		ts.Fatalf("a list of %s things, not %s", n, args[0])
	}
}

func scriptRelease(ts *testscript.TestScript, neg bool, args []string) {
	version, archs := args[0], args[1:]
	if len(archs) == 0 {
		archs = []string{"amd64", "arm64"}
	}
	put := func(name string, data []byte) {
		name = ts.MkAbs(filepath.Join("release", name))
		ts.Check(os.MkdirAll(filepath.Dir(name), 0o755))
		ts.Check(os.WriteFile(name, data, 0o644))
		ts.Check(os.WriteFile(name+".sha256", fmt.Appendf(nil, "%x", sha256.Sum256(data)), 0o644))
		ts.Check(os.Chtimes(name, releaseDate, releaseDate))
	}
	for _, arch := range archs {
		for _, program := range []string{"kubeadm", "kubelet", "kubectl"} {
			put(fmt.Sprintf("kubernetes/%s/bin/linux/%s/%s", version, arch, program), releasetest.Program(arch, program+" "+version))
		}
		put(fmt.Sprintf("cri-tools/v1.35.0/crictl-v1.35.0-linux-%s.tar.gz", arch), tarball(map[string][]byte{"crictl": releasetest.Program(arch, "crictl")}))
		put(fmt.Sprintf("cni-plugins/v1.9.1/cni-plugins-linux-%s-v1.9.1.tgz", arch), tarball(map[string][]byte{"./bridge": releasetest.Program(arch, "bridge")}))
	}
}

// scriptBundle lays bundles out as CRI-O does: all in one folder, with the commit of a nightly build in place of its version.
func scriptBundle(ts *testscript.TestScript, neg bool, args []string) {
	build := args[0]
	if _, commit, nightly := strings.Cut(build, "+"); nightly {
		build = commit
	}
	for _, arch := range []string{"amd64", "arm64"} {
		files := map[string][]byte{}
		for _, program := range []string{"crio", "pinns", "conmon", "conmonrs", "crun", "runc", "crictl"} {
			files["cri-o/bin/"+program] = releasetest.Program(arch, program+" "+args[0])
		}
		for _, text := range []string{"completions/bash/crio", "completions/fish/crio.fish", "completions/zsh/_crio", "man/crio.8", "man/crio.conf.5", "man/crio.conf.d.5"} {
			files["cri-o/"+text] = []byte("a stand-in\n")
		}
		data := tarball(files)
		name := fmt.Sprintf("cri-o.%s.%s.tar.gz", arch, build)
		path := ts.MkAbs(filepath.Join("release", "cri-o", name))
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
		ts.Check(os.WriteFile(path, data, 0o644))
		ts.Check(os.WriteFile(path+".sha256sum", fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(data), name), 0o644))
		ts.Check(os.Chtimes(path, releaseDate, releaseDate))
	}
}

func tarball(files map[string][]byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, data := range files {
		w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data)), ModTime: releaseDate})
		w.Write(data)
	}
	w.Close()
	z.Close()
	return b.Bytes()
}

func scriptServeRelease(ts *testscript.TestScript, neg bool, args []string) {
	server := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs("release"))))
	ts.Defer(server.Close)
	ts.Setenv("RELEASE", server.URL)
}

func scriptKMS(ts *testscript.TestScript, neg bool, args []string) {
	server, stop, err := kmstest.Start(filepath.Join(ts.Getenv("TESTKEYS"), args[0]+"-private.asc"))
	ts.Check(err)
	ts.Defer(stop)
	if len(args) > 1 {
		server.SetFault(map[string]func(string, map[string]any) int{
			"lies":  kmstest.Lie,
			"fails": func(string, map[string]any) int { return http.StatusServiceUnavailable },
			"hangs": func(string, map[string]any) int { time.Sleep(3 * time.Second); return 0 },
		}[args[1]])
	}
	ts.Setenv("KMS", server.URL)
}

// scriptGPGHome does not put the home below $WORK, whose path may be too long for the agent's socket.
func scriptGPGHome(ts *testscript.TestScript, neg bool, args []string) {
	dir, err := os.MkdirTemp("", "gpg")
	ts.Check(err)
	ts.Setenv("GNUPGHOME", dir)
	ts.Defer(func() {
		exec.Command("gpgconf", "--homedir", dir, "--kill", "all").Run()
		os.RemoveAll(dir)
	})
	ts.Check(ts.Exec("gpg", "--batch", "--quiet", "--import", filepath.Join(ts.Getenv("TESTKEYS"), args[0]+"-private.asc")))
}

func scriptLocked(ts *testscript.TestScript, neg bool, args []string) {
	data, err := os.ReadFile(filepath.Join(ts.Getenv("TESTKEYS"), "one-private.asc"))
	ts.Check(err)
	key, err := keys.ReadPrivate("one", data, nil)
	ts.Check(err)
	locked, err := key.Armor([]byte(secretPassphrase))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), locked, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("passphrase"), []byte(secretPassphrase+"\n"), 0o600))
}

func scriptFlip(ts *testscript.TestScript, neg bool, args []string) {
	name := ts.MkAbs(args[0])
	data, err := os.ReadFile(name)
	ts.Check(err)
	var offset int
	_, err = fmt.Sscan(args[1], &offset)
	ts.Check(err)
	if offset < 0 {
		offset += len(data)
	}
	data[offset] ^= 1
	ts.Check(os.WriteFile(name, data, 0o644))
}

func scriptReplace(ts *testscript.TestScript, neg bool, args []string) {
	name := ts.MkAbs(args[0])
	data, err := os.ReadFile(name)
	ts.Check(err)
	if !strings.Contains(string(data), args[1]) {
		ts.Fatalf("%s does not contain %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(name, []byte(strings.ReplaceAll(string(data), args[1], args[2])), 0o644))
}
