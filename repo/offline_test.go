package repo

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/bucket"
)

// asked is when the signatures are asked for.
var asked = now.Add(-2 * time.Hour)

// offline is a stream whose second publication waits for its signatures: the publisher's bucket and the request.
type offline struct {
	bucket *bucket.Memory
	files  *Files
	dir    string
	plan   *Plan
}

// request writes a request to a folder.
func request(t testing.TB, p *Publisher, dir string, stream Stream, change Change, by *keys.Keyring) (*Plan, *Request, error) {
	t.Helper()
	plan, r, files, err := p.draftRequest(t.Context(), stream, change, by, time.Time{})
	if err == nil && r != nil {
		err = r.write(dir, files)
	}
	return plan, r, err
}

func newOffline(t testing.TB) *offline {
	t.Helper()
	o := &offline{bucket: bucket.NewMemory(), files: packages(t, "1.35.1", "two"), dir: filepath.Join(t.TempDir(), "request")}
	p := publisher(t, o.bucket)
	p.Now = func() time.Time { return now.Add(-5 * time.Hour) }
	mustAdd(t, p, packages(t, "1.35.0", "one"))
	p.Signer = nil
	p.Now = func() time.Time { return asked }
	plan, r, err := request(t, p, o.dir, testStream(), Change{Add: o.files}, signer(t).Keyring())
	if err != nil || r == nil {
		t.Fatalf("got %v, %v", r, err)
	}
	o.plan = plan
	return o
}

// review is the signer's look at the request.
func (o *offline) review(t testing.TB, memory *Memory) (*Review, error) {
	t.Helper()
	r, err := ReadRequest(o.dir)
	if err != nil {
		return nil, err
	}
	return NewReview(context.Background(), o.dir, r, ReviewConfig{
		Stream: testStream(), Signer: signer(t), Keyring: signer(t).Keyring(), Now: asked, Memory: memory,
	})
}

func noMemory(t testing.TB) *Memory {
	t.Helper()
	m, err := ReadMemory(filepath.Join(t.TempDir(), "none.json"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestOffline publishes with signatures that were made elsewhere: what comes out is what a publisher with a key makes of the
// same change at the same time, to the byte.
func TestOffline(t *testing.T) {
	o := newOffline(t)
	without := publisher(t, o.bucket)
	without.Signer = nil
	if err := without.Execute(t.Context(), o.plan); err == nil || !strings.Contains(err.Error(), "not signed yet") {
		t.Fatalf("a plan that is not signed was executed: %v", err)
	}
	online := o.bucket.Clone()

	memory := noMemory(t)
	v, err := o.review(t, memory)
	if err != nil {
		t.Fatal(err)
	}
	if v.Serial != 2 || len(v.Added) != 4 || v.Kept != 4 || len(v.Removed) != 0 {
		t.Errorf("the review says %+v", v)
	}
	signatures, err := v.Signatures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v.Remember()
	if err := signatures.Write(o.dir); err != nil {
		t.Fatal(err)
	}
	r, err := ReadRequest(o.dir)
	if err != nil {
		t.Fatal(err)
	}
	if signatures, err = ReadSignatures(o.dir, r); err != nil {
		t.Fatal(err)
	}
	without.Now = func() time.Time { return now.Add(-time.Hour) } // people take their time
	plan, err := without.PlanSigned(t.Context(), testStream(), r, signatures, o.files, signer(t).Keyring())
	if err != nil {
		t.Fatal(err)
	}
	if err := without.Execute(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if n := check(t, o.bucket); n != 4 {
		t.Errorf("%d debs, want 4", n)
	}
	with := publisher(t, online)
	with.Now = func() time.Time { return asked }
	mustAdd(t, with, o.files)
	if a, b := sumsIn(t, o.bucket), sumsIn(t, online); !maps.Equal(a, b) {
		t.Errorf("signed elsewhere the bucket has\n%v\nsigned here\n%v", a, b)
	}

	// Once more it is nothing; and when somebody has published since, it is too late.
	plan, err = without.PlanSigned(t.Context(), testStream(), r, signatures, o.files, signer(t).Keyring())
	if err != nil || !plan.Empty() {
		t.Errorf("published again: %v, %v", plan, err)
	}
	var moved *MovedError
	index := *r.Index
	r.Index.Base = strings.Repeat("0", 64)
	if _, err := without.PlanSigned(t.Context(), testStream(), r, signatures, o.files, signer(t).Keyring()); !errors.As(err, &moved) {
		t.Errorf("as what follows another publication: %v", err)
	}
	r.Index = &index
	with = publisher(t, o.bucket)
	with.Now = func() time.Time { return now }
	mustAdd(t, with, packages(t, "1.35.2", "three"))
	if _, err := without.PlanSigned(t.Context(), testStream(), r, signatures, o.files, signer(t).Keyring()); !errors.As(err, &moved) || moved.Live != 3 {
		t.Errorf("after another publication: %v", err)
	}
}

// sumsIn are the digests of everything in a bucket.
func sumsIn(t *testing.T, b *bucket.Memory) map[string]string {
	t.Helper()
	all := map[string]string{}
	for info, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		all[info.Name] = info.SHA256
	}
	return all
}

// TestReviewRemembers: what was signed bounds what will be, whatever the request says is live.
func TestReviewRemembers(t *testing.T) {
	o := newOffline(t)
	memory := noMemory(t)
	v, err := o.review(t, memory)
	if err != nil {
		t.Fatal(err)
	}
	v.Remember()
	file := filepath.Join(t.TempDir(), "memory.json")
	if err := memory.Write(file); err != nil {
		t.Fatal(err)
	}
	if again, err := o.review(t, memory); err != nil || !slices.Contains(again.Notes, "this very request was signed before") {
		t.Errorf("the same again: %v", err)
	}
	for name, c := range map[string]struct {
		change func(*StreamMemory)
		want   string
	}{
		"a later serial": {func(m *StreamMemory) { m.Serial, m.Request = 7, "" }, "serial 2 does not go forward: 7 was signed before"},
		"a later date":   {func(m *StreamMemory) { m.Serial, m.Request, m.Time = 1, "", now.Add(2*time.Hour) }, "does not go forward"},
		"a package that is gone": {func(m *StreamMemory) {
			m.Index = append(m.Index, "deb/amd64/kubectl_1.34.9-1.1_amd64.deb")
		}, "takes packages out of the index, which --allow-removals allows: deb/amd64/kubectl_1.34.9-1.1_amd64.deb"},
		"a package with other bytes": {func(m *StreamMemory) { m.Packages["rpm/x86_64/kubectl-1.35.1-1.1.x86_64.rpm"] = "x" }, "kubectl-1.35.1-1.1.x86_64.rpm has other bytes than before"},
	} {
		memory, err := ReadMemory(file)
		if err != nil {
			t.Fatal(err)
		}
		c.change(memory.of(streamName))
		var refused *RefusedError
		if _, err := o.review(t, memory); !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// FuzzReview: whatever the request and the list of packages say, what would be signed goes forward and is shown.
func FuzzReview(f *testing.F) {
	o := newOffline(f)
	packagesFile := filepath.Join(o.dir, newFolder, "deb", "Packages")
	read := func(file string) []byte {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		return data
	}
	request, text := read(filepath.Join(o.dir, requestFile)), read(packagesFile)
	f.Add(request, text)
	f.Add([]byte(strings.Replace(string(request), `"from": 1`, `"from": 0`, 1)), text)
	f.Add([]byte(strings.Replace(string(request), `"deb",`, ``, 1)), []byte(nil))
	memory := noMemory(f)
	f.Fuzz(func(t *testing.T, request, text []byte) {
		for file, data := range map[string][]byte{filepath.Join(o.dir, requestFile): request, packagesFile: text} {
			if err := os.WriteFile(file, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		v, err := o.review(t, memory)
		if err != nil || v.request.Index == nil {
			return
		}
		shown := map[string]bool{}
		for _, p := range v.Added {
			shown[p.Name] = true
		}
		if v.Serial <= v.From || v.Time.After(asked) || len(v.Removed) > 0 || len(v.after.digests()) != len(shown)+v.Kept {
			t.Errorf("would sign %+v", v)
		}
	})
}
