package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/build/release/releasetest"
	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/reconcile"
	"sigs.k8s.io/pkgs/repo/verify"
)

const nightsArch = "amd64"

// announce releases a version of Kubernetes, and moves the markers that follow it, only forward.
func (c *community) announce(version string, at time.Time) {
	c.t.Helper()
	v, err := release.ParseVersion(version)
	if err != nil {
		c.t.Fatal(err)
	}
	c.upstream.Kubernetes(version, at, nightsArch)
	// latest-N.txt is the newest of everything, stable-N.txt the newest release.
	markers := []string{"latest-" + v.Minor(), "latest"}
	if v.Channel() == release.Stable {
		markers = append(markers, "stable-"+v.Minor(), "stable")
	}
	for _, name := range markers {
		if have, ok := c.markers[name]; !ok || have.Compare(v) < 0 {
			c.markers[name] = v
			c.upstream.Mark("kubernetes", "release/"+name+".txt", version, at)
		}
	}
}

// community is a configuration and a bucket that change from night to night.
type community struct {
	t        *testing.T
	dir      string
	upstream *releasetest.Upstream
	markers  map[string]release.Version
	clock    time.Time
	frozen   string // minors below are frozen
	signing  string
	program  *program
	bucket   *bucket.Memory
	errors   bytes.Buffer
	logs     bytes.Buffer
	released map[string]map[string]bool // by stream, versions as packages write them
}

func newCommunity(t *testing.T) *community {
	c := &community{
		t: t, dir: t.TempDir(), clock: time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC), frozen: "1.31",
		upstream: releasetest.NewUpstream(t), markers: map[string]release.Version{},
		released: map[string]map[string]bool{}, bucket: bucket.NewMemory(),
	}
	for _, key := range []string{"one", "two"} {
		data, err := os.ReadFile("../../keys/testdata/" + key + "-private.asc")
		if err != nil {
			t.Fatal(err)
		}
		private, err := keys.ReadPrivate(key, data, func() ([]byte, error) { return nil, errors.New("is locked") })
		if err != nil {
			t.Fatal(err)
		}
		public, err := private.Public().Armor()
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{key + ".asc": data, key + "-public.asc": public} {
			if err := os.WriteFile(filepath.Join(c.dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.signing = "{key: one.asc}"
	c.program = &program{
		stdout: io.Discard, stderr: &c.errors, now: func() time.Time { return c.clock }, backoff: time.Millisecond,
		getenv:     func(name string) string { return map[string]string{"PKGS_PUBLISHER": "nightly"}[name] },
		openBucket: func(string) (bucket.Bucket, error) { return c.bucket, nil },
		output:     "text", configFile: filepath.Join(c.dir, "pkgs.yaml"), log: slog.New(slog.NewTextHandler(&c.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	c.upstream.CRITools("v1.30.0", c.clock, nightsArch)
	c.upstream.CNI("v1.9.1", c.clock, nightsArch)
	return c
}

// config is the configuration of tonight.
func (c *community) config() *config {
	c.t.Helper()
	packages := "{kubeadm: cut, kubelet: cut, kubectl: cut, cri-tools: companion, kubernetes-cni: companion}"
	text := fmt.Sprintf(`bucket: bucket
url: https://pkgs.example.org
signing: %s
architectures: [%s]
revision: "1.1"
cache: cache
%[3]scompanions:
  cri-tools: {">=1.24.0": v1.30.0}
  kubernetes-cni: {">=1.24.0": v1.9.1}
reconcile: {refresh: 480h}
streams:
  - name: core:/stable:/v{minor}
    versions: ">=%[4]s.0"
    released: {marker: "release/stable-{minor}.txt", newest: release/stable.txt}
    packages: %[5]s
  - name: core:/prerelease:/v{minor}
    versions: ">=1.35.0"
    keep: 2
    released: {marker: "release/latest-{minor}.txt", newest: release/latest.txt}
    packages: %[5]s
  - {name: "core:/stable:/latest", alias: "core:/stable:/v{newest}"}
`, c.signing, nightsArch, c.upstream.Config(), c.frozen, packages)
	if c.frozen != "1.31" {
		text += fmt.Sprintf("  - {name: \"core:/stable:/v{minor}\", versions: \">=1.31.0 <%s.0\", state: frozen, packages: %s}\n", c.frozen, packages)
	}
	if err := os.WriteFile(c.program.configFile, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
	cfg, err := readConfig(c.program.configFile)
	if err != nil {
		c.t.Fatal(err)
	}
	return cfg
}

// release is upstream's, and what has to be published by it.
func (c *community) release(version string) {
	c.t.Helper()
	c.announce(version, c.clock.Add(-6*time.Hour))
	v, err := release.ParseVersion(version)
	if err != nil {
		c.t.Fatal(err)
	}
	stream := fmt.Sprintf("core:/%s:/v%s", v.Channel(), v.Minor())
	if c.released[stream] == nil {
		c.released[stream] = map[string]bool{}
	}
	c.released[stream][v.Package()] = true
}

func (c *community) night() *reconcile.Report {
	c.t.Helper()
	report, err := c.program.reconcile(context.Background(), c.config(), nil, reconcileOptions{confirm: true})
	if err != nil {
		c.t.Fatalf("%s: %v", c.clock.Format(time.DateOnly), err)
	}
	return report
}

func (c *community) explain(report *reconcile.Report) string {
	var b strings.Builder
	report.Print(&b)
	return c.clock.Format(time.DateOnly) + "\n" + b.String()
}

// published are the versions of kubelet in a stream's index.
func (c *community) published(stream string) map[string]bool {
	c.t.Helper()
	state, err := repo.ReadState(context.Background(), c.bucket, layout.Stream(stream))
	if err != nil {
		c.t.Fatal(err)
	}
	versions := map[string]bool{}
	for _, name := range state.Packages() {
		if version, ok := strings.CutPrefix(name, "deb/"+nightsArch+"/kubelet_"); ok {
			version, _, _ = strings.Cut(version, "-")
			versions[version] = true
		}
	}
	return versions
}

// check compares every stream with what upstream released.
func (c *community) check() {
	c.t.Helper()
	for stream, want := range c.released {
		have := c.published(stream)
		for version := range want {
			kept := !strings.Contains(stream, "prerelease")
			if !kept {
				newer := 0
				for other := range want {
					if compare(other, version) > 0 {
						newer++
					}
				}
				kept = newer < 2
			}
			if have[version] != kept {
				c.t.Errorf("%s: %s has %s published: %t", c.clock.Format(time.DateOnly), stream, version, have[version])
			}
		}
		for version := range have {
			if !want[version] {
				c.t.Errorf("%s: %s has %s, which was never released", c.clock.Format(time.DateOnly), stream, version)
			}
		}
	}
	newest := "core:/stable:/v" + c.markers["stable"].Minor()
	if have, want := c.published("core:/stable:/latest"), c.published(newest); !maps.Equal(have, want) {
		c.t.Errorf("%s: the alias has %v, and %s has %v", c.clock.Format(time.DateOnly), have, newest, want)
	}
}

func compare(a, b string) int {
	parse := func(s string) release.Version {
		v, _ := release.ParseVersion("v" + strings.Replace(s, "~", "-", 1))
		return v
	}
	return parse(a).Compare(parse(b))
}

// verifyAll reads all streams as clients do.
func (c *community) verifyAll() {
	c.t.Helper()
	cfg := c.config()
	signing, err := c.program.openSigning(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, stream := range append(slices.Collect(maps.Keys(c.released)), "core:/stable:/latest") {
		report, err := verify.Stream(context.Background(), verify.Config{Source: verify.FromBucket(c.bucket), Keyring: signing.keyring, Now: c.clock}, layout.Stream(stream))
		if err == nil {
			err = report.Err()
		}
		if err != nil {
			c.t.Errorf("%s: %s: %v", c.clock.Format(time.DateOnly), stream, err)
		}
		if _, err := repo.History(context.Background(), c.bucket, layout.Stream(stream), 0); err != nil {
			c.t.Errorf("%s: %v", c.clock.Format(time.DateOnly), err)
		}
	}
}

// searchSaid searches the logs, what was said, and all records of publications for the secrets of the keys that signed.
func (c *community) searchSaid() {
	c.t.Helper()
	said := filepath.Join(c.dir, ".records")
	searchAtEnd(c.t, c.dir, "one", "two")
	var records bytes.Buffer
	for info, err := range c.bucket.List(context.Background(), ".state/") {
		if err != nil {
			c.t.Fatal(err)
		}
		r, _, err := c.bucket.Open(context.Background(), info.Name)
		if err != nil {
			c.t.Fatal(err)
		}
		if _, err := records.ReadFrom(r); err != nil {
			c.t.Fatal(err)
		}
		r.Close()
	}
	if records.Len() == 0 || c.logs.Len() == 0 {
		c.t.Error("there is nothing to search")
	}
	for name, data := range map[string][]byte{said: records.Bytes(), said + "-logs": c.logs.Bytes(), said + "-errors": c.errors.Bytes()} {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			c.t.Fatal(err)
		}
	}
}

// TestNights lets 400 nights pass over a community: patch releases of five minors, a new minor with its prereleases, an end
// of life, a rotation of the key, outages and corrupted downloads upstream, a yank, and a cut by a release manager in the
// very moment of the job. After each night the published set is what upstream released, unless upstream kept it from being
// known, and what is published is right.
func TestNights(t *testing.T) {
	c := newCommunity(t)
	defer c.searchSaid()
	patch := map[string]int{}
	minors := []string{"1.31", "1.32", "1.33", "1.34", "1.35"}
	for _, minor := range minors {
		c.release("v" + minor + ".0")
	}
	prereleases := map[int]string{
		60: "v1.36.0-alpha.1", 75: "v1.36.0-alpha.2", 90: "v1.36.0-alpha.3", 105: "v1.36.0-beta.0", 120: "v1.36.0-rc.0", 127: "v1.36.0-rc.1", 134: "v1.36.0",
		200: "v1.37.0-alpha.1", 215: "v1.37.0-alpha.2", 250: "v1.37.0-beta.0", 270: "v1.37.0-rc.0", 280: "v1.37.0",
	}
	outage := func(night int) bool { return night >= 40 && night < 43 || night >= 119 && night < 121 || night == 333 }
	yanked := ""
	changes := 0
	for night := range 400 {
		c.clock = c.clock.Add(24 * time.Hour)
		settled := true // by the end of the night all that was released can be live
		if v := prereleases[night]; v != "" {
			c.release(v)
			if parsed, _ := release.ParseVersion(v); parsed.Channel() == release.Stable {
				minors = append(minors, parsed.Minor())
			}
		}
		if night%30 == 14 { // the day of patch releases
			for _, minor := range minors {
				if compare(minor+".0", c.frozen+".0") >= 0 {
					patch[minor]++
					c.release(fmt.Sprintf("v%s.%d", minor, patch[minor]))
				}
			}
		}
		switch night {
		case 180: // the end of life of 1.31
			c.frozen = "1.32"
		case 210:
			c.signing = "{key: one.asc, next: {key: two.asc, phase: announce}}"
		case 220:
			c.signing = "{key: one.asc, next: {key: two.asc, phase: overlap}}"
		case 230:
			c.signing = "{key: one.asc, next: {key: two.asc, phase: switch}}"
		case 240:
			c.signing = "{key: one.asc, next: {key: two.asc, phase: retire}}"
		case 250:
			c.signing = "{key: two.asc, keyring: [one-public.asc]}"
		case 300:
			yanked = fmt.Sprintf("1.34.%d", patch["1.34"])
			cfg := c.config()
			signing, err := c.program.openSigning(cfg)
			if err == nil {
				err = c.program.changeOrAsk(t.Context(), "core:/stable:/v1.34", repo.Change{Yank: c.names("core:/stable:/v1.34", yanked), Reason: "yank: does not start"}, "", true)
			}
			if err != nil {
				t.Fatal(signing, err)
			}
			delete(c.released["core:/stable:/v1.34"], yanked)
		}
		damaged := ""
		if night == 164 || night == 165 {
			damaged = fmt.Sprintf("v1.33.%d/", patch["1.33"])
		}
		c.upstream.Damage(damaged)
		c.upstream.Disturb(func(w http.ResponseWriter, r *http.Request) bool {
			if outage(night) {
				http.Error(w, "out of order", http.StatusServiceUnavailable)
			}
			return outage(night)
		})
		settled = !outage(night) && damaged == ""

		// The release manager cuts the newest patch while the job runs.
		var cutting sync.WaitGroup
		if night == 284 {
			version, err := release.ParseVersion(fmt.Sprintf("v1.35.%d", patch["1.35"]))
			if err != nil {
				t.Fatal(err)
			}
			cfg := c.config()
			s, err := cfg.streamFor(version, "core:/stable:/v1.35")
			if err != nil {
				t.Fatal(err)
			}
			cutting.Go(func() {
				err := c.program.cut(context.Background(), cfg, version, s, t.TempDir(), repo.Change{}, true)
				var race *repo.RaceError
				if err != nil && !errors.As(err, &race) {
					t.Errorf("the cut: %v", err)
				}
			})
		}
		report := c.night()
		cutting.Wait()

		worst := report.Worst()
		switch {
		case settled && worst != reconcile.Info:
			t.Fatalf("something was left: %s", c.explain(report))
		case !settled && worst != reconcile.Drift:
			t.Fatalf("nothing was said of upstream's trouble: %s", c.explain(report))
		}
		for _, s := range report.Streams {
			if s.Changed {
				changes++
			}
			if s.Serial > 0 && s.ValidUntil.Sub(c.clock) < 8*24*time.Hour {
				t.Errorf("%s: %s is valid for %s only", c.clock.Format(time.DateOnly), s.Stream, s.ValidUntil.Sub(c.clock))
			}
		}
		if settled {
			c.check()
		}
		if night%20 == 5 {
			again := c.night()
			if slices.ContainsFunc(again.Streams, func(s *reconcile.StreamReport) bool { return s.Changed || s.Plan != nil && !s.Plan.Empty() }) {
				t.Errorf("a second run had something to do: %s", c.explain(again))
			}
		}
		if night%50 == 49 || night >= 208 && night <= 252 && night%10 == 1 {
			c.verifyAll()
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	if c.published("core:/stable:/v1.34")[yanked] {
		t.Errorf("%s came back", yanked)
	}
	r, _, err := c.bucket.Open(t.Context(), "core:/stable:/latest.txt")
	if err != nil {
		t.Fatal(err)
	}
	latest, err := io.ReadAll(r)
	if want := fmt.Sprintf("1.37.%d\n", patch["1.37"]); err != nil || string(latest) != want {
		t.Errorf("latest.txt has %q, expected %q: %v", latest, want, err)
	}
	if n := len(slices.Collect(maps.Keys(c.released))); n != 9 {
		t.Errorf("%d streams", n)
	}
	t.Logf("%d publications in 400 nights", changes)
}

// names are the files of all packages that the cut made of a version.
func (c *community) names(stream, version string) []string {
	var names []string
	for _, program := range []string{"kubeadm", "kubelet", "kubectl"} {
		names = append(names, fmt.Sprintf("deb/%s/%s_%s-1.1_%s.deb", nightsArch, program, version, nightsArch),
			fmt.Sprintf("rpm/x86_64/%s-%s-1.1.x86_64.rpm", program, version))
	}
	return names
}
