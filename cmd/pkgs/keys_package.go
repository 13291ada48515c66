package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/build"
	"sigs.k8s.io/pkgs/build/payload"
)

// keyringPackageConfig is the section signing.package of the configuration: the package that brings users the keyring.
type keyringPackageConfig struct {
	// Name is such as example-archive-keyring, Version a version that grows whenever the keyring changes, such as 2026.6.
	Name    string `yaml:"name,required"`
	Version string `yaml:"version,required"`
	// Maintainer is a name and an address; Homepage may be left out.
	Maintainer string `yaml:"maintainer,required"`
	Homepage   string `yaml:"homepage"`
}

func newKeysPackage(p *program) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "package --out DIR",
		Short: "Build the keyring package, as deb and rpm",
		Long: `Package builds the package that signing.package of the configuration describes: it brings machines the public keys of
the configuration, old and new. The deb installs /usr/share/keyrings/NAME.gpg for Signed-By of apt's sources, the rpm
/etc/pki/rpm-gpg/RPM-GPG-KEY-NAME for gpgkey=file://, signed by the key that signs rpms. Both carry the date of the newest
key, or SOURCE_DATE_EPOCH, so that the same keyring gives the same bytes.`,
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
	c := cfg.Signing.Package
	if c == nil {
		return nil, usagef("%s: signing.package is missing: name the keyring package, its version and its maintainer", cfg.file)
	}
	signing, err := p.openSigning(cfg)
	if err != nil {
		return nil, err
	}
	if err := signing.open(ctx); err != nil {
		return nil, err
	}
	k := build.Keyring{
		Name: c.Name, Version: c.Version, Revision: "1", Maintainer: c.Maintainer, Homepage: c.Homepage,
		Binary: signing.keyring.Binary(), HeaderSigner: signing.signer, Compressor: &payload.Compressor{Encoder: payload.Go()},
	}
	if k.Armored, err = signing.keyring.Armor(); err != nil {
		return nil, err
	}
	if k.Time, err = sourceDate(p.getenv("SOURCE_DATE_EPOCH")); err != nil {
		return nil, err
	}
	newest := time.Time{}
	for _, info := range signing.keyring.Keys() {
		k.Fingerprints = append(k.Fingerprints, info.Fingerprint)
		if info.Created.After(newest) {
			newest = info.Created
		}
	}
	if k.Time.IsZero() {
		k.Time = newest
	}
	return build.BuildKeyring(ctx, k, out)
}
