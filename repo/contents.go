package repo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
)

// Files are package files on disk, read back and ready to be published. The zero value holds none.
type Files struct {
	Contents
	// paths says where each file lies, by its object name below the stream: deb/amd64/….
	paths map[string]string
	// attestations are the attestations of the packages, by the same names.
	attestations map[string]Object
}

// ReadFiles reads every .deb and .rpm below a directory as an index would describe it. Where a file lies there does not
// matter: what it is called when published follows from its own control file or header, and a file that has another base
// name is refused. The attestations beside a package come with it, unread. Other files are ignored. An error names the
// file.
func ReadFiles(ctx context.Context, dir string) (*Files, error) {
	var names []string
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		ext := filepath.Ext(file)
		if ext != ".deb" && ext != ".rpm" || entry.IsDir() {
			return nil
		}
		if !entry.Type().IsRegular() {
			return fmt.Errorf("%s: is not a regular file", file)
		}
		names = append(names, file)
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Each file by itself, on all processors; what they make together, and which error counts, does not depend on it.
	parts, errs := make([]*Files, len(names)), make([]error, len(names))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, file := range names {
		group.Go(func() error {
			if errs[i] = ctx.Err(); errs[i] == nil {
				parts[i] = &Files{paths: map[string]string{}, attestations: map[string]Object{}}
				errs[i] = parts[i].read(file, filepath.Ext(file))
			}
			return nil
		})
	}
	group.Wait() // no function returns an error
	files := &Files{paths: map[string]string{}, attestations: map[string]Object{}}
	for i, part := range parts {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if err := files.join(part); err != nil {
			return nil, err
		}
	}
	files.sort()
	return files, nil
}

// join takes over what was read of another file.
func (f *Files) join(other *Files) error {
	for name, file := range other.paths {
		if twin, ok := f.paths[name]; ok {
			return fmt.Errorf("%s: is the same package as %s", file, twin)
		}
		f.paths[name] = file
	}
	maps.Copy(f.attestations, other.attestations)
	f.Debs, f.Rpms = append(f.Debs, other.Debs...), append(f.Rpms, other.Rpms...)
	return nil
}

func (f *Files) read(file, ext string) error {
	r, err := os.Open(file)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return err
	}
	base := filepath.Base(file)
	var name, want string
	if ext == ".deb" {
		arch := base[strings.LastIndexByte(base, '_')+1:]
		p, err := apt.ReadPackage(r, info.Size(), strings.TrimSuffix(arch, ext)+"/"+base)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		want = debFile(p)
		name = p.Filename
		f.Debs = append(f.Debs, p)
	} else {
		arch := path.Ext(strings.TrimSuffix(base, ext))
		p, err := yum.ReadPackage(r, info.Size(), strings.TrimPrefix(arch, ".")+"/"+base)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		want = rpmFile(p)
		name = p.Href
		f.Rpms = append(f.Rpms, p)
	}
	if name != want {
		return fmt.Errorf("%s: holds the package %s: rename the file to that", file, path.Base(want))
	}
	name = ext[1:] + "/" + name
	f.paths[name] = file
	return f.readAttestations(name, file)
}

// debFile is what the file of a package is called, relative to the apt repository, by what its control file says.
func debFile(p *apt.Package) string {
	return fmt.Sprintf("%s/%s_%s_%s.deb", p.Architecture, p.Name, p.Version, p.Architecture)
}

// rpmFile is what the file of a package is called, relative to the yum repository, by what its header says.
func rpmFile(p *yum.Package) string {
	return fmt.Sprintf("%s/%s-%s-%s.%s.rpm", p.Arch, p.Name, p.Version, p.Release, p.Arch)
}

// readAttestations finds the attestations beside the file of a package.
func (f *Files) readAttestations(name, file string) error {
	for _, suffix := range layout.Attestations() {
		r, err := os.Open(file + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		h := sha256.New()
		size, err := io.Copy(h, r)
		r.Close()
		if err != nil {
			return err
		}
		f.attestations[name+suffix] = Object{Name: name + suffix, Class: layout.Attestation, Size: size, SHA256: hex.EncodeToString(h.Sum(nil))}
		f.paths[name+suffix] = file + suffix
	}
	return nil
}

// sort brings contents into the order in which they are indexed: by name, version and architecture.
func (c *Contents) sort() {
	slices.SortFunc(c.Debs, func(a, b *apt.Package) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), apt.CompareVersions(a.Version, b.Version),
			cmp.Compare(a.Version, b.Version), cmp.Compare(a.Architecture, b.Architecture))
	})
	slices.SortFunc(c.Rpms, func(a, b *yum.Package) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), yum.CompareVersions(a.EVR(), b.EVR()),
			cmp.Compare(a.EVR(), b.EVR()), cmp.Compare(a.Arch, b.Arch))
	})
}

// digests are the SHA-256 of all packages by their names below the stream.
func (c Contents) digests() map[string]string {
	all := map[string]string{}
	for _, p := range c.Debs {
		all["deb/"+p.Filename] = p.SHA256
	}
	for _, p := range c.Rpms {
		all["rpm/"+p.Href] = p.SHA256
	}
	return all
}

// only lists the names that are in one set and not in another, in order.
func only[V any](in, notIn map[string]V) []string {
	names := []string{}
	for name := range in {
		if _, ok := notIn[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// merge adds the packages of files that are not in the contents yet. The same package with other bytes is refused: what
// is published never changes.
func (c Contents) merge(files *Files) (Contents, error) {
	published := c.digests()
	offered := files.digests()
	for _, name := range slices.Sorted(maps.Keys(offered)) {
		if old, ok := published[name]; ok && old != offered[name] {
			return c, &ChangedError{Name: name, Published: old, Offered: offered[name]}
		}
	}
	return c.plus(files.Contents), nil
}

// plus has the packages of others as well, but for those whose names are there already.
func (c Contents) plus(others Contents) Contents {
	have := c.digests()
	more := others.where(func(name string) bool { _, ok := have[name]; return !ok })
	c.Debs, c.Rpms = slices.Concat(c.Debs, more.Debs), slices.Concat(c.Rpms, more.Rpms)
	c.sort()
	return c
}

// where has those packages alone of which keep says so by their names, relative to the stream.
func (c Contents) where(keep func(name string) bool) Contents {
	c.Debs = slices.DeleteFunc(slices.Clone(c.Debs), func(p *apt.Package) bool { return !keep("deb/" + p.Filename) })
	c.Rpms = slices.DeleteFunc(slices.Clone(c.Rpms), func(p *yum.Package) bool { return !keep("rpm/" + p.Href) })
	return c
}

// without leaves packages out of the contents. One that is not there is an error.
func (c Contents) without(names []string) (Contents, error) {
	published := c.digests()
	gone := map[string]bool{}
	for _, name := range names {
		if _, ok := published[name]; !ok {
			return c, fmt.Errorf("there is no package %s in the index", name)
		}
		gone[name] = true
	}
	return c.where(func(name string) bool { return !gone[name] }), nil
}

// substitute takes the packages of others in the place of those that have the same names: all of them, or those alone whose
// bytes are the same and of which others only say something else. replaced are their names, relative to the stream.
func (c Contents) substitute(others Contents, sameBytes bool) (_ Contents, replaced []string) {
	debs, rpms := map[string]*apt.Package{}, map[string]*yum.Package{}
	for _, p := range others.Debs {
		debs[p.Filename] = p
	}
	for _, p := range others.Rpms {
		rpms[p.Href] = p
	}
	c.Debs, c.Rpms = slices.Clone(c.Debs), slices.Clone(c.Rpms)
	for i, p := range c.Debs {
		if o := debs[p.Filename]; o != nil && (!sameBytes || o.SHA256 == p.SHA256) {
			c.Debs[i] = o
			replaced = append(replaced, "deb/"+p.Filename)
		}
	}
	for i, p := range c.Rpms {
		if o := rpms[p.Href]; o != nil && (!sameBytes || o.SHA256 == p.SHA256) {
			c.Rpms[i] = o
			replaced = append(replaced, "rpm/"+p.Href)
		}
	}
	slices.Sort(replaced)
	return c, replaced
}

// ChangedError refuses a package whose bytes differ from those that are published under the same name.
type ChangedError struct {
	Name               string // relative to the stream
	Published, Offered string // SHA-256, lower-case hex
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s is published with SHA-256 %s and cannot be replaced by a file with %s: raise the revision in the configuration instead",
		e.Name, e.Published, e.Offered)
}

// Empty tells that there are no packages.
func (f *Files) Empty() bool { return len(f.Debs)+len(f.Rpms) == 0 }
