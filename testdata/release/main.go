// Command release makes a directory of upstream releases for trying pkgs out and for its tests, laid out as upstream
// serves them:
//
//	kubernetes/<version>/bin/linux/<arch>/{kubeadm,kubectl,kubelet}          and beside each .sha256 and .sha512: bare hex
//	kubernetes/<version>/SHA256SUMS SHA512SUMS                               lines of "hex  path below the version"
//	cri-tools/<version>/crictl-<version>-linux-<arch>.tar.gz                 .sha256: bare hex
//	cni-plugins/<version>/cni-plugins-linux-<arch>-<version>.tgz             .sha256 and .sha512: "hex  name"
//
// as https://dl.k8s.io/release/ and the release pages of kubernetes-sigs/cri-tools and containernetworking/plugins do.
//
// The CNI plugins are always the real ones, compiled from the Go module github.com/containernetworking/plugins; the
// flag -plugins chooses which. The other programs are stand-ins (see the folder standin), unless -real is given: then
// kubeadm, kubectl and kubelet are compiled from the Go module k8s.io/kubernetes for amd64 and arm64. The module proxy
// serves no newer patch release that this could be an upgrade to, so the second version is the same source with another
// version stamped into it: a stand-in patch release.
//
// The same toolchain makes the same bytes: fixed times, no paths, no build ids. A version that is there already, made
// by the same recipe, is left as it is; see recipe.go.
package main

import (
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A version of a program, and when its files say that they were made.
type version struct {
	Name string
	Time time.Time
}

// The versions that are made. kubernetes v1.35.0 and the CNI plugins v1.9.1 are the ones that go.mod in the folders
// kubernetes and cni requires.
var (
	kubernetesVersions = []version{
		{"v1.35.0", time.Date(2025, 12, 17, 17, 0, 0, 0, time.UTC)},
		{"v1.35.1", time.Date(2026, 2, 10, 12, 0, 0, 0, time.UTC)},
	}
	criToolsVersion   = version{"v1.35.0", time.Date(2025, 12, 18, 9, 0, 0, 0, time.UTC)}
	cniPluginsVersion = version{"v1.9.1", time.Date(2026, 3, 17, 10, 0, 0, 0, time.UTC)}
)

var (
	kubernetesPrograms = []string{"kubeadm", "kubectl", "kubelet"}
	allArchitectures   = []string{"amd64", "arm64", "ppc64le", "s390x"}
	realArchitectures  = []string{"amd64", "arm64"} // those that -real compiles Kubernetes for
)

func main() {
	out := flag.String("out", "", "the `folder` that the releases are made in (required)")
	source := flag.String("source", ".", "the `folder` of this program's source, with cni, kubernetes and standin")
	real := flag.Bool("real", false, "compile kubeadm, kubectl and kubelet from k8s.io/kubernetes for amd64 and arm64")
	plugins := flag.String("plugins", "bridge,firewall,host-local,loopback,portmap", "CNI plugins to compile, or all")
	architectures := flag.String("architectures", strings.Join(allArchitectures, ","), "architectures, in Go's names")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	m := &maker{out: *out, source: *source, real: *real, architectures: strings.Split(*architectures, ","),
		slots: make(chan struct{}, runtime.NumCPU())}
	start := time.Now()
	err := m.makeAll(*plugins)
	if err != nil {
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		os.Exit(1)
	}
	fmt.Printf("release: %s is complete (%.0f s)\n", *out, time.Since(start).Seconds())
}

// A maker makes one directory of releases.
type maker struct {
	out, source   string
	real          bool
	architectures []string
	slots         chan struct{} // one value in it for every go build that runs
}

func (m *maker) makeAll(plugins string) error {
	if err := m.checkArchitectures(); err != nil {
		return err
	}
	chosen, err := m.choosePlugins(plugins)
	if err != nil {
		return err
	}
	var names []string
	for _, plugin := range chosen {
		names = append(names, path.Base(plugin))
	}
	how := "the plugins " + strings.Join(names, ", ") + ", compiled from " + cniModule
	if err := m.step("cni-plugins", cniPluginsVersion, how, func(dir string) error {
		return m.makeCNIPlugins(dir, chosen)
	}); err != nil {
		return err
	}
	if err := m.step("cri-tools", criToolsVersion, "stand-in", m.makeCRITools); err != nil {
		return err
	}
	for i, v := range kubernetesVersions {
		if err := m.step("kubernetes", v, m.kubernetesRecipe(i), func(dir string) error {
			return m.makeKubernetes(dir, v)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (m *maker) checkArchitectures() error {
	for _, arch := range m.architectures {
		if !slices.Contains(allArchitectures, arch) {
			return fmt.Errorf("unknown architecture %q: expected some of %s", arch, strings.Join(allArchitectures, ","))
		}
	}
	return nil
}

// step makes one version of one project in a folder of its own and moves that into place when it is complete, so that
// an interrupted run leaves nothing that looks finished. It does nothing when the version is there, made as how says.
func (m *maker) step(project string, v version, how string, fill func(dir string) error) error {
	final := filepath.Join(m.out, project, v.Name)
	recipe := m.recipe(project, v, how)
	if recipe.madeAt(final) {
		fmt.Printf("release: %s %s is there: %s\n", project, v.Name, how)
		return nil
	}
	fmt.Printf("release: making %s %s: %s\n", project, v.Name, how)
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(final), ".making-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := fill(dir); err != nil {
		return fmt.Errorf("%s %s: %w", project, v.Name, err)
	}
	if err := recipe.write(dir); err != nil {
		return err
	}
	if err := settle(dir, v.Time); err != nil {
		return err
	}
	if err := os.RemoveAll(final); err != nil {
		return err
	}
	return os.Rename(dir, final)
}

// settle gives every file and folder below dir the same time and the modes that a server's copy has.
func settle(dir string, at time.Time) error {
	return filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if d.IsDir() {
			mode = 0o755
		}
		if err := os.Chmod(name, mode); err != nil {
			return err
		}
		return os.Chtimes(name, at, at)
	})
}
