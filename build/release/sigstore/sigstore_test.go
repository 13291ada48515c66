package sigstore_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/release/releasetest"
	"sigs.k8s.io/pkgs/build/release/sigstore"
)

const (
	identity = "krel-staging@example.org"
	workflow = "https://github.com/cri-o/packaging/.github/workflows/obs.yml@refs/heads/main"
	issuer   = "https://accounts.example.org"
)

var (
	file   = []byte("not really a kubelet")
	digest = sha256.Sum256(file)
	policy = sigstore.Policy{Identity: identity, Issuer: issuer}
	signed = releasetest.Signing{Identity: identity, Issuer: issuer}
)

func verifier(t testing.TB, s *releasetest.Sigstore, p sigstore.Policy) *sigstore.Verifier {
	t.Helper()
	v, err := sigstore.NewVerifier(s.TrustedRoot(), p)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// forms are the forms of a signature, each with what checks it.
func forms(v *sigstore.Verifier, s releasetest.Signature) map[string]func([sha256.Size]byte) (sigstore.Signer, error) {
	certificate, _ := base64.StdEncoding.DecodeString(string(s.Cert))
	return map[string]func([sha256.Size]byte) (sigstore.Signer, error){
		"bundle":   func(d [sha256.Size]byte) (sigstore.Signer, error) { return v.Bundle(s.Bundle, d) },
		"cosign":   func(d [sha256.Size]byte) (sigstore.Signer, error) { return v.Bundle(s.CosignBundle, d) },
		"detached": func(d [sha256.Size]byte) (sigstore.Signer, error) { return v.Detached(s.Sig, s.Cert, d) },
		"detached with PEM and newlines": func(d [sha256.Size]byte) (sigstore.Signer, error) {
			return v.Detached(append(s.Sig, '\n'), append(certificate, '\n'), d)
		},
	}
}

func TestValid(t *testing.T) {
	s := releasetest.NewSigstore(t)
	for _, c := range []struct {
		policy sigstore.Policy
		signed releasetest.Signing
	}{
		{policy, signed},
		{sigstore.Policy{IdentityPattern: `krel-[a-z]+@example\.org`, Issuer: issuer}, signed},
		{sigstore.Policy{Identity: workflow, Issuer: issuer}, releasetest.Signing{Identity: workflow, Issuer: issuer}},
		{sigstore.Policy{IdentityPattern: `https://github\.com/cri-o/packaging/.*`, Issuer: issuer}, releasetest.Signing{Identity: workflow, Issuer: issuer}},
	} {
		for name, check := range forms(verifier(t, s, c.policy), s.Sign(file, c.signed)) {
			want := sigstore.Signer{Identity: c.signed.Identity, Issuer: issuer}
			if !strings.HasPrefix(name, "detached") {
				want.Logged = time.Date(2025, 9, 10, 11, 13, 13, 0, time.UTC)
			}
			if got, err := check(digest); err != nil || got != want {
				t.Errorf("%s: got %+v, %v; want %+v", name, got, err, want)
			}
		}
	}
}

// What is refused in every form, and why.
func TestRefused(t *testing.T) {
	s, stranger := releasetest.NewSigstore(t), releasetest.NewSigstore(t)
	other := sha256.Sum256([]byte("other"))
	how := func(change func(*releasetest.Signing)) releasetest.Signing {
		h := signed
		change(&h)
		return h
	}
	for name, c := range map[string]struct {
		by     *releasetest.Sigstore
		signed releasetest.Signing
		digest [sha256.Size]byte
		// want is what the errors say for a bundle and for a signature with a certificate.
		bundle, detached string
	}{
		"another file": {s, signed, other, "another file", "not one by the certificate's key"},
		"a stranger":   {stranger, signed, digest, "not enough verified log entries", "does not lead to an authority"},
		"another identity": {s, how(func(h *releasetest.Signing) { h.Identity = "mallory@example.org" }), digest,
			`it is signed by "mallory@example.org" (issuer "` + issuer + `"), expected ` + identity + " (issuer " + issuer + ")", `it is signed by "mallory@example.org"`},
		"another issuer": {s, how(func(h *releasetest.Signing) { h.Issuer = "https://accounts.example.com" }), digest,
			`(issuer "https://accounts.example.com"), expected`, `(issuer "https://accounts.example.com"), expected`},
		"an unlisted certificate": {s, how(func(h *releasetest.Signing) { h.Unlisted = true }), digest,
			"signed certificate timestamp", "no certificate transparency log"},
		"an authority that was not there yet": {s, how(func(h *releasetest.Signing) { h.At = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC) }), digest,
			"not enough verified log entries", "does not lead to an authority"},
	} {
		for form, check := range forms(verifier(t, s, policy), c.by.Sign(file, c.signed)) {
			want := c.bundle
			if strings.HasPrefix(form, "detached") {
				want = c.detached
			}
			if form == "cosign" && c.digest == other {
				want = "does not match" // it does not name its file itself
			}
			got, err := check(c.digest)
			if err == nil || !strings.Contains(err.Error(), want) || got != (sigstore.Signer{}) {
				t.Errorf("%s, %s: got %v, %v; want %q", name, form, got, err, want)
			}
			var mismatch *sigstore.IdentityError
			if is := strings.Contains(want, "it is signed by") || strings.Contains(want, "issuer \""); errors.As(err, &mismatch) != is {
				t.Errorf("%s, %s: %v", name, form, err)
			}
		}
	}
}

// A signature that the log saw when the certificate had expired is one by a key that somebody kept.
func TestLate(t *testing.T) {
	s := releasetest.NewSigstore(t)
	v := verifier(t, s, policy)
	how := signed
	how.After = 11 * time.Minute
	late := s.Sign(file, how)
	for _, data := range [][]byte{late.Bundle, late.CosignBundle} {
		if _, err := v.Bundle(data, digest); err == nil || !strings.Contains(err.Error(), "outside certificate validity") {
			t.Errorf("got %v", err)
		}
	}
}

// An identity matches as a whole.
func TestPatternIsAnchored(t *testing.T) {
	s := releasetest.NewSigstore(t)
	v := verifier(t, s, sigstore.Policy{IdentityPattern: `krel@example\.org|x`, Issuer: issuer})
	for _, identity := range []string{"krel@example.org.evil.example", "notkrel@example.org", "xx@example.org"} {
		for form, check := range forms(v, s.Sign(file, releasetest.Signing{Identity: identity, Issuer: issuer})) {
			var mismatch *sigstore.IdentityError
			if _, err := check(digest); !errors.As(err, &mismatch) || mismatch.Identity != identity || mismatch.Issuer != issuer {
				t.Errorf("%s, %s: %v", identity, form, err)
			}
		}
	}
}

func TestLogRequired(t *testing.T) {
	s := releasetest.NewSigstore(t)
	p := policy
	p.RequireLog = true
	v := verifier(t, s, p)
	sig := s.Sign(file, signed)
	if _, err := v.Detached(sig.Sig, sig.Cert, digest); err == nil || !strings.Contains(err.Error(), "transparency log, which is required") {
		t.Errorf("got %v", err)
	}
	if _, err := v.Bundle(sig.Bundle, digest); err != nil {
		t.Error(err)
	}
}

// Parts of two valid signatures do not make a third.
func TestMixed(t *testing.T) {
	s := releasetest.NewSigstore(t)
	v := verifier(t, s, policy)
	a, b := s.Sign(file, signed), s.Sign(file, signed)
	if _, err := v.Detached(a.Sig, b.Cert, digest); err == nil || !strings.Contains(err.Error(), "not one by the certificate's key") {
		t.Errorf("got %v", err)
	}
	for _, data := range [][]byte{a.Bundle, a.CosignBundle} {
		for _, part := range [][2][]byte{{a.Sig, b.Sig}} {
			mixed := bytes.Replace(data, part[0], part[1], 1)
			if _, err := v.Bundle(mixed, digest); err == nil || !strings.Contains(err.Error(), "does not match") {
				t.Errorf("got %v", err)
			}
		}
	}
	// The entry of another signature.
	mixed := bytes.Replace(b.CosignBundle, []byte(`"base64Signature":"`+string(b.Sig)), []byte(`"base64Signature":"`+string(a.Sig)), 1)
	if _, err := v.Bundle(mixed, digest); err == nil {
		t.Error("no error")
	}
}

func TestDamaged(t *testing.T) {
	s := releasetest.NewSigstore(t)
	v := verifier(t, s, policy)
	sig := s.Sign(file, signed)
	replace := func(data []byte, old, new string) []byte {
		changed := bytes.Replace(data, []byte(old), []byte(new), 1)
		if bytes.Equal(changed, data) {
			t.Fatalf("%s is not in %s", old, data)
		}
		return changed
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":           {nil, "not a Sigstore bundle"},
		"a page":          {[]byte("<html>"), "not a Sigstore bundle"},
		"cut off":         {sig.Bundle[:len(sig.Bundle)/2], "not a Sigstore bundle"},
		"large":           {bytes.Repeat([]byte(" "), sigstore.MaxBundle+1), "expected at most 1048576"},
		"another version": {replace(sig.Bundle, ".v0.3+", ".v0.4+"), "not yet supported"},
		"no kind":         {replace(sig.Bundle, "mediaType", "mediatype"), "not a Sigstore bundle"},
		"no entry":        {replace(sig.Bundle, `"integratedTime"`, `"integratedTimE"`), "not a Sigstore bundle"},
		"another time":    {replace(sig.Bundle, `"integratedTime":"1757502793"`, `"integratedTime":"1757502794"`), "not enough verified log entries"},
		"no proof":        {replace(sig.Bundle, `"rootHash":"`, `"rootHash":"AAAA`), "inclusion"},
		"an attestation": {[]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":"AA=="}},
			"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="}]}}`), "holds an attestation"},
		"a key":              {[]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"}},` + string(sig.Bundle[bytes.Index(sig.Bundle, []byte(`"messageSignature"`)):bytes.Index(sig.Bundle, []byte(`,"verificationMaterial"`))]) + "}"), "log"},
		"cosign without log": {replace(sig.CosignBundle, "rekorBundle", "other"), "has no rekorBundle"},
		"cosign's time":      {replace(sig.CosignBundle, `"integratedTime":1757502793`, `"integratedTime":1757502794`), "not enough verified log entries"},
		"cosign's cert":      {replace(sig.CosignBundle, `"cert":"`, `"cert":"?`), "cert: neither PEM nor base64"},
		"cosign's signature": {replace(sig.CosignBundle, `"base64Signature":"`, `"base64Signature":"?`), "base64Signature: illegal base64"},
		"cosign's body":      {replace(sig.CosignBundle, `"body":"`, `"body":"?`), "body: illegal base64"},
		"cosign's log":       {replace(sig.CosignBundle, `"logID":"`, `"logID":"?`), "logID: "},
	} {
		got, err := v.Bundle(c.data, digest)
		if err == nil || !strings.Contains(err.Error(), c.want) || got != (sigstore.Signer{}) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	two := append(decodeB64(t, sig.Cert), decodeB64(t, sig.Cert)...)
	for name, c := range map[string]struct {
		sig, cert []byte
		want      string
	}{
		"no signature":     {nil, sig.Cert, "not a signature: it is empty"},
		"not base64":       {[]byte("<html>"), sig.Cert, "not a signature: illegal base64"},
		"large":            {bytes.Repeat([]byte("A"), sigstore.MaxSignature+1), sig.Cert, "expected at most 16384"},
		"another":          {[]byte("AAAA"), sig.Cert, "not one by the certificate's key"},
		"no certificate":   {sig.Sig, nil, "not a certificate"},
		"a page":           {sig.Sig, []byte("<html>"), "neither PEM nor base64"},
		"a key":            {sig.Sig, []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), "called CERTIFICATE"},
		"two certificates": {sig.Sig, two, "something follows"},
		"large one":        {sig.Sig, bytes.Repeat([]byte("A"), sigstore.MaxCertificate+1), "expected at most 65536"},
		"damaged":          {sig.Sig, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "x509"},
	} {
		if _, err := v.Detached(c.sig, c.cert, digest); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func decodeB64(t *testing.T, data []byte) []byte {
	t.Helper()
	plain, err := base64.StdEncoding.DecodeString(string(data))
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func TestNewVerifierErrors(t *testing.T) {
	trusted := releasetest.NewSigstore(t).TrustedRoot()
	for name, c := range map[string]struct {
		root   []byte
		policy sigstore.Policy
		want   string
	}{
		"no identity":   {trusted, sigstore.Policy{Issuer: issuer}, "either an identity or a pattern"},
		"both":          {trusted, sigstore.Policy{Identity: "a", IdentityPattern: "b", Issuer: issuer}, "either an identity or a pattern"},
		"no issuer":     {trusted, sigstore.Policy{Identity: "a"}, "no issuer"},
		"bad pattern":   {trusted, sigstore.Policy{IdentityPattern: "(", Issuer: issuer}, "missing closing )"},
		"tricky":        {trusted, sigstore.Policy{IdentityPattern: "a)|(b", Issuer: issuer}, "unexpected )"},
		"no root":       {nil, policy, "not a trusted root"},
		"something":     {[]byte(`{"a":1}`), policy, "not a trusted root"},
		"an empty root": {[]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`), policy, "has no certificate authority"},
		"large":         {make([]byte, sigstore.MaxTrustedRoot+1), policy, "expected at most"},
	} {
		if _, err := sigstore.NewVerifier(c.root, c.policy); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// Nothing that is not signed as it should be is accepted, and nothing is fatal. Both targets need -fuzzminimizetime 1x, which
// the Makefile gives them and says why.
func FuzzVerify(f *testing.F) {
	s := releasetest.NewSigstore(f)
	v := verifier(f, s, policy)
	sig := s.Sign(file, signed)
	f.Add(sig.Bundle, []byte(nil))
	f.Add(sig.CosignBundle, []byte(nil))
	f.Add(sig.Sig, sig.Cert)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		other := sha256.Sum256([]byte("other"))
		for _, d := range [][sha256.Size]byte{digest, other} {
			for _, check := range []func() (sigstore.Signer, error){
				func() (sigstore.Signer, error) { return v.Bundle(a, d) },
				func() (sigstore.Signer, error) { return v.Detached(a, b, d) },
			} {
				signer, err := check()
				if err == nil && (d != digest || signer.Identity != identity || signer.Issuer != issuer) {
					t.Errorf("accepted %+v for %x", signer, d)
				}
			}
		}
	})
}

func FuzzTrustedRoot(f *testing.F) {
	s := releasetest.NewSigstore(f)
	f.Add(s.TrustedRoot())
	sig := s.Sign(file, signed)
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := sigstore.NewVerifier(data, policy)
		if err != nil {
			return
		}
		v.Bundle(sig.Bundle, digest)
		v.Detached(sig.Sig, sig.Cert, digest)
	})
}
