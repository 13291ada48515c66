package bucket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

// roundTrip is a network in a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// closing tells whether a body was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

// upload is a request whose length is not known, to be gathered or not.
func upload(body io.Reader, gather bool) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://store.invalid/", body)
	r.ContentLength = 0 // of a body: it is not known
	return r.WithContext((&exchange{gather: gather}).with(r.Context()))
}

// TestGather: what is small is sent with its length, what is not comes through as it was, and bodies are always closed.
func TestGather(t *testing.T) {
	var length int64
	var got []byte
	transport := &gcsTransport{RoundTripper: roundTrip(func(r *http.Request) (*http.Response, error) {
		var err error
		length = r.ContentLength
		if got, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
		if _, err := r.Body.Read(make([]byte, 1)); length > 0 && err != http.ErrBodyReadAfterClose {
			t.Errorf("reading a closed body: %v", err)
		}
		r.Body.Close()
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})}
	for _, size := range []int{1, 1000, 100_000} {
		for _, gather := range []bool{true, false} {
			data := bytes.Repeat([]byte{byte(size)}, size)
			body := &closing{Reader: iotest.HalfReader(bytes.NewReader(data))}
			if _, err := transport.RoundTrip(upload(body, gather)); err != nil {
				t.Fatal(err)
			}
			want := int64(0)
			if gather {
				want = int64(size)
			}
			if length != want || !bytes.Equal(got, data) || !body.closed {
				t.Errorf("%d bytes were sent as %d with length %d, want %d; closed: %v", size, len(got), length, want, body.closed)
			}
		}
	}
	broken := &closing{Reader: io.MultiReader(strings.NewReader("bytes"), iotest.ErrReader(errors.New("no more")))}
	if _, err := transport.RoundTrip(upload(broken, true)); err == nil || err.Error() != "no more" || !broken.closed {
		t.Errorf("a body that breaks off: %v, closed: %v", err, broken.closed)
	}
}

// TestGatherTogether: bodies that are closed while they are read have no bytes of others.
func TestGatherTogether(t *testing.T) {
	transport := &gcsTransport{RoundTripper: roundTrip(func(r *http.Request) (*http.Response, error) {
		go r.Body.Close()
		data, _ := io.ReadAll(iotest.OneByteReader(r.Body))
		if want := r.Header.Get("Byte"); strings.Trim(string(data), want) != "" {
			t.Errorf("the body of %s has %q", want, data)
		}
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 100 {
				char := string(rune('a' + i))
				r := upload(strings.NewReader(strings.Repeat(char, 500)), true)
				r.Header.Set("Byte", char)
				transport.RoundTrip(r)
			}
		})
	}
	group.Wait()
}

// TestNotFound: what the store says of what is missing is heard, and its connection stays.
func TestNotFound(t *testing.T) {
	var connections, requests atomic.Int32
	code := "NoSuchKey"
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, "<?xml version='1.0' encoding='UTF-8'?><Error><Code>"+code+"</Code></Error>"+strings.Repeat(" ", 5000))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	b, err := Open("gs://bucket-in-test?endpoint=" + url.QueryEscape(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, _, err := b.Open(t.Context(), "x"); !errors.Is(err, ErrNotExist) {
			t.Fatalf("an object that is missing: %v", err)
		}
	}
	if c, r := connections.Load(), requests.Load(); c != 1 || r != 3 {
		t.Errorf("three readings took %d connections and %d requests, want 1 and 3", c, r)
	}
	code = "NoSuchBucket"
	if _, _, err := b.Open(t.Context(), "x"); err == nil || errors.Is(err, ErrNotExist) || !strings.Contains(err.Error(), "there is no such bucket") {
		t.Errorf("a bucket that is missing: %v", err)
	}
	if r := requests.Load(); r != 4 {
		t.Errorf("%d requests, want 4", r)
	}
}
