package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/keys/store"
)

func newKeysCertify(p *program) *cobra.Command {
	var name, email, created string
	cmd := &cobra.Command{
		Use:   "certify --name NAME --email ADDRESS",
		Short: "Make the public half of signing keys in KMS or a token",
		Long: `Certify makes the OpenPGP half of each RSA key of the configuration that is in KMS or a token (signing.kms,
signing.pkcs11, and those of signing.also) and that has none yet: it puts the public numbers together with a user ID and a
date, has the key sign that, and writes the result to the file that public names. Keep that file with the configuration:
made with another date it would be another key to every user.

A key behind a program (signing.command) brings its own: gpg --export --armor FINGERPRINT.`,
		Example: `  pkgs keys certify --name "Example Packages" --email packages@example.org`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" || email == "" {
				return usagef("--name and --email are needed: see %s --help", cmd.CommandPath())
			}
			// An hour back, for the reason that keys generate has.
			at := p.now().UTC().Add(-time.Hour)
			if created != "" {
				var err error
				if at, err = time.Parse(time.RFC3339, created); err != nil {
					return usagef("--created %q: expected a time such as %s", created, at.Format(time.RFC3339))
				}
			}
			cfg, err := readConfig(p.configFile)
			if err != nil {
				return err
			}
			return p.certify(cmd.Context(), cfg, keys.GenerateConfig{Name: name, Email: email, Time: at.Truncate(time.Second)})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "whose key it is, such as \"Example Packages\"")
	cmd.Flags().StringVar(&email, "email", "", "`address` of its owner")
	cmd.Flags().StringVar(&created, "created", "", "`time` at which the key counts as made instead of an hour ago; nothing can be signed with an earlier date")
	return cmd
}

// certify makes the public halves that are missing.
func (p *program) certify(ctx context.Context, cfg *config, who keys.GenerateConfig) error {
	var made []*keys.Keyring
	for _, k := range append([]keyConfig{cfg.Signing.keyConfig}, cfg.Signing.Also...) {
		if k.KMS == nil && k.PKCS11 == nil {
			continue
		}
		if k.Public == "" {
			return usagef("%s: signing.public is missing: name the file that the public key shall be written to", cfg.file)
		}
		file := cfg.path(k.Public)
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			p.log.Info("has its public half", "file", file)
			continue
		}
		var signer keys.DigestSigner
		var err error
		if k.KMS != nil {
			signer, err = store.OpenKMS(ctx, k.KMS.store())
		} else {
			signer, err = store.OpenPKCS11(ctx, p.pkcs11(cfg, k.PKCS11))
		}
		if err != nil {
			return err
		}
		key, err := keys.Certify(ctx, who, signer)
		if err != nil {
			return err
		}
		armored, err := key.Public().Armor()
		if err != nil {
			return err
		}
		if err := writeNew(file, armored, 0o644); err != nil {
			return err
		}
		made = append(made, key.Public())
	}
	if len(made) == 0 {
		return fmt.Errorf("%s has no key in KMS or a token that lacks its public half: remove the file that signing.public names to make a new one", cfg.file)
	}
	return p.showKeys(keys.Merge(made...))
}
