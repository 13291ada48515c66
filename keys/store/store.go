// Package store opens signing keys where they are kept: in a file or the environment, in a hardware module behind PKCS#11,
// in Google Cloud KMS, or behind another program such as gpg-agent or a signing service.
//
// All of them become a [Key], which shows its public half at once and touches the private one when it first signs, or when
// [Key.Open] asks it to. So whoever only verifies never needs a passphrase, a module or a login. The public half comes from
// a file that was made once: for a key in a module or in KMS by [keys.Certify], for a program by its own export. A key in a
// file brings it along, readable without its passphrase.
//
// # What is believed
//
// Nothing that a store returns. When a key is opened, its public numbers must be those of the public half. Answers of KMS
// are compared with the CRC32C that they come with, as its documentation asks for. And package sign verifies every signature
// before it is used.
//
// # Failing
//
// A store that does not answer in time is given up; what it answers later is dropped. What has failed to open is not tried
// again, so that a wrong passphrase or PIN is not given as often as there are packages to sign, which would lock a token.
package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sigs.k8s.io/pkgs/keys"
)

// DefaultTimeout is how long a store may take to open a key, and to make one signature.
const DefaultTimeout = time.Minute

// Key is a signing key in some store. It is a sign.Key, and may be used concurrently.
type Key struct {
	name   string // what errors call it; empty if they name it themselves
	public *keys.Keyring
	limit  time.Duration // for a signature; 0 is none
	open   func(context.Context) (signer, error)

	mu     sync.Mutex
	opened signer // guarded by mu, as is err; both are nil until the key was opened
	err    error
}

// signer is what a store opens.
type signer interface {
	Sign(ctx context.Context, data []byte, opts keys.SignOpts) ([]byte, error)
}

// Public is the public half.
func (k *Key) Public() *keys.Keyring { return k.public }

// Open makes the key ready to sign, which may ask for a passphrase or call a service. It does so once; what failed stays
// failed.
func (k *Key) Open(ctx context.Context) error {
	_, err := k.ready(ctx)
	return err
}

func (k *Key) ready(ctx context.Context) (signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.opened == nil && k.err == nil {
		k.opened, k.err = k.open(ctx)
		if k.err != nil {
			k.err = k.named(k.err)
		}
	}
	return k.opened, k.err
}

// Sign makes one signature packet, as [keys.Private.Sign] says; a program that makes its own packets may leave out of it
// what is not asked for here.
func (k *Key) Sign(ctx context.Context, data []byte, opts keys.SignOpts) ([]byte, error) {
	s, err := k.ready(ctx)
	if err != nil {
		return nil, err
	}
	made, err := within(ctx, k.limit, func(ctx context.Context) ([]byte, error) { return s.Sign(ctx, data, opts) })
	if err != nil {
		return nil, k.named(err)
	}
	return made, nil
}

func (k *Key) named(err error) error {
	if k.name == "" {
		return err
	}
	return fmt.Errorf("%s: %w", k.name, err)
}

// within gives work a time limit that holds even when work does not look at its context, as a driver that was written in C
// does not.
func within[T any](ctx context.Context, limit time.Duration, work func(context.Context) (T, error)) (T, error) {
	if limit == 0 {
		return work(ctx)
	}
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := work(inner)
		done <- outcome{value, err}
	}()
	late := fmt.Errorf("gave no answer within %s", limit)
	var none T
	select {
	case o := <-done:
		if o.err != nil && ctx.Err() == nil && errors.Is(o.err, context.DeadlineExceeded) {
			return none, late
		}
		return o.value, o.err
	case <-inner.Done():
		if err := ctx.Err(); err != nil {
			return none, err
		}
		return none, late
	}
}

// digestKey opens a store that signs digests, and joins it with the public half of the key. limit is for each signature.
func digestKey(name string, public *keys.Keyring, limit time.Duration, open func(context.Context) (keys.DigestSigner, error)) *Key {
	return &Key{name: name, public: public, limit: limit, open: func(ctx context.Context) (signer, error) {
		s, err := open(ctx)
		if err != nil {
			return nil, err
		}
		p, err := keys.NewPrivate("its public half", public, s)
		if err != nil {
			return nil, err
		}
		return p, nil
	}}
}

// FromPrivate returns a key that is an armored private key, which read returns, from a file or elsewhere; name is what
// errors call it. public may be nil: then the private key is read at once for its public half, but not unlocked.
// passphrase is called when the key is opened, if it is locked; nil means that there is nobody to ask. Errors are those of
// [keys.ReadPrivate].
func FromPrivate(name string, read func() ([]byte, error), public *keys.Keyring, passphrase func() ([]byte, error)) (*Key, error) {
	given := public
	if public == nil {
		data, err := read()
		if err != nil {
			return nil, err
		}
		if public, err = keys.PublicOf(name, data); err != nil {
			return nil, err
		}
	}
	// A person may take as long as he likes to type a passphrase: there is no time limit.
	return &Key{public: public, open: func(context.Context) (signer, error) {
		data, err := read()
		if err != nil {
			return nil, err
		}
		p, err := keys.ReadPrivate(name, data, passphrase)
		if err != nil {
			return nil, err
		}
		if given != nil && (len(given.Keys()) != 1 || given.Keys()[0].Fingerprint != p.Info().Fingerprint) {
			return nil, &keys.MismatchError{Name: "the configured public key", Fingerprint: given.Keys()[0].Fingerprint}
		}
		return p, nil
	}}, nil
}
