package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"sigs.k8s.io/pkgs/build/release/sigstore"
)

// Signature tells who has signed a file, and which files say so.
type Signature struct {
	sigstore.Signer
	// URL is the bundle, or the signature that has its certificate beside it.
	URL string
	// SHA256 is the digest of what lies at URL, Certificate that of the certificate, or zero for a bundle.
	SHA256, Certificate [sha256.Size]byte
}

// SignatureError tells that a file is not signed as the source's configuration demands.
type SignatureError struct {
	// URL is the file, SignatureURL its signature, empty if there is none.
	URL, SignatureURL string
	// Want is who should have signed.
	Want sigstore.Policy
	// Err is what is wrong: an [*sigstore.IdentityError] if somebody else has signed, and fs.ErrNotExist if nobody has.
	Err error
}

func (e *SignatureError) Error() string {
	if e.SignatureURL == "" {
		return fmt.Sprintf("%s has no signature by %s: %v", e.URL, e.Want, e.Err)
	}
	return fmt.Sprintf("%s: its signature %s cannot be accepted: %v", e.URL, e.SignatureURL, e.Err)
}

func (e *SignatureError) Unwrap() error { return e.Err }

// What the names of signatures end in, behind the name of the file. The first that is there counts.
var bundleSuffixes = []string{".sigstore.json", ".sigstore", ".bundle"}

const (
	signatureSuffix   = ".sig"
	certificateSuffix = ".cert"
)

// evidence is a signature that has been read and not yet been verified.
type evidence struct {
	found  Signature
	verify func(digest [sha256.Size]byte) (sigstore.Signer, error)
}

// findSignature reads the signature of e, the file called name, where the source demands one. If the checksum tells which bytes
// must have been signed, the signature is verified at once.
func (s *Source) findSignature(ctx context.Context, name string, e *Entry) error {
	if s.config.Signatures == nil {
		return nil
	}
	var err error
	if e.evidence, err = s.readSignature(ctx, name); err != nil {
		var wrong *SignatureError
		if errors.As(err, &wrong) {
			wrong.URL, wrong.Want = e.URL, s.config.Signatures.Policy()
		}
		return err
	}
	if e.Algorithm == "sha256" {
		digest, err := hex.DecodeString(e.Checksum)
		if err != nil {
			return err
		}
		if _, err := s.verifySignature(*e, [sha256.Size]byte(digest)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) readSignature(ctx context.Context, name string) (*evidence, error) {
	for _, suffix := range bundleSuffixes {
		data, err := s.readSmall(ctx, name+suffix, sigstore.MaxBundle)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &evidence{
			Signature{URL: s.place.url(name + suffix), SHA256: sha256.Sum256(data)},
			func(digest [sha256.Size]byte) (sigstore.Signer, error) {
				return s.config.Signatures.Bundle(data, digest)
			},
		}, nil
	}
	signature, err := s.readSmall(ctx, name+signatureSuffix, sigstore.MaxSignature)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &SignatureError{Err: fmt.Errorf("tried %s, %s: %w", strings.Join(bundleSuffixes, ", "), signatureSuffix, fs.ErrNotExist)}
	}
	if err != nil {
		return nil, err
	}
	certificate, err := s.readSmall(ctx, name+certificateSuffix, sigstore.MaxCertificate)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &SignatureError{Err: fmt.Errorf("there is %s but no %s: %w", signatureSuffix, certificateSuffix, fs.ErrNotExist)}
	}
	if err != nil {
		return nil, err
	}
	return &evidence{
		Signature{URL: s.place.url(name + signatureSuffix), SHA256: sha256.Sum256(signature), Certificate: sha256.Sum256(certificate)},
		func(digest [sha256.Size]byte) (sigstore.Signer, error) {
			return s.config.Signatures.Detached(signature, certificate, digest)
		},
	}, nil
}

// verifySignature checks that the file with the given digest is signed, and by whom. It is nil if the source does not ask.
func (s *Source) verifySignature(e Entry, digest [sha256.Size]byte) (*Signature, error) {
	if e.evidence == nil {
		return nil, nil
	}
	found := e.evidence.found
	var err error
	if found.Signer, err = e.evidence.verify(digest); err != nil {
		return nil, &SignatureError{URL: e.URL, SignatureURL: found.URL, Want: s.config.Signatures.Policy(), Err: err}
	}
	return &found, nil
}
