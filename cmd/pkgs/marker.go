package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/repo/reconcile"
)

// towardsConfig tells which release a build is on the way to, where upstream's marker names a commit alone. One of Version,
// Marker and File says it.
type towardsConfig struct {
	// Version is that release, such as v1.36.0.
	Version string `yaml:"version"`
	// Marker is a file of the source with the newest release of a branch: its builds are on the way to the next patch.
	Marker string `yaml:"marker"`
	// File is one of the source called Source, the stream's own if that is empty, with {commit} in its path. Pattern is a
	// regular expression of which the first group is the version there, with or without a v.
	Source  string `yaml:"source"`
	File    string `yaml:"file"`
	Pattern string `yaml:"pattern"`
}

// commitMark stands for a commit in the path of a file.
const commitMark = "{commit}"

// maxVersionFile is the size of the largest source file in which a version is looked for, in bytes.
const maxVersionFile = 1 << 20

func (t *towardsConfig) check() error {
	if t == nil {
		return nil
	}
	given := 0
	for _, field := range []string{t.Version, t.Marker, t.File} {
		if field != "" {
			given++
		}
	}
	if given != 1 || t.File == "" && (t.Source != "" || t.Pattern != "") {
		return errors.New("expected one of version, marker and file, the last with source and pattern")
	}
	if t.Version != "" {
		if v, err := release.ParseVersion(t.Version); err != nil {
			return err
		} else if v.Channel() != release.Stable {
			return fmt.Errorf("version: %s is no release that a build could be on the way to", v)
		}
	}
	if t.File != "" {
		if pattern, err := regexp.Compile(t.Pattern); err != nil {
			return fmt.Errorf("pattern: %w", err)
		} else if pattern.NumSubexp() < 1 {
			return fmt.Errorf("pattern: %q has no group for the version, as in Version = \"([0-9.]+)\"", t.Pattern)
		}
		if !strings.Contains(t.File, commitMark) {
			return fmt.Errorf("file: %q is the same for all commits: put %s in it", t.File, commitMark)
		}
	}
	return nil
}

// newest is the version that a stream's marker names. If it names a commit alone, that is a nightly build: the one that is
// published, or else one of the hour at which the marker was written, on the way to the release that the configuration
// tells of.
func (u *upstream) newest(ctx context.Context, s *streamConfig, source *release.Source, published []reconcile.Package) (release.Version, error) {
	m, err := source.Marked(ctx, s.Released.Marker)
	if err != nil || !m.Version.IsZero() {
		return m.Version, err
	}
	for _, p := range published {
		if v, err := release.ParsePackage(p.Version); err == nil && v.Commit() == m.Commit {
			return v, nil
		}
	}
	if s.Released.Towards == nil {
		return release.Version{}, fmt.Errorf("marker %s names the commit %s and no version: say with released.towards which release its builds are on the way to", s.Released.Marker, m.Commit)
	}
	to, err := u.towards(ctx, s, source, m.Commit)
	if err != nil {
		// Not wrapped: that there is no marker means that nothing was released, and this does not.
		return release.Version{}, fmt.Errorf("released.towards: %v", err)
	}
	at := m.Modified
	if at.IsZero() {
		at = u.program.now()
	}
	return to.Towards(m.Commit, at)
}

// towards is the release that a commit is on the way to.
func (u *upstream) towards(ctx context.Context, s *streamConfig, source *release.Source, commit string) (release.Version, error) {
	t := s.Released.Towards
	switch {
	case t.Version != "":
		return release.ParseVersion(t.Version)
	case t.Marker != "":
		last, err := source.Marker(ctx, t.Marker)
		return last.NextPatch(), err
	}
	if t.Source != "" {
		if source = u.sources[t.Source]; source == nil {
			return release.Version{}, fmt.Errorf("there is no source %q", t.Source)
		}
	}
	name := strings.ReplaceAll(t.File, commitMark, commit)
	text, err := source.Text(ctx, name, maxVersionFile)
	if err != nil {
		return release.Version{}, err
	}
	found := regexp.MustCompile(t.Pattern).FindSubmatch(text) // checked before
	if found == nil {
		return release.Version{}, fmt.Errorf("%s has nothing like %s", name, t.Pattern)
	}
	return release.ParseVersion("v" + strings.TrimPrefix(string(found[1]), "v"))
}
