package bucket

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// address is a parsed gs:// or s3:// address.
type address struct {
	scheme string
	bucket string
	prefix string            // empty or ends with a slash
	values map[string]string // the parameters behind the question mark
}

// String is the address without its parameters: what stands before an object's name.
func (a *address) String() string {
	return strings.TrimSuffix(a.scheme+"://"+a.bucket+"/"+a.prefix, "/")
}

// Patterns, which are compiled when an address is read: those that count take long, and most commands read none.
const (
	gcsBucket = `^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`
	s3Bucket  = `^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`
	region    = `^[a-z0-9][a-z0-9-]{0,62}$`
)

// parseAddress reads an address such as s3://bucket/prefix?region=eu-central-1. Of the parameters each may be given
// once, and only those named.
func parseAddress(text, form string, bucket string, parameters ...string) (*address, error) {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%q is not a bucket's address: %s: expected %s", text, fmt.Sprintf(format, args...), form)
	}
	u, err := url.Parse(text)
	if err != nil {
		if e, ok := err.(*url.Error); ok {
			err = e.Err
		}
		return nil, wrong("%v", err)
	}
	switch {
	case u.User != nil:
		return nil, fmt.Errorf("a bucket's address holds a user or a password: expected %s, with credentials where the store's tools look for them", form)
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, wrong("it has a #, which is %%23 in a prefix")
	case !regexp.MustCompile(bucket).MatchString(u.Host):
		return nil, wrong("%q cannot be the name of a bucket", u.Host)
	}
	a := &address{scheme: u.Scheme, bucket: u.Host, values: map[string]string{}}
	if prefix := strings.TrimSuffix(strings.TrimPrefix(u.Path, "/"), "/"); prefix != "" {
		if err := checkName(prefix); err != nil {
			return nil, wrong("its prefix: %v", err)
		}
		a.prefix = prefix + "/"
	} else if u.Path != "" && u.Path != "/" {
		return nil, wrong("its prefix is %q", u.Path)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, wrong("behind the question mark: %v", err)
	}
	for key, values := range query {
		switch {
		case !slices.Contains(parameters, key):
			return nil, wrong("it has no parameter %q", key)
		case len(values) > 1 || values[0] == "":
			return nil, wrong("parameter %q has one value", key)
		}
		a.values[key] = values[0]
	}
	if err := checkEndpoint(a.values["endpoint"]); err != nil {
		return nil, wrong("%v", err)
	}
	if r, ok := a.values["region"]; ok && !regexp.MustCompile(region).MatchString(r) {
		return nil, wrong("%q cannot be the name of a region", r)
	}
	return a, nil
}

// checkEndpoint refuses what is not the address of a server.
func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Scheme+"://"+u.Host != endpoint {
		return fmt.Errorf("parameter \"endpoint\" is a server, such as https://storage.example.org:9000, and not %q", endpoint)
	}
	return nil
}
