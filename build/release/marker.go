package release

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// maxMarker is the size of the largest file that may hold a version, in bytes.
const maxMarker = 256

// Marked is what a marker names.
type Marked struct {
	// Version is zero if the marker names a commit alone.
	Version Version
	// Commit is such a commit, in lower-case hex.
	Commit string
	// Modified is when the marker was written, if the source says so.
	Modified time.Time
}

// maxMarked is the largest minor, patch or number of a prerelease that a marker may name. Whoever reads one asks for the
// versions before it, too, one by one.
const maxMarked = 1000

var commitForm = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// Marked reads a file that names what is newest, such as release/stable-1.34.txt on dl.k8s.io. name is its path below the
// source's URL. The file holds a version alone or, as CRI-O's latest-bundle-main.txt does, a commit, with or without a line
// end. A version that thousands would have to precede is an error. That there is no such file is an error for which errors.Is(err, fs.ErrNotExist).
func (s *Source) Marked(ctx context.Context, name string) (Marked, error) {
	data, f, err := s.readText(ctx, name, maxMarker)
	if err != nil {
		return Marked{}, fmt.Errorf("source %s: marker: %w", s.config.Name, err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if commitForm.MatchString(text) {
		return Marked{Commit: text, Modified: f.modified}, nil
	}
	v, err := ParseVersion(text)
	if n := max(v.minor, v.patch, v.number); err == nil && n > maxMarked {
		err = fmt.Errorf("%s cannot be the newest: nobody has %d versions before it", v, n)
	}
	if err != nil {
		return Marked{}, fmt.Errorf("source %s: marker %s: %w", s.config.Name, s.place.url(name), err)
	}
	return Marked{Version: v, Modified: f.modified}, nil
}

// Marker reads a marker that has to name a version, see [Source.Marked].
func (s *Source) Marker(ctx context.Context, name string) (Version, error) {
	m, err := s.Marked(ctx, name)
	if err == nil && m.Version.IsZero() {
		err = fmt.Errorf("source %s: marker %s: names the commit %s, and not a version", s.config.Name, s.place.url(name), m.Commit)
	}
	return m.Version, err
}

// Text reads a file of at most limit bytes that is not a release's and has no checksum, such as a source file that says
// which version it is of. name is its path below the source's URL.
func (s *Source) Text(ctx context.Context, name string, limit int64) ([]byte, error) {
	data, _, err := s.readText(ctx, name, limit)
	if err != nil {
		err = fmt.Errorf("source %s: %w", s.config.Name, err)
	}
	return data, err
}

// readText reads a file that has at most limit bytes.
func (s *Source) readText(ctx context.Context, name string, limit int64) (data []byte, f found, err error) {
	if err := checkName(name); err != nil {
		return nil, f, err
	}
	err = s.place.read(ctx, name, func(r io.Reader, have found) error {
		var b bytes.Buffer
		n, err := io.Copy(&b, io.LimitReader(r, limit+1))
		if err != nil {
			return err
		}
		if n > limit {
			return permanent{fmt.Errorf("%s is too large: expected at most %d bytes", s.place.url(name), limit)}
		}
		data, f = b.Bytes(), have
		return nil
	})
	return data, f, err
}
