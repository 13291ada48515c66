package build

import (
	"crypto/sha256"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/build/release/releasetest"
	"sigs.k8s.io/pkgs/build/release/sigstore"
)

const (
	inputSigner = "krel-staging@example.org"
	inputIssuer = "https://accounts.example.org"
)

// signedConfig is config with a source of Kubernetes that demands signatures by inputSigner.
func signedConfig(t *testing.T, dir string, by *releasetest.Sigstore) Config {
	t.Helper()
	c := config(t, dir)
	v, err := sigstore.NewVerifier(by.TrustedRoot(), sigstore.Policy{Identity: inputSigner, Issuer: inputIssuer})
	if err != nil {
		t.Fatal(err)
	}
	c.Sources["kubernetes"], err = release.Open(t.Context(), release.Config{Name: "kubernetes", URL: dir, Cache: filepath.Join(t.TempDir(), "inputs"), Signatures: v})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Provenance says who has signed an input, wherever the input lay, and which key has signed the rpm.
func TestSignedProvenance(t *testing.T) {
	by := releasetest.NewSigstore(t)
	const input = "v1.34.1/bin/linux/s390x/kubectl"
	sig := by.Sign(tiny(t, "s390x"), releasetest.Signing{Identity: inputSigner, Issuer: inputIssuer})
	file := func(suffix string, data []byte) resource {
		return resource{Name: "kubectl" + suffix, Digest: digestSet(sha256.Sum256(data))}
	}
	for _, c := range []struct {
		files map[string][]byte
		want  signatureNote
	}{
		{map[string][]byte{".sig": sig.Sig, ".cert": sig.Cert},
			signatureNote{Identity: inputSigner, Issuer: inputIssuer, Files: []resource{file(".sig", sig.Sig), file(".cert", sig.Cert)}}},
		{map[string][]byte{".sigstore.json": sig.Bundle},
			signatureNote{Identity: inputSigner, Issuer: inputIssuer, Logged: "2025-09-10T11:13:13Z", Files: []resource{file(".sigstore.json", sig.Bundle)}}},
	} {
		var statements []string
		for range 2 {
			dir := kubernetes(t)
			for suffix, data := range c.files {
				put(t, dir, input+suffix, data)
			}
			cfg := signedConfig(t, dir, by)
			cfg.HeaderSigner, cfg.SigningKey = &signer{}, strings.Repeat("A", 40)
			list, err := Build(t.Context(), cfg, []Request{request(t, "kubectl", "v1.34.1", "s390x")})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range list {
				var s statement
				statements = append(statements, string(readJSON(t, p.Provenance, &s)))
				d := s.Predicate.BuildDefinition
				if a := d.ResolvedDependencies[0].Annotations; a == nil || !reflect.DeepEqual(a.Signature, c.want) {
					t.Errorf("got %+v, want %+v", a, c.want)
				}
				if key := d.InternalParameters.SigningKey; (key == cfg.SigningKey) != (p.Format == Rpm) {
					t.Errorf("the %s is signed by %q", p.Format, key)
				}
			}
		}
		if statements[0] != statements[2] || statements[1] != statements[3] {
			t.Error("another statement in another place")
		}
	}
}

// A release with a file that is not signed, or not by the right one, leaves nothing behind.
func TestNotSigned(t *testing.T) {
	by := releasetest.NewSigstore(t)
	const input = "v1.34.1/bin/linux/s390x/kubectl"
	mallory := by.Sign(tiny(t, "s390x"), releasetest.Signing{Identity: "mallory@example.org", Issuer: inputIssuer})
	for name, c := range map[string]struct {
		damage func(dir string)
		want   []string
	}{
		"no signature": {func(string) {}, []string{"nothing has been built", "kubectl v1.34.1 for s390x", input + " has no signature by " + inputSigner}},
		"another signer": {func(dir string) {
			put(t, dir, input+".sig", mallory.Sig)
			put(t, dir, input+".cert", mallory.Cert)
		}, []string{"nothing has been built", input + ".sig", "mallory@example.org", inputSigner, inputIssuer}},
	} {
		dir := kubernetes(t)
		c.damage(dir)
		cfg := signedConfig(t, dir, by)
		_, err := Build(t.Context(), cfg, []Request{request(t, "kubectl", "v1.34.1", "s390x")})
		var wrong *release.SignatureError
		if !errors.As(err, &wrong) {
			t.Fatalf("%s: got %v", name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v\ndoes not say %s", name, err, want)
			}
		}
		if files := remains(t, cfg); len(files) > 0 {
			t.Errorf("%s: there is %q", name, files)
		}
	}
}
