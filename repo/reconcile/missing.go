package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/layout"
)

// missing finds what the stream should have and does not, and what makes room.
func (r *run) missing(ctx context.Context, change *repo.Change) []Package {
	published := map[Package]bool{} // by identity
	revisions := map[[3]string]string{}
	for _, p := range r.published() {
		published[p.identity()] = true
		revisions[[3]string{p.Name, p.Version, p.Format}] = p.Revision
	}
	if r.stream.Frozen {
		return nil
	}
	wanted, err := r.Upstream.Wanted(ctx, r.stream.Name, r.published())
	if err != nil {
		r.add(Upstreams, Drift, "", "%v", err)
	}
	held := map[Package]repo.Withdrawn{}
	for _, w := range r.state.Manifest.Withdrawn {
		held[parseName(w.Name).identity()] = w
	}
	stays := r.kept(published, wanted)
	var missing []Package
	withdrawn := map[string]repo.Withdrawn{}
	for _, p := range wanted {
		if published[p.identity()] || !stays(p) {
			continue
		}
		if w, ok := held[p.identity()]; ok {
			withdrawn[p.Name+" "+p.Version] = w
			continue
		}
		p.Revision = revisions[[3]string{p.Name, p.Version, p.Format}]
		missing = append(missing, p)
	}
	for _, version := range slices.Sorted(maps.Keys(withdrawn)) {
		w := withdrawn[version]
		r.add(Withdrawn, Info, "", "%s is held back since serial %d: %s", version, w.Serial, w.Reason)
	}
	for _, name := range r.state.Packages() {
		if !stays(parseName(name)) {
			change.Retire = append(change.Retire, name)
		}
	}
	if len(change.Retire) > 0 {
		change.Reason = cmp.Or(change.Reason, fmt.Sprintf("keep the newest %d versions", r.stream.Keep))
		r.add(Retired, r.bySigning(), "", "%d packages make room for newer versions", len(change.Retire))
	}
	for _, group := range groups(missing) {
		r.add(Missing, r.bySigning(), group[0].Release, "is not published: %s", r.list(group))
	}
	return missing
}

// published are the packages in the live index.
func (r *run) published() []Package {
	var all []Package
	for _, name := range r.state.Packages() {
		all = append(all, parseName(name))
	}
	return all
}

// kept tells which packages a stream that keeps some versions keeps: the newest of each name, published or not.
func (r *run) kept(published map[Package]bool, wanted []Package) func(Package) bool {
	if r.stream.Keep == 0 {
		return func(Package) bool { return true }
	}
	versions := map[string][]string{}
	note := func(p Package) {
		if !slices.Contains(versions[p.Name], p.Version) {
			versions[p.Name] = append(versions[p.Name], p.Version)
		}
	}
	for p := range published {
		note(p)
	}
	for _, p := range wanted {
		note(p)
	}
	for name := range versions {
		slices.SortFunc(versions[name], func(a, b string) int { return apt.CompareVersions(b, a) })
		versions[name] = versions[name][:min(len(versions[name]), r.stream.Keep)]
	}
	return func(p Package) bool { return slices.Contains(versions[p.Name], p.Version) }
}

// groups sorts packages into those of one release.
func groups(packages []Package) [][]Package {
	by := map[string][]Package{}
	for _, p := range packages {
		by[p.Release] = append(by[p.Release], p)
	}
	var all [][]Package
	for _, release := range slices.Sorted(maps.Keys(by)) {
		all = append(all, by[release])
	}
	return all
}

// list names the packages of a release that are missing: kubeadm, kubelet as deb for arm64. One of which everything is
// missing has its name alone there.
func (r *run) list(group []Package) string {
	var names []string
	archs := map[string]map[string][]string{} // by name and format
	for _, p := range group {
		if archs[p.Name] == nil {
			names = append(names, p.Name)
			archs[p.Name] = map[string][]string{}
		}
		archs[p.Name][p.Format] = append(archs[p.Name][p.Format], p.Architecture)
	}
	for i, name := range names {
		of := archs[name]
		if len(of["deb"])+len(of["rpm"]) == 2*len(r.stream.Architectures) {
			continue
		}
		var parts []string
		for _, format := range slices.Sorted(maps.Keys(of)) {
			parts = append(parts, format+" for "+strings.Join(of[format], " and "))
		}
		names[i] += " as " + strings.Join(parts, ", as ")
	}
	return strings.Join(names, ", ")
}

// make makes the missing packages, each release by itself: one that cannot be made does not hold up the others, and is
// not published in part.
func (r *run) make(ctx context.Context, missing []Package, dir string) {
	for i, group := range groups(missing) {
		if err := r.makeOne(ctx, group, filepath.Join(dir, fmt.Sprint(i)), nil); err == nil {
			continue
		}
		for i := range r.report.Findings {
			if f := &r.report.Findings[i]; f.Kind == Missing && f.Object == group[0].Release {
				f.Severity = Drift
			}
		}
	}
}

// makeOne makes packages of one release; headers are as in [Upstream]. Those of a release that cannot be made whole are not
// left behind.
func (r *run) makeOne(ctx context.Context, group []Package, dir string, headers *repo.SignedHeaders) error {
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		if k := r.Publisher.KeyringPackage; k != nil && group[0].Name == k.Name {
			err = k.Build(ctx, dir, headers)
		} else {
			err = r.Upstream.Make(ctx, r.stream.Name, group, dir, headers)
		}
		if err == nil {
			return nil
		}
	}
	r.add(Upstreams, Drift, group[0].Release, "cannot be made into packages: %v", err)
	return errors.Join(err, os.RemoveAll(dir))
}

// recover finds lost objects again, by making their packages once more where they are packages.
func (r *run) recover(ctx context.Context, lost []string, dir string) (repo.Found, error) {
	if r.stream.alias() {
		var streams []layout.Stream
		for _, s := range slices.Backward(r.stream.Follows) {
			streams = append(streams, s.Name)
		}
		found, err := repo.FindIn(ctx, r.Publisher.Bucket, r.state, lost, streams)
		if err != nil {
			return nil, err
		}
		indexes, err := repo.Reproduce(ctx, r.Publisher.Bucket, r.state, lost, nil)
		maps.Copy(found, indexes)
		return found, err
	}
	files := &repo.Files{}
	var again []Package
	for _, name := range lost {
		of, ok := r.packageOf(name)
		if !ok {
			continue
		}
		again = append(again, parseName(of))
	}
	if len(again) > 0 {
		wanted, err := r.Upstream.Wanted(ctx, r.stream.Name, r.published())
		if err != nil {
			r.add(Upstreams, Drift, "", "%v", err)
		}
		var make []Package
		for _, w := range wanted {
			if i := slices.IndexFunc(again, func(p Package) bool { return p.identity() == w.identity() }); i >= 0 {
				w.Revision = again[i].Revision
				make = append(make, w)
			}
		}
		var headers *repo.SignedHeaders
		if r.box != nil {
			if headers, err = r.box.Headers(); err != nil {
				return nil, err
			}
		}
		for i, group := range groups(make) {
			r.makeOne(ctx, group, filepath.Join(dir, fmt.Sprint(i)), headers) // what is not made again is not found again
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		if files, err = repo.ReadFiles(ctx, dir); err != nil {
			return nil, err
		}
	}
	found, err := repo.Reproduce(ctx, r.Publisher.Bucket, r.state, lost, files)
	k := r.Publisher.KeyringPackage
	if err != nil || k == nil || r.Publisher.Signer == nil || !slices.ContainsFunc(again, func(p Package) bool { return p.Name == k.Name }) {
		return found, err
	}
	made, err := k.Make(ctx)
	if err != nil {
		return nil, err
	}
	keyrings, err := repo.Reproduce(ctx, r.Publisher.Bucket, r.state, lost, made)
	maps.Copy(found, keyrings)
	return found, err
}

// packageOf is the name, below the stream, of the package that an object is or that it attests.
func (r *run) packageOf(object string) (string, bool) {
	name := strings.TrimPrefix(object, string(r.stream.Name)+"/")
	name = cmp.Or(layout.Attested(name), name)
	return name, layout.ClassOf(name) == layout.Package
}

// parseName is the package that a file is, whatever folder it lies in. The release is not in its name.
func parseName(name string) Package {
	p := layout.ParsePackageName(name)
	return Package{Name: p.Name, Version: p.Version, Architecture: p.Architecture, Format: p.Format, Revision: p.Revision}
}
