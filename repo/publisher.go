package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/sign"
)

// Config is what a [Publisher] works with.
type Config struct {
	Bucket bucket.Bucket
	// URL is the public address of the bucket's root, without a slash at the end.
	URL string
	// Keyring holds the public keys that users are given. The live index must be signed by one of them, and so must
	// every rpm.
	Keyring *keys.Keyring
	// Signer signs new indexes. It may be nil where nothing new is published: finishing a publication that was cut
	// off needs no key.
	Signer *sign.Signer
	// Elsewhere are the keys that sign on another machine, in their order, where there is no Signer; nil if that is not known.
	Elsewhere *keys.Keyring
	// Keys says how long the signing keys may be used, and what exceptions there are.
	Keys KeyPolicy
	// KeyringPackage is the package that brings the keyring to the users of the streams of which it is a member; nil if there
	// is none.
	KeyringPackage *KeyringPackage
	// Validity is how long clients may use an index after it was made; 0 is 30 days.
	Validity time.Duration
	// By says who publishes and ConfigDigest is the SHA-256 of the configuration, both for the record of a publication.
	By, ConfigDigest string
	// Now tells the time.
	Now func() time.Time
	// Parallel is how many objects are written at once; 0 is what [bucket.Writers] says. Each takes some 150 KB of memory,
	// however large it is.
	Parallel int
	// Progress is called while a plan is executed, if it is not nil; never by two goroutines at a time.
	Progress func(Progress)
	Log      *slog.Logger
}

// Progress is how far the execution of a plan has come.
type Progress struct {
	Stream                layout.Stream
	Objects, TotalObjects int   // written, or found to be there; of how many
	Bytes, TotalBytes     int64 // of these, and of what is on its way
	InFlight              int   // objects that are being written now
}

// Publisher plans and executes changes to the streams of one bucket. Its methods may be called concurrently, by any
// number of processes; what they do to one stream takes effect in the order of their commits.
type Publisher struct{ Config }

// NewPublisher returns a Publisher with the defaults of cfg filled in.
func NewPublisher(cfg Config) *Publisher {
	cfg.Validity = cmp.Or(cfg.Validity, defaultValidity)
	cfg.Parallel = cmp.Or(cfg.Parallel, bucket.Writers(cfg.Bucket))
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Publisher{cfg}
}

// defaultValidity is how long clients may use an index that nobody makes anew.
const defaultValidity = 30 * 24 * time.Hour

// backdate is how far in the past an index is dated and signed. apt refuses a Date, and gpgv a signature, that the
// client's clock holds to be in the future, and clients' clocks are often some minutes behind.
const backdate = 5 * time.Minute

// Change is what a plan is to do to the contents of a stream. What is done to a stream only ever differs in this.
type Change struct {
	// Add are package files to publish. Files that are published already with the same bytes are left out, and so are rpms
	// that differ from what is published in their signature alone.
	Add *Files
	// Yank are packages that leave the index; their files stay in the bucket. They are names below the stream, such as
	// deb/amd64/kubelet_1.35.0-1.1_amd64.deb.
	Yank []string
	// Retire are packages that leave the index because the stream keeps newer ones only. Unlike those of Yank, they may
	// come back without Unyank.
	Retire []string
	// Backfill says that packages of Add may be older than what the stream has: they fill in its history.
	Backfill bool
	// Unyank says that packages of Add may be such as a person took out of the index, by a yank or a rollback.
	Unyank bool
	// To, if it is not 0, is the serial of an earlier publication whose packages the stream shall have again.
	To int64
	// Follow, if it is not nil, is the live state of another stream of the bucket: this one, an alias, shall have its packages
	// and no others. It goes on from a publication of that stream to later ones only, and which stream it is decides who
	// makes the change.
	Follow *State
	// Resign makes and signs the index anew even when its packages do not change.
	Resign bool
	// Adopt are the names of attestations, from a [*TakenError], that are published with the bytes that the bucket has.
	Adopt []string
	// Records take the place of records in the index that do not match their packages.
	Records *Records
	// Restore are objects of the live snapshot to put back.
	Restore Found
	// Repoint compares every pointer with the manifest and puts right those that differ. Without it the last one stands
	// for all, which is enough unless somebody else than a publisher wrote to the bucket.
	Repoint bool
	// Settled says that the note of [Publisher.Settle] stands for a look at the last pointer, where nothing is to be
	// published. Without the note Plan.Unsettled is set.
	Settled bool
	// Reason is why, for the history. An addition needs none.
	Reason string
	// Base is the state of the stream that the change was decided upon, if it was looked at; otherwise the stream is read.
	Base *State

	signer signsIndexes // instead of the publisher's, if it is not nil
}

// Plan plans to change a stream. The plan also holds what an earlier publication left unfinished, even when the change
// is none. A plan without any change is empty, and costs three reads, or some more where the stream has advisories.
//
// It returns a [*GateError] or a [*ChangedError] when the stream must not become what the change would make of it.
// Nothing is written.
func (p *Publisher) Plan(ctx context.Context, stream Stream, change Change) (*Plan, error) {
	now := p.Now().UTC()
	signatures := &signatureCheck{p: p, now: now, known: map[string]error{}}
	if change.Add == nil {
		change.Add = &Files{}
	}
	if change.Base != nil {
		return p.plan(ctx, stream, change, signatures)
	}
	state, err := p.readLive(ctx, stream.Name, signatures, change.Add)
	if err != nil {
		return nil, err
	}
	change.Base = state
	if state.Exists() {
		return p.plan(ctx, stream, change, signatures)
	}
	// Whether the stream is a new one, or one that lost its HEAD, is looked at while it is planned as a new one.
	looking, stop := context.WithCancel(ctx)
	defer stop()
	type look struct {
		state *State
		err   error
	}
	looked := make(chan look, 1)
	go func() {
		state, err := unlessLost(looking, p.Bucket, stream.Name)
		looked <- look{state, err}
	}()
	plan, planErr := p.plan(ctx, stream, change, signatures)
	switch l := <-looked; {
	case l.err != nil:
		return nil, l.err
	case l.state.Exists():
		change.Base = l.state
		return p.plan(ctx, stream, change, signatures)
	}
	return plan, planErr
}

// plan plans a change on top of its base.
func (p *Publisher) plan(ctx context.Context, stream Stream, change Change, signatures *signatureCheck) (*Plan, error) {
	now, files, state := signatures.now, change.Add, change.Base
	var err error
	if files, err = p.unlessResigned(ctx, state, files); err != nil {
		return nil, err
	}
	if files, err = p.withKeyring(ctx, &stream, state, change, files); err != nil {
		return nil, err
	}
	change.Add = files
	idle := state.Exists() && files.publishedIn(state) && len(change.Yank)+len(change.Retire) == 0 && change.To == 0 && !change.Resign && change.Records.empty() && (change.Follow == nil || state.Shows(change.Follow))
	whole := change.concerns("rpm", state) || stream.Advisories != nil
	var before Contents
	look := lookLast
	if change.Repoint {
		look = lookAll
	}
	unsettled := false
	if idle && change.Settled {
		noted, err := Settled(ctx, p.Bucket, state)
		if err != nil {
			return nil, err
		}
		if unsettled = !noted; noted && look == lookLast {
			look = lookNone
		}
	}
	plan, err := p.begin(ctx, stream.Name, state, change.Restore, look, func(ctx context.Context, plan *Plan) (err error) {
		// What was lost is put back first: the index may be among it.
		if idle && stream.Advisories != nil && len(change.Restore) == 0 {
			readvised, err := p.readvised(ctx, &stream, state, plan)
			if err != nil {
				return err
			}
			idle = !readvised
		}
		if !idle {
			before, err = live(ctx, p.Bucket, state, p.Keyring, now, whole, plan.seen)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if idle {
		plan.Unsettled = unsettled
		return plan, nil
	}
	after := before
	if change.To != 0 {
		earlier, err := manifestOf(ctx, p.Bucket, state, change.To)
		if err != nil {
			return nil, err
		}
		after, err = live(ctx, p.Bucket, &State{Head: state.Head, Manifest: *earlier, Generation: state.Generation}, p.Keyring, now, true, nil)
		if errors.Is(err, bucket.ErrNotExist) {
			return nil, fmt.Errorf("the index of serial %d is not in the bucket: only that of the last %d publications is kept for long, and one that was promoted together with a later one never came here: choose another serial: %w", change.To, Retained, err)
		}
		if err != nil {
			return nil, err
		}
		if err := p.stillThere(ctx, plan, earlier.Objects); err != nil {
			return nil, err
		}
		// Which keys users need does not depend on the packages that they have.
		after = after.plus(before.where(stream.isKeyring))
	}
	plan.follows = state.Manifest.Follows
	if f := change.Follow; f != nil {
		if after, err = p.followed(ctx, stream.Name, state, f); err != nil {
			return nil, err
		}
		// What is published never changes, and two minors that an alias follows one after the other can have the same version
		// of a companion with other signatures in its rpms.
		after, _ = after.substitute(before, false)
		plan.follows = &Followed{Stream: f.Head.Stream, Serial: f.Head.Serial, Manifest: f.Head.Manifest}
		if err := plan.borrow(ctx, p.Bucket, f); err != nil {
			return nil, err
		}
	}
	if after, err = after.without(slices.Concat(change.Yank, change.Retire)); err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream.Name, err)
	}
	if after, err = after.merge(files); err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream.Name, err)
	}
	if change.Records != nil {
		after, plan.Rebuilt = after.substitute(change.Records.fresh, true)
	}
	old, all := before.digests(), after.digests()
	plan.Added, plan.Removed = only(all, old), only(old, all)
	plan.Kept -= len(plan.Removed)
	published := before.Advisories
	if change.Follow != nil {
		published = after.Advisories
	}
	plan.Unmet = stream.advise(&after, published, withdraw(state.Manifest.Withdrawn, plan, change, all))
	plan.Advisories = advisoryChanges(before.Advisories, after.Advisories)
	if len(plan.Added)+len(plan.Removed)+len(plan.Advisories)+len(plan.Rebuilt) == 0 && !change.Resign {
		if !state.Exists() {
			return nil, fmt.Errorf("stream %s: there are no packages to publish", stream.Name)
		}
		if change.Settled {
			noted, err := Settled(ctx, p.Bucket, state)
			plan.Unsettled = !noted
			return plan, err
		}
		return plan, nil
	}
	problems := disorder(&before, files, change.Backfill)
	if !change.Unyank {
		problems = append(problems, resurrected(state.Manifest.Withdrawn, files)...)
	}
	if err := stream.judge(&after, slices.Concat(plan.Added, plan.Removed), problems); err != nil {
		return nil, err
	}
	if err := p.keepsKeyring(&stream, plan); err != nil {
		return nil, err
	}
	plan.keyring = slices.ContainsFunc(plan.Added, stream.isKeyring)
	signer := change.signer
	if signer == nil && p.Signer != nil {
		signer = p.Signer
	}
	if signer != nil {
		if err := p.keyGate(signer.Keyring(), state, now); err != nil {
			return nil, err
		}
	}
	if err := signatures.gate(ctx, stream.Name, files, plan.Added); err != nil {
		return nil, err
	}
	reason := "new packages"
	if len(plan.Added)+len(plan.Removed) == 0 {
		switch {
		case len(plan.Rebuilt) > 0:
			reason = "records made anew"
		case len(plan.Advisories) > 0:
			reason = advisoryReason(plan.Advisories)
		}
	}
	plan.Reason = cmp.Or(change.Reason, reason)
	plan.withdrawn = withdraw(state.Manifest.Withdrawn, plan, change, all)
	if err := p.adopt(ctx, plan, change.Adopt, all); err != nil {
		return nil, err
	}
	plan.signer = change.signer
	return plan, p.assemble(ctx, plan, &stream, after, files, change.Resign, now)
}

// concerns tells whether a change can make the index of a half, deb or rpm, another.
func (c *Change) concerns(half string, state *State) bool {
	in := func(name string) bool { return inHalf(state.Head.Stream, half, name) }
	files := &Files{}
	if c.Add != nil && half == "deb" {
		files.Debs = c.Add.Debs
	} else if c.Add != nil {
		files.Rpms = c.Add.Rpms
	}
	return !c.Records.empty() || !files.publishedIn(state) || slices.ContainsFunc(c.Yank, in) || slices.ContainsFunc(c.Retire, in) || c.To != 0 || c.Resign || c.Follow != nil
}

// begin starts a plan on top of a state with what is to be put back, and with what an earlier publication left unfinished,
// as far as look tells. What else is to be read for the plan is read at the same time.
func (p *Publisher) begin(ctx context.Context, stream layout.Stream, state *State, restore Found, look look, read func(context.Context, *Plan) error) (*Plan, error) {
	plan := &Plan{
		Stream: stream, Bucket: p.Bucket.String(),
		Serial: state.Head.Serial, From: state.Head.Serial, Time: state.Head.Time,
		Added: []string{}, Removed: []string{}, Kept: len(state.Manifest.packages()),
		Writes: []Write{}, base: state, head: state.Head, made: p.Now(), have: map[string]Object{}, seen: newSightings(),
	}
	for _, o := range state.Manifest.Objects {
		plan.have[o.Name] = o
	}
	err := plan.restore(restore)
	if err != nil {
		return nil, err
	}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return read(inner, plan) })
	group.Go(func() (err error) {
		plan.finish, err = p.unfinished(inner, state, look, plan.seen)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, pointer := range plan.finish {
		plan.Finish = append(plan.Finish, strings.TrimPrefix(pointer.Name, string(stream)+"/"))
		o, _ := pointer.in(state.Head.URL)
		plan.Writes = append(plan.Writes, Write{Object: o})
	}
	return plan, nil
}

// stillThere finds which objects of an earlier publication the bucket still has, so that they need not be written again.
func (p *Publisher) stillThere(ctx context.Context, plan *Plan, objects []Object) error {
	list, _, err := readMarks(ctx, p.Bucket, plan.Stream)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.Parallel)
	unknown := slices.DeleteFunc(slices.Clone(objects), func(o Object) bool { _, ok := plan.have[o.Name]; return ok })
	for _, o := range unknown {
		group.Go(func() error {
			info, err := p.Bucket.Stat(ctx, o.Name)
			if errors.Is(err, bucket.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if info.Size != o.Size {
				return fmt.Errorf("%s has %d bytes, and was published with %d: it was altered", o.Name, info.Size, o.Size)
			}
			mu.Lock()
			defer mu.Unlock()
			plan.rely(o, list)
			return nil
		})
	}
	return group.Wait()
}

// publishedIn tells whether every file is an object of the live snapshot, with the same digest.
func (f *Files) publishedIn(state *State) bool {
	published := map[string]string{}
	for _, o := range state.Manifest.Objects {
		published[o.Name] = o.SHA256
	}
	stream := state.Head.Stream
	for _, p := range f.Debs {
		if published[stream.Deb(p.Filename)] != p.SHA256 {
			return false
		}
	}
	for _, p := range f.Rpms {
		if published[stream.Rpm(p.Href)] != p.SHA256 {
			return false
		}
	}
	return true
}
