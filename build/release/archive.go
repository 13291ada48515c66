package release

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Bounds of a tarball. Binaries compress to about a third; a hundredth is what no honest tarball reaches, but a small one
// may be mostly zeros.
const (
	maxMembers  = 10000
	maxUnpacked = 4 << 30
	maxRatio    = 100
	ratioGrace  = 64 << 20
)

// Member is a file that was in a tarball.
type Member struct {
	// Name is its path in the tarball, without a leading "./".
	Name string
	// Mode is the permission bits that the tarball gives it.
	Mode fs.FileMode
	File
}

// Extract unpacks the members of the gzip-compressed tarball archive for which wanted is true into the cache, in the order
// of the tarball. Nothing is written anywhere else, whatever the names of the members. The whole tarball is read and
// checked, wanted or not, before any member is in the cache: it may hold plain files and directories only, each file once,
// with relative names that lead nowhere else, at most 10000 of them, of 2 GiB each and 4 GiB or a hundred times the tarball
// together.
func (s *Source) Extract(ctx context.Context, archive File, wanted func(name string) bool) ([]Member, error) {
	members, err := s.cache.extract(ctx, archive, wanted)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("source %s: %s: %w", s.config.Name, archive.URL, err)
	}
	return members, nil
}

func (c cache) extract(ctx context.Context, archive File, wanted func(name string) bool) (members []Member, err error) {
	defer func() {
		if p := recover(); p != nil {
			members, err = nil, fmt.Errorf("cannot read the tarball: %v", p)
		}
	}()
	f, err := os.Open(archive.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(withContext(ctx, f))
	if err != nil {
		return nil, fmt.Errorf("not a gzip file: %w", err)
	}
	limit := min(maxUnpacked, ratioGrace+maxRatio*archive.Size)
	unpacked := &limited{z, limit}
	t := tar.NewReader(unpacked)
	seen := map[string]bool{}
	var all []*staged
	defer func() {
		for _, s := range all {
			s.drop()
		}
	}()
	for count := 0; ; count++ {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("after %d members: %w", count, damage(err))
		}
		if count == maxMembers {
			return nil, fmt.Errorf("more than %d members", maxMembers)
		}
		name, err := memberName(h)
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if seen[name] {
			return nil, fmt.Errorf("two members are called %q", name)
		}
		seen[name] = true
		if h.Size > maxFile {
			return nil, fmt.Errorf("member %q has %d bytes: expected at most %d", name, h.Size, int64(maxFile))
		}
		if !wanted(name) {
			continue
		}
		url := archive.URL + ":" + name
		s, err := c.stage(ctx, url, t, "sha256")
		if err != nil {
			return nil, fmt.Errorf("member %q: %w", name, damage(err))
		}
		all = append(all, s)
		members = append(members, Member{name, fs.FileMode(h.Mode).Perm(), File{URL: url, Modified: archive.Modified}})
	}
	// What follows the end of the archive is padding, and then the checksum of everything.
	if _, err := io.Copy(io.Discard, unpacked); err != nil {
		return nil, damage(err)
	}
	for i, s := range all {
		file, err := s.commit()
		if err != nil {
			return nil, err
		}
		file.URL, file.Modified = members[i].URL, members[i].Modified
		members[i].File = file
	}
	return members, nil
}

// memberName checks a member's kind and name, and gives the name its plain form.
func memberName(h *tar.Header) (string, error) {
	shown := shorten(h.Name)
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeXGlobalHeader:
		return "", nil // a comment for the whole archive, as git archive writes it
	case tar.TypeSymlink, tar.TypeLink:
		return "", fmt.Errorf("member %q is a link to %q: expected files and directories only", shown, shorten(h.Linkname))
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return "", fmt.Errorf("member %q is a device or a pipe: expected files and directories only", shown)
	default:
		return "", fmt.Errorf("member %q is of the unknown kind %q: expected files and directories only", shown, h.Typeflag)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return "", fmt.Errorf("member %q is a sparse file: expected plain files", shown)
		}
	}
	name := h.Name
	for strings.HasPrefix(name, "./") {
		name = name[2:]
	}
	if h.Typeflag == tar.TypeDir {
		name = strings.TrimSuffix(name, "/")
		if name == "" || name == "." {
			return "", nil
		}
	}
	if err := checkName(name); err != nil {
		return "", fmt.Errorf("member %q: %w", shown, err)
	}
	return path.Clean(name), nil
}

// limited reads no more than left bytes.
type limited struct {
	r    io.Reader
	left int64
}

var errTooLarge = errors.New("unpacks to far more than its size: expected at most a hundred times as much, and 4 GiB")

func (l *limited) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	if l.left -= int64(n); l.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// damage says in plain words that a tarball ends too early.
func damage(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the tarball is cut off")
	}
	return err
}
