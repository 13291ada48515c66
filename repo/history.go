package repo

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// Publication is one entry of a stream's history.
type Publication struct {
	Serial int64     `json:"serial"`
	Time   time.Time `json:"time"`
	// Packages is how many packages the index had.
	Packages int `json:"packages"`
	// Manifest is the digest of the manifest, by which the next publication names it.
	Manifest string `json:"manifest"`
	Record
}

// History reads the publications of a stream, the newest first, at most limit of them; 0 is all. It follows the chain of
// manifests from HEAD, and an error says where the chain is broken.
func History(ctx context.Context, b bucket.Bucket, stream layout.Stream, limit int) ([]Publication, error) {
	state, err := ReadState(ctx, b, stream)
	if err != nil {
		return nil, err
	}
	history := []Publication{}
	err = walk(ctx, b, state, func(m *Manifest, sha256 string) bool {
		history = append(history, Publication{m.Serial, m.Time, len(m.packages()), sha256, m.Record})
		return limit == 0 || len(history) < limit
	})
	return history, err
}

// ChainError says where the records of a stream's publications, each of which names the one before it by digest, stop to
// fit together.
type ChainError struct {
	Stream layout.Stream
	Serial int64 // of the record that is missing or not what the next one names
	Err    error
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("the history of %s is broken at serial %d: %v", e.Stream, e.Serial, e.Err)
}

func (e *ChainError) Unwrap() error { return e.Err }

// walk visits the manifests of a stream from the live one backwards, until visit returns false.
func walk(ctx context.Context, b bucket.Bucket, state *State, visit func(m *Manifest, sha256 string) bool) error {
	if !state.Exists() {
		return nil
	}
	m, sha256 := &state.Manifest, state.Head.Manifest
	for visit(m, sha256) && m.Previous != "" {
		serial, previous := m.Serial-1, m.Previous
		earlier, err := readManifest(ctx, b, m.Stream, serial, previous)
		if err != nil {
			return &ChainError{Stream: m.Stream, Serial: serial, Err: err}
		}
		if earlier.Time.After(m.Time) {
			return &ChainError{Stream: m.Stream, Serial: serial, Err: fmt.Errorf("is dated %s, after the publication that follows it", earlier.Time.Format(time.RFC3339))}
		}
		m, sha256 = earlier, previous
	}
	return nil
}

// manifestOf finds the manifest of an earlier publication.
func manifestOf(ctx context.Context, b bucket.Bucket, state *State, serial int64) (*Manifest, error) {
	var found *Manifest
	err := walk(ctx, b, state, func(m *Manifest, _ string) bool {
		if m.Serial == serial {
			found = m
		}
		return m.Serial > serial
	})
	if err == nil && !state.Exists() {
		err = fmt.Errorf("stream %s was never published", state.Head.Stream)
	} else if err == nil && found == nil {
		err = fmt.Errorf("stream %s has no publication with serial %d: it has 1 to %d", state.Head.Stream, serial, state.Head.Serial)
	}
	return found, err
}

// Diff lists the packages that came to the index of a stream and that left it between two publications.
func Diff(ctx context.Context, b bucket.Bucket, stream layout.Stream, from, to int64) (added, removed []string, err error) {
	state, err := ReadState(ctx, b, stream)
	if err != nil {
		return nil, nil, err
	}
	names := map[int64]map[string]bool{}
	for _, serial := range []int64{from, to} {
		m, err := manifestOf(ctx, b, state, serial)
		if err != nil {
			return nil, nil, err
		}
		names[serial] = map[string]bool{}
		for _, name := range m.packages() {
			names[serial][name] = true
		}
	}
	return only(names[to], names[from]), only(names[from], names[to]), nil
}
