package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptEdge starts a CDN in front of $WORK/bucket and puts its address into $EDGE. It serves what pkgs serve would, keeps
// every answer until it is purged, the one that there is nothing as well, and takes no heed of Cache-Control. A PURGE has
// to carry the X-Key hunter2. While there is a file edge-busy it answers it with 503, while there is one called edge-deaf it
// says yes and does nothing, and while there is one called edge-honest it keeps nothing. The requests that it got are in the file edge-log.
func scriptEdge(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(os.MkdirAll(ts.MkAbs("bucket"), 0o755))
	root, err := os.OpenRoot(ts.MkAbs("bucket"))
	ts.Check(err)
	origin := &directory{root.FS()}
	var mu sync.Mutex // guards cache
	cache := map[string]*httptest.ResponseRecorder{}
	is := func(file string) bool { _, err := os.Stat(ts.MkAbs(file)); return err == nil }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		log, err := os.OpenFile(ts.MkAbs("edge-log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			panic(err) // the directory is the test's own
		}
		fmt.Fprintln(log, r.Method, r.URL.Path)
		log.Close()
		switch {
		case r.Method == "PURGE" && r.Header.Get("X-Key") != "hunter2":
			http.Error(w, "wrong key "+r.Header.Get("X-Key"), http.StatusForbidden)
			return
		case r.Method == "PURGE" && is("edge-busy"):
			http.Error(w, "come back later", http.StatusServiceUnavailable)
			return
		case r.Method == "PURGE":
			if !is("edge-deaf") {
				delete(cache, r.URL.Path)
			}
			return
		}
		if is("edge-honest") {
			clear(cache)
		}
		answer := cache[r.URL.Path]
		if answer == nil {
			answer = httptest.NewRecorder()
			origin.ServeHTTP(answer, r)
			cache[r.URL.Path] = answer
		} else {
			w.Header().Set("Age", "60")
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	}))
	ts.Defer(func() { server.Close(); root.Close() })
	ts.Setenv("EDGE", server.URL)
}

// scriptFetch asks for an address and checks the status: fetch STATUS URL.
func scriptFetch(ts *testscript.TestScript, neg bool, args []string) {
	answer, err := http.Get(args[1])
	ts.Check(err)
	answer.Body.Close()
	if !strings.HasPrefix(answer.Status, args[0]) {
		ts.Fatalf("%s answers %s, not %s", args[1], answer.Status, args[0])
	}
}
