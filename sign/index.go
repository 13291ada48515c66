package sign

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/yum"
)

// Release signs the Release file of an apt repository with all keys, as of its date, and returns the signed message
// InRelease and the detached signature Release.gpg. The signer writes the text itself, as r.WriteRelease does.
func (s *Signer) Release(ctx context.Context, r *apt.Release) (inRelease, releaseGpg []byte, err error) {
	text, err := r.WriteRelease(r.Indexes)
	if err != nil {
		return nil, nil, err
	}
	both, ctx := errgroup.WithContext(ctx) // a signature takes a while, wherever it is made
	both.Go(func() (err error) {
		inRelease, err = s.clearsign(ctx, text, r.Date)
		return err
	})
	both.Go(func() (err error) {
		releaseGpg, err = s.detached(ctx, s.keys, text, r.Date)
		return err
	})
	if err := both.Wait(); err != nil {
		return nil, nil, err
	}
	return inRelease, releaseGpg, nil
}

// Repomd signs the repomd.xml of a yum repository with the first key and returns the detached signature repomd.xml.asc. The
// signer writes the text itself, as r.XML does.
func (s *Signer) Repomd(ctx context.Context, r *yum.Repomd, at time.Time) ([]byte, error) {
	text, err := r.XML()
	if err != nil {
		return nil, err
	}
	return s.detached(ctx, s.keys[:1], text, at)
}

// RPMHeader signs the main header of an rpm package, from its magic on, with the first key. The result is the packet that
// belongs into the tag RPMSIGTAG_RSA. The header must be one that names a package and the digest of its payload.
func (s *Signer) RPMHeader(ctx context.Context, header []byte, at time.Time) ([]byte, error) {
	if _, err := yum.ParseHeader(header); err != nil {
		return nil, err
	}
	return s.header(ctx, header, at)
}

// VerifyRelease checks InRelease and Release.gpg, as [Signer.Release] returns them, with each key of the keyring alone:
// all of them must have signed. Errors are those of VerifyClearsigned.
func VerifyRelease(r *apt.Release, inRelease, releaseGpg []byte, by *keys.Keyring, at time.Time) error {
	text, err := r.WriteRelease(r.Indexes)
	if err != nil {
		return err
	}
	for _, one := range by.Split() {
		signed, _, err := VerifyClearsigned(inRelease, one, at)
		if err != nil {
			return err
		}
		if string(signed) != string(text) {
			return &FormatError{"another Release file was signed"}
		}
		if _, err := VerifyDetached(text, releaseGpg, one, at); err != nil {
			return err
		}
	}
	return nil
}

// VerifyRepomd checks repomd.xml.asc, as [Signer.Repomd] returns it, with the first key of the keyring.
func VerifyRepomd(r *yum.Repomd, signature []byte, by *keys.Keyring, at time.Time) error {
	text, err := r.XML()
	if err != nil {
		return err
	}
	_, err = VerifyDetached(text, signature, by.Split()[0], at)
	return err
}
