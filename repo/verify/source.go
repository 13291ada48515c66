package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket"
)

// FromBucket reads objects from the bucket itself.
func FromBucket(b bucket.Bucket) Source { return bucketSource{b} }

type bucketSource struct{ bucket.Bucket }

func (s bucketSource) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	r, _, err := s.Bucket.Open(ctx, name)
	if errors.Is(err, bucket.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return r, err
}

// FromURL reads objects over HTTP from below base, as clients do.
func FromURL(base string, client *http.Client) (Source, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not an http or https address", base)
	}
	return &urlSource{base: u, client: client}, nil
}

type urlSource struct {
	base   *url.URL
	client *http.Client
}

func (s *urlSource) String() string { return s.base.String() }

// tries is how often a request is made that meets an overloaded server or a broken connection.
const tries = 4

func (s *urlSource) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	address := s.base.JoinPath(strings.Split(name, "/")...).String()
	var last error
	for try := range tries {
		if try > 0 {
			select {
			case <-time.After(time.Duration(1<<try) * 250 * time.Millisecond):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		response, err := s.client.Do(request)
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			last = err
			continue
		}
		if response.StatusCode == http.StatusOK {
			return response.Body, nil
		}
		response.Body.Close()
		last = fmt.Errorf("get %s: %s", address, response.Status)
		switch {
		case response.StatusCode == http.StatusNotFound, response.StatusCode == http.StatusForbidden, response.StatusCode == http.StatusGone:
			// A private S3 bucket answers 403 for what does not exist.
			return nil, fmt.Errorf("%w: %w", ErrMissing, last)
		case response.StatusCode < 500 && response.StatusCode != http.StatusTooManyRequests:
			return nil, last
		}
	}
	return nil, last
}
