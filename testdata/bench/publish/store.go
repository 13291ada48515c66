package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
)

// store is an object store at a distance that counts what is asked of it.
type store struct {
	*buckettest.Store
	far    *distant
	server http.Server // listens there
	dir    string      // what it has in files
	undo   func()      // of what was changed for it

	mu   sync.Mutex
	seen counts // guarded by mu
}

// counts are requests by kind, and bytes of objects sent to the store.
type counts struct {
	reads, writes, lists, deletes int
	sent                          int64
}

func (c counts) all() int { return c.reads + c.writes + c.lists + c.deletes }

// newStore starts a fake of "gs" or "s3", or the "lean" stand-in for the former, a round trip away.
func newStore(scheme string, trip time.Duration) (*store, error) {
	s := &store{undo: func() {}}
	var err error
	if scheme == "lean" {
		s.Store = newLean(s.count)
	} else if scheme == "s3" {
		s.Store, err = buckettest.LenientS3(s.count) // the peers do not send what ours does
	} else if s.dir, err = os.MkdirTemp(inMemory(), "bench-"); err == nil {
		// Before each write the fake finds out with three files whether it may make temporary ones in the usual directory. It
		// is spared that while there is none.
		s.undo = setenv(temporary, filepath.Join(s.dir, "none"))
		s.Store, err = buckettest.GCSIn(s.dir, s.count)
	}
	if err == nil {
		s.far, err = newDistant(trip)
	}
	if err == nil {
		go s.server.Serve(s.far)
	}
	return s, err
}

// temporary names the directory for temporary files in the environment.
const temporary = "TMPDIR"

func (s *store) Close() {
	s.server.Close()
	s.Store.Close()
	os.RemoveAll(s.dir)
	s.undo()
}

// setenv changes an environment variable, and returns what takes that back.
func setenv(name, value string) func() {
	before, ok := os.LookupEnv(name)
	os.Setenv(name, value)
	return func() {
		if ok {
			os.Setenv(name, before)
		} else {
			os.Unsetenv(name)
		}
	}
}

// inMemory is a directory in memory, or else the usual one for files that go again.
func inMemory() string {
	const memory = "/dev/shm"
	if _, err := os.Stat(memory); err != nil {
		return ""
	}
	return memory
}

// address is the bucket's, as seen from the distance.
func (s *store) address() string { return s.AddressAt(s.far.url(), "") }

// count is a front that counts. It is what listens at a distance, too.
func (s *store) count(next http.Handler) http.Handler {
	s.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &countingBody{ReadCloser: r.Body}
		r.Body = body
		r.Host = strings.TrimPrefix(s.URL, "http://") // the fake of Google's knows itself by its name
		next.ServeHTTP(w, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		query := r.URL.Query()
		listing := query.Has("list-type") || query.Has("delimiter") || query.Has("prefix") || strings.HasSuffix(r.URL.Path, "/o") && r.Method == http.MethodGet
		switch {
		case r.Method == http.MethodPut || r.Method == http.MethodPost:
			s.seen.writes++
			s.seen.sent += body.n
		case r.Method == http.MethodDelete:
			s.seen.deletes++
		case listing:
			s.seen.lists++
		default:
			s.seen.reads++
		}
	})
	return s.server.Handler
}

// take returns the counts since the last call.
func (s *store) take() counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.seen
	s.seen = counts{}
	return c
}

type countingBody struct {
	io.ReadCloser
	n int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	return n, err
}
