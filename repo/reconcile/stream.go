package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/layout"
)

// attempts is how often a stream is tried again that somebody else published in the meantime.
const attempts = 3

// run is the reconciliation of one stream.
type run struct {
	Config
	stream Stream
	report *StreamReport
	state  *repo.State
	peers  *sync.Map
	// unpurged tells that the CDN could not be asked to forget something.
	unpurged bool
	shown    bool         // whether all that shows the live publication does, but for lists and aliases
	adopt    []string     // attestations that a run left which died
	box      *repo.Outbox // nil where nothing is asked for
}

// unshown tells of a finding whether it leaves something that does not show the live publication.
func unshown(f Finding) bool {
	switch f.Kind {
	case Behind, Unfinished, Displaced, Unreadable, Stale, Purge, Failed:
		return f.open()
	}
	return false
}

func (r *run) add(kind Kind, severity Severity, object, format string, args ...any) {
	r.report.Findings = append(r.report.Findings, Finding{Kind: kind, Severity: severity, Object: object, Detail: fmt.Sprintf(format, args...)})
}

// reconcile does everything for the stream, over again when somebody else published it in between.
func (r *run) reconcile(ctx context.Context) *StreamReport {
	start := r.Publisher.Now()
	for attempt := 1; ; attempt++ {
		r.report = &StreamReport{Stream: r.stream.Name, Frozen: r.stream.Frozen, Findings: []Finding{}}
		r.unpurged = false
		if r.Unsigned != "" && r.Publisher.Signer == nil {
			r.box = r.Publisher.Outbox(filepath.Join(r.Unsigned, filepath.FromSlash(string(r.stream.Name))), r.stream.Name)
		}
		err := r.within(ctx)
		var race *repo.RaceError
		if errors.As(err, &race) && attempt < attempts && ctx.Err() == nil {
			r.Log.Info("somebody else published in the meantime: start over", "stream", r.stream.Name, "serial", race.Serial)
			continue
		}
		var taken *repo.TakenError
		if errors.As(err, &taken) && attempt < attempts && r.adopt == nil {
			r.Log.Info("a run that died left attestations: start over with those", "stream", r.stream.Name, "attestations", len(taken.Names))
			r.adopt = taken.Names
			continue
		}
		if err != nil {
			r.report.Raced = race != nil
			r.fail(err)
		}
		r.shown = err == nil && !slices.ContainsFunc(r.report.Findings, unshown)
		break
	}
	if r.state != nil {
		r.describe()
	}
	slices.SortStableFunc(r.report.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Object, b.Object))
	})
	r.report.Seconds = r.Publisher.Now().Sub(start).Seconds()
	return r.report
}

// within gives once a directory for packages, which are needed until they are published.
func (r *run) within(ctx context.Context) error {
	work, err := os.MkdirTemp(r.Work, "pkgs-reconcile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	return r.once(ctx, work)
}

// fail files an error under what it means.
func (r *run) fail(err error) {
	var gate *repo.GateError
	var changed *repo.ChangedError
	var immutable *repo.ImmutableError
	switch {
	case errors.As(err, &gate):
		for _, problem := range gate.Problems {
			r.add(Refused, Drift, "", "%s", problem)
		}
	case errors.As(err, &changed):
		r.add(Source, Alarm, changed.Name, "%v", err)
	case errors.As(err, &immutable):
		r.add(Altered, Alarm, immutable.Name, "%v", err)
	default:
		r.add(Failed, Drift, "", "%v", err)
	}
}

// once looks at the stream, decides, plans and, if confirmed, executes.
func (r *run) once(ctx context.Context, work string) error {
	var err error
	if r.state, err = repo.ReadState(ctx, r.Publisher.Bucket, r.stream.Name); err != nil {
		if ctx.Err() == nil {
			r.add(Unreadable, Alarm, r.stream.Name.Head(), "%v", err)
			return nil
		}
		return err
	}
	change := repo.Change{Base: r.state, Backfill: true, Adopt: r.adopt}
	var lost []string
	if r.state.Exists() {
		if lost, err = r.inspect(ctx, &change); err != nil {
			return err
		}
		if err := r.age(&change); err != nil {
			return err
		}
		if err := r.reread(ctx, &change, lost, work); err != nil {
			return err
		}
	}
	var missing []Package
	if r.stream.alias() {
		r.follow(ctx, &change)
	} else {
		r.keyring()
		missing = r.missing(ctx, &change)
	}
	if err := r.restore(ctx, &change, lost, work); err != nil {
		return err
	}
	if r.Publisher.Signer != nil {
		return r.publish(ctx, change, missing, work)
	}
	// What needs no signature comes first: asking for one reads the index, of which something may have been lost.
	if r.state.Exists() {
		advisories := r.stream.Advisories
		r.stream.Advisories = nil // leaves them as they are
		err := r.publish(ctx, repo.Change{Base: r.state, Restore: change.Restore, Repoint: change.Repoint}, nil, work)
		if r.stream.Advisories = advisories; err != nil {
			return err
		}
	}
	change.Base, change.Restore, change.Repoint = r.state, nil, false
	return r.ask(ctx, change, missing, work)
}

// publish plans a change and, if confirmed, carries it out.
func (r *run) publish(ctx context.Context, change repo.Change, missing []Package, work string) error {
	plan, err := r.plan(ctx, change, missing, work)
	if err != nil || plan == nil {
		return err
	}
	r.report.Plan = plan
	r.advisories(plan, len(missing) > 0)
	if len(plan.Finish) > 0 && !change.Repoint {
		r.add(Unfinished, Repair, "", "serial %d was committed and not brought to all pointers: %s", plan.From, strings.Join(plan.Finish, ", "))
	}
	if r.Confirm && !plan.Empty() {
		// Nothing in it follows from the publication: so it goes first, and no run that dies leaves it to the next change.
		names, err := r.Publisher.Site(ctx, r.stream.Name)
		if err != nil {
			return err
		}
		if err := r.Publisher.Execute(ctx, plan); err != nil {
			return err
		}
		r.report.Changed = true
		r.repaired()
		if r.state, err = repo.ReadState(ctx, r.Publisher.Bucket, r.stream.Name); err != nil {
			return err
		}
		r.named()
		for _, o := range plan.Visible() {
			names = append(names, o.Name)
		}
		r.purge(ctx, names)
	}
	return r.readBack(ctx, plan)
}

// advisories tells what the plan changes about advisories, and which of them cannot be published whole. As long as packages
// are missing that this run does not make, they may be about those.
func (r *run) advisories(plan *repo.Plan, missing bool) {
	for _, a := range plan.Advisories {
		r.add(Advisory, r.bySigning(), "", "%s is %s: %s", a.ID, a.Change, a.Title)
	}
	for _, u := range plan.Unmet {
		severity := Drift
		if missing && !r.Confirm {
			severity = Info
		}
		r.add(Advisory, severity, "", "%s", u)
	}
}

// repaired marks what the plan that was carried out put right.
func (r *run) repaired() {
	for i := range r.report.Findings {
		if f := &r.report.Findings[i]; f.Severity == Repair {
			f.Repaired = true
		}
	}
}

// named marks objects as put right that a run which died had left, and that the new publication names.
func (r *run) named() {
	for i := range r.report.Findings {
		f := &r.report.Findings[i]
		_, ok := r.state.Object(strings.TrimPrefix(f.Object, string(r.stream.Name)+"/"))
		f.Repaired = f.Repaired || f.Kind == Extra && ok
	}
}

// bySigning is the severity of what a new signature repairs.
func (r *run) bySigning() Severity {
	if r.Publisher.Signer == nil {
		return Drift
	}
	return Repair
}

// restore has lost objects put back, by the bytes that they had or by a new publication.
func (r *run) restore(ctx context.Context, change *repo.Change, lost []string, work string) error {
	if len(lost) == 0 {
		return nil
	}
	var err error
	if change.Restore, err = r.recover(ctx, lost, filepath.Join(work, "lost")); err != nil {
		return err
	}
	for _, name := range lost {
		if _, ok := change.Restore[name]; ok {
			r.add(Lost, Repair, name, "is put back with the bytes that it had")
			continue
		}
		if layout.ClassOf(name) == layout.Hashed {
			change.Resign, change.Reason = true, "replaces a lost index"
			r.add(Lost, r.bySigning(), name, "cannot be had again, and is replaced by a new publication")
			continue
		}
		r.add(Lost, Alarm, name, "cannot be had again with the bytes that it had: yank it, or bring it back from a backup")
	}
	return nil
}

// plan makes what is missing and plans the change. A run that is not confirmed makes nothing, and so plans without.
func (r *run) plan(ctx context.Context, change repo.Change, missing []Package, work string) (*repo.Plan, error) {
	var err error
	if r.Confirm && len(missing) > 0 {
		dir := filepath.Join(work, "missing")
		r.make(ctx, missing, dir)
		if change.Add, err = repo.ReadFiles(ctx, dir); err != nil {
			return nil, err
		}
	}
	if !r.state.Exists() && (change.Add == nil || change.Add.Empty()) && change.Follow == nil {
		return nil, nil
	}
	return r.Publisher.Plan(ctx, r.stream.Stream, change)
}

// describe fills in what the report says of the live publication.
func (r *run) describe() {
	s := r.report
	s.Serial, s.Published, s.ValidUntil, s.Packages = r.state.Head.Serial, r.state.Head.Time, r.state.ValidUntil(), len(r.state.Packages())
	s.Latest = r.state.Describe(&r.stream.Stream).Latest
	versions := map[string]bool{}
	for _, p := range r.published() {
		if r.stream.Members[p.Name].Main {
			versions[p.Version] = true
		}
	}
	s.Versions = len(versions)
	for _, name := range r.newest() {
		o, _ := r.state.Object(name)
		s.PackageBytes += o.Size
	}
	for _, p := range r.state.Manifest.Pointers {
		s.IndexBytes += p.Size
	}
}
