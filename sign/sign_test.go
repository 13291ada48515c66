package sign

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/keys/frame"
)

// at is a time at which all throwaway keys are valid.
var at = time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)

const text = "Origin: test\n- dash\n--- dashes\n\n\tindented\nFrom here\nÜnïcödé\n"

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// key reads one of the throwaway keys: one or two.
func key(t testing.TB, name string) *keys.Private {
	t.Helper()
	p, err := keys.ReadPrivate(name, read(t, "../keys/testdata/"+name+"-private.asc"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func signer(t testing.TB, names ...string) *Signer {
	t.Helper()
	var private []Key
	for _, n := range names {
		private = append(private, key(t, n))
	}
	s, err := New(private...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// public reads the public part of a throwaway key that cannot sign for us: a private key file without its secrets.
func public(t testing.TB, name string) *keys.Keyring {
	t.Helper()
	file := "../keys/testdata/" + name + "-private.asc"
	block, err := frame.Decode(read(t, file))
	if err != nil {
		t.Fatal(err)
	}
	packets, err := frame.Packets(block.Data)
	if err != nil {
		t.Fatal(err)
	}
	// A public key packet is a private one cut short behind the public numbers: RSA has two of them, EdDSA a curve's
	// name and one.
	var data []byte
	for _, p := range packets {
		tag := map[int]byte{frame.TagPrivateKey: frame.TagPublicKey, frame.TagPrivateSub: frame.TagPublicSub}[p.Tag]
		if tag == 0 {
			data = append(data, p.Raw...)
			continue
		}
		n, numbers := 6, 2
		if p.Body[5] == 22 {
			n, numbers = 7+int(p.Body[6]), 1
		}
		for range numbers {
			n += 2 + (int(p.Body[n])<<8+int(p.Body[n+1])+7)/8
		}
		data = append(data, 0xc0|tag, 255, 0, 0, byte(n>>8), byte(n))
		data = append(data, p.Body[:n]...)
	}
	k, err := keys.ParseKeyring(file, data)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRoundTrip(t *testing.T) {
	one, two := signer(t, "one"), signer(t, "two")
	for _, s := range []*Signer{one, two, signer(t, "one", "two")} {
		signed, err := s.clearsign(t.Context(), []byte(text), at)
		if err != nil {
			t.Fatal(err)
		}
		got, signatures, err := VerifyClearsigned(signed, s.Keyring(), at)
		if err != nil || string(got) != text {
			t.Errorf("text came back as %q: %v", got, err)
		}
		detached, err := s.detached(t.Context(), s.keys, []byte(text), at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyDetached([]byte(text), detached, s.Keyring(), at); err != nil {
			t.Error(err)
		}
		for i, k := range s.Keyring().Keys() {
			want := Signature{Key: k, Fingerprint: k.Fingerprint, Created: at, Hash: "SHA512"}
			if len(signatures) <= i || signatures[i] != want {
				t.Errorf("got %+v, want %+v", signatures, want)
			}
		}
		if again, _ := s.clearsign(t.Context(), []byte(text), at.Add(time.Millisecond)); !bytes.Equal(again, signed) {
			t.Error("clearsigning twice gives different bytes")
		}
		if again, _ := s.detached(t.Context(), s.keys, []byte(text), at.In(time.FixedZone("x", 3600))); !bytes.Equal(again, detached) {
			t.Error("signing twice gives different bytes")
		}
		header, err := s.header(t.Context(), []byte(text), at)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := s.header(t.Context(), []byte(text), at); !bytes.Equal(again, header) {
			t.Error("signing a header twice gives different bytes")
		}
		good, err := VerifyBinary([]byte(text), header, s.Keyring(), at)
		if err != nil || len(good) != 1 || good[0].Hash != "SHA256" {
			t.Errorf("got %+v, %v", good, err)
		}
	}
}

// TestRotation is how InRelease looks to its readers while a key is replaced: signed by the old and the new one.
func TestRotation(t *testing.T) {
	both := signer(t, "one", "two")
	signed, err := both.clearsign(t.Context(), []byte(text), at)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		_, good, err := VerifyClearsigned(signed, signer(t, name).Keyring(), at)
		if err != nil || len(good) != 1 || good[0].Key != key(t, name).Info() {
			t.Errorf("with key %s alone: %+v, %v", name, good, err)
		}
	}
	var unknown *NoTrustedKeyError
	if _, _, err := VerifyClearsigned(signed, public(t, "ed25519"), at); !errors.As(err, &unknown) || len(unknown.Issuers) != 2 {
		t.Errorf("with another key: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	one := key(t, "one")
	for _, list := range [][]Key{nil, {nil}, {(*keys.Private)(nil)}, {one, one}} {
		if s, err := New(list...); err == nil {
			t.Errorf("%v: got %v", list, s)
		}
	}
}

func TestClearsignRefusesTextThatWouldChange(t *testing.T) {
	s := signer(t, "one")
	for _, text := range []string{"", "no newline", "a\r\n", "a \n", "a\t\nb\n", "a\x00\n"} {
		if signed, err := s.clearsign(t.Context(), []byte(text), at); err == nil {
			t.Errorf("%q was signed: %s", text, signed)
		}
	}
	for _, text := range []string{"\n", "\n\n", "a\n", "a\n\n", "-\n", "- \x01a\n"} {
		signed, err := s.clearsign(t.Context(), []byte(text), at)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got, _, err := VerifyClearsigned(signed, s.Keyring(), at); err != nil || string(got) != text {
			t.Errorf("%q came back as %q: %v", text, got, err)
		}
	}
}

func TestSigningTime(t *testing.T) {
	one := key(t, "one")
	expiring, err := keys.ReadPrivate("expiring", read(t, "../keys/testdata/expiring-private.asc"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var early *keys.NotYetError
	var late *keys.ExpiredError
	for _, c := range []struct {
		key *keys.Private
		at  time.Time
		as  any
	}{
		{one, one.Info().Created.Add(-time.Second), &early},
		{one, time.Time{}, nil},
		{one, time.Unix(1<<32, 0), nil},
		{expiring, expiring.Info().Expires, &late},
	} {
		s, err := New(c.key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.detached(t.Context(), s.keys, []byte("x"), c.at)
		if err == nil || !strings.Contains(err.Error(), c.key.Info().Fingerprint) || c.as != nil && !errors.As(err, c.as) {
			t.Errorf("at %s: %v", c.at, err)
		}
	}
	if s, _ := New(one); s != nil {
		if _, err := s.detached(t.Context(), s.keys, []byte("x"), one.Info().Created); err != nil {
			t.Errorf("in the second of its creation: %v", err)
		}
	}
}
