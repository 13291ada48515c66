package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/cdn"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/verify"
)

func newPurge(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "purge [STREAM...]",
		Short: "Make the CDN show what is published",
		Long: `Purge asks the CDN that the configuration names in cdn.purge to forget every object of the streams named, or of all,
whose bytes change: InRelease, repomd.xml, mirrorlist and the others that clients start from. Then it asks for them by
their public address until they are those of the last publication.

Every publication does this for what it changed. So this is for when that did not work. It changes nothing in the bucket,
needs no key, and does no harm when there is nothing to purge.`,
		Example: `  pkgs purge core:/stable:/v1.35
  pkgs purge`,
		RunE: func(cmd *cobra.Command, names []string) error {
			cfg, err := readConfig(p.configFile)
			if err != nil {
				return err
			}
			if cfg.CDN == nil || cfg.CDN.Purge == nil {
				return usagef("%s does not say how to purge its CDN: add cdn.purge, which the README describes", cfg.file)
			}
			b, err := p.openBucket(cfg.address(cfg.Bucket))
			if err != nil {
				return err
			}
			all := len(names) == 0
			if all {
				if names, err = cfg.published(cmd.Context(), b); err != nil {
					return err
				}
			}
			deliveries := []*delivery{}
			var problems []error
			for _, name := range names {
				if _, err := cfg.stream(name); err != nil {
					return err
				}
				d, err := p.redeliver(cmd.Context(), cfg, b, p.newDelivery(cfg, layout.Stream(name), 0))
				if d == nil && err == nil && !all {
					err = neverPublished(cmd.Context(), verify.FromBucket(b), name)
				}
				if d != nil {
					deliveries = append(deliveries, d)
				}
				problems = append(problems, err)
			}
			if p.output == "json" {
				problems = append(problems, p.printJSON(deliveries))
			}
			return errors.Join(problems...)
		},
	}
}

// delivery is how a publication came through the CDN.
type delivery struct {
	Stream layout.Stream `json:"stream"`
	// Serial is the publication that was to be seen.
	Serial int64 `json:"serial"`
	// CDN is what was purged of the objects Purged; empty when there is nothing to purge.
	CDN    string   `json:"cdn,omitempty"`
	Purged []string `json:"purged"`
	// Seen is how many pointers had the right bytes at the public address URL, which are all or, when that was not waited
	// for, none.
	URL  string `json:"url"`
	Seen int    `json:"seen"`
	// Verified is the check of the packages that are new, read from the public address.
	Verified *verify.Report `json:"verified,omitempty"`
	Stale    []cdn.Stale    `json:"stale,omitempty"`
	Problem  string         `json:"problem,omitempty"`

	// advice is what to do when it fails.
	advice string
	// out is where it is told how far it is.
	out io.Writer
}

func (p *program) newDelivery(cfg *config, stream layout.Stream, serial int64) *delivery {
	d := &delivery{Stream: stream, Serial: serial, URL: cfg.URL, Purged: []string{}, out: p.stdout}
	if p.output != "text" {
		d.out = io.Discard
	}
	if d.advice = fmt.Sprintf("run `pkgs purge %s` to try again", stream); cfg.CDN.Purge == nil {
		d.advice = fmt.Sprintf("look at how the CDN caches it, or configure cdn.purge; `pkgs verify %s --url %s` tells when it does", stream, cfg.URL)
	}
	return d
}

// purgeChanged purges what a plan changed that was just executed, and all pointers where another run was cut off that may have
// changed any. It goes before anything else is done, so that users do not wait for it; an error leaves the publication as it
// is.
func (p *program) purgeChanged(ctx context.Context, cfg *config, b bucket.Bucket, plan *repo.Plan) (*delivery, error) {
	d := p.newDelivery(cfg, plan.Stream, plan.Serial)
	names := visible(plan)
	if plan.Unsettled || len(plan.Finish) > 0 {
		state, err := repo.ReadState(ctx, b, plan.Stream)
		if err != nil {
			return d, d.failed(err)
		}
		names = pointerNames(state)
	}
	return d, d.failed(p.purge(ctx, cfg, d, names))
}

// pointerNames are the names of the pointers of a stream's live publication.
func pointerNames(state *repo.State) []string {
	var names []string
	for _, pointer := range state.Pointers() {
		names = append(names, pointer.Name)
	}
	return names
}

// visible are the names of the objects that caches may have older bytes of, once a plan is executed.
func visible(plan *repo.Plan) []string {
	var names []string
	for _, o := range plan.Visible() {
		names = append(names, o.Name)
	}
	return names
}

// seePublished waits until the public address shows a publication, and checks from there the packages that it added, whose
// names below the bucket's root are added. Packages that the CDN does not have although the bucket does are purged once,
// too: it may have been asked for them before they existed, and remember that.
func (p *program) seePublished(ctx context.Context, cfg *config, b bucket.Bucket, d *delivery, trusted *keys.Keyring, added map[string]bool) error {
	look, err := p.see(ctx, cfg, b, d)
	if err != nil || !look {
		return d.failed(err)
	}
	source, err := verify.FromURL(cfg.URL, &http.Client{Timeout: 30 * time.Minute})
	if err != nil {
		return d.failed(err)
	}
	selected := func(name string) bool { return added[name] }
	if d.Verified, err = p.verify(ctx, cfg, source, trusted, d.Stream, selected); err != nil {
		return d.failed(err)
	}
	var lost []string
	for _, f := range d.Verified.Findings {
		if !slices.Contains(lost, f.Object) && !slices.Contains(d.Purged, f.Object) {
			lost = append(lost, f.Object)
		}
	}
	if len(lost) > 0 && d.CDN != "" {
		p.log.Warn("purge what the CDN does not have right", "objects", len(lost), "first", d.Verified.Findings[0].String())
		if err := p.purge(ctx, cfg, d, lost); err != nil {
			return d.failed(err)
		}
		if d.Verified, err = p.verify(ctx, cfg, source, trusted, d.Stream, selected); err != nil {
			return d.failed(err)
		}
	}
	if err := printReport(d.out, d.Verified); err != nil {
		return err
	}
	return d.Verified.Err()
}

// redeliver purges all pointers of a stream and waits until they are seen. It returns nil for a stream that was never
// published, and d otherwise.
func (p *program) redeliver(ctx context.Context, cfg *config, b bucket.Bucket, d *delivery) (*delivery, error) {
	state, err := repo.ReadState(ctx, b, d.Stream)
	if err != nil || !state.Exists() {
		return nil, err
	}
	d.Serial = state.Head.Serial
	if err := p.purge(ctx, cfg, d, pointerNames(state)); err != nil {
		return d, d.failed(err)
	}
	_, err = p.see(ctx, cfg, b, d)
	return d, d.failed(err)
}

// purge makes the CDN forget objects, if there is one that can be purged.
func (p *program) purge(ctx context.Context, cfg *config, d *delivery, names []string) error {
	c, err := p.openCDN(cfg)
	if err != nil || c == nil {
		return err
	}
	if err := c.Purge(ctx, names); err != nil {
		return err
	}
	d.CDN = c.Form.String()
	d.Purged = append(d.Purged, names...)
	fmt.Fprintf(d.out, "purged %s of %s of %s\n", d.CDN, repo.Count(len(names), "object"), d.Stream)
	return nil
}

// see waits until the pointers at the public address are those of the last publication. It returns false if the
// configuration does not want that.
func (p *program) see(ctx context.Context, cfg *config, b bucket.Bucket, d *delivery) (bool, error) {
	var state *repo.State
	reader := p.readBack(cfg, func(ctx context.Context) (objects []cdn.Object, err error) {
		if state, err = repo.ReadState(ctx, b, d.Stream); err != nil {
			return nil, err
		}
		d.Serial = state.Head.Serial
		for _, o := range state.Pointers() {
			objects = append(objects, cdn.Object{Name: o.Name, Size: o.Size, SHA256: o.SHA256})
		}
		return objects, nil
	})
	if reader == nil {
		return false, nil
	}
	show := p.progress("read back")
	defer show.done()
	if d.out != io.Discard {
		reader.Round = show.reading
	}
	seen, err := reader.Run(ctx)
	show.done()
	var stale *cdn.StaleError
	if errors.As(err, &stale) {
		d.Stale = stale.Stale
		first := stale.Stale[0]
		// What is served instead is worth knowing, and no error of its own when it cannot be found out.
		if serial, findErr := repo.SerialOf(ctx, b, state, first.Name, first.Have, maxLooked); findErr == nil && serial > 0 {
			err = fmt.Errorf("%w: those of serial %d", err, serial)
		}
		return true, err
	}
	if err == nil {
		d.Seen = seen
		fmt.Fprintf(d.out, "seen serial %d of %s at %s\n", d.Serial, d.Stream, d.URL)
	}
	return true, err
}

// maxLooked is in how many earlier publications is looked for what a CDN serves.
const maxLooked = 100

// failed notes why a delivery failed, and says what that means and what to do.
func (d *delivery) failed(err error) error {
	if err == nil {
		return nil
	}
	d.Problem = err.Error()
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("serial %d of %s is published, but does not show at %s yet: %w: %s", d.Serial, d.Stream, d.URL, err, d.advice)
}

// reading shows how many pointers are seen already.
func (s *progress) reading(right, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.show(fmt.Sprintf("%d of %d pointers are what was published", right, all))
}
