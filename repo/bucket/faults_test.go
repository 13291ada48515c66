package bucket

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clouds are the cloud stores, each opened in a fake of its own behind a proxy.
var clouds = []struct {
	name string
	open func(t *testing.T, prefix string, proxy func(http.Handler) http.Handler) *cloud
}{
	{"GCS", openGCS},
	{"S3", openS3},
}

// eachCloud runs a test on each cloud store behind a proxy of faults.
func eachCloud(t *testing.T, test func(*testing.T, *cloud, *faults)) {
	for _, c := range clouds {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := &faults{}
			b := c.open(t, "", func(next http.Handler) http.Handler {
				f.next = next
				return f
			})
			test(t, b, f)
		})
	}
}

// trouble is what a proxy does to a request instead of passing it on and its answer back.
type trouble int

const (
	none    trouble = iota
	dropped         // the connection closes, nothing was done
	lost            // it was done, and the connection closes
	short           // it was done, and half of the answer comes
	late            // it was done, and the answer says 503
	slow            // it is done after a while
	status          // answers with the HTTP status that is added to this, nothing was done
)

// faults is a proxy in front of a store that makes trouble.
type faults struct {
	next http.Handler
	// choose decides on the trouble of a request. It may be called concurrently.
	choose atomic.Pointer[func(*http.Request) trouble]
	count  atomic.Int64 // of requests
}

// set changes what trouble there is from now on.
func (f *faults) set(choose func(*http.Request) trouble) { f.choose.Store(&choose) }

// once makes trouble for the first request of a method, and then none.
func (f *faults) once(method string, t trouble) {
	var done atomic.Bool
	f.set(func(r *http.Request) trouble {
		if r.Method == method && done.CompareAndSwap(false, true) {
			return t
		}
		return none
	})
}

func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.count.Add(1)
	t := none
	if choose := f.choose.Load(); choose != nil {
		t = (*choose)(r)
	}
	switch {
	case t == none:
		f.next.ServeHTTP(w, r)
		return
	case t == slow:
		time.Sleep(2 * time.Millisecond)
		f.next.ServeHTTP(w, r)
		return
	case t >= status:
		io.Copy(io.Discard, r.Body)
		f.refuse(w, int(t-status))
		return
	}
	answer := httptest.NewRecorder()
	if t != dropped {
		f.next.ServeHTTP(answer, r)
	}
	switch t {
	case late:
		f.refuse(w, http.StatusServiceUnavailable)
		return
	case short:
		maps.Copy(w.Header(), answer.Header())
		w.Header().Set("Content-Length", fmt.Sprint(answer.Body.Len()))
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
		http.NewResponseController(w).Flush()
	}
	connection, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		connection.Close()
	}
}

// refuse answers as either kind of store would.
func (f *faults) refuse(w http.ResponseWriter, status int) {
	if _, ok := f.next.(*strictS3); ok {
		codes := map[int]string{409: "ConditionalRequestConflict", 429: "TooManyRequests", 500: "InternalError", 503: "SlowDown"}
		refuseS3(w, status, codes[status])
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":%d,"message":"refused by the test"}}`, status)
}

// often makes any trouble for one request in three or so.
func often(seed uint64) func(*http.Request) trouble {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	kinds := []trouble{dropped, lost, short, late, slow, status + 409, status + 429, status + 500, status + 503}
	return func(*http.Request) trouble {
		mu.Lock()
		defer mu.Unlock()
		if random.IntN(100) < 30 {
			return kinds[random.IntN(len(kinds))]
		}
		return none
	}
}
