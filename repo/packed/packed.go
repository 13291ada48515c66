// Package packed writes the text of an index in several compressions at once, and does not compress again what has not
// changed.
//
// # Pieces
//
// An index is the texts of its packages in a fixed order. A [Writer] cuts it into pieces: one ends behind each package
// whose SHA-256 digest has six zero bits at the end of its first byte, which is every 64th on average, and where it has
// grown to 1 MiB. So the cuts depend on the packages alone, and a package more or less changes one piece, or parts it in
// two; only behind a cut that its size forced, more may move, and no further than to the next such package. Gzip makes
// files some 6% larger of pieces of 64 packages than of the whole; with a quarter as many it is 17%, and with four times
// as many, what a package more costs is mostly the compression of its neighbours.
//
// What is compressed with gzip is one member for each piece (RFC 1952, section 2.2: "A gzip file consists of a series of
// members"), which every reader in use takes for one text. The members of an earlier index, [Kept], are copied where the
// piece is the same. The bytes are the same whether a member was kept or made, so an index can be made anew at any time
// and on any machine.
//
// xz takes one stream only in many readers, and zstd one frame, so those are written as a whole: xz in blocks, one for
// each piece that is large enough, on all processors.
package packed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
)

// Compression is how an index is compressed, by the end of its file's name.
type Compression string

const (
	None Compression = ""
	Gzip Compression = "gz"
	XZ   Compression = "xz"
	Zstd Compression = "zst"
	// Frames is for files that only this program reads: zstd, fast, and in a frame for each piece, see Unframer.
	Frames Compression = "frames"
)

// members tells whether a file in the compression is made of members, which can be kept.
func (c Compression) members() bool { return c == Gzip || c == Frames }

// ParseCompression reads the name of one of the three compressions that clients read.
func ParseCompression(name string) (Compression, error) {
	switch c := Compression(name); c {
	case Gzip, XZ, Zstd:
		return c, nil
	}
	return None, fmt.Errorf("compression %q: expected gz, xz or zst", name)
}

// Suffix is what the compression adds to a file's name: .gz, or nothing for None.
func (c Compression) Suffix() string {
	if c == None {
		return ""
	}
	return "." + string(c)
}

// File is the size in bytes and the digest in lower-case hex of something written.
type File struct {
	Size   int64
	SHA256 string
}

// Output is where a Writer writes the index in one compression.
type Output struct {
	Compression Compression
	W           io.Writer
}

// Result is what a Writer has written.
type Result struct {
	// Plain is the index without compression, whether there is an output for it or not; not known of what is written in
	// frames.
	Plain File
	// Files are in the order of the outputs.
	Files []File
	// Pieces are the members of the file in gzip or in frames, for the next Kept.
	Pieces []Piece
}

// Piece names a member: the key of what it was made of, its length in bytes, and that of the text in it.
type Piece struct {
	Key           [sha256.Size]byte
	Length, Plain int64
}

// Kept is the members of an earlier index that may be used again. A nil *Kept has none.
type Kept struct {
	file  io.ReaderAt
	found map[[sha256.Size]byte]span
}

type span struct{ at, length int64 }

// Keep finds the pieces in a file that a Writer made of them. Whether it still is that file is for the caller to
// know.
func Keep(file io.ReaderAt, pieces []Piece) *Kept {
	k := &Kept{file: file, found: make(map[[sha256.Size]byte]span, len(pieces))}
	at := int64(0)
	for _, p := range pieces {
		k.found[p.Key] = span{at, p.Length}
		at += p.Length
	}
	return k
}

// find tells where the member of that key is.
func (k *Kept) find(key [sha256.Size]byte) (s span, ok bool) {
	if k != nil {
		s, ok = k.found[key]
	}
	return s, ok
}

// read returns a member, in the memory of buffer if it is enough.
func (k *Kept) read(s span, buffer []byte) ([]byte, error) {
	buffer = slices.Grow(buffer[:0], int(s.length))[:s.length]
	_, err := io.ReadFull(io.NewSectionReader(k.file, s.at, s.length), buffer)
	return buffer, err
}

// Writer writes one index. Its methods are for one goroutine; any number of Writers may share a Pool.
type Writer struct {
	pool  *Pool
	kept  *Kept
	holds bool        // whether an output goes on to use pieces that were put
	made  Compression // what members are made in, None where no output needs them

	plain []byte      // of the piece at hand
	texts chan []byte // memory of pieces that are written
	key   hash.Hash
	line  []byte

	jobs   chan *job
	done   chan error
	member []byte // memory for one that is kept
	outs   []*output
	keys   []Piece
	text   *output // knows what is written, uncompressed: one of outs where that is written, too, or one that has to be told
	told   bool
}

// job is a piece on its way. Its member is among those that are kept, or there, or err is, when ready is closed.
type job struct {
	plain, member []byte
	key           [sha256.Size]byte
	from          span
	kept          bool
	err           error
	ready         chan struct{}
}

const (
	// maxPiece is the number of bytes at which a piece ends in any case.
	maxPiece = 1 << 20
	// usualPiece is about what pieces have.
	usualPiece = 64 << 10
)

// NewWriter begins an index, and kept is of an earlier one in the same compression. Only one of the outputs may be one of
// members. It is written until ctx ends.
func NewWriter(ctx context.Context, pool *Pool, kept *Kept, outputs ...Output) (*Writer, error) {
	w := &Writer{
		pool: pool, kept: kept, key: sha256.New(), jobs: make(chan *job, pool.size), done: make(chan error, 1),
		texts: make(chan []byte, pool.size+2), // those that wait, and one each that is read and written
	}
	for _, o := range outputs {
		out, err := newOutput(ctx, o, pool.size)
		if err != nil {
			for _, started := range w.outs {
				started.finish()
			}
			return nil, err
		}
		w.outs = append(w.outs, out)
		w.holds = w.holds || o.Compression == XZ
		if o.Compression == None {
			w.text = out
		}
		if o.Compression.members() {
			w.made = o.Compression
		}
	}
	if w.text == nil {
		w.text = &output{sum: sha256.New()}
		w.told = w.made != Frames
	}
	go w.run(ctx)
	return w, nil
}

// Add adds the text about one package. SHA256 is the package's digest, and together with what, the name of the file and
// whatever else the text depends on, it stands for the text: the same words never come with another text.
func (w *Writer) Add(sha256 [sha256.Size]byte, what string, text ...[]byte) {
	w.line = append(append(append(w.line[:0], sha256[:]...), what...), 0)
	w.key.Write(w.line)
	for _, t := range text {
		if len(w.plain)+len(t) > cap(w.plain) { // it is used again and again: let it become large soon
			w.plain = slices.Grow(w.plain, max(len(t), len(w.plain), usualPiece))
		}
		w.plain = append(w.plain, t...)
	}
	if sha256[0]&63 == 0 || len(w.plain) >= maxPiece {
		w.cut()
	}
}

// Text adds text that belongs to no package, as a piece of its own.
func (w *Writer) Text(text string) {
	w.cut()
	w.key.Write([]byte("text\x00" + text))
	w.plain = append(w.plain, text...)
	w.cut()
}

// cut ends the piece at hand.
func (w *Writer) cut() {
	if len(w.plain) == 0 {
		return
	}
	j := &job{plain: w.plain, ready: make(chan struct{})}
	w.key.Sum(j.key[:0])
	w.key.Reset()
	w.plain, _ = take(w.texts)
	w.plain = w.plain[:0]
	if j.from, j.kept = w.kept.find(j.key); j.kept || w.made == None {
		close(j.ready)
	} else {
		w.pool.start(func() {
			defer close(j.ready)
			j.member, j.err = w.pool.pack(w.made, j.plain)
		})
	}
	w.jobs <- j
}

// Close ends the index and says what was written.
func (w *Writer) Close() (Result, error) {
	w.cut()
	close(w.jobs)
	if err := <-w.done; err != nil {
		return Result{}, err
	}
	r := Result{Plain: w.text.file(), Pieces: w.keys}
	for _, o := range w.outs {
		r.Files = append(r.Files, o.file())
	}
	return r, nil
}

// run writes the pieces in their order. After an error it goes on only to take what comes.
func (w *Writer) run(ctx context.Context) {
	var failed error
	for j := range w.jobs {
		<-j.ready
		if failed == nil {
			failed = context.Cause(ctx)
		}
		if failed == nil {
			failed = w.write(j)
		}
	}
	if len(w.keys) == 0 && failed == nil && w.made == Gzip { // an empty text is one empty member
		j := &job{}
		w.key.Sum(j.key[:0])
		if j.member, j.err = w.pool.gzip(nil); j.err == nil {
			j.err = w.write(j)
		}
		failed = j.err
	}
	for _, o := range w.outs {
		if err := o.finish(); failed == nil {
			failed = err
		}
	}
	w.done <- failed
}

func (w *Writer) write(j *job) error {
	if j.kept {
		w.member, j.err = w.kept.read(j.from, w.member)
		j.member = w.member
	}
	if j.err != nil {
		return j.err
	}
	if w.told {
		w.text.count(j.plain)
	}
	w.keys = append(w.keys, Piece{j.key, int64(len(j.member)), int64(len(j.plain))})
	for _, o := range w.outs {
		data := j.plain
		if o.Compression.members() {
			data = j.member
		}
		if err := o.put(data); err != nil {
			return err
		}
	}
	if !w.holds && cap(j.plain) <= 2*maxPiece { // what an exceptionally large piece had goes
		give(w.texts, j.plain)
	}
	return nil
}

func (o *output) file() File { return File{o.size, hex.EncodeToString(o.sum.Sum(nil))} }
