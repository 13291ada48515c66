package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// folder is a directory with releases. Names that lead out of it, through symbolic links too, are errors.
type folder struct {
	path string
	root *os.Root
}

func openFolder(location string) (*folder, error) {
	if strings.HasPrefix(location, "file:") {
		u, err := url.Parse(location)
		if err != nil || u.Host != "" && u.Host != "localhost" || !strings.HasPrefix(u.Path, "/") {
			return nil, fmt.Errorf("%q is not a file URL: expected file:///path", location)
		}
		location = u.Path
	} else if scheme, _, ok := strings.Cut(location, "://"); ok {
		return nil, fmt.Errorf("%q cannot be read: expected a URL that begins with https://, http://, file:///, gs:// or s3:// or the path of a directory, not %s://", location, scheme)
	}
	if location == "" {
		return nil, errors.New("no URL is set: expected a URL that begins with https:// or the path of a directory")
	}
	root, err := os.OpenRoot(location)
	if err != nil {
		return nil, fmt.Errorf("cannot open the directory of releases: %w", err)
	}
	return &folder{location, root}, nil
}

func (f *folder) url(name string) string { return filepath.Join(f.path, filepath.FromSlash(name)) }

// open opens a regular file without waiting, should it be a pipe instead.
func (f *folder) open(name string) (*os.File, found, error) {
	file, err := f.root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		if errors.Is(err, syscall.ENOTDIR) {
			err = fs.ErrNotExist
		}
		return nil, found{}, fmt.Errorf("%s: %w", f.url(name), err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is a %s: expected a file", f.url(name), kind(info.Mode()))
	}
	if err != nil {
		file.Close()
		return nil, found{}, err
	}
	return file, found{info.Size(), info.ModTime()}, nil
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "pipe"
	case m&fs.ModeDevice != 0:
		return "device"
	case m&fs.ModeSocket != 0:
		return "socket"
	}
	return "special file"
}

func (f *folder) stat(ctx context.Context, name string) (found, error) {
	file, is, err := f.open(name)
	if err != nil {
		return found{}, err
	}
	return is, file.Close()
}

func (f *folder) folders(ctx context.Context, parent string) ([]string, error) {
	dir, err := f.root.Open(filepath.FromSlash("./" + parent))
	if err != nil {
		return nil, fmt.Errorf("cannot list the releases: %w", err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("cannot list the releases: %w", err)
	}
	var names []string
	for _, e := range entries {
		isDir := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 {
			info, err := f.root.Stat(filepath.FromSlash(parent + e.Name()))
			isDir = err == nil && info.IsDir()
		}
		if isDir {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (f *folder) read(ctx context.Context, name string, copy func(io.Reader, found) error) error {
	file, is, err := f.open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return copy(file, is)
}
