package store

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha512"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/keys/store/kmstest"
)

func kms(t *testing.T, name string) *kmstest.Server {
	t.Helper()
	return kmstest.New(t, "../testdata/"+name+"-private.asc")
}

func config(s *kmstest.Server) KMSConfig {
	return KMSConfig{Name: kmstest.Name, Endpoint: s.URL, Timeout: 20 * time.Second}
}

func TestKMS(t *testing.T) {
	s := kms(t, "one")
	k := FromKMS(config(s), public(t, "one"))
	if s.Requests() != 0 {
		t.Error("the service was asked before there was anything to sign")
	}
	for _, opts := range forms {
		got, err := k.Sign(t.Context(), []byte("x"), opts)
		opts.Hash = crypto.SHA512 // the only one that the key has
		if err != nil || !bytes.Equal(got, reference(t, "one", []byte("x"), opts)) {
			t.Errorf("%+v: another signature: %v", opts, err)
		}
	}
	s.Algorithm = "RSA_SIGN_PKCS1_4096_SHA256"
	got, err := FromKMS(config(s), public(t, "one")).Sign(t.Context(), []byte("x"), forms[1])
	if err != nil || !bytes.Equal(got, reference(t, "one", []byte("x"), forms[2])) {
		t.Errorf("SHA-256: another signature: %v", err)
	}
}

// TestKMSCertify makes the public half twice, which is the same, and signs with it.
func TestKMSCertify(t *testing.T) {
	s := kms(t, "two")
	opened, err := OpenKMS(t.Context(), config(s))
	if err != nil {
		t.Fatal(err)
	}
	cfg := keys.GenerateConfig{Name: "Test", Email: "test@example.org", Time: made}
	var halves []string
	for range 2 {
		p, err := keys.Certify(t.Context(), cfg, opened)
		if err != nil {
			t.Fatal(err)
		}
		data, err := p.Public().Armor()
		if err != nil {
			t.Fatal(err)
		}
		halves = append(halves, string(data))
		if _, err := p.Armor(nil); err == nil {
			t.Error("a key that is in a KMS was exported")
		}
	}
	if halves[0] != halves[1] {
		t.Error("two public halves of one key")
	}
	ring, err := keys.ParseKeyring("made", []byte(halves[0]))
	if err != nil {
		t.Fatal(err)
	}
	if info := ring.Keys()[0]; info.UserID != "Test <test@example.org>" || !info.Created.Equal(made) || info.Bits != 4096 {
		t.Errorf("made %+v", info)
	}
	if _, err := FromKMS(config(s), ring).Sign(t.Context(), []byte("x"), forms[0]); err != nil {
		t.Error(err)
	}
	s.Fault = func(string, map[string]any) int { return http.StatusForbidden }
	if _, err := keys.Certify(t.Context(), cfg, opened); err == nil || !strings.Contains(err.Error(), "useToSign") {
		t.Errorf("when it may not sign: %v", err)
	}
}

// TestKMSFailures: what goes wrong is told, and what may go right the next time is tried again.
func TestKMSFailures(t *testing.T) {
	only := func(operation string, change func(answer map[string]any) int) func(string, map[string]any) int {
		return func(o string, answer map[string]any) int {
			if o != operation {
				return 0
			}
			return change(answer)
		}
	}
	once := func(change func(answer map[string]any) int) func(map[string]any) int {
		done := false
		return func(answer map[string]any) int {
			if done {
				return 0
			}
			done = true
			return change(answer)
		}
	}
	set := func(field string, value any) func(map[string]any) int {
		return func(answer map[string]any) int { answer[field] = value; return 0 }
	}
	status := func(n int) func(map[string]any) int { return func(map[string]any) int { return n } }
	for name, c := range map[string]struct {
		fault    func(string, map[string]any) int
		want     string // empty: it succeeds
		requests int
	}{
		"unavailable once":             {only("asymmetricSign", once(status(503))), "", 3},
		"too many requests once":       {only("publicKey", once(status(429))), "", 3},
		"damaged once":                 {only("asymmetricSign", once(set("signatureCrc32c", "1"))), "", 3},
		"always unavailable":           {only("asymmetricSign", status(503)), "the fake says no", 5},
		"refused":                      {only("asymmetricSign", status(403)), "cloudkms.cryptoKeyVersions.useToSign", 2},
		"may not see":                  {only("publicKey", status(403)), "cloudkms.cryptoKeyVersions.viewPublicKey", 1},
		"not there":                    {only("publicKey", status(404)), "404", 1},
		"CRC of the signature":         {only("asymmetricSign", set("signatureCrc32c", "1")), "the signature does not have the CRC32C", 5},
		"no CRC of the signature":      {only("asymmetricSign", func(a map[string]any) int { delete(a, "signatureCrc32c"); return 0 }), "the signature does not have the CRC32C", 5},
		"digest not compared":          {only("asymmetricSign", set("verifiedDigestCrc32c", false)), "did not compare", 5},
		"another key answers":          {only("asymmetricSign", set("name", "projects/x")), `from the key "projects/x"`, 5},
		"not base64":                   {only("asymmetricSign", set("signature", "###")), "not base64", 5},
		"CRC of the public key":        {only("publicKey", set("pemCrc32c", "1")), "the public key does not have the CRC32C", 4},
		"the public key of another":    {only("publicKey", set("name", "projects/x")), `about "projects/x"`, 4},
		"an algorithm that is no use":  {only("publicKey", set("algorithm", "EC_SIGN_P256_SHA256")), "EC_SIGN_P256_SHA256", 1},
		"PSS, which rpm does not know": {only("publicKey", set("algorithm", "RSA_SIGN_PSS_4096_SHA512")), "RSA_SIGN_PSS_4096_SHA512", 1},
		"an empty signature":           {only("asymmetricSign", func(a map[string]any) int { a["signature"], a["signatureCrc32c"] = "", "0"; return 0 }), "no signature", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := kms(t, "one")
			s.Fault = c.fault
			got, err := FromKMS(config(s), public(t, "one")).Sign(t.Context(), []byte("x"), forms[0])
			switch {
			case c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			case err != nil && (got != nil || !strings.HasPrefix(err.Error(), "KMS key "+kmstest.Name)):
				t.Errorf("got %x, %v", got, err)
			}
			if n := s.Requests(); n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
		})
	}

	var mismatch *keys.MismatchError
	if err := FromKMS(config(kms(t, "two")), public(t, "one")).Open(t.Context()); !errors.As(err, &mismatch) {
		t.Errorf("with the public half of another key: %v", err)
	}
	if err := FromKMS(KMSConfig{Name: "k"}, public(t, "one")).Open(t.Context()); err == nil || !strings.Contains(err.Error(), "cryptoKeyVersions/N") {
		t.Errorf("without a version: %v", err)
	}
	// A digest that was changed on its way there is refused by the service.
	s := kms(t, "one")
	opened, err := OpenKMS(t.Context(), config(s))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened.SignDigest(t.Context(), make([]byte, sha512.Size256), crypto.SHA256); err == nil {
		t.Error("a digest of the wrong kind was sent")
	}
}

// TestKMSHangs has the service answer never, at each of the two requests.
func TestKMSHangs(t *testing.T) {
	for _, operation := range []string{"publicKey", "asymmetricSign"} {
		s := kms(t, "one")
		release := make(chan struct{})
		s.Fault = func(o string, _ map[string]any) int {
			if o == operation {
				<-release
			}
			return 0
		}
		cfg := config(s)
		cfg.Timeout = 300 * time.Millisecond
		_, err := FromKMS(cfg, public(t, "one")).Sign(t.Context(), []byte("x"), forms[0])
		if err == nil || !strings.Contains(err.Error(), "gave no answer within 300ms") {
			t.Errorf("%s: %v", operation, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := FromKMS(config(s), public(t, "one")).Sign(ctx, []byte("x"), forms[0]); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, when interrupted: %v", operation, err)
		}
		close(release)
	}
}
