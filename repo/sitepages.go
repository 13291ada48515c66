package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/site"
)

// GivesKeys tells whether a plan changes the keys that the stream's users are given, or how, or begins the stream.
func (p *Plan) GivesKeys() bool {
	if p.keyring {
		return true
	}
	for _, w := range p.Writes {
		if w.Name == p.Stream.Deb(layout.ReleaseKey) || w.Name == p.Stream.Rpm(layout.RepomdKey) {
			return true
		}
	}
	return false
}

// Site brings up to date what people need beside a stream's repositories to use it: the .sources, .list and .repo files of
// the stream, which name its keyring, and every key of the keyring by its fingerprint, for who compares keys by that. It
// returns the names of the objects that it wrote. When they are right already it costs one read of each.
//
// They hold nothing that a publication decides, so it does not matter who of several writers is the last, and a run that
// dies leaves some of them old: the next one goes on.
func (p *Publisher) Site(ctx context.Context, stream layout.Stream) ([]string, error) {
	var files []layout.File
	repository := site.Repository{Stream: stream, URL: p.URL, Keyring: p.KeyringName()}
	for _, f := range repository.Files() {
		files = append(files, layout.File{Path: stream.File(f.Path), Data: f.Data})
	}
	for _, one := range p.Keyring.Split() {
		armored, err := one.Armor()
		if err != nil {
			return nil, err
		}
		files = append(files, layout.File{Path: layout.Key(one.Keys()[0].Fingerprint), Data: armored})
	}
	var written []string
	for _, f := range files {
		wrote, err := overwrite(ctx, p.Bucket, f)
		if err != nil {
			return written, err
		}
		if wrote {
			written = append(written, f.Path)
		}
	}
	return written, nil
}

// overwrite makes an object that no publication owns have certain bytes. It tells whether it had others.
func overwrite(ctx context.Context, b bucket.Bucket, f layout.File) (bool, error) {
	for range retries {
		data, info, err := readAll(ctx, b, f.Path, maxListing)
		if err != nil && !errors.Is(err, bucket.ErrNotExist) {
			return false, err
		}
		if err == nil && bytes.Equal(data, f.Data) {
			return false, nil
		}
		if err := putPage(ctx, b, f.Path, f.Data, info.Generation); !errors.Is(err, bucket.ErrCondition) {
			return err == nil, err
		}
	}
	return false, fmt.Errorf("%s/%s: others write it all the time: run the command again", b, f.Path)
}
