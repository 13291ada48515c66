package repo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/sign"
)

// Verify checks that a client which trusts the keyring accepts the signatures on the live indexes at a time. It reads
// nothing: the manifest holds the signed bytes.
func (s *State) Verify(trusted *keys.Keyring, at time.Time) error {
	m, stream := &s.Manifest, s.Head.Stream
	if p, ok := m.pointer(stream.Deb(layout.InRelease)); ok {
		if _, _, err := sign.VerifyClearsigned([]byte(p.Data), trusted, whenSigned(p.Data, at)); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	if p, ok := m.pointer(stream.Rpm(layout.Repomd)); ok {
		asc, _ := m.pointer(stream.Rpm(layout.RepomdAsc))
		if _, err := sign.VerifyDetached([]byte(p.Data), []byte(asc.Data), trusted, whenSigned(asc.Data, at)); err != nil {
			return fmt.Errorf("%s: %w", asc.Name, err)
		}
	}
	return nil
}

// whenSigned is when signatures say they were made, if that was before now. A publisher judges the index on top of which it
// publishes as of that time: clients refuse it once its key has expired, and the way out of that is a new publication.
func whenSigned(signed string, now time.Time) time.Time {
	signatures, _, err := keys.CheckSignatures("signature", []byte(signed), nil)
	if err != nil {
		return now // and its verification says why
	}
	var newest time.Time
	for _, s := range signatures {
		if s.Created.After(newest) {
			newest = s.Created
		}
	}
	if newest.Before(now) {
		return newest
	}
	return now
}

// ValidUntil is when apt stops to accept the live index; zero if it never does, or if there is none.
func (s *State) ValidUntil() time.Time {
	p, ok := s.Manifest.pointer(s.Head.Stream.Deb(layout.Release))
	if !ok {
		return time.Time{}
	}
	release, err := apt.ParseRelease([]byte(p.Data))
	if err != nil {
		return time.Time{} // a manifest that holds such a Release does not verify either
	}
	return release.ValidUntil
}

// Object finds an immutable object of the live snapshot by its name below the stream.
func (s *State) Object(name string) (Object, bool) {
	return s.Manifest.object(string(s.Head.Stream) + "/" + name)
}

// ReadObject reads an immutable object of a snapshot, such as an attestation, into memory, and checks it against its digest.
func ReadObject(ctx context.Context, b bucket.Bucket, o Object) ([]byte, error) {
	return hashed(ctx, b, o.Name, o.SHA256)
}

// Outdated tells what in the signatures of the live publication is not what it would be now: other keys sign, here or
// elsewhere, or other keys are given to users. It is empty if nothing is.
func (p *Publisher) Outdated(s *State) (string, error) {
	key, err := p.Keyring.Armor()
	if err != nil {
		return "", err
	}
	for _, name := range keyringPointers(s.Head.Stream) {
		if pointer, ok := s.Manifest.pointer(name); ok && pointer.Data != string(key) {
			return "other keys are published than the configuration has", nil
		}
	}
	by := p.Elsewhere
	if p.Signer != nil {
		by = p.Signer.Keyring()
	}
	if by != nil && !slices.Equal(fingerprints(by), s.Manifest.Record.Keys) {
		return "other keys signed than the configuration has", nil
	}
	return "", nil
}
