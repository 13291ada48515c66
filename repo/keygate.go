package repo

import (
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/layout"
)

// KeyPolicy is what the configuration says of the signing keys beside which they are. The zero value has no rules but those
// that always hold.
type KeyPolicy struct {
	// RotateBy is the day from which the first signing key must not sign any more; zero is none. GraceUntil, if it is not
	// zero, lets it go on until then.
	RotateBy, GraceUntil time.Time
	// Unannounced are the fingerprints of keys that may sign a stream whose users were not given them before, for a key
	// that was lost. Its users have to be told to fetch the keyring again.
	Unannounced []string
	// Withdrawn are the fingerprints of keys that may be missing from the keyring although users were given them: whatever
	// they signed cannot be verified any more.
	Withdrawn []string
}

// keyGate refuses signing keys that users' machines would refuse, before anything is signed:
//
//   - one that has expired, is not valid yet or is revoked;
//   - one that is due for rotation;
//   - one that users of the stream were not given: a key signs what its users know, which is what the live keyring says,
//     and never what it announces itself in.
//
// It also refuses to take a key out of the keyring of a stream, because packages keep their signatures for good.
func (p *Publisher) keyGate(signers *keys.Keyring, state *State, now time.Time) error {
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, e := range signers.Entities() {
		for _, v := range signers.Find(e.PrimaryKey.KeyId) {
			if v.Fingerprint != v.Key.Fingerprint {
				continue
			}
			if err := v.Check(now); err != nil {
				problem("%v", err)
			}
		}
	}
	if by := p.Keys.RotateBy; !by.IsZero() && !now.Before(by) && !now.Before(p.Keys.GraceUntil) {
		problem("key %s was to be replaced by %s: go on with its rotation (pkgs keys rotate), or give it time with signing.grace-until",
			signers.Keys()[0].Fingerprint, by.Format(time.DateOnly))
	}
	for _, name := range []string{state.Head.Stream.Deb(layout.ReleaseKey), state.Head.Stream.Rpm(layout.RepomdKey)} {
		pointer, ok := state.Manifest.pointer(name)
		if !ok {
			continue // the stream is new, or has had packages of one format only
		}
		given, err := keys.ParseKeyring(name, []byte(pointer.Data))
		if err != nil {
			return err
		}
		for _, k := range signers.Keys() {
			if !holds(given, k.Fingerprint) && !slices.Contains(p.Keys.Unannounced, k.Fingerprint) {
				problem("key %s is not in %s: users do not know it, so announce it first (pkgs keys rotate tells how)", k.Fingerprint, name)
			}
		}
		for _, k := range given.Keys() {
			if !holds(p.Keyring, k.Fingerprint) && !slices.Contains(p.Keys.Withdrawn, k.Fingerprint) {
				problem("key %s is in %s and would not be any more: keep its public half in signing.keyring, since packages may be signed with it", k.Fingerprint, name)
			}
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &GateError{Stream: state.Head.Stream, Problems: problems}
}

// promotedKeyGate refuses to promote an index that users of the stream cannot verify, because it is signed by keys that were
// announced elsewhere only. Of several signatures on InRelease one that they know is enough.
func (p *Publisher) promotedKeyGate(state *State, promoted *Manifest) error {
	var problems []string
	stream := promoted.Stream
	for _, at := range []struct{ signed, ring string }{
		{stream.Deb(layout.InRelease), stream.Deb(layout.ReleaseKey)},
		{stream.Rpm(layout.RepomdAsc), stream.Rpm(layout.RepomdKey)},
	} {
		signed, ok := promoted.pointer(at.signed)
		given, ok2 := state.Manifest.pointer(at.ring)
		if !ok || !ok2 || slices.Contains(state.Manifest.Pointers, signed) {
			continue
		}
		ring, err := keys.ParseKeyring(at.ring, []byte(given.Data))
		if err != nil {
			return err
		}
		by, _, err := keys.CheckSignatures(at.signed, []byte(signed.Data), ring)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(by, func(s keys.Signature) bool { return s.Key != "" || slices.Contains(p.Keys.Unannounced, s.Issuer) }) {
			problems = append(problems, fmt.Sprintf("%s is signed by a key that is not in %s as users have it: promote the announcement of the key first", at.signed, at.ring))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &GateError{Stream: stream, Problems: problems}
}

// holds tells whether a keyring has a key.
func holds(k *keys.Keyring, fingerprint string) bool {
	return slices.ContainsFunc(k.Keys(), func(i keys.Info) bool { return i.Fingerprint == fingerprint })
}
