package release

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Layout says where things lie below the URL of a source. Each field is a path of folders; empty ones stand for what their
// comments say. In the place of a version stands {version}, or {number} if its v is left out.
type Layout struct {
	// Releases is the folder of a version: {version}, unless it is given.
	Releases string
	// Nightlies is the folder of a nightly build: that of all others, unless it is given.
	Nightlies string
	// Shared is the folder of the files that versions do not have folders for: the source's own, unless it is given.
	Shared string
}

const (
	versionMark = "{version}"
	numberMark  = "{number}"
)

// expand puts a version into a path.
func expand(path string, v Version) string {
	return strings.NewReplacer(versionMark, v.String(), numberMark, strings.TrimPrefix(v.String(), "v")).Replace(path)
}

// complete fills in what is not given and checks the rest.
func (l Layout) complete() (Layout, error) {
	if l.Releases == "" {
		l.Releases = versionMark
	}
	if l.Nightlies == "" {
		l.Nightlies = l.Releases
	}
	for _, folder := range []string{l.Releases, l.Nightlies} {
		if !strings.Contains(folder, versionMark) && !strings.Contains(folder, numberMark) {
			return l, fmt.Errorf("%q is the same folder for all versions: expected a path with %s", folder, versionMark)
		}
	}
	for _, folder := range []string{l.Releases, l.Nightlies, l.Shared} {
		plain := expand(folder, Version{text: "v1.2.3"})
		if strings.ContainsAny(plain, "{}") || folder == l.Shared && plain != folder {
			return l, fmt.Errorf("%q has an unknown placeholder: expected none but %s and %s, and none in a shared folder", folder, versionMark, numberMark)
		}
		if plain == "" {
			continue
		}
		if err := checkName(plain); err != nil {
			return l, err
		}
	}
	return l, nil
}

// folder is the folder of a version, ending in a slash.
func (l Layout) folder(v Version) string {
	folder := l.Releases
	if v.Channel() == Nightly {
		folder = l.Nightlies
	}
	return expand(folder, v) + "/"
}

// beforeVersion splits a folder at the first place of a version in it. before is everything in front, and v what the version lacks there.
func beforeVersion(folder string) (before, v, after string) {
	before, after, _ = strings.Cut(folder, versionMark)
	if b, a, ok := strings.Cut(folder, numberMark); ok && len(b) < len(before) {
		return b, "v", a
	}
	return before, "", after
}

// split gives the folder that path lies in, empty or ending in a slash, and its path there. What has a slash in front lies in
// no release's folder but among the files that versions share.
func (l Layout) split(v Version, path string) (folder, rest string) {
	rest, shared := strings.CutPrefix(path, "/")
	switch {
	case !shared:
		return l.folder(v), path
	case l.Shared == "":
		return "", rest
	}
	return l.Shared + "/", rest
}

// ErrNoListing is the error of [Source.Versions] for a source that does not tell what it has, such as a web server.
var ErrNoListing = errors.New("a web server does not tell which versions it has: name a marker")

// Versions lists the versions that have a folder, the oldest first. A directory and a bucket can tell; for a web server it is
// [ErrNoListing], and [Source.Marker] tells the newest. A folder whose name is no version is not one.
func (s *Source) Versions(ctx context.Context) ([]Version, error) {
	var all []Version
	layouts := slices.Compact([]string{s.layout.Releases, s.layout.Nightlies})
	for _, folder := range layouts {
		// Of the path up to the first version, everything before the last slash is the same for all versions.
		before, v, after := beforeVersion(folder)
		i := strings.LastIndexByte(before, '/') + 1
		parent, prefix := before[:i], before[i:]
		suffix, _, _ := strings.Cut(after, "/")
		names, err := s.place.folders(ctx, parent)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", s.config.Name, err)
		}
		for _, name := range names {
			name, isPrefixed := strings.CutPrefix(name, prefix)
			name, isSuffixed := strings.CutSuffix(name, suffix)
			v, err := ParseVersion(v + name)
			if err == nil && isPrefixed && isSuffixed && s.layout.folder(v) == expand(folder, v)+"/" {
				all = append(all, v)
			}
		}
	}
	slices.SortFunc(all, Version.Compare)
	return slices.Compact(all), nil
}
