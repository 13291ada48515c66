package keys

import (
	"bytes"
	"crypto"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"sigs.k8s.io/pkgs/keys/frame"
)

// publicHalf is the public half of a throwaway key, of any kind, in binary.
func publicHalf(t testing.TB, name string) []byte {
	t.Helper()
	block, err := frame.Decode(read(t, name))
	if err != nil {
		t.Fatal(err)
	}
	certs, err := parseCertificates(name, block.Data)
	if err != nil {
		t.Fatal(err)
	}
	c := certs[0]
	if c.entity.PrivateKey != nil {
		if c, err = c.public(); err != nil {
			t.Fatal(err)
		}
	}
	return bytes.Join(c.packets, nil)
}

// problems are those of findings that clients see at a time, each once.
func problems(found []Finding, at time.Time) []Problem {
	var all []Problem
	for _, f := range found {
		if f.At(at) && !slices.Contains(all, f.Problem) {
			all = append(all, f.Problem)
		}
	}
	return all
}

func TestCheck(t *testing.T) {
	now := date(2026, time.June, 15)
	for _, c := range []struct {
		name string
		at   time.Time
		want []Problem
	}{
		{"one-private.asc", now, nil},
		{"one-private.asc", date(2060, time.January, 1), nil},
		{"one-private.asc", date(2023, time.December, 31), []Problem{NotYetValid}},
		{"rsa3072-private.asc", now, nil},
		{"rsa2048-private.asc", now, nil},
		{"rsa2048-private.asc", date(2030, time.February, 1), []Problem{ShortRSA}},
		{"weak-private.asc", now, []Problem{WeakRSA}},
		{"ed25519-private.asc", now, nil},
		{"ed25519-rfc9580-private.asc", now, []Problem{NewEd25519}},
		{"p256-private.asc", now, []Problem{NISTCurve}},
		{"dsa2048-private.asc", now, []Problem{DSA}},
		{"future-private.asc", now, []Problem{NotYetValid}},
		{"expiring-private.asc", now, []Problem{Expired}},
		{"expiring-private.asc", date(2024, time.December, 31), nil},
		{"critical-expiry-private.asc", now, []Problem{CriticalExpiry}},
		{"critical-embedded-private.asc", now, []Problem{CriticalEmbedded}},
		{"revoked-private.asc", now, []Problem{Revoked}},
		{"sha1-private.asc", now, []Problem{SHA1Binding}},
		{"signing-subkey.asc", now, []Problem{SubkeySigns}},
		{"signing-subkey.asc", date(2036, time.January, 1), []Problem{Expired, SubkeySigns}},
	} {
		k, found, err := CheckFile(c.name, publicHalf(t, c.name))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := problems(found, c.at); !slices.Equal(got, c.want) {
			t.Errorf("%s at %s: got %q, want %q", c.name, day(c.at), got, c.want)
		}
		for _, f := range found {
			text := f.String()
			if f.Fingerprint == "" || !strings.Contains(text, f.Fingerprint) || !strings.Contains(text, string(f.Clients[0])) {
				t.Errorf("%s: a finding does not say which key or which clients: %s", c.name, text)
			}
		}
		if !slices.EqualFunc(k.Check(), found, func(a, b Finding) bool { return a.String() == b.String() }) {
			t.Errorf("%s: the file and the keyring have different findings", c.name)
		}
	}
}

// TestClientsDisagreeOnSHA1: apt's policy gave archives until 2026, rpm's did not.
func TestClientsDisagreeOnSHA1(t *testing.T) {
	k, err := ParseKeyring("sha1", publicHalf(t, "sha1-private.asc"))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time][]Client{
		date(2026, time.January, 31): {Rpm420, Dnf423},
		date(2026, time.February, 1): {Apt30, Sqv13, Rpm420, Dnf423},
	} {
		if got := Refused(k.Check(), at); !slices.Equal(got, want) {
			t.Errorf("on %s got %q, want %q", day(at), got, want)
		}
	}
}

func TestCheckFileWithoutChecksum(t *testing.T) {
	armored := string(frame.Encode(frame.PublicKey, publicHalf(t, "one-private.asc")))
	i := strings.LastIndex(armored, "\n=")
	_, found, err := CheckFile("key.asc", []byte(armored[:i]+armored[i+6:]))
	if err != nil || !slices.Equal(problems(found, day2), []Problem{KeyChecksum}) {
		t.Errorf("got %v, %v", found, err)
	}
}

// TestEveryProblemIsKnown: every problem but one says which clients it breaks, and each of those once.
func TestEveryProblemIsKnown(t *testing.T) {
	for _, p := range Problems() {
		var seen []Client
		for _, r := range p.refusals() {
			for _, c := range r.clients {
				if slices.Contains(seen, c) || !slices.Contains(Clients(), c) {
					t.Errorf("%s: %s is there twice, or is no client", p, c)
				}
				seen = append(seen, c)
			}
		}
		if (len(seen) == 0) != (p == UntriedKind) {
			t.Errorf("%s breaks %q", p, seen)
		}
	}
}

// signatureBy makes a signature packet by a key of any kind.
func signatureBy(t testing.TB, name string, hash crypto.Hash, at time.Time) []byte {
	t.Helper()
	block, err := frame.Decode(read(t, name))
	if err != nil {
		t.Fatal(err)
	}
	certs, err := parseCertificates(name, block.Data)
	if err != nil {
		t.Fatal(err)
	}
	key := certs[0].entity.PrivateKey
	s := &packet.Signature{Version: 4, PubKeyAlgo: key.PubKeyAlgo, Hash: hash, CreationTime: at, IssuerKeyId: &key.KeyId}
	digest := hash.New()
	digest.Write([]byte("data"))
	var b bytes.Buffer
	salted := false
	if err := s.Sign(digest, key, &packet.Config{Time: func() time.Time { return at }, NonDeterministicSignaturesViaNotation: &salted}); err != nil {
		t.Fatal(err)
	}
	if err := s.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCheckSignatures(t *testing.T) {
	late := date(2025, time.March, 1)
	one := signatureBy(t, "one-private.asc", crypto.SHA512, late)
	expiring := signatureBy(t, "expiring-private.asc", crypto.SHA256, late)
	weak := signatureBy(t, "one-private.asc", crypto.SHA1, late)
	ring, err := ParseKeyring("ring", append(publicHalf(t, "one-private.asc"), publicHalf(t, "expiring-private.asc")...))
	if err != nil {
		t.Fatal(err)
	}
	keys := ring.Keys()
	clear := "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\ntext\n" + string(frame.Encode(frame.Signature, one))
	for _, c := range []struct {
		name string
		data []byte
		want []string
		find []Problem
	}{
		{"bare", one, []string{keys[0].Fingerprint}, nil},
		{"armored, two", frame.Encode(frame.Signature, append(bytes.Clone(one), expiring...)), []string{keys[0].Fingerprint, keys[1].Fingerprint}, []Problem{SignedExpired}},
		{"clearsigned", []byte(clear), []string{keys[0].Fingerprint}, nil},
		{"clearsigned without checksum", []byte(clear[:strings.LastIndex(clear, "\n=")] + clear[strings.LastIndex(clear, "\n-----END"):]), []string{keys[0].Fingerprint}, []Problem{SignatureChecksum}},
		{"SHA-1", weak, []string{keys[0].Fingerprint}, []Problem{WeakHash}},
		{"unknown", signatureBy(t, "two-private.asc", crypto.SHA512, late), []string{""}, nil},
	} {
		got, found, err := CheckSignatures(c.name, c.data, ring)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var by []string
		for _, s := range got {
			by = append(by, s.Key)
			if !s.Created.Equal(late) || s.Version != 4 || s.Algorithm != "RSA" {
				t.Errorf("%s: %+v", c.name, s)
			}
		}
		if have := problems(found, date(2026, time.June, 1)); !slices.Equal(by, c.want) || !slices.Equal(have, c.find) {
			t.Errorf("%s: by %q, want %q; found %q, want %q", c.name, by, c.want, have, c.find)
		}
	}
	// Without a keyring there is less to tell.
	if got, found, err := CheckSignatures("x", expiring, nil); err != nil || len(found) != 0 || got[0].Key != "" || got[0].Issuer != keys[1].Fingerprint {
		t.Errorf("without a keyring: %+v, %v, %v", got, found, err)
	}
}

func TestCheckSignaturesRefuses(t *testing.T) {
	good := signatureBy(t, "one-private.asc", crypto.SHA512, day2)
	list, err := frame.Packets(good)
	if err != nil {
		t.Fatal(err)
	}
	again := func(body []byte) []byte { return append([]byte{0xc2, 255, 0, 0, 0, byte(len(body))}, body...) }
	short := func(n int) []byte { return again(list[0].Body[:n]) }
	v6 := bytes.Clone(list[0].Body[:20])
	v6[0] = 6
	for want, data := range map[string][]byte{
		"holds 0 signatures":                 nil,
		"holds 17 signatures":                bytes.Repeat(good, 17),
		"found one with tag 13":              {0xcd, 1, 'x'},
		"signature 1: it is cut short":       short(3),
		"x: signature 1: it is cut short":    short(9),
		"it is of version 6":                 again(v6),
		"packet 1, at byte 0":                []byte("nonsense"),
		"line 4 of the armor: the base64 is": []byte("-----BEGIN PGP SIGNATURE-----\n\n%%%\n-----END PGP SIGNATURE-----\n"),
	} {
		if _, _, err := CheckSignatures("x", data, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func FuzzCheckSignatures(f *testing.F) {
	ring, err := ParseKeyring("ring", publicHalf(f, "one-private.asc"))
	if err != nil {
		f.Fatal(err)
	}
	good := signatureBy(f, "one-private.asc", crypto.SHA512, day2)
	f.Add(good)
	f.Add(frame.Encode(frame.Signature, good))
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\n\n" + string(frame.Encode(frame.Signature, good))))
	f.Add([]byte{0x89, 0, 19, 3, 5, 0, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 1, 8, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		signatures, found, err := CheckSignatures("fuzz", data, ring)
		if err != nil {
			return
		}
		if len(signatures) == 0 || len(signatures) > maxSignatures {
			t.Fatalf("%d signatures", len(signatures))
		}
		for _, s := range signatures {
			if len(s.Issuer) != 40 && len(s.Issuer) != 16 {
				t.Fatalf("the issuer is %q", s.Issuer)
			}
		}
		for _, f := range found {
			if f.String() == "" {
				t.Fatal("a finding says nothing")
			}
		}
		_ = fmt.Sprint(Refused(Concerning(found, signatures), day2))
	})
}
