package layout

import (
	"path"
	"strings"
)

// PackageName is what the name of a package file tells: kubeadm_1.34.1-1.1_amd64.deb or kubeadm-1.34.1-1.1.x86_64.rpm.
// Architecture and Version are as the format writes them; Version is without Revision, which follows it.
type PackageName struct {
	Name, Version, Revision, Architecture string
	Format                                string // deb or rpm
}

// ParsePackageName takes the name of a package file apart; folders before it do not matter. It reads names as this program
// gives them, in which every part is there. Of any other name some parts are empty.
func ParsePackageName(name string) (p PackageName) {
	base := path.Base(name)
	p.Format = strings.TrimPrefix(path.Ext(base), ".")
	base = strings.TrimSuffix(base, "."+p.Format)
	// In a .deb's name a _ stands around the version, in an .rpm's a - before it and a dot behind it.
	before, behind := "_", "_"
	if p.Format == "rpm" {
		before, behind = "-", "."
	}
	base, p.Architecture = cutLast(base, behind)
	base, p.Revision = cutLast(base, "-")
	p.Name, p.Version = cutLast(base, before)
	return p
}

// cutLast cuts s around the last separator.
func cutLast(s, separator string) (before, after string) {
	if i := strings.LastIndex(s, separator); i >= 0 {
		return s[:i], s[i+len(separator):]
	}
	return s, ""
}
