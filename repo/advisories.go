package repo

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/repo/yum"
)

// Notice is an advisory of the configuration about rpms, by the names that people give them.
type Notice struct {
	yum.Notice
	// Elsewhere says that the notice stands for all streams: what it names may belong to others.
	Elsewhere bool
}

// AdvisoryChange is one advisory that comes to the index of a stream, changes in it or leaves it.
type AdvisoryChange struct {
	// Change is new, changed or removed.
	Change   string `json:"change"`
	ID       string `json:"id"`
	Type     string `json:"type"`
	Severity string `json:"severity,omitempty"`
	Title    string `json:"title"`
	// Packages are the files of the rpms that it is about.
	Packages []string `json:"packages"`
}

// UnmetAdvisory is a package that an advisory names and that a stream should have and has not.
type UnmetAdvisory struct {
	ID      string `json:"id"`
	Package string `json:"package"`
}

func (u UnmetAdvisory) String() string {
	return fmt.Sprintf("advisory %s names %s, which is not in the index", u.ID, u.Package)
}

// The kinds of an AdvisoryChange.
const (
	AdvisoryNew     = "new"
	AdvisoryChanged = "changed"
	AdvisoryRemoved = "removed"
)

// advise gives contents the advisories that they shall have: those of the stream's notices, or where it has none to say,
// the ones that were published. What is about no package of the contents is left out. unmet are the names in notices that the
// stream should have a package of and has not, but for those that somebody withdrew.
func (s *Stream) advise(c *Contents, published []yum.Advisory, withdrawn []Withdrawn) (unmet []UnmetAdvisory) {
	if s.Advisories == nil {
		c.Advisories = remaining(published, c.Rpms)
		return nil
	}
	notices := make([]yum.Notice, len(s.Advisories))
	elsewhere := map[string]bool{}
	for i, n := range s.Advisories {
		notices[i], elsewhere[n.ID] = n.Notice, n.Elsewhere
	}
	var missing []yum.Unmet
	c.Advisories, missing = yum.Resolve(notices, func(yield func(yum.AdvisedPackage) bool) {
		for _, p := range c.Rpms {
			if !yield(p.Advised()) {
				return
			}
		}
	})
	for _, u := range missing {
		held := slices.ContainsFunc(withdrawn, func(w Withdrawn) bool {
			rpm, ok := strings.CutSuffix(path.Base(w.Name), ".rpm")
			return ok && (rpm == u.Named || strings.TrimSuffix(rpm, path.Ext(rpm)) == u.Named)
		})
		if !held && (!elsewhere[u.ID] || s.holds(u.Named)) {
			unmet = append(unmet, UnmetAdvisory{u.ID, u.Named})
		}
	}
	return unmet
}

// holds tells whether a package of that name in a notice would be in this stream and in no other.
func (s *Stream) holds(named string) bool {
	name, version := yum.SplitNamed(named)
	return s.Members[name].Main && s.admit("", name, version) == nil
}

// remaining are advisories as far as they are about packages that are there.
func remaining(advisories []yum.Advisory, rpms []*yum.Package) []yum.Advisory {
	there := map[yum.AdvisedPackage]bool{}
	for _, p := range rpms {
		there[p.Advised()] = true
	}
	var left []yum.Advisory
	for _, a := range advisories {
		a.Packages = slices.DeleteFunc(slices.Clone(a.Packages), func(p yum.AdvisedPackage) bool {
			p.SourceRPM = ""
			return !there[p]
		})
		if len(a.Packages) > 0 {
			left = append(left, a)
		}
	}
	return left
}

// advisoryChanges compares advisories, in the order of their IDs.
func advisoryChanges(before, after []yum.Advisory) []AdvisoryChange {
	var changes []AdvisoryChange
	find := func(list []yum.Advisory, id string) *yum.Advisory {
		i := slices.IndexFunc(list, func(a yum.Advisory) bool { return a.ID == id })
		if i < 0 {
			return nil
		}
		return &list[i]
	}
	note := func(change string, a *yum.Advisory) {
		c := AdvisoryChange{Change: change, ID: a.ID, Type: a.Type, Severity: a.Severity, Title: a.Title}
		for _, p := range a.Packages {
			c.Packages = append(c.Packages, p.File)
		}
		changes = append(changes, c)
	}
	for i := range after {
		a := &after[i]
		if old := find(before, a.ID); old == nil {
			note(AdvisoryNew, a)
		} else if old.XML() != a.XML() {
			note(AdvisoryChanged, a)
		}
	}
	for i := range before {
		if a := &before[i]; find(after, a.ID) == nil {
			note(AdvisoryRemoved, a)
		}
	}
	slices.SortFunc(changes, func(a, b AdvisoryChange) int { return cmp.Compare(a.ID, b.ID) })
	return changes
}

// readvised tells whether the notices make other advisories of the packages that a stream has now than it has published.
func (p *Publisher) readvised(ctx context.Context, stream *Stream, state *State, plan *Plan) (bool, error) {
	l := &liveIndex{bucket: p.Bucket, stream: stream.Name, manifest: &state.Manifest, trusted: p.Keyring, at: p.Now().UTC()}
	rpms, published, err := l.rpms(ctx)
	if err != nil {
		return false, err
	}
	c := Contents{Rpms: rpms}
	plan.Unmet = stream.advise(&c, published, state.Manifest.Withdrawn)
	return len(advisoryChanges(published, c.Advisories)) > 0, nil
}

// advisoryReason says in a few words why there is a publication that changes advisories alone.
func advisoryReason(changes []AdvisoryChange) string {
	const most = 5
	var ids []string
	for _, c := range changes[:min(len(changes), most)] {
		ids = append(ids, c.ID)
	}
	reason := "advisories: " + strings.Join(ids, ", ")
	if more := len(changes) - most; more > 0 {
		reason += fmt.Sprintf(" and %d more", more)
	}
	return reason
}

// printAdvisories writes the advisories of a plan or a review for a person.
func printAdvisories(b *strings.Builder, changes []AdvisoryChange) {
	for _, c := range changes {
		what := c.Type
		if c.Severity != "" {
			what += ", " + c.Severity
		}
		fmt.Fprintf(b, "  advisory %s, %s: %s (%s), about %s\n", c.ID, c.Change, c.Title, what, Count(len(c.Packages), "rpm"))
	}
}
