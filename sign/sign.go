// Package sign makes and checks OpenPGP signatures in the three forms that package repositories use.
//
//   - Clearsigned text, apt's InRelease (RFC 4880, section 7): the text in the open between two markers, then its
//     signature in armor. The signature is of type 0x01, over the lines joined by CR LF without the last line's end.
//   - Detached, apt's Release.gpg and yum's repomd.xml.asc: a signature of type 0x00 over the bytes, in armor.
//   - A bare signature packet of type 0x00, as rpm keeps it in the signature header of a package.
//
// Signatures are made by the primary key with PKCS#1 v1.5, in version 4 packets, with SHA-512 for text and detached ones
// and SHA-256 for rpm, unless a key can do only one of the two. They hold their creation time, the issuer's key ID and its
// fingerprint, none of it critical, and no salt: the same key, data and time give the same bytes. Armor has its CRC-24.
// All of that is what every apt, gpgv, sqv, rpm, dnf and zypper in use accepts.
//
// What a [Signer] signs is an index or the header of a package, as a value that it writes itself or as bytes that it could
// read: there is no way to have it sign any bytes. Whether the index is the right one is for package repo to say.
//
// Where the private half of a [Key] is does not matter here, and nothing that it returns is believed: a signature is used
// once it verifies with the public half that the key was configured with.
//
// Checking is stricter than any one client, so that what passes here passes there. A signature counts if it is version
// 4, of the type that belongs to its form, uses SHA-256 or better, and was made by the primary key or a signing subkey
// of a trusted key that was not revoked or expired, after that key was created and not in the future. Several
// signatures may stand side by side, since keys are rotated: those of unknown keys, and those that were good until their key
// expired, are passed over if one of a known key is good, but one bad signature of a known key spoils all, as it does for
// zypper.
package sign

import (
	"bytes"
	"context"
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

// Key is one key that signs, wherever its private half is: in memory (a [keys.Private]), in a hardware module, in a service,
// behind another program. It may be used concurrently.
type Key interface {
	// Public is the public half: exactly one key, whose primary key makes the signatures. It needs no private key.
	Public() *keys.Keyring
	// Sign returns one OpenPGP signature packet over data, in binary. It ends with an error at the latest when ctx ends.
	// What it returns is believed only once it verifies with Public. An error must reveal nothing of the key.
	Sign(ctx context.Context, data []byte, opts keys.SignOpts) ([]byte, error)
}

// Signer signs with one or more keys. It may be used concurrently.
type Signer struct{ keys []Key }

// New makes a signer. Where a signature may be made by several keys, it is made by each of them, in this order: that is how
// apt's users are led from one key to the next. Where only one is understood, which is everywhere but in apt, the first
// key makes it.
func New(list ...Key) (*Signer, error) {
	if len(list) == 0 {
		return nil, errors.New("there is no key to sign with")
	}
	seen := map[string]bool{}
	for _, k := range list {
		if p, ok := k.(*keys.Private); k == nil || ok && p == nil {
			return nil, errors.New("there is no key to sign with")
		}
		infos := k.Public().Keys()
		if len(infos) != 1 {
			return nil, fmt.Errorf("a signing key has %d public keys where one was expected", len(infos))
		}
		if f := infos[0].Fingerprint; seen[f] {
			return nil, fmt.Errorf("key %s was given twice to sign with", f)
		} else {
			seen[f] = true
		}
	}
	return &Signer{list}, nil
}

// Keyring is the public keys of the signer, in its order. It needs no private key.
func (s *Signer) Keyring() *keys.Keyring {
	var rings []*keys.Keyring
	for _, k := range s.keys {
		rings = append(rings, k.Public())
	}
	return keys.Merge(rings...)
}

// Open makes ready what keys need before they can sign, such as a passphrase, so that a failure is told before work begins
// that takes long. Signing does it otherwise.
func (s *Signer) Open(ctx context.Context) error {
	for _, k := range s.keys {
		if o, ok := k.(interface{ Open(context.Context) error }); ok {
			if err := o.Open(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// clearsign wraps text in a signed message. The text must survive that unchanged: it ends in a newline, and no line
// ends in a blank or holds a carriage return or NUL.
func (s *Signer) clearsign(ctx context.Context, text []byte, at time.Time) ([]byte, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	packets, err := sign(ctx, s.keys, canonical(text), keys.SignOpts{Text: true, Hash: crypto.SHA512, Time: at})
	if err != nil {
		return nil, err
	}
	return encodeClearsigned(text, packets)
}

// detached signs data with some keys and returns the signatures as one armored block.
func (s *Signer) detached(ctx context.Context, by []Key, data []byte, at time.Time) ([]byte, error) {
	packets, err := sign(ctx, by, data, keys.SignOpts{Hash: crypto.SHA512, Time: at})
	if err != nil {
		return nil, err
	}
	return frame.Encode(frame.Signature, packets), nil
}

// header signs bytes with the first key.
func (s *Signer) header(ctx context.Context, data []byte, at time.Time) ([]byte, error) {
	return sign(ctx, s.keys[:1], data, keys.SignOpts{Hash: crypto.SHA256, Time: at})
}

// sign makes one signature packet for each key and checks it.
func sign(ctx context.Context, by []Key, data []byte, opts keys.SignOpts) ([]byte, error) {
	opts.Time = opts.Time.Truncate(time.Second)
	var all bytes.Buffer
	for _, k := range by {
		one, err := k.Sign(ctx, data, opts)
		if err == nil {
			err = checkOwn(k, data, one, opts)
		}
		if err != nil {
			return nil, fmt.Errorf("signing with key %s: %w", k.Public().Keys()[0].Fingerprint, err)
		}
		all.Write(one)
	}
	return all.Bytes(), nil
}

// checkOwn looks at what a key made before anybody else does. A signature by another key is of no use, one of another kind
// is refused by some client, and one that a fault in the computation spoiled can give the key away.
func checkOwn(k Key, data, made []byte, opts keys.SignOpts) error {
	list, err := parseSignatures(made)
	if err != nil {
		return err
	}
	if len(list) != 1 {
		return &FormatError{fmt.Sprintf("the key made %d signatures where one was expected", len(list))}
	}
	s, kind := list[0], packet.SignatureType(packet.SigTypeBinary)
	if opts.Text {
		kind = packet.SigTypeText
	}
	// A program that is asked to sign may date the signature itself.
	if s.CreationTime.Before(opts.Time) {
		return fmt.Errorf("the signature is dated %s, and %s was asked for: check the signer's clock", stamp(s.CreationTime), stamp(opts.Time))
	}
	good, err := verify(data, list, kind, k.Public(), s.CreationTime)
	if err != nil {
		return err
	}
	if primary := k.Public().Keys()[0].Fingerprint; good[0].Fingerprint != primary {
		return fmt.Errorf("the signature was made by the subkey %s: rpm of some systems accepts the primary key %s alone", good[0].Fingerprint, primary)
	}
	if s.SigLifetimeSecs != nil && *s.SigLifetimeSecs != 0 {
		return errors.New("the signature expires: sign without an expiry, what is signed has its own")
	}
	return nil
}
