package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"regexp"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/build"
	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo"
)

// keyringPackageConfig is the section signing.package of the configuration: the package that brings users the keyring. Every
// stream has it.
type keyringPackageConfig struct {
	// Name is such as example-archive-keyring.
	Name string `yaml:"name,required"`
	// Version takes the place of the one that follows from the keys: see keys.Keyring.Version. It has to grow whenever the
	// keyring changes.
	Version string `yaml:"version"`
	// Maintainer is a name and an address; Homepage may be left out.
	Maintainer string `yaml:"maintainer,required"`
	Homepage   string `yaml:"homepage"`
}

// keyringRevision is the revision of every keyring package: another keyring is another version.
const keyringRevision = "1"

var keyringVersionForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*$`)

// check says what is wrong with the section; a nil one is right.
func (c *keyringPackageConfig) check() error {
	if c == nil {
		return nil
	}
	if c.Version != "" && !keyringVersionForm.MatchString(c.Version) {
		return fmt.Errorf("signing.package.version: %q is not numbers with dots, such as \"2027.1\"", c.Version)
	}
	if err := (build.Keyring{Name: c.Name, Version: "1", Revision: keyringRevision, Maintainer: c.Maintainer, Homepage: c.Homepage, Time: time.Unix(1, 0)}).Check(); err != nil {
		return fmt.Errorf("signing.package: %w", err)
	}
	return nil
}

func newKeysPackage(p *program) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "package --out DIR",
		Short: "Build the keyring package, as deb and rpm",
		Long: `Package builds the package that signing.package of the configuration describes, to look at it: whatever is
published brings it to its stream. It gives machines the public keys of the configuration, old and new. The deb installs
/usr/share/keyrings/NAME.gpg for Signed-By of apt's sources, the rpm /etc/pki/rpm-gpg/RPM-GPG-KEY-NAME for gpgkey=file://,
signed by the key that signs rpms. Version and date follow from the keys, so that the same keyring gives the same bytes: the
date of the last update of a key and the number of keys, such as 2026.11.21.2.`,
		Example: `  pkgs keys package --out keyring`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usagef("--out is missing: name the directory for the packages")
			}
			built, err := p.buildKeyring(cmd.Context(), out)
			if err != nil {
				return err
			}
			return p.showBuilt(built)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`directory` for the packages")
	return cmd
}

// buildKeyring builds the keyring package in the directory out.
func (p *program) buildKeyring(ctx context.Context, out string) ([]build.Package, error) {
	cfg, err := readConfig(p.configFile)
	if err != nil {
		return nil, err
	}
	if cfg.Signing.Package == nil {
		return nil, usagef("%s: signing.package is missing: name the keyring package and its maintainer", cfg.file)
	}
	signing, err := p.openSigning(cfg)
	if err != nil {
		return nil, err
	}
	if err := signing.open(ctx); err != nil {
		return nil, err
	}
	k, err := cfg.Signing.Package.keyring(signing)
	if err != nil {
		return nil, err
	}
	return build.BuildKeyring(ctx, k, out)
}

// keyring describes the package with the present keys. Nothing in it depends on when or for which stream it is built, so that
// all streams have the same package: apt takes two with one version and other bytes for two packages.
func (c *keyringPackageConfig) keyring(signing *signingKeys) (k build.Keyring, err error) {
	ring := signing.keyring.Settled()
	k = build.Keyring{
		Name: c.Name, Version: c.version(ring), Revision: keyringRevision, Maintainer: c.Maintainer, Homepage: c.Homepage,
		Binary: ring.Binary(), Time: ring.Updated(), Compressor: &payload.Compressor{Encoder: payload.Go()},
	}
	if signing.signed != nil {
		k.HeaderSigner = signing.signed
	} else if signing.signer != nil {
		k.HeaderSigner = signing.signer
	}
	for _, info := range ring.Keys() {
		k.Fingerprints = append(k.Fingerprints, info.Fingerprint)
	}
	k.Armored, err = ring.Armor()
	return k, err
}

// name is that of the package; empty if there is none.
func (c *keyringPackageConfig) name() string {
	if c == nil {
		return ""
	}
	return c.Name
}

// version is that of the package with a keyring, without its revision.
func (c *keyringPackageConfig) version(ring *keys.Keyring) string {
	return cmp.Or(c.Version, ring.Version())
}

// keyringPackage is what a publisher is told of the keyring package; nil if there is none. It is made once, where the first
// stream lacks it.
func (p *program) keyringPackage(cfg *config, signing *signingKeys) *repo.KeyringPackage {
	c := cfg.Signing.Package
	if c == nil {
		return nil
	}
	var making sync.Mutex
	var made *repo.Files
	unsigned := func(ctx context.Context, dir string, headers *repo.SignedHeaders) error {
		k, err := c.keyring(signing.with(headers))
		if err == nil {
			_, err = build.BuildKeyring(ctx, k, dir)
		}
		return err
	}
	return &repo.KeyringPackage{Name: c.Name, Version: c.version(signing.keyring), Build: unsigned, Make: func(ctx context.Context) (*repo.Files, error) {
		making.Lock()
		defer making.Unlock()
		if made != nil {
			return made, nil
		}
		if err := signing.open(ctx); err != nil {
			return nil, err
		}
		dir, err := p.tempDir("pkgs-keyring-")
		if err != nil {
			return nil, err
		}
		k, err := c.keyring(signing)
		if err != nil {
			return nil, err
		}
		if _, err := build.BuildKeyring(ctx, k, dir); err != nil {
			return nil, err
		}
		made, err = repo.ReadFiles(ctx, dir)
		return made, err
	}}
}

// tempDir makes a directory that goes when the program ends.
func (p *program) tempDir(pattern string) (string, error) {
	dir, err := os.MkdirTemp("", pattern)
	if err == nil {
		p.ending = append(p.ending, func() { os.RemoveAll(dir) })
	}
	return dir, err
}
