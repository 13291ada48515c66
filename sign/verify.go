package sign

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/keys/frame"
)

const (
	// Skew is how far in the future a signature may have been made. apt allows its users less than half a minute, so
	// signers date back; this is for the clock of whoever checks.
	Skew = 5 * time.Minute

	maxSignatures     = 16
	maxSignatureBytes = 64 << 10
)

// Signature is what one signature says, once it has been found good.
type Signature struct {
	// Key is the trusted key that it counts for; Fingerprint that of the primary key or subkey which made it.
	Key         keys.Info
	Fingerprint string
	// Created is when it was made.
	Created time.Time
	// Hash is SHA256, SHA384 or SHA512.
	Hash string
}

// VerifyClearsigned checks a clearsigned message as of a time and returns the text that it signs, each line with its
// newline, and the good signatures, of which there is at least one. The data must be the message and nothing else.
//
// Errors are a *FormatError, *NoTrustedKeyError, *BadSignatureError, *TimeError or *KeyError.
func VerifyClearsigned(signed []byte, trusted *keys.Keyring, at time.Time) (text []byte, _ []Signature, err error) {
	m, err := parseClearsigned(signed)
	if err != nil {
		return nil, nil, err
	}
	claims, err := parseSignatures(m.packets)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range claims {
		if name := hashName(c.Hash); name != "" && !m.announces(name) {
			return nil, nil, &FormatError{fmt.Sprintf("its headers do not announce the hash %s", name)}
		}
	}
	good, err := verify(canonical(m.text), claims, packet.SigTypeText, trusted, at)
	if err != nil {
		return nil, nil, err
	}
	return m.text, good, nil
}

// VerifyDetached checks an armored detached signature of data. Otherwise it is like VerifyClearsigned.
func VerifyDetached(data, armored []byte, trusted *keys.Keyring, at time.Time) ([]Signature, error) {
	if len(armored) > maxSignatureBytes {
		return nil, &FormatError{fmt.Sprintf("it is larger than %d bytes", maxSignatureBytes)}
	}
	block, err := frame.Decode(armored)
	if err != nil {
		return nil, &FormatError{err.Error()}
	}
	packets, err := signaturePackets(block)
	if err != nil {
		return nil, err
	}
	claims, err := parseSignatures(packets)
	if err != nil {
		return nil, err
	}
	return verify(data, claims, packet.SigTypeBinary, trusted, at)
}

// VerifyBinary checks a signature that is one packet, such as that of an rpm's header. Otherwise it is like
// VerifyDetached.
func VerifyBinary(data, signature []byte, trusted *keys.Keyring, at time.Time) ([]Signature, error) {
	claims, err := parseSignatures(signature)
	if err != nil {
		return nil, err
	}
	if len(claims) != 1 {
		return nil, &FormatError{fmt.Sprintf("there are %d signatures where one was expected", len(claims))}
	}
	return verify(data, claims, packet.SigTypeBinary, trusted, at)
}

// parseSignatures reads signature packets. Panics of the library become errors.
func parseSignatures(data []byte) (list []*packet.Signature, err error) {
	defer func() {
		if p := recover(); p != nil {
			list, err = nil, &FormatError{"it is damaged in a way that the openpgp library cannot handle"}
		}
	}()
	if len(data) > maxSignatureBytes {
		return nil, &FormatError{fmt.Sprintf("it is larger than %d bytes", maxSignatureBytes)}
	}
	packets, err := frame.Packets(data)
	if err != nil {
		return nil, &FormatError{err.Error()}
	}
	if len(packets) == 0 || len(packets) > maxSignatures {
		return nil, &FormatError{fmt.Sprintf("there are %d signatures where 1 to %d were expected", len(packets), maxSignatures)}
	}
	for i, p := range packets {
		fail := func(format string, args ...any) error {
			return &FormatError{fmt.Sprintf("signature %d: ", i+1) + fmt.Sprintf(format, args...)}
		}
		if p.Tag != frame.TagSignature {
			return nil, fail("expected a signature packet, found one with tag %d", p.Tag)
		}
		if len(p.Body) == 0 || p.Body[0] != 4 {
			return nil, fail("it is of version %d: Debian 13 and rpm accept only version 4", append(p.Body, 0)[0])
		}
		r := bytes.NewReader(p.Raw)
		parsed, err := packet.Read(r)
		if err != nil {
			return nil, fail("%s", strings.TrimPrefix(err.Error(), "openpgp: "))
		}
		s, ok := parsed.(*packet.Signature)
		if !ok || r.Len() > 0 {
			return nil, fail("there are bytes behind its end")
		}
		if s.IssuerKeyId == nil {
			return nil, fail("it does not say which key made it")
		}
		if n := s.RSASignature; n != nil && int(n.BitLength()) != new(big.Int).SetBytes(n.Bytes()).BitLen() {
			return nil, fail("its number has another length than it says")
		}
		list = append(list, s)
	}
	return list, nil
}

// verify checks signatures over data.
func verify(data []byte, list []*packet.Signature, kind packet.SignatureType, trusted *keys.Keyring, at time.Time) (good []Signature, err error) {
	var unknown []string
	var ended error // of a signature that was good while its key was
	for _, s := range list {
		candidates := trusted.Find(*s.IssuerKeyId)
		if len(candidates) == 0 {
			unknown = append(unknown, issuer(s))
			continue
		}
		var failure error
		for _, v := range candidates {
			if failure = verifyOne(data, s, kind, v, at); failure == nil {
				good = append(good, Signature{Key: v.Key, Fingerprint: v.Fingerprint, Created: s.CreationTime.UTC(), Hash: hashName(s.Hash)})
				break
			}
		}
		var expired *keys.ExpiredError
		switch {
		case failure == nil:
		case errors.As(failure, &expired) && s.CreationTime.Before(expired.Expired):
			ended = failure
		default:
			return nil, failure
		}
	}
	if len(good) == 0 {
		if ended != nil {
			return nil, ended
		}
		e := &NoTrustedKeyError{Issuers: unknown}
		for _, k := range trusted.Keys() {
			e.Trusted = append(e.Trusted, k.Fingerprint)
		}
		return nil, e
	}
	return good, nil
}

// verifyOne checks one signature against one key. Panics of the library become errors.
func verifyOne(data []byte, s *packet.Signature, kind packet.SignatureType, v keys.Verifier, at time.Time) (err error) {
	bad := func(format string, args ...any) error {
		return &BadSignatureError{v.Fingerprint, fmt.Sprintf(format, args...)}
	}
	defer func() {
		if p := recover(); p != nil {
			err = bad("it is damaged in a way that the openpgp library cannot handle")
		}
	}()
	if s.SigType != kind {
		return bad("it is of type %#02x where %#02x was expected", int(s.SigType), int(kind))
	}
	if hashName(s.Hash) == "" {
		return bad("it uses %s: SHA-256 or better is needed", s.Hash)
	}
	if s.IssuerFingerprint != nil && issuer(s) != v.Fingerprint {
		return bad("it says that key %s made it", issuer(s))
	}
	for _, n := range s.Notations {
		if n.IsCritical {
			return bad("it has a critical note %q that nobody here understands", n.Name)
		}
	}
	digest := s.Hash.New()
	digest.Write(data)
	if err := v.Public.VerifySignature(digest, s); err != nil {
		return bad("it does not fit the data, which was changed or belongs to another signature")
	}
	// VerifySignature has completed the digest. Its first two bytes stand in the packet, outside of what is signed;
	// gpgv compares them, the library does not.
	if sum := digest.Sum(nil); sum[0] != s.HashTag[0] || sum[1] != s.HashTag[1] {
		return bad("its copy of the digest's first bytes is wrong")
	}
	return checkTimes(s, v, at)
}

// checkTimes checks when a good signature was made and that its key counts, then and now.
func checkTimes(s *packet.Signature, v keys.Verifier, at time.Time) error {
	created := s.CreationTime
	late := func(problem string) error { return &TimeError{v.Fingerprint, problem, created, at} }
	if created.After(at.Add(Skew)) {
		return late("lies in the future")
	}
	if s.SigLifetimeSecs != nil && *s.SigLifetimeSecs != 0 {
		if end := created.Add(time.Duration(*s.SigLifetimeSecs) * time.Second); !at.Before(end) {
			return late("expired on " + stamp(end))
		}
	}
	now := at
	if created.After(now) {
		now = created // within the skew
	}
	for _, t := range []time.Time{created, now} {
		if err := v.Check(t); err != nil {
			return &KeyError{err}
		}
	}
	return nil
}

// issuer names the key that a signature says made it: by fingerprint, or by key ID if it tells no more.
func issuer(s *packet.Signature) string {
	if s.IssuerFingerprint != nil {
		return strings.ToUpper(hex.EncodeToString(s.IssuerFingerprint))
	}
	return keys.KeyID(*s.IssuerKeyId)
}

// hashName names a hash that counts, as Hash headers do; it is empty for one that does not.
func hashName(h crypto.Hash) string {
	switch h {
	case crypto.SHA256:
		return "SHA256"
	case crypto.SHA384:
		return "SHA384"
	case crypto.SHA512:
		return "SHA512"
	}
	return ""
}
