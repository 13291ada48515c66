package sign

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/keys/frame"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
)

// release and repomd are what indexes without packages say.
func release(t testing.TB) *apt.Release {
	t.Helper()
	files, err := apt.Index(apt.Config{Origin: "o", Label: "l", Suite: "s", Codename: "s", Architectures: []string{"amd64"}, Date: at, ValidUntil: at.Add(time.Hour)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := apt.ParseRelease(files[len(files)-1].Data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func repomd(t testing.TB, revision string) *yum.Repomd {
	t.Helper()
	files, err := yum.Index(yum.Config{Revision: revision, Date: at}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Path == layout.Repomd {
			r, err := yum.ParseRepomd(f.Data)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
	}
	t.Fatal("there is no repomd.xml")
	return nil
}

// TestIndex signs the indexes with two keys: apt's by both, yum's by the first.
func TestIndex(t *testing.T) {
	both, one, two := signer(t, "one", "two"), signer(t, "one"), signer(t, "two")
	r := release(t)
	inRelease, gpg, err := both.Release(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyRelease(r, inRelease, gpg, both.Keyring(), at); err != nil {
		t.Error(err)
	}
	m := repomd(t, "7")
	asc, err := both.Repomd(t.Context(), m, at)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyRepomd(m, asc, both.Keyring(), at); err != nil {
		t.Error(err)
	}
	if again, err := one.Repomd(t.Context(), m, at); err != nil || !bytes.Equal(again, asc) {
		t.Errorf("a second key changes the signature of repomd.xml: %v", err)
	}

	// Each key must have signed, and what is asked about.
	inOne, gpgOne, err := one.Release(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	later := *r
	later.Date = at.Add(time.Minute)
	inLater, gpgLater, err := both.Release(t.Context(), &later)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"InRelease lacks a key":    VerifyRelease(r, inOne, gpg, both.Keyring(), at),
		"Release.gpg lacks a key":  VerifyRelease(r, inRelease, gpgOne, both.Keyring(), at),
		"InRelease of another":     VerifyRelease(r, inLater, gpg, both.Keyring(), at.Add(time.Hour)),
		"Release.gpg of another":   VerifyRelease(r, inRelease, gpgLater, both.Keyring(), at.Add(time.Hour)),
		"another repomd.xml":       VerifyRepomd(repomd(t, "8"), asc, both.Keyring(), at),
		"repomd.xml by the second": VerifyRepomd(m, asc, two.Keyring(), at),
	} {
		if err == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
	for _, text := range []string{"", "Origin: o\n", "\x8e\xad\xe8\x01\x00\x00\x00\x00"} {
		if got, err := one.RPMHeader(t.Context(), []byte(text), at); err == nil {
			t.Errorf("signed %q, which is not the header of a package: %x", text, got)
		}
	}
}

// liar is a key that makes other signatures than it is asked for.
type liar struct {
	public *keys.Keyring
	make   func(data []byte, opts keys.SignOpts) ([]byte, error)
}

func (l liar) Public() *keys.Keyring { return l.public }

func (l liar) Sign(_ context.Context, data []byte, opts keys.SignOpts) ([]byte, error) {
	return l.make(data, opts)
}

// TestLiars: what a key returns is used once it is what was asked for, by the key that it is said to be.
func TestLiars(t *testing.T) {
	honest := func(name string, data []byte, opts keys.SignOpts) ([]byte, error) {
		return key(t, name).Sign(t.Context(), data, opts)
	}
	fixture := func(name string) func([]byte, keys.SignOpts) ([]byte, error) {
		return func([]byte, keys.SignOpts) ([]byte, error) {
			block, err := frame.Decode(read(t, "testdata/"+name))
			return block.Data, err
		}
	}
	broken := errors.New("the key is broken")
	for name, c := range map[string]struct {
		public *keys.Keyring
		make   func(data []byte, opts keys.SignOpts) ([]byte, error)
		want   string
	}{
		"fails":         {nil, func([]byte, keys.SignOpts) ([]byte, error) { return nil, broken }, "the key is broken"},
		"gives nothing": {nil, func([]byte, keys.SignOpts) ([]byte, error) { return nil, nil }, "there are 0 signatures"},
		"gives garbage": {nil, func([]byte, keys.SignOpts) ([]byte, error) { return []byte("garbage"), nil }, "this is not OpenPGP data"},
		"gives armor": {nil, func(data []byte, opts keys.SignOpts) ([]byte, error) {
			made, err := honest("one", data, opts)
			return frame.Encode(frame.Signature, made), err
		}, "this is not OpenPGP data"},
		"is another key":   {nil, func(data []byte, opts keys.SignOpts) ([]byte, error) { return honest("two", data, opts) }, "signed by unknown key"},
		"signs other data": {nil, func(data []byte, opts keys.SignOpts) ([]byte, error) { return honest("one", append(data, '!'), opts) }, "it does not fit the data"},
		"signs twice": {nil, func(data []byte, opts keys.SignOpts) ([]byte, error) {
			made, err := honest("one", data, opts)
			return append(made, made...), err
		}, "the key made 2 signatures"},
		"signs as text": {nil, func(data []byte, opts keys.SignOpts) ([]byte, error) {
			opts.Text = true
			return honest("one", data, opts)
		}, "it is of type 0x01 where 0x00 was expected"},
		"dates it before": {nil, func(data []byte, opts keys.SignOpts) ([]byte, error) {
			opts.Time = opts.Time.Add(-time.Second)
			return honest("one", data, opts)
		}, "check the signer's clock"},
		"flips a bit": {nil, func(data []byte, opts keys.SignOpts) ([]byte, error) {
			made, err := honest("one", data, opts)
			made[len(made)-1] ^= 1
			return made, err
		}, "it does not fit the data"},
		"uses SHA-1":         {public(t, "signing-subkey"), fixture("sha1.asc"), "SHA-256 or better is needed"},
		"uses a subkey":      {public(t, "signing-subkey"), fixture("subkey.asc"), "was made by the subkey"},
		"lets it expire":     {public(t, "signing-subkey"), fixture("lifetime.asc"), "subkey|the signature expires"},
		"has critical notes": {public(t, "signing-subkey"), fixture("critical.asc"), "critical note"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.public == nil {
				c.public = signer(t, "one").Keyring()
			}
			s, err := New(liar{c.public, c.make})
			if err != nil {
				t.Fatal(err)
			}
			// The fixtures are signatures of this text.
			got, err := s.detached(t.Context(), s.keys, read(t, "testdata/text"), time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC))
			if got != nil || err == nil || !strings.Contains(err.Error(), c.public.Keys()[0].Fingerprint) {
				t.Fatalf("got %s, %v", got, err)
			}
			for want := range strings.SplitSeq(c.want, "|") {
				if strings.Contains(err.Error(), want) {
					return
				}
			}
			t.Errorf("got %v, want %q", err, c.want)
		})
	}
}

// TestHashOfKey: a key that can only use SHA-256 makes messages that announce SHA-256.
func TestHashOfKey(t *testing.T) {
	s, err := New(key(t, "one"), liar{signer(t, "two").Keyring(), func(data []byte, opts keys.SignOpts) ([]byte, error) {
		opts.Hash = crypto.SHA256
		return key(t, "two").Sign(t.Context(), data, opts)
	}})
	if err != nil {
		t.Fatal(err)
	}
	message, err := s.clearsign(t.Context(), []byte(text), at)
	if err != nil || !bytes.Contains(message, []byte("\nHash: SHA512,SHA256\n")) {
		t.Fatalf("got %s, %v", message, err)
	}
	_, good, err := VerifyClearsigned(message, s.Keyring(), at)
	if err != nil || len(good) != 2 {
		t.Errorf("got %v, %v", good, err)
	}
	dir := t.TempDir()
	_, keyring := keyFiles(t, dir, s)
	if log, ok := run(t, "gpgv", "gpgv", "--keyring", keyring, write(t, dir, "InRelease", message)); !ok || strings.Count(log, "Good signature") != 2 {
		t.Errorf("gpgv: %s", log)
	}
}
