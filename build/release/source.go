package release

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/pkgs/build/release/sigstore"
)

// maxFile is the size of the largest file of a release that is accepted, in bytes.
const maxFile = 2 << 30

// Config says where releases come from.
type Config struct {
	// Name is how package definitions and errors call the source: kubernetes, cri-tools, cni-plugins.
	Name string
	// URL is the place below which the releases lie: an http or https URL, a file URL or the path of a directory, or the
	// gs:// or s3:// address of a bucket as package bucket describes it.
	URL string
	// Layout says where below URL each release lies.
	Layout Layout
	// Cache is a directory for verified files, named by their SHA-256. It is made when missing.
	Cache string
	// Signatures, when set, is what every file must be signed for. Nil asks for none.
	Signatures *sigstore.Verifier
	// Client makes the HTTP requests. Nil stands for one with time limits for connecting and answering that does not
	// follow a redirection from https to http. Either way a body that stops arriving is given up after a minute.
	Client *http.Client
	// UserAgent is who asks. Empty stands for the name of this program.
	UserAgent string
	// Backoff is how long to wait before a failed request is made again, doubled for each of the up to four attempts;
	// 0 stands for a second.
	Backoff time.Duration
	// Log gets retries and downloads. Nil stands for silence.
	Log *slog.Logger
	// Progress, when set, is told how a file is getting on, for every megabyte, from any goroutine.
	Progress func(Progress)
}

// Progress tells how far a file has been read from its source.
type Progress struct {
	Source, Version, Path string
	// Done and Total are bytes. Total is -1 while it is unknown. Done == Total is told once, last.
	Done, Total int64
}

// place is where the files of a source lie. The errors of its methods name the file, and are fs.ErrNotExist if there is
// none by that name.
type place interface {
	// url is what messages call the file name.
	url(name string) string
	// stat finds the file.
	stat(ctx context.Context, name string) (found, error)
	// read gives the content of the file to copy, and more than once if a connection breaks.
	read(ctx context.Context, name string, copy func(io.Reader, found) error) error
	// folders lists the names of the folders in parent, which is empty or ends in a slash. It may be [ErrNoListing].
	folders(ctx context.Context, parent string) ([]string, error)
}

// found is what a place knows of a file before reading it: its size, or -1, and when it was changed, or the zero time.
type found struct {
	size     int64
	modified time.Time
}

// Source is a place where releases lie. Its methods may be called from several goroutines at once.
type Source struct {
	config Config
	layout Layout
	place  place
	cache  cache

	mu sync.Mutex
	// lists are the checksum lists read so far by their names; guarded by mu.
	lists map[string]map[string]string
}

// Open prepares a source. Nothing is read yet, but a URL or a layout that cannot be right or a folder that is not there is an
// error.
func Open(ctx context.Context, c Config) (*Source, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Cache == "" {
		return nil, fmt.Errorf("source %s: no cache directory is set", c.Name)
	}
	s := &Source{config: c, cache: cache{c.Cache}, lists: map[string]map[string]string{}}
	var err error
	switch scheme, _, _ := strings.Cut(c.URL, "://"); scheme {
	case "http", "https":
		s.place, err = openWeb(c)
	case "gs", "s3":
		s.place, err = openBucket(c)
	default:
		s.place, err = openFolder(c.URL)
	}
	if err == nil {
		s.layout, err = c.Layout.complete()
	}
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", c.Name, err)
	}
	return s, nil
}

// Name is how package definitions call the source.
func (s *Source) Name() string { return s.config.Name }

// Entry is a file of a release that has been found but not yet read.
type Entry struct {
	// URL is where it lies, for messages and provenance.
	URL string
	// Size in bytes, or -1 when the source does not say. Modified is when it was last changed, if the source says so.
	Size     int64
	Modified time.Time
	// Checksum is the digest that the release promises, in lower-case hex, Algorithm what it is (sha256 or sha512) and
	// ChecksumURL where it was read.
	Checksum, Algorithm, ChecksumURL string

	// evidence is the file's signature where the source demands one.
	evidence *evidence
}

// Stat finds a file of a release, its checksum and, where the source demands one, its signature. A path lies below the folder
// of the release, or with a slash in front among the files that versions share. An error for which errors.Is(err, fs.ErrNotExist) tells
// that the release has no such file, or no checksum or signature for it; a signature that is not good is a [*SignatureError].
func (s *Source) Stat(ctx context.Context, v Version, path string) (Entry, error) {
	if v.IsZero() {
		return Entry{}, fmt.Errorf("source %s: no version given for %s", s.config.Name, path)
	}
	folder, path := s.layout.split(v, path)
	if err := checkName(path); err != nil {
		return Entry{}, fmt.Errorf("source %s: %w", s.config.Name, err)
	}
	name := folder + path
	f, err := s.place.stat(ctx, name)
	if err != nil {
		return Entry{}, fmt.Errorf("source %s: %w", s.config.Name, err)
	}
	if f.size > maxFile {
		return Entry{}, fmt.Errorf("source %s: %s has %d bytes: expected at most %d", s.config.Name, s.place.url(name), f.size, int64(maxFile))
	}
	e := Entry{URL: s.place.url(name), Size: f.size, Modified: f.modified}
	if err := s.findChecksum(ctx, folder, path, &e); err != nil {
		return Entry{}, fmt.Errorf("source %s: %w", s.config.Name, err)
	}
	if err := s.findSignature(ctx, name, &e); err != nil {
		return Entry{}, fmt.Errorf("source %s: %w", s.config.Name, err)
	}
	return e, nil
}

// findChecksum fills in the checksum of e, the file at path in folder.
func (s *Source) findChecksum(ctx context.Context, folder, path string, e *Entry) error {
	var tried []string
	for _, p := range checksumPlaces {
		var digest, from string
		var err error
		if p.list == "" {
			from = folder + path + p.suffix
			var data []byte
			if data, err = s.readSmall(ctx, from, maxChecksumFile); err == nil {
				digest, err = parseChecksum(s.place.url(from), p.algorithm, path, data)
			}
		} else {
			from = folder + p.list
			var digests map[string]string
			if digests, err = s.list(ctx, from, p.algorithm); err == nil && digests[path] == "" {
				err = fs.ErrNotExist
			}
			digest = digests[path]
		}
		if errors.Is(err, fs.ErrNotExist) {
			tried = append(tried, p.suffix+p.list)
			continue
		}
		if err != nil {
			return err
		}
		e.Checksum, e.Algorithm, e.ChecksumURL = digest, p.algorithm, s.place.url(from)
		return nil
	}
	return fmt.Errorf("%s has no checksum (tried %s): %w", e.URL, strings.Join(tried, ", "), fs.ErrNotExist)
}

// list reads a list of checksums, once.
func (s *Source) list(ctx context.Context, name, algorithm string) (map[string]string, error) {
	s.mu.Lock()
	digests, ok := s.lists[name]
	s.mu.Unlock()
	if ok {
		return digests, nil
	}
	data, err := s.readSmall(ctx, name, maxChecksumList)
	if err != nil {
		return nil, err
	}
	if digests, err = parseChecksums(s.place.url(name), algorithm, data); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists[name] = digests
	return digests, nil
}

// readSmall reads a file that has at most limit bytes.
func (s *Source) readSmall(ctx context.Context, name string, limit int64) ([]byte, error) {
	data, _, err := s.readText(ctx, name, limit)
	return data, err
}

// File is a verified file in the cache.
type File struct {
	// Path is where it lies on this machine.
	Path   string
	Size   int64
	SHA256 [sha256.Size]byte
	// Modified is when the source says that it was last changed; the zero time if it does not say.
	Modified time.Time
	// URL is where it came from.
	URL string
	// Signature tells who has signed it; nil if the source does not ask for signatures.
	Signature *Signature
}

// Fetch brings a file of a release into the cache. Before it becomes visible there, the file is compared with the checksum
// that the release has for it, where a difference is a [*ChecksumError], and with its signature if the source demands one,
// where what is wrong is a [*SignatureError].
func (s *Source) Fetch(ctx context.Context, v Version, path string) (File, error) {
	e, err := s.Stat(ctx, v, path)
	if err != nil {
		return File{}, err
	}
	report := func(done, total int64) {
		if s.config.Progress != nil {
			s.config.Progress(Progress{s.config.Name, v.String(), path, done, total})
		}
	}
	if e.Algorithm == "sha256" {
		f, ok, err := s.cache.find(ctx, e.Checksum)
		if err != nil {
			return File{}, fmt.Errorf("source %s: %w", s.config.Name, err)
		}
		if ok && (e.Size < 0 || e.Size == f.Size) {
			s.config.Log.Debug("found in the cache", "url", e.URL, "sha256", e.Checksum)
			if f.Signature, err = s.verifySignature(e, f.SHA256); err != nil {
				return File{}, fmt.Errorf("source %s: %w", s.config.Name, err)
			}
			report(f.Size, f.Size)
			f.URL, f.Modified = e.URL, e.Modified
			return f, nil
		}
	}
	var file File
	folder, name := s.layout.split(v, path)
	err = s.place.read(ctx, folder+name, func(r io.Reader, f found) error {
		var signature *Signature
		check := func(sum sums) (err error) {
			if sum.asked != e.Checksum {
				return permanent{&ChecksumError{URL: e.URL, ChecksumURL: e.ChecksumURL, Algorithm: e.Algorithm, Want: e.Checksum, Got: sum.asked}}
			}
			if signature, err = s.verifySignature(e, sum.sha256); err != nil {
				return permanent{err}
			}
			return nil
		}
		var err error
		progress := &progressReader{r: r, total: f.size, report: report}
		file, err = s.cache.add(ctx, e.URL, progress, e.Algorithm, check)
		file.URL, file.Modified, file.Signature = e.URL, f.modified, signature
		return err
	})
	if err != nil {
		return File{}, fmt.Errorf("source %s: %w", s.config.Name, err)
	}
	report(file.Size, file.Size)
	s.config.Log.Info("read and verified", "url", e.URL, "bytes", file.Size, e.Algorithm, e.Checksum)
	return file, nil
}

// ChecksumError tells that a file is not what its release's checksum promises.
type ChecksumError struct {
	// URL is the file, ChecksumURL where the expected digest was read.
	URL, ChecksumURL string
	// Algorithm is sha256 or sha512, Want what was promised and Got what was read, in lower-case hex.
	Algorithm, Want, Got string
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("%s is not what its release promises: its %s is %s, but %s says %s", e.URL, e.Algorithm, e.Got, e.ChecksumURL, e.Want)
}

// progressReader tells report how far it has been read, once for every reportEvery bytes.
type progressReader struct {
	r                 io.Reader
	done, total, told int64
	report            func(done, total int64)
}

const reportEvery = 1 << 20

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.done += int64(n)
	if p.done-p.told >= reportEvery && p.done != p.total {
		p.told = p.done
		p.report(p.done, p.total)
	}
	return n, err
}
