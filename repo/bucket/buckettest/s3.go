package buckettest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// strictS3 adds what the fake does not do and S3 does: it checks digests and the conditions of readings, deletions and
// copies, and keeps Cache-Control.
type strictS3 struct {
	next      http.Handler
	checksums bool         // every write must have one
	mu        sync.RWMutex // held for reading by what checks no condition of its own
}

// keptHeader is how the fake is made to keep Cache-Control.
const keptHeader = "X-Amz-Kept-Cache-Control"

func (s *strictS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	match, source := r.Header.Get("If-Match"), r.Header.Get("X-Amz-Copy-Source")
	if match == "" && source == "" {
		s.mu.RLock()
		defer s.mu.RUnlock()
	} else {
		s.mu.Lock()
		defer s.mu.Unlock()
		there := s.etag(r.URL.EscapedPath())
		switch {
		case match != "" && there == "":
			refuseS3(w, http.StatusNotFound, "NoSuchKey")
			return
		case match != "" && there != match,
			source != "" && there != "" && r.Header.Get("If-None-Match") == "*",
			source != "" && s.etag("/"+source) != r.Header.Get("X-Amz-Copy-Source-If-Match"):
			refuseS3(w, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		}
	}
	if r.Method == http.MethodPut {
		body, err := io.ReadAll(r.Body)
		sum := sha256.Sum256(body)
		switch {
		case err != nil || r.ContentLength != int64(len(body)):
			refuseS3(w, http.StatusBadRequest, "IncompleteBody")
			return
		case !s.checksums:
		case r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]):
			refuseS3(w, http.StatusBadRequest, "XAmzContentSHA256Mismatch")
			return
		case source == "" && r.Header.Get("X-Amz-Checksum-Sha256") != base64.StdEncoding.EncodeToString(sum[:]):
			refuseS3(w, http.StatusBadRequest, "BadDigest")
			return
		case !strings.Contains(r.Header.Get("Authorization"), "x-amz-content-sha256"):
			refuseS3(w, http.StatusForbidden, "AccessDenied")
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.Header.Set(keptHeader, r.Header.Get("Cache-Control"))
	}
	kept := &keepingWriter{w}
	s.next.ServeHTTP(kept, r)
	kept.keep() // for what answers without a body
}

// etag asks the fake for the ETag of what is at a path, which is empty if nothing is.
func (s *strictS3) etag(path string) string {
	answer := httptest.NewRecorder()
	s.next.ServeHTTP(answer, httptest.NewRequest(http.MethodHead, path, nil))
	return answer.Header().Get("ETag")
}

type keepingWriter struct{ http.ResponseWriter }

func (w *keepingWriter) keep() {
	if value := w.Header().Get(keptHeader); value != "" {
		w.Header().Set("Cache-Control", value)
	}
}

func (w *keepingWriter) WriteHeader(status int) {
	w.keep()
	w.ResponseWriter.WriteHeader(status)
}

func (w *keepingWriter) Write(p []byte) (int, error) {
	w.keep()
	return w.ResponseWriter.Write(p)
}

func refuseS3(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>`+code+`</Code><Message>refused by the test</Message></Error>`)
}
