package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ProtonMail/go-crypto/openpgp/s2k"

	"sigs.k8s.io/pkgs/keys/frame"
)

// day2 is a time at which all throwaway keys exist and none has expired.
var day2 = time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func private(t testing.TB, name string) *Private {
	t.Helper()
	p, err := ReadPrivate(name, read(t, name), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func passphrase(s string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(s), nil }
}

func TestGenerate(t *testing.T) {
	created := time.Date(2024, 5, 6, 7, 8, 9, 999, time.UTC)
	p, err := generate(GenerateConfig{Name: "Jane Doe", Comment: "packages", Email: "jane@example.org", Bits: 2048, Time: created})
	if err != nil {
		t.Fatal(err)
	}
	info := p.Info()
	want := Info{Fingerprint: info.Fingerprint, KeyID: info.Fingerprint[24:], UserID: "Jane Doe (packages) <jane@example.org>",
		Algorithm: "RSA", Bits: 2048, Created: created.Truncate(time.Second)}
	if info != want || len(info.Fingerprint) != 40 {
		t.Errorf("got %+v, want %+v", info, want)
	}
	if e := p.cert.entity; len(e.Subkeys) != 0 || len(e.Identities) != 1 {
		t.Errorf("the key has %d subkeys and %d user IDs", len(e.Subkeys), len(e.Identities))
	}
	armored, err := p.Armor(nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ReadPrivate("again", armored, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again.Info() != info {
		t.Errorf("read back: %+v", again.Info())
	}
}

func TestGenerateRefuses(t *testing.T) {
	good := GenerateConfig{Name: "n", Email: "n@example.org", Time: day2}
	for want, spoil := range map[string]func(*GenerateConfig){
		"a key of 2048 bits":  func(c *GenerateConfig) { c.Bits = 2048 },
		"a key of 99999 bits": func(c *GenerateConfig) { c.Bits = 99999 },
		"needs a name":        func(c *GenerateConfig) { c.Name = "" },
		"expected an address": func(c *GenerateConfig) { c.Email = "here" },
		"leave out brackets":  func(c *GenerateConfig) { c.Comment = "a) <b" },
		"control characters":  func(c *GenerateConfig) { c.Name = "a\nb" },
		"cannot be when":      func(c *GenerateConfig) { c.Time = time.Time{} },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := Generate(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestReadPrivate(t *testing.T) {
	for _, name := range []string{"one-private.asc", "two-private.asc"} {
		p := private(t, name)
		if i := p.Info(); i.Bits != 4096 || i.Algorithm != "RSA" || !i.Expires.IsZero() {
			t.Errorf("%s: %+v", name, i)
		}
		if err := p.Check(day2); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"one-locked-private.asc", "locked-by-gpg-private.asc"} {
		asked := 0
		p, err := ReadPrivate(name, read(t, name), func() ([]byte, error) { asked++; return []byte("throwaway"), nil })
		if err != nil || asked != 1 {
			t.Errorf("%s: asked %d times for the passphrase: %v", name, asked, err)
			continue
		}
		if armored, err := p.Armor([]byte("other")); err != nil {
			t.Error(err)
		} else if _, err := ReadPrivate(name, armored, passphrase("other")); err != nil {
			t.Error(err)
		}
	}
	// The same key in binary.
	block, err := frame.Decode(read(t, "one-private.asc"))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := ReadPrivate("binary", block.Data, nil); err != nil || p.Info() != private(t, "one-private.asc").Info() {
		t.Errorf("binary: %v", err)
	}
}

func TestReadPrivateRefuses(t *testing.T) {
	one := read(t, "one-private.asc")
	for _, c := range []struct {
		name       string
		data       []byte
		passphrase func() ([]byte, error)
		want       string
		as         any
	}{
		{"one-locked-private.asc", nil, nil, "is locked: give its passphrase", new(*LockedError)},
		{"one-locked-private.asc", nil, passphrase(""), "is locked", new(*LockedError)},
		{"one-locked-private.asc", nil, passphrase("wrong"), "the passphrase does not open", new(*PassphraseError)},
		{"locked-by-gpg-private.asc", nil, passphrase("wrong"), "the passphrase does not open", new(*PassphraseError)},
		{"one-locked-private.asc", nil, func() ([]byte, error) { return nil, errors.New("no terminal") }, "cannot be had: no terminal", nil},
		{"signing-subkey.asc", nil, nil, "holds a public key where a private key was expected", nil},
		{"signing-subkey-private.asc", nil, nil, "not made for signing, only its subkeys are", new(*UnusableError)},
		{"stub-private.asc", nil, nil, "is only a stub", new(*UnusableError)},
		{"revoked-private.asc", nil, nil, "is revoked", new(*UnusableError)},
		{"ed25519-private.asc", nil, nil, "is an EdDSA key", new(*UnusableError)},
		{"weak-private.asc", nil, nil, "has less than 2048 bits", new(*UnusableError)},
		{"sha1-private.asc", nil, nil, "no self-signature with SHA-256", new(*UnusableError)},
		{"empty", []byte{}, nil, "is empty", nil},
		{"garbage", []byte("hello"), nil, "not OpenPGP data", nil},
		{"two", append(one, one...), nil, "holds 2 armored blocks", nil},
		{"cut", one[:len(one)/2], nil, "ends without -----END", nil},
		{"large", make([]byte, maxKeyring+1), nil, "is larger than", nil},
		{"signature", frame.Encode(frame.Signature, []byte("x")), nil, "holds a PGP SIGNATURE", nil},
	} {
		data := c.data
		if data == nil {
			data = read(t, c.name)
		}
		p, err := ReadPrivate(c.name, data, c.passphrase)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), c.name) {
			t.Errorf("%s: got %v (%v), want %q", c.name, err, p, c.want)
		}
		if c.as != nil && !errors.As(err, c.as) {
			t.Errorf("%s: error is a %T", c.name, err)
		}
	}
}

// TestArgon2 is a key whose passphrase only turns into a key with as much memory as the file says.
func TestArgon2(t *testing.T) {
	p := private(t, "one-private.asc")
	err := p.cert.entity.EncryptPrivateKeys([]byte("x"), &packet.Config{
		DefaultCipher: packet.CipherAES256,
		AEADConfig:    &packet.AEADConfig{},
		S2KConfig:     &s2k.Config{S2KMode: s2k.Argon2S2K, Argon2Config: &s2k.Argon2Config{Memory: 64}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var data bytes.Buffer
	if err := p.cert.entity.SerializePrivateWithoutSigning(&data, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPrivate("argon2", data.Bytes(), passphrase("x")); err == nil || !strings.Contains(err.Error(), "protected with Argon2") {
		t.Errorf("got %v", err)
	}
}

func TestExpiry(t *testing.T) {
	p := private(t, "expiring-private.asc")
	if got := p.Info().Expires.Format(time.DateOnly); got != "2025-01-01" {
		t.Errorf("expires on %s", got)
	}
	var expired *ExpiredError
	var early *NotYetError
	if err := p.Check(p.Info().Expires); !errors.As(err, &expired) {
		t.Errorf("in the second of expiry: %v", err)
	}
	if err := p.Check(p.Info().Expires.Add(-time.Second)); err != nil {
		t.Errorf("a second before: %v", err)
	}
	if err := p.Check(p.Info().Created.Add(-time.Second)); !errors.As(err, &early) {
		t.Errorf("before its creation: %v", err)
	}
}

func TestKeyring(t *testing.T) {
	one, two := private(t, "one-private.asc").Public(), private(t, "two-private.asc").Public()
	a, err := one.Armor()
	if err != nil {
		t.Fatal(err)
	}
	b, err := two.Armor()
	if err != nil {
		t.Fatal(err)
	}
	both := Merge(one, two, one)
	joined, err := both.Armor()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(joined, []byte("BEGIN")) != 1 {
		t.Error("Armor wrote several blocks")
	}
	for name, data := range map[string][]byte{
		"concatenated":   append(append([]byte("# two keys\n"), a...), b...),
		"without breaks": append(append([]byte{}, a...), b...),
		"repeated":       bytes.Join([][]byte{a, b, a}, []byte("\n\nand\n")),
		"joined":         joined,
		"crlf":           bytes.ReplaceAll(joined, []byte("\n"), []byte("\r\n")),
	} {
		k, err := ParseKeyring(name, data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if fmt.Sprint(k.Keys()) != fmt.Sprint(both.Keys()) || len(k.Keys()) != 2 {
			t.Errorf("%s: got %v", name, k.Keys())
		}
		if again, _ := k.Armor(); !bytes.Equal(again, joined) {
			t.Errorf("%s: export differs from import", name)
		}
	}
	if found := both.Find(two.Entities()[0].PrimaryKey.KeyId); len(found) != 1 || found[0].Key != two.Keys()[0] {
		t.Errorf("found %v", found)
	}
}

func TestKeyringRefuses(t *testing.T) {
	public, _ := private(t, "one-private.asc").Public().Armor()
	damaged := bytes.Replace(public, []byte("A"), []byte("B"), 1)
	block, _ := frame.Decode(read(t, "one-private.asc"))
	for want, data := range map[string][]byte{
		"holds a private key":       read(t, "one-private.asc"),
		"holds a private key where": block.Data,
		"holds no public key":       []byte(""),
		"checksum":                  damaged,
		"not OpenPGP data":          []byte("ssh-rsa AAAA"),
		"is larger":                 make([]byte, maxKeyring+1),
		"holds a PGP SIGNATURE":     frame.Encode(frame.Signature, []byte("x")),
		"version 3":                 {0x99, 0, 8, 3, 0, 0, 0, 0, 1, 16, 0},
		"16384 bits":                {0x99, 0, 8, 4, 0, 0, 0, 0, 1, 64, 0},
		"tag 2":                     {0x89, 0, 1, 4},
	} {
		if _, err := ParseKeyring("file", data); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "file: ") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestMergeKeepsTheNewerSelfSignature(t *testing.T) {
	revoked := publicOf(t, "revoked-private.asc")
	block, err := frame.Decode(read(t, "revoked-private.asc"))
	if err != nil {
		t.Fatal(err)
	}
	packets, err := frame.Packets(block.Data)
	if err != nil {
		t.Fatal(err)
	}
	// Without the revocation, which stands behind the primary key.
	var unrevoked []frame.Packet
	for i, p := range packets {
		if i == 1 && p.Tag == frame.TagSignature {
			continue
		}
		unrevoked = append(unrevoked, p)
	}
	c, err := parseCertificate(unrevoked)
	if err != nil {
		t.Fatal(err)
	}
	good := &Keyring{[]*certificate{c}}
	if good.Keys()[0].Revoked {
		t.Fatal("the key is still revoked")
	}
	for _, m := range []*Keyring{Merge(good, revoked), Merge(revoked, good)} {
		if len(m.Keys()) != 1 || !m.Keys()[0].Revoked {
			t.Error("merging lost the revocation")
		}
	}
}

// publicOf reads any key, usable or not, as a keyring of its public part.
func publicOf(t *testing.T, name string) *Keyring {
	t.Helper()
	block, err := frame.Decode(read(t, name))
	if err != nil {
		t.Fatal(err)
	}
	certs, err := parseCertificates(name, block.Data)
	if err != nil {
		t.Fatal(err)
	}
	public, err := certs[0].public()
	if err != nil {
		t.Fatal(err)
	}
	return &Keyring{[]*certificate{public}}
}

// The public half of a key is the same to the byte, whether the private half is read for it or not.
func TestPublicOf(t *testing.T) {
	files, err := filepath.Glob("testdata/*-private.asc")
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	halved := 0
	for _, file := range files {
		data := read(t, filepath.Base(file))
		c, err := readSecret(file, data)
		got, gotErr := PublicOf(file, data)
		if err != nil {
			if gotErr == nil {
				t.Errorf("%s: has a public half, but %v", file, err)
			}
			continue
		}
		if gotErr != nil {
			t.Errorf("%s: %v", file, gotErr)
			continue
		}
		want, err := c.public()
		if err != nil {
			t.Fatal(err)
		}
		wantText, err1 := (&Keyring{[]*certificate{want}}).Armor()
		gotText, err2 := got.Armor()
		if err1 != nil || err2 != nil || string(gotText) != string(wantText) || got.certs[0].info != want.info {
			t.Errorf("%s: another public half: %v, %v", file, err1, err2)
		}
		packets, err := secretPackets(file, data)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := publicHalves(packets); ok {
			halved++
		}
		for n := range packets { // a key cut short has no half, or the same error as ever
			if half, ok := publicHalves(packets[:n]); ok && len(half) > n {
				t.Errorf("%s: of %d bytes, %d are public", file, n, len(half))
			}
		}
	}
	if halved < 5 {
		t.Errorf("%d keys were not read for their public halves, expected most", halved)
	}
}

// TestPrivateIsNotRevealed prints a private key in every way that programs do by accident.
func TestPrivateIsNotRevealed(t *testing.T) {
	p := private(t, "one-private.asc")
	shown := p.String()
	if shown != "private key "+p.Info().Fingerprint {
		t.Fatalf("String is %q", shown)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", p)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", p, "in", []any{p})
	asJSON, err := json.Marshal(map[string]any{"key": p})
	if err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{"log": log.String(), "json": string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		outputs[verb] = fmt.Sprintf(verb, p)
		outputs["value "+verb] = fmt.Sprintf(verb, *p)
		outputs["in a struct "+verb] = fmt.Sprintf(verb, struct{ Key *Private }{p})
	}
	secret := p.cert.entity.PrivateKey.PrivateKey
	number := fmt.Sprint(secret)[40:120]
	for how, text := range outputs {
		if len(text) > 1000 || strings.Contains(text, number) {
			t.Errorf("%s shows %.200s", how, text)
		}
	}
}
