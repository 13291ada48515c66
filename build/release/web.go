package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A body of which nothing arrives for so long is given up.
const stall = time.Minute

// web is a web server with releases.
type web struct {
	base     string
	agent    string
	client   *http.Client
	patience patience
}

func openWeb(c Config) (*web, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not the URL of a folder: expected a form like https://dl.k8s.io/release", c.URL)
	}
	if u.User != nil {
		return nil, fmt.Errorf("the URL of %s holds a user name: releases are public, leave it out", u.Redacted())
	}
	w := &web{base: strings.TrimRight(c.URL, "/"), agent: c.UserAgent, client: c.Client, patience: newPatience(c)}
	if w.agent == "" {
		w.agent = "pkgs (+https://sigs.k8s.io/pkgs)"
	}
	if w.client == nil {
		w.client = newClient()
	}
	return w, nil
}

func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: 15 * time.Second}).DialContext
	transport.TLSHandshakeTimeout = 15 * time.Second
	transport.ResponseHeaderTimeout = 30 * time.Second
	return &http.Client{
		Transport: transport,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) >= 10 {
				return errors.New("more than ten redirections")
			}
			if r.URL.Scheme != "https" && via[0].URL.Scheme == "https" {
				return fmt.Errorf("a redirection from https to %s", r.URL.Scheme)
			}
			return nil
		},
	}
}

func (w *web) url(name string) string {
	segments := strings.Split(name, "/")
	for i, s := range segments {
		// A plus is a plus in a path, but not to every server.
		segments[i] = strings.ReplaceAll(url.PathEscape(s), "+", "%2B")
	}
	return w.base + "/" + strings.Join(segments, "/")
}

func (w *web) folders(ctx context.Context, parent string) ([]string, error) {
	return nil, ErrNoListing
}

func (w *web) stat(ctx context.Context, name string) (found, error) {
	is, err := w.ask(ctx, http.MethodHead, name)
	var status *statusError
	if errors.As(err, &status) && (status.code == http.StatusMethodNotAllowed || status.code == http.StatusNotImplemented) {
		return w.ask(ctx, http.MethodGet, name)
	}
	return is, err
}

// ask learns of a file what an answer says without its body.
func (w *web) ask(ctx context.Context, method, name string) (is found, err error) {
	err = w.patience.try(ctx, w.url(name), func() error {
		a, err := w.request(ctx, method, name, nil)
		if err != nil {
			return err
		}
		is = a.found
		return a.Close()
	})
	return is, err
}

func (w *web) read(ctx context.Context, name string, copy func(io.Reader, found) error) error {
	return w.patience.try(ctx, w.url(name), func() error {
		a, err := w.request(ctx, http.MethodGet, name, nil)
		if err != nil {
			return err
		}
		d := &download{web: w, ctx: ctx, name: name, answer: a}
		defer func() { d.answer.Close() }()
		if err := copy(d, a.found); err != nil {
			return fmt.Errorf("%s: %w", w.url(name), err)
		}
		return nil
	})
}

// statusError is an answer other than what was asked for.
type statusError struct {
	url  string
	code int
	// wait is how long the server asks to wait.
	wait time.Duration
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: the server answers %d %s", e.url, e.code, http.StatusText(e.code))
}

// Is says that an answer for which there is no file means that there is no file. 403 is what S3 answers for a missing
// object to those who may not list the bucket.
func (e *statusError) Is(target error) bool {
	return target == fs.ErrNotExist && (e.code == http.StatusNotFound || e.code == http.StatusGone || e.code == http.StatusForbidden)
}

func (e *statusError) temporary() (bool, time.Duration) {
	again := e.code == http.StatusTooManyRequests || e.code == http.StatusRequestTimeout || e.code >= 500 && e.code != http.StatusNotImplemented
	return again, e.wait
}

// answer is what a server sends.
type answer struct {
	found
	// start is where in the file the body begins.
	start int64
	// validator is what the server would notice a change of the file by: an ETag or a date. It may be empty.
	validator string

	body     io.Reader
	close    func() error
	watchdog *time.Timer
	// cause is why the request was cancelled.
	cause func() error
}

// Read resets the watchdog whenever something arrives.
func (a *answer) Read(b []byte) (int, error) {
	n, err := a.body.Read(b)
	if n > 0 {
		a.watchdog.Reset(stall)
	}
	if cause := a.cause(); err != nil && err != io.EOF && cause != nil {
		err = cause
	}
	return n, err
}

func (a *answer) Close() error { return a.close() }

// request makes one request. With a place to resume at, it asks for the rest of a file, if that is still the one it was.
func (w *web) request(ctx context.Context, method, name string, resume *answer) (*answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	request, err := http.NewRequestWithContext(ctx, method, w.url(name), nil)
	if err != nil {
		cancel(nil)
		return nil, permanent{err}
	}
	// What is hashed must be the file, not what a server makes of it on the way.
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("User-Agent", w.agent)
	want := http.StatusOK
	if resume != nil {
		want = http.StatusPartialContent
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", resume.start))
		request.Header.Set("If-Range", resume.validator)
	}
	response, err := w.client.Do(request)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	a := &answer{found: found{size: response.ContentLength}, body: response.Body, cause: func() error { return context.Cause(ctx) }}
	a.watchdog = time.AfterFunc(stall, func() { cancel(fmt.Errorf("nothing has arrived for %v", stall)) })
	a.close = func() error {
		a.watchdog.Stop()
		cancel(nil)
		return response.Body.Close()
	}
	if response.StatusCode != want {
		a.Close()
		status := &statusError{url: w.url(name), code: response.StatusCode}
		status.wait = retryAfter(response.Header)
		return nil, status
	}
	if e := response.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		a.Close()
		return nil, permanent{fmt.Errorf("%s: the server encodes the file as %q: expected it as it is", w.url(name), e)}
	}
	if t, err := http.ParseTime(response.Header.Get("Last-Modified")); err == nil {
		a.modified, a.validator = t, response.Header.Get("Last-Modified")
	}
	if tag := response.Header.Get("ETag"); strings.HasPrefix(tag, `"`) {
		a.validator = tag // one that begins with W/ does not promise the same bytes
	}
	if resume == nil {
		return a, nil
	}
	if r := response.Header.Get("Content-Range"); r != fmt.Sprintf("bytes %d-%d/%d", resume.start, resume.size-1, resume.size) {
		a.Close()
		return nil, permanent{fmt.Errorf("%s: asked for the rest from %d of %d, the server sends %q", w.url(name), resume.start, resume.size, r)}
	}
	a.found, a.start, a.validator = resume.found, resume.start, resume.validator
	return a, nil
}

// retryAfter is how long a server asks to wait: so many seconds, or until a date, by its own clock (RFC 9110, 10.2.3).
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 16); err == nil {
		return time.Duration(seconds) * time.Second
	}
	until, err := http.ParseTime(text)
	now, errNow := http.ParseTime(h.Get("Date"))
	if err != nil || errNow != nil {
		return 0
	}
	return until.Sub(now)
}

// download is the body of a file, which goes on where it was when the connection breaks.
type download struct {
	web  *web
	ctx  context.Context
	name string
	*answer
	// at is how far it has been read, from where the last connection has, and failures how many came to little.
	at, from int64
	failures int
	broken   error
}

// progress is what a connection must bring so that its end is not one failure more.
const progress = 1 << 20

func (d *download) Read(b []byte) (int, error) {
	for {
		if d.broken != nil {
			if err := d.resume(); err != nil {
				return 0, err
			}
		}
		n, err := d.answer.Read(b)
		d.at += int64(n)
		if err == nil || err == io.EOF {
			return n, err
		}
		d.broken = err
		if n > 0 {
			return n, nil
		}
	}
}

// resume continues a download that broke off. If it cannot be continued, that is an error for which it is begun anew.
func (d *download) resume() error {
	err := d.broken
	if d.at-d.from >= progress {
		d.failures = 0
	}
	d.failures++
	if d.ctx.Err() != nil || d.at == 0 || d.size <= d.at || d.validator == "" || d.failures >= attempts {
		return err
	}
	d.web.patience.retried(d.web.url(d.name), err, d.web.patience.backoff)
	rest := &answer{found: d.found, start: d.at, validator: d.validator}
	var next *answer
	failed := d.web.patience.try(d.ctx, d.web.url(d.name), func() (err error) {
		next, err = d.web.request(d.ctx, http.MethodGet, d.name, rest)
		return err
	})
	if failed != nil {
		return fmt.Errorf("%w, and the rest cannot be had: %v", err, failed)
	}
	d.answer.Close()
	d.answer, d.broken, d.from = next, nil, d.at
	return nil
}
