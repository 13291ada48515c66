package apt

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// sorted returns packages in the order of an index. Two packages that a client could not tell apart, or two of one file
// name, are an error.
func sorted(packages []*Package) ([]*Package, error) {
	list := slices.Clone(packages)
	slices.SortFunc(list, compare)
	filenames := make(map[string]bool, len(list))
	for i, p := range list {
		if filenames[p.Filename] {
			return nil, fmt.Errorf("%s: the file name is there twice", p.Filename)
		}
		filenames[p.Filename] = true
		if i == 0 {
			continue
		}
		before := list[i-1]
		if before.Name == p.Name && before.Architecture == p.Architecture &&
			CompareVersions(before.Version, p.Version) == 0 {
			return nil, fmt.Errorf("%s and %s are both %s %s of %s: remove one, apt cannot tell them apart",
				before.Filename, p.Filename, p.Name, p.Version, p.Architecture)
		}
	}
	return list, nil
}

func compare(a, b *Package) int {
	if a.Name != b.Name {
		return cmp.Compare(a.Name, b.Name) // versions take longer to compare
	}
	return cmp.Or(CompareVersions(a.Version, b.Version), cmp.Compare(a.Architecture, b.Architecture),
		cmp.Compare(a.Filename, b.Filename))
}

// writePackages writes a Packages file of packages in the order given. Each stanza is read back on the way: what comes
// out is what ParsePackages takes.
func writePackages(packages []*Package) ([]byte, error) {
	size := 0
	for _, p := range packages {
		size += len(p.Stanza) + 1
	}
	data := make([]byte, 0, size)
	for _, p := range packages {
		if err := p.check(); err != nil {
			return nil, &Error{File: p.Filename, Err: err}
		}
		data = append(append(data, p.Stanza...), '\n')
	}
	return data, nil
}

// check tells whether the package is one that ReadPackage could have made.
func (p *Package) check() error {
	if p.isAsRead() {
		return nil
	}
	back, err := Strict.parseStanza(p.Stanza)
	if err != nil {
		return fmt.Errorf("stanza: %w", err)
	}
	if !same(back, p) {
		return errors.New("the stanza describes another package than the fields beside it")
	}
	return nil
}

func same(a, b *Package) bool {
	return a.Name == b.Name && a.Version == b.Version && a.Architecture == b.Architecture && a.Filename == b.Filename &&
		a.Size == b.Size && a.SHA256 == b.SHA256 && a.Depends == b.Depends && a.Provides == b.Provides && a.Section == b.Section
}

// ParsePackages reads a Packages file that Index wrote and returns the packages in its order: equal to those that Index
// was given. The stanzas point into data, which must not change. The error names the line where the file is not what
// Index writes.
func ParsePackages(data []byte) (packages []*Package, err error) {
	return Strict.ParsePackages(data)
}

// ParsePackages is the function ParsePackages with this grammar.
func (g Grammar) ParsePackages(data []byte) (packages []*Package, err error) {
	defer refusal.Recover("Packages", &err)
	line := func(at int) int { return 1 + bytes.Count(data[:at], []byte("\n")) }
	ends := []int{0} // of the stanzas and of the empty lines behind them
	for at := 0; at < len(data); {
		n := bytes.Index(data[at:], []byte("\n\n"))
		if n < 0 {
			return nil, fmt.Errorf("stanza at line %d: no empty line ends it", line(at))
		}
		at += n + 2
		ends = append(ends, at)
	}
	packages = make([]*Package, len(ends)-1)
	err = refusal.Each(len(packages), func(i int) (err error) {
		at, end := ends[i], ends[i+1]-1
		if packages[i], err = g.parseStanza(data[at:end:end]); err != nil {
			return fmt.Errorf("stanza at line %d: %w", line(at), err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	list, err := sorted(packages)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i] != packages[i] {
			return nil, fmt.Errorf("%s stands before %s: not in the order that this program writes",
				packages[i].Filename, list[i].Filename)
		}
	}
	return packages, nil
}
