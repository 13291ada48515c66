package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// SignOpts says what kind of signature is wanted.
type SignOpts struct {
	// Text asks for a signature of type 0x01, over text whose lines end in CR LF; otherwise it is of type 0x00, over bytes.
	Text bool
	// Hash is SHA-256 or SHA-512. A key that can do only the other one uses that.
	Hash crypto.Hash
	// Time is when the signature counts as made, in whole seconds.
	Time time.Time
}

// DigestSigner is an RSA key that signs without revealing itself: one in memory, in a hardware module, in a service.
type DigestSigner interface {
	// Public is the public half, an *rsa.PublicKey.
	Public() crypto.PublicKey
	// Hash is the one that the key uses where another is wanted: most can do any, some keys of services only one.
	Hash(wanted crypto.Hash) crypto.Hash
	// SignDigest returns the PKCS#1 v1.5 signature of a digest. It may be called concurrently. An error must reveal
	// nothing of the key.
	SignDigest(ctx context.Context, digest []byte, hash crypto.Hash) ([]byte, error)
}

// NewPrivate joins the public half of an OpenPGP key with what can sign in its name. name is what errors call it. The keyring
// must hold one key, an RSA key that may sign, and it must be that of the signer; [Certify] makes it.
func NewPrivate(name string, public *Keyring, signer DigestSigner) (*Private, error) {
	if len(public.certs) != 1 {
		return nil, fmt.Errorf("%s: holds %d keys where one public key was expected: give only that of the signing key", name, len(public.certs))
	}
	c := public.certs[0]
	if err := c.usable(name); err != nil {
		return nil, err
	}
	want, ok := c.entity.PrimaryKey.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, &UnusableError{Name: name, Fingerprint: c.info.Fingerprint, Reason: "is not an RSA key that signs"}
	}
	if have, ok := signer.Public().(*rsa.PublicKey); !ok || !have.Equal(want) {
		return nil, &MismatchError{Name: name, Fingerprint: c.info.Fingerprint}
	}
	return &Private{cert: c, public: public, signer: signer}, nil
}

// usable says why a key can never sign for us, if it cannot: an *UnusableError.
func (c *certificate) usable(name string) error {
	unusable := func(reason string) error {
		return &UnusableError{Name: name, Fingerprint: c.info.Fingerprint, Reason: reason}
	}
	switch {
	case c.info.Algorithm != "RSA":
		return unusable("is an " + c.info.Algorithm + " key: rpm packages can only be signed with RSA keys")
	case c.info.Revoked:
		return unusable("is revoked: use another key")
	case c.self == nil:
		return unusable("has no self-signature with SHA-256 or better: Debian 13 refuses it, sign its user ID again")
	}
	if err := errors.Join(checkSize(c.info.Fingerprint, c.entity.PrimaryKey), c.checkSigning()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Sign makes one signature packet of version 4 over data, by the primary key. It holds its time, the issuer's key ID and
// its fingerprint, none of it critical, and no salt: the same key, data and options give the same bytes. The result is
// not checked here; package sign does that for keys of every kind.
func (p *Private) Sign(ctx context.Context, data []byte, opts SignOpts) (_ []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("the openpgp library failed")
		}
	}()
	if s := opts.Time.Unix(); s <= 0 || s > 1<<32-1 {
		return nil, fmt.Errorf("time %s cannot stand in a signature", opts.Time.UTC().Format(time.RFC3339))
	}
	at := opts.Time.Truncate(time.Second)
	if err := p.Check(at); err != nil {
		return nil, err
	}
	public := p.cert.entity.PrimaryKey
	call := &call{ctx: ctx, DigestSigner: p.signer}
	signature := &packet.Signature{
		Version:      4,
		SigType:      packet.SigTypeBinary,
		PubKeyAlgo:   public.PubKeyAlgo,
		Hash:         p.signer.Hash(opts.Hash),
		CreationTime: at,
		IssuerKeyId:  &public.KeyId,
	}
	if opts.Text {
		signature.SigType = packet.SigTypeText
	}
	salted := false
	config := &packet.Config{
		Time:                                  func() time.Time { return at },
		NonDeterministicSignaturesViaNotation: &salted,
		// yum 3.4 refuses signatures on which this subpacket is critical.
		InsecureGenerateNonCriticalSignatureCreationTime: true,
	}
	digest := signature.Hash.New()
	digest.Write(data)
	if err := signature.Sign(digest, &packet.PrivateKey{PublicKey: *public, PrivateKey: call}, config); err != nil {
		return nil, plain(err)
	}
	// The library drops the error of a key that fails.
	if call.err != nil {
		return nil, call.err
	}
	if signature.RSASignature == nil {
		return nil, errors.New("the key gave no signature")
	}
	var b bytes.Buffer
	if err := signature.Serialize(&b); err != nil {
		return nil, plain(err)
	}
	return b.Bytes(), nil
}

// call is one use of a signer, as the library makes it. It keeps the error.
type call struct {
	DigestSigner
	ctx context.Context
	err error
}

// Sign implements crypto.Signer.
func (c *call) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := c.SignDigest(c.ctx, digest, opts.HashFunc())
	if err == nil && len(signature) == 0 {
		err = errors.New("the key gave no signature")
	}
	c.err = err
	return signature, err
}

// inMemory is an RSA key that was read.
type inMemory struct{ crypto.Signer }

func (inMemory) Hash(wanted crypto.Hash) crypto.Hash { return wanted }

func (m inMemory) SignDigest(_ context.Context, digest []byte, hash crypto.Hash) ([]byte, error) {
	signature, err := m.Signer.Sign(nil, digest, hash)
	if err != nil {
		return nil, errors.New("the computation failed")
	}
	return signature, nil
}
