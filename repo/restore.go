package repo

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
)

// Found are bytes for immutable objects that a bucket has lost, by the objects' names: each has the size and the digest
// that the live manifest gives it, so putting it back changes nothing that was published.
type Found map[string]bucket.Content

// Reproduce looks for the bytes of objects that the live snapshot of a stream names and its bucket has lost. Packages and
// their attestations are taken from files, which were built again. An index is found in its other copies in the bucket, or
// made anew from the packages that another form of it lists. What cannot be had with the digest that it must have is not
// in the result. Nothing is written.
func Reproduce(ctx context.Context, b bucket.Bucket, state *State, lost []string, files *Files) (Found, error) {
	found := Found{}
	if files == nil {
		files = &Files{}
	}
	stream := state.Head.Stream
	indexes := map[string]bool{}
	for _, name := range lost {
		o, ok := state.Manifest.object(name)
		if !ok {
			return nil, fmt.Errorf("%s is no object of the live snapshot", name)
		}
		file := strings.TrimPrefix(name, string(stream)+"/")
		switch {
		case o.Class == layout.Hashed:
			indexes[name] = true
		case files.digestOf(file) == o.SHA256:
			found[name] = files.content(file, o)
		}
	}
	if len(indexes) == 0 {
		return found, nil
	}
	candidates, err := reindex(ctx, b, &state.Manifest)
	if err != nil {
		return nil, err
	}
	bySum := map[string][]byte{}
	for _, data := range candidates {
		bySum[digest(data)] = data
	}
	for name := range indexes {
		o, _ := state.Manifest.object(name)
		if data, ok := bySum[o.SHA256]; ok {
			found[name] = text(data)
		}
	}
	return found, nil
}

// digestOf is the SHA-256 of a package or an attestation; empty if there is none by that name.
func (f *Files) digestOf(name string) string {
	if o, ok := f.attestations[name]; ok {
		return o.SHA256
	}
	for _, p := range f.Debs {
		if "deb/"+p.Filename == name {
			return p.SHA256
		}
	}
	for _, p := range f.Rpms {
		if "rpm/"+p.Href == name {
			return p.SHA256
		}
	}
	return ""
}

// reindex gathers all bytes that an index of the snapshot may have: the pointers, what the objects that are still there
// hold, and what can be derived from those.
func reindex(ctx context.Context, b bucket.Bucket, m *Manifest) ([][]byte, error) {
	var all [][]byte
	for _, p := range m.Pointers {
		if p.Copy == "" && p.Lead == "" {
			all = append(all, []byte(p.Data))
		}
	}
	// read gets an object, and nothing if it is lost or is not what it was.
	read := func(name, sha256 string) ([]byte, error) {
		data, _, err := readAll(ctx, b, name, maxIndex)
		if errors.Is(err, bucket.ErrNotExist) || err == nil && digest(data) != sha256 {
			return nil, nil
		}
		return data, err
	}

	for _, name := range []string{layout.Packages, layout.PackagesGz} {
		p, ok := m.pointer(m.Stream.Deb(name))
		if !ok {
			continue
		}
		for _, place := range []string{p.Copy, p.Name} {
			data, err := read(place, p.SHA256)
			if err != nil {
				return nil, err
			}
			if data == nil {
				continue
			}
			all = append(all, data)
			if name == layout.PackagesGz {
				if data, err = gunzip(data); err != nil {
					return nil, fmt.Errorf("%s: %w", place, err)
				}
				all = append(all, data)
			}
			packages, err := apt.ParsePackages(data)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", place, err)
			}
			files, err := apt.Index(anyRelease(packages), packages)
			if err != nil {
				return nil, err
			}
			for _, f := range files {
				all = append(all, f.Data)
			}
		}
	}

	// The yum repository has its indexes twice, with hrefs that differ: either gives the other.
	index := map[string]map[string][]byte{} // by folder, then by kind
	for _, o := range m.Objects {
		folder, base := path.Split(o.Name)
		kind := strings.TrimSuffix(base[strings.LastIndexByte(base, '-')+1:], ".xml.gz")
		if o.Class != layout.Hashed || !inHalf(m.Stream, "rpm", o.Name) || !slices.Contains([]string{"primary", "filelists", "other", "updateinfo"}, kind) {
			continue
		}
		data, err := read(o.Name, o.SHA256)
		if err != nil {
			return nil, err
		}
		if data == nil {
			continue
		}
		all = append(all, data)
		if index[folder] == nil {
			index[folder] = map[string][]byte{}
		}
		if index[folder][kind], err = gunzip(data); err != nil {
			return nil, fmt.Errorf("%s: %w", o.Name, err)
		}
	}
	for folder, kinds := range index {
		if kinds["primary"] == nil || kinds["filelists"] == nil || kinds["other"] == nil {
			continue
		}
		prefix := ""
		if strings.Contains(folder, "/rpm-snapshots/") {
			prefix = layout.SnapshotToRpm
		}
		packages, err := yum.ParseIndex(prefix, kinds["primary"], kinds["filelists"], kinds["other"])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", folder, err)
		}
		for _, prefix := range []string{"", layout.SnapshotToRpm} {
			files, err := yum.Index(yum.Config{Revision: "1", Date: time.Unix(0, 0), HrefPrefix: prefix}, packages)
			if err != nil {
				return nil, err
			}
			for _, f := range files {
				all = append(all, f.Data)
			}
		}
	}
	return all, nil
}

// anyRelease describes a repository of packages well enough to index them. Its Release is of no use.
func anyRelease(packages []*apt.Package) apt.Config {
	cfg := apt.Config{Date: time.Unix(0, 0)}
	for _, p := range packages {
		if p.Architecture != "all" && !slices.Contains(cfg.Architectures, p.Architecture) {
			cfg.Architectures = append(cfg.Architectures, p.Architecture)
		}
	}
	if len(cfg.Architectures) == 0 {
		cfg.Architectures = []string{"all"}
	}
	return cfg
}

// restore plans to write what was lost and was found again.
func (p *Plan) restore(found Found) error {
	for name, content := range found {
		o, ok := p.base.Manifest.object(name)
		if !ok || content.SHA256 != o.SHA256 || content.Size != o.Size {
			return fmt.Errorf("%s: what was found for it is not what serial %d names", name, p.base.Head.Serial)
		}
		p.Restored = append(p.Restored, strings.TrimPrefix(name, string(p.Stream)+"/"))
		p.lost = append(p.lost, Write{Object: o, content: content})
	}
	slices.Sort(p.Restored)
	slices.SortFunc(p.lost, func(a, b Write) int { return strings.Compare(a.Name, b.Name) })
	p.Writes = append(p.Writes, p.lost...)
	return nil
}
