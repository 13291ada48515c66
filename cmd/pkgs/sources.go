package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/build/release/sigstore"
)

// sourceConfig says where the releases of one project lie, and what makes them trustworthy.
type sourceConfig struct {
	// URL is the place below which everything lies: a directory, file://, http(s)://, or a bucket, gs:// or s3://.
	URL string `yaml:"url"`
	// Releases and Nightlies are the folders of a version and of a nightly build below URL, with {version} or {number}; Shared is that of
	// the files of all versions. See release.Layout.
	Releases  string `yaml:"releases"`
	Nightlies string `yaml:"nightlies"`
	Shared    string `yaml:"shared"`
	// Signatures, when set, is who must have signed every file. Without it the checksums beside the files are all there is.
	Signatures *signaturesConfig `yaml:"signatures"`
}

// signaturesConfig demands keyless signatures (package sigstore says which).
type signaturesConfig struct {
	// Identity is the address or URI in the signer's certificate, or IdentityRegexp a pattern that all of it must match.
	Identity       string `yaml:"identity"`
	IdentityRegexp string `yaml:"identity-regexp"`
	// Issuer is who vouched for the identity.
	Issuer string `yaml:"issuer,required"`
	// TrustedRoot is the file trusted_root.json of the Sigstore that signed, such as cosign keeps it.
	TrustedRoot string `yaml:"trusted-root,required"`
	// TransparencyLog is required if signatures without an entry of a transparency log are to be refused.
	TransparencyLog string `yaml:"transparency-log"`
}

func (c *config) checkSources() error {
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		s := c.Sources[name]
		if s.URL == "" {
			return fmt.Errorf("sources.%s.url is missing: give a directory, an https address or a bucket", name)
		}
		if s.Signatures == nil {
			continue
		}
		if (s.Signatures.Identity == "") == (s.Signatures.IdentityRegexp == "") {
			return fmt.Errorf("sources.%s.signatures: expected either identity or identity-regexp", name)
		}
		if l := s.Signatures.TransparencyLog; l != "" && l != "required" {
			return fmt.Errorf("sources.%s.signatures.transparency-log: %q is not known: expected required, or nothing", name, l)
		}
	}
	return nil
}

// openSources opens all sources. progress is told how their files get on.
func (p *program) openSources(ctx context.Context, cfg *config, progress func(release.Progress)) (map[string]*release.Source, error) {
	cache, err := cfg.cacheDir()
	if err != nil {
		return nil, err
	}
	sources := map[string]*release.Source{}
	for name, s := range cfg.Sources {
		c := release.Config{
			Name: name, URL: cfg.address(s.URL), Layout: release.Layout{Releases: s.Releases, Nightlies: s.Nightlies, Shared: s.Shared},
			Cache: filepath.Join(cache, "inputs"), UserAgent: "pkgs/" + version + " (+https://sigs.k8s.io/pkgs)",
			Log: p.log, Progress: progress, Backoff: p.backoff,
		}
		if s.Signatures != nil {
			if c.Signatures, err = s.Signatures.verifier(cfg); err != nil {
				return nil, usageError{fmt.Errorf("%s: sources.%s.signatures: %w", cfg.file, name, err)}
			}
		}
		if sources[name], err = release.Open(ctx, c); err != nil {
			return nil, err
		}
	}
	return sources, nil
}

// verifier reads the trusted root.
func (s *signaturesConfig) verifier(cfg *config) (*sigstore.Verifier, error) {
	file := cfg.path(s.TrustedRoot)
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("trusted-root: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, sigstore.MaxTrustedRoot+1))
	if err != nil {
		return nil, fmt.Errorf("trusted-root: %w", err)
	}
	v, err := sigstore.NewVerifier(data, sigstore.Policy{
		Identity: s.Identity, IdentityPattern: s.IdentityRegexp, Issuer: s.Issuer, RequireLog: s.TransparencyLog == "required",
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return v, nil
}
