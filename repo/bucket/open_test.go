package bucket

import (
	"strings"
	"testing"
)

func TestOpen(t *testing.T) {
	for address, want := range map[string]string{
		"out/bucket":                         "out/bucket",
		"/srv/pkgs":                          "/srv/pkgs",
		"file:///srv/pkgs":                   "/srv/pkgs",
		"file://localhost/srv/core%3A/a%20b": "/srv/core:/a b",
	} {
		b, err := Open(address)
		if err != nil || b.String() != want {
			t.Errorf("%s: %v, %v", address, b, err)
		}
	}
	for address, want := range map[string]string{
		"":                    "is empty",
		"gs://pkgs":           "does not store in gs:// buckets",
		"s3://pkgs/prefix":    "does not store in s3:// buckets",
		"https://pkgs.k8s.io": "expected a path or file:///path",
		"file://host/srv":     "expected file:///path",
		"file://":             "expected file:///path",
		"file:///srv?x=y":     "expected file:///path",
	} {
		if b, err := Open(address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want %q", address, b, err, want)
		}
	}
}
