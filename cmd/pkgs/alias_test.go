package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAliasConfig(t *testing.T) {
	const head = `bucket: bucket
url: https://pkgs.example.org
architectures: [amd64]
revision: "1.1"
signing: {key: key.asc}
sources: {kubernetes: {url: "https://dl.k8s.io/release"}}
streams:
  - {name: "core:/stable:/v{minor}", versions: ">=1.33.0", packages: {kubectl: cut}}
  - {name: "core:/stable:/v{minor}", versions: ">=1.24.0 <1.33.0", state: frozen, architectures: [s390x], packages: {kubelet: cut}}
  - {name: "core:/prerelease:/v1.35", packages: {kubeadm: cut}}
  - {name: "core:/prerelease:/v1.36", packages: {kubectl: cut}}
`
	file := filepath.Join(t.TempDir(), "pkgs.yaml")
	read := func(text string) (*config, error) {
		if err := os.WriteFile(file, []byte(head+text), 0o644); err != nil {
			t.Fatal(err)
		}
		return readConfig(file)
	}
	cfg, err := read(`  - {name: "core:/stable:/latest", alias: "core:/stable:/v{newest}"}
  - {name: "core:/next", alias: "core:/prerelease:/v{newest}", description: The next release}
`)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"core:/stable:/latest": "kubectl of stable versions, core:stable:latest, core-stable-latest, Packages of core:stable:latest",
		"core:/next":           "kubectl of all versions, core:next, core-next, The next release",
	} {
		s, err := cfg.stream(name)
		if err != nil {
			t.Fatal(err)
		}
		r := cfg.repoStream(s)
		var members []string
		for name, m := range r.Members {
			versions := " of stable versions"
			if m.Prereleases {
				versions = " of all versions"
			}
			members = append(members, name+versions+m.Minor)
		}
		if got := strings.Join(append(members, r.Label, r.Suite, r.Description), ", "); got != want || len(r.Architectures) != 1 || r.Architectures[0].Deb != "amd64" {
			t.Errorf("%s is %s for %v, expected %s for amd64", name, got, r.Architectures, want)
		}
		if err := s.changeable(); err == nil || !strings.Contains(err.Error(), "change that stream") {
			t.Errorf("%s can be changed: %v", name, err)
		}
	}
	s, _ := cfg.stream("core:/stable:/latest")
	if _, err := cfg.targets(s, []string{"core:/stable:/v1.100", "core:/stable:/v1.9"}); err == nil || !strings.Contains(err.Error(), "v1.9") {
		t.Errorf("a stream that the configuration does not have: %v", err)
	}
	targets, err := cfg.targets(s, []string{"core:/stable:/v1.100", "core:/stable:/latest", "core:/stable:/v1.36", "core:/prerelease:/v1.36", "core:/stable:/v1.36"})
	if err != nil || len(targets) != 2 || targets[0].Name != "core:/stable:/v1.36" || targets[1].Name != "core:/stable:/v1.100" {
		t.Errorf("it may follow %v, %v", targets, err)
	}
	for _, line := range []struct{ text, want string }{
		{`{name: "core:/stable:/latest", alias: "core:/stable:/v1.35"}`, "as core:/stable:/v{newest} does"},
		{`{name: "core:/stable:/latest", alias: "core:/stable:/{newest}"}`, "as core:/stable:/v{newest} does"},
		{`{name: "core:/stable:/latest", alias: "../stable:/v{newest}"}`, "as core:/stable:/v{newest} does"},
		{`{name: "core:/stable:/latest", alias: "core:/nightly:/v{newest}"}`, "there is no stream core:/nightly:/v{minor}"},
		{`{name: "core:/prerelease:/v1.34", alias: "core:/prerelease:/v{newest}"}`, "it could follow"},
		{`{name: "core:/all:/v{minor}", alias: "core:/stable:/v{newest}"}`, "leave {minor} out"},
		{`{name: "core:/stable:/latest", alias: "core:/stable:/v{newest}", packages: {kubectl: cut}}`, "leave everything out but name, alias and description"},
		{`{name: "core:/stable:/latest", alias: "core:/stable:/v{newest}", keep: 3}`, "leave everything out but name, alias and description"},
		{`{name: "Latest", alias: "core:/stable:/v{newest}"}`, "is not the name of a stream"},
	} {
		if _, err := read("  - " + line.text + "\n"); err == nil || !strings.Contains(err.Error(), line.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v, expected %q", line.text, err, line.want)
		}
	}
}
