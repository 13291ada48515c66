package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/keys/store"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/sign"
)

// signingConfig is the section signing of the configuration: which keys sign, and which users are given to trust.
type signingConfig struct {
	// The key that signs; without one, or with its public half alone, only what needs no signature can be done here, and
	// what is signed elsewhere. That goes for Also as well.
	keyConfig `yaml:",inline"`
	// Also are keys that sign InRelease and Release.gpg beside the first one, where two signatures are understood.
	Also []keyConfig `yaml:"also"`
	// Keyring are files of further public keys that users are given.
	Keyring []string `yaml:"keyring"`
	// What leads from one key to the next.
	rotationConfig `yaml:",inline"`
}

// keyConfig says where one signing key is. At most one of Key, KeyEnv, KMS, PKCS11 and Command is given.
type keyConfig struct {
	// Key is the file of an armored private key, KeyEnv the environment variable that holds one.
	Key    string `yaml:"key"`
	KeyEnv string `yaml:"key-env"`
	// PassphraseFile is a file with the passphrase of Key or KeyEnv; --passphrase-file and --passphrase-fd come first.
	PassphraseFile string         `yaml:"passphrase-file"`
	KMS            *kmsConfig     `yaml:"kms"`
	PKCS11         *pkcs11Config  `yaml:"pkcs11"`
	Command        *commandConfig `yaml:"command"`
	// Public is the file of the public half. The private half is then not touched by what needs no signature. Key and
	// KeyEnv can do without, since they hold both.
	Public string `yaml:"public"`
}

type kmsConfig struct {
	Name     string        `yaml:"name"`
	Endpoint string        `yaml:"endpoint"`
	Timeout  time.Duration `yaml:"timeout"`
}

type pkcs11Config struct {
	Module string `yaml:"module"`
	Token  string `yaml:"token"`
	Label  string `yaml:"label"`
	// PINFile is a file with the user's PIN; without it, it is asked for like a passphrase.
	PINFile string        `yaml:"pin-file"`
	Timeout time.Duration `yaml:"timeout"`
}

type commandConfig struct {
	Argv    []string      `yaml:"argv"`
	Timeout time.Duration `yaml:"timeout"`
}

// variables are the environment variables that hold keys.
func (c *signingConfig) variables() []string {
	var names []string
	signing, published := c.order()
	for _, k := range append(signing, published...) {
		if k.KeyEnv != "" {
			names = append(names, k.KeyEnv)
		}
	}
	return names
}

// check says what is wrong with the section, before anything is opened.
func (c *signingConfig) check() error {
	for i, k := range append([]keyConfig{c.keyConfig}, c.Also...) {
		where := "signing"
		if i > 0 {
			where = fmt.Sprintf("signing.also[%d]", i-1)
		}
		if err := k.check(where); err != nil {
			return err
		}
		if i > 0 && k.kind() == "" && (c.kind() != "" || k.Public == "") {
			return fmt.Errorf("%s: one of %s is needed", where, strings.Join(keyKinds, ", "))
		}
		if i > 0 && k.kind() != "" && c.kind() == "" {
			return fmt.Errorf("%s: there is no first key beside which this one could sign", where)
		}
	}
	if c.kind() == "" && c.Public == "" && len(c.Keyring) == 0 {
		return errors.New("signing.key is missing: make a key with `pkgs keys generate --out FILE`, or name another kind of signing key, or, where nothing is signed, signing.public")
	}
	if err := c.Package.check(); err != nil {
		return err
	}
	return c.checkRotation()
}

var keyKinds = []string{"key", "key-env", "kms", "pkcs11", "command"}

// kind is the key of the configuration that says where the private half is; empty if there is none.
func (k *keyConfig) kind() string {
	for i, given := range []bool{k.Key != "", k.KeyEnv != "", k.KMS != nil, k.PKCS11 != nil, k.Command != nil} {
		if given {
			return keyKinds[i]
		}
	}
	return ""
}

func (k *keyConfig) check(where string) error {
	var given []string
	for one := *k; one.kind() != ""; {
		given = append(given, one.kind())
		switch one.kind() {
		case "key":
			one.Key = ""
		case "key-env":
			one.KeyEnv = ""
		case "kms":
			one.KMS = nil
		case "pkcs11":
			one.PKCS11 = nil
		case "command":
			one.Command = nil
		}
	}
	if len(given) > 1 {
		return fmt.Errorf("%s: %s are given, and a key is in one place: the keys that sign beside the first are listed in signing.also", where, strings.Join(given, " and "))
	}
	var err error
	switch kind := k.kind(); kind {
	case "kms":
		err = k.KMS.store().Check()
	case "pkcs11":
		err = store.PKCS11Config{Module: k.PKCS11.Module, Token: k.PKCS11.Token, Label: k.PKCS11.Label}.Check()
	case "command":
		err = store.CommandConfig{Argv: k.Command.Argv}.Check()
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s.%s: %w", where, k.kind(), err)
	}
	return nil
}

func (c *kmsConfig) store() store.KMSConfig {
	return store.KMSConfig{Name: c.Name, Endpoint: c.Endpoint, Timeout: c.Timeout}
}

// pkcs11 is the store that the configuration describes.
func (p *program) pkcs11(cfg *config, c *pkcs11Config) store.PKCS11Config {
	return store.PKCS11Config{Module: cfg.path(c.Module), Token: c.Token, Label: c.Label, Timeout: c.Timeout, PIN: func() ([]byte, error) {
		return p.readSecret("PIN of token "+c.Token, cfg.path(c.PINFile), "name a file that holds it with signing.pkcs11.pin-file")
	}}
}

// signingKeys are what signs and the keys that users are given to trust.
type signingKeys struct {
	// signer is nil when the configuration has no signing key. It touches no private key before it signs.
	signer  *sign.Signer
	keyring *keys.Keyring
	// by are the public halves of the keys that sign, here or elsewhere, in their order.
	by *keys.Keyring
	// signed has signatures on rpm headers that were made elsewhere, instead of signer.
	signed *repo.SignedHeaders

	missing error // why there is no signer, where the configuration names a key
}

// with are the same keys where the rpms have signatures that were made elsewhere, or none if headers is nil: they sign
// nothing.
func (s *signingKeys) with(headers *repo.SignedHeaders) *signingKeys {
	return &signingKeys{by: s.by, keyring: s.keyring, signed: headers}
}

// created is when the first signing key was made: nothing can be signed with an earlier date.
func (s *signingKeys) created() time.Time { return s.by.Keys()[0].Created }

// fingerprint is that of the first signing key, the one that signs rpms.
func (s *signingKeys) fingerprint() string { return s.by.Keys()[0].Fingerprint }

// open makes the signing keys ready, so that a wrong passphrase is told before the packages are built.
func (s *signingKeys) open(ctx context.Context) error {
	if err := s.check(); err != nil {
		return err
	}
	return s.signer.Open(ctx)
}

// check tells whether there are signing keys.
func (s *signingKeys) check() error {
	if s.missing != nil {
		return s.missing
	}
	if s.signer == nil {
		return usagef("there is no signing key in the configuration, and this has to sign: name one with signing.key, or have it signed on another machine with --unsigned")
	}
	return nil
}

// openSigning finds the signing keys and the keyring of the configuration. No private key is unlocked, and none is read
// whose public half is in a file of its own.
func (p *program) openSigning(cfg *config) (*signingKeys, error) {
	var s signingKeys
	var signers []sign.Key
	var by, public []*keys.Keyring
	signing, published := cfg.Signing.order()
	for i, k := range append(signing, published...) {
		half, err := cfg.publicHalf(&k)
		if err != nil {
			return nil, err
		}
		if k.kind() == "" {
			if public = append(public, half); i < len(signing) {
				by = append(by, half)
			}
			continue
		}
		key, err := p.signingKey(cfg, &k, half)
		var missing *missingKeyError
		if i < len(signing) && errors.As(err, &missing) && len(cfg.Signing.Keyring) > 0 {
			// A machine that only checks has no private key.
			s.missing = missing
			continue
		}
		if err != nil {
			return nil, err
		}
		if public = append(public, key.Public()); i < len(signing) {
			signers, by = append(signers, key), append(by, key.Public())
		}
	}
	if len(signers) > 0 {
		var err error
		if s.signer, err = sign.New(signers...); err != nil {
			return nil, err
		}
	}
	s.by = keys.Merge(by...)
	var err error
	s.keyring, err = cfg.keyring(public...)
	return &s, err
}

// publicHalf reads the public half of a signing key, if it has a file of its own.
func (c *config) publicHalf(k *keyConfig) (*keys.Keyring, error) {
	if k.Public == "" {
		if kind := k.kind(); kind == "kms" || kind == "pkcs11" || kind == "command" {
			return nil, usagef("%s: signing.public is missing: name the file of the public key; for kms and pkcs11, `pkgs keys certify` makes it", c.file)
		}
		return nil, nil
	}
	ring, err := readKeyring(c.path(k.Public))
	if err == nil && len(ring.Keys()) != 1 {
		err = fmt.Errorf("%s: holds %d keys where that of the signing key was expected: further ones belong in signing.keyring", k.Public, len(ring.Keys()))
	}
	return ring, err
}

// missingKeyError says that the file of a private key does not exist.
type missingKeyError struct{ file string }

func (e *missingKeyError) Error() string {
	return fmt.Sprintf("there is no signing key %s: name it with signing.key in the configuration, or make one with `pkgs keys generate --out FILE`", e.file)
}

// signingKey finds one key that signs.
func (p *program) signingKey(cfg *config, k *keyConfig, public *keys.Keyring) (*store.Key, error) {
	switch k.kind() {
	case "kms":
		return store.FromKMS(k.KMS.store(), public), nil
	case "pkcs11":
		return store.FromPKCS11(p.pkcs11(cfg, k.PKCS11), public), nil
	case "command":
		return store.FromCommand(store.CommandConfig{Argv: k.Command.Argv, Dir: cfg.path("."), Timeout: k.Command.Timeout, Now: p.now}, public), nil
	}
	name := cfg.path(k.Key)
	read := func() ([]byte, error) {
		data, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			return nil, &missingKeyError{name}
		}
		return data, err
	}
	if k.KeyEnv != "" {
		name = "environment variable " + k.KeyEnv
		read = func() ([]byte, error) {
			if data := p.getenv(k.KeyEnv); data != "" {
				return []byte(data), nil
			}
			return nil, fmt.Errorf("%s is not set: signing.key-env in %s says that it holds the signing key", name, cfg.file)
		}
	}
	return store.FromPrivate(name, read, public, func() ([]byte, error) { return p.readPassphrase(name, cfg.path(k.PassphraseFile)) })
}

// keyring joins keys with the further ones of the configuration.
func (c *config) keyring(all ...*keys.Keyring) (*keys.Keyring, error) {
	for _, file := range c.Signing.Keyring {
		more, err := readKeyring(c.path(file))
		if err != nil {
			return nil, err
		}
		all = append(all, more)
	}
	return keys.Merge(all...), nil
}

func readKeyring(file string) (*keys.Keyring, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return keys.ParseKeyring(file, data)
}
