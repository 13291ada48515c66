package release

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Config says where releases come from.
type Config struct {
	// Name is how package definitions and errors call the source: kubernetes, cri-tools, cni-plugins.
	Name string
	// URL is the place below which every release has a folder by the name of its version: an http or https URL, a
	// file URL or the path of a directory.
	URL string
	// Cache is a directory for verified files, named by their SHA-256. It is made when missing.
	Cache string
	// Client makes the HTTP requests. Nil stands for one with time limits for connecting and answering.
	Client *http.Client
	// Log gets retries and downloads. Nil stands for silence.
	Log *slog.Logger
	// Progress, when set, is told how a file is getting on, about ten times a second, from any goroutine.
	Progress func(Progress)
}

// Progress tells how far a file has been read from its source.
type Progress struct {
	Source, Version, Path string
	// Done and Total are bytes. Total is -1 while it is unknown. Done == Total is told once, last.
	Done, Total int64
}

// Source is a place where releases lie. Its methods may be called from several goroutines at once.
type Source struct{}

// Open prepares a source. Nothing is read yet, but a URL or folder that cannot be right is an error.
func Open(ctx context.Context, c Config) (*Source, error) { return nil, errors.New("not written yet") }

// Entry is a file of a release that has been found but not yet read.
type Entry struct {
	// URL is where it lies, for messages and provenance.
	URL string
	// Size in bytes, or -1 when the source does not say. Modified is when it was last changed, if the source says so.
	Size     int64
	Modified time.Time
	// Checksum is the digest that the release promises, in lower-case hex, and Algorithm what it is: sha256 or sha512.
	Checksum, Algorithm string
}

// Stat finds a file of a release and its checksum. An error for which errors.Is(err, fs.ErrNotExist) tells that the release
// has no such file, or no checksum for it.
func (s *Source) Stat(ctx context.Context, v Version, path string) (Entry, error) {
	return Entry{}, errors.New("not written yet")
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
}

// Fetch brings a file of a release into the cache. The file is compared with the checksum that the release has for it
// before it becomes visible there.
func (s *Source) Fetch(ctx context.Context, v Version, path string) (File, error) {
	return File{}, errors.New("not written yet")
}

// ChecksumError tells that a file is not what its release's checksum promises.
type ChecksumError struct {
	// URL is the file, ChecksumURL where the expected digest was read.
	URL, ChecksumURL string
	// Algorithm is sha256 or sha512, Want what was promised and Got what was read, in lower-case hex.
	Algorithm, Want, Got string
}

func (e *ChecksumError) Error() string {
	return e.URL + ": " + e.Algorithm + " is " + e.Got + ", but " + e.ChecksumURL + " says " + e.Want
}
