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
		"gs://pkgs":                          "gs://pkgs",
		"gs://pkgs/":                         "gs://pkgs",
		"gs://pkgs/a/b%20c%25/":              "gs://pkgs/a/b c%",
		"s3://pkgs/a?region=eu-central-1":    "s3://pkgs/a",
		"s3://pkgs/a?endpoint=http://127.0.0.1:9000&region=x":            "s3://pkgs/a",
		"gs://pkgs.k8s.io_x/a:b?endpoint=https://private.googleapis.com": "gs://pkgs.k8s.io_x/a:b",
	} {
		b, err := Open(address)
		if err != nil || b.String() != want {
			t.Errorf("%s: %v, %v", address, b, err)
		}
	}
	for address, want := range map[string]string{
		"":                    "is empty",
		"s3://pkgs_x/prefix":  `"pkgs_x" cannot be the name of a bucket`,
		"s3://pkgs?region=EU": `"EU" cannot be the name of a region`,
		"s3://pkgs?regoin=eu": `it has no parameter "regoin": expected s3://bucket/prefix?region=…&endpoint=…`,
		"gs://":               `"" cannot be the name of a bucket`,
		"gs:///prefix":        `"" cannot be the name of a bucket`,
		"gs://Pkgs":           `"Pkgs" cannot be the name of a bucket`,
		"gs://pkgs:80/x":      `"pkgs:80" cannot be the name of a bucket`,
		"gs://u:secret@pkgs":  "holds a user or a password",
		"gs://pkgs//x":        "its prefix",
		"gs://pkgs/a/../b":    "its prefix",
		"gs://pkgs//":         "its prefix",
		"gs://pkgs/a#b":       "it has a #",
		"gs://pkgs?region=eu": `it has no parameter "region": expected gs://bucket/prefix`,
		"gs://pkgs?endpoint=": `parameter "endpoint" has one value`,
		"gs://pkgs?endpoint=https://a&endpoint=https://b": `parameter "endpoint" has one value`,
		"gs://pkgs?endpoint=localhost:80":                 `and not "localhost:80"`,
		"gs://pkgs?endpoint=https://a/b":                  `and not "https://a/b"`,
		"gs://pkgs?endpoint=https://u@a":                  `and not "https://u@a"`,
		"gs://pkgs?endpoint=%zz":                          "behind the question mark",
		"gs://pkgs/%zz":                                   "invalid URL escape",
		"https://pkgs.k8s.io":                             "expected a path, file:///path, gs://bucket/prefix or s3",
		"file://host/srv":                                 "expected file:///path",
		"file://":                                         "expected file:///path",
		"file:///srv?x=y":                                 "expected file:///path",
	} {
		if b, err := Open(address); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, %v, want %q", address, b, err, want)
		}
	}
}

// FuzzAddress: what is accepted as a store's address has a name that leads back to the same bucket and prefix.
func FuzzAddress(f *testing.F) {
	for _, address := range []string{"gs://pkgs/a/b%20c%25", "s3://pkgs/a?region=eu-central-1&endpoint=http://127.0.0.1:9000", "gs://pkgs//x", "s3://u:p@pkgs",
		"gs://pkgs/a/../b", "s3://pkgs?endpoint=https://a/b", "gs://pkgs/%2e%2e/x", "gs://pkgs/a%2fb", "gs://pkgs/%3f#"} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		b, err := Open(address)
		c, ok := b.(*cloud)
		if err != nil || !ok {
			return
		}
		name := strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23").Replace(c.String())
		again, err := Open(name)
		if err != nil || again.String() != c.String() || again.(*cloud).prefix != c.prefix {
			t.Fatalf("%q has the name %q, which leads to %v, %v", address, name, again, err)
		}
		if c.prefix != "" && checkName(strings.TrimSuffix(c.prefix, "/")) != nil {
			t.Fatalf("%q has the prefix %q", address, c.prefix)
		}
	})
}
