package releasetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// Sigstore is a deployment of Sigstore that is known to nobody else: a certificate authority, a certificate transparency log
// and a transparency log, with keys of their own. Its signatures do not depend on the time of day.
type Sigstore struct {
	t         testing.TB
	root      *x509.Certificate
	authority *x509.Certificate
	// The keys of the authority and of the two logs.
	issuing, certificates, log *ecdsa.PrivateKey
	entries                    int64
}

// Founded is when a Sigstore began; it lasts ten years.
var founded = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

const decade = 10 * 365 * 24 * time.Hour

// NewSigstore makes a deployment.
func NewSigstore(t testing.TB) *Sigstore {
	s := &Sigstore{t: t, issuing: newKey(t), certificates: newKey(t), log: newKey(t)}
	rootKey := newKey(t)
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"example.org"}, CommonName: name},
			NotBefore: founded, NotAfter: founded.Add(decade), KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
		}
	}
	s.root = s.certify(template("root"), template("root"), rootKey.Public(), rootKey)
	authority := template("authority")
	authority.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	s.authority = s.certify(authority, s.root, s.issuing.Public(), rootKey)
	return s
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (s *Sigstore) certify(template, parent *x509.Certificate, public crypto.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	s.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	return cert
}

// TrustedRoot is the deployment's trusted_root.json.
func (s *Sigstore) TrustedRoot() []byte {
	s.t.Helper()
	log := func(key *ecdsa.PrivateKey, name string) map[string]*root.TransparencyLog {
		id := s.logID(key)
		return map[string]*root.TransparencyLog{hex.EncodeToString(id): {
			BaseURL: "https://" + name, ID: id, ValidityPeriodStart: founded, HashFunc: crypto.SHA256,
			PublicKey: key.Public(), SignatureHashFunc: crypto.SHA256,
		}}
	}
	authority := &root.FulcioCertificateAuthority{
		Root: s.root, Intermediates: []*x509.Certificate{s.authority},
		ValidityPeriodStart: founded, ValidityPeriodEnd: founded.Add(decade), URI: "https://fulcio.example.org",
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{authority},
		log(s.certificates, "ctfe.example.org"), nil, log(s.log, "rekor.example.org"))
	if err != nil {
		s.t.Fatal(err)
	}
	data, err := trusted.MarshalJSON()
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

func (s *Sigstore) logID(key *ecdsa.PrivateKey) []byte {
	s.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		s.t.Fatal(err)
	}
	id := sha256.Sum256(der)
	return id[:]
}

// Signing says how to sign. The zero value of all but the first two is what happens when nothing is wrong.
type Signing struct {
	// Identity is a URI or an address of mail.
	Identity, Issuer string
	// At is when the certificate is issued, by default in September 2025. It is valid for ten minutes.
	At time.Time
	// After is how long after that the log sees the signature; by default a minute.
	After time.Duration
	// Unlisted leaves the certificate transparency log out.
	Unlisted bool
}

// Signature is what a signer publishes.
type Signature struct {
	// Sig and Cert are the files .sig and .cert as cosign writes them.
	Sig, Cert []byte
	// Bundle is a Sigstore bundle of version 0.3, CosignBundle is one as cosign wrote before.
	Bundle, CosignBundle []byte
}

// Sign signs a file.
func (s *Sigstore) Sign(file []byte, how Signing) Signature {
	s.t.Helper()
	if how.At.IsZero() {
		how.At = time.Date(2025, 9, 10, 11, 12, 13, 0, time.UTC)
	}
	if how.After == 0 {
		how.After = time.Minute
	}
	key := newKey(s.t)
	cert := s.leaf(key, how)
	digest := sha256.Sum256(file)
	signature := s.sign(key, file)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	b64 := base64.StdEncoding.EncodeToString

	body := s.json(map[string]any{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": map[string]any{
		"data":      map[string]any{"hash": map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(digest[:])}},
		"signature": map[string]any{"content": b64(signature), "publicKey": map[string]any{"content": b64(certPEM)}},
	}})
	s.entries++
	index, logged := s.entries, how.At.Add(how.After).Unix()
	payload := map[string]any{"body": b64(body), "integratedTime": logged, "logIndex": index, "logID": hex.EncodeToString(s.logID(s.log))}
	promise := s.sign(s.log, s.json(payload))

	// The log has one entry, which is then its root.
	leaf := sha256.Sum256(append([]byte{0}, body...))
	checkpoint := fmt.Sprintf("rekor.example.org - 1\n1\n%s\n", b64(leaf[:]))
	checkpoint += "\n— rekor.example.org " + b64(append(s.logID(s.log)[:4:4], s.sign(s.log, []byte(checkpoint))...)) + "\n"

	return Signature{
		Sig: []byte(b64(signature)), Cert: []byte(b64(certPEM)),
		CosignBundle: s.json(map[string]any{
			"base64Signature": b64(signature), "cert": b64(certPEM),
			"rekorBundle": map[string]any{"SignedEntryTimestamp": b64(promise), "Payload": payload},
		}),
		Bundle: s.json(map[string]any{
			"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
			"verificationMaterial": map[string]any{
				"certificate": map[string]any{"rawBytes": b64(cert.Raw)},
				"tlogEntries": []any{map[string]any{
					"logIndex": fmt.Sprint(index), "logId": map[string]any{"keyId": b64(s.logID(s.log))},
					"kindVersion":    map[string]any{"kind": "hashedrekord", "version": "0.0.1"},
					"integratedTime": fmt.Sprint(logged), "inclusionPromise": map[string]any{"signedEntryTimestamp": b64(promise)},
					"inclusionProof": map[string]any{
						"logIndex": "0", "treeSize": "1", "rootHash": b64(leaf[:]), "hashes": []any{},
						"checkpoint": map[string]any{"envelope": checkpoint},
					},
					"canonicalizedBody": b64(body),
				}},
			},
			"messageSignature": map[string]any{
				"messageDigest": map[string]any{"algorithm": "SHA2_256", "digest": b64(digest[:])}, "signature": b64(signature),
			},
		}),
	}
}

// json is canonical: without spaces, and with keys in order, as encoding/json has those of maps.
func (s *Sigstore) json(v any) []byte {
	s.t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

func (s *Sigstore) sign(key *ecdsa.PrivateKey, data []byte) []byte {
	s.t.Helper()
	digest := sha256.Sum256(data)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		s.t.Fatal(err)
	}
	return signature
}

// leaf is the certificate of a signer. The log signs what the certificate is without the log's signature in it, so that it is
// issued twice (RFC 6962, 3.1).
func (s *Sigstore) leaf(key *ecdsa.PrivateKey, how Signing) *x509.Certificate {
	s.t.Helper()
	issuer, err := asn1.MarshalWithParams(how.Issuer, "utf8")
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: how.At, NotAfter: how.At.Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(how.Issuer)},
			{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: issuer},
		},
	}
	if strings.Contains(how.Identity, "://") {
		u, err := url.Parse(how.Identity)
		if err != nil {
			s.t.Fatal(err)
		}
		template.URIs = []*url.URL{u}
	} else {
		template.EmailAddresses = []string{how.Identity}
	}
	cert := s.certify(template, s.authority, key.Public(), s.issuing)
	if how.Unlisted {
		return cert
	}
	list, err := asn1.Marshal(s.certificateTimestamps(cert, how.At))
	if err != nil {
		s.t.Fatal(err)
	}
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: list})
	return s.certify(template, s.authority, key.Public(), s.issuing)
}

// certificateTimestamps is a SignedCertificateTimestampList (RFC 6962, 3.2 and 3.3) with one timestamp.
func (s *Sigstore) certificateTimestamps(cert *x509.Certificate, at time.Time) []byte {
	s.t.Helper()
	authority := sha256.Sum256(s.authority.RawSubjectPublicKeyInfo)
	tbs := cert.RawTBSCertificate
	stamp := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli()))

	signed := append([]byte{0, 0}, stamp...) // version 1, certificate_timestamp
	signed = append(signed, 0, 1)            // precert_entry
	signed = append(signed, authority[:]...)
	signed = append(signed, byte(len(tbs)>>16), byte(len(tbs)>>8), byte(len(tbs)))
	signed = append(signed, tbs...)
	signed = append(signed, 0, 0) // no extensions
	signature := s.sign(s.certificates, signed)

	sct := append([]byte{0}, s.logID(s.certificates)...)
	sct = append(sct, stamp...)
	sct = append(sct, 0, 0, 4, 3) // no extensions; SHA-256 with ECDSA
	sct = binary.BigEndian.AppendUint16(sct, uint16(len(signature)))
	sct = append(sct, signature...)
	list := binary.BigEndian.AppendUint16(nil, uint16(len(sct)+2))
	list = binary.BigEndian.AppendUint16(list, uint16(len(sct)))
	return append(list, sct...)
}
