package sign

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/keys/frame"
)

// TestEveryByteMatters flips each bit of each form of signature. Whatever is flipped, either the check fails or, in the
// few places that no signature covers and every client ignores, the text is still what was signed.
func TestEveryByteMatters(t *testing.T) {
	s := signer(t, "one")
	short := []byte("Origin: test\n- dash\n")
	trusted := s.Keyring()
	signed, err := s.clearsign(t.Context(), short, at)
	if err != nil {
		t.Fatal(err)
	}
	survived := 0
	flip(signed, func(i int, data []byte) {
		if got, _, err := VerifyClearsigned(data, trusted, at); err == nil {
			survived++
			if !bytes.Equal(got, short) {
				t.Errorf("byte %d: %q is accepted as %q", i, data[i], got)
			}
		}
	})
	detached, err := s.detached(t.Context(), s.keys, short, at)
	if err != nil {
		t.Fatal(err)
	}
	flip(detached, func(i int, data []byte) {
		if _, err := VerifyDetached(short, data, trusted, at); err == nil {
			survived++
		}
	})
	if survived > 4 { // a line's end may become a blank behind the line
		t.Errorf("%d flipped bits were not noticed", survived)
	}
	packet, err := s.header(t.Context(), short, at)
	if err != nil {
		t.Fatal(err)
	}
	flip(packet, func(i int, data []byte) {
		if _, err := VerifyBinary(short, data, trusted, at); err == nil {
			t.Errorf("byte %d of the packet does not matter", i)
		}
	})
	flip(short, func(i int, data []byte) {
		if _, err := VerifyBinary(data, packet, trusted, at); err == nil {
			t.Errorf("byte %d of the data does not matter", i)
		}
	})
}

func flip(data []byte, try func(i int, flipped []byte)) {
	for i := range data {
		for bit := range 8 {
			flipped := bytes.Clone(data)
			flipped[i] ^= 1 << bit
			try(i, flipped)
		}
	}
}

func TestVerifyClearsignedRefuses(t *testing.T) {
	s := signer(t, "one")
	signed, err := s.clearsign(t.Context(), []byte(text), at)
	if err != nil {
		t.Fatal(err)
	}
	m := string(signed)
	for _, c := range []struct{ what, message, want string }{
		{"nothing", "", "expected -----BEGIN PGP SIGNED MESSAGE"},
		{"text before it", "x\n" + m, "expected -----BEGIN"},
		{"an empty line before it", "\n" + m, "expected -----BEGIN"},
		{"text behind it", m + "x\n", "behind the end"},
		{"an empty line behind it", m + "\n", "behind the end"},
		{"two messages", m + m, "behind the end"},
		{"unsigned text", text, "expected -----BEGIN"},
		{"carriage returns", strings.ReplaceAll(m, "\n", "\r\n"), "expected -----BEGIN"},
		{"a carriage return", strings.Replace(m, "test\n", "test\r\n", 1), "line 4 holds a carriage return"},
		{"another header", strings.Replace(m, "Hash:", "NotDashEscaped:", 1), "line 2: expected Hash:"},
		{"no hash", strings.Replace(m, "Hash: SHA512\n", "", 1), "do not announce the hash SHA512"},
		{"wrong hash", strings.Replace(m, "SHA512", "SHA256", 1), "do not announce the hash SHA512"},
		{"no escape", strings.Replace(m, "- - dash", "- dash", 1), "does not fit"},
		{"a bare dash", strings.Replace(m, "- --- d", "--- d", 1), "line 6 begins with a dash"},
		{"no signature", m[:strings.Index(m, "-----BEGIN PGP SIGNATURE")], "ends without a signature"},
		{"headers only", "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512", "ends within the headers"},
		{"half a signature", m[:len(m)-200], "ends without -----END"},
		{"a changed word", strings.Replace(m, "Origin", "origin", 1), "it does not fit the data"},
		{"a line less", strings.Replace(m, "\tindented\n", "", 1), "it does not fit the data"},
	} {
		got, signatures, err := VerifyClearsigned([]byte(c.message), s.Keyring(), at)
		if err == nil || !strings.Contains(err.Error(), c.want) || got != nil || signatures != nil {
			t.Errorf("%s: got %v, want %q", c.what, err, c.want)
		}
	}
	// A blank at a line's end is not signed, and so it is not returned.
	blank := strings.Replace(m, "Origin: test\n", "Origin: test \t\n", 1)
	if got, _, err := VerifyClearsigned([]byte(blank), s.Keyring(), at); err != nil || string(got) != text {
		t.Errorf("with a trailing blank: %q, %v", got, err)
	}
	if escaped := strings.Replace(m, "\nFrom", "\n- From", 1); escaped != m {
		if got, _, err := VerifyClearsigned([]byte(escaped), s.Keyring(), at); err != nil || string(got) != text {
			t.Errorf("with an escape that is not needed: %q, %v", got, err)
		}
	}
}

func TestVerifyDetachedRefuses(t *testing.T) {
	s := signer(t, "one")
	armored, err := s.detached(t.Context(), s.keys, []byte(text), at)
	if err != nil {
		t.Fatal(err)
	}
	block, err := frame.Decode(armored)
	if err != nil {
		t.Fatal(err)
	}
	asText, err := s.clearsign(t.Context(), []byte(text), at)
	if err != nil {
		t.Fatal(err)
	}
	asText = asText[bytes.Index(asText, []byte("-----BEGIN PGP SIGNATURE")):]
	encode := func(packets ...[]byte) string { return string(frame.Encode(frame.Signature, bytes.Join(packets, nil))) }
	lines := strings.Split(string(armored), "\n")
	withoutCRC := strings.Join(append(lines[:len(lines)-3:len(lines)-3], lines[len(lines)-2:]...), "\n")
	v3 := []byte{0x88, 23, 3, 5, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 8, 0, 0, 0, 8, 1, 1}
	for _, c := range []struct{ what, armored, want string }{
		{"nothing", "", "expected -----BEGIN"},
		{"binary", string(block.Data), "expected -----BEGIN"},
		{"two blocks", string(armored) + string(armored), "behind the end"},
		{"a key", string(frame.Encode(frame.PublicKey, block.Data)), "expected a PGP SIGNATURE"},
		{"no checksum", withoutCRC, "its armor has no checksum"},
		{"no packet", encode(), "there are 0 signatures"},
		{"another packet", encode([]byte{0xcd, 1, 'x'}), "found one with tag 13"},
		{"many", encode(bytes.Repeat(block.Data, maxSignatures+1)), "there are 17 signatures"},
		{"version 3", encode(v3), "it is of version 3"},
		{"an empty packet", encode([]byte{0xc2, 0}), "it is of version 0"},
		{"cut", encode(block.Data[:100]), "only"},
		{"a text signature", string(asText), "it is of type 0x01 where 0x00 was expected"},
		{"large", strings.Repeat("x", maxSignatureBytes+1), "larger than"},
	} {
		if _, err := VerifyDetached([]byte(text), []byte(c.armored), s.Keyring(), at); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.what, err, c.want)
		}
	}
	if _, err := VerifyBinary([]byte(text), append(block.Data, block.Data...), s.Keyring(), at); err == nil {
		t.Error("a header with two signatures was accepted")
	}
	// One good signature does not make up for a bad one by a known key.
	other, err := s.detached(t.Context(), s.keys, []byte("other"), at)
	if err != nil {
		t.Fatal(err)
	}
	bad, _ := frame.Decode(other)
	var spoilt *BadSignatureError
	if _, err := VerifyDetached([]byte(text), []byte(encode(block.Data, bad.Data)), s.Keyring(), at); !errors.As(err, &spoilt) {
		t.Errorf("a good and a bad signature: %v", err)
	}
}

// TestBytesBehindASignature are bytes inside of the packet but behind the signature's number, which nothing covers.
func TestBytesBehindASignature(t *testing.T) {
	s := signer(t, "one")
	packet, err := s.header(t.Context(), []byte(text), at)
	if err != nil {
		t.Fatal(err)
	}
	p, err := frame.Packets(packet)
	if err != nil {
		t.Fatal(err)
	}
	body := append(bytes.Clone(p[0].Body), 0)
	longer := append([]byte{0xc2, 255, 0, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	if _, err := VerifyBinary([]byte(text), longer, s.Keyring(), at); err == nil || !strings.Contains(err.Error(), "behind its end") {
		t.Errorf("got %v", err)
	}
}

func TestVerifyTimes(t *testing.T) {
	s := signer(t, "one")
	signature, err := s.detached(t.Context(), s.keys, []byte(text), at)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at time.Time
		ok bool
	}{
		{at, true},
		{at.Add(100 * 365 * 24 * time.Hour), true},
		{at.Add(-Skew), true},
		{at.Add(-Skew - time.Second), false},
	} {
		_, err := VerifyDetached([]byte(text), signature, s.Keyring(), c.at)
		var late *TimeError
		if ok := err == nil; ok != c.ok || !ok && !errors.As(err, &late) {
			t.Errorf("at %s: %v", c.at, err)
		}
	}
}

// TestForeignSignatures are those that GnuPG made.
func TestForeignSignatures(t *testing.T) {
	data := read(t, "testdata/text")
	subkey, err := keys.ParseKeyring("signing-subkey.asc", read(t, "../keys/testdata/signing-subkey.asc"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, k *keys.Keyring, at time.Time) ([]Signature, error) {
		switch {
		case strings.HasSuffix(name, ".clearsigned"):
			text, s, err := VerifyClearsigned(read(t, "testdata/"+name), k, at)
			if err == nil && !bytes.Equal(text, data) {
				t.Errorf("%s: text is %q", name, text)
			}
			return s, err
		case strings.HasSuffix(name, ".sig"):
			return VerifyBinary(data, read(t, "testdata/"+name), k, at)
		}
		return VerifyDetached(data, read(t, "testdata/"+name), k, at)
	}
	var (
		bad     *BadSignatureError
		late    *TimeError
		byKey   *KeyError
		unknown *NoTrustedKeyError
		expired *keys.ExpiredError
		revoked *keys.RevokedError
		useless *keys.UnusableError
	)
	for _, c := range []struct {
		name string
		keys *keys.Keyring
		at   time.Time
		as   any
		want string
	}{
		{"subkey.clearsigned", subkey, at, nil, ""},
		{"subkey.asc", subkey, at, nil, ""},
		{"subkey.sig", subkey, at, nil, ""},
		{"ed25519.asc", public(t, "ed25519"), at, nil, ""},
		{"double.clearsigned", subkey, at, nil, ""},
		{"double.clearsigned", public(t, "ed25519"), at, nil, ""},
		{"expiring.asc", public(t, "expiring"), at, nil, ""},
		{"expiring.asc", public(t, "expiring"), at.AddDate(1, 0, 0), &expired, "expired on 2025-01-01T"},
		{"subkey.asc", subkey, at.AddDate(20, 0, 0), &byKey, "expired on 2035-01-01T"},
		{"revoked.asc", public(t, "revoked"), at, &revoked, "is revoked"},
		{"weak.asc", public(t, "weak"), at, &useless, "less than 2048 bits"},
		{"sha1-key.asc", public(t, "sha1"), at, &useless, "no self-signature with SHA-256"},
		{"sha1.asc", subkey, at, &bad, "it uses SHA-1"},
		{"textmode.asc", subkey, at, &bad, "of type 0x01"},
		{"critical.asc", subkey, at, &bad, "critical note"},
		{"lifetime.asc", subkey, at, nil, ""},
		{"lifetime.asc", subkey, at.AddDate(0, 0, 31), &late, "expired on 2024-07-01T"},
		{"subkey.asc", public(t, "ed25519"), at, &unknown, "signed by unknown key 9F07"},
	} {
		signatures, err := check(c.name, c.keys, c.at)
		if c.as == nil {
			if err != nil || len(signatures) != 1 || signatures[0].Key != c.keys.Keys()[0] {
				t.Errorf("%s: %+v, %v", c.name, signatures, err)
			}
			continue
		}
		if err == nil || !errors.As(err, c.as) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q as %T", c.name, err, c.want, c.as)
		}
	}
	if both, err := check("double.clearsigned", keys.Merge(subkey, public(t, "ed25519")), at); err != nil || len(both) != 2 {
		t.Errorf("both keys: %+v, %v", both, err)
	}
}

// TestVerifyBesideExpired: of two keys that signed, one has expired since. apt goes by the other one, and so do we.
func TestVerifyBesideExpired(t *testing.T) {
	s := signer(t, "one", "expiring")
	signed, later := time.Date(2024, 12, 1, 0, 0, 0, 0, time.UTC), time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)
	detached, err := s.detached(t.Context(), s.keys, []byte(text), signed)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]int{signed: 2, later: 1} {
		if good, err := VerifyDetached([]byte(text), detached, s.Keyring(), at); err != nil || len(good) != want {
			t.Errorf("at %s: %d good signatures, want %d: %v", at, len(good), want, err)
		}
	}
	var expired *keys.ExpiredError
	if _, err := VerifyDetached([]byte(text), detached, signer(t, "expiring").Keyring(), later); !errors.As(err, &expired) {
		t.Errorf("who knows the expired key only: %v", err)
	}
	if _, err := VerifyDetached([]byte(text+"x"), detached, s.Keyring(), later); err == nil {
		t.Error("changed data verifies")
	}
}
