// Package cdn makes what stands between a bucket and its users show what was published.
//
// Objects that change keep their names: InRelease, repomd.xml, mirrorlist and the other pointers and pages. Their
// Cache-Control says that a cache has to ask before it hands out an old one, but caches are configured by people, and
// Fastly for one does not heed no-cache. So a publication ends with two steps that are done here, in this order:
//
//	Purge     asks the CDN to forget the objects that changed, all of them at once, so that the time in which it has
//	          some of the old and some of the new is short
//	ReadBack  asks for the objects by their public address, as a client does, until each has the bytes that were
//	          published, or the time for it is over
//
// How a CDN is asked is a [Form]: [Google] and [Fastly] know the requests of those two, and [HTTP] makes any request that
// can be written down with placeholders. A request is made again when the CDN is busy or does not answer, a bounded number
// of times, and each attempt has a time limit. Purging twice does no harm.
//
// A secret only ever goes into a header or a body, over https or to this machine, and is not sent on where an answer
// redirects to. An error shows the request's method and address and the beginning of the answer, with the secret blanked
// out if the answer repeats it.
//
// Reading back sees the location of the CDN that is nearest. Of the others, only Google tells when they have done what it
// was asked for, and Purge waits for that.
package cdn

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config is what a [CDN] works with.
type Config struct {
	// URL is the public address of the bucket's root, http or https.
	URL string
	// Form is how the CDN is asked to forget an object.
	Form Form
	// Timeout bounds each attempt at a request; 0 is 30 s.
	Timeout time.Duration
	// Attempts is how often a request is made at most, the first included; 0 is 5.
	Attempts int
	// Patience bounds how long a purge may take to reach all of the CDN, where it tells; 0 is 5 minutes.
	Patience time.Duration
	// Pause is how long to wait before the second attempt; it doubles up to a minute, and an answer may ask for longer,
	// up to a minute, too. 0 is 500 ms.
	Pause time.Duration
	// UserAgent is how the requests introduce themselves.
	UserAgent string
	Log       *slog.Logger
}

// CDN asks a content delivery network to forget objects. Its methods may be called concurrently.
type CDN struct {
	Config
	base *url.URL
	rest func(context.Context, time.Duration) error // pauses; tests do not
}

// New checks cfg and fills in its defaults.
func New(cfg Config) (*CDN, error) {
	base, err := parseBase(cfg.URL)
	if err != nil {
		return nil, err
	}
	if err := cfg.Form.check(); err != nil {
		return nil, err
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 30*time.Second)
	cfg.Attempts = cmp.Or(cfg.Attempts, 5)
	cfg.Patience = cmp.Or(cfg.Patience, 5*time.Minute)
	cfg.Pause = cmp.Or(cfg.Pause, 500*time.Millisecond)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &CDN{cfg, base, pause}, nil
}

// Form is how a CDN is asked to forget objects: [*HTTP], [*Google] or [*Fastly].
type Form interface {
	// String names the CDN for errors and reports.
	String() string
	// check tells what is missing or contradictory in the form's fields.
	check() error
	// client is what makes the form's requests.
	client(ctx context.Context) (*http.Client, error)
	// requests are what has to be asked so that the objects at these addresses are forgotten.
	requests(addresses []*url.URL) ([]*request, error)
}

// PurgeError says that a CDN may still have old objects.
type PurgeError struct {
	// Form is the CDN that was asked.
	Form string
	// Names are the objects that it was not seen to forget.
	Names []string
	Err   error
}

func (e *PurgeError) Error() string {
	more := ""
	if n := len(e.Names) - 1; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("%s was not purged of %s%s: %v", e.Form, e.Names[0], more, e.Err)
}

func (e *PurgeError) Unwrap() error { return e.Err }

// parallel is how many requests are made at once.
const parallel = 8

// Purge makes the CDN forget objects, given by their names in the bucket. What does not work for one object does not keep
// it from being tried for the others; the error is a [*PurgeError] then, with the first reason, unless ctx ended.
func (c *CDN) Purge(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	addresses := make([]*url.URL, len(names))
	for i, name := range names {
		addresses[i] = address(c.base, name)
	}
	requests, err := c.Form.requests(addresses)
	if err != nil {
		return err
	}
	client, err := c.Form.client(ctx)
	if err != nil {
		return &PurgeError{c.Form.String(), names, err}
	}
	failed := make([]error, len(requests))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, r := range requests {
		group.Go(func() error {
			failed[i] = c.make(ctx, client, r)
			return nil
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	left := &PurgeError{Form: c.Form.String()}
	for i, err := range failed {
		if err == nil {
			continue
		}
		if left.Err == nil {
			left.Err = err
		}
		for _, a := range requests[i].about {
			left.Names = append(left.Names, names[slices.Index(addresses, a)])
		}
	}
	if left.Err != nil {
		return left
	}
	c.Log.Info("purged", "cdn", c.Form.String(), "objects", len(names), "requests", len(requests))
	return nil
}

func parseBase(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not a plain http or https address", address)
	}
	if u.Path == "" {
		u.Path = "/" // or the path of what is joined to it has no slash in front
	}
	return u, nil
}

// address is the public address of an object.
func address(base *url.URL, name string) *url.URL {
	return base.JoinPath(strings.Split(name, "/")...)
}
