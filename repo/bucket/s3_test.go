package bucket

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
)

func TestS3(t *testing.T) {
	testBucket(t, func(t *testing.T) Bucket { return openS3(t, "some/prefix", nil) })
}

// openS3 opens a bucket in a fake store of its own, through a proxy if one is given. It waits less long than one in
// earnest.
func openS3(t *testing.T, prefix string, front buckettest.Front) *cloud {
	t.Helper()
	store, err := buckettest.S3(front)
	c := openFake(t, store, err, prefix)
	s := c.store.(*s3Store)
	s.client = s.newClient(credentials.NewStaticCredentialsProvider("key", "secret", ""))
	return c
}
