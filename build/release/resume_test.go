package release

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// A download that breaks off goes on where it was, if the server still has the same file.
func TestResume(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 8<<20/16)
	when := time.Date(2025, 9, 10, 11, 12, 13, 0, time.UTC)
	for name, c := range map[string]struct {
		// serve answers the request with a number from 1; nil serves the file as it is.
		serve func(n int, w http.ResponseWriter, r *http.Request) bool
		// ranges are the ranges of the requests that are expected.
		ranges []string
		want   string
	}{
		"whole": {nil, []string{""}, ""},
		"one cut": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			return n == 1 && cutAfter(w, r, large, 3<<20)
		}, []string{"", "bytes=3145728-"}, ""},
		"many cuts with progress": {func(n int, w http.ResponseWriter, r *http.Request) bool { return n < 7 && cutAfter(w, r, large, 1<<20) },
			[]string{"", "bytes=1048576-", "bytes=2097152-", "bytes=3145728-", "bytes=4194304-", "bytes=5242880-", "bytes=6291456-"}, ""},
		"a server that stumbles": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n == 2 || n == 3 {
				http.Error(w, "sorry", http.StatusServiceUnavailable)
				return true
			}
			return n == 1 && cutAfter(w, r, large, 3<<20)
		}, []string{"", "bytes=3145728-", "bytes=3145728-", "bytes=3145728-"}, ""},
		"another file by now": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n > 1 {
				w.Header().Set("ETag", `"another"`)
			}
			return n == 1 && cutAfter(w, r, large, 3<<20)
		}, []string{"", "bytes=3145728-", ""}, ""},
		"without a mark of the file": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			w.Header().Del("ETag")
			if n > 1 {
				fmt.Fprint(w, large)
				return true
			}
			return cutAfter(w, r, large, 3<<20)
		}, []string{"", ""}, ""},
		"a server without ranges": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("Range")
			return n == 1 && cutAfter(w, r, large, 3<<20)
		}, []string{"", "bytes=3145728-", ""}, ""},
		"the wrong rest": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n == 2 {
				w.Header().Set("Content-Range", "bytes 0-8388607/8388608")
				w.WriteHeader(http.StatusPartialContent)
				return true
			}
			return n == 1 && cutAfter(w, r, large, 3<<20)
		}, []string{"", "bytes=3145728-", ""}, ""},
		"cut again and again": {func(n int, w http.ResponseWriter, r *http.Request) bool { return cutAfter(w, r, large, 1000) }, nil, "given up after 4 attempts"},
		"other bytes in the rest": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n == 2 {
				w.Header().Set("Content-Range", "bytes 3145728-8388607/8388608")
				w.WriteHeader(http.StatusPartialContent)
				w.Write(bytes.Repeat([]byte("x"), 5<<20))
				return true
			}
			return n == 1 && cutAfter(w, r, large, 3<<20)
		}, []string{"", "bytes=3145728-"}, "is not what its release promises"},
	} {
		t.Run(name, func(t *testing.T) {
			var ranges []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.HasSuffix(r.URL.Path, ".sha256"):
					fmt.Fprint(w, hex256(large))
					return
				case r.Method == http.MethodGet:
					ranges = append(ranges, r.Header.Get("Range"))
					w.Header().Set("ETag", `"one"`)
					if c.serve != nil && c.serve(len(ranges), w, r) {
						return
					}
				}
				http.ServeContent(w, r, "", when, strings.NewReader(large))
			}))
			defer server.Close()
			s := open(t, server.URL)
			f, err := s.Fetch(t.Context(), version(t, "v1.34.1"), kubelet)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || len(ranges) > attempts*attempts {
					t.Errorf("got %v after %q, want %s", err, ranges, c.want)
				}
				if left := cached(t, s); len(left) > 0 {
					t.Errorf("the cache holds %q", left)
				}
			} else if data, e := os.ReadFile(f.Path); err != nil || e != nil || string(data) != large {
				t.Errorf("got %d bytes, %v, %v", len(data), err, e)
			}
			if c.ranges != nil && fmt.Sprint(ranges) != fmt.Sprint(c.ranges) {
				t.Errorf("asked for %q, want %q", ranges, c.ranges)
			}
		})
	}
}

// cutAfter sends so much of what is asked for and closes the connection.
func cutAfter(w http.ResponseWriter, r *http.Request, data string, n int) bool {
	start := 0
	status := http.StatusOK
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &start); err == nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(data)-1, len(data)))
		status = http.StatusPartialContent
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(data)-start))
	w.WriteHeader(status)
	fmt.Fprint(w, data[start:min(start+n, len(data))])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}
