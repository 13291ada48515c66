package bucket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// pace is how patient a cloud bucket is.
type pace struct {
	attempts int           // at one request, the first included
	pause    time.Duration // before the second attempt; it doubles, and each is shortened by chance by up to a half
	longest  time.Duration // a pause is no longer than this
	patience time.Duration // for an attempt, or for more bytes of a reading, before it counts as lost
}

// patient gives a store about 20 seconds to recover.
var patient = pace{attempts: 8, pause: 200 * time.Millisecond, longest: 10 * time.Second, patience: time.Minute}

// verdict is what the failure of an attempt means for the next one.
type verdict int

const (
	final   verdict = iota // it would fail again
	refused                // nothing was done; it may work later
	perhaps                // it may have been done, although it seems to have failed; it may work later
)

// failure is why an attempt failed that is worth another.
type failure struct {
	verdict verdict
	err     error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// contentError is a failure to read what was to be written, which no other attempt mends.
type contentError struct{ err error }

func (e *contentError) Error() string { return e.err.Error() }
func (e *contentError) Unwrap() error { return e.err }

func verdictOf(err error) verdict {
	var f *failure
	var c *contentError
	if errors.As(err, &c) || !errors.As(err, &f) {
		return final
	}
	return f.verdict
}

// try makes attempts until one succeeds or another would not help. Each has the time limit.
func (p pace) try(ctx context.Context, limit time.Duration, attempt func(context.Context) error) error {
	pause := p.pause
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		within, cancel := context.WithTimeout(ctx, limit)
		err := attempt(within)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return stopped(ctx, err)
		case verdictOf(err) == final:
			return err
		case n == p.attempts:
			return fmt.Errorf("%w (the last of %d attempts)", err, n)
		}
		if p.wait(ctx, pause) != nil {
			return stopped(ctx, err)
		}
		pause = min(2*pause, p.longest)
	}
}

// stopped is the error of an attempt that the context ended, as that of the context whatever a library made of it.
func stopped(ctx context.Context, err error) error {
	var c *contentError
	if errors.Is(err, ctx.Err()) || errors.As(err, &c) {
		return err
	}
	return fmt.Errorf("%w (%v)", ctx.Err(), err)
}

func (p pace) wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause/2 + rand.N(pause/2+1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// judgeStatus tells what an HTTP status means that is neither success nor one that the caller knows better.
func judgeStatus(code int) verdict {
	switch {
	case code == http.StatusConflict, code == http.StatusTooManyRequests:
		return refused
	case code == http.StatusRequestTimeout, code >= 500 && code != http.StatusNotImplemented && code != http.StatusHTTPVersionNotSupported:
		return perhaps
	}
	return final
}

// late tells whether an attempt ended because its time was over: whatever it was about to do then is not at fault.
func late(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// judgeTransport tells what an error means that came without an answer of the store.
func judgeTransport(err error) verdict {
	var (
		dns         *net.DNSError
		authority   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		invalid     x509.CertificateInvalidError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound,
		errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid),
		errors.As(err, &certificate), errors.As(err, &record):
		return final
	}
	return perhaps
}

// open starts a reading; the body lasts as long as ctx does, or until it is closed.
func (p pace) open(ctx context.Context, s store, key string, offset int64, generation Generation) (body io.ReadCloser, o stored, err error) {
	err = p.try(ctx, 2*p.patience, func(context.Context) error {
		reading, cancel := context.WithCancel(ctx)
		timer := time.AfterFunc(p.patience, cancel)
		var r io.ReadCloser
		r, o, err = s.open(reading, key, offset, generation)
		if err == nil && !timer.Stop() {
			r.Close()
			err = &failure{perhaps, errors.New("the store took too long to answer")}
		}
		if err != nil {
			timer.Stop()
			cancel()
			return err
		}
		body = &patientBody{r, cancel, p.patience}
		return nil
	})
	return body, o, err
}

// patientBody is the body of an answer whose bytes may be long in coming, but not too long.
type patientBody struct {
	body     io.ReadCloser
	cancel   context.CancelFunc
	patience time.Duration
}

func (b *patientBody) Read(p []byte) (int, error) {
	timer := time.AfterFunc(b.patience, b.cancel)
	defer timer.Stop()
	return b.body.Read(p)
}

func (b *patientBody) Close() error {
	defer b.cancel()
	return b.body.Close()
}
