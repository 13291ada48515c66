package main

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const cniModule = "github.com/containernetworking/plugins"

// choosePlugins turns the flag -plugins into import paths. The folder cni's go.mod lists all plugins as its tools.
func (m *maker) choosePlugins(flag string) ([]string, error) {
	mod, err := os.ReadFile(filepath.Join(m.source, "cni/go.mod"))
	if err != nil {
		return nil, err
	}
	var all, chosen []string
	for line := range strings.Lines(string(mod)) {
		if p := strings.TrimSpace(line); strings.HasPrefix(p, cniModule+"/plugins/") {
			all = append(all, p)
		}
	}
	if flag == "all" {
		return all, nil
	}
	for name := range strings.SplitSeq(flag, ",") {
		i := slices.IndexFunc(all, func(p string) bool { return path.Base(p) == name })
		if i < 0 {
			return nil, fmt.Errorf("%s %s has no plugin %q", cniModule, cniPluginsVersion.Name, name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// makeCNIPlugins compiles the plugins for every architecture and packs each into an archive like upstream's: the folder
// itself, the plugins, LICENSE and README.md, all members beginning with ./ and belonging to root.
func (m *maker) makeCNIPlugins(dir string, plugins []string) error {
	docs, err := m.moduleFolder("cni", cniModule)
	if err != nil {
		return err
	}
	return each(m.architectures, func(arch string) error {
		bin := filepath.Join(dir, "bin-"+arch)
		if err := os.Mkdir(bin, 0o755); err != nil {
			return err
		}
		defer os.RemoveAll(bin)
		if err := m.compile(compilation{
			folder: "cni", packages: plugins, out: bin + "/", arch: arch,
			ldflags: "-X " + cniModule + "/pkg/utils/buildversion.BuildVersion=" + cniPluginsVersion.Name,
		}); err != nil {
			return err
		}
		members := []member{{"./", 0o755, ""}}
		for _, doc := range []string{"LICENSE", "README.md"} {
			members = append(members, member{"./" + doc, 0o644, filepath.Join(docs, doc)})
		}
		for _, plugin := range plugins {
			name := path.Base(plugin)
			members = append(members, member{"./" + name, 0o755, filepath.Join(bin, name)})
		}
		name := fmt.Sprintf("cni-plugins-linux-%s-%s.tgz", arch, cniPluginsVersion.Name)
		root := owner{0, 0, "root", "root"}
		if err := writeArchive(filepath.Join(dir, name), root, cniPluginsVersion.Time, members); err != nil {
			return err
		}
		return writeSums(dir, name, namedSum, sha256Sum, sha512Sum)
	})
}

// moduleFolder is where the sources of a module lie that the go.mod in folder requires; it downloads them if need be.
func (m *maker) moduleFolder(folder, module string) (string, error) {
	download := exec.Command("go", "mod", "download", module)
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
	var out []byte
	for _, cmd := range []*exec.Cmd{download, list} {
		cmd.Dir = filepath.Join(m.source, folder)
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
		cmd.Stderr = os.Stderr
		var err error
		if out, err = cmd.Output(); err != nil {
			return "", fmt.Errorf("%v: %w", cmd.Args, err)
		}
	}
	return strings.TrimSpace(string(out)), nil
}
