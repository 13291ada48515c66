package release

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// attempts is how often something is tried that may succeed the next time.
	attempts = 4
	// A server may ask to wait, but not for longer than this.
	maxWait = time.Minute
)

// permanent marks an error that stays when a request is made again.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// temporary is an error that knows whether it is worth to try again, and how long to wait at least.
type temporary interface {
	error
	temporary() (bool, time.Duration)
}

// patience repeats what failed and may succeed the next time: everything but permanent errors.
type patience struct {
	// backoff is how long to wait first; the time is doubled for each attempt.
	backoff time.Duration
	// retried is told of what failed.
	retried func(url string, err error, wait time.Duration)
}

func newPatience(c Config) patience {
	p := patience{c.Backoff, func(url string, err error, wait time.Duration) {
		c.Log.Warn("a request failed and will be made again", "url", url, "error", err, "wait", wait)
	}}
	if p.backoff == 0 {
		p.backoff = time.Second
	}
	return p
}

// try does work until it succeeds, fails for good or has failed too often.
func (p patience) try(ctx context.Context, url string, work func() error) error {
	wait := p.backoff
	for attempt := 1; ; attempt++ {
		err := work()
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
		var t temporary
		if errors.As(err, &t) {
			again, least := t.temporary()
			if !again {
				return err
			}
			pause = min(max(pause, least), maxWait)
		}
		if attempt == attempts {
			return fmt.Errorf("%w (given up after %d attempts)", err, attempts)
		}
		p.retried(url, err, pause)
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
