package keys

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"sigs.k8s.io/pkgs/keys/frame"
)

// Info is what a person needs to know of a key.
type Info struct {
	// Fingerprint is 40 upper-case hex digits, KeyID the last 16 of them.
	Fingerprint string `json:"fingerprint"`
	KeyID       string `json:"keyID"`
	// UserID is the primary user ID, such as Kubernetes Packages <packages@example.org>.
	UserID string `json:"userID"`
	// Algorithm is RSA, EdDSA, ECDSA, …; Bits is the size of the key.
	Algorithm string    `json:"algorithm"`
	Bits      int       `json:"bits"`
	Created   time.Time `json:"created"`
	// Expires is zero for a key that never does.
	Expires time.Time `json:"expires,omitzero"`
	// Revoked tells that the key's owner has withdrawn it.
	Revoked bool `json:"revoked"`
}

// certificate is one key as it was read: the packets byte by byte, so that an export is what was imported, and what the
// library made of them.
type certificate struct {
	packets [][]byte
	entity  *openpgp.Entity
	info    Info
	// self is the self-signature of the primary key that counts: the newest that is made with a good hash.
	self *packet.Signature
	// updated is when the newest self-signature was made.
	updated time.Time
}

const (
	minRSABits = 2048 // Debian 13 refuses less
	maxRSABits = 8192 // GnuPG makes no more than 4096 by default; more only costs time
)

// parseCertificates reads all keys of a sequence of packets. Panics of the library become errors.
func parseCertificates(name string, data []byte) (certs []*certificate, err error) {
	defer func() {
		if p := recover(); p != nil {
			certs, err = nil, fmt.Errorf("%s: the key is damaged in a way that the openpgp library cannot handle", name)
		}
	}()
	packets, err := frame.Packets(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for len(packets) > 0 {
		n := 1
		for n < len(packets) && packets[n].Tag != frame.TagPublicKey && packets[n].Tag != frame.TagPrivateKey {
			n++
		}
		c, err := parseCertificate(packets[:n])
		if err != nil {
			return nil, fmt.Errorf("%s: key %d: %w", name, len(certs)+1, err)
		}
		certs, packets = append(certs, c), packets[n:]
	}
	return certs, nil
}

// parseCertificate reads one key.
func parseCertificate(packets []frame.Packet) (*certificate, error) {
	c := new(certificate)
	var data bytes.Buffer
	for i, p := range packets {
		switch p.Tag {
		case frame.TagMarker, frame.TagTrust, frame.TagPadding:
			continue // they mean nothing outside of the program that wrote them
		case frame.TagPublicKey, frame.TagPrivateKey:
			if i > 0 {
				return nil, errors.New("it holds a second primary key")
			}
		case frame.TagPublicSub, frame.TagPrivateSub, frame.TagSignature, frame.TagUserID, frame.TagUserAttr:
			if i == 0 {
				return nil, fmt.Errorf("expected a key, found a packet with tag %d", p.Tag)
			}
		default:
			return nil, fmt.Errorf("a packet with tag %d does not belong in a key", p.Tag)
		}
		if err := checkPacket(p); err != nil {
			return nil, err
		}
		c.packets = append(c.packets, p.Raw)
		data.Write(p.Raw)
	}
	entity, err := openpgp.ReadEntity(packet.NewReader(&data))
	if err != nil {
		return nil, plain(err)
	}
	if data.Len() != 0 {
		return nil, errors.New("there is something behind the key that does not belong to it")
	}
	c.entity = entity
	c.judge()
	return c, nil
}

// checkPacket refuses keys of other versions than 4 and sizes that cost too much to compute with. It looks at the
// bytes, before the library does anything with them.
func checkPacket(p frame.Packet) error {
	switch p.Tag {
	case frame.TagPublicKey, frame.TagPrivateKey, frame.TagPublicSub, frame.TagPrivateSub:
	default:
		return nil
	}
	if len(p.Body) < 8 {
		return errors.New("a key packet is too short")
	}
	if v := p.Body[0]; v != 4 {
		return fmt.Errorf("it is a version %d key: package managers read only version 4", v)
	}
	// Version, four bytes of time, algorithm; then for RSA, DSA and Elgamal the bits of the first number.
	switch packet.PublicKeyAlgorithm(p.Body[5]) {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSAEncryptOnly, packet.PubKeyAlgoRSASignOnly, packet.PubKeyAlgoDSA, packet.PubKeyAlgoElGamal:
		if bits := int(p.Body[6])<<8 | int(p.Body[7]); bits > maxRSABits {
			return fmt.Errorf("it has %d bits: more than %d are not supported", bits, maxRSABits)
		}
	}
	return nil
}

// lastChange is when the key was last made, signed by itself anew or revoked.
func (c *certificate) lastChange() time.Time {
	last := c.info.Created
	if c.updated.After(last) {
		last = c.updated
	}
	for _, r := range c.entity.Revocations {
		if r.CreationTime.After(last) {
			last = r.CreationTime
		}
	}
	return last
}

// judge fills in what follows from the entity.
func (c *certificate) judge() {
	primary := c.entity.PrimaryKey
	bits, _ := primary.BitLength()
	c.info = Info{
		Fingerprint: fingerprint(primary),
		KeyID:       KeyID(primary.KeyId),
		Algorithm:   algorithm(primary.PubKeyAlgo),
		Bits:        int(bits),
		Created:     primary.CreationTime.UTC(),
		Revoked:     len(c.entity.Revocations) > 0,
	}
	for _, identity := range sortedIdentities(c.entity) {
		for _, sig := range identity.Signatures {
			if sig.SigType == packet.SigTypeCertificationRevocation || !sig.CheckKeyIdOrFingerprint(primary) {
				continue
			}
			if sig.CreationTime.After(c.updated) {
				c.updated = sig.CreationTime
			}
			// An identity whose revocation is newer than its signature lends the key nothing.
			withdrawn := slices.ContainsFunc(identity.Revocations, func(r *packet.Signature) bool { return !r.CreationTime.Before(sig.CreationTime) })
			if withdrawn || !strong(sig.Hash) {
				continue
			}
			if c.self == nil || sig.CreationTime.After(c.self.CreationTime) {
				c.self, c.info.UserID = sig, identity.Name
			}
		}
	}
	if c.info.UserID == "" {
		for _, identity := range sortedIdentities(c.entity) {
			c.info.UserID = identity.Name
			break
		}
	}
	if c.self != nil {
		c.info.Expires = expiry(primary, c.self)
	}
}

// sortedIdentities lists a key's user IDs, the one marked as primary first, then by name: the library keeps them in a map.
func sortedIdentities(e *openpgp.Entity) []*openpgp.Identity {
	var list []*openpgp.Identity
	for _, i := range e.Identities {
		list = append(list, i)
	}
	isPrimary := func(i *openpgp.Identity) int {
		if i.SelfSignature != nil && i.SelfSignature.IsPrimaryId != nil && *i.SelfSignature.IsPrimaryId {
			return 0
		}
		return 1
	}
	slices.SortFunc(list, func(a, b *openpgp.Identity) int {
		if d := isPrimary(a) - isPrimary(b); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list
}

// strong tells whether signatures with a hash count.
func strong(h crypto.Hash) bool {
	return h == crypto.SHA256 || h == crypto.SHA384 || h == crypto.SHA512
}

// expiry is when a key expires by a self-signature; zero is never.
func expiry(key *packet.PublicKey, sig *packet.Signature) time.Time {
	if sig.KeyLifetimeSecs == nil || *sig.KeyLifetimeSecs == 0 {
		return time.Time{}
	}
	return key.CreationTime.Add(time.Duration(*sig.KeyLifetimeSecs) * time.Second).UTC()
}

// fingerprint writes a key's fingerprint as 40 upper-case hex digits.
func fingerprint(key *packet.PublicKey) string {
	return strings.ToUpper(hex.EncodeToString(key.Fingerprint))
}

// KeyID writes a key ID as 16 upper-case hex digits.
func KeyID(id uint64) string { return fmt.Sprintf("%016X", id) }

// algorithm names a public key algorithm.
func algorithm(a packet.PublicKeyAlgorithm) string {
	switch a {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly, packet.PubKeyAlgoRSAEncryptOnly:
		return "RSA"
	case packet.PubKeyAlgoDSA:
		return "DSA"
	case packet.PubKeyAlgoECDSA:
		return "ECDSA"
	case packet.PubKeyAlgoEdDSA:
		return "EdDSA"
	case packet.PubKeyAlgoEd25519:
		return "Ed25519"
	case packet.PubKeyAlgoEd448:
		return "Ed448"
	}
	return fmt.Sprintf("algorithm %d", a)
}

// plain strips the library's prefix from an error, which says nothing to a reader.
func plain(err error) error {
	text := strings.TrimPrefix(err.Error(), "openpgp: ")
	return errors.New(strings.TrimPrefix(text, "invalid data: "))
}
