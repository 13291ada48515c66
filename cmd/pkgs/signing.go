package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/sign"
)

// signingKeys are the key that signs and those that users are given to trust.
type signingKeys struct {
	key     *keys.Private
	signer  *sign.Signer
	keyring *keys.Keyring
}

// openSigning reads the private key and the keyring of the configuration.
func (p *program) openSigning(cfg *config) (*signingKeys, error) {
	key, err := p.readPrivate(cfg.path(cfg.Signing.Key))
	if err != nil {
		return nil, err
	}
	signer, err := sign.New(key)
	if err != nil {
		return nil, err
	}
	keyring, err := cfg.keyring(key.Public())
	if err != nil {
		return nil, err
	}
	return &signingKeys{key, signer, keyring}, nil
}

// keyring joins keys with the further ones of the configuration.
func (c *config) keyring(all ...*keys.Keyring) (*keys.Keyring, error) {
	for _, file := range c.Signing.Keyring {
		data, err := os.ReadFile(c.path(file))
		if err != nil {
			return nil, err
		}
		more, err := keys.ParseKeyring(file, data)
		if err != nil {
			return nil, err
		}
		all = append(all, more)
	}
	return keys.Merge(all...), nil
}

// readPrivate reads a private key, and its passphrase where it needs one.
func (p *program) readPrivate(file string) (*keys.Private, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no signing key %s: name it with signing.key in the configuration, or make one with `pkgs keys generate --out FILE`", file)
	}
	if err != nil {
		return nil, err
	}
	return keys.ReadPrivate(file, data, func() ([]byte, error) { return p.readPassphrase(file) })
}

// readPassphrase gets the passphrase of a key from the file that the user named or, on a terminal, from the user.
func (p *program) readPassphrase(key string) ([]byte, error) {
	if p.passphrase != "" {
		data, err := os.ReadFile(p.passphrase)
		return []byte(strings.TrimRight(string(data), "\r\n")), err
	}
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return nil, errors.New("needs a passphrase: give a file that holds it with --passphrase-file")
	}
	fmt.Fprintf(p.stderr, "passphrase of %s: ", key)
	defer fmt.Fprintln(p.stderr)
	return term.ReadPassword(in)
}

// publisher is who publishes, for the record: what PKGS_PUBLISHER says, or else the user on this machine.
func (p *program) publisher() string {
	if by := p.getenv("PKGS_PUBLISHER"); by != "" {
		return by
	}
	name, host := p.getenv("USER"), "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

// sourceDate reads SOURCE_DATE_EPOCH, seconds since 1970 (https://reproducible-builds.org/specs/source-date-epoch/).
func sourceDate(epoch string) (time.Time, error) {
	if epoch == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<32-1 {
		return time.Time{}, usagef("SOURCE_DATE_EPOCH is %q: expected seconds since 1970", epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
