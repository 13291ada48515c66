package dir

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/packed"
)

// debFormat is how debs are read and indexed. Their records have two parts: the stanza, and with Contents a line that
// names the package as a Contents index does, followed by a line for each path.
func (r *run) debFormat() format {
	f := format{name: "deb", compare: compareDebs, write: r.writeDebs, variant: "stanza, contents judged"}
	f.same = func(a, b *entry) bool {
		return a.name == b.name && a.arch == b.arch && apt.CompareVersions(a.version, b.version) == 0
	}
	f.reader = func() reader {
		m := apt.Reader{Grammar: apt.Foreign, TrustData: r.TrustContents || r.Contents, Large: r.oneLarge}
		return func(in io.ReaderAt, from file) (entry, [][]byte, error) { return r.readDeb(&m, in, from) }
	}
	switch {
	case r.Contents: // which judges as well
		f.variant = "stanza and contents"
	case r.TrustContents:
		f.variant = "stanza"
	}
	return f
}

func (r *run) readDeb(m *apt.Reader, in io.ReaderAt, from file) (entry, [][]byte, error) {
	p, err := m.ReadPackage(in, from.size, from.path)
	if err != nil {
		return entry{}, nil, err
	}
	if _, err := r.component(p.Filename); err != nil {
		return entry{}, nil, err
	}
	parts := [][]byte{p.Stanza}
	if r.Contents {
		list, err := m.ReadContents(in, from.size, from.path)
		if err != nil {
			return entry{}, nil, err
		}
		parts = append(parts, contentsPart(p, list))
	}
	return entry{sum: unhex(p.SHA256), name: p.Name, version: p.Version, arch: p.Architecture}, parts, nil
}

func compareDebs(a, b *entry) int {
	if a.name != b.name {
		return cmp.Compare(a.name, b.name) // versions take longer to compare
	}
	return cmp.Or(apt.CompareVersions(a.version, b.version), cmp.Compare(a.arch, b.arch), cmp.Compare(a.path, b.path))
}

// component is the component that a file belongs to, empty in a flat repository.
func (r *run) component(file string) (string, error) {
	all := r.Release.Components
	switch {
	case !r.Dists:
		return "", nil
	case len(all) == 1:
		return all[0], nil
	}
	folder, _, _ := strings.Cut(strings.TrimPrefix(file, "pool/"), "/")
	if !slices.Contains(all, folder) {
		return "", fmt.Errorf("%s: is in none of the components %s: move it to pool/%s/", file, strings.Join(all, ", "), all[0])
	}
	return folder, nil
}

// view is the packages of one component and architecture, or all packages of a flat repository.
type view struct {
	component, arch string
	packages        *index
}

// has tells whether a package is in the view.
func (v *view) has(component, arch string) bool {
	return v.component == component && (v.arch == "" || v.arch == arch || arch == "all")
}

// path is the place of the view's index called name below the folder of Release.
func (v *view) path(name string) string {
	if v.component == "" {
		return name
	}
	return path.Join(v.component, "binary-"+v.arch, name)
}

// architectures are those of Release: what there is, and what was asked for.
func (r *run) architectures(b *book) []string {
	archs := slices.Clone(r.Release.Architectures)
	for i := range b.entries {
		if a := b.entries[i].arch; a != "all" && !slices.Contains(archs, a) {
			archs = append(archs, a)
		}
	}
	if len(archs) == 0 {
		archs = []string{"all"}
	}
	slices.Sort(archs)
	return archs
}

// writeDebs writes the apt repository.
func (r *run) writeDebs(ctx context.Context, b *book) (err error) {
	r.result.Debs = len(b.entries)
	release := r.Release
	release.Architectures = r.architectures(b)
	top := ""
	if r.Dists {
		top = "dists/" + suite(release)
	}
	views, err := r.newViews(ctx, b, release)
	defer func() {
		for _, v := range views {
			if v.packages != nil && err != nil {
				v.packages.finish()
			}
		}
	}()
	if err != nil {
		return err
	}
	state, err := r.newState(ctx, b)
	if err != nil {
		return err
	}
	if err := r.fill(b, views, state); err != nil {
		if state != nil {
			state.records.Close()
		}
		return err
	}
	out := aptFiles{run: r, top: top}
	for _, v := range views {
		x := v.packages
		result, err := x.finish()
		v.packages = nil
		if err != nil {
			return err
		}
		name := v.path(layout.Packages)
		state.remember(x, result, func(c packed.Compression, _ packed.File) string { return path.Join(top, name+c.Suffix()) })
		out.add(x, name, result)
	}
	if r.Contents {
		for _, v := range views {
			if err := out.addContents(ctx, b, v); err != nil {
				return err
			}
		}
	}
	if err := out.release(ctx, release); err != nil {
		return err
	}
	return state.finish(r, b)
}

func (r *run) newViews(ctx context.Context, b *book, release apt.Config) (views []*view, err error) {
	all := append([]packed.Compression{packed.None}, r.Compress...)
	if !r.Dists {
		views = []*view{{}}
	}
	for _, c := range release.Components {
		for _, a := range release.Architectures {
			views = append(views, &view{component: c, arch: a})
		}
	}
	for _, v := range views {
		if v.packages, err = r.newIndex(ctx, b, v.path(layout.Packages), all...); err != nil {
			return views, err
		}
	}
	return views, nil
}

// fill writes every package to the views that have it.
func (r *run) fill(b *book, views []*view, state *stateWriter) error {
	for i := range b.entries {
		e := b.entries[i]
		parts, err := b.record(e)
		if err != nil {
			return err
		}
		component, err := r.component(e.path)
		if err != nil {
			return err
		}
		state.add(e, parts)
		for _, v := range views {
			if !v.has(component, e.arch) {
				continue
			}
			v.packages.Add(e.sum, e.path, parts[0], []byte("\n"))
		}
	}
	return nil
}

// aptFiles are the files of an apt repository below the folder of its Release.
type aptFiles struct {
	*run
	top     string
	plain   []move // by their usual names
	indexes []apt.IndexFile
	folders []string // that have a folder by-hash
}

// add takes in a finished index that is to be called name.
func (o *aptFiles) add(x *index, name string, result packed.Result) {
	folder := path.Dir(name)
	if !slices.Contains(o.folders, folder) {
		o.folders = append(o.folders, folder)
	}
	for i, out := range x.outputs {
		f := result.Files[i]
		named := name + out.Compression.Suffix()
		o.draft.move(x.file(i), path.Join(o.top, folder, layout.ByHash(f.SHA256)), true)
		o.plain = append(o.plain, move{path.Base(x.file(i).Name()), path.Join(o.top, named), false})
		o.indexes = append(o.indexes, apt.IndexFile{Path: named, Size: f.Size, SHA256: f.SHA256})
	}
}

// release writes and signs Release, and puts the files in the order in which clients are to see them.
func (o *aptFiles) release(ctx context.Context, cfg apt.Config) error {
	d := o.draft
	name := func(s string) string { return path.Join(o.top, s) }
	before, err := d.read(name(layout.Release))
	if err != nil {
		return err
	}
	if err := o.sweep(string(before)); err != nil {
		return err
	}
	text, err := cfg.WriteRelease(o.indexes)
	if err != nil {
		return err
	}
	if o.Signer == nil {
		d.moves = append(d.moves, o.plain...)
		d.gone = append(d.gone, name(layout.InRelease), name(layout.ReleaseGpg)) // they would vouch for what was before
		return d.text(name(layout.Release), text)
	}
	inRelease, detached, err := o.Signer.Release(ctx, &apt.Release{Config: cfg, Indexes: o.indexes})
	if err != nil {
		return err
	}
	if o.Keyring != nil {
		key, err := o.Keyring.Armor()
		if err != nil {
			return err
		}
		if err := d.text(name(layout.ReleaseKey), key); err != nil {
			return err
		}
	}
	if err := d.text(name(layout.InRelease), inRelease); err != nil {
		return err
	}
	d.moves = append(d.moves, o.plain...)
	if err := d.text(name(layout.Release), text); err != nil {
		return err
	}
	return d.text(name(layout.ReleaseGpg), detached)
}
