package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// assemble completes a plan that makes contents the content of the stream.
func (p *Publisher) assemble(ctx context.Context, plan *Plan, stream *Stream, contents Contents, files *Files, resign bool, now time.Time) error {
	old := plan.base
	signer, at, err := p.signing(plan, now)
	if err != nil {
		return fmt.Errorf("stream %s: %w", stream.Name, err)
	}
	with := edition{signer: signer, keyring: p.Keyring, at: at, validUntil: at.Add(p.Validity)}

	s := &snapshot{content: map[string]bucket.Content{}}
	s.manifest = Manifest{Stream: stream.Name, Serial: old.Head.Serial + 1, Time: at, Previous: old.Head.Manifest, Withdrawn: plan.withdrawn, Follows: plan.follows}
	s.manifest.Record = Record{By: p.By, Reason: plan.Reason, Config: p.ConfigDigest, Added: plan.Added, Removed: plan.Removed}
	for _, key := range signer.Keyring().Keys() {
		s.manifest.Record.Keys = append(s.manifest.Record.Keys, key.Fingerprint)
	}
	for _, deb := range contents.Debs {
		s.list(stream.Name.Deb(deb.Filename), deb.Size, deb.SHA256)
	}
	for _, rpm := range contents.Rpms {
		s.list(stream.Name.Rpm(rpm.Href), rpm.Size, rpm.SHA256)
	}
	s.attest(plan, files)
	var fresh []string
	for _, half := range []string{"deb", "rpm"} {
		changed := func(name string) bool { return strings.HasPrefix(name, half+"/") }
		if !old.Exists() || resign || half == "rpm" && len(plan.Advisories) > 0 || slices.ContainsFunc(slices.Concat(plan.Added, plan.Removed, plan.Rebuilt), changed) {
			fresh = append(fresh, half)
		} else {
			s.carry(&old.Manifest, half)
		}
	}
	// The pointers that change come last, so that the last of all tells whether a publication was finished.
	carried := len(s.manifest.Pointers)
	plan.fresh, plan.contents = fresh, contents
	// Both halves at once: where a key is far away, its signatures are what takes the time.
	halves := make([]*snapshot, len(fresh))
	group, ctx := errgroup.WithContext(ctx)
	for i, half := range fresh {
		halves[i] = &snapshot{manifest: Manifest{Serial: s.manifest.Serial}, content: map[string]bucket.Content{}}
		group.Go(func() error {
			if half == "rpm" {
				return halves[i].rpmIndex(ctx, stream, contents, with)
			}
			return halves[i].debIndex(ctx, stream, contents, with)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, half := range halves {
		s.join(half)
	}
	inTurn(s.manifest.Pointers[carried:])
	slices.SortFunc(s.manifest.Objects, func(a, b Object) int { return cmp.Compare(a.Name, b.Name) })
	s.manifest.Objects = slices.CompactFunc(s.manifest.Objects, func(a, b Object) bool { return a == b })
	for i := range s.manifest.Objects {
		o := &s.manifest.Objects[i]
		if o.Since = s.manifest.Serial; plan.have[o.Name].SHA256 == o.SHA256 {
			o.Since = plan.have[o.Name].Since
		}
	}

	manifest, err := encodeJSON(s.manifest)
	if err != nil {
		return err
	}
	plan.Serial, plan.Time = s.manifest.Serial, at
	plan.head = old.follow(&s.manifest, digest(manifest), p.URL)
	head, err := encodeJSON(plan.head)
	if err != nil {
		return err
	}
	return plan.list(s, files, text(manifest), text(head))
}

// signing tells who signs a plan's index, and with what date.
func (p *Publisher) signing(plan *Plan, now time.Time) (signer signsIndexes, at time.Time, err error) {
	before := plan.base.Head.Time
	if at = now.Add(-backdate).Truncate(time.Second); !at.After(before) {
		at = before.Add(time.Second)
	}
	if d, ok := plan.signer.(*draft); ok && d.at.After(before) && !d.at.After(now) {
		at = d.at
	}
	g, signed := plan.signer.(*given)
	if signed {
		at = g.index.Time
	}
	switch {
	case signed && (at.After(now) || !at.After(before)):
		return nil, at, fmt.Errorf("the index that was signed is dated %s, which is not between the last publication and now: check this machine's clock", at.Format(time.RFC3339))
	case at.After(now):
		return nil, at, fmt.Errorf("was last published at %s, which is in the future: check this machine's clock", before.Format(time.RFC3339))
	case plan.signer != nil:
		return plan.signer, at, nil
	case p.Signer == nil:
		return nil, at, errors.New("there is something to publish, and no signing key to sign its index with")
	}
	return p.Signer, at, nil
}

// attest lists the attestations of the snapshot's packages: those that the bucket has, or else those that come with a new
// package, or with one that is taken over.
func (s *snapshot) attest(plan *Plan, files *Files) {
	for _, name := range s.manifest.packages() {
		for _, suffix := range layout.Attestations() {
			o, ok := plan.have[string(plan.Stream)+"/"+name+suffix]
			if !ok {
				o, ok = files.attestations[name+suffix]
			}
			if from := plan.origins[string(plan.Stream)+"/"+name+suffix]; !ok && from != nil {
				o, ok = Object{Size: from.info.Size, SHA256: from.sha256}, true
			}
			if ok {
				s.list(string(plan.Stream)+"/"+name+suffix, o.Size, o.SHA256)
			}
		}
	}
}

// list fills in what a plan writes: the objects that the bucket does not have, the manifest, HEAD, and the pointers that
// change.
func (p *Plan) list(s *snapshot, files *Files, manifest, head bucket.Content) error {
	write := func(name string, c bucket.Content) {
		p.Writes = append(p.Writes, Write{Object: Object{Name: name, Class: layout.ClassOf(name), Size: c.Size, SHA256: c.SHA256}, content: c})
	}
	for _, class := range []layout.Class{layout.Package, layout.Attestation, layout.Hashed} {
		for _, o := range s.manifest.Objects {
			have, ok := p.have[o.Name]
			if ok && have.SHA256 != o.SHA256 {
				return &ImmutableError{Name: o.Name, Want: o.SHA256, Have: have.SHA256, Serial: have.Since}
			}
			if ok || o.Class != class {
				continue
			}
			if from := p.origins[o.Name]; from != nil {
				p.Writes = append(p.Writes, Write{Object: o, origin: from})
				continue
			}
			c, ok := s.content[o.Name]
			if file := strings.TrimPrefix(o.Name, string(p.Stream)+"/"); !ok && files.paths[file] == "" {
				return fmt.Errorf("%s is not in the bucket any more", o.Name)
			} else if !ok {
				c = files.content(file, o)
			}
			write(o.Name, c)
		}
	}
	write(p.Stream.Manifest(p.Serial, manifest.SHA256), manifest)
	write(p.Stream.Head(), head)
	for _, pointer := range s.manifest.Pointers {
		if p.stands(&pointer) {
			continue
		}
		p.project = append(p.project, pointer)
		_, data := pointer.in(p.head.URL)
		c := text(data)
		if pointer.Copy != "" {
			c = s.content[pointer.Copy]
		}
		write(pointer.Name, c)
	}
	return nil
}

// stands tells whether a pointer of the new snapshot has the bytes already that it shall have.
func (p *Plan) stands(pointer *Pointer) bool {
	old, ok := p.base.Manifest.pointer(pointer.Name)
	return ok && old.SHA256 == pointer.SHA256 && (pointer.Lead == "" || p.base.Head.URL == p.head.URL)
}

// inHalf tells whether an object belongs to the apt repository of a stream, half "deb", or to the yum one, half "rpm",
// which has its snapshots beside it.
func inHalf(stream layout.Stream, half, name string) bool {
	rest := strings.TrimPrefix(name, string(stream)+"/")
	return strings.HasPrefix(rest, half+"/") || strings.HasPrefix(rest, half+"-snapshots/")
}
