package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// Listed is what the list of all streams says of one.
type Listed struct {
	Stream layout.Stream `json:"stream"`
	// Latest is the newest version of the packages that the stream is there for, as packages write it without a revision.
	Latest   string    `json:"latest"`
	Serial   int64     `json:"serial"`
	Time     time.Time `json:"time"`
	Packages int       `json:"packages"`
	// Follows is the stream whose packages an alias has; empty for other streams.
	Follows layout.Stream `json:"follows,omitempty"`
}

// listing is the content of streams.json.
type listing struct {
	Streams []Listed `json:"streams"`
}

// maxListing is the size of the largest streams.json that is read, in bytes.
const maxListing = 16 << 20

// Describe is what the list of all streams says of a stream that is live.
func (s *State) Describe(stream *Stream) Listed {
	listed := Listed{Stream: s.Head.Stream, Serial: s.Head.Serial, Time: s.Head.Time, Packages: len(s.Manifest.packages())}
	if s.Manifest.Follows != nil {
		listed.Follows = s.Manifest.Follows.Stream
	}
	for _, o := range s.Manifest.Objects {
		if o.Class != layout.Package || path.Ext(o.Name) != ".deb" {
			continue
		}
		p := layout.ParsePackageName(o.Name)
		if stream.Members[p.Name].Main && (listed.Latest == "" || apt.CompareVersions(p.Version, listed.Latest) > 0) {
			listed.Latest = p.Version
		}
	}
	return listed
}

// List brings the pages about streams up to date after publications: streams.json, which lists all streams, the
// latest.txt of each stream, and that of the folder that a stream is in, which has the newest version of all streams there.
// It returns the names of the pages that were written. A stream that is listed with a newer serial stays as it is, whoever
// writes at the same time. When there is nothing to say this costs one read.
//
// The list is written last: a run that dies before leaves it as it was, and the next one writes the others once more. A
// latest.txt is written on the condition that it has not changed since before the list was read.
func List(ctx context.Context, b bucket.Bucket, streams []Listed) ([]string, error) {
	for range retries {
		all, _, err := readListing(ctx, b)
		if err != nil || !all.merge(streams) {
			return nil, err
		}
		written, err := list(ctx, b, streams)
		if !errors.Is(err, bucket.ErrCondition) {
			return written, err
		}
	}
	return nil, fmt.Errorf("%s/%s: others write it all the time: run the command again", b, layout.Streams)
}

// ReadList reads the list of all streams. One that does not exist is empty.
func ReadList(ctx context.Context, b bucket.Bucket) ([]Listed, error) {
	all, _, err := readListing(ctx, b)
	if err != nil {
		return nil, err
	}
	return all.Streams, nil
}

// Unlisted are those of streams that a list does not have, or has with an older serial: whose publisher died between the
// pointers and the pages, and was followed by no other.
func Unlisted(list, streams []Listed) []Listed {
	all := listing{slices.Clone(list)}
	return slices.DeleteFunc(slices.Clone(streams), func(s Listed) bool { return !all.merge([]Listed{s}) })
}

// list writes the pages once. Its error matches bucket.ErrCondition when somebody else wrote one in between.
func list(ctx context.Context, b bucket.Bucket, streams []Listed) ([]string, error) {
	type marker struct {
		text       string
		generation bucket.Generation
	}
	markers := map[string]marker{}
	for _, s := range streams {
		for _, name := range []string{s.Stream.Latest(), s.Stream.FolderLatest()} {
			data, info, err := readAll(ctx, b, name, maxHead)
			if err != nil && !errors.Is(err, bucket.ErrNotExist) {
				return nil, err
			}
			markers[name] = marker{string(data), info.Generation}
		}
	}
	all, generation, err := readListing(ctx, b)
	if err != nil {
		return nil, err
	}
	all.merge(streams)
	written := []string{}
	for _, name := range slices.Sorted(maps.Keys(markers)) {
		latest := all.latest(name)
		if latest == "" || markers[name].text == latest+"\n" {
			continue
		}
		if err := putPage(ctx, b, name, []byte(latest+"\n"), markers[name].generation); err != nil {
			return nil, err
		}
		written = append(written, name)
	}
	data, err := encodeJSON(all)
	if err != nil {
		return nil, err
	}
	return append(written, layout.Streams), putPage(ctx, b, layout.Streams, data, generation)
}

// merge brings streams into the list that it has not or has with an older serial. It tells whether there were any.
func (l *listing) merge(streams []Listed) bool {
	changed := false
	for _, s := range streams {
		i := slices.IndexFunc(l.Streams, func(have Listed) bool { return have.Stream == s.Stream })
		if i >= 0 && l.Streams[i].Serial >= s.Serial {
			continue
		}
		if i >= 0 {
			l.Streams[i] = s
		} else {
			l.Streams = append(l.Streams, s)
		}
		changed = true
	}
	slices.SortFunc(l.Streams, func(x, y Listed) int { return cmp.Compare(x.Stream, y.Stream) })
	return changed
}

// latest is the newest version of the streams that a latest.txt is about; empty if they have none.
func (l *listing) latest(name string) string {
	latest := ""
	for _, s := range l.Streams {
		if (s.Stream.Latest() == name || s.Stream.FolderLatest() == name) && s.Latest != "" &&
			(latest == "" || apt.CompareVersions(s.Latest, latest) > 0) {
			latest = s.Latest
		}
	}
	return latest
}

// retries is how often a page is read again that somebody else wrote in between.
const retries = 20

// readListing reads streams.json; one that does not exist is empty.
func readListing(ctx context.Context, b bucket.Bucket) (*listing, bucket.Generation, error) {
	all := &listing{Streams: []Listed{}}
	data, info, err := readAll(ctx, b, layout.Streams, maxListing)
	if errors.Is(err, bucket.ErrNotExist) {
		return all, "", nil
	}
	if err == nil {
		err = decodeJSON(data, all)
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s/%s: %w", b, layout.Streams, err)
	}
	return all, info.Generation, nil
}

func putPage(ctx context.Context, b bucket.Bucket, name string, data []byte, generation bucket.Generation) error {
	_, err := b.Put(ctx, name, text(data), bucket.PutOptions{
		ContentType:  layout.ContentType(name),
		CacheControl: layout.ClassOf(name).Policy().CacheControl,
		Condition:    bucket.IfGeneration(generation),
	})
	return err
}
