package dir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/pkgs/repo/packed"
)

// index is one index that is being written, in all its compressions.
type index struct {
	*packed.Writer
	name    string // what the state calls it
	outputs []packed.Output
	old     *os.File
}

// newIndex starts an index. Members are taken over from the one of that name in the state, if its file still is what was
// written.
func (r *run) newIndex(ctx context.Context, b *book, name string, compressions ...packed.Compression) (*index, error) {
	x := &index{name: name}
	var kept *packed.Kept
	if old, ok := b.state.indexes[name]; ok && slices.Contains(compressions, packed.Gzip) {
		if x.old = r.unchanged(old); x.old != nil {
			kept = packed.Keep(x.old, old.pieces)
		}
	}
	for _, c := range compressions {
		f, err := r.draft.create()
		if err != nil {
			x.closeFiles()
			return nil, err
		}
		x.outputs = append(x.outputs, packed.Output{Compression: c, W: f})
	}
	var err error
	if x.Writer, err = packed.NewWriter(ctx, r.pool, kept, x.outputs...); err != nil {
		x.closeFiles()
	}
	return x, err
}

// unchanged opens an index that was written for the state, nil if it has been changed since.
func (r *run) unchanged(old written) *os.File {
	f, err := os.Open(r.draft.path(filepath.FromSlash(old.file)))
	if err != nil {
		return nil
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, old.size+1))
	if err != nil || n != old.size || hex.EncodeToString(h.Sum(nil)) != old.sha256 {
		r.anew(fmt.Errorf("%s: was changed since it was written", old.file))
		f.Close()
		return nil
	}
	return f
}

func (x *index) closeFiles() error {
	var errs []error
	if x.old != nil {
		x.old.Close()
	}
	for _, o := range x.outputs {
		errs = append(errs, o.W.(*os.File).Close())
	}
	return errors.Join(errs...)
}

// finish ends the index.
func (x *index) finish() (packed.Result, error) {
	result, err := x.Writer.Close()
	return result, errors.Join(err, x.closeFiles())
}

// file is the new file of an output.
func (x *index) file(i int) *os.File { return x.outputs[i].W.(*os.File) }

// remember has the state know the index, whose file in gzip gets the name to.
func (w *stateWriter) remember(x *index, result packed.Result, to func(packed.Compression, packed.File) string) {
	if w == nil {
		return
	}
	for i, o := range x.outputs {
		if o.Compression == packed.Gzip {
			f := result.Files[i]
			w.indexes = append(w.indexes, writtenIndex{x.name, written{to(o.Compression, f), f.SHA256, f.Size, result.Pieces}})
		}
	}
}
