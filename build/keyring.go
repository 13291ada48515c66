package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/build/deb"
	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/rpm"
)

// Keyring is a package that gives users the public keys which packages and indexes are signed with. An upgrade of it is how
// a new key reaches machines before it signs. It fits every architecture.
//
// The deb installs /usr/share/keyrings/<name>.gpg, in the binary form that Signed-By of every apt takes. The rpm installs
// /etc/pki/rpm-gpg/RPM-GPG-KEY-<name>, in armor, for gpgkey=file://… and rpm --import. Neither is configuration: an upgrade
// replaces it whatever its user did to it.
type Keyring struct {
	// Name is the name of the package, such as example-archive-keyring. Version and Revision are those of both formats.
	Name, Version, Revision string
	// Maintainer is a name and an address; Homepage a URL or empty.
	Maintainer, Homepage string
	// Binary and Armored are the keys in both forms. Fingerprints are theirs, for the description.
	Binary, Armored []byte
	Fingerprints    []string
	// Time is the date of everything in the packages, in whole seconds.
	Time time.Time
	// HeaderSigner signs the rpm. Nil leaves it unsigned.
	HeaderSigner rpm.HeaderSigner
	Compressor   *payload.Compressor
}

const keyringSummary = "Public keys of a repository of packages"

// Check says what is wrong with the texts of the package.
func (k Keyring) Check() error {
	if !revisionForm.MatchString(k.Revision) {
		return fmt.Errorf("keyring package %s: %q cannot be a revision: expected a form like 1.1", k.Name, k.Revision)
	}
	d, r := k.metas()
	if err := d.Check(); err != nil {
		return err
	}
	return r.Check()
}

// metas are what both formats say of the package.
func (k Keyring) metas() (deb.Meta, rpm.Meta) {
	description := "This package has the keys that sign the packages and indexes of the repository:\n\n" +
		"Key " + strings.Join(k.Fingerprints, ".\n\nKey ") + "."
	d := deb.Meta{
		Package: k.Name, Version: k.Version + "-" + k.Revision, Architecture: "all", Maintainer: k.Maintainer, Section: "misc", Priority: "optional",
		Homepage: k.Homepage, Summary: keyringSummary, Description: description, Time: k.Time, Extra: []deb.Field{{Name: "Multi-Arch", Value: "foreign"}},
	}
	r := rpm.Meta{
		Name: k.Name, Version: k.Version, Release: k.Revision, Arch: "noarch", Summary: keyringSummary, Description: description,
		License: "CC0-1.0", URL: k.Homepage, Packager: k.Maintainer, BuildHost: buildHost, Time: k.Time,
	}
	return d, r
}

// BuildKeyring writes the package in both formats below dir, as [Build] does: deb/all/<file> and rpm/noarch/<file>.
func BuildKeyring(ctx context.Context, k Keyring, dir string) ([]Package, error) {
	if len(k.Fingerprints) == 0 || len(k.Binary) == 0 || len(k.Armored) == 0 {
		return nil, errors.New("a keyring package needs keys")
	}
	if err := k.Check(); err != nil {
		return nil, err
	}
	d, r := k.metas()
	changelog, err := compress(fmt.Appendf(nil, "%s (%s) stable; urgency=medium\n\n  * Give users the keys of this time.\n\n -- %s  %s\n",
		k.Name, d.Version, k.Maintainer, k.Time.UTC().Format(time.RFC1123Z)))
	if err != nil {
		return nil, err
	}
	copyright := fmt.Appendf(nil, "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"+
		"Files: *\nCopyright: none\nLicense: CC0-1.0\n Public keys are facts, and nobody's work. On Debian systems the text of the\n"+
		" license is in /usr/share/common-licenses/CC0-1.0.\n")
	debTree, err := payload.NewTree(
		payload.Entry{Path: "/usr/share/keyrings/" + k.Name + ".gpg", Mode: 0o644, Content: payload.Bytes(k.Binary)},
		payload.Entry{Path: "/usr/share/doc/" + k.Name + "/changelog.Debian.gz", Mode: 0o644, Content: payload.Bytes(changelog), Doc: true},
		payload.Entry{Path: "/usr/share/doc/" + k.Name + "/copyright", Mode: 0o644, Content: payload.Bytes(copyright), Doc: true},
	)
	if err != nil {
		return nil, err
	}
	rpmTree, err := payload.NewTree(payload.Entry{Path: "/etc/pki/rpm-gpg/RPM-GPG-KEY-" + k.Name, Mode: 0o644, Content: payload.Bytes(k.Armored)})
	if err != nil {
		return nil, err
	}
	var built []Package
	for _, one := range []Package{
		{Format: Deb, Architecture: "all", Version: d.Version, Path: filepath.Join(dir, "deb/all", d.FileName())},
		{Format: Rpm, Architecture: "noarch", Version: d.Version, Path: filepath.Join(dir, "rpm/noarch", r.FileName())},
	} {
		if err := os.MkdirAll(filepath.Dir(one.Path), 0o755); err != nil {
			return nil, err
		}
		if one.Format == Deb {
			err = deb.WriteFile(ctx, one.Path, d, debTree, k.Compressor)
		} else {
			err = rpm.WriteFile(ctx, one.Path, r, rpmTree, k.Compressor, k.HeaderSigner)
		}
		if err != nil {
			return nil, err
		}
		one.Name = k.Name
		if one.Size, one.SHA256, err = digest(one.Path); err != nil {
			return nil, err
		}
		built = append(built, one)
	}
	return built, nil
}
