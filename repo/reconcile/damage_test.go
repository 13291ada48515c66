package reconcile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
	"sigs.k8s.io/pkgs/repo/cdn"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/verify"
)

func TestMain(m *testing.M) {
	os.Setenv("AWS_ACCESS_KEY_ID", "key") // the fake of S3 takes all
	os.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	os.Exit(m.Run())
}

func content(data []byte) bucket.Content {
	sum := sha256.Sum256(data)
	return bucket.Content{
		Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	}
}

// eachBucket runs a test on every kind of bucket.
func eachBucket(t *testing.T, test func(t *testing.T, b bucket.Bucket)) {
	t.Run("memory", func(t *testing.T) { test(t, bucket.NewMemory()) })
	t.Run("dir", func(t *testing.T) { test(t, bucket.NewDir(t.TempDir())) })
	for name, start := range map[string]func(buckettest.Front) (*buckettest.Store, error){"gcs": buckettest.GCS, "s3": buckettest.S3} {
		t.Run(name, func(t *testing.T) {
			store, err := start(nil)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			b, err := bucket.Options{Pause: time.Millisecond, Patience: 10 * time.Second}.Open(store.Address("prefix"))
			if err != nil {
				t.Fatal(err)
			}
			test(t, b)
		})
	}
}

// flip is other bytes of the same size.
func flip(data []byte) []byte {
	data = bytes.Clone(data)
	data[len(data)/2] ^= 1
	return data
}

func cut(data []byte) []byte { return data[:len(data)-1] }

// TestDamage does to objects whatever can be done to them, one after the other. Each is found and named and nothing else is;
// what can be repaired is, by the same run, and what nobody may change is still there as it was found. Afterwards, or when
// it has been undone, nothing is found.
func TestDamage(t *testing.T) {
	stream := string(streamName) + "/"
	gone := func(data []byte) []byte { return nil }
	kinds := []struct {
		what   string
		object []string // parts of its name; the first is its beginning
		do     func([]byte) []byte
		kind   Kind
		// repaired tells that the run puts it right; otherwise it is an alarm, or drift for what is extra.
		repaired bool
	}{
		{"a deb is lost", []string{stream + "deb/amd64/kubectl_1.35.0-1.1_amd64.deb"}, gone, Lost, true},
		{"an rpm is lost", []string{stream + "rpm/aarch64/kubectl-1.35.1-1.1.aarch64.rpm"}, gone, Lost, true},
		{"an SBOM is lost", []string{stream + "deb/arm64/", "1.35.1", layout.SBOM}, gone, Lost, true},
		{"a provenance is lost", []string{stream + "rpm/x86_64/", "1.35.0", layout.Provenance}, gone, Lost, true},
		{"an index by hash is lost", []string{stream + "deb/by-hash/", "LIVE"}, gone, Lost, true},
		{"primary is lost", []string{stream + "rpm/repodata/", "-primary", "LIVE"}, gone, Lost, true},
		{"filelists is lost", []string{stream + "rpm/repodata/", "-filelists", "LIVE"}, gone, Lost, true},
		{"other is lost", []string{stream + "rpm/repodata/", "-other", "LIVE"}, gone, Lost, true},
		{"primary of the snapshot is lost", []string{stream + "rpm-snapshots/", "-primary", "LIVE"}, gone, Lost, true},
		{"repomd.xml of the snapshot is lost", []string{stream + "rpm-snapshots/", "/repomd.xml", "LIVE"}, gone, Lost, true},
		{"the signature of the snapshot is lost", []string{stream + "rpm-snapshots/", "repomd.xml.asc", "LIVE"}, gone, Lost, true},
		{"a deb is cut off", []string{stream + "deb/amd64/kubectl_1.35.0-1.1_amd64.deb"}, cut, Altered, false},
		{"a deb has other bytes", []string{stream + "deb/arm64/kubectl_1.35.1-1.1_arm64.deb"}, flip, Altered, false},
		{"an rpm has other bytes", []string{stream + "rpm/x86_64/kubectl-1.35.0-1.1.x86_64.rpm"}, flip, Altered, false},
		{"an SBOM has other bytes", []string{stream + "rpm/x86_64/", "1.35.0", layout.SBOM}, flip, Altered, false},
		{"an index by hash has other bytes", []string{stream + "deb/by-hash/", "LIVE"}, flip, Altered, false},
		{"primary is cut off", []string{stream + "rpm/repodata/", "-primary", "LIVE"}, cut, Altered, false},
		{"repomd.xml of the snapshot has other bytes", []string{stream + "rpm-snapshots/", "/repomd.xml", "LIVE"}, flip, Altered, false},
		{"InRelease has other bytes", []string{stream + "deb/InRelease"}, flip, Displaced, true},
		{"Release is cut off", []string{stream + "deb/Release"}, cut, Displaced, true},
		{"Release.gpg is missing", []string{stream + "deb/Release.gpg"}, gone, Displaced, true},
		{"Release.key is another", []string{stream + "deb/Release.key"}, flip, Displaced, true},
		{"Packages has other bytes", []string{stream + "deb/Packages"}, flip, Displaced, true},
		{"Packages.gz is missing", []string{stream + "deb/Packages.gz"}, gone, Displaced, true},
		{"repomd.xml has other bytes", []string{stream + "rpm/repodata/repomd.xml"}, flip, Displaced, true},
		{"repomd.xml.asc is missing", []string{stream + "rpm/repodata/repomd.xml.asc"}, gone, Displaced, true},
		{"mirrorlist leads elsewhere", []string{stream + "rpm/mirrorlist"}, flip, Displaced, true},
		{"the record of a publication is lost", []string{".state/" + stream + "manifests/1-"}, gone, Chain, false},
		{"the record of a publication has other bytes", []string{".state/" + stream + "manifests/1-"}, flip, Altered, false},
		{"the live manifest is lost", []string{".state/" + stream + "manifests/", "LIVE"}, gone, Unreadable, false},
		{"the live manifest has other bytes", []string{".state/" + stream + "manifests/", "LIVE"}, flip, Unreadable, false},
		{"HEAD is lost", []string{".state/" + stream + "HEAD"}, gone, Unreadable, false},
		{"HEAD is cut off", []string{".state/" + stream + "HEAD"}, func(data []byte) []byte { return data[:20] }, Unreadable, false},
	}
	extras := []string{stream + "deb/amd64/kubectl_1.35.7-1.1_amd64.deb", stream + "deb/Packages.xz", stream + "rpm/repodata/repomd.xml.old", stream + "rpm/x86_64/kubectl-1.35.7-1.1.x86_64.rpm.spdx.json"}

	eachBucket(t, func(t *testing.T, b bucket.Bucket) {
		t.Parallel()
		s := newScene(t, b)
		s.expect(s.run(), "a stream that is right")
		for _, k := range kinds {
			name := s.object(k.object)
			if k.kind != Displaced {
				s.wait()
			}
			before := s.read(name)
			if data := k.do(before); data == nil {
				s.remove(name)
			} else {
				s.write(name, data)
			}
			report := s.run()
			object := name
			if k.kind == Chain || k.kind == Unreadable {
				object = ""
			}
			s.expect(report, k.what, Finding{Kind: k.kind, Object: object, Repaired: k.repaired})
			if worst := report.Worst(); k.repaired && worst != Info || !k.repaired && worst != Alarm {
				t.Errorf("%s: the worst is %s", k.what, worst)
			}
			if !k.repaired {
				if data := k.do(before); data != nil && !bytes.Equal(s.read(name), data) {
					t.Errorf("%s: it was overwritten", k.what)
				}
				s.write(name, before)
			}
			s.expect(s.run(), "after "+k.what)
			if t.Failed() {
				return
			}
		}
		for _, name := range extras {
			s.write(name, []byte("extra"))
			report := s.run()
			s.expect(report, "extra "+name, Finding{Kind: Extra, Object: name, Severity: Drift})
			s.remove(name)
		}
		s.expect(s.run(), "in the end")
		report, err := verify.Stream(t.Context(), verify.Config{Source: verify.FromBucket(b), Keyring: s.keyring, Now: s.now}, streamName)
		if err == nil {
			err = report.Err()
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// wait lets the second pass in which HEAD and the last pointer were written, for the stores whose times have no fractions of
// one: what is changed in the very second of a publication, or of a repair, looks like a part of it. Pointers are small and
// their sums are known, so they are found in that second, too.
func (s *scene) wait() {
	for _, name := range []string{streamName.Head(), streamName.Rpm(layout.RepomdAsc)} {
		for info, err := range s.bucket.List(s.t.Context(), name) {
			if err == nil && info.Modified.Nanosecond() == 0 {
				time.Sleep(time.Until(info.Modified.Add(1500 * time.Millisecond)))
			}
		}
	}
}

// object finds the object whose name begins with the first part and has the others. LIVE is for those of the live snapshot.
func (s *scene) object(parts []string) string {
	s.t.Helper()
	state, err := repo.ReadState(s.t.Context(), s.bucket, streamName)
	if err != nil {
		s.t.Fatal(err)
	}
	live := map[string]bool{streamName.Manifest(state.Head.Serial, state.Head.Manifest): true}
	for _, o := range state.Manifest.Objects {
		live[o.Name] = true
	}
	for info, err := range s.bucket.List(s.t.Context(), parts[0]) {
		if err != nil {
			s.t.Fatal(err)
		}
		ok := len(parts) > 1 || info.Name == parts[0] || strings.HasSuffix(parts[0], "-")
		for _, part := range parts[1:] {
			if part == "LIVE" {
				ok = ok && live[info.Name]
			} else {
				ok = ok && (strings.Contains(info.Name, part) && (!strings.HasPrefix(part, "/") || strings.HasSuffix(info.Name, part)))
			}
		}
		if ok {
			return info.Name
		}
	}
	s.t.Fatalf("there is no object %q", parts)
	return ""
}

// What is not about one object of a bucket.
func TestNight(t *testing.T) {
	withdraw := func(s *scene) {
		p := repo.NewPublisher(repo.Config{Bucket: s.bucket, URL: "https://pkgs.example.org", Signer: s.signer, Keyring: s.keyring, Now: func() time.Time { return s.now }})
		var names []string
		state, err := repo.ReadState(s.t.Context(), s.bucket, streamName)
		for _, name := range state.Packages() {
			if strings.Contains(name, "1.35.1") {
				names = append(names, name)
			}
		}
		plan, planErr := p.Plan(s.t.Context(), s.stream.Stream, repo.Change{Yank: names, Reason: "does not start"})
		if err = errors.Join(err, planErr, p.Execute(s.t.Context(), plan)); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, k := range []struct {
		what  string
		do    func(*scene)
		want  []Finding
		after []Finding // of a second run
	}{
		{"a new version", func(s *scene) { s.upstream.releases = append(s.upstream.releases, "1.35.2") },
			[]Finding{{Kind: Missing, Object: "v1.35.2", Repaired: true}}, nil},
		{"an older version that was left out", func(s *scene) { s.upstream.releases = append(s.upstream.releases, "1.34.9") },
			[]Finding{{Kind: Missing, Object: "v1.34.9", Repaired: true}}, nil},
		{"an architecture that is missing", func(s *scene) {
			s.upstream.more = true
			s.stream.Architectures = append(s.stream.Architectures, repo.Architecture{Deb: "s390x", Rpm: "s390x"})
		}, []Finding{{Kind: Missing, Object: "v1.35.0", Repaired: true}, {Kind: Missing, Object: "v1.35.1", Repaired: true}}, nil},
		{"a new version of a frozen stream", func(s *scene) {
			s.upstream.releases = append(s.upstream.releases, "1.35.2")
			s.stream.Frozen = true
		}, nil, nil},
		{"a frozen stream that comes of age", func(s *scene) { s.stream.Frozen = true; s.now = s.now.Add(8 * 24 * time.Hour) },
			[]Finding{{Kind: Expiring, Repaired: true}}, nil},
		{"an index that comes of age", func(s *scene) { s.now = s.now.Add(8 * 24 * time.Hour) },
			[]Finding{{Kind: Expiring, Repaired: true}}, nil},
		{"another key for users", func(s *scene) { s.keyring = keys.Merge(s.keyring, readSigner(s.t, "two").Keyring()) },
			[]Finding{{Kind: Rekeyed, Repaired: true}}, nil},
		{"a key that users do not have", func(s *scene) { s.keyring = readSigner(s.t, "two").Keyring() },
			[]Finding{{Kind: Unverifiable, Severity: Alarm}, {Kind: Rekeyed}, {Kind: Failed}}, []Finding{{Kind: Unverifiable, Severity: Alarm}, {Kind: Rekeyed}, {Kind: Failed}}},
		{"upstream is down", func(s *scene) { s.upstream.down = errors.New("is out of order") },
			[]Finding{{Kind: Upstreams, Severity: Drift}}, []Finding{{Kind: Upstreams, Severity: Drift}}},
		{"a release that cannot be made, and one that can", func(s *scene) {
			s.upstream.releases = append(s.upstream.releases, "1.35.2", "1.35.3")
			s.upstream.broken = "v1.35.2"
		}, []Finding{{Kind: Missing, Object: "v1.35.2", Severity: Drift}, {Kind: Upstreams, Object: "v1.35.2"}, {Kind: Missing, Object: "v1.35.3", Repaired: true}},
			[]Finding{{Kind: Missing, Object: "v1.35.2", Severity: Drift}, {Kind: Upstreams, Object: "v1.35.2"}}},
		{"other bytes upstream", func(s *scene) { s.upstream.changed = []string{"https://dl.example.org/kubectl"} },
			[]Finding{{Kind: Source, Object: "https://dl.example.org/kubectl", Severity: Alarm}}, []Finding{{Kind: Source, Severity: Alarm}}},
		{"a version that was withdrawn", withdraw, []Finding{{Kind: Withdrawn, Severity: Info}, {Kind: Page, Repaired: true}}, []Finding{{Kind: Withdrawn, Severity: Info}}},
		{"more versions than are kept", func(s *scene) {
			s.stream.Keep = 2
			s.upstream.releases = append(s.upstream.releases, "1.36.0~alpha.1", "1.36.0~alpha.2")
		}, []Finding{{Kind: Missing, Object: "v1.36.0~alpha.1", Repaired: true}, {Kind: Missing, Object: "v1.36.0~alpha.2", Repaired: true}, {Kind: Retired, Repaired: true}},
			nil},
		{"a public address that is behind", func(s *scene) {
			old := s.bucket.(*bucket.Memory).Clone()
			s.upstream.releases = append(s.upstream.releases, "1.35.2")
			s.run()
			s.config.Public, s.config.Patience = (&cache{shown: old}).serve(s.t), time.Millisecond
		}, behind(Finding{Kind: Stale, Severity: Drift}), behind(Finding{Kind: Stale, Severity: Drift})},
		{"a public address that is behind until it is purged", func(s *scene) {
			public := &cache{shown: s.bucket.(*bucket.Memory).Clone()}
			s.upstream.releases = append(s.upstream.releases, "1.35.2")
			s.run()
			s.config.Public, s.config.Patience = public.serve(s.t), 10*time.Second
			s.config.Purge = func(_ context.Context, names []string) error {
				if len(names) != 8 {
					s.t.Errorf("purged: %q", names)
				}
				public.show(s.bucket)
				return nil
			}
		}, behind(Finding{Kind: Stale, Repaired: true}), nil},
		{"a CDN that cannot be told", func(s *scene) {
			s.upstream.releases = append(s.upstream.releases, "1.35.2")
			s.config.Purge = func(context.Context, []string) error { return errors.New("is out of order") }
		}, []Finding{{Kind: Missing, Repaired: true}, {Kind: Purge, Severity: Drift}, {Kind: Purge, Object: layout.Streams}}, nil},
	} {
		t.Run(k.what, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, bucket.NewMemory())
			k.do(s)
			s.expect(s.run(), k.what, k.want...)
			s.expect(s.run(), "a second run", k.after...)
		})
	}
}

// cache stands for a CDN that shows what it has seen once.
type cache struct {
	mu    sync.Mutex
	shown bucket.Bucket // guarded by mu
}

func (c *cache) show(b bucket.Bucket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown = b
}

// serve gives the cache a public address.
func (c *cache) serve(t *testing.T) *cdn.ReadBack {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		data, _, err := c.shown.Open(r.Context(), strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer data.Close()
		io.Copy(w, data)
	}))
	t.Cleanup(server.Close)
	return &cdn.ReadBack{URL: server.URL}
}

// behind is a finding for each of the pointers that a publication changes, which are all but the keys.
func behind(f Finding) []Finding { return slices.Repeat([]Finding{f}, 8) }
