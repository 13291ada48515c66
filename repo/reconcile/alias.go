package reconcile

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/layout"
)

// follow decides which stream an alias follows, and whether it lacks something of it. It is the newest of those that may be
// followed which has a version of what it is there for, and never one before the one that it follows already: when all
// versions of that one are withdrawn the alias has none either, since nobody asked its users to go back.
func (r *run) follow(ctx context.Context, change *repo.Change) {
	at := -1 // the one that it follows already
	if have := r.state.Manifest.Follows; have != nil {
		r.report.Follows = have.Stream
		if at = slices.IndexFunc(r.stream.Follows, func(s repo.Stream) bool { return s.Name == have.Stream }); at < 0 {
			r.add(Behind, Drift, "", "it follows %s, which is none of the streams that it may follow by now: say in the configuration which it shall follow", have.Stream)
			return
		}
	}
	for i := len(r.stream.Follows) - 1; i >= max(at, 0); i-- {
		target := r.stream.Follows[i]
		state, err := r.peer(ctx, target.Name)
		if err != nil {
			r.add(Behind, Drift, "", "%s cannot be read, so it is left as it is: %v", target.Name, err)
			return
		}
		if i != at && (!state.Exists() || state.Describe(&target).Latest == "") {
			continue
		}
		r.stream.Members, r.stream.Architectures, r.stream.Advisories = target.Members, target.Architectures, target.Advisories
		r.report.Follows = target.Name
		if !r.state.Shows(state) {
			change.Follow, change.Reason = state, fmt.Sprintf("follows serial %d of %s", state.Head.Serial, target.Name)
			r.add(Behind, r.bySigning(), "", "does not have the packages of serial %d of %s", state.Head.Serial, target.Name)
		}
		return
	}
}

// peer is the state of a stream that an alias may follow: as it was left by this very reconciliation, or read.
func (r *run) peer(ctx context.Context, name layout.Stream) (*repo.State, error) {
	have := r.state.Manifest.Follows
	if known, ok := r.peers.Load(name); ok {
		state := known.(*repo.State)
		// Somebody else may have published it since, and may have had the alias follow.
		if have == nil || have.Stream != name || have.Serial <= state.Head.Serial {
			return state, nil
		}
	}
	return repo.ReadState(ctx, r.Publisher.Bucket, name)
}
