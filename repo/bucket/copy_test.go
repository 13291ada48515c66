package bucket

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
)

// TestCopy copies between two prefixes of one store.
func TestCopy(t *testing.T) {
	eachCloud(t, func(t *testing.T, from *cloud, f *buckettest.Faults) {
		ctx := t.Context()
		to := &cloud{address: from.address + "/production", prefix: "production/", store: from.store, pace: from.pace, listPage: from.listPage}
		const name = "core:/stable:/v1.35/deb/a b+c%2F~1_amd64.deb"
		if _, err := from.Put(ctx, name, Bytes([]byte("package")), PutOptions{ContentType: "text/plain", CacheControl: "private"}); err != nil {
			t.Fatal(err)
		}
		source, err := from.Stat(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		options := PutOptions{ContentType: "application/x-rpm", CacheControl: "max-age=5", Condition: IfAbsent}
		info, err := to.CopyFrom(ctx, from, source, source.Name, options)
		if err != nil {
			t.Fatal(err)
		}
		data, stat := get(t, to, name)
		if data != "package" || info.Generation != stat.Generation || stat.SHA256 != source.SHA256 || info.SHA256 != source.SHA256 ||
			info.Name != name || info.Size != 7 || stat.ContentType != "application/x-rpm" || stat.CacheControl != "max-age=5" {
			t.Errorf("copied %+v; then there was %q, %+v", info, data, stat)
		}
		var e *Error
		if _, err := to.CopyFrom(ctx, from, source, source.Name, options); !errors.Is(err, ErrCondition) || !errors.As(err, &e) || e.Op != "copy" || e.Name != name {
			t.Errorf("absent: %v", err)
		}
		options.Condition = IfGeneration("77")
		if _, err := to.CopyFrom(ctx, from, source, source.Name, options); !errors.Is(err, ErrCondition) {
			t.Errorf("another generation: %v", err)
		}
		options.Condition = IfGeneration(stat.Generation)
		listed := source
		listed.SHA256 = "" // as S3 lists it
		if info, err := to.CopyFrom(ctx, from, listed, listed.Name, options); err != nil || info.SHA256 != source.SHA256 {
			t.Errorf("the generation that is there: %+v, %v", info, err)
		}

		// The source is no more what it was.
		options.Condition = nil
		put(t, from, name, "other package")
		for _, s := range []Info{source, listed, {Name: name, Generation: "77", SHA256: source.SHA256}} {
			if _, err := to.CopyFrom(ctx, from, s, s.Name, options); !errors.Is(err, errSource) || errors.Is(err, ErrCondition) {
				t.Errorf("an overwritten source: %v", err)
			}
		}
		source.Name = "missing"
		if _, err := to.CopyFrom(ctx, from, source, source.Name, options); !errors.Is(err, errSource) {
			t.Errorf("a missing source: %v", err)
		}
		if data, _ := get(t, to, name); data != "package" {
			t.Errorf("now there is %q", data)
		}

		// Lost answers and refusals.
		method := http.MethodPost
		if _, ok := from.store.(*s3Store); ok {
			method = http.MethodPut
		}
		source = put(t, from, "x", strings.Repeat("x", 1000))
		for _, trouble := range []buckettest.Trouble{buckettest.Dropped, buckettest.Lost, buckettest.Short, buckettest.Late, buckettest.Status + 503, buckettest.Status + 429} {
			f.Once(method, trouble)
			info, err := to.CopyFrom(ctx, from, source, source.Name, PutOptions{Condition: IfAbsent})
			if err != nil {
				t.Fatalf("trouble %d: %v", trouble, err)
			}
			if err := to.Delete(ctx, "x", info.Generation); err != nil {
				t.Fatal(err)
			}
		}
		for _, far := range []Bucket{NewMemory(), Options{}.newCloud(&address{}, newGCS("b", "https://other.example")), Options{}.newCloud(&address{}, &s3Store{endpoint: "https://other.example"})} {
			if _, err := to.CopyFrom(ctx, far, source, source.Name, PutOptions{}); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("copied from far away: %v", err)
			}
		}
	})
}
