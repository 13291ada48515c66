package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"sigs.k8s.io/pkgs/repo/bucket"
)

// store is a bucket with releases, such as the one that a release is staged in before it is published.
type store struct {
	bucket   bucket.Bucket
	patience patience
}

// maxListed is how many objects are looked at to find the versions. A release of Kubernetes has some hundred.
const maxListed = 1 << 20

func openBucket(c Config) (*store, error) {
	b, err := bucket.Open(c.URL)
	if err != nil {
		return nil, err
	}
	return &store{b, newPatience(c)}, nil
}

func (s *store) url(name string) string { return s.bucket.String() + "/" + name }

// explain makes of an error one that names the object, and that others understand.
func (s *store) explain(name string, err error) error {
	if errors.Is(err, bucket.ErrNotExist) {
		return fmt.Errorf("%s: %w", s.url(name), fs.ErrNotExist)
	}
	return err
}

func (s *store) stat(ctx context.Context, name string) (found, error) {
	info, err := s.bucket.Stat(ctx, name)
	if err != nil {
		return found{}, s.explain(name, err)
	}
	return found{info.Size, info.Modified}, nil
}

// read reads an object. Requests are repeated by the bucket; what breaks off on the way is read once more from its beginning.
func (s *store) read(ctx context.Context, name string, copy func(io.Reader, found) error) error {
	return s.patience.try(ctx, s.url(name), func() error {
		r, info, err := s.bucket.Open(ctx, name)
		if err != nil {
			return permanent{s.explain(name, err)}
		}
		defer r.Close()
		return copy(r, found{info.Size, info.Modified})
	})
}

func (s *store) folders(ctx context.Context, parent string) ([]string, error) {
	var names []string
	count := 0
	for info, err := range s.bucket.List(ctx, parent) {
		if err != nil {
			return nil, err
		}
		if count++; count > maxListed {
			return nil, fmt.Errorf("%s has more than %d objects: expected a bucket with releases", s.url(parent), maxListed)
		}
		name, _, isFolder := strings.Cut(strings.TrimPrefix(info.Name, parent), "/")
		if isFolder && (len(names) == 0 || names[len(names)-1] != name) {
			names = append(names, name)
		}
	}
	return names, nil
}
