package build

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/build/deb"
	"sigs.k8s.io/pkgs/build/rpm"
)

// buildHost is the machine that rpms say they were built on. It is nobody's, for every machine builds the same bytes.
const buildHost = "pkgs.k8s.io"

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
		License: d.licenseExpression(), URL: d.Homepage, Vendor: d.Vendor, Packager: d.Maintainer, BuildHost: buildHost,
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
