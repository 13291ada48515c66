package bucket

import (
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
)

// clouds are the cloud stores, each opened in a fake of its own behind a proxy.
var clouds = []struct {
	name string
	open func(t *testing.T, prefix string, front buckettest.Front) *cloud
}{
	{"GCS", openGCS},
	{"S3", openS3},
}

// eachCloud runs a test on each cloud store behind a proxy of faults.
func eachCloud(t *testing.T, test func(*testing.T, *cloud, *buckettest.Faults)) {
	for _, c := range clouds {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := &buckettest.Faults{}
			test(t, c.open(t, "", f.Front), f)
		})
	}
}
