package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/build/strict"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/layout"
)

// config is the one YAML file that says what is published where. Paths in it are relative to its own folder.
type config struct {
	// Bucket is where the streams are: a directory, gs://bucket/prefix or s3://bucket/prefix (see bucket.Open).
	Bucket string `yaml:"bucket"`
	// URL is the public address under which clients find the bucket's root.
	URL string `yaml:"url"`
	// Origin is the Origin field of all apt repositories; empty is each stream's own name.
	Origin  string        `yaml:"origin"`
	Signing signingConfig `yaml:"signing"`
	// Definitions is a folder of package definitions that takes the place of the built-in ones.
	Definitions   string   `yaml:"definitions"`
	Architectures []string `yaml:"architectures"`
	Revision      string   `yaml:"revision"`
	RpmRevision   string   `yaml:"rpm-revision"`
	Validity      string   `yaml:"validity"`
	// Compression is how payloads are compressed: go, or xz-0 to xz-9 for the program xz.
	Compression string `yaml:"compression"`
	// Cache is a folder for what was downloaded and compressed before; empty is pkgs in the user's cache folder.
	Cache   string                  `yaml:"cache"`
	Sources map[string]sourceConfig `yaml:"sources"`
	Streams []streamConfig          `yaml:"streams"`

	file, digest string // digest is the SHA-256 of the file
	validity     time.Duration
}

type signingConfig struct {
	// Key is the file of the private key that signs.
	Key string `yaml:"key"`
	// Keyring are files of further public keys that users are given.
	Keyring []string `yaml:"keyring"`
}

type sourceConfig struct {
	// URL is where the folders of the versions are: a directory, file:// or http(s)://.
	URL string `yaml:"url"`
}

type streamConfig struct {
	Name string `yaml:"name"`
	// Packages gives the version of each package of the stream: "cut" for the version that is cut, or a fixed one.
	Packages    map[string]string `yaml:"packages"`
	Description string            `yaml:"description"`
	// Revision and RpmRevision take the place of the general ones for this stream.
	Revision    string `yaml:"revision"`
	RpmRevision string `yaml:"rpm-revision"`
}

// cutVersion stands for the version that is cut in a stream's list of packages.
const cutVersion = "cut"

// readConfig reads and checks the configuration file. Every error names the file, and where it can the line.
func readConfig(file string) (*config, error) {
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, usagef("there is no configuration file %s: name one with --config, or start from the example in the README", file)
	}
	if err != nil {
		return nil, err
	}
	cfg := &config{file: file, digest: fmt.Sprintf("%x", sha256.Sum256(data))}
	if err := strict.Decode(file, data, cfg); err != nil {
		return nil, usageError{err}
	}
	if err := cfg.check(); err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", file, err)}
	}
	return cfg, nil
}

// revisionForm is what a revision may look like: digits and dots, as 1.1 or 150500.1.1.
var revisionForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*$`)

func (c *config) check() error {
	if c.Bucket == "" {
		return fmt.Errorf("bucket is missing: name the directory, or the gs:// or s3:// bucket, to publish to")
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("url: %q is not the public http or https address of the bucket", c.URL)
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	if c.Signing.Key == "" {
		return fmt.Errorf("signing.key is missing: make a key with `pkgs keys generate --out FILE`")
	}
	if len(c.Architectures) == 0 {
		return fmt.Errorf("architectures is empty: list those to publish for, such as [amd64, arm64]")
	}
	for i, a := range c.Architectures {
		if _, err := release.ParseArchitecture(a); err != nil {
			return fmt.Errorf("architectures: %w", err)
		}
		if slices.Contains(c.Architectures[:i], a) {
			return fmt.Errorf("architectures: %s stands there twice", a)
		}
	}
	c.Validity = cmp.Or(c.Validity, "720h")
	if c.validity, err = time.ParseDuration(c.Validity); err != nil || c.validity < 24*time.Hour {
		return fmt.Errorf("validity: %q is not a time of at least 24h, such as 720h", c.Validity)
	}
	if c.Compression = cmp.Or(c.Compression, "go"); !compressionForm.MatchString(c.Compression) {
		return fmt.Errorf("compression: %q is neither go nor xz-0 to xz-9", c.Compression)
	}
	for name, s := range c.Sources {
		if s.URL == "" {
			return fmt.Errorf("sources.%s.url is missing: give a directory or an https address", name)
		}
	}
	if len(c.Streams) == 0 {
		return fmt.Errorf("streams is empty: there is nothing to publish")
	}
	seen := map[string]bool{}
	for i := range c.Streams {
		s := &c.Streams[i]
		if _, err := layout.ParseStream(s.Name); err != nil {
			return fmt.Errorf("streams: %w", err)
		}
		if seen[s.Name] {
			return fmt.Errorf("streams: %s stands there twice", s.Name)
		}
		seen[s.Name] = true
		if err := c.checkStream(s); err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
	}
	return nil
}

func (c *config) checkStream(s *streamConfig) error {
	s.Revision = cmp.Or(s.Revision, c.Revision)
	s.RpmRevision = cmp.Or(s.RpmRevision, c.RpmRevision, s.Revision)
	for _, r := range []string{s.Revision, s.RpmRevision} {
		if !revisionForm.MatchString(r) {
			return fmt.Errorf("revision %q is not numbers with dots, such as \"1.1\"", r)
		}
	}
	if len(s.Packages) == 0 {
		return fmt.Errorf("packages is empty")
	}
	for name, version := range s.Packages {
		if version == cutVersion {
			continue
		}
		if _, err := release.ParseVersion(version); err != nil {
			return fmt.Errorf("packages.%s: expected %q or a version: %w", name, cutVersion, err)
		}
	}
	return nil
}

var compressionForm = regexp.MustCompile(`^(go|xz-[0-9])$`)

// encoder is what compresses payloads.
func (c *config) encoder(ctx context.Context) (payload.Encoder, error) {
	preset, ok := strings.CutPrefix(c.Compression, "xz-")
	if !ok {
		return payload.Go(), nil
	}
	return payload.XZ(ctx, int(preset[0]-'0'))
}

// cacheDir is the folder for what can be had again.
func (c *config) cacheDir() (string, error) {
	if c.Cache != "" {
		return c.path(c.Cache), nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: name a folder with cache in %s", err, c.file)
	}
	return filepath.Join(dir, "pkgs"), nil
}

// path resolves a path of the file against the file's own folder.
func (c *config) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(c.file), p)
}

// address is path for what may also be a URL.
func (c *config) address(a string) string {
	if strings.Contains(a, "://") {
		return a
	}
	return c.path(a)
}

// stream finds a stream by name.
func (c *config) stream(name string) (*streamConfig, error) {
	for i := range c.Streams {
		if c.Streams[i].Name == name {
			return &c.Streams[i], nil
		}
	}
	return nil, usagef("%s has no stream %q: it has %s", c.file, name, strings.Join(c.streamNames(), ", "))
}

func (c *config) streamNames() []string {
	var names []string
	for _, s := range c.Streams {
		names = append(names, s.Name)
	}
	return names
}

// streamFor finds the stream that a version is cut into: the one named, or the only one that takes the version.
func (c *config) streamFor(v release.Version, name string) (*streamConfig, error) {
	if name != "" {
		s, err := c.stream(name)
		if err != nil {
			return nil, err
		}
		return s, s.admits(v)
	}
	var found []*streamConfig
	var why []string
	for i := range c.Streams {
		s := &c.Streams[i]
		if err := s.admits(v); err != nil {
			why = append(why, err.Error())
			continue
		}
		found = append(found, s)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, usagef("no stream of %s takes %s:\n  %s", c.file, v, strings.Join(why, "\n  "))
	}
	return nil, usagef("more than one stream takes %s: choose with --stream %s or --stream %s", v, found[0].Name, found[1].Name)
}

// minor is the minor version that a stream's name ends in, such as 1.35 for core:/stable:/v1.35; empty for others.
func (s *streamConfig) minor() string {
	leaf := layout.Stream(s.Name).Leaf()
	if m, ok := strings.CutPrefix(leaf, "v"); ok && minorForm.MatchString(m) {
		return m
	}
	return ""
}

var minorForm = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)

// channel is the last folder of a stream's name that names a channel.
func (s *streamConfig) channel() release.Channel {
	folders := layout.Stream(s.Name).Folders()
	for _, f := range slices.Backward(folders) {
		for _, c := range []release.Channel{release.Stable, release.Prerelease, release.Nightly} {
			if f == string(c) {
				return c
			}
		}
	}
	return release.Stable
}

// admits tells why a version cannot be cut into the stream, or nil.
func (s *streamConfig) admits(v release.Version) error {
	if m := s.minor(); m != "" && v.Minor() != m {
		return usagef("%s is a version of v%s, and stream %s holds v%s", v, v.Minor(), s.Name, m)
	}
	have, want := v.Channel(), s.channel()
	// A stream of prereleases without a minor of its own, such as addons:/cri-o:/prerelease:/main, takes nightly builds.
	if have != want && !(want == release.Prerelease && have == release.Nightly && s.minor() == "") {
		return usagef("%s is a %s version, and stream %s holds %s versions", v, have, s.Name, want)
	}
	return nil
}

// repoStream is what the repository is told of a stream.
func (c *config) repoStream(s *streamConfig) repo.Stream {
	name := layout.Stream(s.Name)
	suite := strings.ReplaceAll(name.Project(), ":", "-")
	stream := repo.Stream{
		Name:   name,
		Origin: cmp.Or(c.Origin, name.Project()), Label: name.Project(), Suite: suite, Codename: suite,
		Description: cmp.Or(s.Description, "Packages of "+name.Project()),
		Members:     map[string]repo.Member{},
	}
	for _, a := range c.Architectures {
		arch, _ := release.ParseArchitecture(a) // checked before
		stream.Architectures = append(stream.Architectures, repo.Architecture{Deb: arch.Deb, Rpm: arch.Rpm})
	}
	for name, version := range s.Packages {
		member := repo.Member{Prereleases: s.channel() != release.Stable}
		if version == cutVersion {
			member.Minor = s.minor()
		}
		stream.Members[name] = member
	}
	return stream
}
