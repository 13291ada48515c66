package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/build"
	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/reconcile"
	"sigs.k8s.io/pkgs/repo/verify"
)

func newCut(p *program) *cobra.Command {
	var stream, unsigned string
	var additions repo.Change
	var confirm bool
	cmd := &cobra.Command{
		Use:   "cut VERSION",
		Short: "Build the packages of a version and publish them to its stream",
		Long: `Cut takes a release, builds every package of the stream for every architecture as deb and rpm, indexes
and signs them together with what the stream has already, and prints the plan. With --confirm it then publishes,
and reads back what it published as apt and dnf would.

With --unsigned it needs no signing key: it stops at a request for the signatures on the new rpms, and when those are
there, run again, at one for the signature on the index. pkgs sign signs them on another machine, and pkgs publish goes on.`,
		Example: `  pkgs cut v1.35.1                  # see what would happen
  pkgs cut v1.35.1 --confirm        # do it
  pkgs cut v1.35.1 --unsigned out   # have it signed on another machine`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			cfg, version, target, err := p.target(given[0], stream)
			if err != nil {
				return err
			}
			if unsigned != "" {
				if err := nothingToConfirm(unsigned, confirm); err != nil {
					return err
				}
				return p.cutUnsigned(cmd.Context(), cfg, version, target, unsigned, additions)
			}
			work, err := os.MkdirTemp("", "pkgs-cut-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(work)
			return p.cut(cmd.Context(), cfg, version, target, work, additions, confirm)
		},
	}
	cmd.Flags().StringVar(&stream, "stream", "", "`name` of the stream, when more than one takes the version")
	addAdditions(cmd, &additions)
	addUnsigned(cmd, &unsigned)
	cmd.Flags().BoolVar(&confirm, "confirm", false, "publish what the plan says")
	return cmd
}

// target reads the configuration and finds the stream that a version goes to.
func (p *program) target(version, stream string) (*config, release.Version, *streamConfig, error) {
	cfg, err := readConfig(p.configFile)
	if err != nil {
		return nil, release.Version{}, nil, err
	}
	v, err := release.ParseVersion(version)
	if err != nil {
		return nil, v, nil, usageError{err}
	}
	target, err := cfg.streamFor(v, stream)
	return cfg, v, target, err
}

// cut builds a version's packages in the directory work, plans their publication and, if confirmed, publishes them; change
// is what else is said of the publication.
func (p *program) cut(ctx context.Context, cfg *config, v release.Version, s *streamConfig, work string, change repo.Change, confirm bool) error {
	if err := s.changeable(); err != nil {
		return err
	}
	signing, err := p.openSigning(cfg)
	if err != nil {
		return err
	}
	if err := signing.open(ctx); err != nil {
		return err
	}
	b, err := p.openBucket(cfg.address(cfg.Bucket))
	if err != nil {
		return err
	}
	state, err := repo.ReadState(ctx, b, layout.Stream(s.Name))
	if err != nil {
		return err
	}
	requests, err := cfg.requests(s, v, state)
	if err != nil {
		return err
	}
	if _, err := p.build(ctx, cfg, signing, requests, work); err != nil {
		return err
	}
	change.Base = state
	return one(p.publishFiles(ctx, cfg, signing, b, s, change, work, confirm)).print(p)
}

// requests lists the packages of a stream to build for a version. Packages of a fixed version that the stream has
// already are left out: they do not change with a cut.
func (c *config) requests(s *streamConfig, v release.Version, state *repo.State) ([]build.Request, error) {
	var requests []build.Request
	for _, name := range slices.Sorted(maps.Keys(s.Packages)) {
		for _, a := range s.Architectures {
			arch, err := release.ParseArchitecture(a)
			if err != nil {
				return nil, err
			}
			request := build.Request{
				Package: name, Version: v, DebRevision: s.Revision, RpmRelease: s.RpmRevision, Architecture: arch,
				Formats: []build.Format{build.Deb, build.Rpm},
			}
			if fixed := s.Packages[name]; fixed != cutVersion {
				if request.Version, err = release.ParseVersion(fixed); err != nil {
					return nil, err
				}
				request.Formats = slices.DeleteFunc(request.Formats, func(f build.Format) bool {
					return state != nil && state.Has(string(f)+"/"+request.FileName(f))
				})
				if len(request.Formats) == 0 {
					continue
				}
			}
			requests = append(requests, request)
		}
	}
	return requests, nil
}

// build builds packages in the directory out.
func (p *program) build(ctx context.Context, cfg *config, signing *signingKeys, requests []build.Request, out string) ([]build.Package, error) {
	show := p.progress("build")
	defer show.done()
	c := build.Config{OutDir: out, Log: p.log, BuilderVersion: version}
	var err error
	if c.Definitions, err = cfg.definitions(); err != nil {
		return nil, err
	}
	cache, err := cfg.cacheDir()
	if err != nil {
		return nil, err
	}
	if c.Sources, err = p.openSources(ctx, cfg, func(f release.Progress) { show.detail(f.Path, f.Done, f.Total) }); err != nil {
		return nil, err
	}
	encoder, err := cfg.encoder(ctx)
	if err != nil {
		return nil, err
	}
	c.Compressor = &payload.Compressor{Encoder: encoder, Cache: cache + "/blocks"}
	if signing != nil {
		if c.HeaderSigner = signing.signer; signing.signed != nil {
			c.HeaderSigner = signing.signed
		}
		c.SignedNotBefore, c.SigningKey = signing.created(), signing.fingerprint()
	}
	if c.SourceDate, err = sourceDate(p.getenv("SOURCE_DATE_EPOCH")); err != nil {
		return nil, err
	}
	total := 0
	for _, r := range requests {
		total += len(r.Formats)
	}
	show.start(total)
	c.Progress = func(done build.Package) { show.step(done.Path, done.Size) }
	return build.Build(ctx, c, requests)
}

// addAdditions adds the flags that let packages come to a stream which are refused otherwise.
func addAdditions(cmd *cobra.Command, change *repo.Change) {
	cmd.Flags().BoolVar(&change.Backfill, "backfill", false, "the packages may be older than what the stream has: they fill in its history")
	cmd.Flags().BoolVar(&change.Unyank, "unyank", false, "the packages may be such as were yanked or rolled back: they come back")
}

// publishFiles publishes the packages in dir to a stream; change is the rest of what is to happen.
func (p *program) publishFiles(ctx context.Context, cfg *config, signing *signingKeys, b bucket.Bucket, s *streamConfig, change repo.Change, dir string, confirm bool) (*publication, error) {
	files, err := repo.ReadFiles(ctx, dir)
	if err != nil {
		return nil, err
	}
	change.Add = files
	return p.publish(ctx, cfg, signing, b, s, change, confirm)
}

// publish plans a change of a stream, prints the plan and, if confirmed, executes it and verifies the result.
func (p *program) publish(ctx context.Context, cfg *config, signing *signingKeys, b bucket.Bucket, s *streamConfig, change repo.Change, confirm bool) (*publication, error) {
	if change.Add != nil || len(change.Yank) > 0 || change.To != 0 {
		if err := s.changeable(); err != nil {
			return nil, err
		}
	}
	show := p.progress("publish")
	publisher := p.newPublisher(cfg, signing, b, show.publishing)
	change.Settled = true
	plan, err := publisher.Plan(ctx, cfg.repoStream(s), change)
	if err != nil {
		return nil, err
	}
	result, err := p.carryOut(ctx, cfg, signing, b, s, publisher, plan, show, confirm)
	var taken *repo.TakenError
	if errors.As(err, &taken) && len(change.Adopt) == 0 {
		p.log.Warn("a run that died left attestations of these packages: plan again with those", "stream", s.Name, "attestations", len(taken.Names))
		change.Adopt, change.Base = taken.Names, nil
		return p.publish(ctx, cfg, signing, b, s, change, confirm)
	}
	return result, err
}

// carryOut prints a plan and, if confirmed, executes it and verifies the result, which it returns if there is one to tell
// of, beside the error too. Of signing it needs the keyring.
func (p *program) carryOut(ctx context.Context, cfg *config, signing *signingKeys, b bucket.Bucket, s *streamConfig, publisher *repo.Publisher,
	plan *repo.Plan, show *progress, confirm bool) (*publication, error) {
	defer show.done()
	if p.output == "text" {
		if err := plan.Print(p.stdout); err != nil {
			return nil, err
		}
	}
	result := &publication{Plan: plan}
	if plan.From == 0 && plan.Reason != "" {
		var err error
		if result.Meant, err = p.beginning(ctx, b, plan.Stream); err != nil {
			return nil, err
		}
	}
	if plan.Empty() && !plan.Unsettled {
		return result, nil
	}
	if !confirm {
		if p.output == "text" {
			fmt.Fprintln(p.stdout, "dry run: nothing was written. Run it again with --confirm to publish.")
		}
		return result, nil
	}
	if plan.Empty() {
		return result, p.settle(ctx, cfg, signing, b, s, publisher, result, nil)
	}
	// What people need to use the stream decides nothing of the publication and goes before it: if this run died after the
	// commit, no other would have a reason to write it.
	if plan.GivesKeys() {
		if _, err := publisher.Site(ctx, plan.Stream); err != nil {
			return nil, err
		}
	}
	if err := publisher.Execute(ctx, plan); err != nil {
		return nil, err
	}
	result.Published = true
	show.done()
	if p.output == "text" && plan.Reason != "" {
		fmt.Fprintf(p.stdout, "published: serial %d is live\n", plan.Serial)
	}
	added := map[string]bool{}
	for _, name := range plan.Added {
		added[s.Name+"/"+name] = true
	}
	return result, p.settle(ctx, cfg, signing, b, s, publisher, result, added)
}

// publication is what commands that publish print as JSON: those that work on one stream print one, the others a list.
type publication struct {
	Plan      *repo.Plan `json:"plan"`
	Published bool       `json:"published"`
	// Meant is a stream of the bucket with almost the name of one that this begins.
	Meant layout.Stream `json:"meant,omitempty"`
	// Settled says that everything shows the live publication that should: lists of streams, aliases, the CDN.
	Settled  bool           `json:"settled"`
	Verified *verify.Report `json:"verified,omitempty"`
	Delivery *delivery      `json:"delivery,omitempty"`
	// Aliases tells of the streams that followed.
	Aliases *reconcile.Report `json:"aliases,omitempty"`
}

// newPublisher returns a publisher for a bucket.
func (p *program) newPublisher(cfg *config, signing *signingKeys, b bucket.Bucket, progress func(repo.Progress)) *repo.Publisher {
	var elsewhere *keys.Keyring
	if signing.by != nil && len(signing.by.Keys()) > 0 {
		elsewhere = signing.by
	}
	return repo.NewPublisher(repo.Config{
		Bucket: b, URL: cfg.URL, Keyring: signing.keyring, Signer: signing.signer, Elsewhere: elsewhere, Keys: cfg.Signing.keyPolicy(), Validity: cfg.validity, Now: p.now, Log: p.log,
		By: p.publisher(), ConfigDigest: cfg.digest, Progress: progress, KeyringPackage: p.keyringPackage(cfg, signing),
	})
}
