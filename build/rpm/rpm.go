// Package rpm writes binary RPM packages, byte for byte reproducible and in bounded memory.
//
// The format is version 3 of the package file, which rpm 4 reads and writes (tests use the rpm that is installed); see
// https://rpm-software-management.github.io/rpm/manual/format_v4.html and the tags in
// https://rpm-software-management.github.io/rpm/manual/tags.html. A package is
//
//	lead              96 bytes that only file(1) reads
//	signature header  digests and signature of the main header; fills headerSpace bytes
//	main header       everything about the package and its files
//	payload           a cpio archive (newc), compressed as one xz stream
//
// # Headers
//
// A header begins with 8e ad e8 01 00 00 00 00, the number of its entries and the number of bytes of its data; then come
// the entries, and the data. An entry is four numbers: tag, type, offset into the data, count. All numbers have 32 bits, big
// endian. The first entry is the region (62 in the signature header, 63 in the main one): its 16 bytes lie at the end of the
// data and are an entry again, whose offset is minus the length of all entries. It says that the whole header is covered.
// Entries are sorted by tag; numbers in the data are aligned to their size.
//
// # What vouches for what
//
// The signature is made over the bytes of the main header, all of them. That header holds the SHA-256 of the compressed
// payload (tag PAYLOADDIGEST, rpm since 4.14), of the uncompressed one (PAYLOADDIGESTALT, 4.16) and of every file
// (FILEDIGESTS, any rpm), so that nothing in the package is without protection. There is no second signature over header
// and payload together, and no MD5 of both, as older builders write: they protect nothing that is not protected already,
// since rpm unpacks no file whose digest is not that of the header, and on machines in FIPS mode, where MD5 does not exist,
// they have made packages impossible to verify. The SHA-1 of the main header stays because it is the key of rpm's
// own index of installed packages and the hdrid that old tools ask for.
//
// # One pass
//
// The digests of the payload stand in front of it. Their length is known, and so is the length of everything else in the
// main header; the signature header has a fixed size, filled up with the tag that rpm has for that, RESERVEDSPACE, as rpm
// itself does so that packages can be signed later. So room is left for both headers, the payload is written, and the
// headers are written at last.
//
// # Relations that every package has
//
// A package provides its name in its version and release, and the same with its architecture behind: kubelet(x86-64). One
// with configuration files provides and requires config(kubelet). It requires the features of rpm that it uses, such as
// rpmlib(PayloadIsXz), and the interpreters of its scripts. Relations are sorted by name, as rpmbuild does.
//
// # Files
//
// The files are sorted by path. Only what the tree declares belongs to the package; directories on the way to it do not.
// Configuration is %config(noreplace). Everything belongs to root:root and has the time Meta.Time. The payload holds all
// entries in the same order under names that begin with ./, numbered from 1 as their inodes.
package rpm

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
)

// Meta is everything about a package but its files.
type Meta struct {
	// Name, Version and Release make up the package's identity together with Arch, which is RPM's name for the
	// architecture. There is no epoch: a version that needs one is a mistake in our streams.
	Name, Version, Release, Arch string
	// Summary is one line; Description any number of lines.
	Summary, Description string
	// License is an SPDX expression. URL, Vendor and Packager may be empty; an empty Group stands for Unspecified.
	License, URL, Vendor, Packager, Group string
	// BuildHost is recorded as the machine that built the package. It should be a constant, or packages cannot be
	// reproduced.
	BuildHost string
	// Relations to other packages, besides those that every package has.
	Requires, Provides, Conflicts, Obsoletes, Recommends, Suggests, Supplements, Enhances []Relation
	// Scripts that rpm runs around installation and removal.
	Pre, Post, PreUn, PostUn Script
	// Changelog, newest entry first.
	Changelog []Change
	// Time is the build time, and the modification time of everything in the package, in whole seconds.
	Time time.Time
}

// Script is a scriptlet. The zero value is none.
type Script struct {
	// Interpreter is the program that runs the body, with arguments if it needs some; empty stands for /bin/sh.
	Interpreter string
	Body        string
	// Requires must be installed before the script can run: Requires(post) and so on.
	Requires []Relation
	// After are installed before the script runs if they are installed in the same transaction, and removed after it. None
	// of them is required. In spec files that is OrderWithRequires(post) and so on.
	After []Relation
}

// Change is an entry of the changelog.
type Change struct {
	Time time.Time
	// Author is a name and an address, often followed by a version.
	Author string
	// Text is the lines of the entry, each beginning with "- ".
	Text string
}

// HeaderSigner makes the signature that vouches for a package. It gets the bytes of the main header, which holds the
// digest of everything else, and returns an OpenPGP signature packet in binary form. at is the time of signing.
type HeaderSigner interface {
	RPMHeader(ctx context.Context, header []byte, at time.Time) ([]byte, error)
}

// FileName is the conventional name of the package's file: kubeadm-1.34.1-1.1.x86_64.rpm.
func (m Meta) FileName() string {
	return m.Name + "-" + m.evr() + "." + m.Arch + ".rpm"
}

// evr is version and release, as relations name them.
func (m Meta) evr() string { return m.Version + "-" + m.Release }

// Write writes the package to w, from w's present position on. It is signed by signer with m.Time as the time of signing, or
// not signed if signer is nil. When Write fails, or when ctx ends, what was written is of no use.
func Write(ctx context.Context, w io.WriteSeeker, m Meta, tree *payload.Tree, c *payload.Compressor, signer HeaderSigner) error {
	if err := m.Check(); err != nil {
		return fmt.Errorf("package %q: %w", m.Name, err)
	}
	if err := write(ctx, w, m, tree, c, signer); err != nil {
		return fmt.Errorf("%s: %w", m.FileName(), err)
	}
	return nil
}

// WriteFile writes the package to the file at path. When it fails, or when ctx ends, nothing is left behind and a file
// that stood there before is untouched.
func WriteFile(ctx context.Context, path string, m Meta, tree *payload.Tree, c *payload.Compressor, signer HeaderSigner) error {
	return payload.WriteFile(ctx, path, func(f *os.File) error { return Write(ctx, f, m, tree, c, signer) })
}

func write(ctx context.Context, w io.WriteSeeker, m Meta, tree *payload.Tree, c *payload.Compressor, signer HeaderSigner) error {
	h := new(header)
	if err := m.describe(h, tree); err != nil {
		return err
	}
	plain := sha256.New()
	h.payload(payload.Result{}, plain)
	size := len(h.bytes(tagHeaderImmutable))

	start, err := w.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := w.Write(make([]byte, leadSize+headerSpace+size)); err != nil {
		return err
	}
	result, err := c.Compress(ctx, w, slices.Values(archive(tree.Entries(), m.Time)), plain)
	if err != nil {
		return err
	}
	end, err := w.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}

	h.payload(result, plain)
	main := h.bytes(tagHeaderImmutable)
	if len(main) != size {
		return errors.New("the header's size changed with the digest of the payload: this is a bug")
	}
	signature, err := m.signature(ctx, main, result, signer)
	if err != nil {
		return err
	}
	if _, err := w.Seek(start, io.SeekStart); err != nil {
		return err
	}
	front := bufio.NewWriter(w)
	front.Write(m.lead())
	front.Write(signature)
	front.Write(main)
	if err := front.Flush(); err != nil {
		return err
	}
	_, err = w.Seek(end, io.SeekStart)
	return err
}

const (
	leadSize = 96
	// headerSpace is the length of the signature header. It has room for a signature by an RSA key of 16384 bits, and is
	// a multiple of 8, to which the header would have to be filled up otherwise.
	headerSpace = 4096
)

// lead is what packages began with before there were headers. Its numbers mean: a package in format 3.0, binary, for some
// architecture and Linux, with a signature header.
func (m Meta) lead() []byte {
	lead := make([]byte, leadSize)
	copy(lead, "\xed\xab\xee\xdb\x03\x00\x00\x00\x00\x01")
	// The last byte of the name stays zero.
	copy(lead[10:75], m.Name+"-"+m.evr())
	copy(lead[76:], "\x00\x01\x00\x05")
	return lead
}

// signature is the signature header: what can be said about a main header and its payload.
func (m Meta) signature(ctx context.Context, main []byte, result payload.Result, signer HeaderSigner) ([]byte, error) {
	h := new(header)
	if signer != nil {
		packet, err := signer.RPMHeader(ctx, main, m.Time)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		if len(packet) == 0 {
			return nil, errors.New("sign: the signer made no signature and gave no error: this is a bug")
		}
		h.bin(sigRSA, packet)
	}
	h.string(sigSHA1, fmt.Sprintf("%x", sha1.Sum(main)))
	h.string(sigSHA256, fmt.Sprintf("%x", sha256.Sum256(main)))
	h.size(sigSize, sigLongSize, int64(len(main))+result.Size)
	h.size(sigPayloadSize, sigLongPayloadSize, result.PlainSize)

	h.bin(sigReservedSpace, []byte{0})
	room := headerSpace - len(h.bytes(tagHeaderSignatures))
	if room < 0 {
		return nil, fmt.Errorf("sign: the signature is %d bytes too long: use a key of at most 16384 bits", -room)
	}
	h.bin(sigReservedSpace, make([]byte, 1+room))
	return h.bytes(tagHeaderSignatures), nil
}
