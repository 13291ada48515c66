package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sigs.k8s.io/pkgs/repo"
)

// ask asks for the signatures that a change and the missing packages need. Nothing is published by it.
func (r *run) ask(ctx context.Context, change repo.Change, missing []Package, work string) error {
	needed := func(packages int) bool {
		return packages > 0 || len(change.Retire) > 0 || change.Resign || change.Follow != nil
	}
	advises := r.stream.Advisories != nil && r.state.Exists() // only a plan can tell whether they are others
	if r.box == nil {
		if lacks, _ := r.Publisher.LacksKeyring(&r.stream.Stream, r.state); lacks || needed(len(missing)) {
			r.add(Unsigned, Drift, "", "needs signatures, and there is no signing key here: --unsigned DIR asks for them")
			return nil
		}
		if !advises {
			return nil
		}
		_, err := r.Publisher.Plan(ctx, r.stream.Stream, repo.Change{Base: r.state}) // an error if they are others
		return err
	}
	pending, err := r.box.Index(r.state)
	if err != nil {
		return err
	}
	headers, err := r.box.Headers()
	if err != nil {
		return err
	}
	keyring, err := r.keyringPackages(len(missing) > 0)
	if err != nil {
		return err
	}
	ready, unsigned := bySigned(append(missing, keyring...), headers)
	if err := r.askForHeaders(ctx, unsigned, filepath.Join(work, "unsigned")); err != nil {
		return err
	}
	// What is signed is published before anything else is asked for. And when upstream cannot tell what it has released,
	// what was asked for before is more than what seems to be needed now.
	unknown := slices.ContainsFunc(r.report.Findings, func(f Finding) bool { return f.Kind == Upstreams })
	if pending != nil && (pending.Signed || unknown) {
		r.waits(pending)
		return nil
	}
	if change.Add, err = r.signedPackages(ctx, ready, headers); err != nil {
		return err
	}
	if change.Add.Empty() {
		change.Add = nil
	}
	if change.Add == nil && !needed(0) && !advises {
		if pending != nil {
			r.waits(pending)
		}
		return nil
	}
	plan, w, err := r.box.RequestIndex(ctx, r.Publisher, r.stream.Stream, change)
	if err != nil {
		return err
	}
	r.advisories(plan, len(missing) > 0)
	if w != nil {
		r.waits(w)
	}
	return nil
}

// keyringPackages are the two formats of the keyring package, if the stream needs it. A stream that does not exist has it
// with other packages only.
func (r *run) keyringPackages(others bool) ([]Package, error) {
	needs, err := r.Publisher.NeedsKeyring(&r.stream.Stream, r.state)
	if err != nil || !needs || r.stream.alias() || !r.state.Exists() && !others {
		return nil, err
	}
	k := r.Publisher.KeyringPackage
	release := k.Name + " " + k.Version
	return []Package{
		{Name: k.Name, Version: k.Version, Architecture: "all", Format: "deb", Release: release},
		{Name: k.Name, Version: k.Version, Architecture: "noarch", Format: "rpm", Release: release},
	}, nil
}

// waits reports a request.
func (r *run) waits(w *repo.Waiting) {
	r.report.Waiting = append(r.report.Waiting, w)
	what := fmt.Sprintf("the index of serial %d", w.Serial)
	if w.Packages > 0 {
		what = repo.Count(w.Packages, "rpm")
	}
	switch {
	case w.Signed:
		r.add(Unsigned, Drift, w.Request, "%s is signed: pkgs publish publishes it", what)
	case w.New:
		r.add(Unsigned, Drift, w.Request, "asks for the signatures on %s: pkgs sign makes them on the machine with the key", what)
	default:
		r.add(Unsigned, Drift, w.Request, "has asked for the signatures on %s since %s: pkgs sign makes them on the machine with the key", what, w.Since.UTC().Format(time.DateTime+" UTC"))
	}
}

// bySigned parts packages, release by release, into those whose rpms were all signed and the others.
func bySigned(missing []Package, headers *repo.SignedHeaders) (ready, unsigned [][]Package) {
	signed := map[Package]bool{}
	for _, file := range headers.Files() {
		signed[parseName(file).identity()] = true
	}
	for _, group := range groups(missing) {
		if slices.ContainsFunc(group, func(p Package) bool { return p.Format == "rpm" && !signed[p.identity()] }) {
			unsigned = append(unsigned, group)
		} else {
			ready = append(ready, group)
		}
	}
	return ready, unsigned
}

// askForHeaders asks for signatures on the rpms of some releases. They are built for that, unless they were asked for before.
func (r *run) askForHeaders(ctx context.Context, unsigned [][]Package, dir string) error {
	if len(unsigned) == 0 {
		return nil
	}
	if asked := r.box.Asked(); asked != nil {
		known := map[Package]bool{}
		for _, p := range asked.Packages {
			known[parseName(p.File).identity()] = true
		}
		new := func(p Package) bool { return p.Format == "rpm" && !known[p.identity()] }
		if !slices.ContainsFunc(slices.Concat(unsigned...), new) {
			r.waits(r.box.Waiting(asked))
			return nil
		}
	}
	for i, group := range unsigned {
		r.makeOne(ctx, group, filepath.Join(dir, fmt.Sprint(i)), nil) // what cannot be made is in the report
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	w, err := r.box.RequestPackages(dir)
	if err == nil && w != nil {
		r.waits(w)
	}
	return err
}

// signedPackages makes the packages of some releases with the signatures that came back, in the outbox. They are made once.
func (r *run) signedPackages(ctx context.Context, ready [][]Package, headers *repo.SignedHeaders) (*repo.Files, error) {
	want := map[Package]bool{}
	for _, p := range slices.Concat(ready...) {
		want[p.identity()] = true
	}
	if len(want) == 0 {
		return &repo.Files{}, nil
	}
	if files, err := repo.ReadFiles(ctx, r.box.Packages()); err == nil && maps.Equal(identities(files), want) {
		return files, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.Log.Info("packages that wait for their index cannot be read, and are made again", "error", err)
	}
	if err := os.MkdirAll(r.box.Dir, 0o755); err != nil {
		return nil, err
	}
	fresh, err := os.MkdirTemp(r.box.Dir, ".packages-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(fresh)
	for i, group := range ready {
		err := r.makeOne(ctx, group, filepath.Join(fresh, fmt.Sprint(i)), headers)
		var unsigned *repo.UnsignedError
		if errors.As(err, &unsigned) { // it is made in another way by now, and asked for again
			if err := r.box.Forget(headers, slices.DeleteFunc(headers.Files(), func(file string) bool {
				return !slices.ContainsFunc(group, func(p Package) bool { return p.identity() == parseName(file).identity() })
			})); err != nil {
				return nil, err
			}
		}
	}
	if err := errors.Join(os.Chmod(fresh, 0o755), os.RemoveAll(r.box.Packages()), os.Rename(fresh, r.box.Packages())); err != nil {
		return nil, err
	}
	return repo.ReadFiles(ctx, r.box.Packages())
}

// identities are the packages that files are.
func identities(files *repo.Files) map[Package]bool {
	all := map[Package]bool{}
	for _, p := range files.Debs {
		all[parseName(p.Filename).identity()] = true
	}
	for _, p := range files.Rpms {
		all[parseName(p.Href).identity()] = true
	}
	return all
}
