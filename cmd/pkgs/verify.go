package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/verify"
)

func newVerify(p *program) *cobra.Command {
	var url, keyring string
	var audit bool
	cmd := &cobra.Command{
		Use:   "verify [STREAM...]",
		Short: "Read streams as apt and dnf do and say what is wrong with them",
		Long: `Verify checks signatures, dates, indexes and every package file of the streams named, or of all, starting where
clients start. It reads the bucket, or with --url what a server or a mirror hands out. What is wrong is named
object by object, and the exit code is 4 then. It is 3 when the bucket's streams are right and something does not show
them yet, such as streams.json or an alias, because a run was cut off.

With --audit it also follows the records of all publications and promotions, in the bucket, from the last to the first:
each names the one before it by digest, says who published, why, with which configuration and keys, and what came and
went, which must be the difference between the two; and an index that it made must be signed by one of those keys.

It needs the public keys only: those of the configuration's signing key and keyring, or of the file given with
--keyring.`,
		Example: `  pkgs verify
  pkgs verify core:/stable:/v1.35 --url https://pkgs.example.org --keyring keyring.asc`,
		RunE: func(cmd *cobra.Command, names []string) error {
			cfg, err := readConfig(p.configFile)
			if err != nil {
				return err
			}
			for _, name := range names {
				if _, err := cfg.stream(name); err != nil {
					return err
				}
			}
			trusted, err := p.trusted(cfg, keyring)
			if err != nil {
				return err
			}
			b, err := p.openBucket(cfg.address(cfg.Bucket))
			if err != nil {
				return err
			}
			source, behind := verify.FromBucket(b), b
			if url != "" {
				// Whoever checks a mirror need not be able to read the bucket.
				behind = nil
				if source, err = verify.FromURL(url, &http.Client{Timeout: 30 * time.Minute}); err != nil {
					return usageError{err}
				}
			}
			var all results[checked]
			p.verifyAll(cmd.Context(), &all, source, behind, trusted, cfg, names)
			if audit {
				p.audit(cmd.Context(), &all, b, cfg, trusted, names)
			}
			return all.printList(p)
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "public `address` to read from instead of the bucket")
	cmd.Flags().BoolVar(&audit, "audit", false, "follow the records of all publications, too")
	cmd.Flags().StringVar(&keyring, "keyring", "", "`file` of the public keys to trust instead of the configuration's")
	return cmd
}

// trusted is the keyring that a check trusts.
func (p *program) trusted(cfg *config, file string) (*keys.Keyring, error) {
	if file != "" {
		return readKeyring(file)
	}
	signing, err := p.openSigning(cfg)
	if err != nil {
		return nil, err
	}
	return signing.keyring, nil
}

// checked is what verify prints of a stream as JSON. A stream that is in the bucket, and not where --url says, has no report.
type checked struct {
	*verify.Report
	Audit *repo.AuditReport `json:"audit,omitempty"`
	// Unshown is what does not show the live publication although it should, where the bucket could be asked.
	Unshown []string `json:"unshown,omitempty"`
}

// checkable returns what tells whether a stream was ever published, as far as anything does: one that has lost what clients
// begin with is one to check all the more. The bucket is nil if only the source can be asked.
func checkable(ctx context.Context, source verify.Source, b bucket.Bucket) (func(context.Context, layout.Stream) (bool, error), error) {
	listed, err := verify.Listed(ctx, source)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, stream layout.Stream) (bool, error) {
		if slices.Contains(listed, stream) {
			return true, nil
		}
		if b != nil {
			if _, err := b.Stat(ctx, stream.Head()); err == nil || !errors.Is(err, bucket.ErrNotExist) {
				return err == nil, err
			}
		}
		return verify.Published(ctx, source, stream)
	}, nil
}

// verifyAll checks streams one after the other and prints a report of each. Without names it checks all that are checkable.
func (p *program) verifyAll(ctx context.Context, all *results[checked], source verify.Source, b bucket.Bucket, trusted *keys.Keyring, cfg *config, names []string) {
	published, err := checkable(ctx, source, b)
	if err != nil {
		all.add(nil, err)
		return
	}
	named := len(names) > 0
	if !named {
		if names, err = cfg.existing(ctx, published); err != nil {
			all.add(nil, err)
			return
		}
		if len(names) == 0 {
			all.add(nil, fmt.Errorf("no stream of %s was ever published in %s: there is nothing to verify", cfg.file, source))
		}
	}
	for _, name := range names {
		if named {
			if ever, err := published(ctx, layout.Stream(name)); err != nil {
				all.add(nil, err)
				return
			} else if !ever {
				all.add(nil, neverPublished(ctx, source, name))
				continue
			}
		}
		r, err := p.verify(ctx, cfg, source, trusted, layout.Stream(name), nil)
		if err != nil {
			all.add(nil, err)
			return
		}
		if p.output == "text" {
			err = printReport(p.stdout, r)
		}
		result := &checked{Report: r}
		err = errors.Join(r.Err(), err)
		if b != nil && err == nil {
			if result.Unshown, err = p.unshown(ctx, cfg, b, name); len(result.Unshown) > 0 {
				err = &unshownError{name, result.Unshown}
			} else if err != nil && ctx.Err() == nil {
				p.log.Warn("the stream is right, and whether everything shows it cannot be told", "stream", name, "error", err)
				err = nil
			}
		}
		all.add(result, err)
	}
}

// audit follows the records of streams' publications.
func (p *program) audit(ctx context.Context, all *results[checked], b bucket.Bucket, cfg *config, trusted *keys.Keyring, names []string) {
	if len(names) == 0 {
		var err error
		if names, err = cfg.published(ctx, b); err != nil {
			all.add(nil, err)
			return
		}
	}
	for _, name := range names {
		r, err := repo.Audit(ctx, b, layout.Stream(name), trusted)
		if err == nil && r.Publications == 0 {
			continue // which verifying it says
		}
		if err == nil && p.output == "text" {
			fmt.Fprintf(p.stdout, "audit %s: %s, each named by the next, and %s; the last is serial %d, %s\n", name, repo.Count(r.Publications, "publication"), repo.Count(r.Promotions, "promotion"), r.Serial, r.Manifest)
		}
		if i := slices.IndexFunc(all.all, func(c *checked) bool { return c.Report != nil && c.Stream == layout.Stream(name) }); i >= 0 {
			all.all[i].Audit = r
			all.add(nil, err)
		} else {
			all.add(&checked{Audit: r}, err)
		}
	}
}

// verify checks one stream; selected tells which package files are read, nil is all.
func (p *program) verify(ctx context.Context, cfg *config, source verify.Source, trusted *keys.Keyring, stream layout.Stream, selected func(string) bool) (*verify.Report, error) {
	show := p.progress("verify")
	defer show.done()
	return verify.Stream(ctx, verify.Config{
		Source: source, Keyring: trusted, Now: p.now().UTC(), Packages: selected, KeyringPackage: cfg.Signing.Package.name(),
		Progress: func(done, total int, bytes int64) { show.verifying(done, total, bytes) },
	}, stream)
}

// printReport writes a report for a person.
func printReport(w io.Writer, r *verify.Report) error {
	var b strings.Builder
	verdict := "right"
	if n := len(r.Findings); n == 1 {
		verdict = "DAMAGED in one place"
	} else if n > 0 {
		verdict = fmt.Sprintf("DAMAGED in %d places", n)
	}
	fmt.Fprintf(&b, "verified %s in %s: %s\n", r.Stream, r.Source, verdict)
	fmt.Fprintf(&b, "  %s and %s in the indexes, %s read (%s)\n", repo.Count(r.Debs, "deb"), repo.Count(r.Rpms, "rpm"), repo.Count(r.Read, "package file"), repo.Size(r.Bytes))
	for _, fingerprint := range r.SignedBy {
		fmt.Fprintf(&b, "  signed by %s\n", fingerprint)
	}
	if !r.Date.IsZero() {
		fmt.Fprintf(&b, "  made on %s, valid until %s\n", r.Date.Format(time.DateOnly), r.ValidUntil.Format(time.DateOnly))
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  ! %s\n", f)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
