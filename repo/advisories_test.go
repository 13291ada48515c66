package repo

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/verify"
	"sigs.k8s.io/pkgs/repo/yum"
)

// notice is one about packages of the test stream.
func notice(id, title string, named ...string) Notice {
	return Notice{Notice: yum.Notice{Named: named, Advisory: yum.Advisory{
		ID: id, Type: "security", Severity: "Important", Title: title, Description: "It was <wrong>.", Issued: now.AddDate(0, 0, -1),
	}}}
}

// published are the advisories in the live index, as "id: title, files".
func published(t *testing.T, b bucket.Bucket) []string { return publishedIn(t, b, streamName) }

func publishedIn(t *testing.T, b bucket.Bucket, stream layout.Stream) []string {
	t.Helper()
	state, err := ReadState(t.Context(), b, stream)
	if err != nil {
		t.Fatal(err)
	}
	c, err := live(t.Context(), b, state, signer(t).Keyring(), now, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, a := range c.Advisories {
		var files []string
		for _, p := range a.Packages {
			files = append(files, p.File)
		}
		list = append(list, a.ID+": "+a.Title+", "+strings.Join(files, " "))
	}
	return list
}

func TestAdvisories(t *testing.T) {
	b := bucket.NewMemory()
	p := publisher(t, b)
	at := now.Add(-24 * time.Hour)
	p.Now = func() time.Time { at = at.Add(time.Minute); return at }
	one, two := packages(t, "1.35.0", "one"), packages(t, "1.35.1", "two")
	stream := testStream()
	do := func(what string, change Change) *Plan {
		t.Helper()
		plan, err := p.Plan(t.Context(), stream, change)
		if err == nil {
			err = p.Execute(t.Context(), plan)
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		check(t, b) // as a client, updateinfo among it
		return plan
	}
	const first = "EX-1: first, kubectl-1.35.0-1.1.aarch64.rpm kubectl-1.35.0-1.1.x86_64.rpm"
	const second = "EX-2: second, kubectl-1.35.1-1.1.x86_64.rpm"
	expect := func(what string, want ...string) {
		t.Helper()
		if got := published(t, b); !slices.Equal(got, want) {
			t.Errorf("%s: published are %q, want %q", what, got, want)
		}
	}
	change := func(plan *Plan) string {
		var all []string
		for _, c := range plan.Advisories {
			all = append(all, c.ID+" "+c.Change)
		}
		return strings.Join(all, ", ")
	}

	stream.Advisories = []Notice{notice("EX-1", "first", "kubectl-1.35.0-1.1"), notice("EX-2", "second", "kubectl-1.35.1-1.1.x86_64")}
	plan := do("new", Change{Add: one})
	if change(plan) != "EX-1 new" || len(plan.Unmet) != 1 || plan.Unmet[0].String() != "advisory EX-2 names kubectl-1.35.1-1.1.x86_64, which is not in the index" {
		t.Errorf("the plan says %q and %v", change(plan), plan.Unmet)
	}
	var text strings.Builder
	if err := plan.Print(&text); err != nil || !strings.Contains(text.String(), "  advisory EX-1, new: first (security, Important), about 2 rpms\n") ||
		!strings.Contains(text.String(), "  note: advisory EX-2 names") {
		t.Errorf("the plan prints\n%s%v", &text, err)
	}
	expect("new", first)
	if again := do("the same again", Change{Add: one}); !again.Empty() || len(again.Unmet) != 1 {
		t.Errorf("unchanged advisories plan %d writes", len(again.Writes))
	}

	// With the package comes what names it; the advisory that stays is not named in the plan.
	if plan := do("second", Change{Add: two}); change(plan) != "EX-2 new" || plan.Unmet != nil {
		t.Errorf("the plan says %q and %v", change(plan), plan.Unmet)
	}
	expect("second", first, second)

	// An advisory that changes is a publication of the yum repository alone.
	before := read(t, b, streamName.Deb(layout.InRelease))
	stream.Advisories[0].Title = "first, corrected"
	plan = do("corrected", Change{})
	if change(plan) != "EX-1 changed" || plan.Reason != "advisories: EX-1" || len(plan.Added)+len(plan.Removed) != 0 || plan.Serial != 3 {
		t.Errorf("the plan says %q for %q, serial %d", change(plan), plan.Reason, plan.Serial)
	}
	if read(t, b, streamName.Deb(layout.InRelease)) != before {
		t.Error("an advisory changed the apt repository")
	}
	corrected := strings.Replace(first, "first,", "first, corrected,", 1)
	expect("corrected", corrected, second)

	// A signature keeps them, and so does a configuration that has nothing to say; an empty list removes them.
	do("resigned", Change{Resign: true, Reason: "signed anew"})
	expect("resigned", corrected, second)
	configured := stream.Advisories
	stream.Advisories = nil
	if plan := do("nothing said", Change{}); !plan.Empty() {
		t.Errorf("the plan says %q", change(plan))
	}
	do("nothing said, resigned", Change{Resign: true, Reason: "signed anew"})
	expect("nothing said, resigned", corrected, second)

	// What leaves the index takes its advisories with it, and is no reason for a note.
	plan = do("rolled back", Change{To: 1, Reason: "wrong"})
	expect("rolled back", corrected)
	if change(plan) != "EX-2 removed" {
		t.Errorf("the plan says %q", change(plan))
	}
	stream.Advisories = configured
	if plan := do("rolled back, configured", Change{}); !plan.Empty() || plan.Unmet != nil {
		t.Errorf("the plan says %q and %v", change(plan), plan.Unmet)
	}
	do("forward", Change{To: 2, Reason: "right"})
	expect("forward", corrected, second)
	stream.Advisories = []Notice{}
	if plan := do("none", Change{}); change(plan) != "EX-1 removed, EX-2 removed" {
		t.Errorf("the plan says %q", change(plan))
	}
	expect("none")
	if repomd := read(t, b, streamName.Rpm(layout.Repomd)); strings.Contains(repomd, "updateinfo") {
		t.Errorf("there are no advisories, and repomd.xml says\n%s", repomd)
	}
}

// Notices for all streams are about some packages of others, and only what this stream alone could have is missed.
func TestAdvisoriesElsewhere(t *testing.T) {
	stream := testStream()
	stream.Members = map[string]Member{"kubectl": {Minor: "1.35", Main: true}, "cri-tools": {}}
	n := notice("EX-1", "all", "kubectl-1.35.9-1.1", "kubectl-1.34.9-1.1", "cri-tools-1.36.0-1.1", "kubectl-0:1.35.8-1.1.x86_64")
	n.Elsewhere = true
	stream.Advisories = []Notice{n}
	var c Contents
	unmet := stream.advise(&c, nil, []Withdrawn{{Name: "rpm/x86_64/kubectl-1.35.7-1.1.x86_64.rpm"}})
	if len(unmet) != 2 || unmet[0].Package != "kubectl-1.35.9-1.1" || unmet[1].Package != "kubectl-0:1.35.8-1.1.x86_64" || c.Advisories != nil {
		t.Errorf("missed are %v, and there are %v", unmet, c.Advisories)
	}
	for _, withdrawn := range []string{"kubectl-1.35.7-1.1", "kubectl-1.35.7-1.1.x86_64"} {
		stream.Advisories[0].Named = []string{withdrawn}
		if unmet := stream.advise(&c, nil, []Withdrawn{{Name: "rpm/x86_64/kubectl-1.35.7-1.1.x86_64.rpm"}}); unmet != nil {
			t.Errorf("%s was withdrawn, and missed are %v", withdrawn, unmet)
		}
	}
}

// An alias of which the configuration says nothing has the advisories of the stream that it follows.
func TestAdvisoriesFollow(t *testing.T) {
	b := bucket.NewMemory()
	p := publisher(t, b)
	stream, alias := testStream(), testStream()
	stream.Advisories = []Notice{notice("EX-1", "first", "kubectl-1.35.0-1.1")}
	alias.Name = "core:/stable:/latest"
	for _, publication := range []struct {
		stream Stream
		change func() Change
	}{
		{stream, func() Change { return Change{Add: packages(t, "1.35.0", "one")} }},
		{alias, func() Change {
			state, err := ReadState(t.Context(), b, stream.Name)
			if err != nil {
				t.Fatal(err)
			}
			return Change{Follow: state}
		}},
	} {
		plan, err := p.Plan(t.Context(), publication.stream, publication.change())
		if err == nil {
			err = p.Execute(t.Context(), plan)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := publishedIn(t, b, alias.Name); len(got) != 1 || !slices.Equal(got, published(t, b)) {
		t.Errorf("the alias has %q", got)
	}
}

// Advisories go through a signer on another machine, who makes them of its own configuration, and through a promotion.
func TestAdvisoriesOfflineAndPromoted(t *testing.T) {
	b := bucket.NewMemory()
	p := publisher(t, b)
	p.Now = func() time.Time { return now.Add(-5 * time.Hour) }
	mustAdd(t, p, packages(t, "1.35.0", "one"))
	stream := testStream()
	stream.Advisories = []Notice{notice("EX-1", "first", "kubectl-1.35.0-1.1")}
	dir := filepath.Join(t.TempDir(), "request")
	p.Signer, p.Now = nil, func() time.Time { return asked }
	plan, r, err := request(t, p, dir, stream, Change{}, signer(t).Keyring())
	if err != nil || r == nil || len(plan.Advisories) != 1 {
		t.Fatalf("got %v, %v, %v", plan, r, err)
	}
	if r, err = ReadRequest(dir); err != nil {
		t.Fatal(err)
	}
	review := func(of Stream) (*Review, error) {
		return NewReview(t.Context(), dir, r, ReviewConfig{Stream: of, Signer: signer(t), Keyring: signer(t).Keyring(), Now: asked, Memory: noMemory(t)})
	}
	forged := stream
	forged.Advisories = []Notice{notice("EX-1", "another", "kubectl-1.35.0-1.1")}
	if _, err := review(forged); err == nil || !strings.Contains(err.Error(), "compare the two configurations") {
		t.Errorf("an advisory that the signer does not know is signed: %v", err)
	}
	v, err := review(stream)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Advisories) != 1 || v.Advisories[0].ID != "EX-1" {
		t.Errorf("the review says %v", v.Advisories)
	}
	s, err := v.Signatures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if plan, err = p.PlanSigned(t.Context(), stream, r, s, nil, signer(t).Keyring()); err == nil {
		err = p.Execute(t.Context(), plan)
	}
	if err != nil {
		t.Fatal(err)
	}
	const first = "EX-1: first, kubectl-1.35.0-1.1.aarch64.rpm kubectl-1.35.0-1.1.x86_64.rpm"
	if got := published(t, b); !slices.Equal(got, []string{first}) {
		t.Errorf("published are %q", got)
	}

	// Promoted by a configuration that knows nothing of advisories, they are there, and stay.
	production := bucket.NewMemory()
	to := publisher(t, production)
	to.Signer = nil
	if plan, err = to.Promote(t.Context(), b, testStream()); err == nil {
		err = to.Execute(t.Context(), plan)
	}
	if err != nil {
		t.Fatal(err)
	}
	check(t, production)
	if plan, err = to.Plan(t.Context(), testStream(), Change{}); err != nil || !plan.Empty() {
		t.Errorf("after the promotion there is a plan: %v, %v", plan, err)
	}
	if got := published(t, production); !slices.Equal(got, []string{first}) {
		t.Errorf("promoted are %q", got)
	}
}

// A lost updateinfo comes back from its other copy, and verify finds one that says something else than the index.
func TestAdvisoriesDamaged(t *testing.T) {
	b := bucket.NewMemory()
	p := publisher(t, b)
	stream := testStream()
	stream.Advisories = []Notice{notice("EX-1", "first", "kubectl-1.35.0-1.1")}
	plan, err := p.Plan(t.Context(), stream, Change{Add: packages(t, "1.35.0", "one")})
	if err == nil {
		err = p.Execute(t.Context(), plan)
	}
	if err != nil {
		t.Fatal(err)
	}
	state, err := ReadState(t.Context(), b, streamName)
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for _, o := range state.Manifest.Objects {
		if !strings.HasSuffix(o.Name, "-updateinfo.xml.gz") {
			continue
		}
		lost++
		b := b.Clone()
		remove(t, b, o.Name)
		p := publisher(t, b)
		found, err := Reproduce(t.Context(), b, state, []string{o.Name}, nil)
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: found %v, %v", o.Name, found, err)
		}
		plan, err := p.Plan(t.Context(), stream, Change{Restore: found})
		if err == nil {
			err = p.Execute(t.Context(), plan)
		}
		if err != nil {
			t.Fatal(err)
		}
		check(t, b)
	}
	if lost != 2 {
		t.Errorf("there are %d objects to lose", lost)
	}

	c, err := live(t.Context(), b, state, signer(t).Keyring(), now, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	for want, edit := range map[string]func(*yum.Advisory){
		"is about kubectl-0:1.35.9-1.1.x86_64, which is not in the index": func(a *yum.Advisory) { a.Packages[1].Version = "1.35.9" },
		`calls the file of kubectl-0:1.35.0-1.1.x86_64 "other.rpm"`:       func(a *yum.Advisory) { a.Packages[1].File = "other.rpm" },
	} {
		forged := c
		forged.Advisories = slices.Clone(c.Advisories)
		forged.Advisories[0].Packages = slices.Clone(c.Advisories[0].Packages)
		edit(&forged.Advisories[0])
		other := bucket.NewMemory()
		s := &snapshot{manifest: Manifest{Stream: streamName, Serial: 1}, content: map[string]bucket.Content{}}
		err := s.rpmIndex(t.Context(), &stream, forged, edition{signer: signer(t), keyring: signer(t).Keyring(), at: now.Add(-time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		for name, content := range s.content {
			put(t, other, name, content)
		}
		for _, pointer := range s.manifest.Pointers {
			_, data := pointer.in("https://pkgs.example.org")
			put(t, other, pointer.Name, text(data))
		}
		report, err := verify.Stream(context.Background(), verify.Config{Source: verify.FromBucket(other), Keyring: signer(t).Keyring(), Now: now,
			Packages: func(string) bool { return false }}, streamName)
		if err != nil || !slices.ContainsFunc(report.Findings, func(f verify.Finding) bool { return strings.Contains(f.Problem, want) }) {
			t.Errorf("verify finds %v, %v, want %q", report.Findings, err, want)
		}
	}
}

func put(t *testing.T, b bucket.Bucket, name string, c bucket.Content) {
	t.Helper()
	if _, err := b.Put(t.Context(), name, c, putOptions(name, bucket.IfAbsent)); err != nil {
		t.Fatal(err)
	}
}
