package repo

import (
	"context"
	"fmt"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/layout"
)

// KeyringPackage is the package that brings the users of streams the publisher's keyring. Each stream of which it is a member
// has it with the present keyring: whatever is published there next brings it along.
type KeyringPackage struct {
	// Name is that of the package in both formats, Version that of the one with the present keyring, without a revision.
	// It has to be another when the keyring changes, and one to which machines upgrade.
	Name, Version string
	// Make makes the package in both formats, signed. It may be called by several goroutines.
	Make func(context.Context) (*Files, error)
	// Build builds it in a directory with a signature that was made elsewhere, or with none if headers is nil.
	Build func(ctx context.Context, dir string, headers *SignedHeaders) error
}

// KeyringName is the name of the keyring package; empty if there is none.
func (c *Config) KeyringName() string {
	if c.KeyringPackage == nil {
		return ""
	}
	return c.KeyringPackage.Name
}

// LacksKeyring tells that a stream does not have the keyring package as it should be now. One that somebody withdrew is not
// lacking. The error is a [*GateError] when there cannot be such a package, because its version does not follow the keyring:
//
//   - the keys that the stream's users are given change, and there is a package of this version with those of before;
//   - the stream has a later version, so that no machine would upgrade to this one.
func (p *Publisher) LacksKeyring(stream *Stream, state *State) (bool, error) {
	k := p.KeyringPackage
	if k == nil || !stream.Members[k.Name].Keyring || !state.Exists() {
		return false, nil
	}
	have := map[string]bool{} // formats
	later := ""
	for _, name := range state.Packages() {
		n := layout.ParsePackageName(name)
		switch {
		case n.Name != k.Name:
		case n.Version == k.Version:
			have[n.Format] = true
		case apt.CompareVersions(n.Version, k.Version) > 0 && (later == "" || apt.CompareVersions(n.Version, later) > 0):
			later = n.Version
		}
	}
	for _, w := range state.Manifest.Withdrawn {
		if n := layout.ParsePackageName(w.Name); n.Name == k.Name && n.Version == k.Version {
			have[n.Format] = true
		}
	}
	refuse := func(format string, args ...any) (bool, error) {
		return true, &GateError{Stream: stream.Name, Problems: []string{fmt.Sprintf(format, args...)}}
	}
	if len(have) > 0 {
		other, err := p.givesOtherKeys(state)
		if err != nil {
			return false, err
		}
		if other {
			return refuse("%s %s was published with the keys that users are given now, and these change: name a higher version with signing.package.version", k.Name, k.Version)
		}
	} else if later != "" {
		return refuse("%s %s would have the present keyring, and the stream has %s, from which nobody's system would upgrade to it: name a higher version with signing.package.version",
			k.Name, k.Version, later)
	}
	return len(have) < 2, nil
}

// NeedsKeyring tells whether a publication that is signed elsewhere is to bring the keyring package along: the stream lacks
// it, or does not exist yet. An alias has that of the stream that it follows.
func (p *Publisher) NeedsKeyring(stream *Stream, state *State) (bool, error) {
	if state.Manifest.Follows != nil {
		return false, nil
	}
	if !state.Exists() {
		return p.KeyringPackage != nil && stream.Members[p.KeyringPackage.Name].Keyring, nil
	}
	return p.LacksKeyring(stream, state)
}

// givesOtherKeys tells whether the keys that the stream gives its users are others than those of the publisher's keyring, in
// whatever order.
func (p *Publisher) givesOtherKeys(state *State) (bool, error) {
	for _, name := range []string{state.Head.Stream.Deb(layout.ReleaseKey), state.Head.Stream.Rpm(layout.RepomdKey)} {
		pointer, ok := state.Manifest.pointer(name)
		if !ok {
			continue
		}
		given, err := keys.ParseKeyring(name, []byte(pointer.Data))
		if err != nil {
			return false, err
		}
		if !given.Same(p.Keyring) {
			return true, nil
		}
	}
	return false, nil
}

// keepsKeyring refuses to take the package with the present keyring out of the index.
func (p *Publisher) keepsKeyring(stream *Stream, plan *Plan) error {
	for _, name := range plan.Removed {
		if n := layout.ParsePackageName(name); stream.isKeyring(name) && n.Name == p.KeyringName() && n.Version == p.KeyringPackage.Version {
			return &GateError{Stream: stream.Name, Problems: []string{fmt.Sprintf(
				"%s brings users the keys that sign: name a higher version with signing.package.version, and another package takes its place", name)}}
		}
	}
	return nil
}

// withKeyring adds the keyring package to the files of a change, if the stream lacks it and there is somebody to sign here.
// What is signed elsewhere has it among its files or goes without, and an alias has that of the stream that it follows.
func (p *Publisher) withKeyring(ctx context.Context, stream *Stream, state *State, change Change, files *Files) (*Files, error) {
	k := p.KeyringPackage
	if k == nil || change.Follow != nil || state.Manifest.Follows != nil || !stream.Members[k.Name].Keyring || !state.Exists() && files.Empty() || p.Signer == nil && change.signer == nil {
		return files, nil
	}
	lacks, err := p.LacksKeyring(stream, state)
	if err != nil {
		return nil, err
	}
	if !lacks && state.Exists() || change.signer != nil {
		return files, nil
	}
	made, err := k.Make(ctx)
	if err != nil {
		return nil, fmt.Errorf("keyring package %s %s: %w", k.Name, k.Version, err)
	}
	all := &Files{paths: map[string]string{}, attestations: map[string]Object{}}
	given := map[string]bool{}
	for name := range files.digests() {
		given[name] = true
	}
	for _, part := range []*Files{files, made.without(given)} {
		if err := all.join(part); err != nil {
			return nil, err
		}
	}
	all.sort()
	return all, nil
}

// isKeyring tells whether a package, by its name below the stream, is a keyring package.
func (s *Stream) isKeyring(name string) bool {
	return s.Members[layout.ParsePackageName(name).Name].Keyring
}
