package repo

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
)

func TestMain(m *testing.M) {
	// What an S3 client signs with. The fake takes all.
	os.Setenv("AWS_ACCESS_KEY_ID", "key")
	os.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	os.Exit(m.Run())
}

// eachKind runs a test on every kind of bucket; fresh makes another empty one. The requests of the cloud stores come
// through a proxy that can make trouble; it is nil for the others.
func eachKind(t *testing.T, test func(t *testing.T, fresh func() bucket.Bucket, faults *buckettest.Faults)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, func() bucket.Bucket { return bucket.NewMemory() }, nil)
	})
	t.Run("dir", func(t *testing.T) {
		t.Parallel()
		test(t, func() bucket.Bucket { return bucket.NewDir(t.TempDir()) }, nil)
	})
	for name, start := range map[string]func(buckettest.Front) (*buckettest.Store, error){"gcs": buckettest.GCS, "s3": buckettest.S3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := &buckettest.Faults{}
			store, err := start(faults.Front)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(store.Close)
			var n atomic.Int64
			test(t, func() bucket.Bucket { return openStore(t, store, fmt.Sprint("bucket", n.Add(1))) }, faults)
		})
	}
}

// openStore opens a bucket in a fake of a cloud store. It waits less long than one in earnest.
func openStore(t *testing.T, store *buckettest.Store, prefix string) bucket.Bucket {
	t.Helper()
	b, err := bucket.Options{Pause: time.Millisecond, Patience: 2 * time.Second}.Open(store.Address(prefix))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
