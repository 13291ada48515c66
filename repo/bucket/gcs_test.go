package bucket

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
)

func TestGCS(t *testing.T) {
	testBucket(t, func(t *testing.T) Bucket { return openGCS(t, "some/prefix", nil) })
}

// openGCS opens a bucket in a fake store of its own, through a proxy if one is given. It waits less long than one in
// earnest.
func openGCS(t *testing.T, prefix string, front buckettest.Front) *cloud {
	t.Helper()
	store, err := buckettest.GCS(front)
	return openFake(t, store, err, prefix)
}

// openFake opens the bucket of a fake store that lives as long as the test.
func openFake(t *testing.T, store *buckettest.Store, err error, prefix string) *cloud {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	b, err := Options{Pause: time.Millisecond}.Open(store.Address(prefix))
	if err != nil {
		t.Fatal(err)
	}
	return b.(*cloud)
}

// TestGCSChunks sends an object in chunks, of which some come to grief.
func TestGCSChunks(t *testing.T) {
	f := &buckettest.Faults{}
	c := openGCS(t, "", f.Front)
	g := c.store.(*gcs)
	g.whole, g.chunk = 100<<10, 256<<10
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<15) // two chunks, and the fake needs an end of its own
	data = append(data, "the end"...)
	for what, test := range map[string]struct {
		request int32 // of the upload: 1 begins it, 2 is the first chunk
		trouble buckettest.Trouble
		then    buckettest.Trouble
	}{
		"nothing":                              {0, buckettest.None, buckettest.None},
		"the beginning is refused":             {1, buckettest.Status + 503, buckettest.None},
		"the beginning is lost":                {1, buckettest.Dropped, buckettest.None},
		"a chunk is refused":                   {3, buckettest.Status + 503, buckettest.None},
		"a chunk is lost":                      {3, buckettest.Dropped, buckettest.None},
		"too much at once":                     {2, buckettest.Status + 429, buckettest.None},
		"the answer to the end is lost":        {4, buckettest.Lost, buckettest.None},
		"the end is refused after it was done": {4, buckettest.Lost, buckettest.Status + 412},
		"the answer to the end is an error":    {4, buckettest.Late, buckettest.None},
	} {
		var requests atomic.Int32
		f.Set(func(r *http.Request) buckettest.Trouble {
			if !strings.HasPrefix(r.URL.Path, "/upload/") {
				return buckettest.None
			}
			switch requests.Add(1) {
			case test.request:
				return test.trouble
			case 5: // what the store says to an end that it has seen already
				return test.then
			}
			return buckettest.None
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
