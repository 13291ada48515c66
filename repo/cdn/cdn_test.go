package cdn

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	inRelease = "core:/stable:/v1.35/deb/InRelease"
	repomd    = "core:/stable:/v1.35/rpm/repodata/repomd.xml"
)

func purgeForm() *HTTP {
	return &HTTP{Method: "PURGE", URL: "{url}", Header: map[string]string{"X-Key": "{secret}"}, Secret: "hunter2"}
}

func object(name, body string) Object {
	return Object{Name: name, Size: int64(len(body)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(body)))}
}

// readBack looks for objects and gives up after a few rounds, however long those take.
func readBack(base string, objects ...Object) ReadBack {
	rounds := 0
	return ReadBack{
		URL: base, Wait: time.Hour, Timeout: time.Minute,
		Objects: func(context.Context) ([]Object, error) { return objects, nil },
		rest: func(ctx context.Context, _ time.Duration) error {
			if rounds++; rounds%3 == 0 {
				return context.DeadlineExceeded
			}
			return ctx.Err()
		},
	}
}

// A cache that has old objects serves them until it is purged of exactly those, and that is seen.
func TestPurgeAndReadBack(t *testing.T) {
	e := newEdge(t, map[string]string{"/" + inRelease: "serial 1", "/" + repomd: "serial 1"})
	look := readBack(e.URL, object(inRelease, "serial 1"), object(repomd, "serial 1"))
	if n, err := look.Run(t.Context()); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	e.put("/"+inRelease, "serial 2")
	e.put("/"+repomd, "serial 2")

	look = readBack(e.URL, object(inRelease, "serial 2"), object(repomd, "serial 2"))
	_, err := look.Run(t.Context())
	var stale *StaleError
	if !errors.As(err, &stale) || len(stale.Stale) != 2 {
		t.Fatalf("got %v, want an error about two stale objects", err)
	}
	old := object(inRelease, "serial 1")
	if s := stale.Stale[0]; s.Have != old.SHA256 || s.Name != inRelease || s.Age != 512 || s.Modified.Year() != 2025 {
		t.Errorf("got %+v", s)
	}
	for _, part := range []string{e.URL + "/" + inRelease, "and 1 more", "8m32s", "2025-07-01T12:00:00Z", old.SHA256[:12]} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in the error: %v", part, err)
		}
	}

	c := newCDN(t, e.URL, purgeForm())
	if err := c.Purge(t.Context(), []string{inRelease}); err != nil {
		t.Fatal(err)
	}
	if _, err = look.Run(t.Context()); !errors.As(err, &stale) || len(stale.Stale) != 1 || stale.Stale[0].Name != repomd {
		t.Fatalf("got %v, want an error about %s", err, repomd)
	}
	if err := c.Purge(t.Context(), []string{repomd}); err != nil {
		t.Fatal(err)
	}
	if n, err := look.Run(t.Context()); err != nil || n != 2 {
		t.Fatal(n, err)
	}
}

// Reading back goes on while the CDN is slow, and follows when somebody publishes on top of it.
func TestReadBackIsPatient(t *testing.T) {
	e := newEdge(t, map[string]string{"/" + inRelease: "serial 1"})
	look := readBack(e.URL)
	var pauses []time.Duration
	look.rest = func(_ context.Context, while time.Duration) error { pauses = append(pauses, while); return nil }
	rounds := 0
	look.Objects = func(context.Context) ([]Object, error) {
		rounds++
		switch rounds {
		case 3: // The CDN catches up with serial 2, but by then serial 3 is published.
			e.put("/"+inRelease, "serial 2")
		case 5:
			e.put("/"+inRelease, "serial 3")
		}
		e.mu.Lock()
		e.cache = map[string]string{}
		e.mu.Unlock()
		if rounds < 3 {
			return []Object{object(inRelease, "serial 2")}, nil
		}
		return []Object{object(inRelease, "serial 3")}, nil
	}
	if n, err := look.Run(t.Context()); err != nil || n != 1 || rounds != 5 {
		t.Fatal(n, err, rounds)
	}
	if want := []time.Duration{1, 2, 4, 8}; !slices.EqualFunc(pauses, want, func(a, b time.Duration) bool { return a == b*time.Second }) {
		t.Errorf("the pauses were %v", pauses)
	}
}

func TestReadBackOfNothing(t *testing.T) {
	e := newEdge(t, map[string]string{})
	_, err := readBack(e.URL, object(inRelease, "serial 1")).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), inRelease+": 404 Not Found") {
		t.Errorf("a missing object gives %v", err)
	}
	e.Close()
	if _, err = readBack(e.URL, object(inRelease, "serial 1")).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("a server that is not there gives %v", err)
	}

	stop, cancel := context.WithCancel(t.Context())
	look := readBack(e.URL, object(inRelease, "serial 1"))
	look.Round = func(int, int) { cancel() }
	if _, err = look.Run(stop); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped, it returns %v", err)
	}
	broken := errors.New("HEAD cannot be read")
	look.Objects = func(context.Context) ([]Object, error) { return nil, broken }
	if _, err = look.Run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("without objects, it returns %v", err)
	}
}

// A server that takes the connection and never answers costs the time limit, not more.
func TestHangs(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)

	c := newCDN(t, server.URL, purgeForm())
	c.Timeout, c.Attempts = 20*time.Millisecond, 2
	err := c.Purge(t.Context(), []string{inRelease})
	mustNotTell(t, err, "hunter2")
	if !strings.Contains(err.Error(), "no answer within 20ms (the last of 2 attempts)") {
		t.Error(err)
	}

	look := readBack(server.URL, object(inRelease, "serial 1"))
	look.Timeout = 20 * time.Millisecond
	if _, err := look.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no answer within 20ms") {
		t.Error(err)
	}

	stop, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	c.Timeout = time.Hour
	if err := c.Purge(stop, []string{inRelease}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped, it returns %v", err)
	}
}

// Every refusal that may pass is tried again, a bounded number of times, and every other one is final.
func TestAttempts(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers []int // the last one is repeated
		body    string
		calls   int
		want    string
	}{
		{"ok", []int{200}, "", 1, ""},
		{"no content", []int{204}, "", 1, ""},
		{"busy, then ok", []int{429, 503, 200}, "", 3, ""},
		{"always busy", []int{503}, "overloaded", 3, "503 Service Unavailable: overloaded (the last of 3 attempts)"},
		{"quota", []int{429}, "", 3, "429 Too Many Requests"},
		{"forbidden", []int{403}, "no such token", 1, "403 Forbidden: no such token: are the credentials the right ones, and may they purge?"},
		{"Google's quota", []int{403, 200}, `{"error": {"errors": [{"reason": "rateLimitExceeded"}]}}`, 2, ""},
		{"bad request", []int{400}, "<b>what</b>\n\n  do you\tmean", 1, "400 Bad Request: <b>what</b> do you mean"},
		{"a method that the API lacks", []int{http.StatusNotImplemented}, "", 1, "501 " + http.StatusText(http.StatusNotImplemented)},
		{"not in the cache", []int{404}, "", 1, ""},
		{"redirect", []int{302}, "", 1, "redirects to https://elsewhere.example.org/?k=[secret], where it is not sent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t, func(n int, c call) (int, map[string]string, string) {
				status := test.answers[min(n, len(test.answers)-1)]
				if status == 302 {
					return status, map[string]string{"Location": "https://elsewhere.example.org/?k=hunter2"}, ""
				}
				return status, nil, test.body
			})
			form := purgeForm()
			form.Accept = []int{404}
			err := newCDN(t, a.URL, form).Purge(t.Context(), []string{inRelease})
			if n := len(a.all()); n != test.calls {
				t.Errorf("%d calls, want %d", n, test.calls)
			}
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			mustNotTell(t, err, "hunter2")
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			var purge *PurgeError
			if !errors.As(err, &purge) || !slices.Equal(purge.Names, []string{inRelease}) {
				t.Errorf("%#v does not name the object", err)
			}
		})
	}
}

// An answer may say how long to wait, within limits; otherwise pauses double.
func TestRetryAfter(t *testing.T) {
	for after, want := range map[string][2]time.Duration{
		"":                              {250 * time.Millisecond, 500 * time.Millisecond},
		"7":                             {7 * time.Second, 7 * time.Second},
		"86400":                         {time.Minute, time.Minute},
		"Fri, 31 Dec 1999 23:59:59 GMT": {250 * time.Millisecond, 500 * time.Millisecond},
	} {
		a := newAPI(t, func(n int, c call) (int, map[string]string, string) {
			return map[bool]int{true: 503, false: 200}[n < 2], map[string]string{"Retry-After": after}, ""
		})
		c := newCDN(t, a.URL, purgeForm())
		c.Pause = 500 * time.Millisecond
		var pauses []time.Duration
		c.rest = func(_ context.Context, while time.Duration) error { pauses = append(pauses, while); return nil }
		if err := c.Purge(t.Context(), []string{inRelease}); err != nil {
			t.Fatal(err)
		}
		if len(pauses) != 2 || pauses[0] < want[0] || pauses[0] > want[1] || pauses[1] < want[0] || pauses[1] > max(want[1], time.Second) {
			t.Errorf("after %q, the pauses were %v, want %v", after, pauses, want)
		}
	}
}

// The other objects are purged although one cannot be.
func TestPurgeGoesOn(t *testing.T) {
	e := newEdge(t, map[string]string{"/" + inRelease: "1", "/" + repomd: "1"})
	a := newAPI(t, func(n int, c call) (int, map[string]string, string) {
		if strings.Contains(c.body, "InRelease") {
			return 400, nil, "hunter2 may not"
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.forget(c.body)
		return 200, nil, ""
	})
	form := &HTTP{Method: "POST", URL: a.URL + "/purge", Body: "{path}", Header: map[string]string{"Authorization": "Bearer {secret}", "Content-Type": "text/plain"}, Secret: "hunter2"}
	look := readBack(e.URL, object(inRelease, "1"), object(repomd, "1"))
	if _, err := look.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.put("/"+repomd, "2")
	err := newCDN(t, e.URL, form).Purge(t.Context(), []string{inRelease, repomd})
	mustNotTell(t, err, "hunter2")
	var purge *PurgeError
	if !errors.As(err, &purge) || !slices.Equal(purge.Names, []string{inRelease}) || !strings.Contains(err.Error(), "[secret] may not") {
		t.Errorf("got %v", err)
	}
	if _, err := readBack(e.URL, object(repomd, "2")).Run(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestHTTPRequests(t *testing.T) {
	base, err := parseBase("https://pkgs.example.org:8443/mirror")
	if err != nil {
		t.Fatal(err)
	}
	var addresses []*url.URL
	for _, name := range []string{inRelease, repomd, "streams.json"} {
		addresses = append(addresses, address(base, name))
	}
	form := &HTTP{
		Method: "POST", URL: "https://api.example.net/zones/7/purge?host={host}", Body: `{"files": {urls}, "paths": {paths}}`, Batch: 2,
		Header: map[string]string{"Authorization": "Bearer {secret}"}, Secret: "s3cret",
	}
	if err := form.check(); err != nil {
		t.Fatal(err)
	}
	requests, err := form.requests(addresses)
	if err != nil || len(requests) != 2 {
		t.Fatal(len(requests), err)
	}
	var body struct{ Files, Paths []string }
	decode(t, requests[0].body, &body)
	want := []string{"https://pkgs.example.org:8443/mirror/" + inRelease, "https://pkgs.example.org:8443/mirror/" + repomd}
	if !slices.Equal(body.Files, want) || !slices.Equal(body.Paths, []string{"/mirror/" + inRelease, "/mirror/" + repomd}) {
		t.Errorf("got %+v", body)
	}
	r := requests[1]
	if r.url != "https://api.example.net/zones/7/purge?host=pkgs.example.org:8443" || r.header.Get("Authorization") != "Bearer s3cret" ||
		r.header.Get("Content-Type") != "application/json" || len(r.about) != 1 || !strings.Contains(r.body, "streams.json") {
		t.Errorf("got %+v", r)
	}
}

func TestHTTPCheck(t *testing.T) {
	if err := purgeForm().check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*HTTP){
		"method: \"purge it\"":                               func(h *HTTP) { h.Method = "purge it" },
		"batch: -1":                                          func(h *HTTP) { h.Batch = -1 },
		"accept: 500":                                        func(h *HTTP) { h.Accept = []int{500} },
		"url: {uri} means nothing here":                      func(h *HTTP) { h.URL = "https://example.org/{uri}" },
		"url: {secret} means nothing here":                   func(h *HTTP) { h.URL = "{url}?k={secret}" },
		"url: {url} means nothing here":                      func(h *HTTP) { h.Batch = 2 },
		"body: {object} means nothing here":                  func(h *HTTP) { h.Body = `{"x": {object}}` },
		"headers: \"X Y\"":                                   func(h *HTTP) { h.Header["X Y"] = "z" },
		"headers: \"X-Y\"":                                   func(h *HTTP) { h.Header["X-Y"] = "z\r\nInjected: yes" },
		"headers.X-Y: {secrets}":                             func(h *HTTP) { h.Header["X-Y"] = "{secrets}" },
		"headers.authorization: a secret does not belong":    func(h *HTTP) { h.Header["authorization"] = "Bearer abc" },
		"neither url nor body says which object":             func(h *HTTP) { h.URL = "https://example.org/purge" },
		"secret and {secret} go together":                    func(h *HTTP) { h.Secret = "" },
		"go together":                                        func(h *HTTP) { delete(h.Header, "X-Key") },
		"a secret does not go over the network in the clear": func(h *HTTP) { h.URL = "http://cache.example.org{path}" },
		"does not make an http or https address":             func(h *HTTP) { h.URL = "ftp://example.org{path}" },
		"without a password":                                 func(h *HTTP) { h.URL = "https://user:password@example.org{path}" },
	} {
		h := purgeForm()
		change(h)
		if err := h.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	// {url} takes the secret to the public address, which may be http.
	c, err := New(Config{URL: "http://pkgs.example.org", Form: purgeForm()})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Purge(t.Context(), []string{inRelease}); err == nil || !strings.Contains(err.Error(), "in the clear") {
		t.Errorf("a secret goes to http://pkgs.example.org: %v", err)
	}
}

func TestConfigCheck(t *testing.T) {
	for _, base := range []string{"", "pkgs.example.org", "ftp://pkgs.example.org", "https://user:password@pkgs.example.org", "https://pkgs.example.org/?a=b"} {
		if _, err := New(Config{URL: base, Form: purgeForm()}); err == nil {
			t.Errorf("%q is accepted as the public address", base)
		}
		if _, err := (ReadBack{URL: base}).Run(t.Context()); err == nil {
			t.Errorf("%q is accepted as the public address to read", base)
		}
	}
}

// FuzzFill fills in any template: what is not a placeholder stays, and the secret is only where {secret} was.
func FuzzFill(f *testing.F) {
	f.Add(`{"files": {urls}}`)
	f.Add("{url}{secret}{x}{{path}}")
	f.Fuzz(func(t *testing.T, template string) {
		h := &HTTP{Secret: "\x00secret\x00"}
		u, _ := url.Parse("https://pkgs.example.org/a:/b")
		filled := h.fill(template, []*url.URL{u})
		if strings.Count(filled, h.Secret) != strings.Count(template, "{secret}")+strings.Count(template, h.Secret) {
			t.Errorf("%q becomes %q", template, filled)
		}
		if !strings.Contains(template, "{") && filled != template {
			t.Errorf("%q becomes %q", template, filled)
		}
	})
}
