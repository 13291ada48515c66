package reconcile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/cdn"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/verify"
)

// inspect compares the bucket with the manifest. It returns the objects that are lost.
func (r *run) inspect(ctx context.Context, change *repo.Change) (lost []string, err error) {
	if err := r.state.Verify(r.Publisher.Keyring, r.Publisher.Now().UTC()); err != nil {
		r.add(Unverifiable, Alarm, r.stream.Name.Deb(layout.InRelease), "%v", err)
	}
	if r.Quick {
		return nil, nil
	}
	found, err := repo.Inspect(ctx, r.Publisher.Bucket, r.state)
	if err != nil {
		return nil, err
	}
	r.report.Objects, r.report.Bytes, r.report.Older, r.report.OlderBytes = found.Objects, found.Bytes, found.Older, found.OlderBytes
	for _, d := range found.Damage {
		switch {
		case d.Kind == repo.Lost && strings.HasPrefix(d.Object.Name, ".state/"):
			r.add(Chain, Alarm, d.Object.Name, "%s", d.Detail)
		case d.Kind == repo.Lost:
			lost = append(lost, d.Object.Name)
		case d.Kind == repo.Altered:
			r.add(Altered, Alarm, d.Object.Name, "%s: find out who wrote it; clients refuse it, and it is not overwritten", d.Detail)
		case d.Kind == repo.Displaced:
			change.Repoint = true
			r.add(Displaced, Repair, d.Object.Name, "%s", d.Detail)
		case d.Kind == repo.Extra:
			r.add(Extra, Drift, d.Object.Name, "%s", d.Detail)
		}
	}
	return lost, r.records(ctx)
}

// records follows the record of all publications, and asks upstream whether what the newest packages were made of is what
// it still promises.
func (r *run) records(ctx context.Context) error {
	if r.Deep {
		_, err := repo.History(ctx, r.Publisher.Bucket, r.stream.Name, 0)
		var chain *repo.ChainError
		if errors.As(err, &chain) {
			r.add(Chain, Alarm, "", "%v", err)
		} else if err != nil {
			return err
		}
	}
	if r.stream.alias() || !r.Deep && r.Cache == "" {
		return nil // of an alias the stream that it follows tells that
	}
	seen := map[string]bool{}
	for _, name := range r.newest() {
		o, ok := r.state.Object(name + layout.Provenance)
		if !ok {
			continue
		}
		statement, err := r.attestation(ctx, o)
		if err != nil {
			r.Log.Info("a provenance cannot be read", "object", o.Name, "error", err)
			continue // what is lost or altered has been found already
		}
		changed, err := r.Upstream.Changed(ctx, statement)
		if err != nil {
			r.Log.Info("what upstream promises now cannot be found out", "package", name, "error", err)
			continue
		}
		for _, c := range changed {
			if !seen[c] {
				seen[c] = true
				r.add(Source, Alarm, c, "%s was made of other bytes than upstream promises now", name)
			}
		}
	}
	return nil
}

// reread compares, in depth, what the index says of each package with the package, and has records that do not match made
// anew. That is left for another time while something is lost, maybe the index, and for a person where no key is at hand.
func (r *run) reread(ctx context.Context, change *repo.Change, lost []string, work string) error {
	if !r.Deep || len(lost) > 0 {
		return nil
	}
	records, err := r.Publisher.Reread(ctx, r.state, work)
	if err != nil {
		// An index that cannot be read is found, and told of, where it is read as a client does.
		r.Log.Warn("packages cannot be compared with their records", "stream", r.stream.Name, "error", err)
		return ctx.Err()
	}
	for _, m := range records.Mismatches {
		severity := Drift
		if records.Replaces(m.Name) && r.Publisher.Signer != nil {
			severity = Repair
		}
		r.add(Record, severity, string(r.stream.Name)+"/"+m.Name, "%s", m.Detail)
	}
	if r.Publisher.Signer != nil {
		change.Records = records
	}
	return nil
}

// attestation reads an attestation from the cache or the bucket.
func (r *run) attestation(ctx context.Context, o repo.Object) ([]byte, error) {
	cached := filepath.Join(r.Cache, o.SHA256)
	if r.Cache != "" {
		if data, err := os.ReadFile(cached); err == nil && digest(data) == o.SHA256 {
			return data, nil
		}
	}
	data, err := repo.ReadObject(ctx, r.Publisher.Bucket, o)
	if err != nil || r.Cache == "" {
		return data, err
	}
	if err := os.MkdirAll(r.Cache, 0o755); err != nil {
		return nil, err
	}
	return data, os.WriteFile(cached, data, 0o644)
}

// age has an index signed anew that is older than it should become, or that other keys signed than should.
func (r *run) age(change *repo.Change) error {
	outdated, err := r.Publisher.Outdated(r.state)
	if err != nil {
		return err
	}
	if outdated != "" {
		change.Resign, change.Reason = true, outdated
		r.add(Rekeyed, r.bySigning(), "", "%s", outdated)
	}
	now := r.Publisher.Now().UTC()
	if age := now.Sub(r.state.Head.Time); age >= r.Refresh {
		change.Resign, change.Reason = true, "signed anew"
		r.add(Expiring, r.bySigning(), "", "was signed %s ago%s", days(age), r.untilExpiry(now))
	}
	return nil
}

// keyring tells that the stream lacks the package that brings its users the keys. The plan of any change brings it along, in a
// frozen stream as well. Why there cannot be one, if that is so, the plan says.
func (r *run) keyring() {
	lacks, err := r.Publisher.LacksKeyring(&r.stream.Stream, r.state)
	if !lacks || err != nil {
		return
	}
	r.add(Missing, r.bySigning(), "", "is not published: %s %s, the keyring that users should have", r.Publisher.KeyringPackage.Name, r.Publisher.KeyringPackage.Version)
}

func (r *run) untilExpiry(now time.Time) string {
	if until := r.state.ValidUntil(); !until.IsZero() {
		return fmt.Sprintf(", and clients refuse it in %s", days(until.Sub(now)))
	}
	return ""
}

func days(d time.Duration) string { return fmt.Sprintf("%.1f days", d.Hours()/24) }

// readBack checks that a client of the public address gets what is live, and after a change, or in depth, that it is right.
func (r *run) readBack(ctx context.Context, plan *repo.Plan) error {
	if !r.state.Exists() {
		return nil
	}
	if r.Public != nil {
		if err := r.show(ctx); err != nil {
			r.add(Stale, Drift, "", "the public address cannot be read: %v", err)
		}
	}
	if !r.Deep && !r.report.Changed {
		return nil
	}
	added := map[string]bool{}
	for _, name := range plan.Added {
		added[string(r.stream.Name)+"/"+name] = true
	}
	findings, err := r.asClient(ctx, verify.FromBucket(r.Publisher.Bucket), func(name string) bool { return r.Deep || added[name] })
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, f := range r.report.Findings {
		known[f.Object] = f.Object != ""
	}
	for _, f := range findings {
		if !known[f.Object] {
			r.add(Damaged, Alarm, f.Object, "%s", f)
		}
	}
	if r.Public == nil || len(added) == 0 || !r.report.Changed || len(findings) > 0 {
		return nil
	}
	return r.showAdded(ctx, func(name string) bool { return added[name] })
}

// asClient reads the stream as a client does.
func (r *run) asClient(ctx context.Context, source verify.Source, selected func(string) bool) ([]verify.Finding, error) {
	report, err := verify.Stream(ctx, verify.Config{
		Source: source, Keyring: r.Publisher.Keyring, Now: r.Publisher.Now().UTC(), Packages: selected, KeyringPackage: r.Publisher.KeyringName(),
	}, r.stream.Name)
	if err != nil {
		return nil, err
	}
	return report.Findings, nil
}

// showAdded checks that users get the packages that were just published. A CDN may have been asked for them before they
// existed and remember that there are none; then it is told to forget it.
func (r *run) showAdded(ctx context.Context, selected func(string) bool) error {
	public, err := verify.FromURL(r.Public.URL, &http.Client{Timeout: 30 * time.Minute})
	if err != nil {
		return err
	}
	findings, err := r.asClient(ctx, public, selected)
	for wait := r.Patience / 16; err == nil && len(findings) > 0 && wait < r.Patience; wait *= 2 {
		var names []string
		for _, f := range findings {
			names = append(names, f.Object)
		}
		if r.purge(ctx, names); r.unpurged {
			break
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		findings, err = r.asClient(ctx, public, selected)
	}
	if err != nil {
		r.add(Stale, Drift, "", "the public address cannot be read: %v", err)
		return ctx.Err()
	}
	for _, f := range findings {
		r.add(Stale, Drift, f.Object, "%s: %s", r.Public.URL, f)
	}
	return nil
}

// show checks that users are given the pointers of HEAD. Those that they are not are purged, and looked at again for some
// time.
func (r *run) show(ctx context.Context) error {
	var pointers []cdn.Object
	for _, p := range r.state.Pointers() {
		pointers = append(pointers, cdn.Object{Name: p.Name, Size: p.Size, SHA256: p.SHA256})
	}
	public := *r.Public
	public.Wait = r.Patience
	public.Objects = func(context.Context) ([]cdn.Object, error) { return pointers, nil }
	stale, err := public.Look(ctx, pointers)
	if err != nil || len(stale) == 0 {
		return err
	}
	still := stale
	if r.Confirm {
		var names []string
		for _, s := range stale {
			names = append(names, s.Name)
		}
		if r.purge(ctx, names); !r.unpurged {
			_, err := public.Run(ctx)
			var late *cdn.StaleError
			if errors.As(err, &late) {
				still = late.Stale
			} else if err != nil {
				return err
			} else {
				still = nil
			}
		}
	}
	for _, s := range stale {
		left := slices.ContainsFunc(still, func(other cdn.Stale) bool { return other.Name == s.Name })
		severity := Repair
		if left && (r.Confirm || r.Purge == nil) {
			severity = Drift
		}
		r.add(Stale, severity, s.Name, "serial %d is not shown: %s", r.state.Head.Serial, s)
		r.report.Findings[len(r.report.Findings)-1].Repaired = r.Confirm && severity == Repair
	}
	return nil
}

// purge asks the CDN to forget objects. When that fails once it is not tried again: waiting helps then, and nothing else.
func (r *run) purge(ctx context.Context, names []string) {
	if r.Purge == nil || r.unpurged {
		return
	}
	if err := r.Purge(ctx, names); err != nil {
		r.unpurged = true
		r.add(Purge, Drift, "", "%v", err)
	}
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// newest are the published packages of the newest version of each name.
func (r *run) newest() []string {
	latest := map[string]string{}
	for _, name := range r.state.Packages() {
		if p := parseName(name); apt.CompareVersions(p.Version, cmp.Or(latest[p.Name], "0~")) > 0 {
			latest[p.Name] = p.Version
		}
	}
	var names []string
	for _, name := range r.state.Packages() {
		if p := parseName(name); p.Version == latest[p.Name] {
			names = append(names, name)
		}
	}
	return names
}
