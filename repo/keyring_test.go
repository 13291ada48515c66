package repo

import (
	"context"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/build"
	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/verify"
)

const keyringName = "test-archive-keyring"

// keyringStream is testStream with the keyring package.
func keyringStream() Stream {
	s := testStream()
	s.Members[keyringName] = Member{Keyring: true}
	return s
}

// bringing has a publisher bring along the keyring package of its keyring; without a version it follows from that.
func bringing(t *testing.T, p *Publisher, version string) *Publisher {
	t.Helper()
	ring := p.Keyring.Settled()
	if version == "" {
		version = ring.Version()
	}
	p.KeyringPackage = &KeyringPackage{Name: keyringName, Version: version, Make: func(ctx context.Context) (*Files, error) {
		armored, err := ring.Armor()
		if err != nil {
			return nil, err
		}
		dir := t.TempDir()
		_, err = build.BuildKeyring(ctx, build.Keyring{
			Name: keyringName, Version: version, Revision: "1", Maintainer: "Test <test@example.org>", Binary: ring.Binary(), Armored: armored,
			Fingerprints: fingerprints(ring), Time: ring.Updated(), HeaderSigner: p.Signer, Compressor: &payload.Compressor{Encoder: payload.Go()},
		}, dir)
		if err != nil {
			return nil, err
		}
		return ReadFiles(ctx, dir)
	}}
	return p
}

// change plans a change of keyringStream and, if that can be, executes it.
func change(t *testing.T, p *Publisher, c Change) (*Plan, error) {
	t.Helper()
	plan, err := p.Plan(t.Context(), keyringStream(), c)
	if err != nil {
		return nil, err
	}
	return plan, p.Execute(t.Context(), plan)
}

func TestKeyringPackage(t *testing.T) {
	b := bucket.NewMemory()
	p := bringing(t, signedBy(t, b, []string{"one"}), "")
	must := func(what string, p *Publisher, c Change, added, removed int) *Plan {
		t.Helper()
		plan, err := change(t, p, c)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if len(plan.Added) != added || len(plan.Removed) != removed {
			t.Errorf("%s: %d packages come, %d leave: %q, %q", what, len(plan.Added), len(plan.Removed), plan.Added, plan.Removed)
		}
		return plan
	}
	first := must("the first publication", p, Change{Add: packages(t, "1.35.0", "one")}, 4+2, 0)
	if !slices.Contains(first.Added, "deb/all/"+keyringName+"_2024.01.01.1-1_all.deb") || !first.GivesKeys() {
		t.Errorf("it has %q", first.Added)
	}
	must("the same again", p, Change{Add: packages(t, "1.35.0", "one")}, 0, 0)
	must("a signature", p, Change{Resign: true}, 0, 0)

	// Packages of a time with other rules do not keep new keys back.
	announce := bringing(t, signedBy(t, b, []string{"one"}, "two"), "")
	strict := keyringStream()
	strict.Architectures = append(strict.Architectures, Architecture{"s390x", "s390x"})
	if _, err := announce.Plan(t.Context(), strict, Change{Resign: true}); err != nil {
		t.Errorf("a keyring for a stream that lacks an architecture: %v", err)
	}
	must("a new key", announce, Change{Resign: true}, 2, 0)
	must("the switch", bringing(t, signedBy(t, b, []string{"two", "one"}), ""), Change{Resign: true}, 0, 0)

	must("another version", announce, Change{Add: packages(t, "1.35.1", "two")}, 4, 0)
	must("a rollback", announce, Change{To: 1, Reason: "test"}, 0, 4)
	_, err := change(t, announce, Change{Reason: "test", Yank: []string{
		"deb/all/" + keyringName + "_2024.01.01.2-1_all.deb", "rpm/noarch/" + keyringName + "-2024.01.01.2-1.noarch.rpm",
	}})
	wantGate(t, err, "name a higher version")

	// Versions that do not follow the keyring.
	third := signedBy(t, b, []string{"one"}, "two", "rsa3072")
	_, err = change(t, bringing(t, third, "2024.01.01.2"), Change{Resign: true})
	wantGate(t, err, "was published with the keys that users are given now, and these change")
	_, err = change(t, bringing(t, third, "2023"), Change{Resign: true})
	wantGate(t, err, "the stream has 2024.01.01.2, from which nobody's system would upgrade")

	// One format is not enough.
	made, err := bringing(t, third, "2031").KeyringPackage.Make(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	third.KeyringPackage, made.Rpms = nil, nil
	_, err = change(t, third, Change{Add: made})
	wantGate(t, err, keyringName+" 2031 is missing as rpm for noarch")
}

// TestKeyringPackageComesLate: a stream that had none gets it with the next publication, and users other pages with it; one that
// was published by hand is not brought again, and neither is one that somebody took out.
func TestKeyringPackageComesLate(t *testing.T) {
	b := bucket.NewMemory()
	bare := signedBy(t, b, []string{"one"})
	if _, err := change(t, bare, Change{Add: packages(t, "1.35.0", "one")}); err != nil {
		t.Fatal(err)
	}
	p := bringing(t, signedBy(t, b, []string{"one"}), "")
	lacks := func(what string, want bool) {
		t.Helper()
		state, err := ReadState(t.Context(), b, streamName)
		if err != nil {
			t.Fatal(err)
		}
		stream := keyringStream()
		if got, err := p.LacksKeyring(&stream, state); err != nil || got != want {
			t.Errorf("%s: that the keyring package is lacking is said to be %t, %v", what, got, err)
		}
	}
	lacks("a stream without", true)

	made, err := p.KeyringPackage.Make(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byHand := packages(t, "1.35.1", "two")
	if err := byHand.join(made); err != nil {
		t.Fatal(err)
	}
	plan, err := change(t, p, Change{Add: byHand})
	if err != nil || len(plan.Added) != 4+2 || !plan.GivesKeys() {
		t.Fatalf("the package comes by hand: %+v, %v", plan, err)
	}
	lacks("a stream with it", false)

	// One format of it is lost, as a person takes it out whose configuration says nothing of the package.
	deb, rpm := "deb/"+made.Debs[0].Filename, "rpm/"+made.Rpms[0].Href
	state, err := ReadState(t.Context(), b, streamName)
	if err != nil {
		t.Fatal(err)
	}
	stream := keyringStream()
	half := *state
	half.Manifest.Objects = slices.DeleteFunc(slices.Clone(state.Manifest.Objects), func(o Object) bool { return strings.HasSuffix(o.Name, rpm) })
	if lacks, err := p.LacksKeyring(&stream, &half); err != nil || !lacks {
		t.Errorf("an rpm that is missing is not lacking: %v", err)
	}
	if _, err := change(t, bare, Change{Yank: []string{deb, rpm}, Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	lacks("a stream that somebody took it out of", false)
	if plan, err := change(t, p, Change{Resign: true}); err != nil || len(plan.Added) != 0 {
		t.Errorf("it comes back: %+v, %v", plan, err)
	}
}

// TestVerifyKeyring: a client's eye looks into the package, and finds one without the key that signs.
func TestVerifyKeyring(t *testing.T) {
	b := bucket.NewMemory()
	if _, err := change(t, bringing(t, signedBy(t, b, []string{"one"}), ""), Change{Add: packages(t, "1.35.0", "one")}); err != nil {
		t.Fatal(err)
	}
	both := signedBy(t, b, []string{"one"}, "two").Keyring
	look := func() (findings []string, given []verify.GivenKeys) {
		t.Helper()
		cfg := verify.Config{Source: verify.FromBucket(b), Keyring: both, Now: now, KeyringPackage: keyringName}
		report, err := verify.Stream(t.Context(), cfg, streamName)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := verify.Signatures(t.Context(), cfg, streamName, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range report.Findings {
			findings = append(findings, f.String())
		}
		return findings, signed.Given
	}
	if findings, given := look(); len(findings) > 0 || len(given) != 4 || given[2].Version() != "2024.01.01.1" || len(given[3].Keys) != 1 {
		t.Errorf("found %q, given %+v", findings, given)
	}
	// The stream goes on to another key, and its package does not.
	for _, signers := range [][]string{{"one"}, {"two", "one"}} {
		if err := resign(t, signedBy(t, b, signers, "two")); err != nil {
			t.Fatal(err)
		}
	}
	two := keyFile(t, "two").Info().Fingerprint
	if findings, _ := look(); len(findings) != 1 || !strings.Contains(findings[0], "_all.deb: lacks the key "+two+", which signed the index") {
		t.Errorf("found %q", findings)
	}
	if repomd := read(t, b, streamName.Rpm(layout.Repomd)); !strings.Contains(repomd, "<content>gpg-pubkey-5b686054-65920080.asc?fpr="+keyFile(t, "one").Info().Fingerprint) {
		t.Errorf("repomd.xml does not name the key beside the one that signs:\n%s", repomd)
	}
}
