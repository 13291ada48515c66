package store

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/cloudkms/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"sigs.k8s.io/pkgs/keys"
)

// KMSConfig names a key version of Google Cloud KMS. Its algorithm must be RSA_SIGN_PKCS1_4096_SHA512, or another of
// PKCS #1 with SHA-256 or SHA-512; the key signs everything with the hash of its algorithm.
type KMSConfig struct {
	// Name is projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N.
	Name string
	// Endpoint is the service's address, such as https://cloudkms.googleapis.com/, which empty stands for. No credentials
	// are sent to an address of http://.
	Endpoint string
	// Timeout is how long the service may take to answer, attempts included; 0 is DefaultTimeout.
	Timeout time.Duration
}

var kmsName = regexp.MustCompile(`^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+/cryptoKeyVersions/[1-9][0-9]*$`)

// Check says what is wrong with the configuration.
func (c KMSConfig) Check() error {
	if !kmsName.MatchString(c.Name) {
		return fmt.Errorf("name %q is not a key version: expected projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N", c.Name)
	}
	if c.Endpoint != "" && !strings.HasPrefix(c.Endpoint, "https://") && !strings.HasPrefix(c.Endpoint, "http://") {
		return fmt.Errorf("endpoint %q is not an http or https address", c.Endpoint)
	}
	return nil
}

func (c KMSConfig) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return DefaultTimeout
}

// FromKMS returns the key of a KMS key version, whose public half was made by [keys.Certify].
func FromKMS(cfg KMSConfig, public *keys.Keyring) *Key {
	return digestKey("KMS key "+cfg.Name, public, cfg.timeout(), cfg.open)
}

// OpenKMS opens a KMS key version without its OpenPGP half, for [keys.Certify].
func OpenKMS(ctx context.Context, cfg KMSConfig) (keys.DigestSigner, error) {
	k, err := cfg.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("KMS key %s: %w", cfg.Name, err)
	}
	return k, nil
}

func (c KMSConfig) open(ctx context.Context) (keys.DigestSigner, error) {
	return within(ctx, c.timeout(), func(ctx context.Context) (keys.DigestSigner, error) {
		k, err := openKMS(ctx, c)
		if err != nil {
			return nil, err
		}
		return k, nil
	})
}

// kmsKey is an open KMS key version.
type kmsKey struct {
	name    string
	service *cloudkms.ProjectsLocationsKeyRingsCryptoKeysCryptoKeyVersionsService
	public  *rsa.PublicKey
	hash    crypto.Hash
}

const kmsScope = cloudkms.CloudkmsScope

// kmsHashes are the algorithms that make PKCS #1 signatures, which OpenPGP and rpm know.
var kmsHashes = map[string]crypto.Hash{
	"RSA_SIGN_PKCS1_2048_SHA256": crypto.SHA256,
	"RSA_SIGN_PKCS1_3072_SHA256": crypto.SHA256,
	"RSA_SIGN_PKCS1_4096_SHA256": crypto.SHA256,
	"RSA_SIGN_PKCS1_4096_SHA512": crypto.SHA512,
}

func openKMS(ctx context.Context, cfg KMSConfig) (*kmsKey, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	options := []option.ClientOption{option.WithScopes(kmsScope)}
	if cfg.Endpoint != "" {
		options = append(options, option.WithEndpoint(strings.TrimSuffix(cfg.Endpoint, "/")+"/"))
	}
	if strings.HasPrefix(cfg.Endpoint, "http:") {
		options = append(options, option.WithoutAuthentication())
	}
	service, err := cloudkms.NewService(context.WithoutCancel(ctx), options...)
	if err != nil {
		return nil, fmt.Errorf("there are no Google credentials that work: run gcloud auth application-default login, or let GOOGLE_APPLICATION_CREDENTIALS name the file of a key (%w)", err)
	}
	k := &kmsKey{name: cfg.Name, service: service.Projects.Locations.KeyRings.CryptoKeys.CryptoKeyVersions}
	return k, k.retry(ctx, "cloudkms.cryptoKeyVersions.viewPublicKey", k.readPublic)
}

// readPublic asks for the public half and the algorithm.
func (k *kmsKey) readPublic(ctx context.Context) error {
	answer, err := k.service.GetPublicKey(k.name).Context(ctx).Do()
	if err != nil {
		return err
	}
	if answer.Name != k.name {
		return &damagedError{fmt.Sprintf("the answer is about %q", answer.Name)}
	}
	if int64(castagnoli([]byte(answer.Pem))) != answer.PemCrc32c {
		return &damagedError{"the public key does not have the CRC32C that came with it"}
	}
	hash, ok := kmsHashes[answer.Algorithm]
	if !ok {
		return fmt.Errorf("has the algorithm %s, with which no package can be signed: make a key with RSA_SIGN_PKCS1_4096_SHA512", answer.Algorithm)
	}
	block, _ := pem.Decode([]byte(answer.Pem))
	if block == nil {
		return errors.New("the service sent a public key that is not PEM")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("the service sent a public key that cannot be read: %w", err)
	}
	if k.public, ok = public.(*rsa.PublicKey); !ok {
		return errors.New("the service sent a public key that is not RSA")
	}
	k.hash = hash
	return nil
}

func (k *kmsKey) Public() crypto.PublicKey     { return k.public }
func (k *kmsKey) Hash(crypto.Hash) crypto.Hash { return k.hash }

func (k *kmsKey) SignDigest(ctx context.Context, digest []byte, hash crypto.Hash) (signature []byte, err error) {
	if hash != k.hash {
		return nil, fmt.Errorf("the key signs digests of %s only", k.hash)
	}
	err = k.retry(ctx, "cloudkms.cryptoKeyVersions.useToSign", func(ctx context.Context) error {
		signature, err = k.signOnce(ctx, digest)
		return err
	})
	return signature, err
}

// signOnce sends a digest with its CRC32C and checks that the service has seen both, and what it sent.
func (k *kmsKey) signOnce(ctx context.Context, digest []byte) ([]byte, error) {
	request := &cloudkms.AsymmetricSignRequest{
		Digest:          new(cloudkms.Digest),
		DigestCrc32c:    int64(castagnoli(digest)),
		ForceSendFields: []string{"DigestCrc32c"},
	}
	if k.hash == crypto.SHA512 {
		request.Digest.Sha512 = base64.StdEncoding.EncodeToString(digest)
	} else {
		request.Digest.Sha256 = base64.StdEncoding.EncodeToString(digest)
	}
	answer, err := k.service.AsymmetricSign(k.name, request).Context(ctx).Do()
	switch {
	case err != nil:
		return nil, err
	case answer.Name != k.name:
		return nil, &damagedError{fmt.Sprintf("the answer is from the key %q", answer.Name)}
	case !answer.VerifiedDigestCrc32c:
		return nil, &damagedError{"the service did not compare the digest with its CRC32C"}
	}
	signature, err := base64.StdEncoding.DecodeString(answer.Signature)
	if err != nil {
		return nil, &damagedError{"the signature is not base64"}
	}
	if int64(castagnoli(signature)) != answer.SignatureCrc32c {
		return nil, &damagedError{"the signature does not have the CRC32C that came with it"}
	}
	return signature, nil
}

func castagnoli(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }

// damagedError says that a request or an answer was changed on its way.
type damagedError struct{ problem string }

func (e *damagedError) Error() string {
	return "the request or the answer was damaged on the way: " + e.problem
}

// maxAttempts is how often a request is sent before its failure is believed.
const maxAttempts = 4

// retry sends a request again that may succeed then: signing changes nothing in the service. permission is the one that a
// refusal may be for lack of.
func (k *kmsKey) retry(ctx context.Context, permission string, request func(context.Context) error) error {
	attempts := 0
	again := func(err error) bool {
		attempts++
		var answer *googleapi.Error
		var damaged *damagedError
		var network net.Error
		switch {
		case attempts >= maxAttempts:
			return false
		case errors.As(err, &answer):
			return answer.Code == 429 || answer.Code >= 500
		}
		return errors.As(err, &damaged) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) && ctx.Err() == nil
	}
	backoff := gax.Backoff{Initial: 100 * time.Millisecond, Max: 5 * time.Second, Multiplier: 3}
	err := gax.Invoke(ctx, func(ctx context.Context, _ gax.CallSettings) error { return request(ctx) },
		gax.WithRetry(func() gax.Retryer { return gax.OnErrorFunc(backoff, again) }))
	var answer *googleapi.Error
	if errors.As(err, &answer) && answer.Code == 403 {
		return fmt.Errorf("is refused: give this account the permission %s (%w)", permission, err)
	}
	return err
}
