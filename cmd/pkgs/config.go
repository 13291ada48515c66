package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/build"
	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/strict"
)

// config is the one YAML file that says what is published where. Paths in it are relative to its own folder.
type config struct {
	// Bucket is where the streams are: a directory, gs://bucket/prefix or s3://bucket/prefix (see bucket.Open).
	Bucket string `yaml:"bucket"`
	// URL is the public address under which clients find the bucket's root.
	URL string `yaml:"url"`
	// CDN is what is between the two; without it clients read the bucket itself.
	CDN *cdnConfig `yaml:"cdn"`
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
	// Companions tell which version of a package goes with which minor: versions by ranges of the minor's first version.
	// A {minor} in a version stands for the minor.
	Companions map[string]map[string]string `yaml:"companions"`
	// Advisories are about rpms of any streams; a stream can have some of its own. Without either, what was published stays.
	Advisories []advisoryConfig `yaml:"advisories"`
	// Garbage says what pkgs gc deletes.
	Garbage garbageConfig `yaml:"garbage"`
	// Index is for pkgs index in place.
	Index     indexConfig     `yaml:"index"`
	Reconcile reconcileConfig `yaml:"reconcile"`

	file, digest string // digest is the SHA-256 of the file
	validity     time.Duration
}

// readConfig reads and checks the configuration file. Every error names the file, and where it can the line.
func readConfig(file string) (*config, error) {
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return nil, usagef("%s is a directory: name the configuration file in it with --config", file)
	}
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
		var placed *strict.Error // which names the file itself
		if !errors.As(err, &placed) {
			err = fmt.Errorf("%s: %w", file, err)
		}
		return nil, usageError{err}
	}
	return cfg, nil
}

func (c *config) check() error {
	if c.Bucket == "" {
		return fmt.Errorf("bucket is missing: name the directory, or the gs:// or s3:// bucket, to publish to")
	}
	if c.URL == "" {
		return fmt.Errorf("url is missing: give the public address of the bucket, such as https://pkgs.example.org")
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("url: %q is not the public http or https address of the bucket", c.URL)
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	if err := c.CDN.check(c.URL); err != nil {
		return fmt.Errorf("cdn: %w", err)
	}
	if err := c.Signing.check(); err != nil {
		return err
	}
	if err := checkArchitectures(c.Architectures); err != nil {
		return err
	}
	c.Validity = cmp.Or(c.Validity, "720h")
	if c.validity, err = time.ParseDuration(c.Validity); err != nil || c.validity < 24*time.Hour {
		return fmt.Errorf("validity: %q is not a time of at least 24h, such as 720h", c.Validity)
	}
	if c.Compression = cmp.Or(c.Compression, "go"); !compressionForm.MatchString(c.Compression) {
		return fmt.Errorf("compression: %q is neither go nor xz-0 to xz-9", c.Compression)
	}
	if _, err := c.Garbage.retention(); err != nil {
		return fmt.Errorf("garbage.%w", err)
	}
	if err := c.checkSources(); err != nil {
		return err
	}
	if len(c.Streams) == 0 {
		return fmt.Errorf("streams is empty: there is nothing to publish")
	}
	if err := c.Reconcile.check(); err != nil {
		return err
	}
	if err := c.checkCompanions(); err != nil {
		return err
	}
	return c.checkStreams()
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

// definitions are the package definitions.
func (c *config) definitions() (build.Definitions, error) {
	if c.Definitions == "" {
		return build.Default()
	}
	// Nothing in the folder may lead out of it.
	root, err := os.OpenRoot(c.path(c.Definitions))
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: definitions: %w", c.file, err)}
	}
	defer root.Close()
	return build.Load(root.FS())
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
