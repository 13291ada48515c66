// Package sign makes and checks OpenPGP signatures in the three forms that package repositories use.
//
//   - Clearsigned text, apt's InRelease (RFC 4880, section 7): the text in the open between two markers, then its
//     signature in armor. The signature is of type 0x01, over the lines joined by CR LF without the last line's end.
//   - Detached, apt's Release.gpg and yum's repomd.xml.asc: a signature of type 0x00 over the bytes, in armor.
//   - A bare signature packet of type 0x00, as rpm keeps it in the signature header of a package.
//
// Signatures are made by the primary key with PKCS#1 v1.5, in version 4 packets, with SHA-512 for text and detached ones
// and SHA-256 for rpm. They hold their creation time, the issuer's key ID and its fingerprint, none of it critical, and
// no salt: the same key, data and time give the same bytes. Armor has its CRC-24. All of that is what every apt,
// gpgv, sqv, rpm, dnf and zypper in use accepts.
//
// Checking is stricter than any one client, so that what passes here passes there. A signature counts if it is version
// 4, of the type that belongs to its form, uses SHA-256 or better, and was made by the primary key or a signing subkey
// of a trusted key that was not revoked or expired, after that key was created and not in the future. Several
// signatures may stand side by side, since keys are rotated: those of unknown keys are passed over if one of a known
// key is good, but one bad signature of a known key spoils all, as it does for zypper.
package sign

import (
	"bytes"
	"crypto"
	_ "crypto/sha256" // registers the hashes by which signatures are made
	_ "crypto/sha512"
	"errors"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/keys/frame"
)

// Signer signs with one or more private keys. It may be used concurrently.
type Signer struct{ keys []*keys.Private }

// New makes a signer. With several keys, clearsigned and detached signatures are made by each of them, in this order.
// Only apt accepts two signatures: for repomd.xml use a signer with one key.
func New(private ...*keys.Private) (*Signer, error) {
	if len(private) == 0 {
		return nil, errors.New("there is no key to sign with")
	}
	seen := map[string]bool{}
	for _, p := range private {
		if p == nil {
			return nil, errors.New("there is no key to sign with")
		}
		if f := p.Info().Fingerprint; seen[f] {
			return nil, fmt.Errorf("key %s was given twice to sign with", f)
		} else {
			seen[f] = true
		}
	}
	return &Signer{private}, nil
}

// Keyring is the public keys of the signer.
func (s *Signer) Keyring() *keys.Keyring {
	var rings []*keys.Keyring
	for _, k := range s.keys {
		rings = append(rings, k.Public())
	}
	return keys.Merge(rings...)
}

// Clearsign wraps text in a signed message. The text must survive that unchanged: it ends in a newline, and no line
// ends in a blank or holds a carriage return or NUL.
func (s *Signer) Clearsign(text []byte, at time.Time) ([]byte, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	packets, err := s.sign(s.keys, canonical(text), packet.SigTypeText, crypto.SHA512, at)
	if err != nil {
		return nil, err
	}
	return encodeClearsigned(text, packets), nil
}

// Detached signs data and returns the signatures as one armored block.
func (s *Signer) Detached(data []byte, at time.Time) ([]byte, error) {
	packets, err := s.sign(s.keys, data, packet.SigTypeBinary, crypto.SHA512, at)
	if err != nil {
		return nil, err
	}
	return frame.Encode(frame.Signature, packets), nil
}

// RPMHeader signs the header of an rpm package, magic bytes included, with the first key. The result is the packet that
// belongs into the tag RPMSIGTAG_RSA.
func (s *Signer) RPMHeader(header []byte, at time.Time) ([]byte, error) {
	return s.sign(s.keys[:1], header, packet.SigTypeBinary, crypto.SHA256, at)
}

// sign makes one signature packet for each key.
func (s *Signer) sign(by []*keys.Private, data []byte, kind packet.SignatureType, hash crypto.Hash, at time.Time) ([]byte, error) {
	var all bytes.Buffer
	for _, k := range by {
		one, err := signOne(k, data, kind, hash, at)
		if err != nil {
			return nil, fmt.Errorf("signing with key %s: %w", k.Info().Fingerprint, err)
		}
		all.Write(one)
	}
	return all.Bytes(), nil
}

func signOne(k *keys.Private, data []byte, kind packet.SignatureType, hash crypto.Hash, at time.Time) (_ []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the openpgp library failed")
		}
	}()
	if s := at.Unix(); s <= 0 || s > 1<<32-1 {
		return nil, fmt.Errorf("time %s cannot stand in a signature", stamp(at))
	}
	at = at.Truncate(time.Second)
	if err := k.Check(at); err != nil {
		return nil, err
	}
	private := k.Entity().PrivateKey
	signature := &packet.Signature{
		Version:      4,
		SigType:      kind,
		PubKeyAlgo:   private.PubKeyAlgo,
		Hash:         hash,
		CreationTime: at,
		IssuerKeyId:  &private.KeyId,
	}
	salted := false
	config := &packet.Config{
		Time:                                  func() time.Time { return at },
		NonDeterministicSignaturesViaNotation: &salted,
		// yum 3.4 refuses signatures on which this subpacket is critical.
		InsecureGenerateNonCriticalSignatureCreationTime: true,
	}
	digest := hash.New()
	digest.Write(data)
	if err := signature.Sign(digest, private, config); err != nil {
		return nil, err
	}
	// The library drops the error of a key that fails, and a fault in the computation would give the key away: look
	// at what came out before anybody else does.
	if signature.RSASignature == nil {
		return nil, errors.New("the key gave no signature")
	}
	digest = hash.New()
	digest.Write(data)
	if err := private.PublicKey.VerifySignature(digest, signature); err != nil {
		return nil, errors.New("the signature that came out is wrong: there is a fault in this machine or the key")
	}
	var b bytes.Buffer
	if err := signature.Serialize(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
