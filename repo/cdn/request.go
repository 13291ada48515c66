package cdn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// request is one thing that a CDN is asked.
type request struct {
	method, url string
	header      http.Header
	body        string
	// secret is what no error may show; empty when there is none.
	secret string
	// accept are status codes beside 2xx that mean success.
	accept []int
	// about are the addresses of the objects that it is for.
	about []*url.URL
	// next looks at the body of a successful answer and says what to ask next, or nothing when all is done.
	next func(body []byte) (*request, error)
}

// refusal is an answer that says no.
type refusal struct {
	status int
	text   string
	// again tells whether the same request may be answered otherwise later, and after how long if the answer says.
	again bool
	after time.Duration
}

func (e *refusal) Error() string {
	said := fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))
	if e.text != "" {
		said += ": " + e.text
	}
	switch e.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if !e.again {
			said += ": are the credentials the right ones, and may they purge?"
		}
	}
	return said
}

// make makes a request, and those that follow from its answers, until the CDN has done what it was asked.
func (c *CDN) make(ctx context.Context, client *http.Client, r *request) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Patience, fmt.Errorf("it was not done within %s", c.Patience))
	defer cancel()
	next := c.Pause
	for {
		body, err := c.persist(ctx, client, r)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return fmt.Errorf("%s %s: %w", r.method, r.url, err)
		}
		if r.next == nil {
			return nil
		}
		following, err := r.next(body)
		if err != nil {
			return fmt.Errorf("%s %s: %w", r.method, r.url, err)
		}
		if following == nil {
			return nil
		}
		if c.rest(ctx, shorten(next)) != nil {
			return fmt.Errorf("%s %s: %w", r.method, r.url, context.Cause(ctx))
		}
		next = min(2*next, longest)
		r = following
	}
}

// longest is the longest pause between two attempts.
const longest = time.Minute

// persist makes one request until it is answered for good or the attempts are used up.
func (c *CDN) persist(ctx context.Context, client *http.Client, r *request) ([]byte, error) {
	next := c.Pause
	for attempt := 1; ; attempt++ {
		body, err := c.once(ctx, client, r)
		var refused *refusal
		switch {
		case err == nil:
			return body, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.As(err, &refused) && !refused.again, errors.As(err, new(*credentialsError)):
			return nil, err
		case attempt >= c.Attempts:
			return nil, fmt.Errorf("%w (the last of %d attempts)", err, attempt)
		}
		c.Log.Info("ask the CDN again", "url", r.url, "error", err)
		rest := shorten(next)
		if refused != nil {
			rest = min(max(rest, refused.after), longest)
		}
		if c.rest(ctx, rest) != nil {
			return nil, context.Cause(ctx)
		}
		next = min(2*next, longest)
	}
}

// maxAnswer bounds what is read of an answer, and maxShown what an error shows of it, both in bytes.
const (
	maxAnswer = 1 << 20
	maxShown  = 300
)

// once makes one attempt at a request.
func (c *CDN) once(ctx context.Context, client *http.Client, r *request) ([]byte, error) {
	within, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("no answer within %s", c.Timeout))
	defer cancel()
	made, err := http.NewRequestWithContext(within, r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		return nil, &credentialsError{err}
	}
	made.Header = r.header.Clone()
	if c.UserAgent != "" && made.Header.Get("User-Agent") == "" {
		made.Header.Set("User-Agent", c.UserAgent)
	}
	answer, err := client.Do(made)
	if err == nil {
		defer answer.Body.Close()
		var body []byte
		if body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer)); err == nil {
			return body, judge(answer, body, r)
		}
	}
	if ctx.Err() == nil && within.Err() != nil {
		return nil, context.Cause(within)
	}
	// The method and the address are said once, by the caller.
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	return nil, err
}

// judge tells what an answer's status means.
func judge(answer *http.Response, body []byte, r *request) error {
	code := answer.StatusCode
	if code/100 == 2 || slices.Contains(r.accept, code) {
		return nil
	}
	text := r.show(string(body))
	if code/100 == 3 {
		text = "redirects to " + r.show(answer.Header.Get("Location")) + ", where it is not sent: configure the address that answers itself"
	}
	seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
	return &refusal{
		status: code, text: text, after: time.Duration(max(0, min(seconds, 3600))) * time.Second,
		again: code == http.StatusTooManyRequests || code == http.StatusRequestTimeout ||
			code >= 500 && code != http.StatusNotImplemented ||
			// Google says so of a quota that is used up for the moment.
			code == http.StatusForbidden && bytes.Contains(body, []byte("rateLimitExceeded")),
	}
}

// credentialsError is a failure before the request was sent that no other attempt mends.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// pause returns after a while, or with an error when ctx ends.
func pause(ctx context.Context, while time.Duration) error {
	timer := time.NewTimer(while)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// shorten takes up to a half off a pause, by chance, so that many who were refused together do not come back together.
func shorten(while time.Duration) time.Duration { return while/2 + rand.N(while/2+1) }

// show is the beginning of what an answer says, in one line and without the secret, which it may repeat.
func (r *request) show(said string) string {
	if r.secret != "" {
		said = strings.NewReplacer(r.secret, "[secret]", url.QueryEscape(r.secret), "[secret]").Replace(said)
	}
	said = strings.Join(strings.Fields(strings.ToValidUTF8(said, "?")), " ")
	return strings.ToValidUTF8(said[:min(len(said), maxShown)], "")
}

// strictClient sends nothing on to where an answer redirects: a header with a secret would go along.
func strictClient() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// confidential tells whether a secret may go to an address: over https, or to this machine.
func confidential(u *url.URL) bool {
	host := u.Hostname()
	return u.Scheme == "https" || host == "localhost" || net.ParseIP(host).IsLoopback()
}
