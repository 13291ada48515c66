package repo

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
)

// served is what the cloud stores must send along with each object of a publication, by name. It is written down here
// apart from repo/layout, for apt, dnf and every cache between read these names and headers, whatever that package says.
var served = []struct {
	name                      *regexp.Regexp
	contentType, cacheControl string
}{
	{regexp.MustCompile(`/deb/[a-z0-9]+/[^/]+\.deb$`), "application/vnd.debian.binary-package", "public, max-age=31536000, immutable"},
	{regexp.MustCompile(`/rpm/[a-z0-9_]+/[^/]+\.rpm$`), "application/x-rpm", "public, max-age=31536000, immutable"},
	{regexp.MustCompile(`/deb/by-hash/SHA256/[0-9a-f]{64}$`), "application/octet-stream", "public, max-age=31536000, immutable"},
	{regexp.MustCompile(`/rpm/repodata/[0-9a-f]{64}-[a-z]+\.xml\.gz$`), "application/gzip", "public, max-age=31536000, immutable"},
	{regexp.MustCompile(`/rpm-snapshots/[^/]+/repodata/[^/]+\.gz$`), "application/gzip", "public, max-age=31536000, immutable"},
	{regexp.MustCompile(`/rpm-snapshots/[^/]+/repodata/repomd\.xml$`), "application/xml", "public, max-age=31536000, immutable"},
	{regexp.MustCompile(`/rpm-snapshots/[^/]+/repodata/repomd\.xml\.asc$`), "application/pgp-signature", "public, max-age=31536000, immutable"},
	{regexp.MustCompile(`/rpm-snapshots/[^/]+/repodata/repomd\.xml\.key$`), "application/pgp-keys", "public, max-age=31536000, immutable"},
	{regexp.MustCompile(`/deb/(InRelease|Release|Packages)$`), "text/plain; charset=utf-8", "no-cache, max-age=0"},
	{regexp.MustCompile(`/deb/Packages\.gz$`), "application/gzip", "no-cache, max-age=0"},
	{regexp.MustCompile(`/deb/Release\.gpg$|/rpm/repodata/repomd\.xml\.asc$`), "application/pgp-signature", "no-cache, max-age=0"},
	{regexp.MustCompile(`/deb/Release\.key$|/rpm/repodata/repomd\.xml\.key$`), "application/pgp-keys", "no-cache, max-age=0"},
	{regexp.MustCompile(`/rpm/mirrorlist$`), "text/plain; charset=utf-8", "no-cache, max-age=0"},
	{regexp.MustCompile(`/rpm/repodata/repomd\.xml$`), "application/xml", "no-cache, max-age=0"},
	{regexp.MustCompile(`^\.state/.*/HEAD$`), "application/json", "private, no-store"},
	{regexp.MustCompile(`^\.state/.*/manifests/.*\.json$`), "application/json", "public, max-age=31536000, immutable"},
}

// TestServedHeaders publishes twice, so that pointers are overwritten, and asks each store for every object as a CDN does.
func TestServedHeaders(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	first, second := packages(t, "1.35.0", "one"), packages(t, "1.35.1", "two")
	for name, start := range map[string]func(buckettest.Front) (*buckettest.Store, error){"GCS": buckettest.GCS, "S3": buckettest.S3} {
		t.Run(name, func(t *testing.T) {
			store, err := start(nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(store.Close)
			b, err := bucket.Open(store.Address(""))
			if err != nil {
				t.Fatal(err)
			}
			mustAdd(t, publisher(t, b), first)
			mustAdd(t, publisher(t, b), second)
			seen := map[int]bool{}
			for o, err := range b.List(t.Context(), "") {
				if err != nil {
					t.Fatal(err)
				}
				want := -1
				for i, s := range served {
					if s.name.MatchString(o.Name) {
						want = i
						break
					}
				}
				if want < 0 {
					t.Errorf("%s is of no kind that is known here: say what it is served with", o.Name)
					continue
				}
				seen[want] = true
				header := get(t, store.URL+"/bucket-in-test/"+o.Name)
				if header.Get("Content-Type") != served[want].contentType || header.Get("Cache-Control") != served[want].cacheControl {
					t.Errorf("%s is served as %q with %q, want %q with %q", o.Name,
						header.Get("Content-Type"), header.Get("Cache-Control"), served[want].contentType, served[want].cacheControl)
				}
				if e := header.Get("Content-Encoding"); e != "" {
					t.Errorf("%s is served with Content-Encoding %s: clients would unpack it and find another digest", o.Name, e)
				}
			}
			if len(seen) != len(served) {
				t.Errorf("%d kinds of objects were there, want all %d", len(seen), len(served))
			}
		})
	}
}

func get(t *testing.T, address string) http.Header {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.ReplaceAll(address, "+", "%2B"), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", "gzip")
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(address, answer.Status, err)
	}
	return answer.Header
}
