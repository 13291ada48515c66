package bucket

import (
	"fmt"
	"net/url"
	"strings"
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
func Open(address string) (Bucket, error) {
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
		return newCloud(a, newGCS(a.bucket, a.values["endpoint"])), nil
	case "s3":
		a, err := parseAddress(address, s3Form, s3Bucket, "region", "endpoint")
		if err != nil {
			return nil, err
		}
		return newCloud(a, &s3Store{bucket: a.bucket, region: a.values["region"], endpoint: a.values["endpoint"]}), nil
	}
	return nil, fmt.Errorf("%q is not a bucket's address: expected %s", address, knownForm)
}

// newCloud returns the bucket at an address in a store.
func newCloud(a *address, s store) *cloud {
	return &cloud{address: a.String(), prefix: a.prefix, store: s, pace: patient, listPage: 1000}
}
