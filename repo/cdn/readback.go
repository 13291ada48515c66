package cdn

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Object is what an object should be.
type Object struct {
	// Name is its name in the bucket.
	Name string
	// Size is in bytes, and SHA256 in lower-case hex.
	Size   int64
	SHA256 string
}

// ReadBack asks for published objects by their public addresses until each has the bytes that it should have.
type ReadBack struct {
	// URL is the public address of the bucket's root, http or https.
	URL string
	// Objects tells what is to be seen. It is called before every round, because somebody may publish on top of what was
	// to be seen first; its error ends the waiting.
	Objects func(ctx context.Context) ([]Object, error)
	// Wait bounds all rounds together; 0 is 2 minutes.
	Wait time.Duration
	// Timeout bounds each request; 0 is 30 s.
	Timeout time.Duration
	// Pause is how long to wait before the second round; it doubles up to 15 s. 0 is 1 s.
	Pause time.Duration
	// Round is called after each round with how many objects were right, if it is not nil.
	Round     func(right, all int)
	UserAgent string
	Log       *slog.Logger

	rest func(context.Context, time.Duration) error // pauses; nil is pause
}

// Stale is an object that has other bytes at its public address than in the bucket.
type Stale struct {
	URL string `json:"url"`
	// Name is the object's name in the bucket.
	Name string `json:"name"`
	// Want is the SHA-256 that it should have, and Have the one of what is served; empty when nothing was.
	Want string `json:"want"`
	Have string `json:"have,omitempty"`
	// Problem says what came instead of bytes, such as "404 Not Found"; empty when bytes came.
	Problem string `json:"problem,omitempty"`
	// Age is for how many seconds a cache said that it has had the bytes, and Modified when they were written; zero when
	// the answer does not say.
	Age      int64     `json:"age,omitempty"`
	Modified time.Time `json:"modified,omitzero"`
}

func (s Stale) String() string {
	if s.Problem != "" {
		return s.URL + ": " + s.Problem
	}
	said := fmt.Sprintf("%s serves other bytes (SHA-256 %.12s…, not %.12s…)", s.URL, s.Have, s.Want)
	if !s.Modified.IsZero() {
		said += ", written on " + s.Modified.UTC().Format(time.RFC3339)
	}
	if s.Age > 0 {
		said += fmt.Sprintf(", which a cache has had for %s", time.Duration(s.Age)*time.Second)
	}
	return said
}

// StaleError says that clients are still given something other than what was published.
type StaleError struct {
	// Waited is how long was waited.
	Waited time.Duration
	Stale  []Stale // at least one
}

func (e *StaleError) Error() string {
	more := ""
	if n := len(e.Stale) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return fmt.Sprintf("after %s, %s%s", e.Waited, e.Stale[0], more)
}

// Look asks for each of some objects once, and returns those that are not right, in their order. Objects is not called.
func (r ReadBack) Look(ctx context.Context, objects []Object) ([]Stale, error) {
	base, err := parseBase(r.URL)
	if err != nil {
		return nil, err
	}
	r.Timeout = cmp.Or(r.Timeout, defaultTimeout)
	client := newClient()
	defer client.CloseIdleConnections()
	stale := r.round(ctx, client, base, objects)
	return stale, ctx.Err()
}

const defaultTimeout = 30 * time.Second

// newClient makes a client that asks for files as they are, as clients of packages do: a compressed answer would hide what a
// cache does to them.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	return &http.Client{Transport: transport}
}

// Run waits. It returns how many objects were seen to be right, which are all of them, or a [*StaleError] if the time is
// over, the context's error if that ended first.
func (r ReadBack) Run(ctx context.Context) (int, error) {
	base, err := parseBase(r.URL)
	if err != nil {
		return 0, err
	}
	r.Wait, r.Timeout, r.Pause = cmp.Or(r.Wait, 2*time.Minute), cmp.Or(r.Timeout, defaultTimeout), cmp.Or(r.Pause, time.Second)
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	if r.rest == nil {
		r.rest = pause
	}
	client := newClient()
	defer client.CloseIdleConnections()

	within, cancel := context.WithTimeout(ctx, r.Wait)
	defer cancel()
	var last []Stale
	for next := r.Pause; ; next = min(2*next, 15*time.Second) {
		objects, err := r.Objects(ctx)
		if err != nil {
			return 0, err
		}
		stale := r.round(within, client, base, objects)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if len(stale) == 0 {
			return len(objects), nil
		}
		// A round that the time limit cut short says less than the one before.
		if last == nil || within.Err() == nil {
			last = stale
		}
		if r.Round != nil {
			r.Round(len(objects)-len(stale), len(objects))
		}
		r.Log.Info("not yet what was published", "objects", len(stale), "first", stale[0].String())
		if r.rest(within, next) != nil {
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			return 0, &StaleError{r.Wait, last}
		}
	}
}

// round asks for every object once and returns those that are not right, in the order of objects.
func (r ReadBack) round(ctx context.Context, client *http.Client, base *url.URL, objects []Object) []Stale {
	found := make([]*Stale, len(objects))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, o := range objects {
		group.Go(func() error {
			found[i] = r.look(ctx, client, address(base, o.Name), o)
			return nil
		})
	}
	group.Wait()
	var stale []Stale
	for _, s := range found {
		if s != nil {
			stale = append(stale, *s)
		}
	}
	return stale
}

// look asks for one object and returns nil if it is right.
func (r ReadBack) look(ctx context.Context, client *http.Client, from *url.URL, want Object) *Stale {
	stale := &Stale{URL: from.String(), Name: want.Name, Want: want.SHA256}
	ctx, cancel := context.WithTimeoutCause(ctx, r.Timeout, fmt.Errorf("no answer within %s", r.Timeout))
	defer cancel()
	fail := func(err error) *Stale {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		stale.Problem = err.Error()
		return stale
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, stale.URL, nil)
	if err != nil {
		return fail(err)
	}
	if r.UserAgent != "" {
		request.Header.Set("User-Agent", r.UserAgent)
	}
	answer, err := client.Do(request)
	if err != nil {
		return fail(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		stale.Problem = answer.Status
		return stale
	}
	hash := sha256.New()
	// Old bytes may be longer than new ones, and their digest tells which they are. What is longer still is only other bytes.
	if _, err := io.Copy(hash, io.LimitReader(answer.Body, max(2*want.Size, 16<<20))); err != nil {
		return fail(err)
	}
	if stale.Have = hex.EncodeToString(hash.Sum(nil)); stale.Have == want.SHA256 {
		return nil
	}
	if seconds, err := strconv.ParseInt(strings.TrimSpace(answer.Header.Get("Age")), 10, 32); err == nil && seconds > 0 {
		stale.Age = seconds
	}
	stale.Modified, _ = http.ParseTime(answer.Header.Get("Last-Modified"))
	return stale
}
