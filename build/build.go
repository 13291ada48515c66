package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/build/deb"
	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/build/rpm"
)

// Config is what all packages of a run have in common.
type Config struct {
	Definitions Definitions
	// Sources are the places where releases lie, by the names that definitions use.
	Sources map[string]*release.Source
	// Compressor makes the payloads. Its cache is what deb and rpm share, so it should have one.
	Compressor *payload.Compressor
	// HeaderSigner signs the rpms. Nil leaves them unsigned.
	HeaderSigner rpm.HeaderSigner
	// SigningKey is the fingerprint of the key with which HeaderSigner signs, for the provenance of rpms.
	SigningKey string
	// SignedNotBefore is the earliest time that a signature may carry: when the key was made. Signatures carry the date
	// of the release, or this if it is later.
	SignedNotBefore time.Time
	// OutDir gets the packages, as deb/<architecture>/<file> and rpm/<architecture>/<file>, and beside each its SBOM
	// (<file>.spdx.json) and provenance (<file>.intoto.json).
	OutDir string
	// SourceDate is the date that packages carry. Zero stands for that of the newest file of the release that is in the
	// package.
	SourceDate time.Time
	// Jobs is how many requests are worked on at once; 0 stands for twice GOMAXPROCS. They share the Compressor, so more of
	// them need hardly more memory, and some can compress while others read.
	Jobs int
	// Log gets a line for each package. Nil stands for silence.
	Log *slog.Logger
	// BuilderVersion is the version of this program that attestations name. Empty stands for devel.
	BuilderVersion string
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
	// SBOM and Provenance are the files beside it that say what is in it and how it was made.
	SBOM, Provenance string
}

// PreflightError says what requests need and do not find.
type PreflightError struct {
	// Errs has one error for each thing that is missing.
	Errs []error
}

func (e *PreflightError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "nothing has been built, for the release is not complete (%d missing or unusable):", len(e.Errs))
	for _, err := range e.Errs {
		b.WriteString("\n  " + err.Error())
	}
	return b.String()
}

func (e *PreflightError) Unwrap() []error { return e.Errs }

// lookups is how many files are looked for at once, fetches the least number that is read at once. Both wait for servers
// and not for processors.
const (
	lookups = 8
	fetches = 4
)

// Preflight finds every input of every request and its checksum without reading it. What is missing is a
// [*PreflightError] that names all of it.
func Preflight(ctx context.Context, c Config, requests []Request) error {
	if err := c.check(requests); err != nil {
		return err
	}
	type input struct {
		source, path string
		version      release.Version
	}
	// Every input with the request that needs it.
	needed := map[input]Request{}
	for _, r := range requests {
		d := c.Definitions[r.Package]
		for _, path := range d.inputs(r) {
			needed[input{d.Source, path, r.Version}] = r
		}
	}
	all := slices.SortedFunc(maps.Keys(needed), func(a, b input) int { return strings.Compare(a.source+a.path, b.source+b.path) })
	errs := make([]error, len(all))
	var group errgroup.Group
	group.SetLimit(lookups)
	for i, in := range all {
		group.Go(func() error {
			_, errs[i] = c.Sources[in.source].Stat(ctx, in.version, in.path)
			if r := needed[in]; errs[i] != nil {
				errs[i] = fmt.Errorf("%s %s for %s: %w", r.Package, r.Version, r.Architecture.Go, errs[i])
			}
			return nil
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	if errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil }); len(errs) > 0 {
		return &PreflightError{errs}
	}
	return nil
}

// revisionForm is what dpkg and rpm both take, and no path.
var revisionForm = regexp.MustCompile(`^[0-9][A-Za-z0-9.+~]*$`)

// check says what of the requests cannot be built, whatever the release has.
func (c *Config) check(requests []Request) error {
	seen := map[string]bool{}
	for _, r := range requests {
		d, ok := c.Definitions[r.Package]
		switch {
		case !ok:
			return fmt.Errorf("there is no definition of the package %q: expected one of %s", r.Package, strings.Join(slices.Sorted(maps.Keys(c.Definitions)), ", "))
		case r.Version.IsZero():
			return fmt.Errorf("package %s: no version is given", r.Package)
		case !d.Versions.Contains(r.Version):
			return fmt.Errorf("package %s cannot be built in version %s: its definition is for versions %s (%s)", r.Package, r.Version, d.Versions, d.At)
		case c.Sources[d.Source] == nil:
			return fmt.Errorf("package %s needs the source %s, which is not configured", r.Package, d.Source)
		case r.Architecture == release.Architecture{}:
			return fmt.Errorf("package %s: no architecture is given", r.Package)
		}
		for _, f := range r.formats() {
			revision := r.DebRevision
			if f == Rpm {
				revision = r.RpmRelease
			}
			if !revisionForm.MatchString(revision) {
				return fmt.Errorf("package %s: %q cannot be the revision of a %s: expected a form like 1.1", r.Package, revision, f)
			}
			name := string(f) + "/" + r.FileName(f)
			if seen[name] {
				return fmt.Errorf("%s is requested twice", name)
			}
			seen[name] = true
		}
	}
	return nil
}

// Build makes the packages of all requests, in their order. It begins with [Preflight], then reads and checks all inputs,
// and only then writes: a release that lacks something or has something wrong in it fails before there is a package.
// Each package appears in OutDir whole or not at all.
func Build(ctx context.Context, c Config, requests []Request) ([]Package, error) {
	if c.Compressor == nil {
		return nil, errors.New("build: no compressor is given")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Jobs <= 0 {
		c.Jobs = 2 * runtime.GOMAXPROCS(0)
	}
	if err := Preflight(ctx, c, requests); err != nil {
		return nil, err
	}
	ready := make([]*prepared, len(requests))
	err := each(ctx, max(c.Jobs, fetches), requests, func(ctx context.Context, i int) (err error) {
		ready[i], err = prepare(ctx, c, requests[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	built := make([][]Package, len(requests))
	err = each(ctx, c.Jobs, requests, func(ctx context.Context, i int) (err error) {
		built[i], err = c.write(ctx, ready[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.Concat(built...), nil
}

// each works on several requests at once until one fails.
func each(ctx context.Context, jobs int, requests []Request, work func(ctx context.Context, i int) error) error {
	parent := ctx
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(jobs)
	for i := range requests {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return work(ctx, i)
		})
	}
	if err := group.Wait(); parent.Err() == nil {
		return err
	}
	return parent.Err()
}

// write makes the packages of one request, one after the other so that the second finds the compressed blocks of the first.
// The deb comes last: it begins with digests of its files, which are known when an rpm of them has been written.
func (c *Config) write(ctx context.Context, p *prepared) ([]Package, error) {
	formats := p.request.formats()
	built := make([]Package, len(formats))
	for i, format := range slices.Backward(formats) {
		file, err := c.writeFormat(ctx, p, format)
		if err != nil {
			return nil, err
		}
		c.Log.Info("built", "package", filepath.Base(file.Path), "bytes", file.Size)
		if c.Progress != nil {
			c.Progress(file)
		}
		built[i] = file
	}
	return built, nil
}

func (c *Config) writeFormat(ctx context.Context, p *prepared, format Format) (Package, error) {
	tree, err := p.tree(format)
	if err != nil {
		return Package{}, err
	}
	file := Package{Name: p.request.Package, Format: format, Path: filepath.Join(c.OutDir, string(format), filepath.FromSlash(p.request.FileName(format)))}
	if err := os.MkdirAll(filepath.Dir(file.Path), 0o755); err != nil {
		return Package{}, fmt.Errorf("cannot write packages: %w", err)
	}
	if format == Deb {
		meta := p.debMeta()
		file.Version, file.Architecture = meta.Version, meta.Architecture
		err = deb.WriteFile(ctx, file.Path, meta, tree, c.Compressor)
	} else {
		meta := p.rpmMeta()
		file.Version, file.Architecture = meta.Version+"-"+meta.Release, meta.Arch
		var signer rpm.HeaderSigner
		if c.HeaderSigner != nil {
			signer = laterSigner{c.HeaderSigner, c.SignedNotBefore}
		}
		err = rpm.WriteFile(ctx, file.Path, meta, tree, c.Compressor, signer)
	}
	if err != nil {
		return Package{}, err
	}
	if file.Size, file.SHA256, err = digest(file.Path); err == nil {
		err = c.attest(ctx, p, tree, &file)
	}
	if err != nil {
		// A package without its attestations is not whole.
		for _, name := range []string{file.Path, file.Path + sbomSuffix, file.Path + provenanceSuffix} {
			os.Remove(name)
		}
		return Package{}, err
	}
	return file, nil
}

// laterSigner signs with a date no earlier than notBefore.
type laterSigner struct {
	signer    rpm.HeaderSigner
	notBefore time.Time
}

func (s laterSigner) RPMHeader(ctx context.Context, header []byte, at time.Time) ([]byte, error) {
	if at.Before(s.notBefore) {
		at = s.notBefore
	}
	return s.signer.RPMHeader(ctx, header, at)
}

func digest(path string) (int64, [sha256.Size]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, [sha256.Size]byte{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return n, [sha256.Size]byte(h.Sum(nil)), err
}
