package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
	"sigs.k8s.io/pkgs/sign"
)

// AuditReport is what the records of a stream add up to.
type AuditReport struct {
	Stream layout.Stream `json:"stream"`
	// Serial and Manifest are the live publication's. Whoever notes them can tell later that nothing before was rewritten.
	Serial   int64  `json:"serial"`
	Manifest string `json:"manifest"`
	// Publications and Promotions count the records that were checked.
	Publications int `json:"publications"`
	Promotions   int `json:"promotions"`
}

// Audit follows the records of all publications of a stream from HEAD to the first, and those of all promotions to the
// bucket, and checks that none is missing and each is what the next one names by digest. It also checks what the records
// say as far as there is something to hold it against:
//
//   - who published, with which configuration and which keys, is there;
//   - the packages that came and went are the difference to the publication before;
//   - an index has the publication's date or serial in it and was signed at its time by keys that the record names and that
//     are in trusted, and if the other has not, it is that of the publication before.
//
// So somebody who can write to the bucket and rewrites the whole chain with HEAD can pretend that others had published, or
// for other reasons, and cannot pretend that anything else was published or at another time, without a signing key.
//
// The error is a [*ChainError] that says where the records go wrong.
func Audit(ctx context.Context, b bucket.Bucket, stream layout.Stream, trusted *keys.Keyring) (*AuditReport, error) {
	report := &AuditReport{Stream: stream}
	state, err := ReadState(ctx, b, stream)
	if err != nil || !state.Exists() {
		return report, err
	}
	report.Serial, report.Manifest = state.Head.Serial, state.Head.Manifest
	sums := map[int64]string{}
	var later *Manifest
	var wrong error
	err = walk(ctx, b, state, func(m *Manifest, sha256 string) bool {
		report.Publications++
		sums[m.Serial] = sha256
		if later != nil {
			wrong = later.audit(m, trusted)
		}
		later = m
		return wrong == nil
	})
	if err == nil && wrong == nil {
		wrong = later.audit(&Manifest{}, trusted)
	}
	if err != nil || wrong != nil {
		return report, errors.Join(err, wrong)
	}
	for _, ref := range state.Head.Before {
		if sums[ref.Serial] != ref.SHA256 {
			return report, &ChainError{Stream: stream, Serial: ref.Serial, Err: errors.New("HEAD says that another was live here")}
		}
	}
	return report, report.promotions(ctx, b, state, sums)
}

// audit checks the record of a publication that followed another, and who signed the publication.
func (m *Manifest) audit(before *Manifest, trusted *keys.Keyring) error {
	if err := m.recorded(before); err != nil {
		return err
	}
	signed, err := m.signed(before, trusted)
	if err != nil {
		return m.broken("%w", err)
	}
	for _, s := range signed {
		if !slices.Contains(m.Record.Keys, s.Key.Fingerprint) {
			return m.broken("the index is signed by %s, and the record names %v", s.Key.Fingerprint, m.Record.Keys)
		}
	}
	return nil
}

// recorded checks the record of a publication that followed another, as far as it takes no key.
func (m *Manifest) recorded(before *Manifest) error {
	r := &m.Record
	switch {
	case r.By == "":
		return m.broken("the record does not say who published")
	case r.Reason == "":
		return m.broken("the record does not say why")
	case len(r.Config) != 64:
		return m.broken("the record does not say with which configuration")
	}
	old, all := before.digests(), m.digests()
	if !slices.Equal(r.Added, only(all, old)) || !slices.Equal(r.Removed, only(old, all)) {
		return m.broken("the record says that %d packages came and %d went, and the manifests differ by others", len(r.Added), len(r.Removed))
	}
	return nil
}

// broken is the error that the record of a publication is wrong.
func (m *Manifest) broken(format string, args ...any) error {
	return &ChainError{Stream: m.Stream, Serial: m.Serial, Err: fmt.Errorf(format, args...)}
}

// signed are the signatures on the indexes that were made for this very publication, and at its time: apt's has its date,
// and yum's its serial. They are verified as of that time. There is at least one, and what was not made for this publication
// is what the one before had: so no older index comes back with a manifest that nobody needs a key to write.
func (m *Manifest) signed(before *Manifest, trusted *keys.Keyring) (all []sign.Signature, err error) {
	at := m.Time.Add(backdate)
	add := func(signatures []sign.Signature, own bool, names ...string) error {
		for _, s := range signatures {
			if own && s.Created.Equal(m.Time) {
				all = append(all, s)
			}
		}
		for _, name := range names {
			p, _ := m.pointer(name)
			if old, ok := before.pointer(name); !own && (!ok || old.Data != p.Data) {
				return fmt.Errorf("%s is neither made for this publication nor that of the one before", name)
			}
		}
		return nil
	}
	if p, ok := m.pointer(m.Stream.Deb(layout.InRelease)); ok {
		text, signatures, err := sign.VerifyClearsigned([]byte(p.Data), trusted, at)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		release, err := apt.ParseRelease(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		if err := add(signatures, release.Date.Equal(m.Time), p.Name); err != nil {
			return nil, err
		}
	}
	if p, ok := m.pointer(m.Stream.Rpm(layout.Repomd)); ok {
		asc, _ := m.pointer(m.Stream.Rpm(layout.RepomdAsc))
		signatures, err := sign.VerifyDetached([]byte(p.Data), []byte(asc.Data), trusted, at)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		repomd, err := yum.ParseRepomd([]byte(p.Data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		if err := add(signatures, repomd.Revision == strconv.FormatInt(m.Serial, 10), p.Name, asc.Name); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no index was signed at %s with its date or serial", m.Time.Format(time.DateTime))
	}
	return all, nil
}

// promotions follows the records of promotions. sums are the manifests of the stream by their serials.
func (report *AuditReport) promotions(ctx context.Context, b bucket.Bucket, state *State, sums map[int64]string) error {
	below := state.Head.Serial + 1
	for ref := state.Head.Promotion; ref != nil; {
		promotion, err := readPromotion(ctx, b, report.Stream, *ref)
		if err == nil && (ref.Serial >= below || sums[ref.Serial] != promotion.Manifest) {
			err = errors.New("is not of a publication of this stream, or out of order")
		}
		if err == nil && (promotion.By == "" || promotion.From == "" || promotion.Time.IsZero() || promotion.After >= promotion.Serial) {
			err = errors.New("does not say who promoted, when, from where and after what")
		}
		if err != nil {
			return &ChainError{Stream: report.Stream, Serial: ref.Serial, Err: fmt.Errorf("the record of its promotion: %w", err)}
		}
		report.Promotions++
		below, ref = ref.Serial, promotion.Previous
	}
	return nil
}

// readPromotion reads the record of a promotion.
func readPromotion(ctx context.Context, b bucket.Bucket, stream layout.Stream, ref Ref) (*Promotion, error) {
	name := stream.Promotion(ref.Serial, ref.SHA256)
	data, _, err := readAll(ctx, b, name, maxHead)
	if err != nil {
		return nil, err
	}
	if got := digest(data); got != ref.SHA256 {
		return nil, &AlteredError{Bucket: b.String(), Name: name, Want: ref.SHA256, Have: got}
	}
	p := &Promotion{}
	if err := decodeJSON(data, p); err != nil {
		return nil, fmt.Errorf("%s/%s: %w", b, name, err)
	}
	if p.Stream != stream || p.Serial != ref.Serial {
		return nil, fmt.Errorf("%s/%s: is the record of %s serial %d", b, name, p.Stream, p.Serial)
	}
	return p, nil
}
