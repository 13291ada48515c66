package reconcile

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/deb"
	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/rpm"
	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/sign"
)

const streamName = layout.Stream("core:/stable:/v1.35")

// start is when the tests begin: later than the test keys were made, earlier than any clock.
var start = time.Date(2025, 7, 1, 12, 0, 0, 0, time.UTC)

func testStream() Stream {
	return Stream{Stream: repo.Stream{
		Name: streamName, Origin: "origin", Label: "label", Suite: "suite", Codename: "codename", Description: "description",
		Architectures: []repo.Architecture{{Deb: "amd64", Rpm: "x86_64"}, {Deb: "arm64", Rpm: "aarch64"}},
		Members:       map[string]repo.Member{"kubectl": {Main: true, Prereleases: true}},
	}}
}

func readSigner(t testing.TB, name string) *sign.Signer {
	t.Helper()
	data, err := os.ReadFile("../../keys/testdata/" + name + "-private.asc")
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.ReadPrivate(name, data, func() ([]byte, error) { return nil, errors.New("is locked") })
	if err != nil {
		t.Fatal(err)
	}
	s, err := sign.New(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fakeUpstream has released some versions of kubectl, and makes them once.
type fakeUpstream struct {
	signer *sign.Signer
	dir    string

	mu       sync.Mutex
	releases []string
	down     error    // no release can be found out
	broken   string   // this release cannot be made
	changed  []string // what upstream promises other bytes for
	made     int      // packages that were made
	more     bool     // there is a third architecture
	summary  string   // of packages; empty is "a test"
}

func (u *fakeUpstream) Wanted(_ context.Context, _ layout.Stream, _ []Package) ([]Package, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.down != nil {
		return nil, u.down
	}
	var all []Package
	for _, v := range u.releases {
		debs, rpms := []string{"amd64", "arm64"}, []string{"x86_64", "aarch64"}
		if u.more {
			debs, rpms = append(debs, "s390x"), append(rpms, "s390x")
		}
		for _, a := range debs {
			all = append(all, Package{Name: "kubectl", Version: v, Architecture: a, Format: "deb", Release: "v" + v})
		}
		for _, a := range rpms {
			all = append(all, Package{Name: "kubectl", Version: v, Architecture: a, Format: "rpm", Release: "v" + v})
		}
	}
	return all, nil
}

func (u *fakeUpstream) Make(ctx context.Context, _ layout.Stream, packages []Package, dir string, headers *repo.SignedHeaders) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range packages {
		if p.Release == u.broken {
			return errors.New("kubectl is not what its release promises")
		}
		var by rpm.HeaderSigner
		folder := filepath.Join(u.dir, "unsigned")
		switch {
		case headers != nil:
			by, folder = headers, filepath.Join(u.dir, "elsewhere")
		case u.signer != nil:
			by, folder = u.signer, filepath.Join(u.dir, "signed")
		}
		file, err := u.file(ctx, p, by, folder)
		if err != nil {
			return err
		}
		for _, suffix := range append(layout.Attestations(), "") {
			data, err := os.ReadFile(file + suffix)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, filepath.Base(file)+suffix), data, 0o644)
			}
			if err != nil {
				return err
			}
		}
		u.made++
	}
	return nil
}

// file makes a package and its attestations in a folder the first time that it is asked for.
func (u *fakeUpstream) file(ctx context.Context, p Package, by rpm.HeaderSigner, folder string) (string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	revision := p.Revision
	if revision == "" {
		revision = "1.1"
	}
	tree, err := payload.NewTree(payload.Entry{Path: "/usr/bin/kubectl", Mode: 0o755, Content: payload.Bytes([]byte(p.Version))})
	if err != nil {
		return "", err
	}
	compressor := &payload.Compressor{Encoder: payload.Go()}
	var file string
	var write func() error
	if p.Format == "deb" {
		m := deb.Meta{
			Package: "kubectl", Version: p.Version + "-" + revision, Architecture: p.Architecture, Maintainer: "Test <test@example.org>",
			Section: "admin", Priority: "optional", Summary: cmp.Or(u.summary, "a test"), Description: "It is for a test.", Time: start.AddDate(0, -1, 0),
		}
		file = filepath.Join(folder, m.FileName())
		write = func() error { return deb.WriteFile(ctx, file, m, tree, compressor) }
	} else {
		m := rpm.Meta{
			Name: "kubectl", Version: p.Version, Release: revision, Arch: p.Architecture, Summary: cmp.Or(u.summary, "a test"), Description: "It is for a test.",
			License: "Apache-2.0", BuildHost: "localhost", Time: start.AddDate(0, -1, 0),
		}
		file = filepath.Join(folder, m.FileName())
		write = func() error { return rpm.WriteFile(ctx, file, m, tree, compressor, by) }
	}
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	for _, suffix := range layout.Attestations() {
		if err := os.WriteFile(file+suffix, []byte(filepath.Base(file)), 0o644); err != nil {
			return "", err
		}
	}
	return file, write()
}

func (u *fakeUpstream) Changed(_ context.Context, statement []byte) ([]string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.changed, nil
}

// scene is a stream with two versions, which nothing is wrong with.
type scene struct {
	t        *testing.T
	bucket   bucket.Bucket
	upstream *fakeUpstream
	signer   *sign.Signer
	keyring  *keys.Keyring
	now      time.Time
	stream   Stream
	config   Config
}

func newScene(t *testing.T, b bucket.Bucket) *scene {
	t.Helper()
	s := &scene{t: t, bucket: b, signer: readSigner(t, "one"), now: start, stream: testStream()}
	s.keyring = s.signer.Keyring()
	s.upstream = &fakeUpstream{signer: s.signer, dir: t.TempDir(), releases: []string{"1.35.0"}}
	s.config = Config{Upstream: s.upstream, Confirm: true, Cache: t.TempDir()}
	s.expect(s.run(), "the first night", Finding{Kind: Missing, Repaired: true, Object: "v1.35.0"})
	s.upstream.releases = append(s.upstream.releases, "1.35.1")
	s.now = s.now.Add(24 * time.Hour)
	s.expect(s.run(), "the second night", Finding{Kind: Missing, Repaired: true, Object: "v1.35.1"})
	return s
}

func (s *scene) run() *Report {
	s.t.Helper()
	cfg := s.config
	cfg.Publisher = repo.NewPublisher(repo.Config{
		Bucket: s.bucket, URL: "https://pkgs.example.org", Signer: s.signer, Elsewhere: s.keyring, Keyring: s.keyring, By: "nightly",
		Now: func() time.Time { return s.now },
	})
	return Run(context.Background(), cfg, []Stream{s.stream})
}

// expect compares findings by kind, object and whether they were repaired. An empty object stands for any.
func (s *scene) expect(r *Report, what string, want ...Finding) {
	s.t.Helper()
	var got []Finding
	for _, f := range r.All {
		got = append(got, f)
	}
	matches := func(g, w Finding) bool {
		return g.Kind == w.Kind && g.Repaired == w.Repaired && (w.Object == "" || w.Object == g.Object) && (w.Severity == "" || w.Severity == g.Severity)
	}
	ok := len(got) == len(want)
	for _, w := range want {
		ok = ok && slices.ContainsFunc(got, func(g Finding) bool { return matches(g, w) })
	}
	if !ok {
		s.t.Errorf("%s: found\n%+v\nexpected\n%+v", what, got, want)
	}
}

func (s *scene) read(name string) []byte {
	s.t.Helper()
	r, _, err := s.bucket.Open(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

func (s *scene) write(name string, data []byte) {
	s.t.Helper()
	if _, err := s.bucket.Put(s.t.Context(), name, content(data), bucket.PutOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) remove(name string) {
	s.t.Helper()
	info, err := s.bucket.Stat(s.t.Context(), name)
	if err == nil {
		err = s.bucket.Delete(s.t.Context(), name, info.Generation)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}
