package buckettest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

// strictGCS adds what the fake does not do and Google Cloud Storage does: it checks the conditions of deletions and
// copies.
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
