package bucket

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Copier is a bucket that can take an object over from some other buckets without its bytes passing through here.
type Copier interface {
	// CopyFrom writes the object that source names in the bucket from, which may be this one, under a name here, with the
	// options of a Put, and promises what Put promises. Source is what from said of the object: its generation is the one
	// that is copied, or nothing. Its digest is carried over; where the store computes digests, it is checked. The error
	// matches errors.ErrUnsupported if the two buckets are too far apart for this: then Open there and Put here.
	CopyFrom(ctx context.Context, from Bucket, source Info, name string, options PutOptions) (Info, error)
}

var _ Copier = (*cloud)(nil)

// errSource is what a copy fails with whose source has changed.
var errSource = errors.New("the object to copy was overwritten or deleted: look at it again")

// copySlowest is how many bytes a second a store copies at least.
const copySlowest = 8 << 20

// CopyFrom implements [Copier].
func (c *cloud) CopyFrom(ctx context.Context, from Bucket, source Info, name string, options PutOptions) (Info, error) {
	info, err := c.copyFrom(ctx, from, source, name, options)
	if err != nil {
		return Info{}, c.fail("copy", name, err)
	}
	return info, nil
}

func (c *cloud) copyFrom(ctx context.Context, from Bucket, source Info, name string, options PutOptions) (Info, error) {
	there, ok := from.(*cloud)
	if !ok {
		return Info{}, fmt.Errorf("from %s to %s: %w", from, c, errors.ErrUnsupported)
	}
	key, err := c.key(name)
	if err != nil {
		return Info{}, err
	}
	if source.SHA256 == "" { // a listing need not have told it
		now, err := there.Stat(ctx, source.Name)
		if err != nil {
			return Info{}, err
		}
		if now.Generation != source.Generation {
			return Info{}, errSource
		}
		source = now
	}
	remote := stored{Info: source}
	if remote.Name, err = there.key(source.Name); err != nil {
		return Info{}, err
	}
	limit := c.pace.patience + time.Duration(source.Size/copySlowest)*time.Second
	o, err := c.write(ctx, key, limit, options, func(ctx context.Context, options PutOptions, mark string) (stored, bool, error) {
		return c.store.copy(ctx, there.store, remote, key, options, mark)
	})
	return c.info(o), err
}

func (g *gcs) copy(ctx context.Context, from store, source stored, key string, options PutOptions, mark string) (stored, bool, error) {
	there, ok := from.(*gcs)
	if !ok || there.endpoint != g.endpoint {
		return stored{}, false, errors.ErrUnsupported
	}
	b, err := g.handle(ctx, g.bucket)
	if err != nil {
		return stored{}, false, err
	}
	remote, err := g.handle(ctx, there.bucket)
	if err != nil {
		return stored{}, false, err
	}
	o, err := gcsConditional(b.Object(key), options.Condition)
	if err != nil {
		return stored{}, false, err
	}
	number, ok := gcsNumber(source.Generation)
	if !ok {
		return stored{}, false, errSource
	}
	copier := o.CopierFrom(remote.Object(source.Name).Generation(number))
	copier.ContentType, copier.CacheControl = options.ContentType, options.CacheControl
	copier.Metadata = newMetadata(source.SHA256, mark)
	attrs, err := copier.Run(ctx)
	if err != nil {
		if err = g.fail("storage.objects.get there and storage.objects.create here", err); errors.Is(err, ErrNotExist) {
			err = errSource
		}
		return stored{}, false, err
	}
	if attrs.Size != source.Size {
		return stored{}, true, fmt.Errorf("the store copied %d bytes of %d", attrs.Size, source.Size)
	}
	return gcsObject(attrs), false, nil
}

func (s *s3Store) copy(ctx context.Context, from store, source stored, key string, options PutOptions, mark string) (stored, bool, error) {
	there, ok := from.(*s3Store)
	if !ok || there.endpoint != s.endpoint {
		return stored{}, false, errors.ErrUnsupported
	}
	client, err := s.connect(ctx)
	if err != nil {
		return stored{}, false, err
	}
	in := &s3.CopyObjectInput{
		Bucket:            &s.bucket,
		Key:               &key,
		CopySource:        aws.String(there.bucket + "/" + s3Escape(source.Name)),
		CopySourceIfMatch: s3ETag(source.Generation),
		MetadataDirective: types.MetadataDirectiveReplace,
		ContentType:       &options.ContentType,
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		Metadata:          newMetadata(source.SHA256, mark),
	}
	if options.CacheControl != "" {
		in.CacheControl = &options.CacheControl
	}
	in.IfMatch, in.IfNoneMatch = s3Conditions(options.Condition)
	out, err := client.CopyObject(ctx, in)
	if err != nil {
		err = s.fail("s3:GetObject there and s3:PutObject here", err)
		if errors.Is(err, ErrCondition) || errors.Is(err, ErrNotExist) {
			// Which of the two objects is not what it was asked to be?
			now, serr := there.stat(ctx, source.Name)
			switch {
			case errors.Is(serr, ErrNotExist) || serr == nil && now.Generation != source.Generation:
				err = errSource
			case serr != nil:
				err = serr
			default:
				err = ErrCondition
			}
		}
		return stored{}, false, err
	}
	if out.CopyObjectResult == nil {
		return stored{}, true, errors.New("the store did not say what it copied")
	}
	copied, err := base64.StdEncoding.DecodeString(aws.ToString(out.CopyObjectResult.ChecksumSHA256))
	if err == nil && len(copied) == 32 && hex.EncodeToString(copied) != source.SHA256 {
		return stored{}, true, fmt.Errorf("the store copied bytes with SHA-256 %x, and they were written with %s: they are damaged there", copied, source.SHA256)
	}
	return stored{Info{
		Name:         key,
		Size:         source.Size,
		Generation:   s3Generation(out.CopyObjectResult.ETag),
		SHA256:       source.SHA256,
		Modified:     aws.ToTime(out.CopyObjectResult.LastModified).UTC().Truncate(time.Second),
		ContentType:  options.ContentType,
		CacheControl: options.CacheControl,
	}, mark}, false, nil
}

// s3Escape writes a key as the header of a copy's source has it, where a + is a space.
func s3Escape(key string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(key))
}
