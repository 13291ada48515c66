package repo

import (
	"context"
	"errors"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// Settle notes that a publication of a stream has come to everything that shows it: its pointers, and what the caller brings
// up to date behind them, such as the lists of streams, aliases and a CDN. Plans of no change take both for done by reading
// this note in place of the last pointer: see Change.Settled. It is one write.
//
// A run that dies before leaves the note of an earlier publication, which says nothing of this one. Whoever was overtaken
// writes such a note, too, however late: the worst that can follow is that somebody looks once more at what is done.
func (p *Publisher) Settle(ctx context.Context, stream layout.Stream, live Ref) error {
	data, err := encodeJSON(live)
	if err != nil {
		return err
	}
	_, err = p.Bucket.Put(ctx, stream.Settled(), text(data), putOptions(stream.Settled(), nil))
	return err
}

// Settled tells whether it was noted that the live publication of a stream has come to everything that shows it: one read.
// A note that nobody can read says nothing.
func Settled(ctx context.Context, b bucket.Bucket, state *State) (bool, error) {
	data, _, err := readAll(ctx, b, state.Head.Stream.Settled(), maxHead)
	if errors.Is(err, bucket.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var noted Ref
	return decodeJSON(data, &noted) == nil && noted == state.Live(), nil
}

// Live is the live publication.
func (s *State) Live() Ref { return Ref{s.Head.Serial, s.Head.Manifest} }

// Live is the publication that is live once the plan is executed.
func (p *Plan) Live() Ref { return Ref{p.head.Serial, p.head.Manifest} }
