package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// walker finds the package files below a directory. Names are relative to it, with slashes.
type walker struct {
	*run
	debs, rpms []file
	links      []string // symbolic links, which are followed when all else is known
	// real is the directory's own path, without links in it, once there is a link to follow; elsewhere are those of the
	// folders outside of it that links have led to.
	real      string
	elsewhere []string
}

// walk finds the package files below the directory and where symbolic links below it lead, each of them once.
func (r *run) walk(ctx context.Context) (debs, rpms []file, err error) {
	w := walker{run: r}
	err = w.folder(ctx, "", "")
	if err == nil && len(w.links) > 0 {
		err = w.followAll(ctx)
	}
	return w.debs, w.rpms, err
}

// folder finds the package files of a folder and notes the links in it. If a link led to the folder, real is its own path.
func (w *walker) folder(ctx context.Context, at, real string) error {
	prefix := strings.TrimSuffix(filepath.Join(w.root, "x"), "x")
	// The slash at the end has a link followed.
	return filepath.WalkDir(filepath.Join(w.root, filepath.FromSlash(at))+"/", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(name, prefix))
		switch {
		case entry.IsDir():
			if rel == stateFolder || real != "" && w.known(path.Join(real, strings.TrimPrefix(rel, at)), real) {
				return filepath.SkipDir
			}
		case entry.Type() == fs.ModeSymlink:
			w.links = append(w.links, rel)
		default:
			w.take(rel, entry.Type().IsRegular())
		}
		return nil
	})
}

// take takes in a file if it is called like a package.
func (w *walker) take(rel string, regular bool) {
	ext := path.Ext(rel)
	switch {
	case ext != ".deb" && ext != ".rpm":
	case !regular:
		w.refuse(notRegular(rel))
	case ext == ".rpm":
		w.rpms = append(w.rpms, file{path: rel})
	case w.Dists && !strings.HasPrefix(rel, "pool/"):
		w.refuse(fmt.Errorf("%s: lies outside of pool, where the layout dists has its packages: move it there", rel))
	default:
		w.debs = append(w.debs, file{path: rel})
	}
}

// followAll follows the links, and those that are found on the way.
func (w *walker) followAll(ctx context.Context) (err error) {
	if w.real, err = filepath.EvalSymlinks(w.root); err == nil {
		w.real, err = filepath.Abs(w.real)
	}
	if err != nil {
		return err
	}
	found := make(map[string]bool, len(w.debs)+len(w.rpms))
	for _, list := range [][]file{w.debs, w.rpms} {
		for _, f := range list {
			found[f.path] = true
		}
	}
	for len(w.links) > 0 {
		link := w.links[0]
		w.links = w.links[1:]
		if err := w.follow(ctx, link, found); err != nil {
			return err
		}
	}
	return nil
}

// follow follows a link. What it leads to may have been found already.
func (w *walker) follow(ctx context.Context, link string, found map[string]bool) error {
	name := filepath.Join(w.root, filepath.FromSlash(link))
	info, err := os.Stat(name)
	if err != nil {
		if ext := path.Ext(link); ext == ".deb" || ext == ".rpm" {
			w.refuse(err)
		}
		return nil // a link that leads nowhere is no package
	}
	real, err := filepath.EvalSymlinks(name)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was removed meanwhile
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		if !within(real, w.real) || !found[filepath.ToSlash(strings.TrimPrefix(real, w.real+"/"))] {
			w.take(link, info.Mode().IsRegular())
		}
		return nil
	}
	if w.known(real, "") || within(w.real, real) { // a folder that the directory itself is in cannot be meant
		return nil
	}
	w.elsewhere = append(w.elsewhere, real)
	return w.folder(ctx, link, real)
}

// known tells whether a folder, given by its own path, is walked in another way than from the folder now at hand.
func (w *walker) known(real, now string) bool {
	if within(real, w.real) {
		return true
	}
	for _, e := range w.elsewhere {
		if e != now && within(real, e) {
			return true
		}
	}
	return false
}

// within tells whether a path is that of a folder or leads to something in it.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, strings.TrimSuffix(folder, "/")+"/")
}
