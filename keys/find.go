package keys

import (
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Verifier is a key of a keyring that can have made a signature: a primary key, or a subkey made for signing.
type Verifier struct {
	// Key is the key that the signature counts for, Fingerprint that of the primary key or subkey that made it.
	Key         Info
	Fingerprint string
	// Public checks signatures.
	Public *packet.PublicKey

	cert    *certificate
	binding *packet.Signature // of a subkey
	revoked bool
}

// Find returns the keys of the keyring with a key ID, the last 64 bits of the fingerprint. There is none or one, unless
// somebody made two keys with the same ID on purpose.
func (k *Keyring) Find(keyID uint64) []Verifier {
	var found []Verifier
	for _, c := range k.certs {
		if c.entity.PrimaryKey.KeyId == keyID {
			found = append(found, Verifier{Key: c.info, Fingerprint: c.info.Fingerprint, Public: c.entity.PrimaryKey, cert: c})
		}
		for _, s := range c.entity.Subkeys {
			if s.PublicKey.KeyId == keyID {
				found = append(found, Verifier{Key: c.info, Fingerprint: fingerprint(s.PublicKey), Public: s.PublicKey,
					cert: c, binding: s.Sig, revoked: len(s.Revocations) > 0})
			}
		}
	}
	return found
}

// Check says why signatures of this key do not count at a time, if they do not: an *UnusableError, *RevokedError,
// *NotYetError or *ExpiredError.
func (v Verifier) Check(at time.Time) error {
	if err := v.cert.check(at); err != nil {
		return err
	}
	if v.binding == nil {
		return v.cert.checkSigning()
	}
	switch {
	case v.revoked:
		return &RevokedError{v.Fingerprint}
	case !v.binding.FlagsValid || !v.binding.FlagSign:
		return &UnusableError{Fingerprint: v.Fingerprint, Reason: "is a subkey that is not made for signing"}
	case !strong(v.binding.Hash) || v.binding.EmbeddedSignature == nil || !strong(v.binding.EmbeddedSignature.Hash):
		return &UnusableError{Fingerprint: v.Fingerprint, Reason: "is bound to its primary key with a weak hash: bind it again with SHA-256 or better"}
	}
	if err := checkSize(v.Fingerprint, v.Public); err != nil {
		return err
	}
	return checkTime(v.Fingerprint, v.Public.CreationTime, expiry(v.Public, v.binding), at)
}

// check says why a key must not be used at a time, if it must not.
func (c *certificate) check(at time.Time) error {
	switch {
	case c.info.Revoked:
		return &RevokedError{c.info.Fingerprint}
	case c.self == nil:
		return &UnusableError{Fingerprint: c.info.Fingerprint, Reason: "has no self-signature with SHA-256 or better: Debian 13 refuses it, sign its user ID again"}
	}
	if err := checkSize(c.info.Fingerprint, c.entity.PrimaryKey); err != nil {
		return err
	}
	return checkTime(c.info.Fingerprint, c.info.Created, c.info.Expires, at)
}

// checkSigning says whether the primary key itself is made for signing, which a key without flags is.
func (c *certificate) checkSigning() error {
	if c.self != nil && c.self.FlagsValid && !c.self.FlagSign {
		return &UnusableError{Fingerprint: c.info.Fingerprint, Reason: "is not made for signing, only its subkeys are"}
	}
	return nil
}

// checkSize refuses RSA keys that are too short.
func checkSize(fingerprint string, key *packet.PublicKey) error {
	if bits, err := key.BitLength(); algorithm(key.PubKeyAlgo) == "RSA" && (err != nil || bits < minRSABits) {
		return &UnusableError{Fingerprint: fingerprint, Reason: "has less than 2048 bits: make a new one with 4096"}
	}
	return nil
}

// checkTime says whether a key exists and has not expired at a time. The second in which it expires is over.
func checkTime(fingerprint string, created, expires, at time.Time) error {
	if at.Before(created) {
		return &NotYetError{fingerprint, created, at}
	}
	if !expires.IsZero() && !at.Before(expires) {
		return &ExpiredError{fingerprint, expires, at}
	}
	return nil
}
