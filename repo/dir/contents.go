package dir

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/packed"
)

// contentsPart is the second part of a deb's record: "section/name", and the files and links that it installs without
// the slash in front, a line each. Directories are in no Contents index.
func contentsPart(p *apt.Package, list []apt.Installed) []byte {
	var b bytes.Buffer
	if p.Section != "" {
		b.WriteString(p.Section + "/")
	}
	b.WriteString(p.Name + "\n")
	for _, f := range list {
		if f.Type != tar.TypeDir {
			b.WriteString(strings.TrimPrefix(f.Path, "/") + "\n")
		}
	}
	return b.Bytes()
}

// contents collects what the packages of a view install, for each architecture.
type contents struct {
	// of has the lists of the packages of an architecture; "all" is in that of every other.
	of map[string][]string
}

func (c *contents) add(arch string, part []byte) {
	if c.of == nil {
		c.of = map[string][]string{}
	}
	c.of[arch] = append(c.of[arch], string(part))
}

// addContents writes Contents-<arch> for the architectures of the view (https://wiki.debian.org/DebianRepository/Format
// describes it): a line for each path with the packages that install it, behind it. It is there in compressed form only.
func (o *aptFiles) addContents(ctx context.Context, v *view) error {
	if v.contents == nil {
		return nil
	}
	archs := []string{v.arch}
	if v.arch == "" {
		archs = archs[:0]
		for a := range v.contents.of {
			if a != "all" {
				archs = append(archs, a)
			}
		}
		if len(archs) == 0 && len(v.contents.of) > 0 {
			archs = []string{"all"}
		}
		slices.Sort(archs)
	}
	for _, arch := range archs {
		name := path.Join(v.component, "Contents-"+arch)
		x, err := o.newIndex(ctx, &book{state: &state{}}, name, o.Compress...)
		if err != nil {
			return err
		}
		lists := v.contents.of[arch]
		if arch != "all" {
			lists = slices.Concat(lists, v.contents.of["all"])
		}
		writeContents(x.Writer, lists)
		result, err := x.finish()
		if err != nil {
			return err
		}
		o.add(x, name, result)
	}
	return nil
}

func writeContents(w *packed.Writer, lists []string) {
	type install struct {
		path  string
		owner int32
	}
	var all []install
	owners := make([]string, len(lists))
	for i, list := range lists {
		owner, paths, _ := strings.Cut(list, "\n")
		owners[i] = owner
		for line := range strings.Lines(paths) {
			all = append(all, install{strings.TrimSuffix(line, "\n"), int32(i)})
		}
	}
	slices.SortFunc(all, func(a, b install) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(owners[a.owner], owners[b.owner]))
	})
	const part = 256 << 10
	var b strings.Builder
	for i := 0; i < len(all); {
		p := all[i].path
		var by []string
		for ; i < len(all) && all[i].path == p; i++ {
			if o := owners[all[i].owner]; len(by) == 0 || by[len(by)-1] != o {
				by = append(by, o)
			}
		}
		fmt.Fprintf(&b, "%-55s %s\n", p, strings.Join(by, ","))
		if b.Len() >= part {
			w.Text(b.String())
			b.Reset()
		}
	}
	w.Text(b.String())
}
