package sigstore_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/build/release/sigstore"
)

// A certificate and a signature that the public Sigstore made, with its own trusted root. They come with the module that
// verifies here, whose examples have them in a bundle with an attestation: the signature is one over what DSSE calls the
// pre-authentication encoding (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md).
func TestPublicSigstore(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/sigstore/sigstore-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "examples", name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var bundle struct {
		VerificationMaterial struct {
			X509CertificateChain struct {
				Certificates []struct{ RawBytes []byte }
			}
		}
		DsseEnvelope struct {
			Payload     []byte
			PayloadType string
			Signatures  []struct{ Sig string }
		}
	}
	data := read("bundle-provenance.json")
	if err := json.Unmarshal(data, &bundle); err != nil {
		t.Fatal(err)
	}
	envelope := bundle.DsseEnvelope
	digest := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(envelope.PayloadType), envelope.PayloadType, len(envelope.Payload), envelope.Payload))
	cert := fmt.Sprintf("-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n",
		base64.StdEncoding.EncodeToString(bundle.VerificationMaterial.X509CertificateChain.Certificates[0].RawBytes))

	want := sigstore.Signer{Identity: "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main", Issuer: "https://token.actions.githubusercontent.com"}
	v, err := sigstore.NewVerifier(read("trusted-root-public-good.json"), sigstore.Policy{IdentityPattern: `https://github\.com/sigstore/sigstore-js/.*`, Issuer: want.Issuer})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Detached([]byte(envelope.Signatures[0].Sig), []byte(cert), digest); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := v.Bundle(data, digest); err == nil || !strings.Contains(err.Error(), "attestation") {
		t.Errorf("got %v", err)
	}
	v, err = sigstore.NewVerifier(read("trusted-root-public-good.json"), policy)
	if err != nil {
		t.Fatal(err)
	}
	var mismatch *sigstore.IdentityError
	if _, err := v.Detached([]byte(envelope.Signatures[0].Sig), []byte(cert), digest); !errors.As(err, &mismatch) || mismatch.Identity != want.Identity {
		t.Errorf("got %v", err)
	}
}
