package build

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
)

// debianLicense gives a license the short name that Debian's format for copyright files has for it, and the place of its
// text on every Debian system, or nothing. The names are those of SPDX but for the family of the GNU licenses, where Debian
// writes "or later" as a plus.
func debianLicense(spdx string) (name, place string) {
	const common = "/usr/share/common-licenses/"
	for _, family := range []string{"GPL", "LGPL"} {
		rest, ok := strings.CutPrefix(spdx, family+"-")
		if !ok {
			continue
		}
		version, suffix, _ := strings.Cut(rest, "-")
		version = strings.TrimSuffix(version, ".0")
		name = family + "-" + version
		if slices.Contains([]string{"GPL-2", "GPL-3", "LGPL-2", "LGPL-2.1", "LGPL-3"}, name) {
			place = common + name
		}
		if suffix == "or-later" {
			name += "+"
		}
		return name, place
	}
	if spdx == "Apache-2.0" || spdx == "MPL-2.0" {
		return spdx, common + spdx
	}
	return spdx, ""
}

// licenses are the SPDX identifiers of all licenses of d, the one of most files first.
func (d *Definition) licenses() []string {
	all := []string{d.License}
	for _, l := range d.Licenses {
		if !slices.Contains(all, l.License) {
			all = append(all, l.License)
		}
	}
	return all
}

// licenseExpression is the SPDX expression for the whole package: whoever has it is bound by all licenses.
func (d *Definition) licenseExpression() string { return strings.Join(d.licenses(), " AND ") }

// copyrights are all holders, each once.
func (d *Definition) copyrights() string {
	all := []string{d.Copyright}
	for _, l := range d.Licenses {
		if !slices.Contains(all, l.Copyright) {
			all = append(all, l.Copyright)
		}
	}
	return strings.Join(all, "\n")
}

// licensed gives the licenses of the installed files that are under another one than the package, by their paths.
func (d *Definition) licensed(format Format, r Request) map[string]License {
	found := map[string]License{}
	for _, l := range d.Licenses {
		for _, file := range l.Files {
			found[d.place(format, r).Replace(file)] = l
		}
	}
	return found
}

// documentation is what a package of the format has in /usr/share besides the files of its definition: the licenses, and in a
// deb the changelog, which an rpm has in its header. An rpm owns its folders there.
func (p *prepared) documentation(format Format) ([]payload.Entry, error) {
	d := p.definition
	doc := "/usr/share/doc/" + d.Name
	if format == Rpm {
		folder := "/usr/share/licenses/" + d.Name
		entries := []payload.Entry{{Path: doc, Kind: payload.Dir, Mode: 0o755}, {Path: folder, Kind: payload.Dir, Mode: 0o755}}
		for i, license := range d.licenses() {
			name := "LICENSE"
			if i > 0 {
				name += "." + license
			}
			entries = append(entries, payload.Entry{Path: path.Join(folder, name), Mode: 0o644, Content: payload.Bytes([]byte(d.texts[license])), License: true})
		}
		return entries, nil
	}
	changelog := fmt.Sprintf("%s (%s) %s; urgency=medium\n\n  * %s\n\n -- %s  %s\n", d.Name, p.debVersion(), p.request.Version.Channel(),
		p.change(), d.Maintainer, p.date.UTC().Format(time.RFC1123Z))
	packed, err := compress([]byte(changelog))
	if err != nil {
		return nil, err
	}
	return []payload.Entry{
		{Path: doc + "/changelog.Debian.gz", Mode: 0o644, Content: payload.Bytes(packed)},
		{Path: doc + "/copyright", Mode: 0o644, Content: payload.Bytes([]byte(d.copyright(p.request)))},
	}, nil
}

// copyright is the file debian/copyright in the machine-readable format 1.0. What stands further down in it overrides what
// stands above.
func (d *Definition) copyright(r Request) string {
	var b strings.Builder
	b.WriteString("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n")
	fmt.Fprintf(&b, "Upstream-Contact: %s\nSource: %s\n\n", d.Maintainer, d.Upstream)
	files := func(which, holder, license string) {
		name, _ := debianLicense(license)
		fmt.Fprintf(&b, "Files: %s\nCopyright: %s\nLicense: %s\n\n", which, holder, name)
	}
	files("*", d.Copyright, d.License)
	for _, l := range d.Licenses {
		var paths []string
		for path, other := range d.licensed(Deb, r) {
			if other.At == l.At {
				paths = append(paths, strings.TrimPrefix(path, "/"))
			}
		}
		slices.Sort(paths)
		files(strings.Join(paths, " "), l.Copyright, l.License)
	}
	for i, license := range d.licenses() {
		if i > 0 {
			b.WriteString("\n")
		}
		name, place := debianLicense(license)
		fmt.Fprintf(&b, "License: %s\n", name)
		text := d.texts[license]
		if place != "" {
			text = fmt.Sprintf("The full text of the license is in %s on Debian systems.\n", place)
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimRight(line, " \r\n"); line == "" {
				line = "."
			}
			b.WriteString(" " + line + "\n")
		}
	}
	return b.String()
}

// licenseFiles are the names of the texts of the licenses, below the folder of all definitions.
func (d *Definition) licenseFiles() map[string][]byte {
	files := map[string][]byte{}
	for license, text := range d.texts {
		files[licenseFolder+"/"+license+".txt"] = []byte(text)
	}
	return files
}
