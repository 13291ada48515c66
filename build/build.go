package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/build/rpm"
)

// Format is a kind of package.
type Format string

const (
	Deb Format = "deb"
	Rpm Format = "rpm"
)

// Definitions are package definitions by the names of their packages.
type Definitions map[string]*Definition

// Definition turns a release's files into packages.
type Definition struct {
	// Name is the package's name, Source the name of the source that its files come from.
	Name, Source string
}

// Load reads the definitions in fsys: one folder for each package, with a package.yaml and the files that it names.
func Load(fsys fs.FS) (Definitions, error) { return nil, errors.New("not written yet") }

// Default is the definitions that are part of this program.
func Default() (Definitions, error) { return nil, errors.New("not written yet") }

// Config is what all packages of a run have in common.
type Config struct {
	Definitions Definitions
	// Sources are the places where releases lie, by the names that definitions use.
	Sources map[string]*release.Source
	// Compressor makes the payloads. Its cache is what deb and rpm share, so it should have one.
	Compressor *payload.Compressor
	// HeaderSigner signs the rpms. Nil leaves them unsigned.
	HeaderSigner rpm.HeaderSigner
	// SignedNotBefore is the earliest time that a signature may carry: when the key was made. Signatures carry the date
	// of the release, or this if it is later.
	SignedNotBefore time.Time
	// OutDir gets the packages, as deb/<architecture>/<file> and rpm/<architecture>/<file>.
	OutDir string
	// SourceDate is the date that packages carry. Zero stands for that of the newest file of the release that is in the
	// package.
	SourceDate time.Time
	// Jobs is how many requests are worked on at once; 0 stands for GOMAXPROCS.
	Jobs int
	// Log gets a line for each package. Nil stands for silence.
	Log *slog.Logger
	// Progress, when set, is told of each package that is done, from any goroutine.
	Progress func(Package)
}

// Request asks for one package in the formats wanted.
type Request struct {
	// Package is the name of a definition.
	Package string
	Version release.Version
	// DebRevision and RpmRelease follow the version: 1.1 and 150500.1.1.
	DebRevision, RpmRelease string
	Architecture            release.Architecture
	// Formats wanted; none stands for both.
	Formats []Format
}

// Package is a package file that has been written.
type Package struct {
	// Name, Version (with revision: 1.34.1-1.1), Format and Architecture (in the words of the format) identify it.
	Name, Version string
	Format        Format
	Architecture  string
	// Path is where it lies.
	Path   string
	Size   int64
	SHA256 [sha256.Size]byte
}

// Preflight finds every input of every request without reading it, and says in one error all that is missing.
func Preflight(ctx context.Context, c Config, requests []Request) error {
	return errors.New("not written yet")
}

// Build makes the packages of all requests. It begins with [Preflight], so that a release that lacks something fails before
// anything is written. Each package appears in OutDir whole or not at all.
func Build(ctx context.Context, c Config, requests []Request) ([]Package, error) {
	return nil, errors.New("not written yet")
}
