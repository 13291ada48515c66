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

// keyGate refuses signing keys that users' machines would refuse, before anything is signed: see [KeyPolicy.problems].
func (p *Publisher) keyGate(signers *keys.Keyring, state *State, now time.Time) error {
	var given []givenKeyring
	for _, name := range keyringPointers(state.Head.Stream) {
		pointer, ok := state.Manifest.pointer(name)
		if !ok {
			continue // the stream is new, or has had packages of one format only
		}
		ring, err := keys.ParseKeyring(name, []byte(pointer.Data))
		if err != nil {
			return err
		}
		given = append(given, givenKeyring{name, ring})
	}
	if problems := p.Keys.problems(signers, p.Keyring, given, now); len(problems) > 0 {
		return &GateError{Stream: state.Head.Stream, Problems: problems}
	}
	return nil
}

// givenKeyring is a keyring that users of a stream are given, under its name in the bucket.
type givenKeyring struct {
	name string
	ring *keys.Keyring
}

// keyringPointers are the names under which users of a stream are given the keyring.
func keyringPointers(stream layout.Stream) []string {
	return []string{stream.Deb(layout.ReleaseKey), stream.Rpm(layout.RepomdKey)}
}

// problems says what speaks against signing with keys at a time:
//
//   - one has expired, is not valid yet or is revoked;
//   - the first is due for rotation;
//   - one is not among those that users of the stream were given: a key signs what its users know, which is what the live
//     keyring says, and never what it announces itself in;
//   - one that users were given is not in the keyring any more, although packages keep their signatures for good.
func (k *KeyPolicy) problems(signers, keyring *keys.Keyring, given []givenKeyring, now time.Time) []string {
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
	if by := k.RotateBy; !by.IsZero() && !now.Before(by) && !now.Before(k.GraceUntil) {
		problem("key %s was to be replaced by %s: go on with its rotation (pkgs keys rotate), or give it time with signing.grace-until",
			signers.Keys()[0].Fingerprint, by.Format(time.DateOnly))
	}
	for _, g := range given {
		for _, s := range signers.Keys() {
			if !g.ring.Holds(s.Fingerprint) && !slices.Contains(k.Unannounced, s.Fingerprint) {
				problem("key %s is not in %s: users do not know it, so announce it first (pkgs keys rotate tells how)", s.Fingerprint, g.name)
			}
		}
		for _, old := range g.ring.Keys() {
			if !keyring.Holds(old.Fingerprint) && !slices.Contains(k.Withdrawn, old.Fingerprint) {
				problem("key %s is in %s and would not be any more: keep its public half in signing.keyring, since packages may be signed with it", old.Fingerprint, g.name)
			}
		}
	}
	return problems
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
