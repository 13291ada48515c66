// Package reconcile compares what streams are with what they should be, night after night: it repairs what is safe to
// repair and reports the rest so that a person can act.
//
// # What a stream should be
//
// [Upstream] says which packages a stream should have by now. Of these the stream lacks some, because their version is new,
// because an architecture or a format is missing, or because the bucket has lost them. All are made again and published
// through the same planner and executor as a cut. Three things are left alone: a frozen stream gets no new packages,
// packages that somebody withdrew do not come back, and a stream that keeps N versions does not get the ones before them.
//
// # What is repaired
//
// Everything is repaired forward, never by changing something published. Pointers that are not those of HEAD are written
// again from the manifest, lost objects are put back if the very bytes can be had, and an index that comes of age is
// signed anew. A deep look also compares what the index says of each package with the package, and makes records anew that
// do not match. An immutable object with other bytes than it was published with is an alarm: nobody but a person can tell
// whether the bytes or the record of them is right. All kinds of findings are listed with [Kind].
//
// # Aliases
//
// An alias is a stream that has the packages of another one: that of the newest minor version, by a name which stays the
// same. It has an index, a signature and names of its own, since clients ask their users when those of a repository change,
// and copies of the package files, which the store makes. Aliases are worked on when all other streams are done. They move
// forward only: to a newer minor version when its stream has a release, never back to an older one, and within a minor to
// later publications of its stream. Such a publication may be a rollback or a yank, which an alias follows at once.
//
// # Without a key
//
// Where the publisher has no signer, all that needs no signature is repaired as ever: pointers, lost objects that can be had
// again, publications that were cut off. For the rest signatures are asked for, in one [repo.Outbox] a stream, which
// pkgs sign and pkgs publish go on with. Each night looks first at what it asked for: as long as that is what is needed it
// is left as it is, and built no more; what the stream has moved past is asked for anew. A request that waits is drift.
//
// # Many at once
//
// Streams are worked on in parallel. What goes wrong with one is in its report and does not stop the others. Two
// reconciliations of one stream, or one and a cut, meet at the commit: who comes second starts over from what the other
// published.
package reconcile

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/cdn"
	"sigs.k8s.io/pkgs/repo/layout"
)

// Stream is a stream to reconcile.
type Stream struct {
	repo.Stream
	// Frozen streams are signed again and get no new packages.
	Frozen bool
	// Keep is how many of the newest versions of each package stay in the index; 0 is all.
	Keep int
	// Follows makes the stream an alias, which has the packages of the newest of these streams that has any; they are given
	// in the order of their minors, the newest last. Upstream is not asked for packages of an alias, which has the Members,
	// Architectures and Advisories of the stream that it follows.
	Follows []repo.Stream
	// Aliases are the streams that may follow this one.
	Aliases []layout.Stream
}

// alias tells whether the stream only shows what another one has.
func (s *Stream) alias() bool { return s.Follows != nil }

// Package is one package file that a stream should have.
type Package struct {
	// Name, Version and Architecture are as its format writes them; Version has no revision: 1.36.0~alpha.1.
	Name, Version, Architecture string
	// Format is deb or rpm.
	Format string
	// Release is the version as upstream writes it: v1.36.0-alpha.1.
	Release string
	// Revision follows the version in packages that are published; empty stands for the one that new packages get.
	Revision string
}

// identity is a package without what does not tell it from others: two with one identity are the same package.
func (p Package) identity() Package {
	p.Release, p.Revision = "", ""
	return p
}

// Upstream knows what was released, and makes packages of it. Its methods are called by many goroutines.
type Upstream interface {
	// Wanted lists the packages that a stream should have by now, those that are published among them. With an error, which
	// says why not all can be found out, it lists those that are known.
	Wanted(ctx context.Context, stream layout.Stream, published []Package) ([]Package, error)

	// Make makes packages of one release in an empty directory. The rpms are signed with headers if it is not nil, and by
	// whoever signs here otherwise; by nobody if there is none.
	Make(ctx context.Context, stream layout.Stream, packages []Package, dir string, headers *repo.SignedHeaders) error

	// Changed tells which files of a release upstream promises other bytes for than a package was made of. statement is
	// the provenance that was published with the package.
	Changed(ctx context.Context, statement []byte) ([]string, error)
}

// Config is what a reconciliation works with.
type Config struct {
	// Publisher plans and executes. Without a signer only what needs no new signature is repaired.
	Publisher *repo.Publisher
	// Unsigned is a directory in which signatures are asked for when the publisher has no signer and knows who signs
	// elsewhere, in a folder of its own for each stream: see [repo.Outbox]. Empty asks for none.
	Unsigned string
	Upstream Upstream
	// Public reads what users are given, through the CDN; nil leaves that out. Its Objects and Wait are not used.
	Public *cdn.ReadBack
	// Refresh is how old an index may become before it is signed anew; 0 is 7 days.
	Refresh time.Duration
	// Confirm carries plans out. Without it they are in the report, and nothing is written to the bucket, nor made but
	// for requests in Unsigned.
	Confirm bool
	// Configured tells of a stream whether anybody reconciles it by the same configuration, maybe another time. If it is nil
	// nobody is told of streams that the bucket has besides.
	Configured func(layout.Stream) bool
	// Quick leaves the objects of the bucket and upstream's checksums alone; Deep reads all objects and all records.
	Quick, Deep bool
	// Parallel is how many streams are worked on at once; 0 is 8.
	Parallel int
	// Work is a directory for packages until they are published; empty is the system's for temporary files.
	Work string
	// Cache is a directory for attestations, which never change; empty keeps none.
	Cache string
	// Done, if it is not nil, is told of each stream that is done; never by two goroutines at a time.
	Done func(*StreamReport)
	// Purge asks the CDN to forget objects; nil if there is none to be asked. It is called for what a publication changed,
	// and for what the public address does not show.
	Purge func(ctx context.Context, names []string) error
	// Patience is how long to wait until the public address shows what is published, at most; 0 is 30 s.
	Patience time.Duration
	Log      *slog.Logger
}

// Run reconciles streams and reports on each, in their order. It has no error of its own: what fails is in the report.
func Run(ctx context.Context, cfg Config, streams []Stream) *Report {
	cfg.Refresh = cmp.Or(cfg.Refresh, 7*24*time.Hour)
	cfg.Parallel = cmp.Or(cfg.Parallel, 8)
	cfg.Patience = cmp.Or(cfg.Patience, 30*time.Second)
	cfg.Work = cmp.Or(cfg.Work, os.TempDir())
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	now := cfg.Publisher.Now().UTC()
	report := &Report{Time: now, Bucket: cfg.Publisher.Bucket.String(), Confirmed: cfg.Confirm, Streams: make([]*StreamReport, len(streams)), Findings: []Finding{}}
	var group errgroup.Group
	group.SetLimit(cfg.Parallel)
	done := make(chan struct{}, 1)
	runs := make([]*run, len(streams))
	var peers sync.Map // the *repo.State of each stream that is done, by its name
	for _, aliases := range []bool{false, true} {
		for i, s := range streams {
			if s.alias() != aliases {
				continue
			}
			group.Go(func() error {
				run := &run{Config: cfg, stream: s, peers: &peers}
				runs[i] = run
				report.Streams[i] = run.reconcile(ctx)
				if run.state != nil {
					peers.Store(s.Name, run.state)
				}
				if cfg.Done != nil {
					done <- struct{}{}
					cfg.Done(report.Streams[i])
					<-done
				}
				return nil
			})
		}
		group.Wait() // no function returns an error
	}
	if ctx.Err() == nil && report.list(ctx, cfg) && cfg.Confirm {
		report.settle(ctx, cfg, runs)
	}
	report.Seconds = cfg.Publisher.Now().UTC().Sub(now).Seconds()
	return report
}

// Kind says what a finding is about.
type Kind string

const (
	Missing      Kind = "missing"      // a version, an architecture or a format of a released version is not published
	Behind       Kind = "behind"       // an alias does not have the packages of the stream that it follows
	Retired      Kind = "retired"      // a version makes room for newer ones
	Withdrawn    Kind = "withdrawn"    // a released version is held back since somebody took it out
	Lost         Kind = "lost"         // an object that was published is not there
	Altered      Kind = "altered"      // an object that must never change has changed
	Displaced    Kind = "displaced"    // a pointer is not what HEAD says
	Extra        Kind = "extra"        // an object has no place in the stream
	Unfinished   Kind = "unfinished"   // a publication was committed and not brought to all pointers
	Unreadable   Kind = "unreadable"   // HEAD or the live manifest cannot be read
	Unverifiable Kind = "unverifiable" // what is live is not signed by a key that users have
	Expiring     Kind = "expiring"     // the index is to be signed anew
	Rekeyed      Kind = "rekeyed"      // the index is to be signed by other keys, or with other keys beside it
	Damaged      Kind = "damaged"      // a client would find something wrong
	Stale        Kind = "stale"        // the public address hands out something else than the bucket has
	Source       Kind = "source"       // upstream has other bytes now than a package was made of
	Chain        Kind = "chain"        // the record of publications is broken
	Upstreams    Kind = "upstream"     // what was released cannot be found out or made into packages
	Refused      Kind = "refused"      // a gate refused the publication
	Failed       Kind = "failed"       // something else went wrong
	Record       Kind = "record"       // the index says something else of a package than its file
	Advisory     Kind = "advisory"     // an advisory is not published as it is configured, or names a package that is not there
	Unsigned     Kind = "unsigned"     // what is to be published waits for signatures, or signed for being published
	Key          Kind = "key"          // a key that signs is due for rotation, or refused by a client
	Purge        Kind = "purge"        // the CDN could not be told
	Page         Kind = "page"         // a list of streams does not show what is live
	Unconfigured Kind = "unconfigured" // a stream is in the bucket and not in the configuration
)

// Severity says what a finding asks for.
type Severity string

const (
	Info   Severity = "info"   // nothing
	Repair Severity = "repair" // the plan repairs it
	Drift  Severity = "drift"  // a person, in time
	Alarm  Severity = "alarm"  // a person, at once: something published is not what it was
)

// Finding is one thing that is not as it should be, or worth knowing.
type Finding struct {
	Kind     Kind     `json:"kind"`
	Severity Severity `json:"severity"`
	Object   string   `json:"object,omitempty"`
	Detail   string   `json:"detail"`
	// Repaired tells that the run has put it right.
	Repaired bool `json:"repaired"`
}

// StreamReport tells how one stream is.
type StreamReport struct {
	Stream layout.Stream `json:"stream"`
	Frozen bool          `json:"frozen"`
	// Follows is the stream whose packages an alias should have; empty for other streams.
	Follows layout.Stream `json:"follows,omitempty"`
	// Serial and Published are those of the live publication after the run; 0 if there is none.
	Serial    int64     `json:"serial"`
	Published time.Time `json:"published"`
	// ValidUntil is when clients stop to accept the index; zero if they never do.
	ValidUntil time.Time `json:"validUntil"`
	// Latest is the newest version of the packages that the stream is there for, and Versions is how many there are.
	Latest   string `json:"latest"`
	Versions int    `json:"versions"`
	Packages int    `json:"packages"`
	// Objects and Bytes are what the stream has in the bucket, Older and OlderBytes what earlier publications left; all are
	// 0 after a quick look.
	Objects    int   `json:"objects"`
	Bytes      int64 `json:"bytes"`
	Older      int   `json:"older"`
	OlderBytes int64 `json:"olderBytes"`
	// PackageBytes is the size of the packages of the newest version, IndexBytes that of the indexes: what one client
	// fetches in an upgrade and in an update, all formats and architectures together.
	PackageBytes int64 `json:"packageBytes"`
	IndexBytes   int64 `json:"indexBytes"`
	// Costs are what storing the stream and handing it out cost in a month; nil where nobody told prices.
	Costs *StreamCosts `json:"costs,omitempty"`
	// Shares is how many combinations of format and architecture the stream is for.
	Shares int `json:"shares"`

	Findings []Finding  `json:"findings"`
	Plan     *repo.Plan `json:"plan,omitempty"`
	// Waiting are requests for signatures, and what is signed and not published yet.
	Waiting []*repo.Waiting `json:"waiting,omitempty"`
	Changed bool            `json:"changed"` // the plan was carried out
	Raced   bool            `json:"raced"`   // somebody else published at every attempt
	Seconds float64         `json:"seconds"`
}

// Report is the result of a reconciliation.
type Report struct {
	Time      time.Time       `json:"time"`
	Bucket    string          `json:"bucket"`
	Confirmed bool            `json:"confirmed"`
	Streams   []*StreamReport `json:"streams"`
	// Findings are those that concern no single stream, such as a key.
	Findings []Finding `json:"findings"`
	// Keys are the days by which keys that sign must have been replaced.
	Keys []KeyEnd `json:"keys,omitempty"`
	// Costs are those of all streams together.
	Costs *StreamCosts `json:"costs,omitempty"`
	// Pages are the pages that were written, about streams that moved on.
	Pages   []string `json:"pages,omitempty"`
	Seconds float64  `json:"seconds"`
}

// open is a finding that still asks for something.
func (f Finding) open() bool { return f.Severity != Info && !f.Repaired }

// All yields all findings of a report with the stream that they are about, which is empty for those of none.
func (r *Report) All(yield func(layout.Stream, Finding) bool) {
	for _, f := range r.Findings {
		if !yield("", f) {
			return
		}
	}
	for _, s := range r.Streams {
		for _, f := range s.Findings {
			if !yield(s.Stream, f) {
				return
			}
		}
	}
}

// Worst is the highest severity of what is still open: Alarm, Drift, or Repair for what a confirmed run would put right;
// Info if nothing is.
func (r *Report) Worst() Severity {
	order := []Severity{Info, Repair, Drift, Alarm}
	worst := 0
	for _, f := range r.All {
		if f.open() {
			worst = max(worst, slices.Index(order, f.Severity))
		}
	}
	return order[worst]
}

// Raced tells whether a stream was lost to other publishers.
func (r *Report) Raced() bool {
	return slices.ContainsFunc(r.Streams, func(s *StreamReport) bool { return s.Raced })
}
