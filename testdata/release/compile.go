package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// A compilation is one run of go build.
type compilation struct {
	folder   string   // of the module, below the source folder
	packages []string // import paths, or one path relative to folder
	out      string   // a file for one package, a folder ending in / for several
	arch     string
	cc       string // the C compiler, or empty for a static program without cgo
	ldflags  string // besides -s -w
	tags     string
}

// compile runs go build. The program it makes depends on the sources, the toolchain and cc alone.
func (m *maker) compile(c compilation) error {
	folder := filepath.Join(m.source, c.folder)
	out, err := filepath.Abs(c.out)
	if err != nil {
		return err
	}
	if c.out[len(c.out)-1] == '/' {
		out += "/"
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags=-s -w -buildid= " + c.ldflags,
		"-tags=" + c.tags, "-o", out}
	cmd := exec.Command("go", append(args, c.packages...)...)
	cmd.Dir = folder
	// The later of two values of one variable counts.
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+c.arch, "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0",
		"GOAMD64=v1", "GOARM64=v8.0", "GOPPC64=power8", "GOEXPERIMENT=")
	if c.cc != "" {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=1", "CC="+c.cc)
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint

	m.slots <- struct{}{}
	defer func() { <-m.slots }()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %v for %s: %w\n%s", c.packages, c.arch, err, &complaint)
	}
	return nil
}

// each calls f for every element at once (compile sees to it that not too many run) and returns the first error.
func each[T any](elements []T, f func(T) error) error {
	errs := make([]error, len(elements))
	var all sync.WaitGroup
	for i, e := range elements {
		all.Go(func() { errs[i] = f(e) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
