package bucket

import (
	"fmt"
	"net/url"
	"strings"
)

// Open returns the bucket with an address: a path or file:///path for a directory. Nothing is read or written yet.
func Open(address string) (Bucket, error) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		if address == "" {
			return nil, fmt.Errorf("a bucket's address is empty: expected a path or file:///path")
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
	case "gs", "s3":
		return nil, fmt.Errorf("%s://%s: this version of pkgs does not store in %s:// buckets: give a directory, as a path or file:///path", scheme, rest, scheme)
	}
	return nil, fmt.Errorf("%q is not a bucket's address: expected a path or file:///path", address)
}
