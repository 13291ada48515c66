package sigstore

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
)

// cosignBundle is what cosign before version 3 wrote with --bundle.
type cosignBundle struct {
	Signature string `json:"base64Signature"`
	Cert      string `json:"cert"`
	Rekor     *struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           string `json:"body"`
			IntegratedTime int64  `json:"integratedTime"`
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"`
		}
	} `json:"rekorBundle"`
}

// parseBundle reads a bundle of either kind. The kind of cosign does not name the file that it is for; its entry does, and is
// compared with digest.
func parseBundle(data []byte, digest [sha256.Size]byte) (*bundle.Bundle, error) {
	if len(data) > MaxBundle {
		return nil, fmt.Errorf("a bundle of %d bytes: expected at most %d", len(data), MaxBundle)
	}
	var kind struct {
		MediaType string `json:"mediaType"`
		Signature string `json:"base64Signature"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return nil, fmt.Errorf("not a Sigstore bundle: %w", err)
	}
	if kind.MediaType == "" && kind.Signature != "" {
		return parseCosignBundle(data, digest)
	}
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("not a Sigstore bundle: %w", plain(err))
	}
	return b, nil
}

// parseCosignBundle makes a Sigstore bundle of version 0.1 from cosign's: the first version, which does without a proof that
// the log includes the entry and takes the log's signed promise for it, as cosign does.
func parseCosignBundle(data []byte, digest [sha256.Size]byte) (*bundle.Bundle, error) {
	var c cosignBundle
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("not a bundle of cosign: %w", err)
	}
	if c.Rekor == nil {
		return nil, errors.New("the bundle of cosign has no rekorBundle: expected the entry of a transparency log")
	}
	signature, err := decode([]byte(c.Signature), MaxSignature)
	if err != nil {
		return nil, fmt.Errorf("base64Signature: %w", err)
	}
	cert, err := parseCertificate([]byte(c.Cert))
	if err != nil {
		return nil, fmt.Errorf("cert: %w", err)
	}
	payload := c.Rekor.Payload
	body, err := base64.StdEncoding.DecodeString(payload.Body)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	logID, err := hex.DecodeString(payload.LogID)
	if err != nil {
		return nil, fmt.Errorf("logID: %w", err)
	}
	var entry struct {
		Kind    string `json:"kind"`
		Version string `json:"apiVersion"`
	}
	if err := json.Unmarshal(body, &entry); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	b, err := bundle.NewBundle(&protobundle.Bundle{
		MediaType: "application/vnd.dev.sigstore.bundle+json;version=0.1",
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: &protocommon.X509CertificateChain{
				Certificates: []*protocommon.X509Certificate{{RawBytes: cert.Raw}},
			}},
			TlogEntries: []*protorekor.TransparencyLogEntry{{
				LogIndex: payload.LogIndex, LogId: &protocommon.LogId{KeyId: logID},
				KindVersion:       &protorekor.KindVersion{Kind: entry.Kind, Version: entry.Version},
				IntegratedTime:    payload.IntegratedTime,
				InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: c.Rekor.SignedEntryTimestamp},
				CanonicalizedBody: body,
			}},
		},
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: digest[:]},
			Signature:     signature,
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("not a bundle of cosign: %w", plain(err))
	}
	return b, nil
}
