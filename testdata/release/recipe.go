package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// recipeName is the file in a version's folder that says what the version was made from. Upstream has no such file;
// nothing but this program reads it.
const recipeName = "MADE-FROM.txt"

// A recipe says, for people and for the next run, how a version was made. Versions whose recipes are the same bytes
// hold the same files.
type recipe []byte

func (m *maker) recipe(project string, v version, how string) recipe {
	r := fmt.Appendf(nil, "%s %s for %v, made for trying pkgs out, not by its project\n%s\n%s\n",
		project, v.Name, m.architectures, how, runtime.Version())
	// The modules and the sources that decide the bytes.
	files, _ := filepath.Glob(filepath.Join(m.source, "*.go"))
	for _, pattern := range []string{"standin/*.go", "cni/go.*", "kubernetes/go.*"} {
		more, _ := filepath.Glob(filepath.Join(m.source, pattern))
		files = append(files, more...)
	}
	slices.Sort(files)
	sum := sha256.New()
	for _, file := range files {
		data, _ := os.ReadFile(file) // one that cannot be read is found out by the build
		fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(file), len(data), data)
	}
	return fmt.Appendf(r, "source %x\n", sum.Sum(nil))
}

func (r recipe) madeAt(dir string) bool {
	made, err := os.ReadFile(filepath.Join(dir, recipeName))
	return err == nil && bytes.Equal(made, r)
}

func (r recipe) write(dir string) error {
	return os.WriteFile(filepath.Join(dir, recipeName), r, 0o644)
}
