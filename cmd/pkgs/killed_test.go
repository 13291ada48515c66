package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/build/release/releasetest"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

const (
	killedStream = "core:/stable:/v1.35"
	killedRounds = 4
)

// killing is a directory with a configuration and a bucket in which processes of pkgs are killed.
type killing struct {
	t   *testing.T
	dir string
}

// pkgs runs the program as a process of its own, which is killed after a time unless that is 0. It returns what the process
// wrote and its exit code, which is -1 if it was killed.
func (k *killing) pkgs(after time.Duration, args ...string) (stdout, stderr []byte, code int) {
	cmd := exec.Command("pkgs", args...)
	cmd.Dir = k.dir
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(k.dir, "cache"), "TMPDIR="+filepath.Join(k.dir, "tmp"))
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		k.t.Error(err)
		return nil, nil, exitFailure
	}
	if after > 0 {
		timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
		defer timer.Stop()
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		k.t.Error(err)
		return nil, nil, exitFailure
	}
	return out.Bytes(), said.Bytes(), cmd.ProcessState.ExitCode()
}

// must runs the program, which has to succeed, and returns what it wrote.
func (k *killing) must(args ...string) []byte {
	k.t.Helper()
	stdout, stderr, code := k.pkgs(0, args...)
	if code != 0 {
		k.t.Fatalf("pkgs %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// manager is somebody who cuts every second patch version, one after the other, starting again whatever ends without success.
type manager struct {
	*killing
	patch    int      // to be cut next
	reported []string // packages that a process said are published
	kills    int
}

// cut starts one process for the next version, and tells whether it came to its end.
func (m *manager) cut(after time.Duration) bool {
	stdout, stderr, code := m.pkgs(after, "cut", fmt.Sprintf("v1.35.%d", m.patch), "--backfill", "--confirm", "--output", "json")
	// One that is killed may have told everything before.
	var told struct {
		Plan      struct{ Added []string }
		Published bool
	}
	if json.Unmarshal(stdout, &told) == nil && told.Published {
		m.reported = append(m.reported, told.Plan.Added...)
	}
	switch code {
	case 0:
		m.reported = append(m.reported, killedPackages("kubectl", fmt.Sprintf("1.35.%d", m.patch))...)
		m.patch += 2
		return true
	case -1:
		m.kills++
	case exitRace: // the other was first
	default:
		m.t.Errorf("the cut of v1.35.%d: exit code %d\n%s%s", m.patch, code, stdout, stderr)
	}
	return false
}

// killedPackages are a package's files in the index.
func killedPackages(name, version string) []string {
	return []string{fmt.Sprintf("deb/amd64/%s_%s-1.1_amd64.deb", name, version), fmt.Sprintf("rpm/x86_64/%s-%s-1.1.x86_64.rpm", name, version)}
}

// TestKilledProcesses has two processes of pkgs cut different versions to one stream at the same time, and kills them again and
// again after random times with a signal that none can catch. What was said to be published stays, and in the end everything
// is, one publication after the other, as if nobody had died. The first publication is contested as all the others are, and
// both bring the same package to it.
func TestKilledProcesses(t *testing.T) {
	k := &killing{t, t.TempDir()}
	key, err := os.ReadFile("../../keys/testdata/one-private.asc")
	if err != nil {
		t.Fatal(err)
	}
	upstream := releasetest.NewUpstream(t)
	upstream.CRITools("v1.35.0", releaseDate, "amd64")
	for patch := range 2*killedRounds + 4 {
		upstream.Kubernetes(fmt.Sprintf("v1.35.%d", patch), releaseDate, "amd64")
	}
	config := `url: https://pkgs.example.org
signing: {key: key.asc}
architectures: [amd64]
revision: "1.1"
` + upstream.Config() + `streams:
  - name: ` + killedStream + `
    packages: {kubectl: cut, cri-tools: v1.35.0}
`
	address := "file://" + k.dir + "/bucket"
	for name, data := range map[string]string{
		"key.asc": string(key), "tmp/.keep": "", "pkgs.yaml": "bucket: " + address + "\n" + config, "rehearsal.yaml": "bucket: rehearsal\n" + config,
	} {
		name = filepath.Join(k.dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	// How long a process lives that nobody kills, and what it leaves in a bucket.
	begin := time.Now()
	k.must("cut", "v1.35.0", "--confirm", "--config", "rehearsal.yaml")
	life := time.Since(begin)

	b, err := bucket.Open(address)
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d, a life of %s", seed, life.Round(time.Millisecond))
	random := rand.New(rand.NewPCG(seed, 0))
	managers := []*manager{{killing: k, patch: 0}, {killing: k, patch: 1}}
	var before []repo.Publication
	for range killedRounds {
		var group sync.WaitGroup
		var survivors atomic.Int32
		for _, m := range managers {
			after := life/4 + time.Duration(random.Int64N(int64(life))) // the first quarter it spends on getting ready
			group.Go(func() {
				if m.cut(after) {
					survivors.Add(1)
				}
			})
		}
		group.Wait()
		for range survivors.Load() {
			life -= life / 4 // it was longer than that of others
		}
		before = k.checkRecords(b, before, managers)
		if t.Failed() {
			t.FailNow()
		}
	}
	survived := len(before)

	// Now both are let to finish the one at which they are.
	var group sync.WaitGroup
	for _, m := range managers {
		group.Go(func() {
			for attempt := 0; !m.cut(0); attempt++ {
				if attempt == 20 {
					t.Errorf("v1.35.%d lost 20 races", m.patch)
				}
				if t.Failed() {
					return
				}
			}
		})
	}
	group.Wait()
	k.checkRecords(b, before, managers)
	if t.Failed() {
		t.FailNow()
	}

	want := killedPackages("cri-tools", "1.35.0")
	kills := 0
	for i, m := range managers {
		kills += m.kills
		for patch := i; patch < m.patch; patch += 2 {
			want = append(want, killedPackages("kubectl", fmt.Sprintf("1.35.%d", patch))...)
		}
	}
	slices.Sort(want)
	t.Logf("%d of %d processes killed, %d publications before the last two, %d packages in the end", kills, 2*killedRounds, survived, len(want))
	if kills == 0 {
		t.Error("no process was killed: nothing was tried")
	}
	for _, args := range [][]string{{"verify"}, {"verify", "--audit"}} {
		if out := k.must(args...); !bytes.Contains(out, []byte("verified "+killedStream+" in "+k.dir+"/bucket: right\n")) {
			t.Errorf("pkgs %s:\n%s", strings.Join(args, " "), out)
		}
	}
	k.checkHistory(want)
	if served := k.indexed(); !slices.Equal(served, want) {
		t.Errorf("the indexes list %q, want %q", served, want)
	}
	k.checkFiles(want)
}

// checkRecords looks at the bucket when all processes have ended, however they did: the publications go on from those before,
// and what any process reported is in the index. It returns the publications.
func (k *killing) checkRecords(b bucket.Bucket, before []repo.Publication, managers []*manager) []repo.Publication {
	k.t.Helper()
	history, err := repo.History(k.t.Context(), b, killedStream, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	if lost := len(before) - len(history); lost > 0 {
		k.t.Fatalf("%d publications are gone", lost)
	}
	for i, p := range history[len(history)-len(before):] {
		if p.Manifest != before[i].Manifest {
			k.t.Errorf("serial %d was manifest %s and is %s", p.Serial, before[i].Manifest, p.Manifest)
		}
	}
	index := map[string]bool{}
	for _, p := range slices.Backward(history) {
		for _, name := range p.Added {
			index[name] = true
		}
		for _, name := range p.Removed {
			delete(index, name)
		}
	}
	for _, m := range managers {
		for _, name := range m.reported {
			if !index[name] {
				k.t.Errorf("%s was reported as published, and is lost", name)
			}
		}
	}
	return history
}

// checkHistory reads the history as pkgs tells it: serials without a gap or a second of a kind, each package coming once.
func (k *killing) checkHistory(want []string) {
	k.t.Helper()
	var history []struct {
		Serial         int64
		Packages       int
		Added, Removed []string
	}
	if err := json.Unmarshal(k.must("history", killedStream, "--output", "json"), &history); err != nil {
		k.t.Fatal(err)
	}
	var came []string
	for i, p := range slices.Backward(history) {
		came = append(came, p.Added...)
		if p.Serial != int64(len(history)-i) || p.Packages != len(came) || len(p.Added) == 0 || len(p.Removed) > 0 {
			k.t.Errorf("in place %d is serial %d with %d packages after %d came: %q came, %q left", len(history)-i, p.Serial, p.Packages, len(came), p.Added, p.Removed)
		}
	}
	slices.Sort(came)
	if !slices.Equal(came, want) {
		k.t.Errorf("the history has %q, want %q", came, want)
	}
}

// indexed are the packages that the indexes name which clients begin with.
func (k *killing) indexed() []string {
	k.t.Helper()
	root := filepath.Join(k.dir, "bucket", killedStream)
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			k.t.Fatal(err)
		}
		return data
	}
	var names []string
	for _, found := range regexp.MustCompile(`(?m)^Filename: (.+)$`).FindAllSubmatch(read("deb/Packages"), -1) {
		names = append(names, "deb/"+string(found[1]))
	}
	primary := regexp.MustCompile(`href="(repodata/[^"]*primary\.xml\.gz)"`).FindSubmatch(read("rpm/repodata/repomd.xml"))
	if primary == nil {
		k.t.Fatal("repomd.xml names no primary.xml.gz")
	}
	r, err := gzip.NewReader(bytes.NewReader(read("rpm/" + string(primary[1]))))
	if err != nil {
		k.t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`<location href="([^"]+)"`).FindAllSubmatch(text, -1) {
		names = append(names, "rpm/"+string(found[1]))
	}
	slices.Sort(names)
	return names
}

// checkFiles looks at every file of the bucket that clients can ask for: packages of the index with what belongs to them, whole
// files under names that are digests, and otherwise such as a process leaves that nobody kills. Unfinished files, which nobody
// is given, have been swept away.
func (k *killing) checkFiles(packages []string) {
	k.t.Helper()
	usual := k.files("rehearsal")
	found := k.files("bucket")
	for name, data := range found {
		class := layout.ClassOf(name)
		below := strings.TrimPrefix(name, killedStream+"/")
		right := false
		switch {
		case strings.HasPrefix(name, ".bucket/"):
			right = name == ".bucket/lock"
		case class == layout.Attestation:
			right = slices.Contains(packages, layout.Attested(below))
		case class == layout.Package:
			right = slices.Contains(packages, below)
		case layout.NamedDigest(name) != "":
			right = layout.NamedDigest(name) == fmt.Sprintf("%x", sha256.Sum256(data))
		case strings.HasPrefix(name, ".state/"), strings.Contains(name, "/rpm-snapshots/"):
			right = class == layout.State || strings.HasSuffix(name, ".json") || strings.HasPrefix(filepath.Base(name), "repomd.xml")
		default:
			_, right = usual[name]
		}
		if !right {
			k.t.Errorf("%s, of %d bytes, was left behind", name, len(data))
		}
	}
	for name := range usual {
		if class := layout.ClassOf(name); class == layout.Pointer || class == layout.Page {
			if _, ok := found[name]; !ok {
				k.t.Errorf("%s is missing", name)
			}
		}
	}
	for _, name := range packages {
		for _, suffix := range append(layout.Attestations(), "") {
			if _, ok := found[killedStream+"/"+name+suffix]; !ok {
				k.t.Errorf("%s is missing", name+suffix)
			}
		}
	}
}

// files are those of a bucket by their names.
func (k *killing) files(name string) map[string][]byte {
	k.t.Helper()
	root := os.DirFS(filepath.Join(k.dir, name))
	files := map[string][]byte{}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(root, name)
		return err
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return files
}

// dying is a bucket for a process that dies when it has committed and brought all pointers up to date: it writes no page after
// that.
type dying struct {
	bucket.Bucket
	committed atomic.Bool
}

var errDead = errors.New("the process is dead")

func (d *dying) Put(ctx context.Context, name string, content bucket.Content, options bucket.PutOptions) (bucket.Info, error) {
	if class := layout.ClassOf(name); class == layout.State {
		d.committed.Store(true)
	} else if class == layout.Page && d.committed.Load() {
		return bucket.Info{}, errDead
	}
	return d.Bucket.Put(ctx, name, content, options)
}

// TestDiedAtFirst begins a stream in a run that dies when its repositories are done. The next run finds nothing to do, and
// whoever wants to use the stream has what that takes.
func TestDiedAtFirst(t *testing.T) {
	c := newCommunity(t)
	c.release("v1.35.0")
	version, err := release.ParseVersion("v1.35.0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := c.config()
	s, err := cfg.streamFor(version, killedStream)
	if err != nil {
		t.Fatal(err)
	}
	c.program.openBucket = func(string) (bucket.Bucket, error) { return &dying{Bucket: c.bucket}, nil }
	if err := c.program.cut(t.Context(), cfg, version, s, t.TempDir(), repo.Change{}, true); !errors.Is(err, errDead) {
		t.Fatalf("the first run: %v", err)
	}
	c.program.openBucket = func(string) (bucket.Bucket, error) { return c.bucket, nil }
	if err := c.program.cut(t.Context(), cfg, version, s, t.TempDir(), repo.Change{}, true); err != nil {
		t.Fatalf("the second run: %v", err)
	}
	history, err := repo.History(t.Context(), c.bucket, killedStream, 0)
	if err != nil || len(history) != 1 {
		t.Fatalf("%d publications: %v", len(history), err)
	}
	for _, name := range []string{killedStream + "/core.sources", killedStream + "/core.list", killedStream + "/core.repo", layout.Key(history[0].Keys[0])} {
		if _, err := c.bucket.Stat(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}
