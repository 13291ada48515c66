// Package buckettest runs object stores for tests, each on a port of this machine that is free: fakes of Google Cloud
// Storage (fsouza/fake-gcs-server) and of S3 (johannesboyne/gofakes3), behind proxies that add what the fakes do not
// enforce and the stores do. Tests reach them as a program reaches the real ones, through an address that bucket.Open
// takes. A proxy of the test's own may stand in front of all: [Faults] makes trouble of every kind that a network and a
// store make.
//
// It knows HTTP and nothing of this module, so that the tests of package bucket may use it too. No program imports it: a
// test of the floor plan holds that.
package buckettest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// bucketName is the one bucket that each store has.
const bucketName = "bucket-in-test"

// Store is a running object store with one empty bucket.
type Store struct {
	// Scheme is that of the bucket's address: gs or s3.
	Scheme string
	// URL is where the store listens, such as http://127.0.0.1:4443.
	URL string

	stop func()
}

// Address is what bucket.Open takes, for the objects below a prefix, which may be empty. An S3 client needs some
// credentials to sign with (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY); the fake takes all.
func (s *Store) Address(prefix string) string { return s.AddressAt(s.URL, prefix) }

// AddressAt is [Store.Address] for clients that reach the store at another endpoint, through a proxy.
func (s *Store) AddressAt(endpoint, prefix string) string {
	region := ""
	if s.Scheme == "s3" {
		region = "region=eu-test-1&"
	}
	return fmt.Sprintf("%s://%s/%s?%sendpoint=%s", s.Scheme, bucketName, prefix, region, url.QueryEscape(endpoint))
}

// At is a store of the caller's own, with the same bucket: its scheme, where it listens, and what stops it.
func At(scheme, url string, stop func()) *Store { return &Store{Scheme: scheme, URL: url, stop: stop} }

// Close stops the store and drops all that it holds.
func (s *Store) Close() { s.stop() }

// Front makes a handler that stands in front of a store and passes requests on to it.
type Front func(store http.Handler) http.Handler

// GCS starts a fake of Google Cloud Storage; front may be nil. It becomes slow when it has a thousand objects.
func GCS(front Front) (*Store, error) { return GCSIn("", front) }

// GCSIn is [GCS] with the objects in files below a directory, however many.
func GCSIn(dir string, front Front) (*Store, error) {
	server := httptest.NewUnstartedServer(nil)
	fake, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		NoListener:  true,
		PublicHost:  server.Listener.Addr().String(),
		StorageRoot: dir,
		Writer:      io.Discard,
	})
	if err != nil {
		server.Close()
		return nil, err
	}
	fake.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucketName})
	return serve("gs", server, &strictGCS{fake: fake, next: fake.HTTPHandler()}, front, fake.Stop), nil
}

// S3 starts a fake of S3; front may be nil. It demands of every write what package bucket promises: a signed SHA-256.
func S3(front Front) (*Store, error) { return s3(front, true) }

// LenientS3 is [S3] for other programs, which send what checksums they like.
func LenientS3(front Front) (*Store, error) { return s3(front, false) }

func s3(front Front, strict bool) (*Store, error) {
	backend := s3mem.New()
	if err := backend.CreateBucket(bucketName); err != nil {
		return nil, err
	}
	fake := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	return serve("s3", httptest.NewUnstartedServer(nil), &strictS3{next: fake, checksums: strict}, front, func() {}), nil
}

func serve(scheme string, server *httptest.Server, handler http.Handler, front Front, stop func()) *Store {
	if front != nil {
		handler = front(handler)
	}
	server.Config.Handler = handler
	server.Start()
	return &Store{Scheme: scheme, URL: server.URL, stop: func() {
		server.CloseClientConnections() // a test that failed may have left some
		server.Close()
		stop()
	}}
}
