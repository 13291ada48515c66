package release

import "errors"

// Version is the version of an upstream release. The zero value is no version.
type Version struct{ text string }

// Channel tells how finished a version is.
type Channel string

const (
	Stable     Channel = "stable"
	Prerelease Channel = "prerelease"
	Nightly    Channel = "nightly"
)

// ParseVersion reads v1.34.1, v1.35.0-alpha.1, v1.35.0-rc.0 or, a nightly build, v1.36.0-alpha.0.721+f8ff8f44206ff4.
func ParseVersion(s string) (Version, error) { return Version{}, errors.New("not written yet") }

// String is the version as upstream writes it: v1.35.0-alpha.1.
func (v Version) String() string { return v.text }

// Package is the version as packages write it, without a revision: 1.35.0~alpha.1.
func (v Version) Package() string { return "" }

// Channel is Stable, Prerelease or Nightly.
func (v Version) Channel() Channel { return "" }

// Minor is the version's minor line: 1.35.
func (v Version) Minor() string { return "" }

// IsZero tells that v is no version.
func (v Version) IsZero() bool { return v.text == "" }

// Compare is negative if v is older than w, zero if they are the same, positive if v is newer.
func (v Version) Compare(w Version) int { return 0 }

// UnmarshalText reads what [ParseVersion] reads.
func (v *Version) UnmarshalText(text []byte) error {
	w, err := ParseVersion(string(text))
	*v = w
	return err
}

// MarshalText is String in bytes.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.text), nil }
