package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/build"
	"sigs.k8s.io/pkgs/build/release"
)

// checkCompanions refuses versions that are none, and ranges of which two could hold one minor.
func (c *config) checkCompanions() error {
	for name, versions := range c.Companions {
		var ranges []build.Range
		for _, text := range slices.Sorted(maps.Keys(versions)) {
			r, err := build.ParseRange(text)
			if err != nil {
				return fmt.Errorf("companions.%s: %w", name, err)
			}
			for _, other := range ranges {
				if r.Overlaps(other) {
					return fmt.Errorf("companions.%s: the ranges %q and %q overlap", name, other, r)
				}
			}
			ranges = append(ranges, r)
			if _, err := release.ParseVersion(strings.ReplaceAll(versions[text], minorMark, "0.0")); err != nil {
				return fmt.Errorf("companions.%s: %w", name, err)
			}
		}
	}
	return nil
}

// companion is the version of a package that goes with a minor.
func (c *config) companion(name, minor string) (string, error) {
	first, err := release.ParseVersion("v" + minor + ".0")
	if err != nil {
		return "", err
	}
	for text, version := range c.Companions[name] {
		if r, err := build.ParseRange(text); err == nil && r.Contains(first) {
			return strings.ReplaceAll(version, minorMark, minor), nil
		}
	}
	return "", fmt.Errorf("companions.%s has no version for %s: without it the packages of that minor could not be installed", name, minor)
}

// resolve puts the versions of the companions into a stream's list of packages.
func (c *config) resolve(s *streamConfig) error {
	packages := maps.Clone(s.Packages)
	for name, version := range packages {
		if version != companionVersion {
			continue
		}
		var err error
		if packages[name], err = c.companion(name, s.minor()); err != nil {
			return err
		}
	}
	s.Packages = packages
	return nil
}
