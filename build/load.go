package build

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/build/strict"
)

//go:embed definitions
var embedded embed.FS

// Bounds that nothing honest reaches: the size of a file beside a definition and of all together, and the number of a
// definition's files, and of each kind of its relations.
const (
	maxLocal     = 1 << 20
	maxLocals    = 16 << 20
	maxFiles     = 1000
	maxRelations = 200
)

const (
	definitionFile = "package.yaml"
	licenseFolder  = "licenses"
)

// Load reads the definitions in fsys: one folder for each package, with a package.yaml and the files that it names, and
// the folder licenses with the texts of licenses, as SPDX-identifier.txt. Everything is read and checked at once; errors
// name file, line and column, and those of all packages are reported together.
func Load(fsys fs.FS) (Definitions, error) {
	folders, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("cannot read the package definitions: %w", err)
	}
	all := Definitions{}
	var errs []error
	for _, folder := range folders {
		if !folder.IsDir() || folder.Name() == licenseFolder || strings.HasPrefix(folder.Name(), ".") {
			continue
		}
		d, err := load(fsys, folder.Name())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all[d.Name] = d
	}
	if len(all) == 0 && errs == nil {
		return nil, errors.New("there are no package definitions: expected folders with a " + definitionFile)
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return all, nil
}

func load(fsys fs.FS, folder string) (*Definition, error) {
	file := path.Join(folder, definitionFile)
	data, err := readLocal(fsys, file)
	if err != nil {
		return nil, err
	}
	d := &Definition{local: map[string][]byte{definitionFile: data}}
	if err := strict.Decode(file, data, d); err != nil {
		return nil, err
	}
	if d.Name != folder {
		return nil, d.At.Errorf("the package is called %q, its folder %q: expected the same name", d.Name, folder)
	}
	size := 0
	for _, f := range d.Files {
		if f.Local == "" || d.local[f.Local] != nil && f.Local != definitionFile {
			continue
		}
		if !fs.ValidPath(f.Local) || f.Local == "." || f.Local == definitionFile {
			return nil, f.At.Errorf("local: %q is not the name of a file beside %s", f.Local, definitionFile)
		}
		if d.local[f.Local], err = readLocal(fsys, path.Join(folder, f.Local)); err != nil {
			return nil, f.At.Errorf("local: %w", err)
		}
		if size += len(d.local[f.Local]); size > maxLocals {
			return nil, f.At.Errorf("local: the files beside the definition have more than %d bytes together", maxLocals)
		}
	}
	d.texts = map[string]string{}
	for _, l := range append([]License{{At: d.At, License: d.License}}, d.Licenses...) {
		if !licenseForm.MatchString(l.License) {
			return nil, l.At.Errorf("license: %q is not an SPDX identifier like Apache-2.0", l.License)
		}
		text, err := readLocal(fsys, path.Join(licenseFolder, l.License+".txt"))
		if err != nil {
			return nil, l.At.Errorf("license: %w", err)
		}
		d.texts[l.License] = string(text)
	}
	return d, d.check()
}

func readLocal(fsys fs.FS, name string) ([]byte, error) {
	// A pipe must not even be opened: that would wait for somebody to write into it.
	if info, err := fs.Stat(fsys, name); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is not a file", name))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxLocal+1))
	if err == nil && len(data) > maxLocal {
		err = fmt.Errorf("%s is too large: expected at most %d bytes", name, maxLocal)
	}
	return data, err
}

var (
	wordForm    = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	unitForm    = regexp.MustCompile(`^[A-Za-z0-9:_.@-]+\.(service|socket|timer|path|target|mount)$`)
	atLeastForm = regexp.MustCompile(`^[0-9][A-Za-z0-9.+~]*$`)
	licenseForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+-]*$`)
	placeholder = regexp.MustCompile(`\{[^{}]*\}`)
)

// builtin are the placeholders that every definition has. member only has a meaning in the path of a file from an archive.
var builtin = []string{"arch", "build", "member", "package", "version"}

// check says what is wrong with a definition that has the right form.
func (d *Definition) check() error {
	for word := range d.Words {
		if !wordForm.MatchString(word) || slices.Contains(builtin, word) {
			return d.At.Errorf("words: %q cannot be a placeholder: expected a-z, 0-9 and -, and none of %s", word, strings.Join(builtin, ", "))
		}
	}
	if len(d.Files) > maxFiles {
		return d.At.Errorf("files: %d of them: expected at most %d", len(d.Files), maxFiles)
	}
	paths := map[string]File{}
	for _, list := range [][]Relation{d.Requires, d.Recommends, d.Suggests, d.Conflicts} {
		if len(list) > maxRelations {
			return list[maxRelations].At.Errorf("more than %d relations of one kind", maxRelations)
		}
		if err := checkRelations(list); err != nil {
			return err
		}
	}
	for _, f := range d.Files {
		if err := d.checkFile(f); err != nil {
			return err
		}
		for _, format := range Formats() {
			key := string(format) + d.place(format, sampleRequest(d.Name)).Replace(f.Path)
			if other, twice := paths[key]; twice && f.in(format) {
				return f.At.Errorf("%s stands here again: the %s has it from line %d", f.Path, format, other.At.Line)
			}
			if f.in(format) {
				paths[key] = f
			}
		}
	}
	for _, u := range d.Units {
		if !unitForm.MatchString(u.Name) {
			return u.At.Errorf("%q is not the name of a systemd unit", u.Name)
		}
		for _, format := range Formats() {
			if !slices.ContainsFunc(d.Files, func(f File) bool { return f.in(format) && f.Path == unitDir+u.Name }) {
				return u.At.Errorf("the %s has no file %s%s", format, unitDir, u.Name)
			}
		}
	}
	if err := d.checkLicenses(); err != nil {
		return err
	}
	return d.checkMeta()
}

// checkLicenses says what is wrong with the licenses that are not those of the whole package.
func (d *Definition) checkLicenses() error {
	seen := map[string]bool{}
	for _, l := range d.Licenses {
		if len(l.Files) == 0 {
			return l.At.Errorf("licenses: no file is under %s", l.License)
		}
		for _, file := range l.Files {
			if !slices.ContainsFunc(d.Files, func(f File) bool { return f.Path == file }) {
				return l.At.Errorf("licenses: there is no file %q among files", file)
			}
			if seen[file] {
				return l.At.Errorf("licenses: %s stands here twice", file)
			}
			seen[file] = true
		}
	}
	return nil
}

func checkRelations(list []Relation) error {
	for i, r := range list {
		if (r.Name == "") == (r.Deb == "" && r.Rpm == "") || r.Name != "" && (r.Deb != "" || r.Rpm != "") {
			return r.At.Errorf("expected either name, or deb or rpm or both of them")
		}
		if r.AtLeast != "" && !atLeastForm.MatchString(r.AtLeast) {
			return r.At.Errorf("at-least: %q is not a version: expected a form like 1.4.21", r.AtLeast)
		}
		for _, other := range list[:i] {
			for _, format := range Formats() {
				name := r.name(format)
				if name != "" && name == other.name(format) && r.Versions.Overlaps(other.Versions) {
					return r.At.Errorf("%s stands here again for versions %s: those of line %d (%s) overlap with them",
						name, written(r.Versions), other.At.Line, written(other.Versions))
				}
			}
		}
	}
	return nil
}

func written(r Range) string {
	if r.String() == "" {
		return "of any kind"
	}
	return r.String()
}

func (d *Definition) checkFile(f File) error {
	kinds := 0
	for _, set := range []bool{f.Local != "", f.From != "", f.Link != "", f.Directory} {
		if set {
			kinds++
		}
	}
	archive := f.archive()
	switch {
	case kinds != 1:
		return f.At.Errorf("%s: expected one of local, from, link and directory", f.Path)
	case archive && f.Member == "":
		return f.At.Errorf("%s: %s is an archive: expected a member", f.Path, f.From)
	case !archive && (f.Member != "" || f.Except != nil):
		return f.At.Errorf("%s: member and except are for files from a .tar.gz or .tgz", f.Path)
	case f.Binary && f.From == "":
		return f.At.Errorf("%s: only files from a release can be binaries", f.Path)
	case f.Local == "" && f.Template:
		return f.At.Errorf("%s: template is for local files", f.Path)
	case f.Gzip && (f.Binary || f.Local == "" && f.From == ""):
		return f.At.Errorf("%s: gzip is for files of text", f.Path)
	case (f.Link != "" || f.Directory) && (f.Config || f.Doc || f.License):
		return f.At.Errorf("%s: config, doc and license are for files", f.Path)
	}
	for _, pattern := range append([]string{f.Member}, f.Except...) {
		if _, err := path.Match(pattern, ""); err != nil {
			return f.At.Errorf("%s: %q is not a pattern for names", f.Path, pattern)
		}
	}
	for _, format := range Formats() {
		p := d.place(format, sampleRequest(d.Name))
		for _, s := range []string{f.Path, f.From, f.Link} {
			s = p.Replace(s)
			if archive {
				s = strings.ReplaceAll(s, "{member}", "x")
			}
			if unknown := placeholder.FindString(s); unknown != "" {
				return f.At.Errorf("%s: unknown placeholder %s", f.Path, unknown)
			}
		}
		if p := strings.ReplaceAll(p.Replace(f.Path), "{member}", "x"); !path.IsAbs(p) || path.Clean(p) != p || p == "/" {
			return f.At.Errorf("%q is not a plain absolute path", f.Path)
		} else if _, err := payload.NewTree(payload.Entry{Path: p, Kind: payload.Dir, Mode: 0o755}); err != nil {
			return f.At.Errorf("%w", err)
		}
	}
	return nil
}

// checkMeta tries the parts that the writers of packages check, for a made-up version and with all relations at once.
func (d *Definition) checkMeta() error {
	p := &prepared{definition: d, request: sampleRequest(d.Name), date: time.Unix(1, 0)}
	for _, err := range []error{p.debMeta().Check(), p.rpmMeta().Check()} {
		if err != nil {
			return d.At.Errorf("%w", err)
		}
	}
	return nil
}

func sampleRequest(name string) Request {
	v, _ := release.ParseVersion("v1.2.3")
	arch, _ := release.ParseArchitecture("amd64")
	return Request{Package: name, Version: v, DebRevision: "1", RpmRelease: "1", Architecture: arch}
}
