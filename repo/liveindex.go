package repo

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
	"sigs.k8s.io/pkgs/sign"
)

// live reads the contents that a stream has now from its index. It is what the next index is derived from and signed
// for, so nothing is believed that no trusted key has signed: the signatures on Release and repomd.xml are verified, and
// the indexes must have the digests that these name. Pointers that it reads on the way are noted in seen.
//
// Unless whole is set, the rpms are those of primary alone: enough for the gates and for advisories, not for another index.
func live(ctx context.Context, b bucket.Bucket, state *State, trusted *keys.Keyring, at time.Time, whole bool, seen *sightings) (Contents, error) {
	var c Contents
	if !state.Exists() {
		return c, nil
	}
	l := &liveIndex{b, state.Head.Stream, &state.Manifest, trusted, at, whole, seen}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { c.Debs, err = l.debs(ctx); return err })
	group.Go(func() (err error) { c.Rpms, c.Advisories, err = l.rpms(ctx); return err })
	return c, group.Wait()
}

// liveIndex is the index of a publication in a bucket.
type liveIndex struct {
	bucket   bucket.Bucket
	stream   layout.Stream
	manifest *Manifest
	trusted  *keys.Keyring
	at       time.Time
	whole    bool
	seen     *sightings // nil when the publication is not the live one
}

func (l *liveIndex) distrust(name string, err error) error {
	return fmt.Errorf("%s/%s, serial %d: %w: nothing is published on top of it; run `pkgs verify %s`", l.bucket, name, l.manifest.Serial, err, l.stream)
}

func (l *liveIndex) debs(ctx context.Context) ([]*apt.Package, error) {
	p, ok := l.manifest.pointer(l.stream.Deb(layout.InRelease))
	if !ok {
		return nil, nil
	}
	release, _, err := sign.VerifyClearsigned([]byte(p.Data), l.trusted, whenSigned(p.Data, l.at))
	if err != nil {
		return nil, l.distrust(p.Name, err)
	}
	index, err := apt.ParseRelease(release)
	if err != nil {
		return nil, l.distrust(p.Name, err)
	}
	i := slices.IndexFunc(index.Indexes, func(f apt.IndexFile) bool { return f.Path == layout.PackagesGz })
	if i < 0 {
		return nil, l.distrust(p.Name, errors.New("does not name "+layout.PackagesGz))
	}
	data, err := l.packagesGz(ctx, index.Indexes[i].SHA256)
	if err != nil {
		return nil, err
	}
	plain, err := gunzip(data)
	if err != nil {
		return nil, l.distrust(l.stream.Deb(layout.PackagesGz), err)
	}
	debs, err := apt.ParsePackages(plain)
	if err != nil {
		return nil, l.distrust(l.stream.Deb(layout.Packages), err)
	}
	return debs, nil
}

// packagesGz reads the index with a digest: where the live one is read by its plain name, which tells the generation of
// that pointer along with it, and if it is not there, by its digest.
func (l *liveIndex) packagesGz(ctx context.Context, sha256 string) ([]byte, error) {
	if l.seen != nil {
		name := l.stream.Deb(layout.PackagesGz)
		data, info, err := readAll(ctx, l.bucket, name, maxIndex)
		switch {
		case err == nil && digest(data) == sha256:
			l.seen.add(name, info.Generation)
			return data, nil
		case err != nil && !errors.Is(err, bucket.ErrNotExist):
			return nil, err
		}
	}
	return hashed(ctx, l.bucket, l.stream.Deb(layout.ByHash(sha256)), sha256)
}

// rpms reads the yum index: its packages, and its advisories.
func (l *liveIndex) rpms(ctx context.Context) ([]*yum.Package, []yum.Advisory, error) {
	p, ok := l.manifest.pointer(l.stream.Rpm(layout.Repomd))
	if !ok {
		return nil, nil, nil
	}
	asc, _ := l.manifest.pointer(l.stream.Rpm(layout.RepomdAsc))
	if _, err := sign.VerifyDetached([]byte(p.Data), []byte(asc.Data), l.trusted, whenSigned(asc.Data, l.at)); err != nil {
		return nil, nil, l.distrust(p.Name, err)
	}
	repomd, err := yum.ParseRepomd([]byte(p.Data))
	if err != nil {
		return nil, nil, l.distrust(p.Name, err)
	}
	var mu sync.Mutex
	index := map[string][]byte{}
	group, ctx := errgroup.WithContext(ctx)
	for _, d := range repomd.Indexes {
		if !l.whole && (d.Kind == "filelists" || d.Kind == "other") {
			continue
		}
		group.Go(func() error {
			name := l.stream.Rpm(d.Href)
			data, err := hashed(ctx, l.bucket, name, d.SHA256)
			if err != nil {
				return err
			}
			if data, err = gunzip(data); err != nil {
				return l.distrust(name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			index[d.Kind] = data
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	var rpms []*yum.Package
	if l.whole {
		rpms, err = yum.ParseIndex("", index["primary"], index["filelists"], index["other"])
	} else {
		rpms, err = yum.ParsePrimary("", index["primary"])
	}
	if err != nil {
		return nil, nil, l.distrust(p.Name, err)
	}
	var advisories []yum.Advisory
	if text, ok := index["updateinfo"]; ok {
		if advisories, err = yum.ParseUpdateinfo(text); err != nil {
			return nil, nil, l.distrust(p.Name, err)
		}
	}
	return rpms, advisories, nil
}

// hashed reads an object that must have the digest which a signed index names.
func hashed(ctx context.Context, b bucket.Bucket, name, sha256 string) ([]byte, error) {
	data, _, err := readAll(ctx, b, name, maxIndex)
	if err != nil {
		return nil, err
	}
	if got := digest(data); got != sha256 {
		return nil, &AlteredError{Bucket: b.String(), Name: name, Want: sha256, Have: got}
	}
	return data, nil
}

func gunzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(z, maxIndex+1))
	if err == nil && len(out) > maxIndex {
		err = fmt.Errorf("unpacks to more than %d bytes", maxIndex)
	}
	return out, err
}
