package build

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/build/rpm"
)

// debRelations are the relations that hold for v, in the words of a control file.
func (d *Definition) debRelations(list []Relation, v release.Version) []string {
	var found []string
	for _, r := range list {
		name := r.name(Deb)
		if name == "" || !r.Versions.Contains(v) {
			continue
		}
		if r.AtLeast != "" {
			name += " (>= " + r.AtLeast + ")"
		}
		found = append(found, name)
	}
	return found
}

// rpmRelations are the relations that hold for v.
func (d *Definition) rpmRelations(list []Relation, v release.Version) []rpm.Relation {
	var found []rpm.Relation
	for _, r := range list {
		name := r.name(Rpm)
		if name == "" || !r.Versions.Contains(v) {
			continue
		}
		relation := rpm.Relation{Name: name}
		if r.AtLeast != "" {
			relation.Op, relation.Version = rpm.GreaterEqual, r.AtLeast
		}
		found = append(found, relation)
	}
	return found
}

// glibc tells whether a shared library is part of the GNU C library, whose package is libc6 in Debian. Its dynamic linker
// can be named as a library, too.
func glibc(library string) bool {
	name, _, _ := strings.Cut(library, ".so")
	switch name {
	case "libc", "libpthread", "libdl", "libm", "librt", "libresolv", "libutil", "libanl":
		return true
	}
	return strings.HasPrefix(name, "ld-linux") || name == "ld64"
}

// checkLibraries says which libraries of a binary no automatic dependency can be made for.
func checkLibraries(b release.Binary) error {
	for _, library := range b.Libraries {
		if !glibc(library) {
			return fmt.Errorf("needs the shared library %s: expected a static binary or one that needs the GNU C library alone", library)
		}
	}
	if b.Interpreter != "" && !slices.ContainsFunc(b.Libraries, glibc) {
		return fmt.Errorf("is loaded by %s but names no C library: expected a static binary or one that needs the GNU C library", b.Interpreter)
	}
	return nil
}

// debLibraries is the dependency on the C library: the version from which on it has every symbol that the binaries use.
func debLibraries(binaries []release.Binary) []string {
	need, newest := false, ""
	for _, b := range binaries {
		if b.Static() {
			continue
		}
		need = true
		if release.CompareLibraryVersions(b.Glibc, newest) > 0 {
			newest = b.Glibc
		}
	}
	switch {
	case !need:
		return nil
	case newest == "":
		return []string{"libc6"}
	}
	return []string{"libc6 (>= " + newest + ")"}
}

// rpmLibraries are what rpm's own dependency generator makes of the binaries: a dependency on each library and on each
// set of symbols in it, libc.so.6(GLIBC_2.34)(64bit). All our architectures have 64 bits.
func rpmLibraries(binaries []release.Binary) []rpm.Relation {
	names := map[string]bool{}
	for _, b := range binaries {
		for _, library := range b.Libraries {
			names[library+"()(64bit)"] = true
		}
		for library, sets := range b.Symbols {
			for _, set := range sets {
				names[library+"("+set+")(64bit)"] = true
			}
		}
	}
	var found []rpm.Relation
	for _, name := range slices.Sorted(maps.Keys(names)) {
		found = append(found, rpm.Relation{Name: name})
	}
	return found
}
