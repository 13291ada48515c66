package repo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/yum"
)

// Mismatch is a package of which the live index says something else than its file.
type Mismatch struct {
	// Name is that of the package, relative to the stream.
	Name string `json:"name"`
	// Detail is the first line that differs, as the index has it and as the file gives it, or why the file cannot be read.
	Detail string `json:"detail"`
}

// Records are packages whose records do not match them, as their files describe them.
type Records struct {
	// Mismatches are all that were found, in the order of their names. Those whose file is not fit for an index by today's
	// rules are among them, and have no other record.
	Mismatches []Mismatch
	fresh      Contents
}

// rereadAtOnce is how many packages are read at a time, each from a file of its own.
const rereadAtOnce = 4

// Reread reads every package of the live index from its file in the bucket and compares what the index says of it. A record
// that does not match was wrong when it was signed, or was made by another version of this program; [Change.Records] replaces
// it. What is not in the bucket any more, or not with the digest that the index gives it, is left out here: see [Inspect]. The
// files go through the directory dir.
func (p *Publisher) Reread(ctx context.Context, state *State, dir string) (*Records, error) {
	index, err := live(ctx, p.Bucket, state, p.Keyring, p.Now().UTC(), true, nil)
	if err != nil {
		return nil, err
	}
	records := &Records{}
	var mu sync.Mutex // guards records
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(rereadAtOnce)
	stream := state.Head.Stream
	compare := func(name, sha256 string, read func(io.ReaderAt, int64) (difference string, keep func(), err error)) {
		group.Go(func() error {
			file, size, err := p.fetch(ctx, string(stream)+"/"+name, sha256, dir)
			if file == nil || err != nil {
				return err
			}
			defer file.Close()
			difference, keep, err := read(file, size)
			if err != nil {
				difference = err.Error()
			}
			if difference == "" {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			records.Mismatches = append(records.Mismatches, Mismatch{name, difference})
			if err == nil {
				keep()
			}
			return nil
		})
	}
	for _, old := range index.Debs {
		compare("deb/"+old.Filename, old.SHA256, func(r io.ReaderAt, size int64) (string, func(), error) {
			deb, err := apt.ReadPackage(r, size, old.Filename)
			if err != nil {
				return "", nil, err
			}
			return firstDifference(old.Stanza, deb.Stanza), func() { records.fresh.Debs = append(records.fresh.Debs, deb) }, nil
		})
	}
	for _, old := range index.Rpms {
		compare("rpm/"+old.Href, old.SHA256, func(r io.ReaderAt, size int64) (string, func(), error) {
			rpm, err := yum.ReadPackage(r, size, old.Href)
			if err != nil {
				return "", nil, err
			}
			difference := cmp.Or(firstDifference(old.Primary, rpm.Primary), firstDifference(old.Filelists, rpm.Filelists), firstDifference(old.Other, rpm.Other))
			return difference, func() { records.fresh.Rpms = append(records.fresh.Rpms, rpm) }, nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(records.Mismatches, func(a, b Mismatch) int { return cmp.Compare(a.Name, b.Name) })
	return records, nil
}

// fetch copies an object to a file without a name. The file is nil if the object is lost or has another digest.
func (p *Publisher) fetch(ctx context.Context, name, sha256, dir string) (*os.File, int64, error) {
	r, _, err := p.Bucket.Open(ctx, name)
	if errors.Is(err, bucket.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	file, err := os.CreateTemp(dir, "package-")
	if err != nil {
		return nil, 0, err
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, 0, err
	}
	sum, err := digestReader(io.TeeReader(r, file))
	size, serr := file.Seek(0, io.SeekCurrent)
	if err = errors.Join(err, serr); err != nil || sum != sha256 {
		file.Close()
		return nil, 0, err
	}
	return file, size, nil
}

// firstDifference is the first line of two texts in which they differ; empty if they do not.
func firstDifference(index, file []byte) string {
	if bytes.Equal(index, file) {
		return ""
	}
	is, want := strings.Split(string(index), "\n"), strings.Split(string(file), "\n")
	for i := range max(len(is), len(want)) {
		line := func(lines []string) string {
			if i < len(lines) {
				return strings.TrimSpace(lines[i])
			}
			return ""
		}
		if line(is) != line(want) {
			return fmt.Sprintf("the index says %.200q where the file gives %.200q", line(is), line(want))
		}
	}
	return "the index has other white space than the file gives"
}

// Replaces tells whether there is a better record of a package, named relative to the stream.
func (r *Records) Replaces(name string) bool {
	if r == nil {
		return false
	}
	_, ok := r.fresh.digests()[name]
	return ok
}

// empty tells that there is nothing to replace.
func (r *Records) empty() bool { return r == nil || len(r.fresh.Debs)+len(r.fresh.Rpms) == 0 }
