package bucket

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/auth"
	endpoints "github.com/aws/smithy-go/endpoints"
)

// endpointOnce finds out once where the requests for a bucket go. The library works that out by rules, twice for each request, and
// that takes some hundred allocations each time. Of all that the rules ask for, only names of objects differ between the
// requests of one client for one bucket, and the rules do not ask for these.
type endpointOnce struct {
	rules s3.EndpointResolverV2

	mu     sync.Mutex
	bucket string             // guarded by mu; empty before the first request
	found  endpoints.Endpoint // guarded by mu; what is in it is copied for each request
}

// ResolveEndpoint implements [s3.EndpointResolverV2].
func (e *endpointOnce) ResolveEndpoint(ctx context.Context, p s3.EndpointParameters) (endpoints.Endpoint, error) {
	bucket := aws.ToString(p.Bucket)
	e.mu.Lock()
	defer e.mu.Unlock()
	if bucket == "" || bucket != e.bucket {
		found, err := e.rules.ResolveEndpoint(ctx, p)
		if err != nil || e.bucket != "" {
			return found, err
		}
		e.bucket, e.found = bucket, found
	}
	// Each request notes in these options what it is signed with.
	endpoint := e.found
	options, _ := auth.GetAuthOptions(&e.found.Properties)
	var own []*auth.Option
	for _, o := range options {
		copied := &auth.Option{SchemeID: o.SchemeID}
		copied.IdentityProperties.SetAll(&o.IdentityProperties)
		copied.SignerProperties.SetAll(&o.SignerProperties)
		own = append(own, copied)
	}
	endpoint.Properties = smithy.Properties{}
	endpoint.Properties.SetAll(&e.found.Properties)
	auth.SetAuthOptions(&endpoint.Properties, own)
	endpoint.Headers = e.found.Headers.Clone()
	return endpoint, nil
}
