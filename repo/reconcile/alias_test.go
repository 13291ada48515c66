package reconcile

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/verify"
)

const aliasName = layout.Stream("core:/stable:/latest")

// companion is a release that goes with every minor.
const companion = "v1.30.0"

// minors gives each stream the releases of its own minor, and the companion.
type minors struct{ *fakeUpstream }

func (u minors) Wanted(ctx context.Context, stream layout.Stream, published []Package) ([]Package, error) {
	all, err := u.fakeUpstream.Wanted(ctx, stream, published)
	return slices.DeleteFunc(all, func(p Package) bool {
		return !strings.HasPrefix(p.Release, stream.Leaf()+".") && p.Release != companion
	}), err
}

// aliasScene is a scene with streams of three minors and an alias of the newest.
type aliasScene struct {
	*scene
	streams []Stream
}

func newAliasScene(t *testing.T, b bucket.Bucket) *aliasScene {
	s := &aliasScene{scene: &scene{t: t, bucket: b, signer: readSigner(t, "one"), now: start}}
	s.keyring = s.signer.Keyring()
	s.upstream = &fakeUpstream{signer: s.signer, dir: t.TempDir(), releases: []string{"1.34.1", "1.35.0"}}
	s.config = Config{Upstream: minors{s.upstream}, Confirm: true}
	alias := testStream()
	alias.Name, alias.Label, alias.Suite = aliasName, "label of the alias", "suite-of-the-alias"
	s.streams = []Stream{alias} // what it follows comes behind it, and is done before
	for _, minor := range []string{"1.34", "1.35", "1.36"} {
		one := testStream()
		one.Name = layout.Stream("core:/stable:/v" + minor)
		one.Members = map[string]repo.Member{"kubectl": {Main: true, Minor: minor}}
		s.streams = append(s.streams, one)
		s.streams[0].Follows = append(s.streams[0].Follows, one.Stream)
	}
	return s
}

func (s *aliasScene) publisher() *repo.Publisher {
	return repo.NewPublisher(repo.Config{
		Bucket: s.bucket, URL: "https://pkgs.example.org", Signer: s.signer, Keyring: s.keyring, By: "nightly", Now: func() time.Time { return s.now },
	})
}

// night runs a reconciliation of streams, or of all, on the next day, and returns its findings about the alias.
func (s *aliasScene) night(streams ...Stream) []Finding {
	s.t.Helper()
	s.now = s.now.Add(24 * time.Hour)
	if len(streams) == 0 {
		streams = s.streams
	}
	cfg := s.config
	cfg.Publisher = s.publisher()
	report := Run(s.t.Context(), cfg, streams)
	for _, f := range report.Findings {
		s.t.Errorf("found %+v", f)
	}
	var findings []Finding
	for _, r := range report.Streams {
		if r.Stream == aliasName {
			findings = append(findings, r.Findings...)
			continue
		}
		for _, f := range r.Findings {
			if f.open() {
				s.t.Errorf("%s: found %+v", r.Stream, f)
			}
		}
	}
	return findings
}

// shows checks that a client finds these versions in the alias, and that all else it says of itself is as ever.
func (s *aliasScene) shows(what string, versions ...string) {
	s.t.Helper()
	report, err := verify.Stream(s.t.Context(), verify.Config{Source: verify.FromBucket(s.bucket), Keyring: s.keyring, Now: s.now}, aliasName)
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		s.t.Fatalf("%s: a client of the alias finds: %v", what, err)
	}
	state, err := repo.ReadState(s.t.Context(), s.bucket, aliasName)
	if err != nil {
		s.t.Fatal(err)
	}
	got := map[string]bool{}
	for _, name := range state.Packages() {
		got[layout.ParsePackageName(name).Version] = true
		if !state.Has(name+layout.SBOM) || !state.Has(name+layout.Provenance) {
			s.t.Errorf("%s: %s has no attestations", what, name)
		}
	}
	if have := slices.Sorted(maps.Keys(got)); !slices.Equal(have, versions) {
		s.t.Errorf("%s: the alias has %v, expected %v", what, have, versions)
	}
	release := string(s.read(aliasName.Deb(layout.Release)))
	for _, line := range []string{"Origin: origin\n", "Label: label of the alias\n", "Suite: suite-of-the-alias\n", "Codename: codename\n", "Description: description\n"} {
		if !strings.Contains(release, line) {
			s.t.Errorf("%s: the Release of the alias lacks %q:\n%s", what, line, release)
		}
	}
}

func (s *aliasScene) only(what string, got []Finding, want ...Finding) {
	s.t.Helper()
	s.expect(&Report{Findings: got}, what, want...)
}

func (s *aliasScene) change(stream layout.Stream, change repo.Change) {
	s.t.Helper()
	s.now = s.now.Add(time.Hour)
	for _, one := range s.streams {
		if one.Name == stream {
			plan, err := s.publisher().Plan(s.t.Context(), one.Stream, change)
			if err == nil {
				err = s.publisher().Execute(s.t.Context(), plan)
			}
			if err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

func (s *aliasScene) state(stream layout.Stream) *repo.State {
	s.t.Helper()
	state, err := repo.ReadState(s.t.Context(), s.bucket, stream)
	if err != nil {
		s.t.Fatal(err)
	}
	return state
}

func TestAlias(t *testing.T) {
	s := newAliasScene(t, bucket.NewMemory())
	behind := Finding{Kind: Behind, Repaired: true}
	s.only("the first night", s.night(), behind)
	s.shows("the first night", "1.35.0")
	made := s.upstream.made

	s.upstream.releases = append(s.upstream.releases, "1.34.2")
	s.only("a patch of an older minor", s.night())
	s.shows("a patch of an older minor", "1.35.0")

	s.upstream.releases = append(s.upstream.releases, "1.35.1", "1.36.0")
	s.only("a new minor", s.night(), behind)
	s.shows("a new minor", "1.36.0")
	s.upstream.releases = append(s.upstream.releases, "1.36.1", "1.35.2")
	s.only("patches", s.night(), behind)
	s.shows("patches", "1.36.0", "1.36.1")
	if of := s.upstream.made - made; of != 5*4 {
		t.Errorf("%d packages were made, expected those of five releases, and none for the alias", of)
	}
	const file = "/rpm/x86_64/kubectl-1.36.1-1.1.x86_64.rpm"
	if !bytes.Equal(s.read(string(aliasName)+file), s.read("core:/stable:/v1.36"+file)) {
		t.Error("the alias has other bytes than its stream")
	}

	// What a person takes out of the stream leaves the alias. It stays with its minor even if nothing is left of it.
	s.change("core:/stable:/v1.36", repo.Change{To: 1, Reason: "1.36.1 does not start"})
	s.only("a rollback", s.night(), behind)
	s.shows("a rollback", "1.36.0")
	if held := s.state(aliasName).Manifest.Withdrawn; len(held) > 0 {
		t.Errorf("the alias holds back %+v itself, and its stream would have no say in that", held)
	}
	s.change("core:/stable:/v1.36", repo.Change{Yank: s.state("core:/stable:/v1.36").Packages(), Reason: "nor does 1.36.0"})
	s.only("all is withdrawn", s.night(), behind)
	s.shows("all is withdrawn")
	s.change("core:/stable:/v1.36", repo.Change{To: 2, Reason: "they do"})
	s.only("all is back", s.night(s.streams[0]), behind) // by itself: a share of the work
	s.shows("all is back", "1.36.0", "1.36.1")
	if f := s.state(aliasName).Manifest.Follows; f.Stream != "core:/stable:/v1.36" || f.Serial != s.state(f.Stream).Head.Serial || f.Manifest != s.state(f.Stream).Head.Manifest {
		t.Errorf("the alias says that it follows %+v", f)
	}

	// It is signed anew like all others, and says still what it follows.
	s.now = s.now.Add(6 * 24 * time.Hour)
	s.only("a week later", s.night(), Finding{Kind: Expiring, Repaired: true})
	s.only("the next night", s.night())
	s.shows("the next night", "1.36.0", "1.36.1")

	// Once the configuration has other streams, nobody but a person knows what should become of it.
	s.streams[0].Follows = s.streams[0].Follows[:2]
	s.only("its stream is none to follow", s.night(), Finding{Kind: Behind, Severity: Drift})
	s.shows("its stream is none to follow", "1.36.0", "1.36.1")
}

// What an alias loses is put back from the stream that it follows; what has changed is an alarm.
func TestAliasDamage(t *testing.T) {
	s := newAliasScene(t, bucket.NewMemory())
	s.night()
	s.only("nothing happened", s.night())
	for _, name := range []string{"deb/arm64/kubectl_1.35.0-1.1_arm64.deb", "rpm/x86_64/kubectl-1.35.0-1.1.x86_64.rpm" + layout.SBOM} {
		s.remove(string(aliasName) + "/" + name)
		s.only("lost "+name, s.night(), Finding{Kind: Lost, Severity: Repair, Repaired: true, Object: string(aliasName) + "/" + name})
		s.shows("put back "+name, "1.35.0")
	}
	name := string(aliasName) + "/deb/arm64/kubectl_1.35.0-1.1_arm64.deb"
	whole := s.read(name)
	s.write(name, append(bytes.Clone(whole), "x"...))
	s.only("altered", s.night(), Finding{Kind: Altered, Severity: Alarm, Object: name})

	// A stream that lacks a file is repaired first; if that cannot be, nothing follows it.
	s = newAliasScene(t, bucket.NewMemory())
	s.night()
	s.upstream.releases = append(s.upstream.releases, "1.36.0")
	s.night(s.streams[3])
	s.remove("core:/stable:/v1.36/deb/arm64/kubectl_1.36.0-1.1_arm64.deb")
	s.only("its stream lacks a file", s.night(s.streams[0]), Finding{Kind: Behind, Severity: Repair}, Finding{Kind: Failed, Severity: Drift})
	s.shows("its stream lacks a file", "1.35.0")
	s.only("its stream is whole again", s.night(), Finding{Kind: Behind, Repaired: true})
	s.shows("its stream is whole again", "1.36.0")
}

// The same version of a companion goes with two minors, and its rpms were signed by another key in between. Its name is
// taken in the alias, whose users go on to get the bytes that were published.
func TestAliasCompanion(t *testing.T) {
	s := newAliasScene(t, bucket.NewMemory())
	for i := range s.streams {
		s.streams[i].Members = map[string]repo.Member{"kubectl": {Main: true}}
	}
	for i := range s.streams[0].Follows {
		s.streams[0].Follows[i].Members = s.streams[1].Members
	}
	s.upstream.releases = []string{"1.30.0", "1.35.0"}
	s.night(s.streams[0], s.streams[2])
	s.shows("the first night", "1.30.0", "1.35.0")

	two := readSigner(t, "two")
	s.keyring, s.upstream.signer, s.upstream.dir = keys.Merge(s.keyring, two.Keyring()), two, t.TempDir()
	s.night(s.streams[0], s.streams[2])
	s.upstream.releases = append(s.upstream.releases, "1.36.0")
	s.only("a new minor", s.night(s.streams[0], s.streams[3]), Finding{Kind: Behind, Repaired: true})
	s.shows("a new minor", "1.30.0", "1.36.0")
	const file = "/rpm/x86_64/kubectl-1.30.0-1.1.x86_64.rpm"
	alias, old, other := s.read(string(aliasName)+file), s.read("core:/stable:/v1.35"+file), s.read("core:/stable:/v1.36"+file)
	if bytes.Equal(old, other) || !bytes.Equal(alias, old) {
		t.Errorf("the companion's rpm is the old one %t, and the minors have the same %t", bytes.Equal(alias, old), bytes.Equal(old, other))
	}
	s.remove(string(aliasName) + file)
	s.only("it is lost", s.night(), Finding{Kind: Lost, Severity: Repair, Repaired: true, Object: string(aliasName) + file})
	s.only("the next night", s.night())
	s.shows("the next night", "1.30.0", "1.36.0")
}

// Whoever looked at the stream before the alias followed a later publication cannot take it back, nor can two at once.
func TestAliasForward(t *testing.T) {
	s := newAliasScene(t, bucket.NewMemory())
	s.night()
	before, alias := s.state("core:/stable:/v1.35"), s.state(aliasName)
	s.upstream.releases = append(s.upstream.releases, "1.35.1")
	s.night()
	follow := func(base *repo.State) error {
		plan, err := s.publisher().Plan(t.Context(), s.streams[0].Stream, repo.Change{Follow: before, Base: base, Reason: "late"})
		if err == nil {
			err = s.publisher().Execute(t.Context(), plan)
		}
		return err
	}
	var late *repo.BehindError
	if err := follow(nil); !errors.As(err, &late) || late.Has != 2 || late.Offered != 1 {
		t.Errorf("following an older publication: %v", err)
	}
	var race *repo.RaceError
	change := repo.Change{Follow: s.state("core:/stable:/v1.35"), Base: alias, Reason: "late"}
	plan, err := s.publisher().Plan(t.Context(), s.streams[0].Stream, change)
	if err == nil {
		err = s.publisher().Execute(t.Context(), plan)
	}
	if !errors.As(err, &race) {
		t.Errorf("following at the same time: %v", err)
	}
	s.shows("after both", "1.35.0", "1.35.1")

	// A newer minor of which everything was withdrawn before anybody followed it is none to go on to.
	const newer = "core:/stable:/v1.36"
	s.upstream.releases = append(s.upstream.releases, "1.36.0")
	s.night(s.streams[3])
	s.change(newer, repo.Change{Yank: s.state(newer).Packages(), Reason: "bad"})
	s.only("nothing is left of a newer minor", s.night(s.streams[0]))
	s.shows("nothing is left of a newer minor", "1.35.0", "1.35.1")
}

// A night with nothing to do costs an alias no more reads than any stream, and no request for each package.
func TestAliasRequests(t *testing.T) {
	b := bucket.NewMemory()
	s := newAliasScene(t, b)
	s.night()
	count := func(streams ...Stream) map[string]int {
		before := b.Counts()
		s.only("a night with nothing to do", s.night(streams...))
		got := map[string]int{}
		for op, n := range b.Counts() {
			if n != before[op] {
				got[op] = n - before[op]
			}
		}
		return got
	}
	with, without := count(), count(s.streams[1:]...)
	if with["open"]-without["open"] != 4 || with["list"]-without["list"] != 2 || with["stat"] != without["stat"] {
		t.Errorf("it took %v, and %v without the alias: expected 4 reads and 2 listings more", with, without)
	}
}
