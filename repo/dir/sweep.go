package dir

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/layout"
)

var (
	// aptIndex is what indexes of apt are called that this package writes, and hashed what they are called besides.
	aptIndex = regexp.MustCompile(`^(Packages|Contents-[a-z0-9-]+)(\.(gz|xz|zst))?$`)
	hashed   = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// sweep has the indexes go at the end that neither the new Release nor the text of the one before names: those of before
// that, in compressions that are not made any more, and for architectures that there are no packages of any more.
func (o *aptFiles) sweep(before string) error {
	folders := o.folders
	if o.Dists {
		for _, pattern := range []string{"*", "*/binary-*"} {
			found, err := fs.Glob(os.DirFS(o.draft.path(o.top)), pattern)
			if err != nil {
				return err
			}
			for _, folder := range found {
				if !slices.Contains(folders, folder) {
					folders = append(folders, folder)
				}
			}
		}
	}
	for _, folder := range folders {
		named := func(name string) bool {
			is := path.Join(folder, name)
			return strings.Contains(before, " "+is+"\n") || slices.ContainsFunc(o.indexes, func(x apt.IndexFile) bool { return x.Path == is })
		}
		if err := o.draft.keep(path.Join(o.top, folder), aptIndex.MatchString, named); err != nil {
			return err
		}
		named = func(name string) bool { return strings.Contains(before, name) }
		if err := o.draft.keep(path.Join(o.top, folder, path.Dir(layout.ByHash(""))), hashed.MatchString, named); err != nil {
			return err
		}
	}
	return nil
}
