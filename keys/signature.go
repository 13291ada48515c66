package keys

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"sigs.k8s.io/pkgs/keys/frame"
)

// Signature is what a signature says of itself. Nothing of it is verified: package sign does that.
type Signature struct {
	Version int `json:"version"`
	// Issuer is the fingerprint of the key that it says made it, or its key ID if it tells no more. Key is the fingerprint
	// of the key that this one belongs to, if that was found in a keyring: the primary key of a subkey.
	Issuer  string    `json:"issuer"`
	Key     string    `json:"key,omitempty"`
	Created time.Time `json:"created"`
	// Algorithm and Hash are those it was made with, such as RSA and SHA512.
	Algorithm string `json:"algorithm"`
	Hash      string `json:"hash"`
}

// maxSignatures is how many signatures may stand side by side, and maxSignatureFile how large what holds them may be.
const (
	maxSignatures    = 16
	maxSignatureFile = 64 << 20
)

// beginSignature is where the signatures of a clearsigned message begin.
const beginSignature = "-----BEGIN " + frame.Signature + "-----"

// CheckSignatures reads the signatures of a clearsigned message, of an armored block or of bare packets, and says what
// clients refuse about them whatever it is that they sign. The keyring, which may be nil, tells of signatures by its keys
// what follows from the key; what is wrong with the key itself, [Keyring.Check] says. name is what errors and findings call
// the file.
func CheckSignatures(name string, data []byte, k *Keyring) ([]Signature, []Finding, error) {
	if len(data) > maxSignatureFile {
		return nil, nil, fmt.Errorf("%s: is larger than %d bytes: signatures were expected", name, maxSignatureFile)
	}
	found := []Finding{}
	packets := data
	if i := bytes.LastIndex(data, []byte(beginSignature)); i == 0 || i > 0 && data[i-1] == '\n' {
		block, err := frame.Decode(data[i:])
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		if !block.Checksum {
			found = append(found, findings(SignatureChecksum, "", time.Time{}, "%s has armor without its checksum: sign it again", name)...)
		}
		packets = block.Data
	}
	list, err := frame.Packets(packets)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(list) == 0 || len(list) > maxSignatures {
		return nil, nil, fmt.Errorf("%s: holds %d signatures where 1 to %d were expected", name, len(list), maxSignatures)
	}
	signatures := []Signature{}
	for i, p := range list {
		if p.Tag != frame.TagSignature {
			return nil, nil, fmt.Errorf("%s: signature %d: expected a signature packet, found one with tag %d", name, i+1, p.Tag)
		}
		raw, err := parseSignature(p.Body)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: signature %d: %w", name, i+1, err)
		}
		s := Signature{Version: raw.version, Issuer: raw.issuerName(), Created: raw.created, Algorithm: algorithm(raw.algorithm), Hash: raw.hashName()}
		found = append(found, raw.findings(name, &s, k)...)
		signatures = append(signatures, s)
	}
	return signatures, found, nil
}

// findings says what clients refuse about one signature, and fills in what the keyring knows of its maker.
func (raw *rawSignature) findings(name string, s *Signature, k *Keyring) []Finding {
	var found []Finding
	var makers []Verifier
	if k != nil {
		makers = k.Find(raw.issuer)
	}
	for _, v := range makers {
		s.Issuer, s.Key = v.Fingerprint, v.Key.Fingerprint
		end := v.Key.Expires
		if v.binding != nil {
			found = append(found, findings(SubkeySigns, s.Issuer, time.Time{}, "is a subkey, and made a signature in %s: use a key that signs itself", name)...)
			if e := expiry(v.Public, v.binding); !e.IsZero() && (end.IsZero() || e.Before(end)) {
				end = e
			}
		}
		if !end.IsZero() && !s.Created.Before(end) {
			found = append(found, findings(SignedExpired, s.Issuer, end, "made a signature in %s on %s, after it had expired: sign it again with another key", name, day(s.Created))...)
		}
	}
	if raw.version == 3 {
		found = append(found, findings(Version3, s.Issuer, time.Time{}, "made a version 3 signature in %s: sign it again", name)...)
	}
	if !slices.Contains([]string{"SHA256", "SHA384", "SHA512"}, s.Hash) {
		found = append(found, findings(WeakHash, s.Issuer, time.Time{}, "made a signature in %s with %s: sign it again with SHA-256 or better", name, s.Hash)...)
	}
	return found
}

// rawSignature is a signature packet as far as it can be read without its key.
type rawSignature struct {
	version     int
	algorithm   packet.PublicKeyAlgorithm
	hash        byte
	created     time.Time
	issuer      uint64 // a key ID; 0 if it tells none
	fingerprint []byte // of the issuer, or empty
	critical    []byte // the kinds of subpackets that are marked critical
}

// The kinds of subpackets that matter here (RFC 9580, section 5.2.3.7).
const (
	subCreated       = 2
	subKeyExpiration = 9
	subIssuer        = 16
	subEmbedded      = 32
	subFingerprint   = 33
	criticalBit      = 0x80
)

var errShortSignature = errors.New("it is cut short")

// parseSignature reads the body of a signature packet of version 3 or 4 (RFC 4880, sections 5.2.2 and 5.2.3).
func parseSignature(body []byte) (*rawSignature, error) {
	if len(body) == 0 {
		return nil, errShortSignature
	}
	s := &rawSignature{version: int(body[0])}
	switch s.version {
	case 3:
		if len(body) < 19 || body[1] != 5 {
			return nil, errShortSignature
		}
		s.created = time.Unix(int64(binary.BigEndian.Uint32(body[3:])), 0).UTC()
		s.issuer = binary.BigEndian.Uint64(body[7:])
		s.algorithm, s.hash = packet.PublicKeyAlgorithm(body[15]), body[16]
		return s, nil
	case 4:
	default:
		return nil, fmt.Errorf("it is of version %d: package managers read only version 4", s.version)
	}
	if len(body) < 6 {
		return nil, errShortSignature
	}
	s.algorithm, s.hash = packet.PublicKeyAlgorithm(body[2]), body[3]
	rest := body[4:]
	for range 2 { // the hashed subpackets, then those that are not
		if len(rest) < 2 {
			return nil, errShortSignature
		}
		n := int(binary.BigEndian.Uint16(rest))
		if n > len(rest)-2 {
			return nil, errShortSignature
		}
		if err := s.subpackets(rest[2 : 2+n]); err != nil {
			return nil, err
		}
		rest = rest[2+n:]
	}
	return s, nil
}

// subpackets reads one area of subpackets: each has a length of one, two or five bytes, a kind, and its data.
func (s *rawSignature) subpackets(area []byte) error {
	for len(area) > 0 {
		length, size := int64(area[0]), 1
		switch {
		case area[0] == 255 && len(area) >= 5:
			length, size = int64(binary.BigEndian.Uint32(area[1:])), 5
		case area[0] >= 192 && area[0] < 255 && len(area) >= 2:
			length, size = int64(area[0]-192)<<8+int64(area[1])+192, 2
		case area[0] >= 192:
			return errShortSignature
		}
		if length == 0 || length > int64(len(area)-size) {
			return errShortSignature
		}
		kind, data := area[size], area[size+1:size+int(length)]
		area = area[size+int(length):]
		if kind&criticalBit != 0 {
			s.critical = append(s.critical, kind&^criticalBit)
		}
		switch kind &^ criticalBit {
		case subCreated:
			if len(data) == 4 && s.created.IsZero() {
				s.created = time.Unix(int64(binary.BigEndian.Uint32(data)), 0).UTC()
			}
		case subIssuer:
			if len(data) == 8 && s.issuer == 0 {
				s.issuer = binary.BigEndian.Uint64(data)
			}
		case subFingerprint:
			if len(data) == 21 && data[0] == 4 && s.fingerprint == nil {
				s.fingerprint = data[1:]
				s.issuer = binary.BigEndian.Uint64(data[13:])
			}
		}
	}
	return nil
}

func (s *rawSignature) issuerName() string {
	if s.fingerprint != nil {
		return fmt.Sprintf("%X", s.fingerprint)
	}
	return KeyID(s.issuer)
}

// hashName names a hash by its number (RFC 9580, section 9.5).
func (s *rawSignature) hashName() string {
	switch s.hash {
	case 1:
		return "MD5"
	case 2:
		return "SHA1"
	case 3:
		return "RIPEMD160"
	case 8:
		return "SHA256"
	case 9:
		return "SHA384"
	case 10:
		return "SHA512"
	case 11:
		return "SHA224"
	case 12:
		return "SHA3-256"
	case 14:
		return "SHA3-512"
	}
	return fmt.Sprintf("hash %d", s.hash)
}
