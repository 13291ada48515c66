package yum

import (
	"errors"
	"fmt"
	"iter"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// Notice is an Advisory as people write it. Its Packages are empty; Named are the names of packages, each a
// name-version-release for all architectures, or with .arch behind it for one. An epoch, if there is one, stands before the
// version: kubelet-1.35.1-1.1, kubelet-1:1.35.1-1.1.x86_64.
type Notice struct {
	Advisory
	Named []string
}

var namedForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]*-([0-9]+:)?[A-Za-z0-9][A-Za-z0-9._+~^]*-[A-Za-z0-9][A-Za-z0-9._+~^]*$`)

// Check tells what is wrong with a notice before it is known which packages there are.
func (n *Notice) Check() error {
	err := n.checkTexts()
	switch {
	case err != nil:
	case len(n.Packages) > 0:
		err = errors.New("packages are named, not given")
	case len(n.Named) == 0:
		err = errors.New("packages is empty: name those that fix it")
	}
	for _, name := range n.Named {
		if err == nil && !namedForm.MatchString(name) {
			err = fmt.Errorf("package %q: write name-version-release or name-version-release.arch", refusal.Shorten(name))
		}
	}
	if err != nil {
		return fmt.Errorf("advisory %s: %w", refusal.Shorten(n.ID), err)
	}
	return nil
}

// SplitNamed takes the name and the version out of a name in a Notice; both are empty if it has not the form of one.
func SplitNamed(named string) (name, version string) {
	if !namedForm.MatchString(named) {
		return "", ""
	}
	rest := named[:strings.LastIndexByte(named, '-')]
	i := strings.LastIndexByte(rest, '-')
	_, version, epoch := strings.Cut(rest[i+1:], ":")
	if !epoch {
		version = rest[i+1:]
	}
	return rest[:i], version
}

// Unmet is a name in a Notice that no package has.
type Unmet struct{ ID, Named string }

func (u Unmet) String() string {
	return fmt.Sprintf("advisory %s: there is no package %s", u.ID, u.Named)
}

// Resolve makes advisories of notices, about those of the packages that each of them names, in the order of its names and
// then of the packages. A notice that names none of them makes no advisory.
func Resolve(notices []Notice, packages iter.Seq[AdvisedPackage]) (advisories []Advisory, unmet []Unmet) {
	called := map[string][]AdvisedPackage{}
	for _, n := range notices {
		for _, name := range n.Named {
			called[name] = nil
		}
	}
	if len(called) > 0 {
		for p := range packages {
			for _, name := range p.names() {
				if list, ok := called[name]; ok {
					called[name] = append(list, p)
				}
			}
		}
	}
	for _, n := range notices {
		a := n.Advisory
		a.Packages = nil
		for _, name := range n.Named {
			if len(called[name]) == 0 {
				unmet = append(unmet, Unmet{n.ID, name})
			}
			for _, p := range called[name] {
				if !slices.Contains(a.Packages, p) {
					a.Packages = append(a.Packages, p)
				}
			}
		}
		if len(a.Packages) > 0 {
			advisories = append(advisories, a)
		}
	}
	return advisories, unmet
}

// names are what people may call the package.
func (p *AdvisedPackage) names() []string {
	version := p.Version + "-" + p.Release
	full := p.Name + "-" + p.Epoch + ":" + version
	list := []string{full, full + "." + p.Arch}
	if p.Epoch == "0" {
		short := p.Name + "-" + version
		list = append(list, short, short+"."+p.Arch)
	}
	return list
}

// Advised is the package as an advisory names it.
func (p *Package) Advised() AdvisedPackage {
	return AdvisedPackage{Name: p.Name, Epoch: p.Epoch, Version: p.Version, Release: p.Release, Arch: p.Arch, File: path.Base(p.Href)}
}
