package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/release/releasetest"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
	"sigs.k8s.io/pkgs/repo/layout"
)

// TestGCDenied collects garbage with credentials that may do everything but delete. The error says what to grant, nothing is
// lost or half done, publishing goes on, and the same command deletes it all once it may. (What a directory does that refuses
// is in testdata/gc.txtar.)
func TestGCDenied(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	const stream = layout.Stream("core:/stable:/v1.35")
	upstream := releasetest.NewUpstream(t)
	for patch := range 2 {
		upstream.Kubernetes(fmt.Sprintf("v1.35.%d", patch), releaseDate, "amd64")
	}
	key, err := os.ReadFile("../../keys/testdata/one-private.asc")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		scheme, answer, want string
		start                func(buckettest.Front) (*buckettest.Store, error)
	}{
		{"gs", `{"error":{"code":403,"message":"x does not have storage.objects.delete access"}}`, "grant them roles/storage.objectUser, or storage.objects.delete", buckettest.GCS},
		{"s3", `<Error><Code>AccessDenied</Code><Message>denied by the test</Message></Error>`, "allow them s3:DeleteObject on the bucket", buckettest.S3},
	} {
		t.Run(c.scheme, func(t *testing.T) {
			var denying atomic.Bool
			store, err := c.start(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method != http.MethodDelete || !denying.Load() {
						next.ServeHTTP(w, r)
						return
					}
					w.WriteHeader(http.StatusForbidden)
					io.WriteString(w, c.answer)
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			b, err := bucket.Open(store.Address("prefix"))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			config := filepath.Join(dir, "pkgs.yaml")
			text := fmt.Sprintf("bucket: %q\nurl: https://pkgs.example.org\nsigning: {key: key.asc}\narchitectures: [amd64]\nrevision: \"1.1\"\ncache: cache\n%sstreams:\n  - {name: %q, packages: {kubectl: cut}}\n",
				store.Address("prefix"), upstream.Config(), stream)
			for name, data := range map[string]string{"key.asc": string(key), "pkgs.yaml": text} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			pkgs := func(want int, args ...string) (stdout, stderr string) {
				t.Helper()
				var out, said bytes.Buffer
				if code := run(t.Context(), time.Now, append(args, "--config", config), &out, &said); code != want {
					t.Fatalf("%q: exit code %d, want %d\n%s%s", args, code, want, &out, &said)
				}
				return out.String(), said.String()
			}
			pkgs(0, "cut", "v1.35.0", "--confirm")
			put := func(name string, data []byte) {
				t.Helper()
				content := bucket.Content{Size: int64(len(data)), SHA256: fmt.Sprintf("%x", sha256.Sum256(data)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
				if _, err := b.Put(context.Background(), name, content, bucket.PutOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			var garbage []string
			for i := range 3 {
				data := fmt.Appendf(nil, "an index that nothing names, %d", i)
				garbage = append(garbage, stream.Deb(layout.ByHash(fmt.Sprintf("%x", sha256.Sum256(data)))))
				put(garbage[i], data)
			}
			left := func() (n int) {
				for _, name := range garbage {
					if _, err := b.Stat(context.Background(), name); err == nil {
						n++
					}
				}
				return n
			}
			pkgs(0, "gc", "--confirm")
			// Two weeks pass.
			var list map[string]any
			if err := json.Unmarshal([]byte(objectText(t, b, stream.Marks())), &list); err != nil {
				t.Fatal(err)
			}
			marks := list["objects"].(map[string]any)
			for _, mark := range marks {
				mark.(map[string]any)["since"] = "2024-01-01T00:00:00Z"
			}
			data, err := json.Marshal(list)
			if err != nil || len(marks) != len(garbage) {
				t.Fatalf("%d objects are noted: %v", len(marks), err)
			}
			put(stream.Marks(), data)

			denying.Store(true)
			for range 2 {
				out, said := pkgs(exitFailure, "gc", "--percent", "100", "--confirm")
				if !strings.Contains(out, "deletes 3 objects") || !strings.Contains(said, c.want) || strings.Contains(said, "attempts") {
					t.Errorf("it says %q, want %q", said, c.want)
				}
				if n := left(); n != len(garbage) {
					t.Errorf("%d of %d objects are left", n, len(garbage))
				}
				pkgs(0, "verify", "--audit")
			}
			pkgs(0, "cut", "v1.35.1", "--confirm") // takes no permission to delete, and waits for no deletion that failed
			denying.Store(false)
			if out, _ := pkgs(0, "gc", "--percent", "100", "--confirm"); !strings.Contains(out, "deletes 3 objects") || left() != 0 {
				t.Errorf("%d objects are left; it says %q", left(), out)
			}
			pkgs(0, "verify", "--audit")
		})
	}
}
