package reconcile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// keyless is a scene whose nights have no key. The key is on another machine, which remembers what it signed.
type keyless struct {
	*scene
	box    *repo.Outbox
	memory *repo.Memory
	with   *scene // the same stream and a key
}

func newKeyless(t *testing.T) *keyless {
	t.Helper()
	with := newScene(t, bucket.NewMemory())
	without := *with
	k := &keyless{scene: &without, with: with}
	without.signer = nil
	without.config.Unsigned = filepath.Join(t.TempDir(), "out")
	k.upstream.signer = nil
	k.box = &repo.Outbox{
		Dir: filepath.Join(without.config.Unsigned, string(streamName)), Stream: streamName, By: with.keyring, Now: func() time.Time { return k.now },
	}
	var err error
	if k.memory, err = repo.ReadMemory(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Fatal(err)
	}
	return k
}

// night goes by.
func (k *keyless) night() *Report {
	k.t.Helper()
	k.now = k.now.Add(12 * time.Hour)
	return k.run()
}

// sign signs a request elsewhere and brings the answer back.
func (k *keyless) sign(folder string) {
	k.t.Helper()
	dir := filepath.Join(k.box.Dir, folder)
	r, err := repo.ReadRequest(dir)
	if err != nil {
		k.t.Fatal(err)
	}
	v, err := repo.NewReview(k.t.Context(), dir, r, repo.ReviewConfig{
		Stream: k.stream.Stream, Signer: k.with.signer, Keyring: k.keyring, Now: k.now, Memory: k.memory,
	})
	if err != nil {
		k.t.Fatal(err)
	}
	s, err := v.Signatures(k.t.Context())
	if err == nil {
		v.Remember()
		err = s.Write(dir)
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

// publish publishes what was signed, as pkgs publish does.
func (k *keyless) publish() error {
	k.t.Helper()
	dir := filepath.Join(k.box.Dir, repo.IndexFolder)
	r, err := repo.ReadRequest(dir)
	if err != nil {
		k.t.Fatal(err)
	}
	s, err := repo.ReadSignatures(dir, r)
	if err != nil || s == nil {
		k.t.Fatal(s, err)
	}
	files := &repo.Files{}
	if _, err := os.Stat(k.box.Packages()); err == nil {
		if files, err = repo.ReadFiles(k.t.Context(), k.box.Packages()); err != nil {
			k.t.Fatal(err)
		}
	}
	p := repo.NewPublisher(repo.Config{Bucket: k.bucket, URL: "https://pkgs.example.org", Keyring: k.keyring, Now: func() time.Time { return k.now }})
	plan, err := p.PlanSigned(k.t.Context(), k.stream.Stream, r, s, files, k.keyring)
	if err != nil {
		return err
	}
	return p.Execute(k.t.Context(), plan)
}

// request is the text of a request.
func (k *keyless) request(folder string) string {
	k.t.Helper()
	data, err := os.ReadFile(filepath.Join(k.box.Dir, folder, "request.json"))
	if err != nil {
		k.t.Fatal(err)
	}
	return string(data)
}

func (k *keyless) has(name string) bool {
	_, err := os.Stat(filepath.Join(k.box.Dir, name))
	return err == nil
}

func (k *keyless) serial() int64 {
	k.t.Helper()
	state, err := repo.ReadState(k.t.Context(), k.bucket, streamName)
	if err != nil {
		k.t.Fatal(err)
	}
	return state.Head.Serial
}

// waits is a finding about a request.
func (k *keyless) waits(folder string) Finding {
	return Finding{Kind: Unsigned, Severity: Drift, Object: filepath.Join(k.box.Dir, folder)}
}

func missing(release string) Finding {
	return Finding{Kind: Missing, Severity: Drift, Object: release}
}

// TestNightsWithoutKey: nights leave one request of each kind, go on when it is answered, and repair meanwhile what needs no
// key.
func TestNightsWithoutKey(t *testing.T) {
	k := newKeyless(t)
	k.expect(k.night(), "nothing to do")
	if k.has("") {
		t.Error("a night with nothing to do left something behind")
	}
	k.upstream.releases = append(k.upstream.releases, "1.35.2")
	k.upstream.made = 0
	k.expect(k.night(), "a release", missing("v1.35.2"), k.waits(repo.HeadersFolder))
	if k.upstream.made != 4 || k.serial() != 2 {
		t.Errorf("%d packages were made, serial %d", k.upstream.made, k.serial())
	}
	first := k.request(repo.HeadersFolder)
	k.upstream.made = 0
	r := k.night()
	k.expect(r, "nobody has signed it", missing("v1.35.2"), k.waits(repo.HeadersFolder))
	if w := r.Streams[0].Waiting; len(w) != 1 || w[0].Packages != 2 || w[0].New || w[0].Signed || !w[0].Since.Equal(k.now.Add(-12*time.Hour)) {
		t.Errorf("it waits: %+v", w)
	}
	if k.upstream.made != 0 || k.request(repo.HeadersFolder) != first || r.Worst() != Drift {
		t.Error("what was asked for was made and asked for again")
	}

	// The rpms are signed, and the index is asked for.
	k.sign(repo.HeadersFolder)
	k.expect(k.night(), "the rpms are signed", missing("v1.35.2"), k.waits(repo.IndexFolder))
	if k.has(repo.HeadersFolder) || !k.has(repo.PackagesFolder) {
		t.Error("the answered request is still there, or the packages are not")
	}
	second := k.request(repo.IndexFolder)
	k.upstream.made = 0
	k.expect(k.night(), "nobody has signed the index", missing("v1.35.2"), k.waits(repo.IndexFolder))
	if k.upstream.made != 0 || k.request(repo.IndexFolder) != second {
		t.Error("the index was asked for again")
	}

	// Another release waits for its own signatures and does not hold that up; what needs no signature is repaired.
	k.upstream.releases = append(k.upstream.releases, "1.35.3")
	k.remove(streamName.Deb("amd64/kubectl_1.35.0-1.1_amd64.deb"))
	k.write(streamName.Deb(layout.Packages), []byte("x"))
	k.expect(k.night(), "another release, and damage", missing("v1.35.2"), missing("v1.35.3"), k.waits(repo.IndexFolder), k.waits(repo.HeadersFolder),
		Finding{Kind: Lost, Object: streamName.Deb("amd64/kubectl_1.35.0-1.1_amd64.deb"), Repaired: true},
		Finding{Kind: Displaced, Object: streamName.Deb(layout.Packages), Repaired: true})
	if k.request(repo.IndexFolder) != second {
		t.Error("the index was asked for again")
	}
	k.sign(repo.IndexFolder)
	k.sign(repo.HeadersFolder)
	r = k.night()
	k.expect(r, "both are signed, and none is published", missing("v1.35.2"), missing("v1.35.3"), k.waits(repo.IndexFolder))
	if w := r.Streams[0].Waiting; len(w) != 1 || !w[0].Signed || k.request(repo.IndexFolder) != second {
		t.Errorf("it waits: %+v", w)
	}
	if err := k.publish(); err != nil || k.serial() != 3 {
		t.Fatalf("serial %d: %v", k.serial(), err)
	}
	unlisted := Finding{Kind: Page, Repaired: true} // nobody but the night does that here
	k.expect(k.night(), "the next index", missing("v1.35.3"), k.waits(repo.IndexFolder), unlisted)
	k.sign(repo.IndexFolder)
	if err := k.publish(); err != nil || k.serial() != 4 {
		t.Fatalf("serial %d: %v", k.serial(), err)
	}
	k.expect(k.night(), "all is published", unlisted)
	if k.has(repo.IndexFolder) || k.has(repo.PackagesFolder) || k.has(repo.HeadersFolder) {
		t.Error("what was published is still asked for")
	}

	// A lost rpm is made again with the signature that came back, and the stream is as a client wants it.
	k.remove(streamName.Rpm("x86_64/kubectl-1.35.3-1.1.x86_64.rpm"))
	k.config.Deep = true
	k.expect(k.night(), "a lost rpm", Finding{Kind: Lost, Object: streamName.Rpm("x86_64/kubectl-1.35.3-1.1.x86_64.rpm"), Repaired: true})
	k.config.Deep = false

	// It comes of age.
	k.now = k.now.AddDate(0, 0, 7)
	k.expect(k.night(), "it is old", Finding{Kind: Expiring, Severity: Drift}, k.waits(repo.IndexFolder))
	third := k.request(repo.IndexFolder)
	k.expect(k.night(), "and older", Finding{Kind: Expiring, Severity: Drift}, k.waits(repo.IndexFolder))
	if k.request(repo.IndexFolder) != third || k.has(repo.PackagesFolder) {
		t.Error("it was asked for again, or there are packages in it")
	}
	// What is not signed for long is asked for anew, so that users are not given an index of long ago.
	k.now = k.now.AddDate(0, 0, 10)
	k.expect(k.night(), "it is very old", Finding{Kind: Expiring, Severity: Drift}, k.waits(repo.IndexFolder))
	if k.request(repo.IndexFolder) == third {
		t.Error("it is still asked for with the date of the first night")
	}
}

// TestRequestThatIsStale: a request on top of what is not live any more is published by nobody, and asked for anew.
func TestRequestThatIsStale(t *testing.T) {
	k := newKeyless(t)
	k.now = k.now.AddDate(0, 0, 7)
	k.expect(k.night(), "it is old", Finding{Kind: Expiring, Severity: Drift}, k.waits(repo.IndexFolder))
	k.sign(repo.IndexFolder)
	before := k.request(repo.IndexFolder)

	// Somebody who has the key publishes in between.
	k.with.now = k.now.Add(time.Hour)
	k.with.upstream.signer = k.with.signer
	k.with.upstream.releases = append(k.with.upstream.releases, "1.35.2")
	k.with.run()
	k.with.upstream.signer = nil
	if k.serial() != 3 {
		t.Fatalf("serial %d", k.serial())
	}
	k.now = k.with.now
	var moved *repo.MovedError
	if err := k.publish(); !errors.As(err, &moved) || moved.From != 2 || moved.Live != 3 || !strings.Contains(err.Error(), "ask for signatures again") {
		t.Errorf("a stale request: %v", err)
	}
	k.now = k.now.AddDate(0, 0, 7)
	k.expect(k.night(), "it is old again", Finding{Kind: Expiring, Severity: Drift}, k.waits(repo.IndexFolder))
	if after := k.request(repo.IndexFolder); after == before || !strings.Contains(after, `"from": 3`) {
		t.Errorf("the request is %s", after)
	}
}

// TestRequestsGoWrong: what is carried around comes back damaged, by another key, or not as it was.
func TestRequestsGoWrong(t *testing.T) {
	k := newKeyless(t)
	k.upstream.releases = append(k.upstream.releases, "1.35.2")
	k.night()
	k.sign(repo.HeadersFolder)
	answer := filepath.Join(k.box.Dir, repo.HeadersFolder, "signatures.json")
	good, err := os.ReadFile(answer)
	if err != nil {
		t.Fatal(err)
	}
	for what, damage := range map[string]func([]byte) []byte{
		"another request": func(b []byte) []byte { return bytes.Replace(b, []byte(`"request": "`), []byte(`"request": "0`), 1) },
		"cut off":         func(b []byte) []byte { return b[:len(b)/2] },
		"other bytes":     func(b []byte) []byte { return bytes.Replace(b, []byte(`": "w`), []byte(`": "x`), 1) },
		"no signatures":   func(b []byte) []byte { return b[:bytes.Index(b, []byte(","))+0] },
	} {
		bad := damage(good)
		if bytes.Equal(bad, good) {
			t.Fatalf("%s: nothing was damaged", what)
		}
		if err := os.WriteFile(answer, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		k.expect(k.night(), what, missing("v1.35.2"), Finding{Kind: Failed, Severity: Drift})
		if k.has("headers.json") {
			t.Fatalf("%s: it was taken in", what)
		}
	}
	if err := os.WriteFile(answer, good, 0o644); err != nil {
		t.Fatal(err)
	}

	// The packages are made in another way by now than when they were signed: they are asked for again, and the signer refuses
	// other contents under the same name.
	k.upstream.dir, k.upstream.summary = t.TempDir(), "another summary"
	k.expect(k.night(), "other packages", missing("v1.35.2"), Finding{Kind: Upstreams, Severity: Drift, Object: "v1.35.2"})
	k.expect(k.night(), "asked for again", missing("v1.35.2"), k.waits(repo.HeadersFolder))
	dir := filepath.Join(k.box.Dir, repo.HeadersFolder)
	r, err := repo.ReadRequest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repo.NewReview(t.Context(), dir, r, repo.ReviewConfig{
		Stream: k.stream.Stream, Signer: k.with.signer, Keyring: k.keyring, Now: k.now, Memory: k.memory,
	}); err == nil || !strings.Contains(err.Error(), "was signed before with other contents: raise the revision") {
		t.Errorf("other contents: %v", err)
	}

	// Without a place to ask, it is said that there is one.
	k.config.Unsigned = ""
	k.expect(k.night(), "nobody is asked", missing("v1.35.2"), Finding{Kind: Unsigned, Severity: Drift})
}
