package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
)

func newPromote(p *program) *cobra.Command {
	var keyring string
	var confirm bool
	cmd := &cobra.Command{
		Use:   "promote FROM TO [STREAM...]",
		Short: "Make live in one bucket what was staged in another, with the same bytes",
		Long: `Promote takes the live publication of each stream named, or of all that FROM has, over from the bucket FROM to the
bucket TO: packages, indexes, signatures and history. What is live in TO must be an earlier publication of FROM, so that
TO always is what FROM was. The signatures are verified with the public keys, and no private key is needed.

FROM is a whole repository of its own, published with a configuration that has its own bucket and url, and can be
installed from before anything is promoted. TO is the bucket of the configuration given here.`,
		Example: `  pkgs cut v1.35.1 --config staging.yaml --confirm
  pkgs promote gs://packages-staging gs://packages
  pkgs promote gs://packages-staging gs://packages core:/stable:/v1.35 --confirm`,
		Args: args(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, given []string) error {
			cfg, err := readConfig(p.configFile)
			if err != nil {
				return err
			}
			if !sameAddress(given[1], cfg.address(cfg.Bucket)) {
				return usagef("%s is not the bucket of %s: name the configuration that production is published with", given[1], cfg.file)
			}
			trusted, err := p.trusted(cfg, keyring)
			if err != nil {
				return err
			}
			from, err := p.openBucket(given[0])
			if err != nil {
				return usageError{err}
			}
			to, err := p.openBucket(given[1])
			if err != nil {
				return usageError{err}
			}
			names := given[2:]
			for _, name := range names {
				if _, err := cfg.stream(name); err != nil {
					return err
				}
				if _, err := liveState(cmd.Context(), from, name); err != nil {
					return err
				}
			}
			if len(names) == 0 {
				if names, err = cfg.published(cmd.Context(), from); err != nil {
					return err
				}
			}
			return p.promote(cmd.Context(), cfg, from, to, trusted, names, confirm)
		},
	}
	cmd.Flags().StringVar(&keyring, "keyring", "", "`file` of the public keys to trust instead of the configuration's")
	cmd.Flags().BoolVar(&confirm, "confirm", false, "promote what the plan says")
	return cmd
}

// sameAddress tells whether two addresses are of one bucket, as far as they are written alike.
func sameAddress(a, b string) bool {
	clean := func(address string) string {
		path, file := strings.CutPrefix(address, "file://")
		if strings.Contains(address, "://") && !file {
			return strings.TrimSuffix(address, "/")
		}
		if absolute, err := filepath.Abs(path); err == nil {
			return absolute
		}
		return path
	}
	return clean(a) == clean(b)
}

// promote promotes streams one after the other. What goes wrong with one does not keep the others back.
func (p *program) promote(ctx context.Context, cfg *config, from, to bucket.Bucket, trusted *keys.Keyring, names []string, confirm bool) error {
	var all results[publication]
	for _, name := range names {
		target, err := cfg.stream(name)
		if err != nil {
			return err
		}
		show := p.progress("promote")
		publisher := repo.NewPublisher(repo.Config{
			Bucket: to, URL: cfg.URL, Keyring: trusted, Keys: cfg.Signing.keyPolicy(), Now: p.now, Log: p.log, By: p.publisher(), ConfigDigest: cfg.digest, Progress: show.publishing,
			KeyringPackage: p.keyringPackage(cfg, &signingKeys{keyring: trusted}),
		})
		plan, err := publisher.Promote(ctx, from, cfg.repoStream(target))
		if err != nil {
			all.add(nil, err)
			continue
		}
		all.add(p.carryOut(ctx, cfg, &signingKeys{keyring: trusted}, to, target, publisher, plan, show, confirm))
	}
	if len(names) == 0 {
		all.add(nil, fmt.Errorf("no stream of %s was ever published in %s: there is nothing to promote", cfg.file, from))
	}
	return all.printList(p)
}
