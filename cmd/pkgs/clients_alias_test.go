package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/release/releasetest"
)

// testAlias lets clients install from an alias and upgrade when it moves to a new minor. apt would refuse the update if the
// repository called itself something else then; it is not told to accept that.
func testAlias(t *testing.T, p *published) {
	const alias = "core:/stable:/latest"
	dir := t.TempDir()
	bucket, config := filepath.Join(dir, "bucket"), filepath.Join(dir, "pkgs.yaml")
	upstream := releasetest.NewUpstream(t)
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	writeFile(t, config, `bucket: bucket
url: http://`+address+`
signing: {key: `+filepath.Join(filepath.Dir(p.config), "key.asc")+`}
architectures: [amd64, arm64]
revision: "1.1"
cache: cache
`+upstream.Config()+`streams:
  - name: core:/stable:/v{minor}
    versions: ">=1.35.0"
    released: {marker: "release/stable-{minor}.txt", newest: release/stable.txt}
    packages: {kubectl: cut}
  - name: `+alias+`
    alias: core:/stable:/v{newest}
`)
	release := func(version string) {
		upstream.Kubernetes(version, at, "amd64", "arm64")
		upstream.Mark("kubernetes", "release/stable-"+version[1:5]+".txt", version, at)
		upstream.Mark("kubernetes", "release/stable.txt", version, at)
	}
	release("v1.35.0")
	p.pkgs(t, "reconcile", "--config", config, "--confirm")
	first := filepath.Join(dir, "first")
	command(t, dir, "cp", "-a", bucket, first)

	// A patch release that somebody cuts comes to the alias with it, and a new minor with the nightly job.
	release("v1.35.1")
	time.Sleep(time.Second) // apt asks by the second whether something is new
	out := p.pkgs(t, "cut", "v1.35.1", "--config", config, "--confirm")
	if !strings.Contains(out, alias+" is at serial 2 now") {
		t.Errorf("the alias did not follow the cut:\n%s", out)
	}
	second := filepath.Join(dir, "second")
	command(t, dir, "cp", "-a", bucket, second)
	release("v1.36.0")
	time.Sleep(time.Second)
	p.pkgs(t, "reconcile", "--config", config, "--confirm")
	p.pkgs(t, "verify", "--config", config)
	steps := []struct{ bucket, version string }{{first, "1.35.0-1.1"}, {second, "1.35.1-1.1"}, {bucket, "1.36.0-1.1"}}

	for _, client := range aptClients {
		t.Run(client.suite, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, client.suite)
			s.write("/etc/apt/sources.list.d/latest.list", "deb [signed-by="+client.keyring+"] http://"+address+"/"+alias+"/deb/ /\n")
			s.trust(client, p.key)
			for _, step := range steps {
				s.serve(p, step.bucket)
				s.run("apt-get", aptGet("update")...)
				s.run("apt-get", aptGet("install", "kubectl")...) // which upgrades it
				if got := s.run("dpkg-query", "-W", "-f", "${Version}", "kubectl"); got != step.version {
					t.Errorf("kubectl %s is installed, expected %s", got, step.version)
				}
			}
			if policy := s.run("apt-cache", "policy"); !strings.Contains(policy, "l=core:stable:latest") || !strings.Contains(policy, "a=core-stable-latest") {
				t.Errorf("apt knows the alias as\n%s", policy)
			}
		})
	}
	for _, how := range repoAddresses {
		t.Run("dnf-"+how, func(t *testing.T) {
			t.Parallel()
			d := newDnf(t, how)
			d.repo(strings.ReplaceAll(repoFile(how), stream, alias))
			for i, step := range steps {
				d.serve(p, step.bucket)
				command := "upgrade"
				if i == 0 {
					command = "install"
				}
				d.dnf("--refresh", command, "kubectl")
				if got := d.runHost("rpm", "--root", d.root, "-q", "--qf", "%{VERSION}-%{RELEASE}", "kubectl"); got != step.version {
					t.Errorf("kubectl %s is installed, expected %s", got, step.version)
				}
			}
		})
	}
	if list, err := os.ReadFile(filepath.Join(bucket, "streams.json")); err != nil || !strings.Contains(string(list), `"follows": "core:/stable:/v1.36"`) {
		t.Errorf("the list of streams does not say what the alias follows: %s, %v", list, err)
	}
	if _, err := os.Stat(filepath.Join(bucket, alias, "core.repo")); err != nil {
		t.Errorf("there is no .repo file for the alias: %v", err)
	}
}
