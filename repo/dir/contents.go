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

// addContents writes Contents-<arch> for the architectures of the view (https://wiki.debian.org/DebianRepository/Format
// describes it): a line for each path with the packages that install it, behind it. It is there in compressed form only.
// Packages of all architectures are in that of every other.
func (o *aptFiles) addContents(ctx context.Context, b *book, v *view) error {
	archs := []string{v.arch}
	if v.arch == "" {
		archs = archs[:0]
		for _, e := range b.entries {
			if e.arch != "all" && !slices.Contains(archs, e.arch) {
				archs = append(archs, e.arch)
			}
		}
		if len(archs) == 0 && len(b.entries) > 0 {
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
		in := view{component: v.component, arch: arch}
		if err := o.writeContents(ctx, x.Writer, b, &in); err != nil {
			x.finish()
			return err
		}
		result, err := x.finish()
		if err != nil {
			return err
		}
		o.add(x, name, result)
	}
	return nil
}

// contentsMemory is how many bytes of paths and of what is noted of them are held at a time.
const contentsMemory = 48 << 20

// writeContents writes the lines of an index. The paths of many packages are more than memory may have: then the records are
// read several times, and each time the next part of the paths is sorted and written.
func (r *run) writeContents(ctx context.Context, w *packed.Writer, b *book, v *view) error {
	lines := contentsLines{to: w}
	part := &contentsPass{most: r.contentsMemory}
	for {
		for i, e := range b.entries {
			component, err := r.component(e.path)
			if err != nil {
				return err
			}
			if !v.has(component, e.arch) {
				continue
			}
			parts, err := b.record(e)
			if err == nil && i%1024 == 0 {
				err = context.Cause(ctx)
			}
			if err != nil {
				return err
			}
			part.add(parts[1])
		}
		part.write(&lines)
		if part.end == "" {
			lines.flush()
			return nil
		}
		part = &contentsPass{from: part.end, most: part.most}
	}
}

// contentsPass holds the paths from one on and before another, or to the last if that is empty.
type contentsPass struct {
	from, end  string
	all        []install
	owners     []string
	size, most int
}

type install struct {
	path  string
	owner int32 // its number in owners
}

const installSize = 40 // bytes for an install, beside the bytes of its path

// add takes in the second part of a record.
func (c *contentsPass) add(part []byte) {
	owner, paths, _ := bytes.Cut(part, []byte("\n"))
	before := len(c.all)
	for line := range bytes.Lines(paths) {
		line = line[:len(line)-1]
		if string(line) < c.from || c.end != "" && string(line) >= c.end {
			continue
		}
		c.all = append(c.all, install{string(line), int32(len(c.owners))})
		if c.size += installSize + len(line); c.size > c.most {
			c.halve()
		}
	}
	if len(c.all) > before || c.end != "" {
		c.owners = append(c.owners, string(owner))
	}
}

// halve leaves the upper half of the paths to the next pass. Those who install one path stay together.
func (c *contentsPass) halve() {
	c.sort()
	half := c.all[len(c.all)/2].path
	i := len(c.all) / 2
	for i > 0 && c.all[i-1].path == half {
		i--
	}
	if i == 0 { // or from the next path on
		for i < len(c.all) && c.all[i].path == half {
			i++
		}
	}
	if i == len(c.all) {
		c.most *= 2
		return
	}
	c.end = c.all[i].path
	c.all = slices.Clone(c.all[:i]) // so that the others go
	c.size = 0
	for _, x := range c.all {
		c.size += installSize + len(x.path)
	}
}

func (c *contentsPass) sort() {
	slices.SortFunc(c.all, func(a, b install) int { return cmp.Compare(a.path, b.path) })
}

// write writes the lines of the pass.
func (c *contentsPass) write(lines *contentsLines) {
	c.sort()
	for i := 0; i < len(c.all); {
		p := c.all[i].path
		var by []string
		for ; i < len(c.all) && c.all[i].path == p; i++ {
			by = append(by, c.owners[c.all[i].owner])
		}
		slices.Sort(by)
		lines.add(p, slices.Compact(by))
	}
}

// contentsLines writes lines in pieces of a size that depends on the lines alone.
type contentsLines struct {
	to *packed.Writer
	b  strings.Builder
}

func (l *contentsLines) add(path string, by []string) {
	fmt.Fprintf(&l.b, "%-55s %s\n", path, strings.Join(by, ","))
	const part = 256 << 10
	if l.b.Len() >= part {
		l.flush()
	}
}

func (l *contentsLines) flush() {
	if l.b.Len() == 0 {
		return
	}
	l.to.Text(l.b.String())
	l.b.Reset()
}
