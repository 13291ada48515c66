package keys

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ProtonMail/go-crypto/openpgp/s2k"

	"sigs.k8s.io/pkgs/keys/frame"
)

// Private is an RSA key that can sign: one that was read, or one behind a [DigestSigner]. It may be used concurrently.
// However it is printed, logged or marshalled, it shows its fingerprint and nothing else.
type Private struct {
	cert   *certificate
	public *Keyring
	signer DigestSigner
}

// ReadPrivate reads one private key, armored or in binary; name is what errors call it. If the key is locked,
// passphrase is called once to open it; nil means that there is nobody to ask, and a locked key is a *LockedError. A
// passphrase that does not fit is a *PassphraseError, a key that can never sign is an *UnusableError.
func ReadPrivate(name string, armored []byte, passphrase func() ([]byte, error)) (*Private, error) {
	c, err := readSecret(name, armored)
	if err != nil {
		return nil, err
	}
	return unlock(name, c, passphrase)
}

// PublicOf reads the public half of a private key without opening it: a locked key stays locked. name is what errors call
// the key.
func PublicOf(name string, armored []byte) (*Keyring, error) {
	data, err := secretPackets(name, armored)
	if err != nil {
		return nil, err
	}
	// To read an RSA key takes several milliseconds of arithmetic, which are for those who sign with it.
	if public, ok := publicHalves(data); ok {
		if certs, err := parseCertificates(name, public); err == nil && len(certs) == 1 {
			return &Keyring{certs}, nil
		}
	}
	c, err := readSecret(name, armored)
	if err != nil {
		return nil, err
	}
	public, err := c.public()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Keyring{[]*certificate{public}}, nil
}

// publicHalves replaces private keys by their public halves, as far as they are RSA keys.
func publicHalves(data []byte) (public []byte, ok bool) {
	packets, err := frame.Packets(data)
	if err != nil || len(packets) == 0 || packets[0].Tag != frame.TagPrivateKey {
		return nil, false
	}
	for _, p := range packets {
		if p.Tag == frame.TagPrivateKey || p.Tag == frame.TagPrivateSub {
			if p, ok = frame.PublicHalf(p); !ok {
				return nil, false
			}
		}
		public = append(public, p.Raw...)
	}
	return public, true
}

// readSecret reads a private key as it stands in its file.
func readSecret(name string, armored []byte) (*certificate, error) {
	data, err := secretPackets(name, armored)
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates(name, data)
	if err != nil {
		return nil, err
	}
	if len(certs) != 1 {
		return nil, fmt.Errorf("%s: holds %d keys where one private key was expected: export only the one that signs", name, len(certs))
	}
	if certs[0].entity.PrivateKey == nil {
		return nil, publicInstead(name)
	}
	return certs[0], nil
}

// secretPackets takes the armor off a private key.
func secretPackets(name string, armored []byte) ([]byte, error) {
	if len(armored) > maxKeyring {
		return nil, fmt.Errorf("%s: is larger than %d bytes: one private key was expected", name, maxKeyring)
	}
	data := armored
	if frame.IsArmored(armored) {
		blocks, err := frame.DecodeAll(armored)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(blocks) != 1 {
			return nil, fmt.Errorf("%s: holds %d armored blocks where one private key was expected", name, len(blocks))
		}
		switch blocks[0].Kind {
		case frame.PrivateKey:
		case frame.PublicKey:
			return nil, publicInstead(name)
		default:
			return nil, fmt.Errorf("%s: holds a %s where a %s was expected", name, blocks[0].Kind, frame.PrivateKey)
		}
		data = blocks[0].Data
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("%s: is empty: a %s was expected", name, frame.PrivateKey)
	}
	return data, nil
}

func publicInstead(name string) error {
	return fmt.Errorf("%s: holds a public key where a private key was expected: export it with gpg --export-secret-keys --armor", name)
}

// unlock opens a private key and checks that it can sign. Panics of the library become errors.
func unlock(name string, c *certificate, passphrase func() ([]byte, error)) (_ *Private, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: the private key is damaged in a way that the openpgp library cannot handle", name)
		}
	}()
	unusable := func(reason string) error {
		return &UnusableError{Name: name, Fingerprint: c.info.Fingerprint, Reason: reason}
	}
	primary := c.entity.PrivateKey
	if primary.Dummy() {
		return nil, unusable("is only a stub: the file holds subkeys, and signing needs the primary key")
	}
	if err := c.usable(name); err != nil {
		return nil, err
	}
	if err := c.checkDerivation(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if primary.Encrypted {
		if passphrase == nil {
			return nil, &LockedError{Name: name, Fingerprint: c.info.Fingerprint}
		}
		secret, err := passphrase()
		if err != nil {
			return nil, fmt.Errorf("%s: private key %s is locked, and its passphrase cannot be had: %w", name, c.info.Fingerprint, err)
		}
		if len(secret) == 0 {
			return nil, &LockedError{Name: name, Fingerprint: c.info.Fingerprint}
		}
		if err := c.entity.DecryptPrivateKeys(secret); err != nil {
			return nil, &PassphraseError{Name: name, Fingerprint: c.info.Fingerprint}
		}
	}
	signer, ok := primary.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, unusable("holds no private key that can sign")
	}
	public, err := c.public()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Private{cert: c, public: &Keyring{[]*certificate{public}}, signer: inMemory{signer}}, nil
}

// checkDerivation refuses keys whose passphrase is to be turned into a key by Argon2: the file says how many gigabytes
// that takes, and GnuPG never writes it.
func (c *certificate) checkDerivation() error {
	const usage, usageAEAD, argon2 = 0, 253, 4
	for _, p := range c.privates() {
		var public bytes.Buffer
		if err := p.key.PublicKey.Serialize(&public); err != nil {
			return plain(err)
		}
		head, err := frame.Packets(public.Bytes())
		if err != nil {
			return err
		}
		// Behind the public part: usage, cipher, AEAD algorithm if the usage says so, kind of derivation.
		rest := p.body[min(len(p.body), len(head[0].Body)):]
		kind := 2
		if len(rest) > 0 && rest[usage] == usageAEAD {
			kind = 3
		}
		if len(rest) > kind && rest[usage] >= usageAEAD && rest[kind] == argon2 {
			return errors.New("its passphrase is protected with Argon2, which is not supported: protect it again with gpg --edit-key and passwd")
		}
	}
	return nil
}

// secretPacket is a packet with a private key: where it stands in the certificate, its body, and what the library knows.
type secretPacket struct {
	index int
	body  []byte
	key   *packet.PrivateKey
}

// privates pairs the packets of private keys with the library's values, which come in the same order.
func (c *certificate) privates() []secretPacket {
	list := []*packet.PrivateKey{c.entity.PrivateKey}
	for _, s := range c.entity.Subkeys {
		if s.PrivateKey != nil {
			list = append(list, s.PrivateKey)
		}
	}
	var found []secretPacket
	for i, raw := range c.packets {
		p, err := frame.Packets(raw)
		if err == nil && (p[0].Tag == frame.TagPrivateKey || p[0].Tag == frame.TagPrivateSub) && len(found) < len(list) {
			found = append(found, secretPacket{i, p[0].Body, list[len(found)]})
		}
	}
	return found
}

// public is the certificate without its secrets: the same packets, but public keys in the place of private ones.
func (c *certificate) public() (*certificate, error) {
	return c.replace(func(w io.Writer, key *packet.PrivateKey) error { return key.PublicKey.Serialize(w) })
}

// replace copies the certificate with other packets in the place of private keys.
func (c *certificate) replace(serialize func(io.Writer, *packet.PrivateKey) error) (*certificate, error) {
	packets := append([][]byte(nil), c.packets...)
	for _, p := range c.privates() {
		var b bytes.Buffer
		if err := serialize(&b, p.key); err != nil {
			return nil, plain(err)
		}
		packets[p.index] = b.Bytes()
	}
	certs, err := parseCertificates("key "+c.info.Fingerprint, bytes.Join(packets, nil))
	if err != nil {
		return nil, err
	}
	return certs[0], nil
}

// Public is the public key.
func (p *Private) Public() *Keyring { return p.public }

// Info tells what a person needs to know of the key.
func (p *Private) Info() Info { return p.cert.info }

// Check says why the key must not sign at a time, if it must not: a *NotYetError or an *ExpiredError.
func (p *Private) Check(at time.Time) error { return p.cert.check(at) }

// Armor writes the private key as an armored block, if it was read or generated here. With a passphrase it is locked: AES-256 under a key derived from
// the passphrase and a random salt by SHA-256 over 65 MB (RFC 4880, section 3.7.1.3), which GnuPG opens. Without one,
// whoever has the block can sign.
func (p *Private) Armor(passphrase []byte) (_ []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("private key %s cannot be written", p.cert.info.Fingerprint)
		}
	}()
	if p.cert.entity.PrivateKey == nil {
		return nil, fmt.Errorf("private key %s cannot be written: it never leaves where it is", p.cert.info.Fingerprint)
	}
	open, err := p.cert.replace(func(w io.Writer, key *packet.PrivateKey) error { return key.Serialize(w) })
	if err != nil {
		return nil, err
	}
	if len(passphrase) > 0 {
		err := open.entity.EncryptPrivateKeys(passphrase, &packet.Config{
			DefaultCipher: packet.CipherAES256,
			S2KConfig:     &s2k.Config{S2KMode: s2k.IteratedSaltedS2K, Hash: crypto.SHA256, S2KCount: 65011712},
		})
		if err != nil {
			return nil, fmt.Errorf("private key %s cannot be locked: %w", p.cert.info.Fingerprint, plain(err))
		}
		open, err = open.replace(func(w io.Writer, key *packet.PrivateKey) error { return key.Serialize(w) })
		if err != nil {
			return nil, err
		}
	}
	return frame.Encode(frame.PrivateKey, bytes.Join(open.packets, nil)), nil
}

// String names the key without revealing it, as do all other forms of printing. Their receiver is a value, so that a
// copy of a Private keeps the secret too.
func (p Private) String() string {
	if p.cert == nil {
		return "no private key"
	}
	return "private key " + p.cert.info.Fingerprint
}

// GoString is String.
func (p Private) GoString() string { return p.String() }

// Format prints String, whatever the verb: %x and %#v print the contents of other values.
func (p Private) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// LogValue is String.
func (p Private) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalText is String.
func (p Private) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// MarshalJSON is String.
func (p Private) MarshalJSON() ([]byte, error) { return json.Marshal(p.String()) }
