// Package verify reads a stream as a client does and says what is wrong with it.
//
// It starts where apt, dnf and zypper start, at the pointers InRelease, repomd.xml and mirrorlist, believes nothing that
// no trusted key has signed, and follows digests from there to every package:
//
//	InRelease -signature-> Release fields -digest-> Packages, Packages.gz, by-hash -digest-> .deb
//	repomd.xml + .asc -signature-> primary, filelists, other, updateinfo -digest-> .rpm -signature-> its header -digest-> its payload
//	mirrorlist -> the same for the immutable snapshot that it names
//
// It shares the names in [sigs.k8s.io/pkgs/repo/layout] and the verification of signatures with the publisher and
// nothing else: neither HEAD nor the manifest are looked at, and the indexes are read by other parsers than those that
// wrote them. So it finds what a publisher would be blind to, and runs against any mirror.
//
// What is wrong is a [Finding] that names an object, and all that can be found is reported, not only the first; an error
// means that the check itself could not be made.
package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/sign"
)

// Source is where published objects are read from: see [FromBucket] and [FromURL].
type Source interface {
	// Open starts reading an object. The error of one that does not exist matches ErrMissing.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// String is the source's address.
	String() string
}

// ErrMissing is matched by a Source's error for an object that does not exist.
var ErrMissing = errors.New("is missing")

// Config is what a check works with.
type Config struct {
	Source Source
	// Keyring holds the keys that a user trusts.
	Keyring *keys.Keyring
	// Now is the time at which signatures and dates must hold.
	Now time.Time
	// KeyringPackage is the name of the package that brings users the keys; empty if there is none. The newest in the stream is
	// looked into.
	KeyringPackage string
	// Packages selects the package files to read, by object name; nil is all of them.
	Packages func(name string) bool
	// Parallel is how many packages are read at once; 0 is 8.
	Parallel int
	// Progress is called after each package that was read, if it is not nil; never by two goroutines at a time.
	Progress func(done, total int, bytes int64)
}

// Report is the result of checking one stream.
type Report struct {
	Stream layout.Stream `json:"stream"`
	Source string        `json:"source"`
	// Date and ValidUntil are those of the apt index.
	Date       time.Time `json:"date"`
	ValidUntil time.Time `json:"validUntil"`
	// SignedBy are the fingerprints of the keys that signed the indexes.
	SignedBy []string `json:"signedBy"`
	// Debs and Rpms count the packages that the indexes name, Read and Bytes those whose files were read.
	Debs     int       `json:"debs"`
	Rpms     int       `json:"rpms"`
	Read     int       `json:"read"`
	Bytes    int64     `json:"bytes"`
	Findings []Finding `json:"findings"`
}

// Finding is one thing that is wrong with a published object.
type Finding struct {
	Object  string `json:"object"`
	Problem string `json:"problem"`
}

func (f Finding) String() string { return f.Object + ": " + f.Problem }

// DamageError is a report with findings, as an error.
type DamageError struct{ Report *Report }

func (e *DamageError) Error() string {
	n := len(e.Report.Findings)
	if n == 1 {
		return fmt.Sprintf("stream %s in %s is damaged: %s", e.Report.Stream, e.Report.Source, e.Report.Findings[0])
	}
	return fmt.Sprintf("stream %s in %s is damaged in %d places, first: %s", e.Report.Stream, e.Report.Source, n, e.Report.Findings[0])
}

// Err returns nil for a report without findings and a [*DamageError] otherwise.
func (r *Report) Err() error {
	if len(r.Findings) == 0 {
		return nil
	}
	return &DamageError{r}
}

// maxIndex bounds what is read of an index, packed or unpacked, in bytes.
const maxIndex = 1 << 30

// check is one run of Stream.
type check struct {
	Config
	stream layout.Stream

	mu       sync.Mutex
	report   *Report          // guarded by mu
	packages map[string]claim // by object name; written before packages are read
	nevras   map[string]nevra // of rpms, likewise
	deb      *packaged        // the newest keyring package, likewise; nil if there is none
}

// claim is what a signed index says of a package file.
type claim struct {
	size   int64
	sha256 string
}

// Stream checks one stream. The error is nil however damaged the stream is: see [Report.Err].
func Stream(ctx context.Context, cfg Config, stream layout.Stream) (*Report, error) {
	if cfg.Parallel == 0 {
		cfg.Parallel = 8
	}
	c := &check{Config: cfg, stream: stream, packages: map[string]claim{}, nevras: map[string]nevra{}}
	c.report = &Report{Stream: stream, Source: cfg.Source.String(), SignedBy: []string{}, Findings: []Finding{}}
	for _, step := range []func(context.Context) error{c.apt, c.yum, c.mirrorlist, c.packagedKeys, c.files} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(c.report.Findings, func(a, b Finding) int { return strings.Compare(a.String(), b.String()) })
	return c.report, nil
}

// maxListing is the size of the largest streams.json that is read, in bytes.
const maxListing = 16 << 20

// Listed lists the streams that a source says it has, in streams.json; none if that is missing. Nobody has signed it.
func Listed(ctx context.Context, source Source) ([]layout.Stream, error) {
	r, err := source.Open(ctx, layout.Streams)
	if errors.Is(err, ErrMissing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var list struct {
		Streams []struct {
			Stream layout.Stream `json:"stream"`
		} `json:"streams"`
	}
	data, err := io.ReadAll(io.LimitReader(r, maxListing))
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %w", layout.Streams, source, err)
	}
	var streams []layout.Stream
	for _, s := range list.Streams {
		streams = append(streams, s.Stream)
	}
	return streams, nil
}

// Published tells whether a source has anything of a stream that a client would begin with.
func Published(ctx context.Context, source Source, stream layout.Stream) (bool, error) {
	for _, name := range []string{stream.Deb(layout.InRelease), stream.Rpm(layout.Repomd)} {
		r, err := source.Open(ctx, name)
		if err == nil {
			return true, r.Close()
		}
		if !errors.Is(err, ErrMissing) {
			return false, err
		}
	}
	return false, nil
}

// found notes that something is wrong.
func (c *check) found(object, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Findings = append(c.report.Findings, Finding{object, fmt.Sprintf(format, args...)})
}

// get reads a piece of metadata whole. That it is missing is a finding, and data is nil then.
func (c *check) get(ctx context.Context, name string) (data []byte, err error) {
	r, err := c.Source.Open(ctx, name)
	if err == nil {
		defer r.Close()
		data, err = io.ReadAll(io.LimitReader(r, maxIndex+1))
	}
	if errors.Is(err, ErrMissing) {
		c.found(name, "is missing")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(data) > maxIndex {
		c.found(name, "is larger than %d bytes", maxIndex)
		return nil, nil
	}
	return data, nil
}

// getExact reads a piece of metadata that must have a size and digest. data is nil when it has others.
func (c *check) getExact(ctx context.Context, name string, want claim) ([]byte, error) {
	data, err := c.get(ctx, name)
	if data == nil || err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	if got := (claim{int64(len(data)), hex.EncodeToString(sum[:])}); !c.matches(name, got, want) {
		return nil, nil
	}
	return data, nil
}

// matches compares what an object is with what a signed index claims.
func (c *check) matches(name string, got, want claim) bool {
	switch {
	case got.size != want.size:
		c.found(name, "has %d bytes, the index says %d", got.size, want.size)
	case got.sha256 != want.sha256:
		c.found(name, "has SHA-256 %s, the index says %s", got.sha256, want.sha256)
	default:
		return true
	}
	return false
}

// claims notes what an index says of a package. Two indexes that say different things of one file are a finding.
func (c *check) claims(index, name string, want claim) {
	if len(want.sha256) != sha256.Size*2 {
		c.found(index, "gives no SHA-256 for %s", name)
		return
	}
	if other, ok := c.packages[name]; ok && other != want {
		c.found(index, "and another index give %s different sizes or digests", name)
	}
	c.packages[name] = want
}

// signedBy notes whose signatures were verified.
func (c *check) signedBy(signatures []sign.Signature) {
	for _, s := range signatures {
		if !slices.Contains(c.report.SignedBy, s.Key.Fingerprint) {
			c.report.SignedBy = append(c.report.SignedBy, s.Key.Fingerprint)
		}
	}
}

// key checks a published key file.
func (c *check) key(ctx context.Context, name string) error {
	data, err := c.get(ctx, name)
	if data == nil || err != nil {
		return err
	}
	return c.givenKeys(name, data)
}

// givenKeys checks that a keyring for users has every key that signed, and none that is not trusted: users who are given
// that would believe whatever it signs from then on.
func (c *check) givenKeys(name string, data []byte) error {
	published, err := keys.ParseKeyring(name, data)
	if err != nil {
		c.found(name, "%v", err)
		return nil
	}
	for _, fingerprint := range c.report.SignedBy {
		if !published.Holds(fingerprint) {
			c.found(name, "lacks the key %s, which signed the index", fingerprint)
		}
	}
	for _, k := range published.Keys() {
		if !c.Keyring.Holds(k.Fingerprint) {
			c.found(name, "gives users the key %s, which is not among those to trust", k.Fingerprint)
		}
	}
	return nil
}

// files reads the package files.
func (c *check) files(ctx context.Context) error {
	var names []string
	for name := range c.packages {
		if c.Packages == nil || c.Packages(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.Parallel)
	for _, name := range names {
		group.Go(func() error {
			n, err := c.file(ctx, name, c.packages[name])
			if err != nil {
				return err
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.report.Read++
			c.report.Bytes += n
			if c.Progress != nil {
				c.Progress(c.report.Read, len(names), c.report.Bytes)
			}
			return nil
		})
	}
	return group.Wait()
}

// file reads one package file.
func (c *check) file(ctx context.Context, name string, want claim) (int64, error) {
	r, err := c.Source.Open(ctx, name)
	if errors.Is(err, ErrMissing) {
		c.found(name, "is missing, and the index names it")
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer r.Close()
	whole := sha256.New()
	// One byte more than claimed shows that a file is too long, without reading all of what may be a very long one.
	in := io.TeeReader(io.LimitReader(r, want.size+1), whole)
	var n int64
	if strings.HasSuffix(name, ".rpm") {
		n, err = c.rpm(name, in, want.size)
	} else {
		n, err = io.Copy(io.Discard, in)
	}
	if err != nil {
		return n, fmt.Errorf("read %s: %w", name, err)
	}
	if n > want.size {
		c.found(name, "is longer than the %d bytes that the index says", want.size)
		return n, nil
	}
	c.matches(name, claim{n, hex.EncodeToString(whole.Sum(nil))}, want)
	return n, nil
}
