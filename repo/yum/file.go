package yum

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// Tags of the signature header and of the main header that this package reads.
const (
	sigDSA         tag = 267
	sigRSA         tag = 268
	sigLongArchive tag = 271
	sigSHA256      tag = 273
	sigArchive     tag = 1007

	tagName          tag = 1000
	tagVersion       tag = 1001
	tagRelease       tag = 1002
	tagEpoch         tag = 1003
	tagSummary       tag = 1004
	tagDescription   tag = 1005
	tagBuildTime     tag = 1006
	tagBuildHost     tag = 1007
	tagSize          tag = 1009
	tagVendor        tag = 1011
	tagLicense       tag = 1014
	tagPackager      tag = 1015
	tagGroup         tag = 1016
	tagURL           tag = 1020
	tagArch          tag = 1022
	tagOldFilenames  tag = 1027
	tagFileModes     tag = 1030
	tagFileFlags     tag = 1037
	tagSourceRPM     tag = 1044
	tagArchiveSize   tag = 1046
	tagLongArchive   tag = 271
	tagChangeTimes   tag = 1080
	tagChangeNames   tag = 1081
	tagChangeTexts   tag = 1082
	tagSourcePackage tag = 1106
	tagDirIndexes    tag = 1116
	tagBaseNames     tag = 1117
	tagDirNames      tag = 1118
	tagLongSize      tag = 5009
	tagPayloadDigest tag = 5092
	tagDigestKind    tag = 5093
)

// file is a package taken apart as far as its payload.
type file struct {
	signature, main *header
	start, end      int64 // of the main header; the payload begins at end
	size            int64
}

// What rpm checks of the lead: its magic number, its version, which is 3 for format 4, too, and the kind of signature.
const (
	leadMagic     = "\xed\xab\xee\xdb"
	leadSize      = 96
	leadVersion   = 3
	leadSignature = 5 // a signature header
)

// readFile takes a package of size bytes apart and checks its main header against the digest in its signature header.
func readFile(r io.ReaderAt, size int64) (*file, error) {
	lead := make([]byte, leadSize)
	if n, err := r.ReadAt(lead, 0); n < len(lead) {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, errors.New("not an rpm package: it is too short")
	}
	if string(lead[:4]) != leadMagic || lead[4] != leadVersion || lead[78] != 0 || lead[79] != leadSignature {
		return nil, errors.New("not an rpm package: it does not begin as one of format 3 or 4 does")
	}
	f := &file{size: size}
	var err error
	if f.signature, err = readHeader(r, leadSize, size, regionSignature); err != nil {
		return nil, fmt.Errorf("signature header: %w", err)
	}
	f.start = leadSize + (int64(len(f.signature.raw))+7)&^7
	if f.main, err = readHeader(r, f.start, size, regionMain); err != nil {
		return nil, fmt.Errorf("main header: %w", err)
	}
	f.end = f.start + int64(len(f.main.raw))
	want, err := f.signature.text(sigSHA256)
	if err != nil {
		return nil, fmt.Errorf("signature header: %w", err)
	}
	if digest := sha256.Sum256(f.main.raw); want != "" && want != hex.EncodeToString(digest[:]) {
		return nil, fmt.Errorf("main header has the SHA-256 digest %x, but the package says %q", digest, refusal.Shorten(want))
	}
	return f, nil
}

// payloadDigest returns the SHA-256 digest in lower-case hex that the package claims of its payload, empty where it
// claims none.
func (f *file) payloadDigest() (string, error) {
	const sha256Kind = 8 // as OpenPGP numbers digests
	kind, ok, err := f.main.number(tagDigestKind, kindInt32)
	if err != nil || !ok || kind != sha256Kind {
		return "", err
	}
	digests, err := f.main.texts(tagPayloadDigest)
	if err != nil {
		return "", err
	}
	if len(digests) != 1 || !digestForm.MatchString(digests[0]) {
		return "", errors.New("the digest of the payload is malformed")
	}
	return digests[0], nil
}

// begun is a package of which the beginning is in memory: the headers of nearly every one, which are read in pieces.
type begun struct {
	r    io.ReaderAt
	head []byte
}

// The sizes of what is read at once: of the beginning, and of the rest.
const (
	headSize = 64 << 10
	partSize = 256 << 10
)

// begin reads the beginning of a package of size bytes into the memory of the Reader.
func (m *Reader) begin(r io.ReaderAt, size int64) (*begun, error) {
	if m.head == nil {
		m.head = make([]byte, headSize)
	}
	b := &begun{r, m.head[:min(max(size, 0), headSize)]}
	if n, err := r.ReadAt(b.head, 0); n < len(b.head) {
		return nil, fmt.Errorf("read %d of %d bytes: %w", n, size, err)
	}
	return b, nil
}

// claims is how many bytes the two headers say that they have, as far as that can be read.
func (b *begun) claims() (n int64) {
	for at := int64(leadSize); ; {
		start := make([]byte, headerStart)
		if _, err := b.ReadAt(start, at); err != nil {
			return n
		}
		n += headerStart + int64(binary.BigEndian.Uint32(start[8:]))*headerStart + int64(binary.BigEndian.Uint32(start[12:]))
		if at > leadSize {
			return n
		}
		at += (n + 7) &^ 7
	}
}

func (b *begun) ReadAt(p []byte, at int64) (int, error) {
	if at >= 0 && at+int64(len(p)) <= int64(len(b.head)) {
		return copy(p, b.head[at:]), nil
	}
	return b.r.ReadAt(p, at)
}

// digest hashes the whole file, and the payload on the way.
func (f *file) digest(r *begun, m *Reader) (string, error) {
	want, err := f.payloadDigest()
	if err != nil {
		return "", err
	}
	if f.end == f.size {
		return "", errors.New("truncated: it ends before its payload")
	}
	whole, payload := sha256.New(), sha256.New()
	for at, part := int64(0), r.head; at < f.size; {
		whole.Write(part)
		if skip := f.end - at; want != "" && skip < int64(len(part)) {
			payload.Write(part[max(skip, 0):])
		}
		if at += int64(len(part)); at == f.size {
			break
		}
		if m.buffer == nil {
			m.buffer = make([]byte, partSize)
		}
		part = m.buffer[:min(f.size-at, partSize)]
		if n, err := r.r.ReadAt(part, at); n < len(part) {
			return "", fmt.Errorf("read %d of %d bytes: %w", at+int64(n), f.size, err)
		}
	}
	if got := hex.EncodeToString(payload.Sum(nil)); want != "" && got != want {
		return "", fmt.Errorf("payload has the SHA-256 digest %s, but the package says %s", got, want)
	}
	return hex.EncodeToString(whole.Sum(nil)), nil
}
