package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// kubernetesCommit is what the tag v1.35.0 of k8s.io/kubernetes names; the real programs tell it.
const kubernetesCommit = "66452049f3d692768c39c797b21b793dce80314e"

func (m *maker) kubernetesRecipe(i int) string {
	switch {
	case !m.real:
		return "stand-ins"
	case i == 0:
		return "compiled from k8s.io/kubernetes v1.35.0 for amd64 and arm64, stand-ins for the rest; kubelet with " + m.kubeletCompilers()
	}
	return "the source of v1.35.0 with this version stamped into it, a stand-in patch release for trying upgrades; kubelet with " +
		m.kubeletCompilers()
}

func (m *maker) makeKubernetes(dir string, v version) error {
	type job struct{ program, arch string }
	var jobs []job
	for _, arch := range m.architectures {
		for _, program := range kubernetesPrograms {
			jobs = append(jobs, job{program, arch})
		}
	}
	bin := func(j job) string { return filepath.Join(dir, "bin/linux", j.arch, j.program) }
	err := each(jobs, func(j job) error {
		if m.real && slices.Contains(realArchitectures, j.arch) {
			return m.compileKubernetes(bin(j), j.program, j.arch, v)
		}
		return m.compileStandIn(bin(j), j.program, j.arch, v)
	})
	if err != nil {
		return err
	}
	var files []string
	for _, j := range jobs {
		files = append(files, strings.TrimPrefix(bin(j), dir+"/"))
	}
	for _, file := range files {
		if err := writeSums(dir, file, bareSum, sha256Sum, sha512Sum); err != nil {
			return err
		}
	}
	return writeSumLists(dir, files)
}

// compileKubernetes compiles a real program, as Kubernetes' own build does: kubelet linked with the C library where
// there is a compiler for that, the others static.
func (m *maker) compileKubernetes(out, program, arch string, v version) error {
	cc := ""
	if program == "kubelet" {
		cc = crossCompiler(arch)
	}
	major, minor, _ := strings.Cut(strings.TrimPrefix(v.Name, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	var stamps strings.Builder
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, stamp := range [][2]string{
			{"gitVersion", v.Name}, {"gitMajor", major}, {"gitMinor", minor}, {"gitCommit", kubernetesCommit},
			{"gitTreeState", "archive"}, {"buildDate", v.Time.Format(time.RFC3339)},
		} {
			fmt.Fprintf(&stamps, "-X %s.%s=%s ", pkg, stamp[0], stamp[1])
		}
	}
	return m.compile(compilation{
		folder: "kubernetes", packages: []string{"k8s.io/kubernetes/cmd/" + program}, out: out, arch: arch, cc: cc,
		ldflags: stamps.String(), tags: "selinux,notest,grpcnotrace",
	})
}

func (m *maker) compileStandIn(out, program, arch string, v version) error {
	return m.compile(compilation{
		folder: ".", packages: []string{"./standin"}, out: out, arch: arch,
		ldflags: "-X main.name=" + program + " -X main.version=" + v.Name,
	})
}

// crossCompiler is the C compiler for arch that is installed here by Debian's name for it, or empty.
func crossCompiler(arch string) string {
	name := map[string]string{"amd64": "x86_64-linux-gnu-gcc", "arm64": "aarch64-linux-gnu-gcc"}[arch]
	if _, err := exec.LookPath(name); err != nil {
		return ""
	}
	return name
}

func (m *maker) kubeletCompilers() string {
	var words []string
	for _, arch := range realArchitectures {
		if cc := crossCompiler(arch); cc != "" {
			words = append(words, arch+" linked with libc by "+cc)
		} else {
			words = append(words, arch+" static")
		}
	}
	return strings.Join(words, ", ")
}

func (m *maker) makeCRITools(dir string) error {
	return each(m.architectures, func(arch string) error {
		program := filepath.Join(dir, "crictl-"+arch)
		if err := m.compileStandIn(program, "crictl", arch, criToolsVersion); err != nil {
			return err
		}
		defer os.Remove(program)
		name := fmt.Sprintf("crictl-%s-linux-%s.tar.gz", criToolsVersion.Name, arch)
		// Upstream's archive was packed by a build machine's user, who is in it.
		owner := owner{1001, 127, "runner", "docker"}
		if err := writeArchive(filepath.Join(dir, name), owner, criToolsVersion.Time,
			[]member{{"crictl", 0o755, program}}); err != nil {
			return err
		}
		return writeSums(dir, name, bareSum, sha256Sum)
	})
}
