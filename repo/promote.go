package repo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/verify"
)

// Promotion is the record of how a publication that was made in one bucket, for staging, became live in another. It lies in
// the latter, whose HEAD names the last one. The manifests with their records come along: this one tells what they cannot.
type Promotion struct {
	Stream layout.Stream `json:"stream"`
	// Serial and Manifest are the publication that became live, and After is the serial of the one that was before; 0 if
	// the stream was not in this bucket.
	Serial   int64  `json:"serial"`
	Manifest string `json:"manifest"`
	After    int64  `json:"after"`
	// From is the address of the bucket that it came from.
	From string `json:"from"`
	// Time is when the promotion was planned.
	Time   time.Time `json:"time"`
	By     string    `json:"by"`
	Config string    `json:"config,omitempty"`
	// Previous is the promotion before; nil for the first.
	Previous *Ref `json:"previous,omitempty"`
}

// DivergedError refuses a promotion since what is live in the bucket to promote to is not an earlier publication of the
// bucket to promote from.
type DivergedError struct {
	Stream               layout.Stream
	From, To             string // addresses of the buckets
	FromSerial, ToSerial int64
	// Behind says that the live publication of From is an earlier one of To.
	Behind bool
}

func (e *DivergedError) Error() string {
	if e.Behind {
		return fmt.Sprintf("stream %s: %s is at serial %d, and %s has gone on from there to %d: nothing can be promoted; bring the former up to date with `pkgs promote %s %s` and publish there",
			e.Stream, e.From, e.FromSerial, e.To, e.ToSerial, e.To, e.From)
	}
	return fmt.Sprintf("stream %s: serial %d of %s is not in the history of %s, which is at serial %d: somebody published to both; fill an empty bucket with `pkgs promote %s EMPTY`, publish there what is lacking, and promote from it",
		e.Stream, e.ToSerial, e.To, e.From, e.FromSerial, e.To)
}

// origin is an object of another bucket, or of another stream in this one.
type origin struct {
	bucket bucket.Bucket
	info   bucket.Info
	sha256 string // that it must have
}

// Promote plans to make the publication live that is live in another bucket, where it was staged, with the same bytes:
// its packages, its index with all signatures, its manifest and all manifests since the one that is live here. That must
// be one of them, so that the bucket's history goes on; otherwise the error is a [*DivergedError]. No key is needed.
//
// Only HEAD and the mirrorlists, which hold the bucket's own address, differ between the two buckets afterwards. Before
// anything is planned, the staged publication is checked the way a client would, its signatures with the keyring, and run
// through the gates. When the plan is executed, every object must have the size and digest that its manifest says.
func (p *Publisher) Promote(ctx context.Context, from bucket.Bucket, stream Stream) (*Plan, error) {
	source, err := ReadState(ctx, from, stream.Name)
	if err != nil {
		return nil, err
	}
	if !source.Exists() {
		return nil, fmt.Errorf("stream %s was never published in %s: there is nothing to promote", stream.Name, from)
	}
	state, err := ReadState(ctx, p.Bucket, stream.Name)
	if err != nil {
		return nil, err
	}
	plan, err := p.begin(ctx, stream.Name, state, nil, lookLast, func(context.Context, *Plan) error { return nil })
	if err != nil {
		return nil, err
	}
	manifests, err := p.since(ctx, from, source, state)
	if err != nil {
		return nil, err
	}
	if len(manifests) == 0 {
		noted, err := Settled(ctx, p.Bucket, state)
		plan.Unsettled = !noted
		return plan, err
	}
	if err := p.checkStaged(ctx, from, source, &stream); err != nil {
		return nil, err
	}
	m := &source.Manifest
	if err := p.promotedKeyGate(state, m); err != nil {
		return nil, err
	}
	old, all := state.Manifest.digests(), m.digests()
	plan.Added, plan.Removed = only(all, old), only(old, all)
	plan.Kept -= len(plan.Removed)
	plan.keyring = slices.ContainsFunc(plan.Added, stream.isKeyring)
	plan.Serial, plan.Time = m.Serial, m.Time
	plan.Reason = "promotion from " + from.String()
	plan.head = state.follow(m, source.Head.Manifest, p.URL)

	record, err := encodeJSON(Promotion{
		Stream: stream.Name, Serial: m.Serial, Manifest: source.Head.Manifest, After: state.Head.Serial, From: from.String(),
		Time: p.Now().UTC().Truncate(time.Second), By: p.By, Config: p.ConfigDigest, Previous: state.Head.Promotion,
	})
	if err != nil {
		return nil, err
	}
	plan.head.Promotion = &Ref{m.Serial, digest(record)}
	return plan, plan.listPromotion(ctx, from, m, manifests, text(record))
}

// since lists the manifests of another bucket that follow the one which is live here, the newest first, with their digests.
// Whoever may write to that bucket can write manifests, and they become part of this bucket's record: so each must pass an
// audit. In a bucket that is empty nothing can be taken back, and of the signatures those of the newest alone are looked at:
// the keys of the oldest may not be known any more.
func (p *Publisher) since(ctx context.Context, from bucket.Bucket, source, state *State) ([]Ref, error) {
	diverged := &DivergedError{
		Stream: source.Head.Stream, From: from.String(), To: p.Bucket.String(), FromSerial: source.Head.Serial, ToSerial: state.Head.Serial,
	}
	if source.Head.Serial < state.Head.Serial {
		err := walk(ctx, p.Bucket, state, func(m *Manifest, sha256 string) bool {
			diverged.Behind = m.Serial == source.Head.Serial && sha256 == source.Head.Manifest
			return m.Serial > source.Head.Serial
		})
		return nil, errors.Join(err, diverged)
	}
	var refs []Ref
	var later *Manifest
	var wrong error
	met := !state.Exists()
	audit := func(before *Manifest) {
		if later == nil || wrong != nil {
			return
		}
		var err error
		if !state.Exists() && later.Serial < source.Head.Serial {
			err = later.recorded(before)
		} else {
			err = later.audit(before, p.Keyring)
		}
		if err != nil {
			wrong = fmt.Errorf("nothing is promoted: %w", err)
		}
	}
	err := walk(ctx, from, source, func(m *Manifest, sha256 string) bool {
		audit(m)
		later = m
		if m.Serial == state.Head.Serial {
			met = sha256 == state.Head.Manifest
			return false
		}
		refs = append(refs, Ref{m.Serial, sha256})
		return true
	})
	if err == nil && !met {
		err = diverged
	}
	if !state.Exists() {
		audit(&Manifest{})
	}
	return refs, cmp.Or(err, wrong)
}

// digests are the SHA-256 of the packages of the index, by their names below the stream.
func (m *Manifest) digests() map[string]string {
	all := map[string]string{}
	for _, o := range m.Objects {
		if o.Class == layout.Package {
			all[strings.TrimPrefix(o.Name, string(m.Stream)+"/")] = o.SHA256
		}
	}
	return all
}

// checkStaged checks that a staged publication is right: all that clients read, below the signatures, down to the package
// files, which are checked when they are taken over.
func (p *Publisher) checkStaged(ctx context.Context, from bucket.Bucket, source *State, stream *Stream) error {
	now := p.Now().UTC()
	report, err := verify.Stream(ctx, verify.Config{
		Source: &stagedSource{from, source}, Keyring: p.Keyring, Now: now, KeyringPackage: p.KeyringName(), Packages: func(string) bool { return false },
	}, stream.Name)
	if err != nil {
		return err
	}
	if err := report.Err(); err != nil {
		return fmt.Errorf("nothing is promoted: %w", err)
	}
	contents, err := live(ctx, from, source, p.Keyring, now, true, nil)
	if err != nil {
		return err
	}
	signed, listed := contents.digests(), source.Manifest.digests()
	for name := range signed {
		if signed[name] != listed[name] {
			return fmt.Errorf("%s/%s: the signed index gives it SHA-256 %q and the manifest %q: nothing is promoted", from, stream.Name, signed[name], listed[name])
		}
	}
	for _, name := range only(listed, signed) {
		return fmt.Errorf("%s/%s: the manifest lists %s, and the signed index does not: nothing is promoted", from, stream.Name, name)
	}
	return stream.gate(&contents, nil)
}

// stagedSource shows a client what a bucket will have when a state is live in it: the pointers of its manifest, and of all
// other objects those that the manifest lists.
type stagedSource struct {
	bucket bucket.Bucket
	state  *State
}

func (s *stagedSource) String() string { return s.bucket.String() }

// Open implements [verify.Source].
func (s *stagedSource) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	m := &s.state.Manifest
	if p, ok := m.pointer(name); ok && p.Copy != "" {
		name = p.Copy
	} else if ok {
		_, data := p.in(s.state.Head.URL)
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	if _, ok := m.object(name); !ok {
		return nil, fmt.Errorf("%w: the manifest of serial %d does not list it", verify.ErrMissing, m.Serial)
	}
	return verify.FromBucket(s.bucket).Open(ctx, name)
}

// listPromotion fills in what a promotion writes: the objects and manifests that this bucket does not have, the record, HEAD,
// and the pointers that change.
func (p *Plan) listPromotion(ctx context.Context, from bucket.Bucket, m *Manifest, manifests []Ref, record bucket.Content) error {
	lacking, sums := map[string]*origin{}, map[string]string{}
	for _, o := range m.Objects {
		if have, ok := p.have[o.Name]; ok && have.SHA256 != o.SHA256 {
			return &ImmutableError{Name: o.Name, Want: o.SHA256, Have: have.SHA256}
		} else if !ok {
			lacking[o.Name], sums[o.Name] = nil, o.SHA256
		}
	}
	for _, ref := range manifests {
		name := p.Stream.Manifest(ref.Serial, ref.SHA256)
		lacking[name], sums[name] = nil, ref.SHA256
	}
	for _, prefix := range []string{string(p.Stream) + "/", p.Stream.Manifests()} {
		for info, err := range from.List(ctx, prefix) {
			if err != nil {
				return err
			}
			if _, ok := lacking[info.Name]; ok {
				lacking[info.Name] = &origin{from, info, sums[info.Name]}
			}
		}
	}
	take := func(name string, size int64) error {
		if lacking[name] == nil || size >= 0 && lacking[name].info.Size != size {
			return fmt.Errorf("%s/%s: is missing or has another size than its manifest says: run `pkgs verify` there, nothing is promoted", from, name)
		}
		p.Writes = append(p.Writes, Write{Object: Object{Name: name, Class: layout.ClassOf(name), Size: lacking[name].info.Size, SHA256: sums[name]}, origin: lacking[name]})
		return nil
	}
	for _, class := range []layout.Class{layout.Package, layout.Attestation, layout.Hashed} {
		for _, o := range m.Objects {
			if _, ok := lacking[o.Name]; ok && o.Class == class {
				if err := take(o.Name, o.Size); err != nil {
					return err
				}
			}
		}
	}
	write := func(name string, c bucket.Content) {
		p.Writes = append(p.Writes, Write{Object: Object{Name: name, Class: layout.ClassOf(name), Size: c.Size, SHA256: c.SHA256}, content: c})
	}
	write(p.Stream.Promotion(p.head.Promotion.Serial, record.SHA256), record)
	for i := len(manifests) - 1; i >= 0; i-- {
		if err := take(p.Stream.Manifest(manifests[i].Serial, manifests[i].SHA256), -1); err != nil {
			return err
		}
	}
	head, err := encodeJSON(p.head)
	if err != nil {
		return err
	}
	write(p.Stream.Head(), text(head))
	for _, pointer := range m.Pointers {
		if !p.stands(&pointer) {
			p.project = append(p.project, pointer)
			o, _ := pointer.in(p.head.URL)
			p.Writes = append(p.Writes, Write{Object: o})
		}
	}
	return nil
}

// take creates an object with the bytes that its origin has. Where the store can, it copies them by itself, once they have
// been read here and have the digest that they must have: what a store says of that may be what somebody told it who wrote
// them. Within one bucket that is who writes here, too. Otherwise they pass through here and are checked on their way.
func (run *execution) take(ctx context.Context, w Write) error {
	from, info := w.origin.bucket, w.origin.info
	copier, ok := run.Bucket.(bucket.Copier)
	if ok && info.SHA256 == "" { // a listing need not have told it
		var err error
		if info, err = from.Stat(ctx, info.Name); err != nil {
			return err
		}
	}
	if ok && info.SHA256 == w.SHA256 && info.Size == w.Size {
		if from != run.Bucket {
			if err := readOrigin(ctx, from, info, w.SHA256); err != nil {
				return err
			}
		}
		copied, err := copier.CopyFrom(ctx, from, info, w.Name, putOptions(w.Name, bucket.IfAbsent))
		switch {
		case errors.Is(err, errors.ErrUnsupported):
		case err != nil:
			return err
		case copied.Size != w.Size || copied.SHA256 != w.SHA256:
			return fmt.Errorf("%s/%s: the store copied it with %d bytes and SHA-256 %q, and it should have %d and %s: do nothing with it until it is known why",
				run.Bucket, w.Name, copied.Size, copied.SHA256, w.Size, w.SHA256)
		default:
			run.done(w.Size)
			return nil
		}
	}
	_, err := run.put(ctx, w.Name, bucket.Content{
		Size: w.Size, SHA256: w.SHA256,
		Open: func() (io.ReadCloser, error) {
			r, _, err := from.Open(ctx, info.Name)
			return r, err
		},
	}, bucket.IfAbsent)
	return err
}

// readOrigin reads the generation of an object that is to be copied, and holds it against the digest that it must have.
func readOrigin(ctx context.Context, from bucket.Bucket, info bucket.Info, sha256 string) error {
	r, now, err := from.Open(ctx, info.Name)
	if err != nil {
		return err
	}
	defer r.Close()
	if now.Generation != info.Generation {
		return fmt.Errorf("%s/%s: was overwritten while it was to be promoted", from, info.Name)
	}
	have, err := digestReader(r)
	if err == nil && have != sha256 {
		err = &AlteredError{Bucket: from.String(), Name: info.Name, Want: sha256, Have: have}
	}
	return err
}
