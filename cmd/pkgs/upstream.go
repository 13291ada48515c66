package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/pkgs/build"
	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/reconcile"
)

// upstream tells a reconciliation what was released, by the markers and folders of the sources, and builds it.
type upstream struct {
	program     *program
	cfg         *config
	signing     *signingKeys
	definitions build.Definitions
	sources     map[string]*release.Source

	// building is held by who builds: a build uses all processors and much memory.
	building sync.Mutex
}

var _ reconcile.Upstream = (*upstream)(nil)

// newUpstream prepares the sources. signing may be nil where nothing is to be built.
func (p *program) newUpstream(ctx context.Context, cfg *config, signing *signingKeys) (*upstream, error) {
	u := &upstream{program: p, cfg: cfg, signing: signing}
	var err error
	if u.definitions, err = cfg.definitions(); err != nil {
		return nil, err
	}
	u.sources, err = p.openSources(ctx, cfg, nil)
	return u, err
}

// source is where the versions of a stream are found.
func (u *upstream) source(s *streamConfig) (*release.Source, error) {
	name := s.Released.Source
	if name == "" {
		for _, p := range slices.Sorted(maps.Keys(s.Packages)) {
			if d, ok := u.definitions[p]; ok && s.Packages[p] == cutVersion {
				name = d.Source
				break
			}
		}
	}
	if source := u.sources[name]; source != nil {
		return source, nil
	}
	return nil, fmt.Errorf("stream %s: there is no source %q to learn of new versions from", s.Name, name)
}

// streams lists the streams to reconcile: those that exist, and of a template those of the minors that were released. What
// keeps a stream from being worked on is told by problem, and the others go on.
func (u *upstream) streams(ctx context.Context, existing []string, problem func(stream string, err error)) []*streamConfig {
	names := slices.Clone(existing)
	for i := range u.cfg.Streams {
		s := &u.cfg.Streams[i]
		if !s.template() {
			names = append(names, s.Name)
			continue
		}
		if s.State == stateFrozen {
			continue // no minor comes to it
		}
		minors, err := u.minors(ctx, s)
		if err != nil {
			problem(s.Name, err)
		}
		for _, minor := range minors {
			names = append(names, strings.Replace(s.Name, minorMark, minor, 1))
		}
	}
	slices.SortFunc(names, compareStreams)
	var all []*streamConfig
	for _, name := range slices.Compact(names) {
		s, err := u.cfg.stream(name)
		if err != nil {
			problem(name, err)
			continue
		}
		all = append(all, s)
	}
	return all
}

// compareStreams orders streams by name, and those of one template by their minors.
func compareStreams(a, b string) int {
	split := func(name string) (string, release.Version) {
		i := strings.LastIndex(name, "/v") + 2
		v, err := release.ParseVersion("v" + name[i:] + ".0")
		if i < 2 || err != nil {
			return name, release.Version{}
		}
		return name[:i], v
	}
	aFolder, aMinor := split(a)
	bFolder, bMinor := split(b)
	if c := strings.Compare(aFolder, bFolder); c != 0 {
		return c
	}
	return aMinor.Compare(bMinor)
}

// minors lists the minor versions of a template that were released, up to the newest.
func (u *upstream) minors(ctx context.Context, s *streamConfig) ([]string, error) {
	source, err := u.source(s)
	if err != nil {
		return nil, err
	}
	var minors []string
	if s.Released.Newest != "" {
		newest, err := source.Marker(ctx, s.Released.Newest)
		if err != nil {
			return nil, err
		}
		if first := s.Versions.First(); newest.Major() > first.Major() {
			return nil, fmt.Errorf("released.newest: %s names %s, and minors are counted up to one of v%d only: give the streams of v%d an entry of their own, and freeze this one",
				s.Released.Newest, newest, first.Major(), newest.Major())
		}
		for v := s.Versions.First(); v.Compare(newest) <= 0 || v.Minor() == newest.Minor(); v = v.NextMinor() {
			if s.Versions.Contains(v) {
				minors = append(minors, v.Minor())
			}
		}
		return minors, nil
	}
	versions, err := source.Versions(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		if s.admits(v) == nil && !slices.Contains(minors, v.Minor()) {
			minors = append(minors, v.Minor())
		}
	}
	return minors, nil
}

// Wanted implements reconcile.Upstream.
func (u *upstream) Wanted(ctx context.Context, stream layout.Stream, published []reconcile.Package) ([]reconcile.Package, error) {
	s, err := u.cfg.stream(string(stream))
	if err != nil {
		return nil, err
	}
	have := map[[2]string]bool{}
	for _, p := range published {
		have[[2]string{p.Name, p.Version}] = true
	}
	versions, problem := u.released(ctx, s, published, func(v release.Version) bool {
		for name, version := range s.Packages {
			if version == cutVersion && !have[[2]string{name, v.Package()}] {
				return false
			}
		}
		return true
	})
	if len(versions)+len(published) == 0 {
		return nil, problem // companions alone make no stream
	}
	var wanted []reconcile.Package
	for _, name := range slices.Sorted(maps.Keys(s.Packages)) {
		of := versions
		if fixed := s.Packages[name]; fixed != cutVersion {
			v, err := release.ParseVersion(fixed)
			if err != nil {
				return nil, err
			}
			of = []release.Version{v}
		}
		for _, v := range of {
			if d, ok := u.definitions[name]; !ok || !d.Versions.Contains(v) {
				continue
			}
			for _, a := range s.Architectures {
				arch, err := release.ParseArchitecture(a)
				if err != nil {
					return nil, err
				}
				wanted = append(wanted,
					reconcile.Package{Name: name, Version: v.Package(), Architecture: arch.Deb, Format: string(build.Deb), Release: v.String()},
					reconcile.Package{Name: name, Version: v.Package(), Architecture: arch.Rpm, Format: string(build.Rpm), Release: v.String()})
			}
		}
	}
	return wanted, problem
}

// released lists the versions of a stream that upstream has released, the oldest first. complete tells of versions that
// need not be looked for, since all of them is published. When not all can be found out, those that were are returned with
// the error.
func (u *upstream) released(ctx context.Context, s *streamConfig, published []reconcile.Package, complete func(release.Version) bool) ([]release.Version, error) {
	source, err := u.source(s)
	if err != nil {
		return nil, err
	}
	if s.Released.Marker == "" {
		all, err := source.Versions(ctx)
		all = slices.DeleteFunc(all, func(v release.Version) bool { return s.admits(v) != nil })
		slices.SortFunc(all, release.Version.Compare)
		return all, err
	}
	newest, err := u.newest(ctx, s, source, published)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nothing of the minor was released in this channel yet
	}
	if err != nil {
		return nil, err
	}
	if s.admits(newest) != nil {
		return nil, nil // such as a marker of prereleases that names the release by now
	}
	// A marker names one version, and may have passed others since it was read last.
	versions := []release.Version{}
	for v := range newest.Before() {
		if complete(v) {
			versions = append(versions, v)
			continue
		}
		exists, err := u.exists(ctx, s, v)
		if err != nil {
			return append(versions, newest), err
		}
		if exists {
			versions = append(versions, v)
		}
	}
	return append(versions, newest), nil
}

// exists tells whether a version was released, by its files for one package and architecture.
func (u *upstream) exists(ctx context.Context, s *streamConfig, v release.Version) (bool, error) {
	for _, name := range slices.Sorted(maps.Keys(s.Packages)) {
		if s.Packages[name] != cutVersion {
			continue
		}
		arch, err := release.ParseArchitecture(s.Architectures[0])
		if err != nil {
			return false, err
		}
		request := build.Request{Package: name, Version: v, DebRevision: s.Revision, RpmRelease: s.RpmRevision, Architecture: arch}
		err = build.Preflight(ctx, build.Config{Definitions: u.definitions, Sources: u.sources}, []build.Request{request})
		var missing *build.PreflightError
		if errors.As(err, &missing) {
			return false, nil
		}
		return err == nil, err
	}
	return false, nil
}

// Make implements reconcile.Upstream.
func (u *upstream) Make(ctx context.Context, stream layout.Stream, packages []reconcile.Package, dir string, headers *repo.SignedHeaders) error {
	s, err := u.cfg.stream(string(stream))
	if err != nil {
		return err
	}
	requests, err := s.requestsFor(packages)
	if err != nil {
		return err
	}
	u.building.Lock()
	defer u.building.Unlock()
	var signing *signingKeys
	switch {
	case headers != nil:
		signing = u.signing.with(headers)
	case u.signing.signer != nil:
		signing = u.signing
	}
	_, err = u.program.build(ctx, u.cfg, signing, requests, dir)
	return err
}

// requestsFor asks for packages, for both formats of one at once where they have one revision, since what they have in them
// is compressed once then.
func (s *streamConfig) requestsFor(packages []reconcile.Package) ([]build.Request, error) {
	var requests []build.Request
	for _, p := range packages {
		r := build.Request{Package: p.Name, DebRevision: cmp.Or(p.Revision, s.Revision), RpmRelease: cmp.Or(p.Revision, s.RpmRevision)}
		var err error
		if r.Version, err = release.ParseVersion(p.Release); err != nil {
			return nil, err
		}
		for _, a := range s.Architectures {
			arch, err := release.ParseArchitecture(a)
			if err != nil {
				return nil, err
			}
			if p.Format == string(build.Deb) && arch.Deb == p.Architecture || p.Format == string(build.Rpm) && arch.Rpm == p.Architecture {
				r.Architecture = arch
			}
		}
		i := slices.IndexFunc(requests, func(q build.Request) bool {
			return q.Package == r.Package && q.Version == r.Version && q.Architecture == r.Architecture && q.DebRevision == r.DebRevision && q.RpmRelease == r.RpmRelease
		})
		if i < 0 {
			i = len(requests)
			requests = append(requests, r)
		}
		requests[i].Formats = append(requests[i].Formats, build.Format(p.Format))
	}
	return requests, nil
}

// Changed implements reconcile.Upstream.
func (u *upstream) Changed(ctx context.Context, statement []byte) ([]string, error) {
	return build.Recheck(ctx, u.definitions, u.sources, statement)
}
