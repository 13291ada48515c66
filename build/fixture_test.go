package build

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/release"
)

// architectures are those of the packages, in Go's words.
var architectures = []string{"amd64", "arm64", "ppc64le", "s390x"}

// released is the date of the releases that tests make.
var released = time.Date(2025, 9, 10, 11, 12, 13, 0, time.UTC)

// program is a small static Go program for an architecture, stripped.
func program(t testing.TB, arch string) []byte {
	t.Helper()
	return compiled(t, arch, "-s -w")
}

func compiled(t testing.TB, arch, ldflags string) []byte {
	t.Helper()
	dir := t.TempDir()
	source := "package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(\"a stand-in\\n\") }\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", ldflags, "-o", "program", "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GO111MODULE=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "program"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// tiny is the least that is a static executable for an architecture: headers alone. Most tests need no more.
func tiny(t testing.TB, arch string) []byte {
	t.Helper()
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "ppc64le": elf.EM_PPC64, "s390x": elf.EM_S390}[arch]
	var order binary.ByteOrder = binary.LittleEndian
	data := elf.ELFDATA2LSB
	if arch == "s390x" {
		order, data = binary.BigEndian, elf.ELFDATA2MSB
	}
	var b bytes.Buffer
	err := binary.Write(&b, order, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(data), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: 1, Ehsize: 64, Phentsize: 56, Shentsize: 64,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// dynamic is a program of this system that needs the C library, as the kubelet does.
func dynamic(t testing.TB) []byte {
	t.Helper()
	path, err := exec.LookPath("true")
	if err != nil {
		t.Fatal("true is needed: apt-get install coreutils")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// tarball is a .tar.gz of executables.
func tarball(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, data := range files {
		err := w.WriteHeader(&tar.Header{Name: "./" + name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(data))})
		if _, e := w.Write(data); err != nil || e != nil {
			t.Fatal(err, e)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// plugins are some of those that are in the tarball of the CNI project.
var plugins = []string{"bridge", "host-local", "loopback"}

// kubernetes makes a release of everything for all architectures, in the three layouts of upstream, of tiny executables.
func kubernetes(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, arch := range architectures {
		fill(t, dir, arch, tiny(t, arch), tiny(t, arch))
	}
	return dir
}

// fill puts everything for one architecture into a release: kubelet as it is, and all other programs alike.
func fill(t testing.TB, dir, arch string, kubelet, other []byte) {
	t.Helper()
	const v = "v1.34.1"
	put(t, dir, v+"/bin/linux/"+arch+"/kubelet", kubelet)
	put(t, dir, v+"/bin/linux/"+arch+"/kubeadm", other)
	put(t, dir, v+"/bin/linux/"+arch+"/kubectl", other)
	put(t, dir, v+"/crictl-"+v+"-linux-"+arch+".tar.gz", tarball(t, map[string][]byte{"crictl": other}))
	members := map[string][]byte{"LICENSE": []byte("a license"), "README.md": []byte("read me")}
	for _, name := range plugins {
		members[name] = append(slices.Clone(other), name...) // rpmlint minds files that are the same
	}
	put(t, dir, v+"/cni-plugins-linux-"+arch+"-"+v+".tgz", tarball(t, members))
}

// put writes a file of a release and its checksum.
func put(t testing.TB, dir, name string, data []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644),
		os.WriteFile(path+".sha256", []byte(sum), 0o644), os.Chtimes(path, released, released)); err != nil {
		t.Fatal(err)
	}
}

func defaults(t testing.TB) Definitions {
	t.Helper()
	all, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// config is a configuration for releases in dir. The output is a directory of its own.
func config(t testing.TB, dir string) Config {
	t.Helper()
	work := t.TempDir()
	c := Config{Definitions: defaults(t), Sources: map[string]*release.Source{}, OutDir: filepath.Join(work, "out"),
		Compressor: &payload.Compressor{Encoder: payload.Go(), Cache: filepath.Join(work, "blocks")}, Log: slog.New(slog.DiscardHandler)}
	for _, name := range []string{"kubernetes", "cri-tools", "cni-plugins"} {
		source, err := release.Open(t.Context(), release.Config{Name: name, URL: dir, Cache: filepath.Join(work, "inputs")})
		if err != nil {
			t.Fatal(err)
		}
		c.Sources[name] = source
	}
	return c
}

var packages = []string{"cri-tools", "kubeadm", "kubectl", "kubelet", "kubernetes-cni"}

// request is a request for a package in both formats.
func request(t testing.TB, name, version, arch string) Request {
	t.Helper()
	v, err := release.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	a, err := release.ParseArchitecture(arch)
	if err != nil {
		t.Fatal(err)
	}
	return Request{Package: name, Version: v, DebRevision: "1.1", RpmRelease: "1.1", Architecture: a}
}

// run runs a program and gives what it prints.
func run(t testing.TB, debianPackage, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is needed: apt-get install %s", name, debianPackage)
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// builtOnce is what the tests that only look at packages share: all five for all architectures. Those for this machine are of
// real programs, the kubelet a dynamic one.
type builtOnce struct {
	once sync.Once
	dir  string
	list []Package
}

var shared builtOnce

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(shared.dir)
	os.Exit(code)
}

// built gives the shared packages.
func built(t *testing.T) []Package {
	t.Helper()
	shared.once.Do(func() {
		var err error
		if shared.dir, err = os.MkdirTemp("", "build-test"); err != nil {
			t.Fatal(err)
		}
		dir := kubernetes(t)
		fill(t, dir, runtime.GOARCH, dynamic(t), program(t, runtime.GOARCH))
		c := config(t, dir)
		c.OutDir = shared.dir
		var requests []Request
		for _, arch := range architectures {
			for _, name := range packages {
				requests = append(requests, request(t, name, "v1.34.1", arch))
			}
		}
		if shared.list, err = Build(t.Context(), c, requests); err != nil {
			t.Fatal(err)
		}
	})
	if shared.list == nil {
		t.Fatal("the packages could not be built, see the first test that failed")
	}
	return shared.list
}

// find gives the path of a shared package for this machine, in the words of Go.
func find(t *testing.T, name string, format Format) string {
	t.Helper()
	want := request(t, name, "v1.34.1", runtime.GOARCH).FileName(format)
	for _, p := range built(t) {
		if strings.HasSuffix(filepath.ToSlash(p.Path), "/"+string(format)+"/"+want) {
			return p.Path
		}
	}
	t.Fatalf("no %s of %s", format, name)
	return ""
}

// all gives the paths of all shared packages of a format for this machine.
func all(t *testing.T, format Format) []string {
	t.Helper()
	var paths []string
	for _, name := range packages {
		paths = append(paths, find(t, name, format))
	}
	return paths
}
