package buckettest

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"
)

// Trouble is what becomes of a request instead of being done and answered. Status added to a number of HTTP answers with
// that status, and nothing was done.
type Trouble int

const (
	// None is no trouble.
	None Trouble = iota
	// Dropped closes the connection; nothing was done.
	Dropped
	// Lost does what was asked, and then closes the connection.
	Lost
	// Short does it, and sends half of the answer before the connection closes.
	Short
	// Late does it, and answers 503.
	Late
	// Slow does it, after a while.
	Slow
	// Stalled does nothing and says nothing until the client has given up.
	Stalled
	// Status is the base of answers by HTTP status.
	Status
)

// Faults is a proxy in front of a store that makes trouble. The zero value makes none.
type Faults struct {
	next http.Handler
	// choose decides on the trouble of a request. It may be called concurrently.
	choose atomic.Pointer[func(*http.Request) Trouble]
	count  atomic.Int64
}

// Front puts the proxy in front of a store. It is a [Front].
func (f *Faults) Front(store http.Handler) http.Handler {
	f.next = store
	return f
}

// Count is how many requests have come.
func (f *Faults) Count() int64 { return f.count.Load() }

// Set changes what trouble there is from now on. choose may be called concurrently.
func (f *Faults) Set(choose func(*http.Request) Trouble) { f.choose.Store(&choose) }

// Calm ends all trouble.
func (f *Faults) Calm() { f.choose.Store(nil) }

// Once makes trouble for the first request of a method, and then none.
func (f *Faults) Once(method string, t Trouble) {
	var done atomic.Bool
	f.Set(func(r *http.Request) Trouble {
		if r.Method == method && done.CompareAndSwap(false, true) {
			return t
		}
		return None
	})
}

// Often chooses trouble for three requests in ten, one of these kinds at a time, or of all but Stalled if none are given.
// The same seed makes the same choices.
func Often(seed uint64, kinds ...Trouble) func(*http.Request) Trouble {
	if len(kinds) == 0 {
		kinds = []Trouble{Dropped, Lost, Short, Late, Slow, Status + 409, Status + 429, Status + 500, Status + 503}
	}
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	return func(*http.Request) Trouble {
		mu.Lock()
		defer mu.Unlock()
		if random.IntN(100) < 30 {
			return kinds[random.IntN(len(kinds))]
		}
		return None
	}
}

func (f *Faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.count.Add(1)
	t := None
	if choose := f.choose.Load(); choose != nil {
		t = (*choose)(r)
	}
	switch {
	case t == None:
		f.next.ServeHTTP(w, r)
		return
	case t == Slow:
		time.Sleep(2 * time.Millisecond)
		f.next.ServeHTTP(w, r)
		return
	case t >= Status:
		io.Copy(io.Discard, r.Body)
		f.refuse(w, int(t-Status))
		return
	case t == Stalled:
		io.Copy(io.Discard, r.Body) // the server notices that the client is gone only when the body is read
		<-r.Context().Done()
		return
	}
	answer := httptest.NewRecorder()
	if t != Dropped {
		f.next.ServeHTTP(answer, r)
	}
	switch t {
	case Late:
		f.refuse(w, http.StatusServiceUnavailable)
		return
	case Short:
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
func (f *Faults) refuse(w http.ResponseWriter, status int) {
	if _, ok := f.next.(*strictS3); ok {
		codes := map[int]string{409: "ConditionalRequestConflict", 412: "PreconditionFailed", 429: "TooManyRequests", 500: "InternalError", 503: "SlowDown"}
		refuseS3(w, status, codes[status])
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":%d,"message":"refused by the test"}}`, status)
}
