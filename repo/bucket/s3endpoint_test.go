package bucket

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	endpoints "github.com/aws/smithy-go/endpoints"
)

// countedRules count how often they are asked.
type countedRules struct {
	s3.EndpointResolverV2
	asked int
}

func (c *countedRules) ResolveEndpoint(ctx context.Context, p s3.EndpointParameters) (endpoints.Endpoint, error) {
	c.asked++
	return c.EndpointResolverV2.ResolveEndpoint(ctx, p)
}

// TestS3Endpoint holds the endpoint that is found once against what the library's rules say of each request.
func TestS3Endpoint(t *testing.T) {
	for what, of := range map[string]s3.EndpointParameters{
		"Amazon":          {Region: aws.String("eu-north-1")},
		"another store":   {Region: aws.String("eu-1"), Endpoint: aws.String("http://127.0.0.1:9000"), ForcePathStyle: aws.Bool(true)},
		"a dotted bucket": {Region: aws.String("us-east-1")},
	} {
		rules := &countedRules{EndpointResolverV2: s3.NewDefaultEndpointResolverV2()}
		once := &endpointOnce{rules: rules}
		bucket := map[string]string{"a dotted bucket": "packages.example.org"}[what]
		if bucket == "" {
			bucket = "packages"
		}
		for _, key := range []string{"core:/stable:/v1.35/deb/InRelease", "streams.json", ""} {
			p := of
			p.Bucket, p.Key, p.Prefix = &bucket, aws.String(key), aws.String(key)
			want, err := rules.EndpointResolverV2.ResolveEndpoint(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			got, err := once.ResolveEndpoint(t.Context(), p)
			if err != nil || got.URI != want.URI {
				t.Errorf("%s, %q: %s, want %s: %v", what, key, got.URI.String(), want.URI.String(), err)
			}
		}
		if rules.asked != 1 {
			t.Errorf("%s: the rules were asked %d times", what, rules.asked)
		}
		// Another bucket is another place.
		p := of
		p.Bucket = aws.String("staging")
		want, _ := rules.EndpointResolverV2.ResolveEndpoint(t.Context(), p)
		if got, err := once.ResolveEndpoint(t.Context(), p); err != nil || got.URI != want.URI {
			t.Errorf("%s: %s, want %s: %v", what, got.URI.String(), want.URI.String(), err)
		}
	}
}

// BenchmarkS3Endpoint compares the rules with what is found once.
func BenchmarkS3Endpoint(b *testing.B) {
	rules := s3.NewDefaultEndpointResolverV2()
	p := s3.EndpointParameters{Region: aws.String("eu-1"), Endpoint: aws.String("http://127.0.0.1:9000"), ForcePathStyle: aws.Bool(true), Bucket: aws.String("packages")}
	for name, r := range map[string]s3.EndpointResolverV2{"rules": rules, "once": &endpointOnce{rules: rules}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.ResolveEndpoint(context.Background(), p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
