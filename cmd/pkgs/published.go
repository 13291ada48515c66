package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// minorsAtOnce is how many minors are looked for before the search for more is given up.
const minorsAtOnce = 16

// existing lists the streams of the configuration that exist tells of, in the order of the file and the minors of a
// template upwards. The minors of a template have no end in the configuration: they are looked for until a row of them
// does not exist.
func (c *config) existing(ctx context.Context, exists func(context.Context, layout.Stream) (bool, error)) ([]string, error) {
	var names []string
	for i := range c.Streams {
		s := &c.Streams[i]
		next := s.Versions.First()
		for more := true; more; {
			candidates := []string{s.Name}
			if s.template() {
				candidates = candidates[:0]
				for range minorsAtOnce {
					if s.Versions.Contains(next) {
						candidates = append(candidates, strings.Replace(s.Name, minorMark, next.Minor(), 1))
					}
					next = next.NextMinor()
				}
			}
			found := make([]bool, len(candidates))
			group, ctx := errgroup.WithContext(ctx)
			for i, name := range candidates {
				group.Go(func() (err error) {
					found[i], err = exists(ctx, layout.Stream(name))
					return err
				})
			}
			if err := group.Wait(); err != nil {
				return nil, err
			}
			for i, name := range candidates {
				if found[i] {
					names = append(names, name)
				}
			}
			more = s.template() && slices.Contains(found, true)
		}
	}
	return slices.Compact(names), nil
}

// published lists the streams of the configuration that a bucket has.
func (c *config) published(ctx context.Context, b bucket.Bucket) ([]string, error) {
	return c.existing(ctx, func(ctx context.Context, stream layout.Stream) (bool, error) {
		_, err := b.Stat(ctx, stream.Head())
		if errors.Is(err, bucket.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	})
}
