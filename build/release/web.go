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

const (
	attempts = 4
	// A body of which nothing arrives for so long is given up.
	stall = time.Minute
	// A server may ask to wait, but not for longer than this.
	maxWait = time.Minute
)

// web is a web server with releases.
type web struct {
	base    string
	client  *http.Client
	backoff time.Duration
	retried func(url string, err error, wait time.Duration)
}

func openWeb(c Config) (*web, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not the URL of a folder: expected a form like https://dl.k8s.io/release", c.URL)
	}
	if u.User != nil {
		return nil, fmt.Errorf("the URL of %s holds a user name: releases are public, leave it out", u.Redacted())
	}
	w := &web{base: strings.TrimRight(c.URL, "/"), client: c.Client, backoff: c.Backoff}
	if w.client == nil {
		w.client = newClient()
	}
	if w.backoff == 0 {
		w.backoff = time.Second
	}
	w.retried = func(url string, err error, wait time.Duration) {
		c.Log.Warn("a request failed and will be made again", "url", url, "error", err, "wait", wait)
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

func (w *web) stat(ctx context.Context, name string) (found, error) {
	var is found
	err := w.do(ctx, http.MethodHead, name, func(_ io.Reader, f found) error {
		is = f
		return nil
	})
	var status *statusError
	if errors.As(err, &status) && (status.code == http.StatusMethodNotAllowed || status.code == http.StatusNotImplemented) {
		err = w.do(ctx, http.MethodGet, name, func(_ io.Reader, f found) error {
			is = f
			return nil
		})
	}
	return is, err
}

func (w *web) read(ctx context.Context, name string, copy func(io.Reader, found) error) error {
	return w.do(ctx, http.MethodGet, name, copy)
}

// statusError is an answer other than 200.
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

// temporary says whether to ask again.
func (e *statusError) temporary() bool {
	return e.code == http.StatusTooManyRequests || e.code == http.StatusRequestTimeout || e.code >= 500 && e.code != http.StatusNotImplemented
}

// do makes a request until it succeeds, fails for good or has failed too often.
func (w *web) do(ctx context.Context, method, name string, copy func(io.Reader, found) error) error {
	wait := w.backoff
	for attempt := 1; ; attempt++ {
		err := w.once(ctx, method, name, copy)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var forGood permanent
		if errors.As(err, &forGood) {
			return forGood.error
		}
		pause := wait
		var status *statusError
		if errors.As(err, &status) {
			if !status.temporary() {
				return err
			}
			pause = min(max(pause, status.wait), maxWait)
		}
		if attempt == attempts {
			return fmt.Errorf("%w (given up after %d attempts)", err, attempts)
		}
		w.retried(w.url(name), err, pause)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		wait *= 2
	}
}

func (w *web) once(ctx context.Context, method, name string, copy func(io.Reader, found) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := http.NewRequestWithContext(ctx, method, w.url(name), nil)
	if err != nil {
		return permanent{err}
	}
	// What is hashed must be the file, not what a server makes of it on the way.
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("User-Agent", "pkgs (+https://sigs.k8s.io/pkgs)")
	response, err := w.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		status := &statusError{url: w.url(name), code: response.StatusCode}
		if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16); err == nil {
			status.wait = time.Duration(seconds) * time.Second
		}
		return status
	}
	if e := response.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return permanent{fmt.Errorf("%s: the server encodes the file as %q: expected it as it is", w.url(name), e)}
	}
	is := found{size: response.ContentLength}
	if t, err := http.ParseTime(response.Header.Get("Last-Modified")); err == nil {
		is.modified = t
	}
	watchdog := time.AfterFunc(stall, func() { cancel(fmt.Errorf("nothing has arrived for %v", stall)) })
	defer watchdog.Stop()
	err = copy(fed{response.Body, watchdog}, is)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil && method == http.MethodGet {
		err = fmt.Errorf("%s: %w", w.url(name), err)
	}
	return err
}

// fed resets a watchdog whenever something arrives.
type fed struct {
	r        io.Reader
	watchdog *time.Timer
}

func (f fed) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	if n > 0 {
		f.watchdog.Reset(stall)
	}
	return n, err
}
