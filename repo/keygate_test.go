package repo

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/sign"
)

// keyFile reads a throwaway private key.
func keyFile(t *testing.T, name string) *keys.Private {
	t.Helper()
	file := "../keys/testdata/" + name + "-private.asc"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.ReadPrivate(file, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signedBy is a publisher that signs with keys, the first of them first, and gives users those and further ones.
func signedBy(t *testing.T, b bucket.Bucket, signers []string, further ...string) *Publisher {
	t.Helper()
	p := publisher(t, b)
	var private []sign.Key
	var rings []*keys.Keyring
	for _, name := range signers {
		key := keyFile(t, name)
		private, rings = append(private, key), append(rings, key.Public())
	}
	for _, name := range further {
		rings = append(rings, keyFile(t, name).Public())
	}
	var err error
	if p.Signer, err = sign.New(private...); err != nil {
		t.Fatal(err)
	}
	p.Keyring = keys.Merge(rings...)
	return p
}

// resign plans and executes a new signature.
func resign(t *testing.T, p *Publisher) error {
	t.Helper()
	plan, err := p.Plan(t.Context(), testStream(), Change{Resign: true, Reason: "resign"})
	if err != nil {
		return err
	}
	return p.Execute(t.Context(), plan)
}

func wantGate(t *testing.T, err error, want string) {
	t.Helper()
	var gate *GateError
	if !errors.As(err, &gate) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want a gate that says %q", err, want)
	}
}

func TestKeyGate(t *testing.T) {
	b := bucket.NewMemory()
	p := signedBy(t, b, []string{"one"})
	mustAdd(t, p, packages(t, "1.35.0", "one"))
	two := keyFile(t, "two").Info().Fingerprint
	one := keyFile(t, "one").Info().Fingerprint

	wantGate(t, resign(t, signedBy(t, b, []string{"two"}, "one")), "key "+two+" is not in "+string(streamName)+"/deb/Release.key")
	wantGate(t, resign(t, signedBy(t, b, []string{"one", "two"})), "repomd.xml.key: users do not know it")
	lost := signedBy(t, b, []string{"two"}, "one")
	lost.Keys.Unannounced = []string{two}
	if _, err := lost.Plan(t.Context(), testStream(), Change{Resign: true}); err != nil {
		t.Errorf("an exception for a key that was not announced: %v", err)
	}

	// Announced, it may sign.
	if err := resign(t, signedBy(t, b, []string{"one"}, "two")); err != nil {
		t.Fatal(err)
	}
	if err := resign(t, signedBy(t, b, []string{"two"}, "one")); err != nil {
		t.Fatal(err)
	}
	// The old key stays.
	wantGate(t, resign(t, signedBy(t, b, []string{"two"})), "key "+one+" is in ")
	// Even the index could not be verified without it if the last signature were its own, so this takes another one first.
	withdrawn := signedBy(t, b, []string{"two"})
	withdrawn.Keys.Withdrawn = []string{one}
	if err := resign(t, withdrawn); err != nil {
		t.Errorf("an exception for a key that is withdrawn: %v", err)
	}
}

func TestKeyGateDates(t *testing.T) {
	b := bucket.NewMemory()
	p := signedBy(t, b, []string{"one"})
	mustAdd(t, p, packages(t, "1.35.0", "one"))
	p.Keys.RotateBy = now.Add(time.Second)
	if err := resign(t, p); err != nil {
		t.Errorf("a second before the day: %v", err)
	}
	p.Keys.RotateBy = now
	wantGate(t, resign(t, p), "was to be replaced by 2025-07-01")
	p.Keys.GraceUntil = now
	wantGate(t, resign(t, p), "was to be replaced")
	p.Keys.GraceUntil = now.Add(time.Second)
	if err := resign(t, p); err != nil {
		t.Errorf("with grace: %v", err)
	}

	// A key that expired on 2025-01-01 cannot begin a stream, nor can one of the future.
	for name, want := range map[string]string{"expiring": "expired on 2025-01-01", "future": "was created on 2090-01-01"} {
		p := signedBy(t, bucket.NewMemory(), []string{name}, "one")
		_, err := p.Plan(t.Context(), testStream(), Change{Add: packages(t, "1.35.0", "one")})
		wantGate(t, err, want)
	}
}

// TestKeyGateOfPromotion: what was announced in staging alone is not announced.
func TestKeyGateOfPromotion(t *testing.T) {
	from, to := bucket.NewMemory(), bucket.NewMemory()
	by := func(signers []string, further ...string) *Publisher {
		p := signedBy(t, from, signers, further...)
		p.URL = stagingURL
		return p
	}
	production := signedBy(t, to, []string{"one"}, "two")
	production.Signer = nil
	promote := func() error {
		plan, err := production.Promote(t.Context(), from, testStream())
		if err != nil {
			return err
		}
		return production.Execute(t.Context(), plan)
	}
	mustAdd(t, by([]string{"one"}), packages(t, "1.35.0", "one"))
	if err := promote(); err != nil {
		t.Fatal(err)
	}
	if err := resign(t, by([]string{"one"}, "two")); err != nil {
		t.Fatal(err)
	}
	if err := resign(t, by([]string{"one", "two"})); err != nil {
		t.Fatal(err)
	}
	// Both sign, and users know the old key.
	if err := promote(); err != nil {
		t.Errorf("an index that users can verify: %v", err)
	}
	if err := resign(t, by([]string{"two"}, "one")); err != nil {
		t.Fatal(err)
	}
	if err := promote(); err != nil {
		t.Errorf("an index by a key that was announced: %v", err)
	}

	from, to = bucket.NewMemory(), bucket.NewMemory()
	production.Bucket = to
	mustAdd(t, by([]string{"one"}), packages(t, "1.35.0", "one"))
	if err := promote(); err != nil {
		t.Fatal(err)
	}
	for _, signers := range [][]string{{"one"}, {"two"}} {
		further := map[string]string{"one": "two", "two": "one"}[signers[0]]
		if err := resign(t, by(signers, further)); err != nil {
			t.Fatal(err)
		}
	}
	wantGate(t, promote(), "InRelease is signed by a key that is not in "+string(streamName)+"/deb/Release.key as users have it")
	production.Keys.Unannounced = []string{keyFile(t, "two").Info().Fingerprint}
	if err := promote(); err != nil {
		t.Errorf("with an exception: %v", err)
	}
}

// TestVerifyAfterExpiry: an index that was signed in time can be replaced after its key has expired.
func TestVerifyAfterExpiry(t *testing.T) {
	p := signedBy(t, bucket.NewMemory(), []string{"expiring"})
	signed := time.Date(2024, 12, 1, 0, 0, 0, 0, time.UTC)
	files, err := apt.Index(apt.Config{Origin: "o", Label: "l", Suite: "s", Codename: "s", Architectures: []string{"amd64"}, Date: signed}, nil)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(files, func(f layout.File) bool { return f.Path == layout.Release })
	release, err := apt.ParseRelease(files[i].Data)
	if err != nil {
		t.Fatal(err)
	}
	message, _, err := p.Signer.Release(t.Context(), release)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(message []byte) error {
		state := &State{Head: Head{Stream: streamName}}
		state.Manifest.Pointers = []Pointer{{Object: Object{Name: streamName.Deb(layout.InRelease)}, Data: string(message)}}
		return state.Verify(p.Keyring, now)
	}
	if err := verify(message); err != nil {
		t.Errorf("signed in time: %v", err)
	}
	if err := verify(bytes.Replace(message, []byte("Origin: o"), []byte("Origin: p"), 1)); err == nil {
		t.Error("an index that was changed verifies")
	}
}
