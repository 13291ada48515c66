package build

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/build/deb"
	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/rpm"
)

// buildHost is the machine that rpms say they were built on. It is nobody's, for every machine builds the same bytes.
const buildHost = "pkgs.k8s.io"

// commonLicenses are licenses whose text is on every Debian system, with the place.
func commonLicense(license string) (string, bool) {
	switch license {
	case "Apache-2.0", "GPL-2", "GPL-3", "MPL-2.0":
		return "/usr/share/common-licenses/" + license, true
	}
	return "", false
}

func (p *prepared) debVersion() string {
	return p.request.Version.Package() + "-" + p.request.DebRevision
}

func (p *prepared) debMeta() deb.Meta {
	d := p.definition
	return deb.Meta{
		Package: d.Name, Version: p.debVersion(), Architecture: p.request.Architecture.Deb,
		Maintainer: d.Maintainer, Section: d.Section, Priority: "optional", Homepage: d.Homepage,
		Summary: d.Summary, Description: strings.TrimSpace(d.Description),
		Depends:    slices.Concat(d.debRelations(d.Requires, p.request.Version), debLibraries(p.binaries[Deb])),
		Recommends: d.debRelations(d.Recommends, p.request.Version),
		Suggests:   d.debRelations(d.Suggests, p.request.Version),
		Conflicts:  d.debRelations(d.Conflicts, p.request.Version),
		Scripts:    d.debScripts(),
		Time:       p.date,
	}
}

func (p *prepared) rpmMeta() rpm.Meta {
	d := p.definition
	return rpm.Meta{
		Name: d.Name, Version: p.request.Version.Package(), Release: p.request.RpmRelease, Arch: p.request.Architecture.Rpm,
		Summary: d.Summary, Description: strings.TrimSpace(d.Description),
		License: d.License, URL: d.Homepage, Vendor: d.Vendor, Packager: d.Maintainer, BuildHost: buildHost,
		Requires:   slices.Concat(d.rpmRelations(d.Requires, p.request.Version), rpmLibraries(p.binaries[Rpm])),
		Recommends: d.rpmRelations(d.Recommends, p.request.Version),
		Suggests:   d.rpmRelations(d.Suggests, p.request.Version),
		Conflicts:  d.rpmRelations(d.Conflicts, p.request.Version),
		Post:       d.rpmScript("post"), PreUn: d.rpmScript("preun"), PostUn: d.rpmScript("postun"),
		Changelog: []rpm.Change{{
			Time: p.date, Author: d.Maintainer + " - " + p.request.Version.Package() + "-" + p.request.RpmRelease,
			Text: "- " + p.change(),
		}},
		Time: p.date,
	}
}

// change is the one entry of the changelog: what is new in a package is what is new upstream.
func (p *prepared) change() string {
	return fmt.Sprintf("Package the upstream release %s.", p.request.Version)
}

// documentation is what a package of the format has in /usr/share besides the files of its definition: the license,
// and in a deb the changelog, which an rpm has in its header. An rpm owns its folders there.
func (p *prepared) documentation(format Format) ([]payload.Entry, error) {
	d := p.definition
	doc := "/usr/share/doc/" + d.Name
	if format == Rpm {
		licenses := "/usr/share/licenses/" + d.Name
		return []payload.Entry{
			{Path: doc, Kind: payload.Dir, Mode: 0o755},
			{Path: licenses, Kind: payload.Dir, Mode: 0o755},
			{Path: licenses + "/LICENSE", Mode: 0o644, Content: payload.Bytes([]byte(d.license)), License: true},
		}, nil
	}
	changelog := fmt.Sprintf("%s (%s) %s; urgency=medium\n\n  * %s\n\n -- %s  %s\n", d.Name, p.debVersion(), p.request.Version.Channel(),
		p.change(), d.Maintainer, p.date.UTC().Format(time.RFC1123Z))
	packed, err := compress([]byte(changelog))
	if err != nil {
		return nil, err
	}
	return []payload.Entry{
		{Path: doc + "/changelog.Debian.gz", Mode: 0o644, Content: payload.Bytes(packed)},
		{Path: doc + "/copyright", Mode: 0o644, Content: payload.Bytes([]byte(d.copyright()))},
	}, nil
}

// copyright is the file debian/copyright in the machine-readable format 1.0.
func (d *Definition) copyright() string {
	var b strings.Builder
	b.WriteString("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n")
	fmt.Fprintf(&b, "Upstream-Contact: %s\nSource: %s\n\n", d.Maintainer, d.Upstream)
	fmt.Fprintf(&b, "Files: *\nCopyright: %s\nLicense: %s\n\n", d.Copyright, d.License)
	fmt.Fprintf(&b, "License: %s\n", d.License)
	text := d.license
	if place, ok := commonLicense(d.License); ok {
		text = fmt.Sprintf("The full text of the license is in %s on Debian systems.\n", place)
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, " \r\n"); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}

// compress is gzip -9n: the same bytes at every time.
func compress(data []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
