package repo

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
)

// snapshot is one publication being put together: its manifest and the bytes of what is in it.
type snapshot struct {
	manifest Manifest
	content  map[string]bucket.Content
}

// text is content of metadata held in memory.
func text(data []byte) bucket.Content {
	return bucket.Content{
		Size:   int64(len(data)),
		SHA256: digest(data),
		Open:   func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	}
}

// add puts an immutable object into the snapshot.
func (s *snapshot) add(name string, c bucket.Content) {
	s.content[name] = c
	s.list(name, c.Size, c.SHA256)
}

// list names an immutable object whose bytes are in the bucket already.
func (s *snapshot) list(name string, size int64, sha256 string) {
	s.manifest.Objects = append(s.manifest.Objects, Object{Name: name, Class: layout.ClassOf(name), Size: size, SHA256: sha256})
}

// join takes over what is in a half of the snapshot.
func (s *snapshot) join(half *snapshot) {
	s.manifest.Objects = append(s.manifest.Objects, half.manifest.Objects...)
	s.manifest.Pointers = append(s.manifest.Pointers, half.manifest.Pointers...)
	maps.Copy(s.content, half.content)
}

// point sets the bytes of a pointer.
func (s *snapshot) point(name string, data []byte) {
	s.manifest.Pointers = append(s.manifest.Pointers, Pointer{
		Object: Object{Name: name, Class: layout.ClassOf(name), Size: int64(len(data)), SHA256: digest(data)},
		Data:   string(data),
	})
}

// lead makes a pointer lead to a folder.
func (s *snapshot) lead(name, folder string) {
	s.manifest.Pointers = append(s.manifest.Pointers, Pointer{
		Object: Object{Name: name, Class: layout.ClassOf(name), Size: int64(len(folder)), SHA256: digest([]byte(folder))},
		Lead:   folder,
	})
}

// pointCopy makes a pointer a copy of an immutable object of the snapshot.
func (s *snapshot) pointCopy(name, of string, c bucket.Content) {
	s.manifest.Pointers = append(s.manifest.Pointers, Pointer{
		Object: Object{Name: name, Class: layout.ClassOf(name), Size: c.Size, SHA256: c.SHA256},
		Copy:   of,
	})
}

// edition is what the index of a publication says and is signed with besides its contents.
type edition struct {
	signer         signsIndexes
	keyring        *keys.Keyring // what users are given to trust; the signer's keys are among them
	at, validUntil time.Time     // at is the date of the index and of its signatures
}

// debIndex indexes and signs the apt repository of the contents.
//
// The order of the pointers is the order in which they are overwritten. The key comes first, so that a client which
// fetches it to verify what follows has it. InRelease follows at once: from then on apt finds the indexes by hash. The
// plain names are for clients that do not, and have their signature last.
func (s *snapshot) debIndex(ctx context.Context, stream *Stream, c Contents, with edition) error {
	name := stream.Name
	cfg := apt.Config{
		Origin: stream.Origin, Label: stream.Label, Suite: stream.Suite, Codename: stream.Codename, Description: stream.Description,
		Date: with.at, ValidUntil: with.validUntil,
	}
	for _, a := range stream.Architectures {
		cfg.Architectures = append(cfg.Architectures, a.Deb)
	}
	files, err := apt.Index(cfg, c.Debs)
	if err != nil {
		return err
	}
	index := map[string][]byte{}
	for _, f := range files {
		index[f.Path] = f.Data
		if layout.ClassOf(name.Deb(f.Path)) == layout.Hashed {
			s.add(name.Deb(f.Path), text(f.Data))
		}
	}
	release := index[layout.Release]
	parsed, err := apt.ParseRelease(release)
	if err != nil {
		return err
	}
	inRelease, detached, err := with.signer.Release(ctx, parsed)
	if err != nil {
		return err
	}
	key, err := with.keyring.Armor()
	if err != nil {
		return err
	}
	s.point(name.Deb(layout.ReleaseKey), key)
	s.point(name.Deb(layout.InRelease), inRelease)
	for _, plain := range []string{layout.Packages, layout.PackagesGz} {
		data := text(index[plain])
		s.pointCopy(name.Deb(plain), name.Deb(layout.ByHash(data.SHA256)), data)
	}
	s.point(name.Deb(layout.Release), release)
	s.point(name.Deb(layout.ReleaseGpg), detached)
	return nil
}

// rpmIndex indexes and signs the yum repository of the contents, and its immutable copy below rpm-snapshots, to which
// mirrorlist leads.
//
// repomd.xml.asc directly follows repomd.xml: between the two, a client of baseurl= that checks signatures finds a
// mismatch. Clients of mirrorlist= never do.
func (s *snapshot) rpmIndex(ctx context.Context, stream *Stream, c Contents, with edition) error {
	name, serial := stream.Name, s.manifest.Serial
	key, err := with.keyring.Armor()
	if err != nil {
		return err
	}
	var tags yum.Tags
	for _, k := range with.keyring.Settled().Keys() {
		if k.Fingerprint != with.signer.Keyring().Keys()[0].Fingerprint {
			tags.Content = append(tags.Content, yum.KeyHint(k.Fingerprint, k.Created))
		}
	}
	// index makes the indexes with a prefix of their hrefs and returns them with a signature on repomd.xml.
	index := func(prefix string) (files []layout.File, repomd, signature []byte, err error) {
		files, err = yum.Index(yum.Config{
			Revision: strconv.FormatInt(serial, 10), Date: with.at, HrefPrefix: prefix, Tags: tags, Advisories: c.Advisories,
		}, c.Rpms)
		if err != nil {
			return nil, nil, nil, err
		}
		i := slices.IndexFunc(files, func(f layout.File) bool { return f.Path == layout.Repomd })
		repomd = files[i].Data
		parsed, err := yum.ParseRepomd(repomd)
		if err != nil {
			return nil, nil, nil, err
		}
		signature, err = with.signer.Repomd(ctx, parsed, with.at)
		return slices.Delete(files, i, i+1), repomd, signature, err
	}

	files, repomd, signature, err := index(layout.SnapshotToRpm)
	if err != nil {
		return err
	}
	sum := digest(repomd)
	snapshot := func(path string) string { return name.RpmSnapshot(serial, sum, path) }
	for _, f := range append(files, layout.File{Path: layout.Repomd, Data: repomd}, layout.File{Path: layout.RepomdAsc, Data: signature}, layout.File{Path: layout.RepomdKey, Data: key}) {
		s.add(snapshot(f.Path), text(f.Data))
	}

	files, repomd, signature, err = index("")
	if err != nil {
		return err
	}
	for _, f := range files {
		s.add(name.Rpm(f.Path), text(f.Data))
	}
	s.point(name.Rpm(layout.RepomdKey), key)
	s.lead(name.Rpm(layout.Mirrorlist), snapshot(""))
	s.point(name.Rpm(layout.Repomd), repomd)
	s.point(name.Rpm(layout.RepomdAsc), signature)
	return nil
}

// carry takes one half of the live snapshot, deb or rpm, over into the new one as it is, but for its packages.
func (s *snapshot) carry(live *Manifest, half string) {
	in := func(name string) bool { return inHalf(live.Stream, half, name) }
	for _, o := range live.Objects {
		if o.Class == layout.Hashed && in(o.Name) {
			s.list(o.Name, o.Size, o.SHA256)
		}
	}
	for _, p := range live.Pointers {
		if in(p.Name) {
			s.manifest.Pointers = append(s.manifest.Pointers, p)
		}
	}
}
