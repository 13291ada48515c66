package release

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
)

const nightly = "v1.36.0-alpha.0.721+f8ff8f44206ff4"

// openLayout opens a source with a layout.
func openLayout(t *testing.T, url string, l Layout) *Source {
	t.Helper()
	s, err := Open(t.Context(), Config{Name: "kubernetes", URL: url, Layout: l, Cache: filepath.Join(t.TempDir(), "cache"), Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// places are all kinds of places with the same files, by what they are called.
func places(t *testing.T, files map[string]string) map[string]string {
	t.Helper()
	dir := folderWith(t, files)
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "anybody")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "anything")
	places := map[string]string{"directory": dir, "web": server.URL}
	for name, start := range map[string]func(buckettest.Front) (*buckettest.Store, error){"gs": buckettest.GCS, "s3": buckettest.S3} {
		store, err := start(nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.Close)
		places[name] = store.Address("staged/here")
		b, err := bucket.Open(places[name])
		if err != nil {
			t.Fatal(err)
		}
		for file, data := range files {
			if _, err := b.Put(t.Context(), file, bucket.Bytes([]byte(data)), bucket.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return places
}

// One release in the layout of dl.k8s.io, with everything else that a source can be asked, in every kind of place.
func TestPlaces(t *testing.T) {
	files := map[string]string{
		"release/v1.34.1/" + kubelet: content, "release/v1.34.1/" + kubelet + ".sha256": hex256(content),
		"release/v1.34.10/x": "x", "release/v1.34.2/x": "x", "release/v1.35.0-rc.1/x": "x", "release/other/x": "x", "release/v1.34.3": "no folder",
		"release/" + nightly + "/x": "not where nightly builds are",
		"ci/" + nightly + "/f":      "nightly", "ci/" + nightly + "/f.sha256": hex256("nightly"), "ci/v1.33.0/x": "not where releases are",
		"release/stable-1.34.txt": "v1.34.10", "ci/latest.txt": nightly + "\n",
		"artifacts/cri-o.amd64.v1.34.1.tar.gz": content, "artifacts/SHA256SUMS": hex256(content) + "  cri-o.amd64.v1.34.1.tar.gz\n",
	}
	l := Layout{Releases: "release/{version}", Nightlies: "ci/{version}", Shared: "artifacts"}
	for kind, url := range places(t, files) {
		t.Run(kind, func(t *testing.T) {
			s := openLayout(t, url, l)
			base, _, _ := strings.Cut(url, "?")
			for _, c := range []struct{ version, path, at, data string }{
				{"v1.34.1", kubelet, "release/v1.34.1/" + kubelet, content},
				{nightly, "f", "ci/" + nightly + "/f", "nightly"},
				{"v1.34.1", "/cri-o.amd64.v1.34.1.tar.gz", "artifacts/cri-o.amd64.v1.34.1.tar.gz", content},
			} {
				f, err := s.Fetch(t.Context(), version(t, c.version), c.path)
				if err != nil {
					t.Fatal(err)
				}
				if data, err := os.ReadFile(f.Path); err != nil || string(data) != c.data || f.Modified.IsZero() {
					t.Errorf("%s: got %q, %+v, %v", c.path, data, f, err)
				}
				if want := base + "/" + c.at; f.URL != want && f.URL != strings.ReplaceAll(want, "+", "%2B") {
					t.Errorf("%s lies at %s, want %s", c.path, f.URL, want)
				}
			}
			if _, err := s.Fetch(t.Context(), version(t, "v1.34.4"), kubelet); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got %v", err)
			}
			for name, want := range map[string]string{"release/stable-1.34.txt": "v1.34.10", "ci/latest.txt": nightly} {
				if v, err := s.Marker(t.Context(), name); err != nil || v.String() != want {
					t.Errorf("%s: got %v, %v", name, v, err)
				}
			}
			if _, err := s.Marker(t.Context(), "release/stable-1.99.txt"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "stable-1.99.txt") {
				t.Errorf("got %v", err)
			}
			versions, err := s.Versions(t.Context())
			if kind == "web" {
				if !errors.Is(err, ErrNoListing) {
					t.Errorf("got %v, %v", versions, err)
				}
				return
			}
			if want := "[v1.34.1 v1.34.2 v1.34.10 v1.35.0-rc.1 " + nightly + "]"; err != nil || fmt.Sprint(versions) != want {
				t.Errorf("got %v, %v; want %s", versions, err, want)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	dir := folderWith(t, map[string]string{
		"v1.34.1/x": "", "v1.34.0/x": "", nightly + "/x": "", "1.34.5/x": "", "file": "",
		"numbers/1.34.8/gcs-stage/v1.34.8/f": "", "numbers/v1.34.9/gcs-stage/v1.34.9/f": "", "links/other/f": "",
		"stage/build-v1.34.7-x/v1.34.7/f": "", "stage/build-v1.34.6/v1.34.6/f": "",
	})
	for link, target := range map[string]string{"v1.34.0": "../v1.34.0", "v1.34.1": "/tmp", "v1.34.2": "../file"} {
		if err := os.Symlink(target, filepath.Join(dir, "links", link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		layout Layout
		want   string
	}{
		{Layout{}, "[v1.34.0 v1.34.1 " + nightly + "]"},
		{Layout{Releases: "stage/build-{version}-x/{version}"}, "[v1.34.7]"},
		{Layout{Releases: "stage/build-{version}/{version}"}, "[v1.34.6]"},
		{Layout{Releases: "nowhere/{version}"}, "[]"},
		{Layout{Releases: "numbers/{number}/gcs-stage/{version}"}, "[v1.34.8]"},
		{Layout{Releases: "links/{version}"}, "[v1.34.0]"},
		{Layout{Nightlies: "ci/{version}"}, "[v1.34.0 v1.34.1]"},
	} {
		if got, err := openLayout(t, dir, c.layout).Versions(t.Context()); err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%+v: got %v, %v; want %s", c.layout, got, err, c.want)
		}
	}
}

func TestBadMarkers(t *testing.T) {
	for text, want := range map[string]string{
		"": "is not a version", "\n": "is not a version", " v1.34.1": "is not a version", "v1.34.1\n\n": "is not a version", "v1.34.1\nv1.34.2\n": "is not a version",
		"1.34.1": "did you mean v1.34.1?", "v1.34.1\x00": "is not a version", "<html>" + strings.Repeat("x", 500): "too large", "v1.34.1 ": "is not a version",
	} {
		s := open(t, folderWith(t, map[string]string{"stable.txt": text}))
		if v, err := s.Marker(t.Context(), "stable.txt"); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "stable.txt") || !v.IsZero() {
			t.Errorf("%q: got %v, %v", text, v, err)
		}
	}
	s := open(t, folderWith(t, map[string]string{"a": "v1.34.1\r\n"}))
	if v, err := s.Marker(t.Context(), "a"); err != nil || v.String() != "v1.34.1" {
		t.Errorf("got %v, %v", v, err)
	}
	for _, name := range []string{"", "../a", "/a", "a\n", "a//b", "."} {
		if _, err := s.Marker(t.Context(), name); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestBadLayouts(t *testing.T) {
	for _, c := range []struct {
		layout Layout
		want   string
	}{
		{Layout{Releases: "release"}, "is the same folder for all versions"},
		{Layout{Nightlies: "ci"}, "is the same folder for all versions"},
		{Layout{Releases: "../{version}"}, "leads elsewhere"},
		{Layout{Releases: "/{version}"}, "is absolute"},
		{Layout{Releases: "{version}/"}, "not written plainly"},
		{Layout{Releases: "{version}/{arch}"}, "unknown placeholder"},
		{Layout{Shared: "a//b"}, "not written plainly"},
		{Layout{Shared: "{version}"}, "unknown placeholder"},
		{Layout{Shared: "a\nb"}, "has a character"},
	} {
		if _, err := Open(t.Context(), Config{Name: "n", URL: t.TempDir(), Cache: "c", Layout: c.layout}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %s", c.layout, err, c.want)
		}
	}
}
