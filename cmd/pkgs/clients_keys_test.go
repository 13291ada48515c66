package main_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // some signatures are made with it, to see them refused
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/rpm"
	"sigs.k8s.io/pkgs/keys/frame"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
)

// A keyKind is a way in which a repository can be signed: with which keys, and with what oddities. The packages of a
// kind are signed by its first key.
type keyKind struct {
	name string
	// files are the private keys, of keys/testdata. The keyring holds all of them.
	files []string
	// by are the places in files of those keys that sign the indexes; none stands for all. packagesBy is the place of the
	// key that signs packages.
	by         []int
	packagesBy int
	// now is what the clients hold to be today, signed when the signatures were made. Zero is clientsDate, and a day before
	// now.
	now, signed time.Time
	// hash is what signatures are made with; 0 is SHA-512, and SHA-256 for packages.
	hash crypto.Hash
	// subkey lets the first signing subkey make the signatures. v3 makes packets of version 3.
	subkey, v3 bool
	// keyWithoutCRC and withoutCRC leave the checksum out of the armor of the keyring, and of the signatures.
	keyWithoutCRC, withoutCRC bool
}

// clientsDate is what the clients hold to be today, unless a kind says otherwise: later than the day on which Debian 13
// stopped to accept SHA-1, and the same on whatever day the test runs.
var clientsDate = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// keyKinds are the rows of the table.
var keyKinds = []keyKind{
	{name: "RSA-4096", files: []string{"one"}},
	{name: "RSA-3072", files: []string{"rsa3072"}},
	{name: "RSA-2048", files: []string{"rsa2048"}},
	{name: "RSA-2048 from February 2030 on", files: []string{"rsa2048"}, now: time.Date(2030, 2, 2, 0, 0, 0, 0, time.UTC)},
	{name: "RSA-1024", files: []string{"weak"}},
	{name: "Ed25519, legacy", files: []string{"ed25519"}},
	{name: "Ed25519 of RFC 9580", files: []string{"ed25519-rfc9580"}},
	{name: "ECDSA with NIST P-256", files: []string{"p256"}},
	{name: "DSA-2048", files: []string{"dsa2048"}},
	{name: "not yet valid", files: []string{"future"}},
	{name: "expired, signed before", files: []string{"expiring"}, signed: beforeExpiry},
	{name: "expired, signed since", files: []string{"expiring"}},
	{name: "expired, but only packages are signed with it", files: []string{"one", "expiring"}, by: []int{0}, packagesBy: 1, signed: beforeExpiry},
	{name: "expiry marked critical", files: []string{"critical-expiry"}},
	{name: "revoked", files: []string{"revoked"}},
	{name: "SHA-1 binding before February 2026", files: []string{"sha1"}, now: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)},
	{name: "SHA-1 binding", files: []string{"sha1"}},
	{name: "SHA-1 signatures", files: []string{"rsa3072"}, hash: crypto.SHA1},
	{name: "version 3 signatures", files: []string{"one"}, v3: true},
	{name: "signing subkey", files: []string{"signing-subkey"}, subkey: true},
	{name: "signing subkey marked critical", files: []string{"critical-embedded"}},
	{name: "key without CRC", files: []string{"rsa3072"}, keyWithoutCRC: true},
	{name: "signatures without CRC", files: []string{"rsa3072"}, withoutCRC: true},
	{name: "two keys known, both sign", files: []string{"one", "two"}},
	{name: "two keys known, the first signs", files: []string{"one", "two"}, by: []int{0}},
	{name: "two keys known, the second signs", files: []string{"one", "two"}, by: []int{1}, packagesBy: 1},
}

// beforeExpiry is a time at which the throwaway key that expired was good.
var beforeExpiry = time.Date(2024, 12, 1, 0, 0, 0, 0, time.UTC)

func (k *keyKind) today() time.Time {
	if k.now.IsZero() {
		return clientsDate
	}
	return k.now
}

// entity reads a throwaway key.
func entity(t *testing.T, name string) *openpgp.Entity {
	t.Helper()
	block, err := frame.Decode([]byte(readFile(t, "../../keys/testdata/"+name+"-private.asc")))
	if err != nil {
		t.Fatal(err)
	}
	e, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(block.Data)))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// signature makes a signature packet as package sign does, but with keys that it refuses.
func (k *keyKind) signature(e *openpgp.Entity, data []byte, form packet.SignatureType, hash crypto.Hash) ([]byte, error) {
	at := k.signed
	if at.IsZero() {
		at = k.today().AddDate(0, 0, -1)
	}
	if k.hash != 0 {
		hash = k.hash
	}
	key := e.PrivateKey
	if k.subkey {
		key = e.Subkeys[0].PrivateKey
	}
	if k.v3 {
		return version3(key, data, form, hash, at)
	}
	salted := false
	config := &packet.Config{
		Time:                                  func() time.Time { return at },
		NonDeterministicSignaturesViaNotation: &salted,
		InsecureGenerateNonCriticalSignatureCreationTime: true,
	}
	s := &packet.Signature{Version: 4, SigType: form, PubKeyAlgo: key.PubKeyAlgo, Hash: hash, CreationTime: at, IssuerKeyId: &key.KeyId}
	digest := hash.New()
	digest.Write(data)
	var b bytes.Buffer
	err := errors.Join(s.Sign(digest, key, config), s.Serialize(&b))
	return b.Bytes(), err
}

// version3 makes a signature packet of version 3 (RFC 4880, section 5.2.2).
func version3(key *packet.PrivateKey, data []byte, form packet.SignatureType, hash crypto.Hash, at time.Time) ([]byte, error) {
	trailer := binary.BigEndian.AppendUint32([]byte{byte(form)}, uint32(at.Unix()))
	digest := hash.New()
	digest.Write(data)
	digest.Write(trailer)
	sum := digest.Sum(nil)
	mpi, err := rsa.SignPKCS1v15(rand.Reader, key.PrivateKey.(*rsa.PrivateKey), hash, sum)
	if err != nil {
		return nil, err
	}
	body := append([]byte{3, 5}, trailer...)
	body = binary.BigEndian.AppendUint64(body, key.KeyId)
	body = append(body, byte(packet.PubKeyAlgoRSA), map[crypto.Hash]byte{crypto.SHA256: 8, crypto.SHA512: 10}[hash], sum[0], sum[1])
	mpi = bytes.TrimLeft(mpi, "\x00")
	bits := len(mpi) * 8
	for top := mpi[0]; top&0x80 == 0; top <<= 1 {
		bits--
	}
	body = append(binary.BigEndian.AppendUint16(body, uint16(bits)), mpi...)
	return append(binary.BigEndian.AppendUint16([]byte{0x89}, uint16(len(body))), body...), nil
}

// armor is frame.Encode, with the checksum left out on request.
func armor(block string, data []byte, withoutCRC bool) []byte {
	text := frame.Encode(block, data)
	if withoutCRC {
		i := bytes.LastIndex(text, []byte("\n="))
		text = append(text[:i:i], text[i+6:]...)
	}
	return text
}

// keyring is the public keys of the kind: packets, and their armor.
func (k *keyKind) keyring(t *testing.T) (packets []byte) {
	t.Helper()
	var b bytes.Buffer
	for _, name := range k.files {
		block, err := frame.Decode([]byte(readFile(t, "../../keys/testdata/"+name+"-private.asc")))
		if err != nil {
			t.Fatal(err)
		}
		e := entity(t, name)
		subkeys := e.Subkeys
		all, err := frame.Packets(block.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			switch p.Tag {
			case frame.TagPrivateKey:
				err = e.PrimaryKey.Serialize(&b)
			case frame.TagPrivateSub:
				err = subkeys[0].PublicKey.Serialize(&b)
				subkeys = subkeys[1:]
			default:
				b.Write(p.Raw)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.Bytes()
}

func hashHeader(h crypto.Hash) string {
	if h == crypto.SHA1 {
		return "SHA1"
	}
	return "SHA512"
}

// rpmSigner signs rpm headers in the way of a kind.
type rpmSigner struct {
	*keyKind
	e *openpgp.Entity
}

func (s rpmSigner) RPMHeader(_ context.Context, header []byte, _ time.Time) ([]byte, error) {
	return s.signature(s.e, header, packet.SigTypeBinary, crypto.SHA256)
}

// repository writes a repository of one package, signed in the way of the kind.
func (k *keyKind) repository(t *testing.T, dir string) {
	t.Helper()
	put := func(name string, data []byte) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var all, signers []*openpgp.Entity
	for i, name := range k.files {
		all = append(all, entity(t, name))
		if k.by == nil || slices.Contains(k.by, i) {
			signers = append(signers, all[i])
		}
	}
	signatures := func(data []byte, form packet.SignatureType) []byte {
		t.Helper()
		var all []byte
		for _, e := range signers {
			one, err := k.signature(e, data, form, crypto.SHA512)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, one...)
		}
		return armor(frame.Signature, all, k.withoutCRC)
	}
	public := k.keyring(t)
	put("key.gpg", public)
	put("key.asc", armor(frame.PublicKey, public, k.keyWithoutCRC))
	date := k.today().AddDate(0, 0, -1)

	files, err := apt.Index(apt.Config{Origin: "o", Label: "l", Suite: "s", Codename: "s", Description: "d", Architectures: []string{"amd64"}, Date: date}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		put("deb/"+f.Path, f.Data)
		if f.Path != layout.Release {
			continue
		}
		canonical := bytes.ReplaceAll(bytes.TrimSuffix(f.Data, []byte("\n")), []byte("\n"), []byte("\r\n"))
		message := append([]byte("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n"), f.Data...)
		message = bytes.Replace(message, []byte("SHA512"), []byte(hashHeader(k.hash)), 1)
		put("deb/InRelease", append(message, signatures(canonical, packet.SigTypeText)...))
		put("deb/Release.gpg", signatures(f.Data, packet.SigTypeBinary))
	}

	tree, err := payload.NewTree(payload.Entry{Path: "/usr/share/hello", Mode: 0o644, Content: payload.Bytes([]byte("hello\n"))})
	if err != nil {
		t.Fatal(err)
	}
	meta := rpm.Meta{Name: "hello", Version: "1", Release: "1", Arch: "x86_64", Summary: "Hello", Description: "Hello.", License: "MIT", BuildHost: "localhost", Time: date}
	file := filepath.Join(dir, "rpm", meta.FileName())
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := rpm.WriteFile(t.Context(), file, meta, tree, &payload.Compressor{Encoder: payload.Go()}, rpmSigner{k, all[k.packagesBy]}); err != nil {
		t.Fatal(err)
	}
	data := []byte(readFile(t, file))
	if all[k.packagesBy].PrimaryKey.PubKeyAlgo != packet.PubKeyAlgoRSA {
		// What is not RSA belongs into the tag for DSA, 267 in the place of 268.
		for i := 96 + 16; i < 96+16*10; i += 16 {
			if binary.BigEndian.Uint32(data[i:]) == 268 {
				binary.BigEndian.PutUint32(data[i:], 267)
			}
		}
		put("rpm/"+meta.FileName(), data)
	}
	p, err := yum.ReadPackage(bytes.NewReader(data), int64(len(data)), meta.FileName())
	if err != nil {
		t.Fatal(err)
	}
	files, err = yum.Index(yum.Config{Revision: "1", Date: date}, []*yum.Package{p})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		put("rpm/"+f.Path, f.Data)
		if f.Path == layout.Repomd {
			put("rpm/"+layout.RepomdAsc, signatures(f.Data, packet.SigTypeBinary))
		}
	}
}
