package yum

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"sigs.k8s.io/pkgs/repo/refusal"
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
	defer refusal.Recover(href, &err)
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

// Header says which package a main header belongs to.
type Header struct {
	Name, Epoch, Version, Release, Arch string
	// BuildTime is when the package counts as built, in whole seconds.
	BuildTime time.Time
	// PayloadSHA256 is the digest of the payload in lower-case hex.
	PayloadSHA256 string
}

// Package is the package as rpm calls it: kubeadm-1.34.1-1.1.x86_64.
func (h *Header) Package() string {
	evr := h.Version + "-" + h.Release
	if h.Epoch != "0" {
		evr = h.Epoch + ":" + evr
	}
	return h.Name + "-" + evr + "." + h.Arch
}

// ParseHeader reads a main header, from its magic to its last byte, before it is signed. A header without the digest of a
// payload is refused: a signature over it would say nothing of the payload.
func ParseHeader(data []byte) (h *Header, err error) {
	defer refusal.Recover("rpm header", &err)
	main, err := readHeader(bytes.NewReader(data), 0, int64(len(data)), regionMain)
	if err != nil {
		return nil, err
	}
	if len(main.raw) != len(data) {
		return nil, errors.New("there is something behind its end")
	}
	f := &file{main: main}
	r := new(record)
	if err := r.readTexts(f, false); err != nil {
		return nil, err
	}
	built, _, err := main.number(tagBuildTime, kindInt32)
	if err != nil {
		return nil, err
	}
	h = &Header{
		Name: r.name, Epoch: r.version.epoch, Version: r.version.version, Release: r.version.release, Arch: r.arch,
		BuildTime: time.Unix(int64(built), 0).UTC(),
	}
	if h.PayloadSHA256, err = f.payloadDigest(); err == nil && h.PayloadSHA256 == "" {
		err = errors.New("it does not say which SHA-256 digest its payload has")
	}
	return h, err
}

// issuer returns the id of the key that a signature packet claims to be from.
func issuer(data []byte) string {
	p, err := packet.Read(bytes.NewReader(data))
	if signature, ok := p.(*packet.Signature); err == nil && ok && signature.IssuerKeyId != nil {
		return fmt.Sprintf("%016X", *signature.IssuerKeyId)
	}
	return ""
}
