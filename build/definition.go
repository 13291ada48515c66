package build

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"sigs.k8s.io/pkgs/build/strict"
)

// Format is a kind of package.
type Format string

const (
	Deb Format = "deb"
	Rpm Format = "rpm"
)

// Formats are all formats, in the order in which packages are listed.
func Formats() []Format { return []Format{Deb, Rpm} }

// UnmarshalText reads deb or rpm.
func (f *Format) UnmarshalText(text []byte) error {
	if s := Format(text); s != Deb && s != Rpm {
		return fmt.Errorf("unknown format %q: expected deb or rpm", text)
	}
	*f = Format(text)
	return nil
}

// Definitions are package definitions by the names of their packages.
type Definitions map[string]*Definition

// Definition turns a release's files into packages. It is read from a package.yaml; the package's comment describes it.
type Definition struct {
	At strict.Position
	// Name is the package's name, Source the name of the source that its files come from.
	Name   string `yaml:"name,required"`
	Source string `yaml:"source,required"`
	// Versions are those that the definition can be used for.
	Versions Range `yaml:"versions,required"`
	// Summary is one line, Description any number of them.
	Summary     string `yaml:"summary,required"`
	Description string `yaml:"description,required"`
	// Section is one of Debian's.
	Section string `yaml:"section,required"`
	// Homepage and Upstream are URLs: of the project, and of its source code.
	Homepage string `yaml:"homepage,required"`
	Upstream string `yaml:"upstream,required"`
	// License is the name of a file in the folder licenses, an SPDX identifier. Copyright names the holder, with years. Both
	// are those of all files but the ones of Licenses.
	License   string    `yaml:"license,required"`
	Copyright string    `yaml:"copyright,required"`
	Licenses  []License `yaml:"licenses"`
	// Maintainer is a name and an address, Vendor what rpm and zypper call the distributor.
	Maintainer string `yaml:"maintainer,required"`
	Vendor     string `yaml:"vendor"`
	// Words are placeholders of this definition, with a value for each format.
	Words map[string]Word `yaml:"words"`
	// Relations to other packages.
	Requires   []Relation `yaml:"requires"`
	Recommends []Relation `yaml:"recommends"`
	Suggests   []Relation `yaml:"suggests"`
	Conflicts  []Relation `yaml:"conflicts"`
	// Files are what is installed, Units the systemd units among them that the package takes care of.
	Files []File `yaml:"files,required"`
	Units []Unit `yaml:"units"`

	// local is the content of the package.yaml and of the files that Files name as Local, texts are those of the licenses by
	// their identifiers.
	local map[string][]byte
	texts map[string]string
}

// License is what some files of a package are under.
type License struct {
	At strict.Position
	// License and Copyright are as in a Definition.
	License   string `yaml:"license,required"`
	Copyright string `yaml:"copyright,required"`
	// Files are paths of files of the definition, as they are written there.
	Files []string `yaml:"files,required"`
}

// Word is a placeholder's value in each format.
type Word struct {
	Deb string `yaml:"deb,required"`
	Rpm string `yaml:"rpm,required"`
}

// Relation is another package, in the versions of this one for which the relation holds.
type Relation struct {
	At strict.Position
	// Name is the other package's name in both formats; or Deb and Rpm are, and one that is empty has no relation.
	Name string `yaml:"name"`
	Deb  string `yaml:"deb"`
	Rpm  string `yaml:"rpm"`
	// AtLeast is the oldest version of the other package, or empty.
	AtLeast string `yaml:"at-least"`
	// Versions are those of this package.
	Versions Range `yaml:"versions"`
}

// name is the other package's name in a format.
func (r Relation) name(f Format) string {
	switch {
	case r.Name != "":
		return r.Name
	case f == Deb:
		return r.Deb
	}
	return r.Rpm
}

// File is a file, a directory or a symbolic link of a package, or all members of an archive that match a pattern. One of
// Local, From, Link and Directory is set.
type File struct {
	At strict.Position
	// Path is where it is installed.
	Path string `yaml:"path,required"`
	// Formats have the file; none stands for all.
	Formats []Format `yaml:"formats"`
	// Mode is the permission bits in octal; by default 0755 for binaries and directories, 0644 for other files.
	Mode Mode `yaml:"mode"`
	// Local is a file beside the package.yaml. Template replaces placeholders in it.
	Local    string `yaml:"local"`
	Template bool   `yaml:"template"`
	// Gzip compresses a text, such as a manual page, of at most a megabyte.
	Gzip bool `yaml:"gzip"`
	// From is a file of the release, a path below the folder of the version, or with a slash in front below that of the
	// source. If it ends in .tar.gz or .tgz, Member is a pattern for the names of the members meant, and Except are
	// patterns for those of them that are not.
	From   string   `yaml:"from"`
	Member string   `yaml:"member"`
	Except []string `yaml:"except"`
	// Binary demands an executable for the package's architecture.
	Binary bool `yaml:"binary"`
	// Link is where a symbolic link leads.
	Link string `yaml:"link"`
	// Directory makes an empty directory, or owns one.
	Directory bool `yaml:"directory"`
	// Config, Doc and License mark a conffile or %config(noreplace), %doc and %license.
	Config  bool `yaml:"config"`
	Doc     bool `yaml:"doc"`
	License bool `yaml:"license"`
}

// in tells whether the package of format f has the file.
func (f File) in(format Format) bool {
	for _, other := range f.Formats {
		if other == format {
			return true
		}
	}
	return len(f.Formats) == 0
}

// archive tells whether the file comes out of a tarball.
func (f File) archive() bool {
	return strings.HasSuffix(f.From, ".tar.gz") || strings.HasSuffix(f.From, ".tgz")
}

func (f File) mode() uint32 {
	switch {
	case f.Mode != 0:
		return uint32(f.Mode)
	case f.Directory || f.Binary || f.Link != "":
		return 0o755
	}
	return 0o644
}

// Mode is the permission bits of a file. The zero value is none given.
type Mode uint32

// UnmarshalText reads a mode such as 0755.
func (m *Mode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 12)
	if err != nil || len(text) != 4 || text[0] != '0' || n == 0 {
		return fmt.Errorf("%q is not a mode: expected four octal digits like 0755, without special bits", text)
	}
	*m = Mode(n)
	return nil
}

// Unit is a systemd unit that is enabled as the system's presets say when the package is installed, and stopped and
// disabled when it is removed. It is never started by the package.
type Unit struct {
	At strict.Position
	// Name is the unit's file in /usr/lib/systemd/system.
	Name string `yaml:"name,required"`
	// OnUpgrade says what an upgrade does to the unit: keep (the default) lets it run as it is, try-restart restarts it
	// if it runs.
	OnUpgrade UpgradeAction `yaml:"on-upgrade"`
}

// UpgradeAction is what happens to a unit in an upgrade.
type UpgradeAction string

const (
	Keep       UpgradeAction = "keep"
	TryRestart UpgradeAction = "try-restart"
)

// UnmarshalText reads keep or try-restart.
func (a *UpgradeAction) UnmarshalText(text []byte) error {
	if s := UpgradeAction(text); s != Keep && s != TryRestart {
		return fmt.Errorf("unknown action %q: expected keep or try-restart", text)
	}
	*a = UpgradeAction(text)
	return nil
}

// unitDir is where units lie in both formats. Debian's packages of Kubernetes had them in /lib/systemd/system, which on
// every Debian and Ubuntu that is supported today is another name for the same directory; dpkg notices that the old
// path leads to the new file and leaves it alone. Lintian and Debian 13 want this one.
const unitDir = "/usr/lib/systemd/system/"

// Default is the definitions that are part of this program.
func Default() (Definitions, error) {
	sub, err := fs.Sub(embedded, "definitions")
	if err != nil {
		return nil, err
	}
	return Load(sub)
}
