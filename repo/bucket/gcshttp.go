package bucket

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
)

// gcsTransport stands between the store's library and the network, and makes more of connections than the library does.
//
// The library hands an upload on piece by piece, through two pipes, and does not say how long it is. So it would be sent in
// chunks, with several system calls. That of a small object is gathered here first, and sent as a whole with its length, which
// spares client and server processor time.
//
// The library leaves the text of a 404 unread, which costs HTTP/1.1 its connection, and a caller what it says: whether the
// object is missing or the bucket. Here it is read.
type gcsTransport struct {
	http.RoundTripper
	buffers sync.Pool // of *bytes.Buffer
}

// exchange is what a request's context tells the transport, and the transport the sender of the request.
type exchange struct {
	gather   bool   // the body is small
	notFound string // the text of a 404
}

type exchangeKey struct{}

// with returns the context of one request.
func (e *exchange) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, exchangeKey{}, e)
}

func (t *gcsTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	e, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		e = &exchange{}
	}
	if e.gather && r.Body != nil {
		whole, err := t.gather(r)
		if err != nil {
			return nil, err
		}
		r = whole
	}
	answer, err := t.RoundTripper.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusNotFound {
		return answer, err
	}
	const most = 64 << 10
	text, err := io.ReadAll(io.LimitReader(answer.Body, most))
	answer.Body.Close()
	if err != nil {
		return nil, err
	}
	answer.Body, e.notFound = io.NopCloser(bytes.NewReader(text)), string(text)
	return answer, nil
}

// gather returns the request with its body in memory.
func (t *gcsTransport) gather(r *http.Request) (*http.Request, error) {
	defer r.Body.Close()
	buffer := takeBuffer(&t.buffers)
	buffer.Grow(32 << 10)
	n, err := buffer.ReadFrom(r.Body)
	if err != nil {
		return nil, err
	}
	whole := r.WithContext(r.Context())
	whole.Body, whole.ContentLength = &gatheredBody{buffer: buffer, pool: &t.buffers}, n
	return whole, nil
}

// gatheredBody is a body in memory that goes back to where it is from once it is sent. A transport may close it while it
// still reads it.
type gatheredBody struct {
	mu     sync.Mutex
	buffer *bytes.Buffer // guarded by mu; nil when it is closed
	pool   *sync.Pool
}

func (b *gatheredBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buffer == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.buffer.Read(p)
}

func (b *gatheredBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buffer != nil {
		b.pool.Put(b.buffer)
		b.buffer = nil
	}
	return nil
}

// takeBuffer takes an empty buffer from a pool.
func takeBuffer(pool *sync.Pool) *bytes.Buffer {
	buffer, ok := pool.Get().(*bytes.Buffer)
	if !ok {
		return &bytes.Buffer{}
	}
	buffer.Reset()
	return buffer
}
