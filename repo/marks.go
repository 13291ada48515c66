package repo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// marks is the content of a stream's list of objects that no recent publication names. It is what a collection of garbage
// knows from the collections before it, and how collections and publishers keep out of each other's way.
type marks struct {
	Stream  layout.Stream   `json:"stream"`
	Objects map[string]mark `json:"objects"`
	// Sweep is the deletion that is going on, or that died.
	Sweep *sweep `json:"sweep,omitempty"`
}

// mark is an object that was found to be named by no recent publication.
type mark struct {
	Since time.Time `json:"since"`
	// Generation and Modified are those that it had: an object that was written since is another one.
	Generation bucket.Generation `json:"generation"`
	Modified   time.Time         `json:"modified"`
}

// sweep is a deletion of objects.
type sweep struct {
	// Until is when whoever deletes them stops to, and By is who it is.
	Until time.Time       `json:"until"`
	By    string          `json:"by"`
	Names map[string]bool `json:"names"`
}

// The times that keep collections and publishers apart; the comment of the package says how. Clocks of different machines
// may differ by maxSkew.
const (
	// maxSweep is how long objects are deleted before the list is written anew.
	maxSweep = 10 * time.Minute
	maxSkew  = 10 * time.Minute
	// maxCollect is how long a collection may take from its look at HEAD to its deletions.
	maxCollect = time.Hour
	// maxPublish is how old a plan may be when it is committed.
	maxPublish = 12 * time.Hour
	// minRetention is the shortest time that objects which nothing names are kept.
	minRetention = 24 * time.Hour
)

// BusyError says that objects which a publication needs are just being deleted, or that another collection is at work.
type BusyError struct {
	Stream layout.Stream
	By     string
	Until  time.Time
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("stream %s: %s is deleting objects that nothing named until %s at the latest: run the command again after that", e.Stream, e.By, e.Until.Format(time.RFC3339))
}

// has tells whether an object is on the list, or being deleted.
func (m *marks) has(name string) bool {
	_, ok := m.Objects[name]
	return ok || m.Sweep != nil && m.Sweep.Names[name]
}

// active tells whether somebody may still be deleting.
func (s *sweep) active(now time.Time) bool { return s != nil && now.Before(s.Until.Add(maxSkew)) }

// readMarks reads the list of a stream. It is empty, with an empty generation, if there is none.
func readMarks(ctx context.Context, b bucket.Bucket, stream layout.Stream) (*marks, bucket.Generation, error) {
	m := &marks{Stream: stream, Objects: map[string]mark{}}
	data, info, err := readAll(ctx, b, stream.Marks(), maxManifest)
	if errors.Is(err, bucket.ErrNotExist) {
		return m, "", nil
	}
	if err == nil {
		if err = decodeJSON(data, m); err == nil && m.Stream != stream {
			err = fmt.Errorf("is the list of stream %s", m.Stream)
		}
		if err != nil {
			err = fmt.Errorf("%s/%s: %w; without it every object counts as newly found, so it may be deleted", b, stream.Marks(), err)
		}
	}
	if m.Objects == nil {
		m.Objects = map[string]mark{}
	}
	return m, info.Generation, err
}

// writeMarks replaces the list of a stream if it still has a generation, and returns what the store says of the new one.
// An unclear answer is cleared up by reading the list back.
func writeMarks(ctx context.Context, b bucket.Bucket, m *marks, was bucket.Generation) (bucket.Info, error) {
	data, err := encodeJSON(m)
	if err != nil {
		return bucket.Info{}, err
	}
	name := m.Stream.Marks()
	info, err := b.Put(ctx, name, text(data), putOptions(name, bucket.IfGeneration(was)))
	if err == nil && !info.Modified.IsZero() || errors.Is(err, bucket.ErrCondition) {
		return info, err
	}
	now, info, readErr := readAll(ctx, b, name, maxManifest)
	switch {
	case err == nil:
		return info, readErr
	case readErr == nil && digest(now) == digest(data):
		return info, nil
	}
	return info, err
}

// hold makes sure that objects which the bucket has are not deleted before the publication that is about to name them is
// committed: it takes them off the list of a stream. They are to be looked for again afterwards.
func (p *Publisher) hold(ctx context.Context, stream layout.Stream, names []string) error {
	for {
		m, generation, err := readMarks(ctx, p.Bucket, stream)
		if err != nil {
			return err
		}
		change := false
		for _, name := range names {
			if m.Sweep != nil && m.Sweep.Names[name] {
				if m.Sweep.active(p.Now()) {
					return &BusyError{stream, m.Sweep.By, m.Sweep.Until.Add(maxSkew)}
				}
				delete(m.Sweep.Names, name)
				change = true
			}
			if _, ok := m.Objects[name]; ok {
				delete(m.Objects, name)
				change = true
			}
		}
		if !change {
			return nil
		}
		p.Log.Info("keep objects that were to be deleted", "stream", stream, "objects", len(names))
		if _, err = writeMarks(ctx, p.Bucket, m, generation); !errors.Is(err, bucket.ErrCondition) {
			return err
		}
		// Somebody else changed the list. It does not happen often, and ctx bounds it.
	}
}
