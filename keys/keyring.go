// Package keys holds the OpenPGP keys that sign what we publish and those that users trust.
//
// A key is a primary key with user IDs and, in keys made elsewhere, subkeys. It is identified by its fingerprint, 40
// upper-case hex digits. A [Keyring] is public keys in order; a [Private] is one key that can sign. Only version 4 keys
// (RFC 4880) are read: neither apt nor rpm of the distributions that we serve knows any other.
//
// # What a key of ours looks like
//
// [Generate] makes RSA keys of 4096 bits with one user ID, no subkeys and no expiry. Each of that has a reason. RSA is
// what rpm's signature tag means and the only algorithm that every supported apt, gpgv, sqv, rpm and zypper accepts.
// Subkeys are read differently by rpm's and GnuPG's parsers, so the primary key signs. An expiry date does harm: rpm
// 4.18 refuses keys on which it is marked critical, and when it is extended, systems that imported the key before
// do not learn of it. Keys are replaced by a date in the configuration instead.
//
// In the self-signature, the subpackets for creation time and key flags are not critical: rpm 4.14 and yum 3.4 refuse a
// key on which they are.
//
// # What we accept from others
//
// Keys with subkeys and with an expiry date are read, watched and judged: [Keyring.Find] gives the primary key, or a
// subkey that is marked for signing and bound in both directions, and [Verifier.Check] says whether it may be used at a
// time. Self-signatures with SHA-1 do not count, nor do RSA keys under 2048 bits: Debian 13 refuses both.
//
// # Secrecy
//
// A Private reveals nothing when it is printed, logged or marshalled, and no error holds a part of one.
package keys

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"sigs.k8s.io/pkgs/keys/frame"
)

// maxKeyring is how large a file of keys may be, in bytes. Debian's own keyring has 60 kB.
const maxKeyring = 1 << 20

// Keyring is public keys in order. It does not change once made and may be used concurrently.
type Keyring struct{ certs []*certificate }

// ParseKeyring reads public keys, armored or in binary. In the armored form every block of the file counts. name is
// what errors call the file. A key that cannot be read is an error, not an omission: a keyring that lacks a key fails
// much later and far from its cause.
func ParseKeyring(name string, data []byte) (*Keyring, error) {
	if len(data) > maxKeyring {
		return nil, fmt.Errorf("%s: is larger than %d bytes: a file of public keys was expected", name, maxKeyring)
	}
	chunks := [][]byte{data}
	if frame.IsArmored(data) {
		blocks, err := frame.DecodeAll(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		chunks = nil
		for _, b := range blocks {
			switch b.Kind {
			case frame.PublicKey:
				chunks = append(chunks, b.Data)
			case frame.PrivateKey:
				return nil, fmt.Errorf("%s: holds a private key where public keys were expected: keep it secret and give the exported public key", name)
			default:
				return nil, fmt.Errorf("%s: holds a %s where a %s was expected", name, b.Kind, frame.PublicKey)
			}
		}
	}
	k := new(Keyring)
	for _, chunk := range chunks {
		certs, err := parseCertificates(name, chunk)
		if err != nil {
			return nil, err
		}
		for _, c := range certs {
			if c.entity.PrivateKey != nil {
				return nil, fmt.Errorf("%s: holds a private key where public keys were expected: keep it secret and give the exported public key", name)
			}
			k = Merge(k, &Keyring{[]*certificate{c}})
		}
	}
	if len(k.certs) == 0 {
		return nil, fmt.Errorf("%s: holds no public key: expected a %s or its binary form", name, frame.PublicKey)
	}
	return k, nil
}

// Merge joins keyrings in order. Of keys with the same fingerprint the one whose last self-signature is newer stays, in
// the place of the first.
func Merge(keyrings ...*Keyring) *Keyring {
	merged := new(Keyring)
	for _, k := range keyrings {
		if k == nil {
			continue
		}
		for _, c := range k.certs {
			i := slices.IndexFunc(merged.certs, func(o *certificate) bool { return o.info.Fingerprint == c.info.Fingerprint })
			switch {
			case i < 0:
				merged.certs = append(merged.certs, c)
			case c.updated.After(merged.certs[i].updated) || c.info.Revoked && !merged.certs[i].info.Revoked:
				merged.certs[i] = c
			}
		}
	}
	return merged
}

// Settled is the same keys in the order in which they were made: an order that stays the same whichever of them signs, and to
// which a new key comes last.
func (k *Keyring) Settled() *Keyring {
	certs := slices.Clone(k.certs)
	slices.SortFunc(certs, func(a, b *certificate) int {
		return cmp.Or(a.info.Created.Compare(b.info.Created), cmp.Compare(a.info.Fingerprint, b.info.Fingerprint))
	})
	return &Keyring{certs}
}

// Updated is when a key was last made, signed by itself anew, for instance with another expiry, or revoked, in UTC.
func (k *Keyring) Updated() time.Time {
	var newest time.Time
	for _, c := range k.certs {
		if t := c.lastChange(); t.After(newest) {
			newest = t
		}
	}
	return newest.UTC()
}

// Same tells whether two keyrings hold the same keys in the same form, in whatever order.
func (k *Keyring) Same(o *Keyring) bool {
	return slices.EqualFunc(k.Settled().certs, o.Settled().certs, func(a, b *certificate) bool {
		return a.info.Fingerprint == b.info.Fingerprint && a.info.Revoked == b.info.Revoked && a.lastChange().Equal(b.lastChange())
	})
}

// Version is a version number that follows from the keys alone: the date of the last update and the number of keys, such as
// 2026.11.21.2. It grows with each key that comes and with each newer form of one. It does not when a key is taken away,
// or when one takes the place of another that is as new.
func (k *Keyring) Version() string {
	return fmt.Sprintf("%s.%d", k.Updated().Format("2006.01.02"), len(k.certs))
}

// Split makes a keyring of each key.
func (k *Keyring) Split() []*Keyring {
	list := make([]*Keyring, len(k.certs))
	for i, c := range k.certs {
		list[i] = &Keyring{[]*certificate{c}}
	}
	return list
}

// Only is the key of the keyring with a fingerprint; empty if there is none.
func (k *Keyring) Only(fingerprint string) *Keyring {
	one := new(Keyring)
	for _, c := range k.certs {
		if c.info.Fingerprint == fingerprint {
			one.certs = append(one.certs, c)
		}
	}
	return one
}

// Holds tells whether the key with a fingerprint is in the keyring.
func (k *Keyring) Holds(fingerprint string) bool {
	return slices.ContainsFunc(k.certs, func(c *certificate) bool { return c.info.Fingerprint == fingerprint })
}

// Armor writes all keys as one armored block, as Release.key and repomd.xml.key hold them. Keys that were read are
// written with the bytes that were read.
func (k *Keyring) Armor() ([]byte, error) {
	data := k.Binary()
	if len(data) == 0 {
		return nil, fmt.Errorf("there is no key to export")
	}
	return frame.Encode(frame.PublicKey, data), nil
}

// Binary is what Armor writes without its armor: what apt's Signed-By and gpgv read as a keyring.
func (k *Keyring) Binary() []byte {
	var data bytes.Buffer
	for _, c := range k.certs {
		for _, p := range c.packets {
			data.Write(p)
		}
	}
	return data.Bytes()
}

// Keys tells of each key what a person needs to know.
func (k *Keyring) Keys() []Info {
	infos := make([]Info, len(k.certs))
	for i, c := range k.certs {
		infos[i] = c.info
	}
	return infos
}

// Entities are the keys as the openpgp library sees them. They must not be changed.
func (k *Keyring) Entities() openpgp.EntityList {
	list := make(openpgp.EntityList, len(k.certs))
	for i, c := range k.certs {
		list[i] = c.entity
	}
	return list
}
