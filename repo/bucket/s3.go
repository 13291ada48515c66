package bucket

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// s3Store is Amazon S3, or what speaks its language. Its generations are ETags without their quotes. Objects are sent in
// one request, which S3 takes up to 5 GiB, and nothing is held in memory. The request is signed for the SHA-256 of the
// bytes, and carries it as the object's checksum too: the store refuses other bytes. A listing tells neither headers nor
// digests, and a write does not tell its time.
type s3Store struct {
	bucket   string
	region   string // empty is the one of the environment
	endpoint string // empty is Amazon's

	mu     sync.Mutex
	client *s3.Client // guarded by mu; nil until it is needed
}

const s3Login = "there are no S3 credentials that work: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or log in with aws sso login"

// connect returns the client, and looks for credentials when it is called first.
func (s *s3Store) connect(ctx context.Context) (*s3.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	loaded, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the settings of Amazon's tools: %w", err)
	}
	if s.region == "" {
		s.region = loaded.Region
	}
	switch {
	case s.region == "" && s.endpoint == "":
		return nil, errors.New("the bucket's region is not known: add ?region=… to its address, or set AWS_REGION")
	case s.region == "":
		s.region = "us-east-1" // what stores with no regions sign with
	}
	s.client = s.newClient(loaded.Credentials)
	return s.client, nil
}

func (s *s3Store) newClient(credentials aws.CredentialsProvider) *s3.Client {
	options := s3.Options{
		Region:             s.region,
		Credentials:        credentials,
		EndpointResolverV2: &endpointOnce{rules: s3.NewDefaultEndpointResolverV2()},
		// Attempts are counted, and their outcomes weighed, in cloud.
		Retryer: aws.NopRetryer{},
		HTTPClient: awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = t.MaxIdleConns
		}),
		// The checksums that we want are asked for; others are unknown to many stores.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	if s.endpoint != "" {
		options.BaseEndpoint = aws.String(s.endpoint)
		options.UsePathStyle = true
	}
	return s3.New(options)
}

func (s *s3Store) stat(ctx context.Context, key string) (stored, error) {
	client, err := s.connect(ctx)
	if err != nil {
		return stored{}, err
	}
	out, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return stored{}, s.fail("s3:GetObject, and s3:ListBucket to be told of what is missing", err)
	}
	return stored{Info{
		Name:         key,
		Size:         aws.ToInt64(out.ContentLength),
		Generation:   s3Generation(out.ETag),
		SHA256:       s3Digest(out.ChecksumSHA256, out.Metadata),
		Modified:     aws.ToTime(out.LastModified).UTC(),
		ContentType:  aws.ToString(out.ContentType),
		CacheControl: aws.ToString(out.CacheControl),
	}, metadata(out.Metadata, metaMark)}, nil
}

func (s *s3Store) open(ctx context.Context, key string, offset int64, generation Generation) (io.ReadCloser, stored, error) {
	client, err := s.connect(ctx)
	if err != nil {
		return nil, stored{}, err
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: &key}
	if offset > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	} else {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	if generation != "" {
		in.IfMatch = s3ETag(generation)
	}
	out, err := client.GetObject(ctx, in)
	if err != nil {
		return nil, stored{}, s.fail("s3:GetObject, and s3:ListBucket to be told of what is missing", err)
	}
	size := aws.ToInt64(out.ContentLength)
	if offset > 0 {
		var first int64
		if size, first, err = parseContentRange(aws.ToString(out.ContentRange)); err != nil || first != offset {
			out.Body.Close()
			return nil, stored{}, fmt.Errorf("the store answered a reading from byte %d on with range %q", offset, aws.ToString(out.ContentRange))
		}
	}
	return out.Body, stored{Info{
		Name:         key,
		Size:         size,
		Generation:   s3Generation(out.ETag),
		SHA256:       s3Digest(out.ChecksumSHA256, out.Metadata),
		Modified:     aws.ToTime(out.LastModified).UTC(),
		ContentType:  aws.ToString(out.ContentType),
		CacheControl: aws.ToString(out.CacheControl),
	}, metadata(out.Metadata, metaMark)}, nil
}

// parseContentRange reads the header of part of an object, such as "bytes 5-9/10".
func parseContentRange(header string) (size, first int64, err error) {
	var last int64
	_, err = fmt.Sscanf(header, "bytes %d-%d/%d", &first, &last, &size)
	return size, first, err
}

func (s *s3Store) put(ctx context.Context, key string, content Content, options PutOptions, mark string) (stored, bool, error) {
	client, err := s.connect(ctx)
	if err != nil {
		return stored{}, false, err
	}
	sum, err := hex.DecodeString(content.SHA256)
	if err != nil {
		return stored{}, false, &contentError{fmt.Errorf("the content's SHA-256 is %q: %w", content.SHA256, err)}
	}
	in := &s3.PutObjectInput{
		Bucket:         &s.bucket,
		Key:            &key,
		ContentLength:  &content.Size,
		ContentType:    &options.ContentType,
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum)),
		Metadata:       newMetadata(content.SHA256, mark),
	}
	if options.CacheControl != "" {
		in.CacheControl = &options.CacheControl
	}
	in.IfMatch, in.IfNoneMatch = s3Conditions(options.Condition)
	// The reader keeps the last piece back if the bytes are wrong, and then the store has less than it was promised.
	reader, err := content.checked(ctx)
	if err != nil {
		return stored{}, false, &contentError{err}
	}
	body := &putBody{r: reader}
	defer body.Close()
	if content.Size > 0 {
		in.Body = body
	}
	out, err := client.PutObject(ctx, in, signedFor(content.SHA256))
	if err != nil {
		if cerr := body.failed(); cerr != nil {
			return stored{}, false, &contentError{cerr}
		}
		if err = s.fail("s3:PutObject", err); errors.Is(err, ErrNotExist) {
			err = ErrCondition // there is no object that could have the generation
		}
		return stored{}, false, err
	}
	return stored{Info{
		Name:         key,
		Size:         content.Size,
		Generation:   s3Generation(out.ETag),
		SHA256:       content.SHA256,
		ContentType:  options.ContentType,
		CacheControl: options.CacheControl,
	}, mark}, false, nil
}

// signedFor signs a request for a body of which the digest is known, so that it need not be read ahead.
func signedFor(sha256 string) func(*s3.Options) {
	return s3.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("KnownPayloadHash",
			func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				return next.HandleInitialize(v4.SetPayloadHash(ctx, sha256), in)
			}), middleware.Before)
	})
}

// putBody is the body of a request. It remembers why it could not be read, which the error of the request need not tell,
// and it may be closed while it is read, as requests do when they end early.
type putBody struct {
	mu sync.Mutex
	r  *checkedReader // guarded by mu; nil when it is closed
	// err is guarded by mu.
	err error
}

func (b *putBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

func (b *putBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return nil
	}
	r := b.r
	b.r = nil
	return r.Close()
}

func (b *putBody) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (s *s3Store) list(ctx context.Context, prefix, page string, limit int) ([]stored, string, error) {
	client, err := s.connect(ctx)
	if err != nil {
		return nil, "", err
	}
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix, MaxKeys: aws.Int32(int32(limit))}
	if page != "" {
		in.ContinuationToken = &page
	}
	out, err := client.ListObjectsV2(ctx, in)
	if err != nil {
		if err = s.fail("s3:ListBucket", err); errors.Is(err, ErrNotExist) {
			err = errNoBucket
		}
		return nil, "", err
	}
	objects := make([]stored, len(out.Contents))
	for i, o := range out.Contents {
		objects[i].Info = Info{Name: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), Generation: s3Generation(o.ETag), MD5: s3MD5(o.ETag),
			Modified: aws.ToTime(o.LastModified).UTC().Truncate(time.Second)}
	}
	if !aws.ToBool(out.IsTruncated) {
		return objects, "", nil
	}
	return objects, aws.ToString(out.NextContinuationToken), nil
}

func (s *s3Store) delete(ctx context.Context, key string, generation Generation) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	// Amazon checks the condition; some that speak its language do not, so we look first.
	o, err := s.stat(ctx, key)
	if err != nil {
		return err
	}
	if o.Generation != generation {
		return ErrCondition
	}
	if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key, IfMatch: s3ETag(generation)}); err != nil {
		return s.fail("s3:DeleteObject", err)
	}
	return nil
}

func s3Generation(etag *string) Generation {
	return Generation(strings.Trim(aws.ToString(etag), `"`))
}

// s3MD5 is the MD5 that an ETag is, as it is for objects that were written in one request; empty if it is none.
func s3MD5(etag *string) string {
	sum := string(s3Generation(etag))
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != md5.Size {
		return ""
	}
	return sum
}

func s3ETag(g Generation) *string { return aws.String(`"` + string(g) + `"`) }

// s3Conditions puts a condition of a write into the store's words.
func s3Conditions(condition Condition) (match, noneMatch *string) {
	switch want, ok := wanted(condition); {
	case !ok:
		return nil, nil
	case want == "":
		return nil, aws.String("*")
	default:
		return s3ETag(want), nil
	}
}

// s3Digest returns the SHA-256 of an object that the store checked, or else the one that the writer said.
func s3Digest(checksum *string, meta map[string]string) string {
	sum, err := base64.StdEncoding.DecodeString(aws.ToString(checksum))
	if err != nil || len(sum) != 32 { // or it is of an object's parts
		return digestIn(meta)
	}
	return hex.EncodeToString(sum)
}

// fail says what an error of the store's library means. The permissions are those that the request needed.
func (s *s3Store) fail(permissions string, err error) error {
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) || answer.HTTPStatusCode() < 300 { // or the answer broke off
		if text := err.Error(); !late(err) && (strings.Contains(text, "get identity") || strings.Contains(text, "get credentials")) {
			return fmt.Errorf("%s (%w)", s3Login, err)
		}
		return &failure{judgeTransport(err), err}
	}
	status, code, message := answer.HTTPStatusCode(), "", ""
	var api smithy.APIError
	if errors.As(err, &api) {
		code, message = api.ErrorCode(), api.ErrorMessage()
	}
	there := answer.Response.Header.Get("X-Amz-Bucket-Region")
	// The library's own words are long and lead away from what happened.
	err = fmt.Errorf("the store answered with status %d, %s %s, to request %s", status, code, message, answer.ServiceRequestID())
	switch {
	case code == "NoSuchBucket":
		return errNoBucket
	case code == "NoSuchKey":
		return errNoObject
	case status == http.StatusNotFound:
		return ErrNotExist
	case status == http.StatusPreconditionFailed:
		return ErrCondition
	case there != "" && there != s.region && status < 500:
		return fmt.Errorf("the bucket is in the region %[1]s: write ?region=%[1]s in its address (%[2]w)", there, err)
	case code == "RequestTimeout", code == "BadDigest", code == "XAmzContentSHA256Mismatch", code == "IncompleteBody":
		return &failure{refused, err} // the bytes were lost or damaged on their way: we had checked them
	case status == http.StatusNotImplemented:
		return fmt.Errorf("the store must know conditional writes (If-None-Match, If-Match) and SHA-256 checksums: choose another store (%w)", err)
	case status == http.StatusUnauthorized, code == "InvalidAccessKeyId", code == "SignatureDoesNotMatch", code == "ExpiredToken", code == "InvalidToken":
		return fmt.Errorf("%s (%w)", s3Login, err)
	case code == "RequestTimeTooSkewed":
		return fmt.Errorf("the clock of this machine is wrong: set it (%w)", err)
	case status == http.StatusForbidden:
		return fmt.Errorf("the credentials lack a permission: allow them %s on the bucket and its objects (%w)", permissions, err)
	}
	if v := judgeStatus(status); v != final {
		return &failure{v, err}
	}
	return err
}
