package repo

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
)

func TestMain(m *testing.M) {
	// What an S3 client signs with. The fake takes all.
	os.Setenv("AWS_ACCESS_KEY_ID", "key")
	os.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	if words := os.Getenv(publishingProcess); words != "" {
		if err := publishDirs(strings.Split(words, "\n")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// eachKind runs a test on every kind of bucket. fresh makes another empty one, of which only the last is good. The requests
// of the cloud stores come through a proxy that can make trouble; it is nil for the others.
func eachKind(t *testing.T, test func(t *testing.T, fresh func() bucket.Bucket, faults *buckettest.Faults)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, func() bucket.Bucket { return bucket.NewMemory() }, nil)
	})
	t.Run("dir", func(t *testing.T) {
		t.Parallel()
		test(t, func() bucket.Bucket { return bucket.NewDir(quickDir(t)) }, nil)
	})
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := &buckettest.Faults{}
			var store *buckettest.Store
			stop := func() {
				if store != nil {
					store.Close()
				}
			}
			t.Cleanup(func() { stop() })
			test(t, func() bucket.Bucket {
				stop() // the fakes become slow when they have many objects
				var err error
				if store, err = start(faults.Front); err != nil {
					t.Fatal(err)
				}
				return openStore(t, store)
			}, faults)
		})
	}
}

// stores are the fakes of cloud stores.
var stores = map[string]func(buckettest.Front) (*buckettest.Store, error){"gcs": buckettest.GCS, "s3": buckettest.S3}

// openStore opens the bucket of a fake of a cloud store. It waits less long than one in earnest.
func openStore(t *testing.T, store *buckettest.Store) bucket.Bucket {
	t.Helper()
	b, err := bucket.Options{Pause: time.Millisecond, Patience: 10 * time.Second}.Open(store.Address("prefix"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// openHasty opens the bucket of a store that makes trouble: with fewer attempts than usual, so that some runs fail, and
// with little patience.
func openHasty(t *testing.T, store *buckettest.Store) bucket.Bucket {
	t.Helper()
	b, err := bucket.Options{Attempts: 5, Pause: time.Millisecond, Patience: 300 * time.Millisecond}.Open(store.Address("prefix"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// quickDir is a directory in memory where there is one: no test here cuts the power, and it is the waiting for the disk
// that takes the time.
func quickDir(t *testing.T) string {
	t.Helper()
	memory := "/dev/shm"
	if _, err := os.Stat(memory); err != nil {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "pkgs-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
