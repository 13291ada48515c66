package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/release"
)

// prepared is a request of which all inputs have been read and checked. Nothing can be wrong with it any more but the disk
// that the packages are written to.
type prepared struct {
	definition *Definition
	request    Request
	// date is what the packages carry, in whole seconds.
	date time.Time
	// files are the inputs, by their paths in the release, and members what came out of those that are archives.
	files   map[string]release.File
	members map[string][]release.Member
	// binaries are the executables of each package.
	binaries map[Format][]release.Binary
	// contents are what the files are in packages, those that have been asked for. What is learned about one when the package
	// of one format is made is known for the other.
	contents map[made]payload.Content
}

// place gives the placeholders of d their values for a request in a format.
func (d *Definition) place(f Format, r Request) *strings.Replacer {
	pairs := []string{"{arch}", r.Architecture.Go, "{package}", d.Name, "{version}", r.Version.String(),
		"{build}", cmp.Or(r.Version.Commit(), r.Version.String())}
	for name, word := range d.Words {
		value := word.Deb
		if f == Rpm {
			value = word.Rpm
		}
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...)
}

// formats are those that r asks for.
func (r Request) formats() []Format {
	if len(r.Formats) == 0 {
		return Formats()
	}
	return r.Formats
}

// inputs are the paths in the release that r needs, each once.
func (d *Definition) inputs(r Request) []string {
	var paths []string
	for _, format := range r.formats() {
		for _, f := range d.Files {
			if p := d.place(format, r).Replace(f.From); p != "" && f.in(format) && !slices.Contains(paths, p) {
				paths = append(paths, p)
			}
		}
	}
	return paths
}

// prepare reads and checks the inputs of a request.
func prepare(ctx context.Context, c Config, r Request) (*prepared, error) {
	d := c.Definitions[r.Package]
	p := &prepared{definition: d, request: r, files: map[string]release.File{}, members: map[string][]release.Member{}, binaries: map[Format][]release.Binary{},
		contents: map[made]payload.Content{}}
	source := c.Sources[d.Source]
	for _, name := range d.inputs(r) {
		file, err := source.Fetch(ctx, r.Version, name)
		if err != nil {
			return nil, err
		}
		p.files[name] = file
		if file.Modified.After(p.date) {
			p.date = file.Modified
		}
		if (File{From: name}).archive() {
			if p.members[name], err = source.Extract(ctx, file, func(member string) bool { return d.wants(r, name, member) }); err != nil {
				return nil, err
			}
		}
	}
	if !c.SourceDate.IsZero() {
		p.date = c.SourceDate
	}
	if p.date = p.date.Truncate(time.Second); p.date.Unix() <= 0 {
		return nil, fmt.Errorf("%s %s: the release does not say when its files were made: give a date", r.Package, r.Version)
	}
	for _, format := range r.formats() {
		if err := p.checkBinaries(c, format); err != nil {
			return nil, err
		}
		// What is wrong with the paths shows here, and not when half of the packages are written.
		if _, err := p.tree(format); err != nil {
			return nil, fmt.Errorf("%s %s for %s: %w", r.Package, r.Version, r.Architecture.Go, err)
		}
	}
	return p, nil
}

// wants tells whether some file of d is the member of the archive at from.
func (d *Definition) wants(r Request, from, member string) bool {
	for _, format := range r.formats() {
		for _, f := range d.Files {
			if f.in(format) && d.place(format, r).Replace(f.From) == from && f.matches(member) {
				return true
			}
		}
	}
	return false
}

// matches tells whether a member of an archive is meant by f.
func (f File) matches(member string) bool {
	match := func(pattern string) bool {
		ok, _ := path.Match(pattern, member) // patterns have been checked
		return ok
	}
	return match(f.Member) && !slices.ContainsFunc(f.Except, match)
}

// input is a file of the release that a package installs.
type input struct {
	// path is where it is installed, name what errors call it.
	path, name string
	file       release.File
}

// inputsOf are what f installs from the release.
func (p *prepared) inputsOf(f File, format Format) ([]input, error) {
	w := p.definition.place(format, p.request)
	from := w.Replace(f.From)
	if !f.archive() {
		return []input{{w.Replace(f.Path), from, p.files[from]}}, nil
	}
	var found []input
	for _, m := range p.members[from] {
		if f.matches(m.Name) {
			path := strings.ReplaceAll(w.Replace(f.Path), "{member}", path.Base(m.Name))
			found = append(found, input{path, from + ":" + m.Name, m.File})
		}
	}
	if many := strings.Contains(f.Path, "{member}"); len(found) == 0 || len(found) > 1 && !many {
		return nil, fmt.Errorf("%s has %d members that are %q: expected %s", p.files[from].URL, len(found), f.Member, map[bool]string{false: "one", true: "some"}[many])
	}
	return found, nil
}

// checkBinaries looks at every file from the release that is an executable, or should be one.
func (p *prepared) checkBinaries(c Config, format Format) error {
	want := p.request.Architecture
	for _, f := range p.definition.Files {
		if f.From == "" || !f.in(format) {
			continue
		}
		inputs, err := p.inputsOf(f, format)
		if err != nil {
			return err
		}
		for _, in := range inputs {
			b, err := release.Inspect(in.file.Path)
			if errors.Is(err, release.ErrNotBinary) && !f.Binary {
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %w", in.file.URL, err)
			}
			if b.Architecture != want {
				have := b.Architecture.Go
				if have == "" {
					have = b.Machine
				}
				return fmt.Errorf("%s is a binary for %s, expected %s (from %s)", in.name, have, want.Go, in.file.URL)
			}
			if err := checkLibraries(b); err != nil {
				return fmt.Errorf("%s %w", in.file.URL, err)
			}
			if !b.Stripped && format == p.request.formats()[0] {
				c.Log.Warn("this program is not stripped: its symbols and debugging information make packages larger", "file", in.name, "url", in.file.URL)
			}
			p.binaries[format] = append(p.binaries[format], b)
		}
	}
	return nil
}
