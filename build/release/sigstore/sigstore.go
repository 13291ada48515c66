// Package sigstore checks keyless signatures of files: those that cosign sign-blob makes with a certificate in place of a
// key of one's own.
//
// The signer proves an identity to a certificate authority (Fulcio), which certifies a key that lives for minutes. The
// identity is the certificate's subject alternative name, and the issuer is who vouched for it, an extension of the
// certificate. Everything that is trusted stands in one file, the trusted root of Sigstore
// (application/vnd.dev.sigstore.trustedroot+json): the certificate authorities and the keys of the logs. It is given; nothing
// is fetched, and no key is built in.
//
// A signature comes in one of two forms.
//
// # Bundles
//
// A bundle ([Verifier.Bundle]) has the signature, the certificate and an entry of a transparency log (Rekor) in one JSON
// document: either a Sigstore bundle of version 0.1 to 0.3 (https://github.com/sigstore/protobuf-specs), or what cosign before
// version 3 wrote with --bundle, an object with base64Signature, cert and rekorBundle. All of this must hold:
//
//   - the entry is about this signature, certificate and file, and the log has signed that it has it;
//   - the certificate leads to a trusted authority, and was valid when the entry was made (or when a trusted time-stamping
//     authority saw the signature);
//   - a trusted certificate transparency log has signed that it knows the certificate;
//   - the certificate's identity and issuer are those expected;
//   - the signature is one by the certificate's key over the file.
//
// A bundle with an attestation, which is a statement about a file, says something else than a signature and is refused.
//
// # Signature and certificate
//
// Kubernetes and CRI-O publish two files beside each of theirs ([Verifier.Detached]): .sig, the signature in base64, and .cert,
// the certificate in PEM, which cosign wraps in base64 once more. The log has an entry here too, but only the log could tell,
// and nobody is asked. So there is nobody's word on when the signature was made, and what is checked is that the certificate
// was valid when it was issued, with all of the list above but the first line. The difference is this: whoever
// gets hold of the signer's key after its minutes have passed, which cosign keeps in memory alone and throws away, could sign
// with it unnoticed. [Policy].RequireLog refuses this form.
package sigstore

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// Sizes in bytes that nothing honest reaches: a certificate has 2 kB, a bundle 10 kB, the trusted root of sigstore.dev 7 kB.
const (
	MaxSignature   = 16 << 10
	MaxCertificate = 64 << 10
	MaxBundle      = 1 << 20
	MaxTrustedRoot = 1 << 20
)

// Policy says who must have signed.
type Policy struct {
	// Identity is what the certificate's subject alternative name must be: an address of mail, or a URI such as that of a
	// workflow. Or IdentityPattern is a regular expression (RE2) that all of it must match. One of them is set.
	Identity, IdentityPattern string
	// Issuer is the URL of the OpenID Connect provider that must have vouched for the identity.
	Issuer string
	// RequireLog demands the entry of a transparency log, and so a bundle.
	RequireLog bool
}

// String names the signer: krel-staging@example.org (issuer https://accounts.example.org).
func (p Policy) String() string {
	if p.Identity != "" {
		return fmt.Sprintf("%s (issuer %s)", p.Identity, p.Issuer)
	}
	return fmt.Sprintf("an identity that matches %s (issuer %s)", p.IdentityPattern, p.Issuer)
}

// Signer is who has signed, as the certificate says.
type Signer struct {
	Identity, Issuer string
	// Logged is when a transparency log or a time-stamping authority saw the signature; the zero time if none is known to
	// have.
	Logged time.Time
}

// IdentityError tells that a signature is valid but somebody else's.
type IdentityError struct {
	Want Policy
	// Identity and Issuer are those of the certificate.
	Identity, Issuer string
}

func (e *IdentityError) Error() string {
	return fmt.Sprintf("it is signed by %q (issuer %q), expected %s", e.Identity, e.Issuer, e.Want)
}

// Verifier checks signatures against a trusted root and a policy. It can be used from several goroutines at once.
type Verifier struct {
	policy   Policy
	identity verify.CertificateIdentity
	root     *root.TrustedRoot
	logged   *verify.Verifier
}

// NewVerifier reads a trusted root.
func NewVerifier(trustedRoot []byte, p Policy) (_ *Verifier, err error) {
	defer recovered(&err)
	if (p.Identity == "") == (p.IdentityPattern == "") {
		return nil, errors.New("expected either an identity or a pattern for identities")
	}
	if p.Issuer == "" {
		return nil, errors.New("no issuer is given: an identity means nothing without the one who vouches for it")
	}
	pattern := ""
	if p.IdentityPattern != "" {
		if _, err := regexp.Compile(p.IdentityPattern); err != nil {
			return nil, fmt.Errorf("the pattern for identities: %w", err)
		}
		pattern = "^(?:" + p.IdentityPattern + ")$"
	}
	v := &Verifier{policy: p}
	if v.identity, err = verify.NewShortCertificateIdentity(p.Issuer, "", p.Identity, pattern); err != nil {
		return nil, err
	}
	if len(trustedRoot) > MaxTrustedRoot {
		return nil, fmt.Errorf("a trusted root of %d bytes: expected at most %d", len(trustedRoot), MaxTrustedRoot)
	}
	if v.root, err = root.NewTrustedRootFromJSON(trustedRoot); err != nil {
		return nil, fmt.Errorf("not a trusted root of Sigstore: %w", plain(err))
	}
	if len(v.root.FulcioCertificateAuthorities()) == 0 || len(v.root.CTLogs()) == 0 {
		return nil, errors.New("the trusted root has no certificate authority or no certificate transparency log")
	}
	v.logged, err = verify.NewVerifier(v.root, verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1), verify.WithSignedCertificateTimestamps(1))
	return v, err
}

// Policy is who must have signed.
func (v *Verifier) Policy() Policy { return v.policy }

// Bundle checks a bundle for the file with the given SHA-256. That somebody else has signed is an [*IdentityError].
func (v *Verifier) Bundle(data []byte, digest [sha256.Size]byte) (signer Signer, err error) {
	defer recovered(&err)
	b, err := parseBundle(data, digest)
	if err != nil {
		return Signer{}, err
	}
	content, err := b.SignatureContent()
	if err != nil {
		return Signer{}, fmt.Errorf("not a Sigstore bundle: %w", plain(err))
	}
	message := content.MessageSignatureContent()
	if message == nil {
		return Signer{}, errors.New("the bundle holds an attestation, expected a signature of the file")
	}
	if !bytes.Equal(message.Digest(), digest[:]) {
		return Signer{}, fmt.Errorf("it is the signature of another file, with the digest %x: expected that with the SHA-256 %x", message.Digest(), digest)
	}
	result, err := v.logged.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", digest[:]), verify.WithCertificateIdentity(v.identity)))
	if err != nil {
		return Signer{}, v.explain(err, b)
	}
	signer = Signer{Identity: result.Signature.Certificate.SubjectAlternativeName, Issuer: result.Signature.Certificate.Issuer}
	for _, t := range result.VerifiedTimestamps {
		if signer.Logged.IsZero() || t.Timestamp.Before(signer.Logged) {
			signer.Logged = t.Timestamp.UTC()
		}
	}
	return signer, nil
}

// explain says who has signed where that is what is wrong.
func (v *Verifier) explain(err error, b *bundle.Bundle) error {
	var other *verify.ErrNoMatchingCertificateIdentity
	if !errors.As(err, &other) {
		return plain(err)
	}
	content, e := b.VerificationContent()
	if e != nil || content.Certificate() == nil {
		return plain(err)
	}
	return v.checkIdentity(content.Certificate())
}

// Detached checks a signature and a certificate for the file with the given SHA-256, each as cosign writes it. That somebody
// else has signed is an [*IdentityError].
func (v *Verifier) Detached(signature, cert []byte, digest [sha256.Size]byte) (signer Signer, err error) {
	defer recovered(&err)
	if v.policy.RequireLog {
		return Signer{}, errors.New("a signature and a certificate without a bundle have no entry of a transparency log, which is required")
	}
	sig, err := decode(signature, MaxSignature)
	if err != nil {
		return Signer{}, fmt.Errorf("not a signature: %w", err)
	}
	leaf, err := parseCertificate(cert)
	if err != nil {
		return Signer{}, fmt.Errorf("not a certificate: %w", err)
	}
	chains, err := verify.VerifyLeafCertificate(leaf.NotBefore, leaf, v.root)
	if err != nil {
		return Signer{}, errors.New("the certificate does not lead to an authority of the trusted root that was valid when it was issued")
	}
	if err := verify.VerifySignedCertificateTimestamp(chains, 1, v.root); err != nil {
		return Signer{}, errors.New("no certificate transparency log of the trusted root knows the certificate")
	}
	message := bundle.NewMessageSignature(digest[:], "sha256", sig)
	artifact := []verify.ArtifactDigest{{Algorithm: "sha256", Digest: digest[:]}}
	if err := verify.VerifySignatureWithArtifactDigests(message, bundle.NewCertificate(leaf), v.root, artifact); err != nil {
		return Signer{}, fmt.Errorf("the signature is not one by the certificate's key over the file with the SHA-256 %x", digest)
	}
	if err := v.checkIdentity(leaf); err != nil {
		return Signer{}, err
	}
	summary, err := certificate.SummarizeCertificate(leaf)
	return Signer{Identity: summary.SubjectAlternativeName, Issuer: summary.Issuer}, err
}

// checkIdentity compares the identity of a certificate with that of the policy.
func (v *Verifier) checkIdentity(cert *x509.Certificate) error {
	summary, err := certificate.SummarizeCertificate(cert)
	if err != nil {
		return fmt.Errorf("the certificate: %w", plain(err))
	}
	if v.identity.Verify(summary) != nil {
		return &IdentityError{v.policy, summary.SubjectAlternativeName, summary.Issuer}
	}
	return nil
}

// decode reads base64 with or without a newline behind it.
func decode(data []byte, limit int) ([]byte, error) {
	if len(data) > limit {
		return nil, fmt.Errorf("%d bytes: expected at most %d", len(data), limit)
	}
	plain, err := base64.StdEncoding.Strict().DecodeString(strings.TrimRight(string(data), "\r\n"))
	if err == nil && len(plain) == 0 {
		err = errors.New("it is empty")
	}
	return plain, err
}

// parseCertificate reads a certificate in PEM, or that in base64.
func parseCertificate(data []byte) (*x509.Certificate, error) {
	if len(data) > MaxCertificate {
		return nil, fmt.Errorf("%d bytes: expected at most %d", len(data), MaxCertificate)
	}
	text := data
	if !strings.HasPrefix(string(data), "-----BEGIN") {
		var err error
		if text, err = decode(data, MaxCertificate); err != nil {
			return nil, fmt.Errorf("neither PEM nor base64 of it: %w", err)
		}
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("expected a block of PEM called CERTIFICATE")
	}
	if strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("something follows the block of PEM: expected one certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// plain takes what is not for eyes out of an error: protojson varies the spaces in its messages at random so that nobody
// relies on them.
func plain(err error) error {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// recovered turns a panic into an error: what is parsed comes from elsewhere, by parsers that were not made for enemies.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("damaged: %v", p)
	}
}
