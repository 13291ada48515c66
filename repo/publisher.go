package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
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
	// Validity is how long clients may use an index after it was made; 0 is 30 days.
	Validity time.Duration
	// By says who publishes and ConfigDigest is the SHA-256 of the configuration, both for the record of a publication.
	By, ConfigDigest string
	// Now tells the time.
	Now func() time.Time
	// Parallel is how many objects are written at once; 0 is 16.
	Parallel int
	// Progress is called while a plan is executed, if it is not nil; never by two goroutines at a time.
	Progress func(Progress)
	Log      *slog.Logger
}

// Progress is how far the execution of a plan has come.
type Progress struct {
	Stream                layout.Stream
	Objects, TotalObjects int
	Bytes, TotalBytes     int64
}

// Publisher plans and executes changes to the streams of one bucket. Its methods may be called concurrently, by any
// number of processes; what they do to one stream takes effect in the order of their commits.
type Publisher struct{ Config }

// NewPublisher returns a Publisher with the defaults of cfg filled in.
func NewPublisher(cfg Config) *Publisher {
	cfg.Validity = cmp.Or(cfg.Validity, 30*24*time.Hour)
	cfg.Parallel = cmp.Or(cfg.Parallel, 16)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Publisher{cfg}
}

// backdate is how far in the past an index is dated and signed. apt refuses a Date, and gpgv a signature, that the
// client's clock holds to be in the future, and clients' clocks are often some minutes behind.
const backdate = 5 * time.Minute

// Change is what a plan is to do to the contents of a stream. What is done to a stream only ever differs in this.
type Change struct {
	// Add are package files to publish. Files that are published already with the same bytes are left out.
	Add *Files
	// Yank are packages that leave the index; their files stay in the bucket. They are names below the stream, such as
	// deb/amd64/kubelet_1.35.0-1.1_amd64.deb.
	Yank []string
	// To, if it is not 0, is the serial of an earlier publication whose packages the stream shall have again.
	To int64
	// Resign makes and signs the index anew even when its packages do not change.
	Resign bool
	// Reason is why, for the history. An addition needs none.
	Reason string
}

// Plan plans to change a stream. The plan also holds what an earlier publication left unfinished, even when the change
// is none. A plan without any change is empty, and costs three reads.
//
// It returns a [*GateError] or a [*ChangedError] when the stream must not become what the change would make of it.
// Nothing is written.
func (p *Publisher) Plan(ctx context.Context, stream Stream, change Change) (*Plan, error) {
	state, err := ReadState(ctx, p.Bucket, stream.Name)
	if err != nil {
		return nil, err
	}
	plan := &Plan{
		Stream: stream.Name, Bucket: p.Bucket.String(),
		Serial: state.Head.Serial, From: state.Head.Serial, Time: state.Head.Time,
		Added: []string{}, Removed: []string{}, Kept: len(state.Manifest.packages()),
		Writes: []Write{}, base: state, head: state.Head,
	}
	if plan.finish, err = p.unfinished(ctx, state); err != nil {
		return nil, err
	}
	for _, pointer := range plan.finish {
		plan.Finish = append(plan.Finish, strings.TrimPrefix(pointer.Name, string(stream.Name)+"/"))
		plan.Writes = append(plan.Writes, Write{Object: pointer.Object})
	}
	files := change.Add
	if files == nil {
		files = &Files{}
	}
	if state.Exists() && files.publishedIn(state) && len(change.Yank) == 0 && change.To == 0 && !change.Resign {
		return plan, nil
	}

	now := p.Now().UTC()
	before, err := live(ctx, p.Bucket, state, p.Keyring, now)
	if err != nil {
		return nil, err
	}
	after := before
	if change.To != 0 {
		earlier, err := manifestOf(ctx, p.Bucket, state, change.To)
		if err != nil {
			return nil, err
		}
		if after, err = live(ctx, p.Bucket, &State{Head: state.Head, Manifest: *earlier, Generation: state.Generation}, p.Keyring, now); err != nil {
			return nil, err
		}
	}
	if after, err = after.without(change.Yank); err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream.Name, err)
	}
	if after, err = after.merge(files); err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream.Name, err)
	}
	old, all := before.digests(), after.digests()
	plan.Added, plan.Removed = only(all, old), only(old, all)
	plan.Kept -= len(plan.Removed)
	if len(plan.Added)+len(plan.Removed) == 0 && !change.Resign {
		if !state.Exists() {
			return nil, fmt.Errorf("stream %s: there are no packages to publish", stream.Name)
		}
		return plan, nil
	}
	if err := stream.gate(&after); err != nil {
		return nil, err
	}
	if err := p.checkRpmSignatures(stream.Name, files, plan.Added, now); err != nil {
		return nil, err
	}
	plan.Reason = cmp.Or(change.Reason, "new packages")
	return plan, p.assemble(plan, &stream, after, files, change.Resign, now)
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

// checkRpmSignatures verifies that each new rpm is signed by a key that users are given: a client with gpgcheck=1
// refuses it otherwise, after it is published.
func (p *Publisher) checkRpmSignatures(stream layout.Stream, files *Files, added []string, now time.Time) error {
	var problems []string
	for _, name := range added {
		if path.Ext(name) != ".rpm" || files.paths[name] == "" {
			continue
		}
		if err := checkRpmSignature(files.paths[name], p.Keyring, now); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", name, err))
		}
	}
	if len(problems) > 0 {
		return &GateError{Stream: stream, Problems: problems}
	}
	return nil
}

func checkRpmSignature(file string, trusted *keys.Keyring, now time.Time) error {
	r, err := os.Open(file)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return err
	}
	signature, err := yum.ReadSignature(r, info.Size(), path.Base(file))
	if err != nil {
		return err
	}
	if signature.Packet == nil {
		return errors.New("is not signed: build it with the signing key of the configuration")
	}
	_, err = sign.VerifyBinary(signature.Header, signature.Packet, trusted, now)
	return err
}

// assemble completes a plan that makes contents the content of the stream.
func (p *Publisher) assemble(plan *Plan, stream *Stream, contents Contents, files *Files, resign bool, now time.Time) error {
	if p.Signer == nil {
		return fmt.Errorf("stream %s: there is something to publish, and no signing key to sign its index with", stream.Name)
	}
	old := plan.base
	at := now.Add(-backdate).Truncate(time.Second)
	if !at.After(old.Head.Time) {
		at = old.Head.Time.Add(time.Second)
	}
	if at.After(now) {
		return fmt.Errorf("stream %s: was last published at %s, which is in the future: check this machine's clock", stream.Name, old.Head.Time.Format(time.RFC3339))
	}
	with := edition{signer: p.Signer, keyring: p.Keyring, at: at, validUntil: at.Add(p.Validity), url: p.URL}

	s := &snapshot{content: map[string]bucket.Content{}}
	s.manifest = Manifest{Stream: stream.Name, Serial: old.Head.Serial + 1, Time: at, Previous: old.Head.Manifest}
	s.manifest.Record = Record{By: p.By, Reason: plan.Reason, Config: p.ConfigDigest, Added: plan.Added, Removed: plan.Removed}
	for _, key := range p.Signer.Keyring().Keys() {
		s.manifest.Record.Keys = append(s.manifest.Record.Keys, key.Fingerprint)
	}
	for _, deb := range contents.Debs {
		s.list(stream.Name.Deb(deb.Filename), deb.Size, deb.SHA256)
	}
	for _, rpm := range contents.Rpms {
		s.list(stream.Name.Rpm(rpm.Href), rpm.Size, rpm.SHA256)
	}
	var fresh []string
	for _, half := range []string{"deb", "rpm"} {
		changed := func(name string) bool { return strings.HasPrefix(name, half+"/") }
		if !old.Exists() || resign || slices.ContainsFunc(plan.Added, changed) || slices.ContainsFunc(plan.Removed, changed) {
			fresh = append(fresh, half)
		} else {
			s.carry(&old.Manifest, half)
		}
	}
	// The pointers that change come last, so that the last of all tells whether a publication was finished.
	for _, half := range fresh {
		index := s.debIndex
		if half == "rpm" {
			index = s.rpmIndex
		}
		if err := index(stream, contents, with); err != nil {
			return err
		}
	}
	slices.SortFunc(s.manifest.Objects, func(a, b Object) int { return cmp.Compare(a.Name, b.Name) })
	s.manifest.Objects = slices.CompactFunc(s.manifest.Objects, func(a, b Object) bool { return a == b })

	manifest, err := encodeJSON(s.manifest)
	if err != nil {
		return err
	}
	plan.Serial, plan.Time = s.manifest.Serial, at
	plan.head = Head{Stream: stream.Name, Serial: plan.Serial, Time: at, Manifest: digest(manifest)}
	head, err := encodeJSON(plan.head)
	if err != nil {
		return err
	}
	plan.list(s, files, text(manifest), text(head))
	return nil
}

// list fills in what a plan writes: the objects that the live snapshot does not have, the manifest, HEAD, and the
// pointers that change.
func (p *Plan) list(s *snapshot, files *Files, manifest, head bucket.Content) {
	have := map[string]bool{}
	for _, o := range p.base.Manifest.Objects {
		have[o.Name] = true
	}
	write := func(name string, c bucket.Content) {
		p.Writes = append(p.Writes, Write{Object{name, layout.ClassOf(name), c.Size, c.SHA256}, c})
	}
	for _, class := range []layout.Class{layout.Package, layout.Hashed} {
		for _, o := range s.manifest.Objects {
			if o.Class != class || have[o.Name] {
				continue
			}
			c, ok := s.content[o.Name]
			if !ok {
				c = files.content(strings.TrimPrefix(o.Name, string(p.Stream)+"/"), o)
			}
			write(o.Name, c)
		}
	}
	write(p.Stream.Manifest(p.Serial, manifest.SHA256), manifest)
	write(p.Stream.Head(), head)
	for _, pointer := range s.manifest.Pointers {
		if old, ok := p.base.Manifest.pointer(pointer.Name); ok && old.SHA256 == pointer.SHA256 {
			continue
		}
		p.project = append(p.project, pointer)
		c := text([]byte(pointer.Data))
		if pointer.Copy != "" {
			c = s.content[pointer.Copy]
		}
		write(pointer.Name, c)
	}
}

// inHalf tells whether an object belongs to the apt repository of a stream, half "deb", or to the yum one, half "rpm",
// which has its snapshots beside it.
func inHalf(stream layout.Stream, half, name string) bool {
	rest := strings.TrimPrefix(name, string(stream)+"/")
	return strings.HasPrefix(rest, half+"/") || strings.HasPrefix(rest, half+"-snapshots/")
}
