package packed

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// entry is a package of a test: its digest, and what an index says of it.
type entry struct {
	sum  [sha256.Size]byte
	text string
}

func entries(n int) []entry {
	list := make([]entry, n)
	for i := range list {
		list[i] = entry{sha256.Sum256(fmt.Append(nil, i)), strings.Repeat(fmt.Sprintf("package %d, ", i), 20) + "\n"}
	}
	return list
}

// pack writes an index of the entries, and returns what came of it and the files.
func pack(t testing.TB, kept *Kept, list []entry, compressions ...Compression) (Result, [][]byte) {
	t.Helper()
	files := make([]bytes.Buffer, len(compressions))
	var outputs []Output
	for i, c := range compressions {
		outputs = append(outputs, Output{c, &files[i]})
	}
	w, err := NewWriter(context.Background(), NewPool(), kept, outputs...)
	if err != nil {
		t.Fatal(err)
	}
	if list != nil {
		w.Text("head\n")
		for i, e := range list {
			w.Add(e.sum, fmt.Sprint(i), []byte(e.text))
		}
		w.Text("foot\n")
	}
	result, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	var data [][]byte
	for i := range files {
		data = append(data, files[i].Bytes())
	}
	return result, data
}

// plain is the text of the index, which for a nil list is none at all.
func plain(list []entry) []byte {
	var b bytes.Buffer
	if list == nil {
		return nil
	}
	b.WriteString("head\n")
	for _, e := range list {
		b.WriteString(e.text)
	}
	b.WriteString("foot\n")
	return b.Bytes()
}

// Every program unpacks what was packed to the same text, whose size and digest are those that the result says.
func TestCompressions(t *testing.T) {
	for _, n := range []int{-1, 0, 1, 3000} {
		var list []entry // nothing at all
		if n >= 0 {
			list = entries(n)
		}
		want := plain(list)
		result, files := pack(t, nil, list, None, Gzip, XZ, Zstd)
		for i, command := range [][]string{{"cat"}, {"gzip", "-dc"}, {"xz", "-dc"}, {"zstd", "-dcq"}} {
			cmd := exec.Command(command[0], command[1:]...)
			cmd.Stdin = bytes.NewReader(files[i])
			got, err := cmd.Output()
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d packages, %s: %d bytes, %v, want %d", n, command[0], len(got), err, len(want))
			}
			if sum := sha256.Sum256(files[i]); result.Files[i] != (File{int64(len(files[i])), hex.EncodeToString(sum[:])}) {
				t.Errorf("%d packages, %s: result says %+v of %d bytes", n, command[0], result.Files[i], len(files[i]))
			}
		}
		if sum := sha256.Sum256(want); result.Plain != (File{int64(len(want)), hex.EncodeToString(sum[:])}) {
			t.Errorf("%d packages: result says %+v of the text", n, result.Plain)
		}
	}
}

// reads tells how much of a file is read.
type reads struct {
	io.ReaderAt
	bytes atomic.Int64
}

func (r *reads) ReadAt(p []byte, at int64) (int, error) {
	r.bytes.Add(int64(len(p)))
	return r.ReaderAt.ReadAt(p, at)
}

// With members that are kept come the same bytes as without, nearly all of them kept, whatever was added or removed.
func TestKept(t *testing.T) {
	list := entries(5000)
	write := func(kept *Kept, list []entry) (Result, []byte) {
		var file bytes.Buffer
		w, err := NewWriter(context.Background(), NewPool(), kept, Output{Gzip, &file})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			w.Add(e.sum, "", []byte(e.text))
		}
		result, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		return result, file.Bytes()
	}
	before, old := write(nil, list)
	ending := entry{sha256.Sum256([]byte("x")), "new\n"}
	for ending.sum[0]&63 != 0 { // one that ends a piece
		ending.sum = sha256.Sum256(ending.sum[:])
	}
	for name, changed := range map[string][]entry{
		"nothing":       list,
		"one more":      slices.Insert(slices.Clone(list), 2500, entry{sha256.Sum256([]byte("y")), "new\n"}),
		"one that cuts": slices.Insert(slices.Clone(list), 2500, ending),
		"one less":      slices.Delete(slices.Clone(list), 77, 78),
		"the first":     slices.Delete(slices.Clone(list), 0, 1),
	} {
		file := &reads{ReaderAt: bytes.NewReader(old)}
		_, got := write(Keep(file, before.Pieces), changed)
		if _, fresh := write(nil, changed); !bytes.Equal(got, fresh) {
			t.Errorf("%s: other bytes with members kept than without", name)
		}
		if file.bytes.Load() < int64(len(old))*9/10 {
			t.Errorf("%s: only %d of %d bytes were kept", name, file.bytes.Load(), len(old))
		}
		r, err := gzip.NewReader(bytes.NewReader(got))
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		for _, e := range changed {
			want.WriteString(e.text)
		}
		if text, err := io.ReadAll(r); err != nil || !bytes.Equal(text, want.Bytes()) {
			t.Errorf("%s: unpacks to %d bytes, %v, want %d", name, len(text), err, want.Len())
		}
	}
}

func TestFrames(t *testing.T) {
	list := entries(1000)
	result, files := pack(t, nil, list, Frames)
	u, err := NewUnframer()
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	var text []byte
	at := int64(0)
	for _, p := range result.Pieces {
		member := files[0][at : at+p.Length]
		at += p.Length
		if text, err = u.Unframe(text, member, p.Plain); err != nil {
			t.Fatal(err)
		}
		if _, err := u.Unframe(nil, member, p.Plain+1); err == nil {
			t.Error("a member of another size is accepted")
		}
		damaged := bytes.Clone(member)
		damaged[len(damaged)-1] ^= 1
		if _, err := u.Unframe(nil, damaged, p.Plain); err == nil {
			t.Error("a damaged member is accepted")
		}
	}
	if !bytes.Equal(text, plain(list)) {
		t.Error("the members do not make up the text")
	}
}

// broken fails after some bytes.
type broken struct{ left int }

var errBroken = errors.New("broken")

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

// Whatever fails, Close says so, and nothing waits for ever.
func TestFailing(t *testing.T) {
	list := entries(3000)
	for _, c := range []Compression{None, Gzip, XZ, Zstd, Frames} {
		w, err := NewWriter(context.Background(), NewPool(), nil, Output{c, &broken{1000}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			w.Add(e.sum, "", []byte(e.text))
		}
		if _, err := w.Close(); !errors.Is(err, errBroken) {
			t.Errorf("%q: got %v", c, err)
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	w, err := NewWriter(ctx, NewPool(), nil, Output{Gzip, io.Discard}, Output{XZ, io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	cancel(errBroken)
	for _, e := range list {
		w.Add(e.sum, "", []byte(e.text))
	}
	if _, err := w.Close(); !errors.Is(err, errBroken) {
		t.Errorf("cancelled: got %v", err)
	}
	// A kept file that is shorter than it should be.
	before, old := pack(t, nil, list, Gzip)
	w, _ = NewWriter(context.Background(), NewPool(), Keep(bytes.NewReader(old[0][:100]), before.Pieces), Output{Gzip, io.Discard})
	w.Text("head\n")
	for i, e := range list {
		w.Add(e.sum, fmt.Sprint(i), []byte(e.text))
	}
	if _, err := w.Close(); err == nil {
		t.Error("a kept file that was truncated went unnoticed")
	}
}
