package store

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
)

// at is a time at which all throwaway keys are valid, made when they count as made.
var (
	made = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	at   = time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)
)

// armored reads a throwaway key.
func armored(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("../testdata/" + name + "-private.asc")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// public is the public half of a throwaway key.
func public(t testing.TB, name string) *keys.Keyring {
	t.Helper()
	ring, err := keys.PublicOf(name, armored(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// reference is the signature that a key in memory makes.
func reference(t testing.TB, name string, data []byte, opts keys.SignOpts) []byte {
	t.Helper()
	p, err := keys.ReadPrivate(name, armored(t, name), nil)
	if err != nil {
		t.Fatal(err)
	}
	made, err := p.Sign(t.Context(), data, opts)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// forms are the three kinds of signatures that are made.
var forms = []keys.SignOpts{
	{Text: true, Hash: crypto.SHA512, Time: at},
	{Hash: crypto.SHA512, Time: at},
	{Hash: crypto.SHA256, Time: at},
}

func TestFromPrivate(t *testing.T) {
	reads, asked := 0, 0
	read := func() ([]byte, error) { reads++; return armored(t, "one-locked"), nil }
	ask := func() ([]byte, error) { asked++; return []byte("throwaway"), nil }
	k, err := FromPrivate("key.asc", read, nil, ask)
	if err != nil {
		t.Fatal(err)
	}
	if k.Public().Keys()[0].Fingerprint != public(t, "one").Keys()[0].Fingerprint || reads != 1 || asked != 0 {
		t.Fatalf("public half is %v after %d readings and %d questions", k.Public().Keys(), reads, asked)
	}
	for _, opts := range forms {
		got, err := k.Sign(t.Context(), []byte("x"), opts)
		if err != nil || !bytes.Equal(got, reference(t, "one", []byte("x"), opts)) {
			t.Errorf("%+v: another signature: %v", opts, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times for the passphrase", asked)
	}

	// With a public half of its own, nothing private is even read.
	reads = 0
	if k, err = FromPrivate("key.asc", read, public(t, "one"), ask); err != nil || reads != 0 {
		t.Fatalf("read %d times: %v", reads, err)
	}
	if err := k.Open(t.Context()); err != nil {
		t.Error(err)
	}
	k, _ = FromPrivate("key.asc", read, public(t, "two"), ask)
	var mismatch *keys.MismatchError
	if err := k.Open(t.Context()); !errors.As(err, &mismatch) {
		t.Errorf("another public half: %v", err)
	}
}

// TestOpenFailsOnce: a passphrase that is wrong is not tried for every package.
func TestOpenFailsOnce(t *testing.T) {
	asked := 0
	k, err := FromPrivate("key.asc", func() ([]byte, error) { return armored(t, "one-locked"), nil }, nil,
		func() ([]byte, error) { asked++; return []byte("guess"), nil })
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			var wrong *keys.PassphraseError
			if _, err := k.Sign(t.Context(), []byte("x"), forms[0]); !errors.As(err, &wrong) || strings.Contains(err.Error(), "guess") {
				t.Errorf("got %v", err)
			}
		})
	}
	group.Wait()
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// stuck is a store that ignores its context, as drivers do.
type stuck struct{ release chan struct{} }

func (s stuck) Sign(context.Context, []byte, keys.SignOpts) ([]byte, error) {
	<-s.release
	return []byte("late"), nil
}

func TestHanging(t *testing.T) {
	s := stuck{make(chan struct{})}
	defer close(s.release)
	k := &Key{name: "token", limit: 10 * time.Millisecond, open: func(context.Context) (signer, error) { return s, nil }}
	if _, err := k.Sign(t.Context(), nil, forms[0]); err == nil || err.Error() != "token: gave no answer within 10ms" {
		t.Errorf("got %v", err)
	}
	k.limit = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Sign(ctx, nil, forms[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("when interrupted: %v", err)
	}
}
