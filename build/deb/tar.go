package deb

import (
	"archive/tar"
	"bytes"
	"cmp"
	"path"
	"slices"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
)

const tarBlock = 512

// withParents adds the directories that lead to entries, the root first.
func withParents(entries []payload.Entry) []payload.Entry {
	have := make(map[string]bool)
	all := slices.Clone(entries)
	for _, e := range entries {
		have[e.Path] = true
	}
	add := func(dir string) {
		if !have[dir] {
			have[dir] = true
			all = append(all, payload.Entry{Path: dir, Kind: payload.Dir, Mode: 0o755})
		}
	}
	add("/")
	for _, e := range entries {
		for dir := path.Dir(e.Path); dir != "/"; dir = path.Dir(dir) {
			add(dir)
		}
	}
	slices.SortFunc(all, func(a, b payload.Entry) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

// tarball is the tar archive of entries, as segments.
func tarball(entries []payload.Entry, at time.Time) ([]payload.Segment, error) {
	var all []payload.Segment
	for _, e := range entries {
		head, err := tarHeader(e, at)
		if err != nil {
			return nil, err
		}
		all = append(all, payload.Segment{Bytes: head})
		if e.Kind == payload.File {
			all = append(all, payload.Segment{Content: e.Content})
			all = append(all, payload.Segment{Bytes: make([]byte, -e.Content.Size&(tarBlock-1))})
		}
	}
	return append(all, payload.Segment{Bytes: make([]byte, 2*tarBlock)}), nil
}

func tarHeader(e payload.Entry, at time.Time) ([]byte, error) {
	h := &tar.Header{
		Format:  tar.FormatGNU,
		Name:    "." + e.Path,
		Mode:    int64(e.Mode),
		Uname:   "root",
		Gname:   "root",
		ModTime: at.Truncate(time.Second),
	}
	switch e.Kind {
	case payload.Dir:
		h.Typeflag = tar.TypeDir
		if e.Path != "/" {
			h.Name += "/"
		}
	case payload.Symlink:
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Target, 0o777
	default:
		h.Typeflag, h.Size = tar.TypeReg, e.Content.Size
	}
	// A writer of its own for each header: the bytes of the file do not pass through it.
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(h)
	return b.Bytes(), err
}
