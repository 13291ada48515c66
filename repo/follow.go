package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// Followed tells which publication of another stream of the same bucket an alias has the packages of.
type Followed struct {
	Stream layout.Stream `json:"stream"`
	Serial int64         `json:"serial"`
	// Manifest is the SHA-256 of that publication's manifest.
	Manifest string `json:"manifest"`
}

// state is the stream as it was when that publication was live.
func (f *Followed) state(ctx context.Context, b bucket.Bucket) (*State, error) {
	data, err := hashed(ctx, b, f.Stream.Manifest(f.Serial, f.Manifest), f.Manifest)
	if err != nil {
		return nil, err
	}
	s := &State{Head: Head{Stream: f.Stream, Serial: f.Serial, Manifest: f.Manifest}, Generation: "earlier"}
	if err := decodeJSON(data, &s.Manifest); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Stream.Manifest(f.Serial, f.Manifest), err)
	}
	return s, nil
}

// BehindError refuses to take an alias back to an earlier publication of the stream that it follows: whoever wants that has
// looked at the stream too long ago.
type BehindError struct {
	Alias, Stream layout.Stream
	Has, Offered  int64 // serials of Stream
}

func (e *BehindError) Error() string {
	return fmt.Sprintf("stream %s has the packages of serial %d of %s already, and goes on from there, not back to %d: look at that stream again", e.Alias, e.Has, e.Stream, e.Offered)
}

// Shows tells whether the stream is an alias that has the packages of another one. It may have published some of them
// before with other bytes, which stay: see [Publisher.Plan].
func (s *State) Shows(followed *State) bool {
	have := s.Manifest.Follows
	return have != nil && have.Stream == followed.Head.Stream && slices.Equal(s.Packages(), followed.Packages())
}

// followed are the contents of the stream that an alias follows, from its signed index; no package is read.
func (p *Publisher) followed(ctx context.Context, alias layout.Stream, state, followed *State) (Contents, error) {
	stream := followed.Head.Stream
	if !followed.Exists() || stream == alias {
		return Contents{}, fmt.Errorf("stream %s follows none that was ever published", alias)
	}
	if have := state.Manifest.Follows; have != nil && have.Stream == stream && have.Serial > followed.Head.Serial {
		return Contents{}, &BehindError{Alias: alias, Stream: stream, Has: have.Serial, Offered: followed.Head.Serial}
	}
	contents, err := live(ctx, p.Bucket, followed, p.Keyring, p.Now().UTC(), true, nil)
	if err != nil {
		return Contents{}, err
	}
	signed, listed := contents.digests(), followed.Manifest.digests()
	if !maps.Equal(signed, listed) {
		return Contents{}, fmt.Errorf("%s/%s: the signed index and the manifest of serial %d do not list the same packages: run `pkgs verify %s`", p.Bucket, stream, followed.Head.Serial, stream)
	}
	return contents, nil
}

// borrow finds what a plan that follows another stream copies from there: packages and attestations, by the names that they
// get. What the alias has already is left out, and so is what attests a package that it has.
func (p *Plan) borrow(ctx context.Context, b bucket.Bucket, followed *State) error {
	from, to := string(followed.Head.Stream)+"/", string(p.Stream)+"/"
	lacking := map[string]Object{}
	for _, o := range followed.Manifest.Objects {
		name := to + strings.TrimPrefix(o.Name, from)
		if o.Class != layout.Package && o.Class != layout.Attestation {
			continue
		}
		_, there := p.have[name]
		_, attested := p.have[layout.Attested(name)]
		if !there && !attested {
			lacking[o.Name] = o
		}
	}
	p.origins = map[string]*origin{}
	if len(lacking) == 0 {
		return nil
	}
	for info, err := range b.List(ctx, from) {
		if err != nil {
			return err
		}
		if o, ok := lacking[info.Name]; ok && info.Size == o.Size {
			p.origins[to+strings.TrimPrefix(o.Name, from)] = &origin{b, info, o.SHA256}
			delete(lacking, info.Name)
		}
	}
	for name := range lacking {
		return fmt.Errorf("%s/%s: is missing or has another size than it was published with: run `pkgs reconcile %s`; nothing follows it until then", b, name, followed.Head.Stream)
	}
	return nil
}

// FindIn looks for the bytes of packages and attestations that a bucket has lost of an alias: one of the streams that it
// followed has them, too. What is not there with the digest that it must have is not in the result.
func FindIn(ctx context.Context, b bucket.Bucket, state *State, lost []string, streams []layout.Stream) (Found, error) {
	found := Found{}
	for _, name := range lost {
		o, ok := state.Manifest.object(name)
		if !ok || o.Class != layout.Package && o.Class != layout.Attestation {
			continue
		}
		for _, stream := range streams {
			there := string(stream) + strings.TrimPrefix(name, string(state.Head.Stream))
			sum, err := digestIn(ctx, b, there)
			if err == nil && sum == o.SHA256 {
				found[name] = bucket.Content{Size: o.Size, SHA256: o.SHA256, Open: func() (io.ReadCloser, error) {
					r, _, err := b.Open(ctx, there)
					return r, err
				}}
				break
			}
			if err != nil && !errors.Is(err, bucket.ErrNotExist) {
				return nil, err
			}
		}
	}
	return found, nil
}
