package keys

import (
	"fmt"
	"time"
)

// LockedError says that a private key is encrypted and no passphrase was to be had.
type LockedError struct {
	Name        string // of the key, as ReadPrivate was given it
	Fingerprint string
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s: private key %s is locked: give its passphrase", e.Name, e.Fingerprint)
}

// PassphraseError says that a passphrase does not open a private key.
type PassphraseError struct {
	Name        string
	Fingerprint string
}

func (e *PassphraseError) Error() string {
	return fmt.Sprintf("%s: the passphrase does not open private key %s: check which key it belongs to", e.Name, e.Fingerprint)
}

// UnusableError says that a key cannot be used, now or ever, and why.
type UnusableError struct {
	Name        string // of the file, where known
	Fingerprint string
	Reason      string
}

func (e *UnusableError) Error() string {
	prefix := ""
	if e.Name != "" {
		prefix = e.Name + ": "
	}
	return fmt.Sprintf("%skey %s %s", prefix, e.Fingerprint, e.Reason)
}

// MismatchError says that what can sign is another key than the one whose public half was given.
type MismatchError struct {
	Name        string // of the file with the public half
	Fingerprint string // that it holds
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s: holds the public key %s, and the signer has another one: check which key is configured", e.Name, e.Fingerprint)
}

// ExpiredError says that a key's time is over.
type ExpiredError struct {
	Fingerprint string
	Expired, At time.Time
}

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("key %s expired on %s: extend it or use its successor", e.Fingerprint, e.Expired.UTC().Format(time.RFC3339))
}

// NotYetError says that a key is younger than the time at which it is to be used.
type NotYetError struct {
	Fingerprint string
	Created, At time.Time
}

func (e *NotYetError) Error() string {
	return fmt.Sprintf("key %s was created on %s, after %s: check the clock, or SOURCE_DATE_EPOCH", e.Fingerprint,
		e.Created.UTC().Format(time.RFC3339), e.At.UTC().Format(time.RFC3339))
}

// RevokedError says that a key's owner has withdrawn it.
type RevokedError struct{ Fingerprint string }

func (e *RevokedError) Error() string { return fmt.Sprintf("key %s is revoked", e.Fingerprint) }
