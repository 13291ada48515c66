package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/verify"
)

// settle brings everything up to date that shows a publication besides its pointers: the lists of streams, the CDN, aliases.
// In between it reads the stream back, and of the packages those that were added. When all of that went well it leaves a note:
// without it the next run of whoever has nothing to publish does this again, since the one before may have died here.
func (p *program) settle(ctx context.Context, cfg *config, signing *signingKeys, b bucket.Bucket, s *streamConfig, publisher *repo.Publisher, result *publication, added map[string]bool) error {
	plan := result.Plan
	if err := p.listStreams(ctx, b, cfg.repoStream(s)); err != nil {
		return err
	}
	var undelivered error
	if cfg.CDN != nil {
		result.Delivery, undelivered = p.purgeChanged(ctx, cfg, b, plan)
	}
	var err error
	if result.Verified, err = p.verify(ctx, cfg, verify.FromBucket(b), signing.keyring, plan.Stream, func(name string) bool { return added[name] }); err != nil {
		return errors.Join(err, undelivered)
	}
	if p.output == "text" {
		if err := printReport(p.stdout, result.Verified); err != nil {
			return err
		}
	}
	if err := result.Verified.Err(); err != nil {
		return errors.Join(err, undelivered)
	}
	if cfg.CDN != nil && undelivered == nil {
		undelivered = p.seePublished(ctx, cfg, b, result.Delivery, signing.keyring, added)
	}
	var following bool
	result.Aliases, following, err = p.follow(ctx, cfg, signing, b, s.Name)
	if result.Aliases != nil && p.output == "text" {
		err = errors.Join(err, result.Aliases.Print(p.stdout))
	}
	if err == nil && result.Aliases != nil {
		err = outcome(result.Aliases)
	}
	if err = errors.Join(undelivered, err); err != nil || !following {
		return err
	}
	result.Settled = true
	return publisher.Settle(ctx, plan.Stream, plan.Live())
}

// listStreams brings the pages about a stream up to date after a publication.
func (p *program) listStreams(ctx context.Context, b bucket.Bucket, stream repo.Stream) error {
	state, err := repo.ReadState(ctx, b, stream.Name)
	if err != nil || !state.Exists() {
		return err
	}
	_, err = repo.List(ctx, b, []repo.Listed{state.Describe(&stream)})
	return err
}

// unshown tells what does not show the live publication of a stream although it should, since a run was cut off: what is left
// to do, and by which command.
func (p *program) unshown(ctx context.Context, cfg *config, b bucket.Bucket, name string) ([]string, error) {
	s, err := cfg.stream(name)
	if err != nil {
		return nil, err
	}
	state, err := repo.ReadState(ctx, b, layout.Stream(name))
	if err != nil || !state.Exists() {
		return nil, err
	}
	var left []string
	stream := cfg.repoStream(s)
	list, err := repo.ReadList(ctx, b)
	if err != nil {
		return nil, err
	}
	if len(repo.Unlisted(list, []repo.Listed{state.Describe(&stream)})) > 0 {
		left = append(left, fmt.Sprintf("%s does not list serial %d yet", layout.Streams, state.Head.Serial))
	}
	if f := state.Manifest.Follows; f != nil {
		followed, err := repo.ReadState(ctx, b, f.Stream)
		if err != nil {
			return nil, err
		}
		if followed.Exists() && !state.Shows(followed) {
			left = append(left, fmt.Sprintf("it follows %s and has the packages of serial %d, not those of %d", f.Stream, f.Serial, followed.Head.Serial))
		}
	}
	if cfg.CDN != nil && len(left) == 0 {
		settled, err := repo.Settled(ctx, b, state)
		if err != nil {
			return nil, err
		}
		if !settled {
			left = append(left, fmt.Sprintf("no run has noted that %s shows serial %d", cfg.URL, state.Head.Serial))
		}
	}
	return left, nil
}

// unshownError says that a stream is right, and that not everything shows it which should.
type unshownError struct {
	stream string
	left   []string // what unshown tells
}

func (e *unshownError) Error() string {
	return fmt.Sprintf("stream %s: %s: the run that published it was cut off, or is still on its way; `pkgs reconcile %s --confirm` brings it to its end, as any publication does",
		e.stream, strings.Join(e.left, ", and "), e.stream)
}
