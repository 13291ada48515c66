package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
	"sigs.k8s.io/pkgs/sign"
)

// Signed is who signed what of a stream, and which keys its users are given.
type Signed struct {
	Stream layout.Stream `json:"stream"`
	Source string        `json:"source"`
	// ValidUntil is how long apt accepts the index; zero is for ever.
	ValidUntil time.Time      `json:"validUntil,omitzero"`
	Objects    []SignedObject `json:"objects"`
	// Given are the keyrings that the stream gives its users.
	Given []GivenKeys `json:"given"`
	// Rpms counts packages by the fingerprint of the key that signed them, or its key ID if it is in no keyring of the
	// stream; it is nil if nobody asked. Those that are not signed count under the empty name.
	Rpms map[string]int `json:"rpms,omitempty"`
	// Findings are what is wrong with the stream: a signature that does not verify, a key that signed and is not given.
	Findings []Finding `json:"findings"`
	// Refused are what clients refuse about the signatures and the keys that made them, at any time.
	Refused []keys.Finding `json:"refused"`
}

// SignedObject is a signed object and what its signatures say.
type SignedObject struct {
	Object     string           `json:"object"`
	Signatures []keys.Signature `json:"signatures"`
}

// GivenKeys is a keyring for users: the fingerprints of its keys, in its order.
type GivenKeys struct {
	Object string   `json:"object"`
	Keys   []string `json:"keys"`
}

// Err returns nil for a stream with which nothing is wrong and a [*DamageError] otherwise.
func (s *Signed) Err() error {
	return (&Report{Stream: s.Stream, Source: s.Source, Findings: s.Findings}).Err()
}

// By lists the keys that signed the indexes, by the fingerprints of their primary keys; one that is in no keyring by what
// its signature says.
func (s *Signed) By() []string {
	var all []string
	for _, o := range s.Objects {
		for _, by := range o.Signatures {
			name := by.Key
			if name == "" {
				name = by.Issuer
			}
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// Signatures reads the signatures of a stream and the keyrings that its users are given. Of the packages it reads the headers of
// the rpms, and only if packages is set. cfg.Packages, Parallel and Progress mean nothing here. As with [Stream], the error
// is nil whatever is wrong with the stream.
func Signatures(ctx context.Context, cfg Config, stream layout.Stream, packages bool) (*Signed, error) {
	c := &check{Config: cfg, stream: stream, packages: map[string]claim{}, nevras: map[string]nevra{}}
	c.report = &Report{Stream: stream, Source: cfg.Source.String(), SignedBy: []string{}, Findings: []Finding{}}
	s := &signatures{check: c, Signed: &Signed{
		Stream: stream, Source: cfg.Source.String(), Objects: []SignedObject{}, Given: []GivenKeys{}, Refused: []keys.Finding{},
	}}
	for _, step := range []func(context.Context) error{s.apt, s.yum, s.packaged} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if packages {
		if err := s.rpms(ctx); err != nil {
			return nil, err
		}
	}
	var all []keys.Signature
	for _, o := range s.Objects {
		all = append(all, o.Signatures...)
	}
	s.Refused = slices.CompactFunc(keys.Concerning(s.Refused, all), func(a, b keys.Finding) bool { return a.String() == b.String() })
	s.Findings = c.report.Findings
	slices.SortFunc(s.Findings, func(a, b Finding) int { return strings.Compare(a.String(), b.String()) })
	return s.Signed, nil
}

// signatures is one run of Signatures.
type signatures struct {
	*check
	*Signed
	given *keys.Keyring // by the repository that is being looked at
}

// apt looks at the apt repository.
func (s *signatures) apt(ctx context.Context) error {
	if err := s.keyring(ctx, s.stream.Deb(layout.ReleaseKey)); err != nil {
		return err
	}
	text, err := s.clearsigned(ctx, s.stream.Deb(layout.InRelease))
	if err != nil {
		return err
	}
	if _, err := s.detached(ctx); err != nil {
		return err
	}
	if all, err := paragraphs(text); err == nil && len(all) == 1 {
		s.dates(s.stream.Deb(layout.InRelease), all[0].Values)
		s.Signed.ValidUntil = s.report.ValidUntil
	}
	for _, name := range []string{layout.InRelease, layout.ReleaseGpg} {
		if err := s.object(ctx, s.stream.Deb(name)); err != nil {
			return err
		}
	}
	return nil
}

// yum looks at the yum repository, and at the snapshot to which the mirrorlist leads.
func (s *signatures) yum(ctx context.Context) error {
	if err := s.keyring(ctx, s.stream.Rpm(layout.RepomdKey)); err != nil {
		return err
	}
	list, err := s.get(ctx, s.stream.Rpm(layout.Mirrorlist))
	if err != nil {
		return err
	}
	roots := []string{s.stream.Rpm("")}
	line := strings.TrimSuffix(string(list), "\n")
	if i := strings.LastIndex(line, "/"+string(s.stream)+"/rpm-snapshots/"); i >= 0 && snapshotForm.MatchString(line) {
		roots = append(roots, line[i+1:])
	}
	for _, root := range roots {
		repomd, err := s.get(ctx, root+layout.Repomd)
		if err != nil {
			return err
		}
		signature, err := s.get(ctx, root+layout.RepomdAsc)
		if err != nil {
			return err
		}
		if repomd != nil && signature != nil {
			if _, err := sign.VerifyDetached(repomd, signature, s.Keyring, s.Now); err != nil {
				s.found(root+layout.RepomdAsc, "does not sign %s: %v", layout.Repomd, err)
			}
		}
		if err := s.object(ctx, root+layout.RepomdAsc); err != nil {
			return err
		}
	}
	return nil
}

// keyring reads the keys that users are given for a repository.
func (s *signatures) keyring(ctx context.Context, name string) error {
	s.given = new(keys.Keyring)
	data, err := s.get(ctx, name)
	if data == nil || err != nil {
		return err
	}
	ring, refused, err := keys.CheckFile(name, data)
	if err != nil {
		s.found(name, "%v", err)
		return nil
	}
	given := GivenKeys{Object: name}
	for _, k := range ring.Keys() {
		given.Keys = append(given.Keys, k.Fingerprint)
	}
	s.given, s.Given, s.Refused = ring, append(s.Given, given), append(s.Refused, refused...)
	return nil
}

// object notes what the signatures in an object say. That it is missing was found before.
func (s *signatures) object(ctx context.Context, name string) error {
	r, err := s.check.Source.Open(ctx, name)
	if errors.Is(err, ErrMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxIndex))
	if err != nil {
		return err
	}
	by, refused, err := keys.CheckSignatures(name, data, s.given)
	if err != nil {
		return nil // which its verification has found
	}
	for i, one := range by {
		if one.Key == "" {
			// Not given to users, but the one who asks may know it.
			if more, _, err := keys.CheckSignatures(name, data, s.Keyring); err == nil {
				by[i] = more[i]
			}
			s.found(name, "is signed by key %s, which the stream does not give its users", by[i].Issuer)
		}
	}
	s.Objects, s.Refused = append(s.Objects, SignedObject{name, by}), append(s.Refused, refused...)
	return nil
}

// maxHead is how much of an rpm is read for its signature. Kubelet's headers have some ten kilobytes.
const maxHead = 1 << 20

// rpms counts who signed the packages.
func (s *signatures) rpms(ctx context.Context) error {
	if _, err := s.yumAt(ctx, s.stream.Rpm("")); err != nil {
		return err
	}
	s.Rpms = map[string]int{}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(s.Parallel, 8))
	for name, claim := range s.packages {
		group.Go(func() error {
			by, err := s.rpmBy(ctx, name, claim.size)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			s.Rpms[by]++
			return nil
		})
	}
	return group.Wait()
}

// rpmBy tells who signed a package.
func (s *signatures) rpmBy(ctx context.Context, name string, size int64) (string, error) {
	r, err := s.check.Source.Open(ctx, name)
	if errors.Is(err, ErrMissing) {
		s.found(name, "is missing, and the index names it")
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer r.Close()
	head, err := io.ReadAll(io.LimitReader(r, min(size, maxHead)))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	signature, err := yum.ReadSignature(bytes.NewReader(head), size, name)
	if err != nil || signature.Packet == nil {
		s.found(name, "is not signed, or cannot be read: %v", err)
		return "", nil
	}
	by, _, err := keys.CheckSignatures(name, signature.Packet, s.given)
	if err != nil {
		s.found(name, "%v", err)
		return "", nil
	}
	if by[0].Key == "" {
		s.found(name, "is signed by key %s, which the stream does not give its users", by[0].Issuer)
		return by[0].Issuer, nil
	}
	return by[0].Key, nil
}
