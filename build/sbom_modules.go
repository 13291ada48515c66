package build

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strings"
)

// maxBuildInfo is how many bytes of a binary are read in search of its modules. The list of the kubelet has 20 kB and stands
// at the beginning of the data.
const maxBuildInfo = 64 << 20

// addModules adds the modules that the Go programs among the inputs were built from. ids are the identifiers of the installed
// files.
func (s *spdxDocument) addModules(p *prepared, format Format, ids map[string]string) error {
	known := map[string]string{}
	add := func(m debug.Module) string {
		key := m.Path + "@" + m.Version
		if known[key] == "" {
			known[key] = fmt.Sprintf("SPDXRef-Module-%d", len(known)+1)
			s.Packages = append(s.Packages, describeModule(known[key], m))
		}
		return known[key]
	}
	for _, f := range p.definition.Files {
		if f.From == "" || !f.in(format) {
			continue
		}
		inputs, err := p.inputsOf(f, format)
		if err != nil {
			return err
		}
		// The order must be that of the paths rather than that of a tarball.
		slices.SortFunc(inputs, func(a, b input) int { return strings.Compare(a.path, b.path) })
		for _, in := range inputs {
			info, err := goBuild(in.file.Path)
			if err != nil {
				return err
			}
			if info == nil {
				continue
			}
			if info.Main.Path != "" {
				s.relate(ids[in.path], "GENERATED_FROM", add(info.Main))
			}
			for _, m := range linked(info) {
				s.relate(ids[in.path], "STATIC_LINK", add(m))
			}
		}
	}
	return nil
}

// linked are the modules that a Go program is linked with: the standard library, and its dependencies as they were replaced.
func linked(info *debug.BuildInfo) []debug.Module {
	var all []debug.Module
	if version, ok := strings.CutPrefix(info.GoVersion, "go"); ok {
		// What follows a space names experiments of the compiler.
		version, _, _ = strings.Cut(version, " ")
		all = append(all, debug.Module{Path: "stdlib", Version: version})
	}
	for _, m := range info.Deps {
		// A module that was replaced by a folder is the one that is meant, only from elsewhere.
		if m.Replace != nil && m.Replace.Version != "" {
			m = m.Replace
		}
		all = append(all, *m)
	}
	return all
}

func describeModule(id string, m debug.Module) spdxPackage {
	// A program that was built in its source tree has this in place of a version.
	if m.Version == "(devel)" {
		m.Version = ""
	}
	folder, name := path.Split(strings.ToLower(m.Path)) // purls of Go are in lower case
	return spdxPackage{
		ID: id, Name: m.Path, Version: m.Version, Purpose: "LIBRARY", Supplier: noAssertion, DownloadLocation: noAssertion,
		LicenseConcluded: noAssertion, LicenseDeclared: noAssertion, Copyright: noAssertion,
		ExternalRefs: purlRef(packageURL("golang", strings.Trim(folder, "/"), name, m.Version, "")),
	}
}

// goBuild reads what the Go linker wrote into a program, or nil if it is none of Go's.
func goBuild(file string) (*debug.BuildInfo, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := readGoBuild(f)
	var disk *os.PathError
	if errors.As(err, &disk) {
		return nil, err
	}
	// What is damaged has no readable list of modules, which is all that is asked here.
	return info, nil
}

// readGoBuild reads the list of modules in a program of any bytes, in bounded time and memory.
func readGoBuild(r io.ReaderAt) (info *debug.BuildInfo, err error) {
	// debug/buildinfo does not promise to withstand what is damaged.
	defer func() {
		if v := recover(); v != nil {
			info, err = nil, fmt.Errorf("reading its build information fails: %v", v)
		}
	}()
	return buildinfo.Read(&boundedReader{r, maxBuildInfo})
}

// boundedReader ends when so many bytes have been read in all.
type boundedReader struct {
	r    io.ReaderAt
	left int
}

func (b *boundedReader) ReadAt(buf []byte, off int64) (int, error) {
	if len(buf) > b.left {
		return 0, io.ErrUnexpectedEOF
	}
	b.left -= len(buf)
	return b.r.ReadAt(buf, off)
}
