package keys

import (
	"bytes"
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
	deterministic := false
	config := &packet.Config{
		DefaultHash:                           crypto.SHA512,
		DefaultCipher:                         packet.CipherAES256,
		Time:                                  func() time.Time { return cfg.Time },
		NonDeterministicSignaturesViaNotation: &deterministic,
		// rpm 4.14 refuses keys on which the first is critical, yum 3.4 those on which the second is.
		InsecureGenerateNonCriticalKeyFlags:              true,
		InsecureGenerateNonCriticalSignatureCreationTime: true,
	}
	primary := packet.NewRSAPrivateKey(config.Now(), secret)
	entity := &openpgp.Entity{PrimaryKey: &primary.PublicKey, PrivateKey: primary, Identities: map[string]*openpgp.Identity{}}
	if err := entity.AddUserId(cfg.Name, cfg.Comment, cfg.Email, config); err != nil {
		return nil, fmt.Errorf("signing the user ID of a new key: %w", plain(err))
	}
	var data bytes.Buffer
	if err := entity.SerializePrivateWithoutSigning(&data, config); err != nil {
		return nil, fmt.Errorf("writing a new key: %w", plain(err))
	}
	return ReadPrivate("new key", data.Bytes(), nil)
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
