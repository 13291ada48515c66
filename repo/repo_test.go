package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/deb"
	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/rpm"
	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/verify"
	"sigs.k8s.io/pkgs/sign"
)

const streamName = layout.Stream("core:/stable:/v1.35")

// testStream holds one package for two architectures.
func testStream() Stream {
	return Stream{
		Name: streamName, Origin: "origin", Label: "label", Suite: "suite", Codename: "codename", Description: "description",
		Architectures: []Architecture{{"amd64", "x86_64"}, {"arm64", "aarch64"}},
		Members:       map[string]Member{"kubectl": {Minor: "1.35"}},
	}
}

// now is the time of all tests: later than the test key, earlier than any clock.
var now = time.Date(2025, 7, 1, 12, 0, 0, 0, time.UTC)

var readTestKey = sync.OnceValues(func() (*keys.Private, error) {
	const file = "../keys/testdata/one-private.asc"
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return keys.ReadPrivate(file, data, func() ([]byte, error) { return nil, errors.New("is locked") })
})

func testKey(t testing.TB) *keys.Private {
	t.Helper()
	key, err := readTestKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signer(t testing.TB) *sign.Signer {
	t.Helper()
	s, err := sign.New(testKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func publisher(t testing.TB, b bucket.Bucket) *Publisher {
	return NewPublisher(Config{
		Bucket: b, URL: "https://pkgs.example.org", Signer: signer(t), Keyring: signer(t).Keyring(), By: "publisher", ConfigDigest: digest([]byte("config")),
		Now: func() time.Time { return now },
	})
}

// packages builds kubectl in a version for the architectures of testStream, in both formats. The content of its only
// file is text.
func packages(t testing.TB, version, text string, depends ...string) *Files {
	t.Helper()
	return revised(t, version, "1.1", text, depends...)
}

// revised is packages with a revision.
func revised(t testing.TB, version, revision, text string, depends ...string) *Files {
	t.Helper()
	return builtWith(t, signer(t), version, revision, text, depends...)
}

// builtWith is revised with another signer of the rpms.
func builtWith(t testing.TB, headers rpm.HeaderSigner, version, revision, text string, depends ...string) *Files {
	t.Helper()
	dir := t.TempDir()
	ctx := t.Context()
	tree, err := payload.NewTree(payload.Entry{Path: "/usr/bin/kubectl", Mode: 0o755, Content: payload.Bytes([]byte(text))})
	if err != nil {
		t.Fatal(err)
	}
	compressor := &payload.Compressor{Encoder: payload.Go()}
	date := now.AddDate(0, -1, 0)
	for _, a := range testStream().Architectures {
		d := deb.Meta{
			Package: "kubectl", Version: version + "-" + revision, Architecture: a.Deb, Maintainer: "Test <test@example.org>",
			Section: "admin", Priority: "optional", Summary: "a test", Description: "It is for a test.", Time: date,
			Depends: depends,
		}
		if err := deb.WriteFile(ctx, filepath.Join(dir, d.FileName()), d, tree, compressor); err != nil {
			t.Fatal(err)
		}
		r := rpm.Meta{
			Name: "kubectl", Version: version, Release: revision, Arch: a.Rpm, Summary: "a test", Description: "It is for a test.",
			License: "Apache-2.0", BuildHost: "localhost", Time: date,
		}
		for _, d := range depends {
			relation, err := rpm.ParseRelation(strings.NewReplacer("(", "", ")", "").Replace(d))
			if err != nil {
				t.Fatal(err)
			}
			r.Requires = append(r.Requires, relation)
		}
		if err := rpm.WriteFile(ctx, filepath.Join(dir, r.FileName()), r, tree, compressor, headers); err != nil {
			t.Fatal(err)
		}
	}
	files, err := ReadFiles(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// add plans and executes an addition.
func add(t testing.TB, p *Publisher, files *Files) (*Plan, error) {
	t.Helper()
	plan, err := p.Plan(t.Context(), testStream(), Change{Add: files})
	if err != nil {
		return nil, err
	}
	return plan, p.Execute(t.Context(), plan)
}

func mustAdd(t testing.TB, p *Publisher, files *Files) *Plan {
	t.Helper()
	plan, err := add(t, p, files)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// counts reads the stream as a client does, fails the test if anything is wrong, and returns how many packages the apt
// and the yum repository have. Objects in underway may be those of another publication than the rest.
func counts(t testing.TB, b bucket.Bucket, underway ...string) (debs, rpms int) {
	t.Helper()
	report, err := verify.Stream(context.Background(), verify.Config{Source: verify.FromBucket(b), Keyring: signer(t).Keyring(), Now: now}, streamName)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if !slices.Contains(underway, strings.TrimPrefix(f.Object, string(streamName)+"/")) {
			t.Errorf("damaged: %s", f)
		}
	}
	return report.Debs, report.Rpms
}

// check is counts where both repositories must have the same number of packages.
func check(t testing.TB, b bucket.Bucket) int {
	t.Helper()
	debs, rpms := counts(t, b)
	if debs != rpms {
		t.Fatalf("%d debs and %d rpms", debs, rpms)
	}
	return debs
}

func TestPublish(t *testing.T) {
	b := bucket.NewMemory()
	p := publisher(t, b)
	first := packages(t, "1.35.0", "one")
	plan := mustAdd(t, p, first)
	if plan.Serial != 1 || len(plan.Added) != 4 || check(t, b) != 2 {
		t.Errorf("serial %d, %d added", plan.Serial, len(plan.Added))
	}

	again := mustAdd(t, p, first)
	if !again.Empty() || again.Serial != 1 {
		t.Errorf("the same packages again plan %d writes for serial %d", len(again.Writes), again.Serial)
	}

	plan = mustAdd(t, p, packages(t, "1.35.1", "two"))
	if plan.Serial != 2 || len(plan.Added) != 4 || plan.Kept != 4 || check(t, b) != 4 {
		t.Errorf("serial %d, %d added, %d kept", plan.Serial, len(plan.Added), plan.Kept)
	}

	// A publisher that knows nothing but the bucket writes the same index as one that made it from the start.
	all := packages(t, "1.35.0", "one")
	two := packages(t, "1.35.1", "two")
	all.Debs, all.Rpms = append(two.Debs, all.Debs...), append(two.Rpms, all.Rpms...)
	for name, path := range two.paths {
		all.paths[name] = path
	}
	other := bucket.NewMemory()
	mustAdd(t, publisher(t, other), all)
	for _, name := range []string{streamName.Deb(layout.Packages), streamName.Deb(layout.PackagesGz)} {
		if x, y := read(t, b, name), read(t, other, name); x != y {
			t.Errorf("%s depends on the order of publications:\n%s\n%s", name, x, y)
		}
	}
}

// TestDependencies publishes packages that depend on packages of the stream, or on others.
func TestDependencies(t *testing.T) {
	stream := testStream()
	stream.Members["kubernetes-cni"] = Member{}
	for depends, want := range map[string]string{
		"kubectl (>= 1.34.0)":       "",
		"kubectl (>= 1.35.0)":       "",
		"iptables (>= 1.4.21)":      "",
		"kubectl (>= 1.36.0)":       "kubectl_1.35.0-1.1_arm64.deb depends on kubectl >= 1.36.0, which the stream does not have for arm64",
		"kubernetes-cni (>= 1.2.0)": "x86_64/kubectl-1.35.0-1.1.x86_64.rpm requires kubernetes-cni GE 1.2.0",
	} {
		_, err := publisher(t, bucket.NewMemory()).Plan(t.Context(), stream, Change{Add: packages(t, "1.35.0", "one", depends)})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", depends, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: error %v, want one that says %q", depends, err, want)
		}
	}
}

func read(t testing.TB, b bucket.Bucket, name string) string {
	t.Helper()
	data, _, err := readAll(context.Background(), b, name, maxIndex)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRefusals(t *testing.T) {
	b := bucket.NewMemory()
	p := publisher(t, b)
	published := packages(t, "1.35.0", "one")
	mustAdd(t, p, published)
	before := read(t, b, streamName.Head())

	incomplete := packages(t, "1.35.1", "two")
	incomplete.Debs = incomplete.Debs[:1]
	for name, c := range map[string]struct {
		files *Files
		want  string
	}{
		"changed bytes":   {packages(t, "1.35.0", "other"), "cannot be replaced"},
		"wrong minor":     {packages(t, "1.36.0", "x"), "does not belong to stream"},
		"prerelease":      {packages(t, "1.35.1~rc.0", "x"), "is a prerelease"},
		"incomplete":      {incomplete, "kubectl 1.35.1 is missing as deb for arm64"},
		"no new packages": {&Files{}, ""},
	} {
		_, err := add(t, p, c.files)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want one that says %q", name, err, c.want)
		}
	}
	if read(t, b, streamName.Head()) != before {
		t.Error("HEAD changed")
	}

	stranger := testStream()
	stranger.Members = map[string]Member{"kubelet": {}}
	if _, err := p.Plan(t.Context(), stranger, Change{Add: packages(t, "1.35.1", "x")}); err == nil || !strings.Contains(err.Error(), "is not in the list") {
		t.Errorf("a package that is no member: error %v", err)
	}
}

// TestNoKeyNeeded lets a publication die after its commit and finishes it without a key.
func TestNoKeyNeeded(t *testing.T) {
	b := bucket.NewMemory()
	p := publisher(t, b)
	mustAdd(t, p, packages(t, "1.35.0", "one"))
	files := packages(t, "1.35.1", "two")
	b.Fault = func(op, name string) bucket.Fault {
		if op == "put" && strings.HasSuffix(name, layout.PackagesGz) {
			return bucket.NotApplied
		}
		return bucket.OK
	}
	if _, err := add(t, p, files); err == nil || !strings.Contains(err.Error(), "is committed") {
		t.Fatalf("error %v", err)
	}
	b.Fault = nil

	keyless := publisher(t, b)
	keyless.Signer = nil
	plan, err := keyless.Plan(t.Context(), testStream(), Change{Add: &Files{}})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Finish) == 0 {
		t.Error("the plan does not finish the publication")
	}
	if err := keyless.Execute(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if check(t, b) != 4 {
		t.Error("the new packages are not there")
	}
	if plan, err := keyless.Plan(t.Context(), testStream(), Change{Add: files}); err != nil || !plan.Empty() {
		t.Errorf("not finished: %v %v", plan, err)
	}
}

// TestRace lets many publishers add a version each at the same time, again and again until all have succeeded. Nothing
// is lost, and serials are unique.
func TestRace(t *testing.T) {
	b := bucket.NewMemory()
	const publishers = 6
	var group sync.WaitGroup
	serials := make(chan int64, publishers)
	for i := range publishers {
		files := packages(t, fmt.Sprintf("1.35.%d", i), "text")
		p := publisher(t, b)
		group.Add(1)
		go func() {
			defer group.Done()
			for range 100 {
				plan, err := p.Plan(context.Background(), testStream(), Change{Add: files, Backfill: true})
				if err == nil {
					err = p.Execute(context.Background(), plan)
				}
				var race *RaceError
				if errors.As(err, &race) {
					continue
				}
				if err != nil {
					t.Error(err)
				}
				serials <- plan.Serial
				return
			}
			t.Error("never won")
		}()
	}
	group.Wait()
	close(serials)
	seen := map[int64]bool{}
	for s := range serials {
		if seen[s] {
			t.Errorf("serial %d was published twice", s)
		}
		seen[s] = true
	}
	// Whoever was overtaken may have left the pointers to the last one.
	plan, err := publisher(t, b).Plan(context.Background(), testStream(), Change{Add: &Files{}})
	if err != nil {
		t.Fatal(err)
	}
	if !plan.Empty() {
		t.Errorf("the pointers are not those of HEAD: %v", plan.Finish)
	}
	if n := check(t, b); n != 2*publishers {
		t.Errorf("%d debs, want %d", n, 2*publishers)
	}
}

// TestOldPublisher stops a publisher between its commit and its pointers, lets another publish and finish, and then lets
// the first one go on: it must not bring the old pointers back.
func TestOldPublisher(t *testing.T) {
	b := bucket.NewMemory()
	slow, fast := publisher(t, b), publisher(t, b)
	two := packages(t, "1.35.2", "two")
	mustAdd(t, fast, packages(t, "1.35.0", "one"))
	slowFiles := packages(t, "1.35.1", "three")

	plan, err := slow.Plan(t.Context(), testStream(), Change{Add: slowFiles})
	if err != nil {
		t.Fatal(err)
	}
	overtaken := false
	b.Fault = func(op, name string) bucket.Fault {
		if op == "put" && name == streamName.Deb(layout.InRelease) && !overtaken {
			overtaken = true
			mustAdd(t, fast, two)
		}
		return bucket.OK
	}
	if err := slow.Execute(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	b.Fault = nil
	if n := check(t, b); n != 6 {
		t.Errorf("%d debs, want 6", n)
	}
}

// TestDamage changes a byte of, and removes, every object that clients read, one at a time: the check must find each.
func TestDamage(t *testing.T) {
	b := bucket.NewMemory()
	mustAdd(t, publisher(t, b), packages(t, "1.35.0", "one"))
	check(t, b)
	findings := func(b bucket.Bucket) []verify.Finding {
		report, err := verify.Stream(t.Context(), verify.Config{Source: verify.FromBucket(b), Keyring: signer(t).Keyring(), Now: now}, streamName)
		if err != nil {
			t.Fatal(err)
		}
		return report.Findings
	}
	objects := 0
	for info, err := range b.List(t.Context(), string(streamName)+"/") {
		if err != nil {
			t.Fatal(err)
		}
		objects++
		name := info.Name
		about := func(f verify.Finding) bool {
			// A signature that does not fit may be due to either side.
			return strings.HasPrefix(f.Object, name) || f.Object == name+".asc" || f.Object == name+".gpg"
		}
		flipped := b.Clone()
		if err := flipped.Corrupt(name, func(data []byte) []byte { data[len(data)/2] ^= 1; return data }); err != nil {
			t.Fatal(err)
		}
		if found := findings(flipped); !slices.ContainsFunc(found, about) {
			t.Errorf("%s with one bit changed: found %v", name, found)
		}
		gone := b.Clone()
		if err := gone.Delete(t.Context(), name, info.Generation); err != nil {
			t.Fatal(err)
		}
		if found := findings(gone); !slices.ContainsFunc(found, func(f verify.Finding) bool { return f.Object == name && strings.HasPrefix(f.Problem, "is missing") }) {
			t.Errorf("%s removed: found %v", name, found)
		}
	}
	if objects < 20 {
		t.Errorf("only %d objects were tried", objects)
	}
}

func TestPlanPrint(t *testing.T) {
	b := bucket.NewMemory()
	plan, err := publisher(t, b).Plan(t.Context(), testStream(), Change{Add: packages(t, "1.35.0", "one")})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := plan.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"serial 1, the first of this stream: new packages", "+ deb/amd64/kubectl_1.35.0-1.1_amd64.deb", "4 package", "1 state"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the plan does not say %q:\n%s", want, out.String())
		}
	}
	if err := plan.Print(failingWriter{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a failing writer gives %v", err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
