package yum

import (
	"bytes"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Signature is what an rpm carries to prove where it is from: a signature over its main header, in which stands the
// digest of its payload.
type Signature struct {
	// Header is the main header, from its magic to its last byte: the bytes that were signed.
	Header []byte
	// Packet is the OpenPGP signature packet over Header, nil when the package is not signed.
	Packet []byte
	// KeyID is the id of the key that the packet claims to be from, in upper-case hex; empty when the package is not
	// signed or the packet does not say.
	KeyID string
	// PayloadOffset is the byte at which the payload begins.
	PayloadOffset int64
	// PayloadSHA256 is the digest in lower-case hex that Header claims for all bytes from there to the end of the file,
	// empty when it claims none. Without it a signature says nothing of the payload.
	PayloadSHA256 string
}

// maxPacket bounds a signature packet; one of RSA-4096 has some 560 bytes.
const maxPacket = 64 << 10

// ReadSignature finds the signature of the .rpm of size bytes that r holds. It checks none: give Header and Packet to
// sign.VerifyBinary, and compare PayloadSHA256 with the payload. The error is an *Error with the name href.
func ReadSignature(r io.ReaderAt, size int64, href string) (s *Signature, err error) {
	defer refuse(href, &err)
	f, err := readFile(r, size)
	if err != nil {
		return nil, err
	}
	s = &Signature{Header: f.main.raw, PayloadOffset: f.end}
	if s.PayloadSHA256, err = f.payloadDigest(); err != nil {
		return nil, err
	}
	for _, t := range []tag{sigRSA, sigDSA} {
		if s.Packet, err = f.signature.blob(t); err != nil {
			return nil, fmt.Errorf("signature header: %w", err)
		}
		if s.Packet != nil {
			break
		}
	}
	if len(s.Packet) > maxPacket {
		return nil, fmt.Errorf("signature has %d bytes, more than the %d allowed", len(s.Packet), maxPacket)
	}
	s.KeyID = issuer(s.Packet)
	return s, nil
}

// issuer returns the id of the key that a signature packet claims to be from.
func issuer(data []byte) string {
	p, err := packet.Read(bytes.NewReader(data))
	if signature, ok := p.(*packet.Signature); err == nil && ok && signature.IssuerKeyId != nil {
		return fmt.Sprintf("%016X", *signature.IssuerKeyId)
	}
	return ""
}
