package cdn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// edge is a cache in front of a bucket. It keeps what it has fetched until it is purged, whatever the headers say.
type edge struct {
	*httptest.Server

	mu     sync.Mutex        // guards what follows
	bucket map[string]string // what the bucket has, by path
	cache  map[string]string
	asked  []string // methods and paths of all requests
	// deaf makes the edge agree to be purged and not do it.
	deaf bool
}

func newEdge(t *testing.T, objects map[string]string) *edge {
	e := &edge{bucket: objects, cache: map[string]string{}}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, r.Method+" "+r.URL.Path)
	if r.Method == "PURGE" {
		if r.Header.Get("X-Key") != "hunter2" {
			// Some caches are so kind as to repeat what they were sent.
			http.Error(w, fmt.Sprintf("%q is not the key", r.Header.Get("X-Key")), http.StatusForbidden)
			return
		}
		e.forget(r.URL.Path)
		return
	}
	body, ok := e.cache[r.URL.Path]
	if !ok {
		if body, ok = e.bucket[r.URL.Path]; !ok {
			http.NotFound(w, r)
			return
		}
		e.cache[r.URL.Path] = body
	} else {
		w.Header().Set("Age", "512")
	}
	w.Header().Set("Last-Modified", "Tue, 01 Jul 2025 12:00:00 GMT")
	io.WriteString(w, body)
}

// forget drops a path from the cache. The caller holds mu.
func (e *edge) forget(path string) {
	if !e.deaf {
		delete(e.cache, path)
	}
}

func (e *edge) put(path, body string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bucket[path] = body
}

// call is one request that an API was sent.
type call struct {
	method, path, query, body string
	header                    http.Header
}

// api is a stand-in for the API of a CDN. It answers the nth request with what answer returns.
type api struct {
	*httptest.Server
	answer func(n int, c call) (status int, header map[string]string, body string)

	mu    sync.Mutex // guards calls
	calls []call
}

func newAPI(t *testing.T, answer func(n int, c call) (int, map[string]string, string)) *api {
	a := &api{answer: answer}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c := call{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(body), r.Header.Clone()}
	a.mu.Lock()
	n := len(a.calls)
	a.calls = append(a.calls, c)
	a.mu.Unlock()
	status, header, text := a.answer(n, c)
	for name, value := range header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(status)
	io.WriteString(w, text)
}

func (a *api) all() []call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]call(nil), a.calls...)
}

// newCDN is a CDN that does not wait long.
func newCDN(t *testing.T, base string, form Form) *CDN {
	t.Helper()
	c, err := New(Config{URL: base, Form: form, Timeout: 10 * time.Second, Attempts: 3, Pause: time.Millisecond, UserAgent: "pkgs/test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func decode(t *testing.T, body string, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
}

// mustNotTell checks that an error exists and does not have a secret in it.
func mustNotTell(t *testing.T, err error, secret string) {
	t.Helper()
	if err == nil {
		t.Fatal("there is no error")
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error tells the secret: %v", err)
	}
}
