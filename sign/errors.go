package sign

import (
	"fmt"
	"strings"
	"time"
)

// FormatError says that signed data or a signature does not have the form that clients read alike.
type FormatError struct{ Problem string }

func (e *FormatError) Error() string { return "the signature cannot be read: " + e.Problem }

// NoTrustedKeyError says that no signature was made by a key of the keyring.
type NoTrustedKeyError struct {
	Issuers []string // fingerprints, or key IDs where a signature tells no more
	Trusted []string // fingerprints of the keyring
}

func (e *NoTrustedKeyError) Error() string {
	return fmt.Sprintf("signed by unknown key %s: trusted are %s", strings.Join(e.Issuers, " and "), strings.Join(e.Trusted, ", "))
}

// BadSignatureError says that a signature of a trusted key does not fit the data, or is of a kind that does not count.
type BadSignatureError struct {
	Fingerprint string // of the key that the signature names
	Problem     string
}

func (e *BadSignatureError) Error() string {
	return fmt.Sprintf("bad signature by key %s: %s", e.Fingerprint, e.Problem)
}

// TimeError says that a signature does not count at the time asked for.
type TimeError struct {
	Fingerprint string
	Problem     string
	// Signed is when the signature says it was made, At the time at which it was checked.
	Signed, At time.Time
}

func (e *TimeError) Error() string {
	return fmt.Sprintf("signature by key %s of %s %s, seen at %s", e.Fingerprint, stamp(e.Signed), e.Problem, stamp(e.At))
}

// KeyError says that a signature's key must not be used. Err is one of the errors of package keys.
type KeyError struct{ Err error }

func (e *KeyError) Error() string { return "the signature does not count: " + e.Err.Error() }
func (e *KeyError) Unwrap() error { return e.Err }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
