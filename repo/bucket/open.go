package bucket

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"
)

const (
	gcsForm   = "gs://bucket/prefix"
	s3Form    = "s3://bucket/prefix?region=…&endpoint=…"
	knownForm = "a path, file:///path, " + gcsForm + " or " + s3Form
)

// Open returns the bucket with an address. Nothing is read or written yet, and credentials are looked for when they are
// needed first. The addresses are
//
//	path or file:///path                      a directory
//	gs://bucket/prefix                        Google Cloud Storage
//	s3://bucket/prefix?region=…&endpoint=…    S3, or a store that speaks its language at an endpoint
//
// A prefix may be left out; it ends where a folder would. The characters %, ? and # of a prefix are written %25, %3F
// and %23. The credentials are those that Google's and Amazon's own tools use, and so are the environment variables and
// files that name them. A region that is not given comes from there too. gs:// takes an endpoint as well, for tests:
// one with http:// gets no credentials.
//
// A store must keep conditions of writes: Google Cloud Storage and S3 do, and so must what is at an endpoint.
func Open(address string) (Bucket, error) { return Options{}.Open(address) }

// Options are how patient a bucket in a cloud store is. A field that is zero has its default.
type Options struct {
	// Attempts is how often a request is made that fails in a way which may pass, the first time included: 8.
	Attempts int
	// Pause is the time before the second attempt, 200 ms. It doubles each time, up to 10 s, and chance takes up to half
	// of each away.
	Pause time.Duration
	// Patience is how long a store may take to answer, or to send more of an object, before the attempt counts as lost:
	// a minute. A write gets as much again for every 4 MiB.
	Patience time.Duration
}

// Open is [Open] with options.
func (o Options) Open(address string) (Bucket, error) {
	scheme, _, ok := strings.Cut(address, "://")
	if !ok {
		if address == "" {
			return nil, fmt.Errorf("a bucket's address is empty: expected %s", knownForm)
		}
		return NewDir(address), nil
	}
	switch scheme {
	case "file":
		u, err := url.Parse(address)
		if err != nil || u.Host != "" && u.Host != "localhost" || u.Path == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return nil, fmt.Errorf("%q is not the address of a directory: expected file:///path", address)
		}
		return NewDir(u.Path), nil
	case "gs":
		a, err := parseAddress(address, gcsForm, gcsBucket, "endpoint")
		if err != nil {
			return nil, err
		}
		return o.newCloud(a, newGCS(a.bucket, a.values["endpoint"])), nil
	case "s3":
		a, err := parseAddress(address, s3Form, s3Bucket, "region", "endpoint")
		if err != nil {
			return nil, err
		}
		return o.newCloud(a, &s3Store{bucket: a.bucket, region: a.values["region"], endpoint: a.values["endpoint"]}), nil
	}
	return nil, fmt.Errorf("%q is not a bucket's address: expected %s", address, knownForm)
}

// newCloud returns the bucket at an address in a store.
func (o Options) newCloud(a *address, s store) *cloud {
	p := pace{cmp.Or(o.Attempts, patient.attempts), cmp.Or(o.Pause, patient.pause), patient.longest, cmp.Or(o.Patience, patient.patience)}
	return &cloud{address: a.String(), prefix: a.prefix, store: s, pace: p, listPage: 1000}
}

// Writers is how many objects should be written to a bucket at once: as many as make it faster without taking more than some
// 20 MB of memory, which is different from store to store.
func Writers(b Bucket) int {
	c, ok := b.(*cloud)
	if !ok {
		return 64
	}
	if _, ok := c.store.(*s3Store); ok {
		return 80
	}
	return 128
}
