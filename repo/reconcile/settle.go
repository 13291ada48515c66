package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/layout"
)

// list compares the pages that list the streams with what the streams are, and brings them up to date if that is confirmed. It
// tells whether they are. A page that lacks what this very run has published is no finding.
func (r *Report) list(ctx context.Context, cfg Config) bool {
	var listed []repo.Listed
	changed := map[layout.Stream]bool{}
	for _, s := range r.Streams {
		if s.Serial > 0 {
			listed = append(listed, repo.Listed{Stream: s.Stream, Latest: s.Latest, Serial: s.Serial, Time: s.Published, Packages: s.Packages, Follows: s.Follows})
			changed[s.Stream] = s.Changed
		}
	}
	fail := func(kind Kind, err error) bool {
		r.Findings = append(r.Findings, Finding{Kind: kind, Severity: Drift, Object: layout.Streams, Detail: err.Error()})
		return false
	}
	list, err := repo.ReadList(ctx, cfg.Publisher.Bucket)
	if err != nil {
		return fail(Failed, err)
	}
	r.unconfigured(cfg, list)
	unlisted := repo.Unlisted(list, listed)
	if len(unlisted) == 0 {
		return true
	}
	if cfg.Confirm {
		if r.Pages, err = repo.List(ctx, cfg.Publisher.Bucket, unlisted); err != nil {
			return fail(Failed, err)
		}
	}
	for _, s := range unlisted {
		if i := slices.IndexFunc(r.Streams, func(report *StreamReport) bool { return report.Stream == s.Stream }); !changed[s.Stream] {
			r.Streams[i].Findings = append(r.Streams[i].Findings, Finding{Kind: Page, Severity: Repair, Object: layout.Streams, Repaired: cfg.Confirm,
				Detail: "does not list what is live: the run that published it was cut off"})
		}
	}
	if cfg.Purge != nil && len(r.Pages) > 0 {
		if err := cfg.Purge(ctx, r.Pages); err != nil {
			return fail(Purge, err)
		}
	}
	return cfg.Confirm
}

// unconfigured tells of streams that are in the bucket and not in the configuration. As long as somebody signs them anew,
// another configuration has them. When nobody did for half of the time that clients accept an index, a person has to look:
// they will refuse it. Nothing is deleted.
func (r *Report) unconfigured(cfg Config, list []repo.Listed) {
	if cfg.Configured == nil {
		return
	}
	for _, s := range list {
		if cfg.Configured(s.Stream) {
			continue
		}
		f := Finding{Kind: Unconfigured, Severity: Info, Object: string(s.Stream), Detail: "is in the bucket and not in this configuration"}
		if age := r.Time.Sub(s.Time); age > max(cfg.Publisher.Validity/2, cfg.Refresh+24*time.Hour) {
			f.Severity = Drift
			f.Detail += fmt.Sprintf(": nobody has signed it for %s, and clients will refuse it: add it, as state: frozen if nothing is to come to it", days(age))
		}
		r.Findings = append(r.Findings, f)
	}
}

// settle notes the streams whose live publication is shown by everything that should show it. That an alias does, this run
// must have seen.
func (r *Report) settle(ctx context.Context, cfg Config, runs []*run) {
	shown := map[layout.Stream]bool{}
	for _, run := range runs {
		shown[run.stream.Name] = run.shown
	}
	for i, run := range runs {
		if !run.shown || !run.state.Exists() || slices.ContainsFunc(run.stream.Aliases, func(alias layout.Stream) bool { return !shown[alias] }) {
			continue
		}
		settled, err := false, error(nil)
		if !r.Streams[i].Changed {
			settled, err = repo.Settled(ctx, cfg.Publisher.Bucket, run.state)
		}
		if err == nil && !settled {
			err = cfg.Publisher.Settle(ctx, run.stream.Name, run.state.Live())
		}
		if err != nil {
			r.Streams[i].Findings = append(r.Streams[i].Findings, Finding{Kind: Failed, Severity: Drift, Object: run.stream.Name.Settled(), Detail: err.Error()})
		}
	}
}
