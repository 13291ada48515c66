package repo

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
)

// TestDenied publishes with credentials that may not all that it takes: with none that the store knows, with those that may
// not create, and, in Google Cloud Storage, with those that may not delete and so not overwrite. The error says what to
// grant, nothing is lost, and a run with the right ones completes the publication.
func TestDenied(t *testing.T) {
	first, second := twoPublications(t)
	google := func(w http.ResponseWriter, status int, message string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, `{"error":{"code":`+map[int]string{401: "401", 403: "403"}[status]+`,"message":"`+message+`"}}`)
	}
	amazon := func(w http.ResponseWriter, status int, code string) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>`+code+`</Code><Message>denied by the test</Message></Error>`)
	}
	writes := func(r *http.Request) bool { return r.Method == http.MethodPost || r.Method == http.MethodPut }
	overwrites := func(r *http.Request) bool {
		generation := r.URL.Query().Get("ifGenerationMatch")
		return writes(r) && generation != "" && generation != "0"
	}
	for name, c := range map[string]struct {
		store  string
		denies func(*http.Request) bool
		answer func(http.ResponseWriter)
		want   string
	}{
		"gcs unknown":      {"gcs", func(*http.Request) bool { return true }, func(w http.ResponseWriter) { google(w, 401, "Invalid Credentials") }, "run gcloud auth application-default login"},
		"gcs lacks create": {"gcs", writes, func(w http.ResponseWriter) { google(w, 403, "x does not have storage.objects.create access") }, "storage.objects.create"},
		"gcs lacks delete": {"gcs", overwrites, func(w http.ResponseWriter) { google(w, 403, "x does not have storage.objects.delete access") }, "storage.objects.delete to overwrite"},
		"s3 unknown":       {"s3", writes, func(w http.ResponseWriter) { amazon(w, 403, "InvalidAccessKeyId") }, "set AWS_ACCESS_KEY_ID"},
		"s3 lacks create":  {"s3", writes, func(w http.ResponseWriter) { amazon(w, 403, "AccessDenied") }, "allow them s3:PutObject"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var denying atomic.Bool
			var denied atomic.Int32
			store, err := stores[c.store](func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if denying.Load() && c.denies(r) {
						denied.Add(1)
						io.Copy(io.Discard, r.Body)
						c.answer(w)
						return
					}
					next.ServeHTTP(w, r)
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(store.Close)
			var b bucket.Bucket = openStore(t, store)
			if err := execute(t, b, ripe(t, first, b)); err != nil {
				t.Fatal(err)
			}
			plan := ripe(t, second, b)
			denying.Store(true)
			err = execute(t, b, plan)
			denying.Store(false)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "attempts") {
				t.Errorf("the error is %v, want one that says %q", err, c.want)
			}
			if n := denied.Load(); n > int32(len(second.Writes)+20) {
				t.Errorf("%d requests were denied", n)
			}
			if n := check(t, b); n != 2 {
				t.Errorf("a client finds %d debs", n)
			}
			if _, err := finish(t, b, second); err != nil {
				t.Fatal(err)
			}
			if n := check(t, b); n != 4 {
				t.Errorf("with the right credentials a client finds %d debs", n)
			}
		})
	}
}
