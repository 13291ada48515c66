package main

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"sigs.k8s.io/pkgs/build/strict"
	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo"
)

// nextConfig is the section signing.next of the configuration: the key that takes the place of the one that signs, and how
// far that has come. Each phase is one change of one word here, or of the lines that [keys.Alone] begins and ends with.
type nextConfig struct {
	At        strict.Position
	keyConfig `yaml:",inline"`
	// Phase is announce, overlap, switch or retire.
	Phase keys.Phase `yaml:"phase,required"`
}

// rotationConfig is the part of the section signing that is about the life of the keys.
type rotationConfig struct {
	// Next is the key to come, if there is one.
	Next *nextConfig `yaml:"next"`
	// RotateBy is the day, such as 2027-06-01, from which the key that signs now must not be the first to sign any more.
	RotateBy day `yaml:"rotate-by"`
	// GraceUntil is a later day until which it may in spite of that. The alarms go on.
	GraceUntil day `yaml:"grace-until"`
	// Unannounced are fingerprints of keys that may sign although users were not given them before, and Withdrawn those
	// of keys that users were given and are given no more. Both break clients, and are for keys that were lost or stolen.
	Unannounced []fingerprint `yaml:"unannounced"`
	Withdrawn   []fingerprint `yaml:"withdrawn"`
	// Package is the package that brings users the keyring.
	Package *keyringPackageConfig `yaml:"package"`
}

// day is a date, and the time at which it begins in UTC.
type day struct{ time.Time }

// UnmarshalText reads a date such as 2027-06-01.
func (d *day) UnmarshalText(text []byte) (err error) {
	if d.Time, err = time.Parse(time.DateOnly, string(text)); err != nil {
		return fmt.Errorf("%q is not a date such as 2027-06-01", text)
	}
	return nil
}

// fingerprint is that of a key, 40 upper-case hex digits.
type fingerprint string

var fingerprintForm = regexp.MustCompile(`^[0-9A-F]{40}$`)

// UnmarshalText reads a fingerprint as pkgs keys list shows it.
func (f *fingerprint) UnmarshalText(text []byte) error {
	if !fingerprintForm.Match(text) {
		return fmt.Errorf("%q is not the fingerprint of a key: expected 40 upper-case hex digits, as pkgs keys list shows them", text)
	}
	*f = fingerprint(text)
	return nil
}

// phase is how far a rotation has come.
func (c *rotationConfig) phase() keys.Phase {
	if c.Next == nil {
		return keys.Alone
	}
	return c.Next.Phase
}

// checkRotation says what is wrong with the keys' life, before anything is opened.
func (c *signingConfig) checkRotation() error {
	if c.Next != nil {
		if err := c.Next.check("signing.next"); err != nil {
			return err
		}
		signs := c.Next.Phase.Reached(keys.Overlap)
		switch {
		case c.kind() == "" && c.Public == "":
			return errors.New("signing.next: there is no key whose place this one could take: name it as signing.key alone")
		case c.Next.kind() == "" && c.Next.Public == "":
			return errors.New("signing.next.key is missing: make a key with `pkgs keys generate --out FILE`, or name another kind of signing key")
		case signs && c.kind() != "" && c.Next.kind() == "":
			return fmt.Errorf("signing.next.key is missing: in phase %s the next key signs, and only its public half is named", c.Next.Phase)
		case len(c.Also) > 0:
			return errors.New("signing.also and signing.next are given: who signs beside whom follows from the phase of the rotation, so leave out signing.also")
		}
	}
	if !c.GraceUntil.IsZero() && !c.GraceUntil.After(c.RotateBy.Time) {
		return errors.New("signing.grace-until is not after signing.rotate-by: it is the day until which a key may sign that should have been replaced")
	}
	return nil
}

// order tells which keys sign, the first one first, and which are only given to users.
func (c *signingConfig) order() (signing, published []keyConfig) {
	phase := c.phase()
	if phase == keys.Alone {
		return append([]keyConfig{c.keyConfig}, c.Also...), nil
	}
	both := []keyConfig{c.keyConfig, c.Next.keyConfig}
	signers := keys.Signers(phase, 0, 1)
	for _, i := range signers {
		signing = append(signing, both[i])
	}
	if len(signers) == 1 {
		published = append(published, both[1-signers[0]])
	}
	return signing, published
}

// keyPolicy is what the publisher is told of the keys' life.
func (c *signingConfig) keyPolicy() repo.KeyPolicy {
	policy := repo.KeyPolicy{GraceUntil: c.GraceUntil.Time}
	// From the switch on the key that was to be rotated is no longer the first one.
	if !c.phase().Reached(keys.Switch) {
		policy.RotateBy = c.RotateBy.Time
	}
	for _, f := range c.Unannounced {
		policy.Unannounced = append(policy.Unannounced, string(f))
	}
	for _, f := range c.Withdrawn {
		policy.Withdrawn = append(policy.Withdrawn, string(f))
	}
	return policy
}
