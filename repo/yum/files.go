package yum

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// packageFile is one file of a package. Its kind is "dir", "ghost" or empty for all others.
type packageFile struct{ path, kind string }

// primary tells whether the index of all packages names the file: because programs and settings are what packages
// depend on by path.
func (f packageFile) primary() bool {
	return strings.HasPrefix(f.path, "/etc/") || f.path == "/usr/lib/sendmail" || strings.Contains(f.path, "bin/")
}

// check tells whether an index may name the file. Source packages hold plain file names, others absolute paths.
func (f packageFile) check(source bool) error {
	if err := checkLine(f.path); err != nil {
		return err
	}
	p := f.path
	if source && !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	if path.Clean(p) != p || !strings.HasPrefix(p, "/") || len(p) > maxPath {
		return fmt.Errorf("path %q is not absolute, or has empty, . or .. segments, or more than %d bytes",
			refusal.Shorten(f.path), maxPath)
	}
	return nil
}

const (
	maxPath  = 4096     // Linux's PATH_MAX
	maxPaths = 32 << 20 // bytes of all of a package's paths together
)

// Types of files in the modes of a header, as stat(2) has them, and the flag of a file that the package owns but does
// not install.
const (
	modeType  = 0o170000
	modeDir   = 0o040000
	modeFile  = 0o100000
	modeLink  = 0o120000
	flagGhost = 1 << 6
)

// readFiles fills in the files: a base name each, and the number of its directory in a list of directories.
func (r *record) readFiles(f *file) error {
	if _, old := f.main.entries[tagOldFilenames]; old {
		return errors.New("files are listed as rpm 3 did it: expected base names and directories")
	}
	bases, err := f.main.texts(tagBaseNames)
	if err != nil {
		return err
	}
	dirs, err := f.main.texts(tagDirNames)
	if err != nil {
		return err
	}
	indexes, err := f.main.numbers(tagDirIndexes, kindInt32)
	if err != nil {
		return err
	}
	modes, err := f.main.numbers(tagFileModes, kindInt16)
	if err != nil {
		return err
	}
	flags, err := f.main.numbers(tagFileFlags, kindInt32)
	if err != nil {
		return err
	}
	n := len(bases)
	if len(indexes) != n || len(modes) != n || len(flags) != n {
		return fmt.Errorf("%d files, but %d directories, %d modes and %d flags for them", n, len(indexes), len(modes),
			len(flags))
	}
	r.files = make([]packageFile, 0, n)
	var seen map[string]bool // once they are not in order
	total := 0
	for i, base := range bases {
		if indexes[i] >= uint64(len(dirs)) {
			return fmt.Errorf("file %q is in directory %d of %d", refusal.Shorten(base), indexes[i], len(dirs))
		}
		if total += len(dirs[indexes[i]]) + len(base); total > maxPaths {
			return fmt.Errorf("more than %d bytes of paths", maxPaths)
		}
		entry := packageFile{path: dirs[indexes[i]] + base}
		switch modes[i] & modeType {
		case modeDir:
			entry.kind = "dir"
		case modeFile, modeLink:
			if flags[i]&flagGhost != 0 {
				entry.kind = "ghost"
			}
		default:
			return fmt.Errorf("file %q is no file, link or directory (mode %#o)", refusal.Shorten(entry.path), modes[i])
		}
		if err := entry.check(r.arch == "src"); err != nil {
			return err
		}
		if i > 0 && seen == nil && r.files[i-1].path >= entry.path {
			seen = make(map[string]bool, n)
			for _, f := range r.files {
				seen[f.path] = true
			}
		}
		if seen != nil {
			if seen[entry.path] {
				return fmt.Errorf("file %q is there twice", refusal.Shorten(entry.path))
			}
			seen[entry.path] = true
		}
		r.files = append(r.files, entry)
	}
	return nil
}
