package buckettest

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

// strictGCS adds what the fake does not do and Google Cloud Storage does: it checks the conditions of deletions and
// copies, and says of what is missing that it is the object and not the bucket.
type strictGCS struct {
	fake *fakestorage.Server
	next http.Handler
	mu   sync.RWMutex // held for reading by what the fake checks the conditions of
}

func (s *strictGCS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const objects = "/b/" + bucketName + "/o/"
	_, name, copied := strings.Cut(r.URL.Path, "/rewriteTo"+objects)
	if !copied {
		_, name, _ = strings.Cut(r.URL.Path, objects)
	}
	if r.Method != http.MethodDelete && !copied {
		s.mu.RLock()
		defer s.mu.RUnlock()
		if r.Method == http.MethodGet {
			w = missing(w, r.URL.Path, name)
		}
		s.next.ServeHTTP(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	there := "0"
	if o, err := s.fake.GetObject(bucketName, name); err == nil {
		there = strconv.FormatInt(o.Generation, 10)
	}
	want := r.URL.Query().Get("ifGenerationMatch")
	if want != "" && want != there && (copied || there != "0") { // what is not there is not found before anything else
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusPreconditionFailed)
		io.WriteString(w, `{"error":{"code":412,"message":"At least one of the pre-conditions you specified did not hold.","errors":[{"reason":"conditionNotMet"}]}}`)
		return
	}
	s.next.ServeHTTP(w, r)
}

// missing answers in Google's words when the fake finds no object: in those of its JSON API where a name stands behind objects,
// and in those of its XML API where it stands behind the bucket.
func missing(w http.ResponseWriter, path, name string) http.ResponseWriter {
	switch {
	case name != "":
		return &missingWriter{w, "application/json", fmt.Sprintf(`{"error":{"code":404,"message":"No such object: %s/%s","errors":[{"reason":"notFound"}]}}`, bucketName, name), false}
	case strings.HasPrefix(path, "/"+bucketName+"/"):
		return &missingWriter{w, "application/xml", `<?xml version='1.0' encoding='UTF-8'?><Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`, false}
	}
	return w
}

type missingWriter struct {
	http.ResponseWriter
	kind, text string
	said       bool
}

func (w *missingWriter) WriteHeader(status int) {
	if w.said = status == http.StatusNotFound; w.said {
		w.Header().Del("Content-Length")
		w.Header().Set("Content-Type", w.kind)
	}
	w.ResponseWriter.WriteHeader(status)
	if w.said {
		io.WriteString(w.ResponseWriter, w.text)
	}
}

func (w *missingWriter) Write(p []byte) (int, error) {
	if w.said {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}
