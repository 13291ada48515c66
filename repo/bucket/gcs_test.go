package bucket

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

func TestGCS(t *testing.T) {
	testBucket(t, func(t *testing.T) Bucket { return openGCS(t, "some/prefix", nil) })
}

// openGCS opens a bucket in a fake store of its own, through a proxy if one is given. It waits less long than one in
// earnest.
func openGCS(t *testing.T, prefix string, proxy func(http.Handler) http.Handler) *cloud {
	t.Helper()
	endpoint := startGCS(t, proxy)
	b, err := Open("gs://bucket-in-test/" + prefix + "?endpoint=" + url.QueryEscape(endpoint))
	if err != nil {
		t.Fatal(err)
	}
	c := b.(*cloud)
	c.pace.pause = time.Millisecond
	return c
}

// startGCS starts a fake of Google Cloud Storage on a port of this machine and returns its address.
func startGCS(t *testing.T, proxy func(http.Handler) http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	fake, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		NoListener: true,
		PublicHost: server.Listener.Addr().String(),
		Writer:     io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	fake.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "bucket-in-test"})
	var handler http.Handler = &strictGCS{fake: fake, next: fake.HTTPHandler()}
	if proxy != nil {
		handler = proxy(handler)
	}
	server.Config.Handler = handler
	server.Start()
	t.Cleanup(func() {
		server.Close()
		fake.Stop()
	})
	return server.URL
}

// strictGCS adds what the fake does not do and Google Cloud Storage does: it checks the conditions of deletions and
// copies.
type strictGCS struct {
	fake *fakestorage.Server
	next http.Handler
	mu   sync.RWMutex // held for reading by what the fake checks the conditions of
}

func (s *strictGCS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const objects = "/b/bucket-in-test/o/"
	_, name, copied := strings.Cut(r.URL.Path, "/rewriteTo"+objects)
	if !copied {
		_, name, _ = strings.Cut(r.URL.Path, objects)
	}
	if r.Method != http.MethodDelete && !copied {
		s.mu.RLock()
		defer s.mu.RUnlock()
		s.next.ServeHTTP(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	there := "0"
	if o, err := s.fake.GetObject("bucket-in-test", name); err == nil {
		there = strconv.FormatInt(o.Generation, 10)
	}
	want := r.URL.Query().Get("ifGenerationMatch")
	if want != "" && want != there && (copied || there != "0") { // what is not there is not found before anything else
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusPreconditionFailed)
		io.WriteString(w, `{"error":{"code":412,"message":"At least one of the pre-conditions you specified did not hold.","errors":[{"reason":"conditionNotMet"}]}}`)
		return
	}
	s.next.ServeHTTP(w, r)
}

// TestGCSChunks sends an object in chunks, of which some come to grief.
func TestGCSChunks(t *testing.T) {
	f := &faults{}
	c := openGCS(t, "", func(next http.Handler) http.Handler {
		f.next = next
		return f
	})
	g := c.store.(*gcs)
	g.whole, g.chunk = 100<<10, 256<<10
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<15) // two chunks, and the fake needs an end of its own
	data = append(data, "the end"...)
	for what, test := range map[string]struct {
		request int32 // of the upload: 1 begins it, 2 is the first chunk
		trouble trouble
		then    trouble
	}{
		"nothing":                              {0, none, none},
		"the beginning is refused":             {1, status + 503, none},
		"the beginning is lost":                {1, dropped, none},
		"a chunk is refused":                   {3, status + 503, none},
		"a chunk is lost":                      {3, dropped, none},
		"too much at once":                     {2, status + 429, none},
		"the answer to the end is lost":        {4, lost, none},
		"the end is refused after it was done": {4, lost, status + 412},
		"the answer to the end is an error":    {4, late, none},
	} {
		var requests atomic.Int32
		f.set(func(r *http.Request) trouble {
			if !strings.HasPrefix(r.URL.Path, "/upload/") {
				return none
			}
			switch requests.Add(1) {
			case test.request:
				return test.trouble
			case 5: // what the store says to an end that it has seen already
				return test.then
			}
			return none
		})
		info, err := c.Put(t.Context(), what, Bytes(data), PutOptions{ContentType: "text/plain", CacheControl: "no-cache", Condition: IfAbsent})
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if n := requests.Load(); n < 4 {
			t.Errorf("%s: only %d requests", what, n)
		}
		got, stat := get(t, c, what)
		if got != string(data) || stat != info || info.ContentType != "text/plain" || info.CacheControl != "no-cache" {
			t.Errorf("%s: read %d bytes of %+v, put said %+v", what, len(got), stat, info)
		}
		if _, err := c.Put(t.Context(), what, Bytes(data), PutOptions{Condition: IfAbsent}); !errors.Is(err, ErrCondition) {
			t.Errorf("%s: written a second time: %v", what, err)
		}
	}
}
