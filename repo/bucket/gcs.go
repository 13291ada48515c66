package bucket

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	htransport "google.golang.org/api/transport/http"
)

// gcs is Google Cloud Storage. Its generations are the store's. The store refuses bytes that have not the CRC32C that we
// send ahead of them; the SHA-256 that it gives back is what the writer said and checked while it sent them.
//
// Objects are sent in one request, which holds nothing in memory. Larger ones than whole are sent in chunks, each of
// which can be sent again, and only a few at a time, because each holds a chunk in memory. Times are whole seconds, because
// readings know no better.
type gcs struct {
	bucket   string
	endpoint string        // empty is Google's
	small    int64         // how large an object may be that is read once and held in memory while it is sent, in bytes
	whole    int64         // how large an object may be that is sent in one request, in bytes
	chunk    int           // what each larger write holds in memory, in bytes
	large    chan struct{} // has room for as many larger writes as there may be at a time
	buffers  sync.Pool     // of *bytes.Buffer, for small objects

	mu     sync.Mutex
	client *storage.Client // guarded by mu; nil until it is needed
}

// newGCS returns the store of a bucket. An endpoint of http:// is for tests: no credentials go there.
func newGCS(bucket, endpoint string) *gcs {
	return &gcs{bucket: bucket, endpoint: endpoint, small: 64 << 10, whole: 64 << 20, chunk: 4 << 20, large: make(chan struct{}, 4)}
}

// handle returns the handle of a bucket, and looks for credentials when it is called first.
func (g *gcs) handle(ctx context.Context, bucket string) (*storage.BucketHandle, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.client == nil {
		client, err := g.newClient(context.WithoutCancel(ctx))
		if err != nil {
			return nil, fmt.Errorf("%s (%w)", gcsLogin, err)
		}
		// Attempts are counted, and their outcomes weighed, in cloud.
		client.SetRetry(storage.WithPolicy(storage.RetryNever))
		g.client = client
	}
	return g.client.Bucket(bucket), nil
}

func (g *gcs) newClient(ctx context.Context) (*storage.Client, error) {
	options := []option.ClientOption{option.WithTelemetryDisabled()}
	if strings.HasPrefix(g.endpoint, "http:") {
		options = append(options, option.WithoutAuthentication())
	} else {
		login, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{storage.ScopeReadWrite}})
		if err != nil {
			return nil, err
		}
		options = append(options, option.WithAuthCredentials(login))
	}
	client, _, err := htransport.NewClient(ctx, options...)
	if err != nil {
		return nil, err
	}
	client.Transport = &gcsTransport{RoundTripper: client.Transport}
	options = append(options, storage.WithXMLReads(), option.WithHTTPClient(client))
	if g.endpoint != "" {
		options = append(options, option.WithEndpoint(g.endpoint+"/storage/v1/"))
	}
	return storage.NewClient(ctx, options...)
}

const gcsLogin = "there are no Google credentials that work: run gcloud auth application-default login, or let GOOGLE_APPLICATION_CREDENTIALS name the file of a key"

func (g *gcs) stat(ctx context.Context, key string) (stored, error) {
	b, err := g.handle(ctx, g.bucket)
	if err != nil {
		return stored{}, err
	}
	attrs, err := b.Object(key).Attrs(ctx)
	if err != nil {
		return stored{}, g.fail("storage.objects.get", err)
	}
	return gcsObject(attrs), nil
}

func gcsObject(a *storage.ObjectAttrs) stored {
	return stored{Info{
		Name:         a.Name,
		Size:         a.Size,
		Generation:   Generation(strconv.FormatInt(a.Generation, 10)),
		SHA256:       digestIn(a.Metadata),
		Modified:     a.Updated.UTC().Truncate(time.Second),
		ContentType:  a.ContentType,
		CacheControl: a.CacheControl,
	}, metadata(a.Metadata, metaMark)}
}

func (g *gcs) open(ctx context.Context, key string, offset int64, generation Generation) (io.ReadCloser, stored, error) {
	b, err := g.handle(ctx, g.bucket)
	if err != nil {
		return nil, stored{}, err
	}
	o := b.Object(key).ReadCompressed(true) // as it is stored
	if generation != "" {
		number, ok := gcsNumber(generation)
		if !ok {
			return nil, stored{}, ErrNotExist
		}
		o = o.Generation(number)
	}
	said := &exchange{}
	r, err := o.NewRangeReader(said.with(ctx), offset, -1)
	if err != nil {
		err = g.fail("storage.objects.get", err)
		switch {
		case !errors.Is(err, ErrNotExist):
		case strings.Contains(said.notFound, noSuchBucket):
			err = errNoBucket
		case strings.Contains(said.notFound, noSuchKey):
			err = errNoObject
		}
		return nil, stored{}, err
	}
	return r, stored{Info{
		Name:         key,
		Size:         r.Attrs.Size,
		Generation:   Generation(strconv.FormatInt(r.Attrs.Generation, 10)),
		SHA256:       digestIn(r.Metadata()),
		Modified:     r.Attrs.LastModified.UTC(),
		ContentType:  r.Attrs.ContentType,
		CacheControl: r.Attrs.CacheControl,
	}, metadata(r.Metadata(), metaMark)}, nil
}

func (g *gcs) put(ctx context.Context, key string, content Content, options PutOptions, mark string) (_ stored, unsure bool, err error) {
	b, err := g.handle(ctx, g.bucket)
	if err != nil {
		return stored{}, false, err
	}
	o, err := gcsConditional(b.Object(key), options.Condition)
	if err != nil {
		return stored{}, false, err
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	send := func(w io.Writer) error { return copyContent(ctx, w, content) }
	if content.Size <= g.small {
		data := takeBuffer(&g.buffers)
		data.Grow(int(content.Size) + bytes.MinRead)
		err = send(data)
		sum.Write(data.Bytes())
		send = func(w io.Writer) error {
			defer g.buffers.Put(data)
			_, err := w.Write(data.Bytes())
			return err
		}
	} else {
		err = send(sum)
	}
	if err != nil {
		return stored{}, false, &contentError{err}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var repeated atomic.Bool
	chunked := content.Size > g.whole
	if chunked {
		select {
		case g.large <- struct{}{}:
			defer func() { <-g.large }()
		case <-ctx.Done():
			return stored{}, false, ctx.Err()
		}
		o = o.Retryer(storage.WithPolicy(storage.RetryAlways), storage.WithErrorFunc(func(err error) bool {
			again := storage.ShouldRetry(err)
			if again {
				repeated.Store(true)
			}
			return again
		}))
	}
	w := o.NewWriter((&exchange{gather: content.Size <= g.small}).with(ctx))
	w.ContentType, w.CacheControl = options.ContentType, options.CacheControl
	w.Metadata = newMetadata(content.SHA256, mark)
	w.CRC32C, w.SendCRC32C = sum.Sum32(), true
	w.ChunkSize = 0
	if chunked {
		w.ChunkSize, w.ChunkTransferTimeout = g.chunk, time.Minute+time.Duration(g.chunk/slowest)*time.Second
	}
	// The store sees the end of the bytes only when Close is called, which does not happen if they are wrong.
	err = send(&storeWriter{w: w})
	var broken *storeError
	if err != nil && !errors.As(err, &broken) {
		cancel()
		w.Close()
		return stored{}, false, &contentError{err}
	}
	if err := w.Close(); err != nil {
		err = g.fail("storage.objects.create, and storage.objects.delete to overwrite", err)
		switch {
		case errors.Is(err, ErrNotExist) && chunked:
			err = &failure{perhaps, errors.New("the store no longer knows the upload that the chunks belong to")}
		case errors.Is(err, ErrNotExist):
			err = errNoBucket
		}
		return stored{}, repeated.Load(), err
	}
	attrs := w.Attrs()
	if attrs.Size != content.Size || attrs.CRC32C != sum.Sum32() {
		return stored{}, true, fmt.Errorf("the store answered that it has %d bytes with CRC32C %08x, and %d with %08x were sent", attrs.Size, attrs.CRC32C, content.Size, sum.Sum32())
	}
	return gcsObject(attrs), false, nil
}

// storeWriter tells errors of writing to the store from errors of reading what is written.
type storeWriter struct{ w io.Writer }

type storeError struct{ error }

func (w *storeWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil {
		err = &storeError{err}
	}
	return n, err
}

func (g *gcs) list(ctx context.Context, prefix, page string, limit int) ([]stored, string, error) {
	b, err := g.handle(ctx, g.bucket)
	if err != nil {
		return nil, "", err
	}
	query := &storage.Query{Prefix: prefix, Projection: storage.ProjectionNoACL}
	if err := query.SetAttrSelection([]string{"Name", "Size", "Generation", "Metadata", "Updated", "MD5", "ContentType", "CacheControl"}); err != nil {
		return nil, "", err
	}
	var found []*storage.ObjectAttrs
	next, err := iterator.NewPager(b.Objects(ctx, query), limit, page).NextPage(&found)
	if err != nil {
		if err = g.fail("storage.objects.list", err); errors.Is(err, ErrNotExist) {
			err = errNoBucket
		}
		return nil, "", err
	}
	objects := make([]stored, len(found))
	for i, attrs := range found {
		objects[i] = gcsObject(attrs)
		objects[i].MD5 = hex.EncodeToString(attrs.MD5)
	}
	return objects, next, nil
}

func (g *gcs) delete(ctx context.Context, key string, generation Generation) error {
	b, err := g.handle(ctx, g.bucket)
	if err != nil {
		return err
	}
	number, ok := gcsNumber(generation)
	if !ok {
		return ErrCondition
	}
	if err := b.Object(key).If(storage.Conditions{GenerationMatch: number}).Delete(ctx); err != nil {
		return g.fail("storage.objects.delete", err)
	}
	return nil
}

// gcsConditional puts a condition of a write into the store's words.
func gcsConditional(o *storage.ObjectHandle, condition Condition) (*storage.ObjectHandle, error) {
	want, ok := wanted(condition)
	if !ok {
		return o, nil
	}
	if want == "" {
		return o.If(storage.Conditions{DoesNotExist: true}), nil
	}
	number, ok := gcsNumber(want)
	if !ok {
		return nil, ErrCondition // no object ever has it
	}
	return o.If(storage.Conditions{GenerationMatch: number}), nil
}

// gcsNumber reads a generation of ours, if it is one.
func gcsNumber(g Generation) (int64, bool) {
	number, err := strconv.ParseInt(string(g), 10, 64)
	return number, err == nil && number > 0
}

// What the XML API says that there is none of (https://cloud.google.com/storage/docs/xml-api/reference-status).
const (
	noSuchBucket = "NoSuchBucket"
	noSuchKey    = "NoSuchKey"
)

// fail says what an error of the store's library means. The permissions are those that the request needed.
func (g *gcs) fail(permissions string, err error) error {
	var answer *googleapi.Error
	if !errors.As(err, &answer) {
		switch {
		case errors.Is(err, storage.ErrBucketNotExist):
			return errNoBucket
		case errors.Is(err, storage.ErrObjectNotExist):
			return ErrNotExist
		case !late(err) && (strings.Contains(err.Error(), "oauth2") || strings.Contains(err.Error(), "cannot fetch token")):
			return fmt.Errorf("%s (%w)", gcsLogin, err)
		}
		return &failure{judgeTransport(err), err}
	}
	switch answer.Code {
	case http.StatusPreconditionFailed, http.StatusNotModified:
		return ErrCondition
	case http.StatusNotFound, http.StatusGone:
		switch {
		case strings.Contains(answer.Message, "bucket does not exist") || strings.Contains(answer.Body, noSuchBucket):
			return errNoBucket
		case strings.HasPrefix(answer.Message, "No such object") || strings.Contains(answer.Body, noSuchKey):
			return errNoObject
		}
		return ErrNotExist
	case http.StatusUnauthorized:
		return fmt.Errorf("%s (%w)", gcsLogin, err)
	case http.StatusForbidden:
		return fmt.Errorf("the credentials lack a permission on the bucket: grant them roles/storage.objectUser, or %s (%w)", permissions, err)
	}
	if strings.Contains(answer.Message, "CRC32C") {
		return &failure{refused, err} // the bytes were damaged on their way: we had checked them
	}
	if v := judgeStatus(answer.Code); v != final {
		return &failure{v, err}
	}
	return err
}
