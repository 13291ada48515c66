package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// GenerateConfig says whose key is to be made.
type GenerateConfig struct {
	// Name, Comment and Email make up the user ID: Name (Comment) <Email>. Comment may be empty.
	Name, Comment, Email string
	// Bits is the size of the RSA key: 4096 if it is 0, and at least 3072.
	Bits int
	// Time is when the key counts as created. Nothing can be signed with an earlier time, so it should lie as far back
	// as signatures are back-dated, and a little further.
	Time time.Time
}

const defaultBits, leastBits = 4096, 3072

// Generate makes a new key as the package comment describes. It takes seconds.
func Generate(cfg GenerateConfig) (*Private, error) {
	if cfg.Bits == 0 {
		cfg.Bits = defaultBits
	}
	if cfg.Bits < leastBits || cfg.Bits > maxRSABits {
		return nil, fmt.Errorf("a key of %d bits cannot be made: choose from %d to %d, such as %d", cfg.Bits, leastBits, maxRSABits, defaultBits)
	}
	return generate(cfg)
}

// generate makes a key of any size.
func generate(cfg GenerateConfig) (*Private, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	secret, err := rsa.GenerateKey(rand.Reader, cfg.Bits)
	if err != nil {
		return nil, fmt.Errorf("making a key of %d bits: %w", cfg.Bits, err)
	}
	primary := packet.NewRSAPrivateKey(cfg.Time, secret)
	entity, config, err := cfg.bind(primary, crypto.SHA512)
	if err != nil {
		return nil, err
	}
	var data bytes.Buffer
	if err := entity.SerializePrivateWithoutSigning(&data, config); err != nil {
		return nil, fmt.Errorf("writing a new key: %w", plain(err))
	}
	return ReadPrivate("new key", data.Bytes(), nil)
}

// Certify makes the public half of a key that exists already, as the package comment describes it, with the signer's own
// signature on the user ID. cfg.Bits means nothing here. The same signer, user ID and time give the same bytes; another
// time gives another fingerprint, so a key is certified once and the result kept.
func Certify(ctx context.Context, cfg GenerateConfig, signer DigestSigner) (_ *Private, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("certifying a key: the openpgp library failed")
		}
	}()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	public, ok := signer.Public().(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("certifying a key: it is not an RSA key, and rpm packages can only be signed with RSA keys")
	}
	if bits := public.N.BitLen(); bits < leastBits || bits > maxRSABits {
		return nil, fmt.Errorf("certifying a key: it has %d bits: choose from %d to %d, such as %d", bits, leastBits, maxRSABits, defaultBits)
	}
	call := &call{ctx: ctx, DigestSigner: signer}
	primary := &packet.PrivateKey{PublicKey: *packet.NewRSAPublicKey(cfg.Time, public), PrivateKey: call}
	entity, _, err := cfg.bind(primary, signer.Hash(crypto.SHA512))
	// The library drops the error of a key that fails.
	if call.err != nil {
		return nil, fmt.Errorf("certifying a key: %w", call.err)
	}
	if err != nil {
		return nil, err
	}
	var data bytes.Buffer
	if err := entity.Serialize(&data); err != nil {
		return nil, fmt.Errorf("writing a new key: %w", plain(err))
	}
	// Reading verifies the signature on the user ID.
	ring, err := ParseKeyring("new key", data.Bytes())
	if err != nil {
		return nil, err
	}
	return NewPrivate("new key", ring, signer)
}

// bind makes a key of the primary key's material and one user ID.
func (cfg *GenerateConfig) bind(primary *packet.PrivateKey, hash crypto.Hash) (*openpgp.Entity, *packet.Config, error) {
	deterministic := false
	config := &packet.Config{
		DefaultHash:                           hash,
		DefaultCipher:                         packet.CipherAES256,
		Time:                                  func() time.Time { return cfg.Time },
		NonDeterministicSignaturesViaNotation: &deterministic,
		// rpm 4.14 refuses keys on which the first is critical, yum 3.4 those on which the second is.
		InsecureGenerateNonCriticalKeyFlags:              true,
		InsecureGenerateNonCriticalSignatureCreationTime: true,
	}
	entity := &openpgp.Entity{PrimaryKey: &primary.PublicKey, PrivateKey: primary, Identities: map[string]*openpgp.Identity{}}
	if err := entity.AddUserId(cfg.Name, cfg.Comment, cfg.Email, config); err != nil {
		return nil, nil, fmt.Errorf("signing the user ID of a new key: %w", plain(err))
	}
	return entity, config, nil
}

// check refuses user IDs that programs read differently, and times that OpenPGP's four bytes cannot hold.
func (cfg *GenerateConfig) check() error {
	fields := []struct{ name, value string }{{"name", cfg.Name}, {"comment", cfg.Comment}, {"email", cfg.Email}}
	for _, f := range fields {
		if !utf8.ValidString(f.value) || strings.ContainsAny(f.value, "()<>") || strings.ContainsFunc(f.value, unicode.IsControl) || strings.TrimSpace(f.value) != f.value {
			return fmt.Errorf("%s %q of the key's owner: leave out brackets, control characters and outer blanks", f.name, f.value)
		}
	}
	if cfg.Name == "" {
		return errors.New("the key's owner needs a name")
	}
	if local, domain, ok := strings.Cut(cfg.Email, "@"); !ok || local == "" || domain == "" || strings.ContainsAny(cfg.Email, " \t") {
		return fmt.Errorf("email %q of the key's owner: expected an address such as packages@example.org", cfg.Email)
	}
	if s := cfg.Time.Unix(); s <= 0 || s > 1<<32-1 {
		return fmt.Errorf("time %s cannot be when a key was created", cfg.Time.UTC().Format(time.RFC3339))
	}
	return nil
}
