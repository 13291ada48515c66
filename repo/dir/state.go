package dir

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/pkgs/repo/packed"
)

// A state is a file of three parts:
//
//	records   those of all packages in the order of the index, as package packed writes frames
//	table     lines of words, with tabs between them:
//	          pkgs index state 1, the variant of the records, when the directory was scanned
//	          piece, key, length, length of its text                                   a frame of the records
//	          index, name, file, SHA-256, size                                         an index in gzip that was written
//	          member, key, length                                                      and the members it is made of
//	          package, path, size, modification time, SHA-256, name, version, architecture, three lengths of parts
//	footer    the offset of the table in 20 digits, a space, and the SHA-256 of the table in hex
//
// Times are in nanoseconds since 1970.
type state struct {
	file    *os.File
	entries map[string]*entry
	pieces  []packed.Piece
	starts  []int64 // of the texts of the pieces
	offsets []int64 // of the pieces in the file
	indexes map[string]written
	unframe *packed.Unframer
	loading map[int]chan loaded
	free    [][]byte // texts that are not needed any more, and members
}

// written is an index in gzip that was written for a state.
type written struct {
	file, sha256 string
	size         int64
	pieces       []packed.Piece
}

type loaded struct {
	member, text []byte
	err          error
}

const (
	stateVersion = "pkgs index state 1"
	stateFooter  = 20 + 1 + 2*sha256.Size
	maxTable     = 4 << 30
	maxPart      = 256 << 20 // of anything that is unpacked
	// racy is how long before a scan a file must not have been changed for its time to be believed the next time.
	racy = 2 * time.Second
)

func (s *state) close() {
	if s.file != nil {
		for i := range s.loading {
			<-s.loading[i]
		}
		s.unframe.Close()
		s.file.Close()
	}
}

// entry returns the entry of a file that is as it was.
func (s *state) entry(f file) (*entry, bool) {
	e, ok := s.entries[f.path]
	return e, ok && e.size == f.size && e.mtime.Equal(f.mtime)
}

// loadStates begins to read the states of books, and returns what waits until they are there.
func (r *run) loadStates(books ...*book) (wait func()) {
	if !r.Update || r.forget {
		return func() {}
	}
	errs := make([]error, len(books))
	var group sync.WaitGroup
	for i, b := range books {
		group.Go(func() { errs[i] = r.loadState(b) })
	}
	return func() {
		group.Wait()
		for i, err := range errs {
			if err != nil {
				r.anew(fmt.Errorf("%s/%s: %w", stateFolder, books[i].format.name, err))
			}
		}
	}
}

// loadState reads the state of a book. One that is not there leaves the empty one there is, as one that cannot be used.
func (r *run) loadState(b *book) error {
	file, err := os.Open(r.draft.path(path.Join(stateFolder, b.format.name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := parseState(file, b.format.variant)
	if err != nil {
		file.Close()
		return err
	}
	b.state = s
	return nil
}

func parseState(file *os.File, variant string) (*state, error) {
	table, err := readTable(file)
	if err != nil {
		return nil, err
	}
	head, rest, _ := strings.Cut(table, "\n")
	scan, ok := strings.CutPrefix(head, stateVersion+"\t"+variant+"\t")
	if !ok {
		return nil, errors.New("made by another version of this program, or with other options")
	}
	p := stateParser{line: scan}
	scanned := p.time()
	unframe, err := packed.NewUnframer()
	if err != nil {
		return nil, err
	}
	s := &state{file: file, unframe: unframe, entries: map[string]*entry{}, indexes: map[string]written{}, loading: map[int]chan loaded{}}
	var index string
	var at, text, record int64
	for p.err == nil && rest != "" {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		p.line, p.over = line, false
		switch kind := p.word(); kind {
		case "piece":
			piece := packed.Piece{Key: p.digest(), Length: p.number(maxPart), Plain: p.number(maxPart)}
			s.pieces, s.starts, s.offsets = append(s.pieces, piece), append(s.starts, text), append(s.offsets, at)
			at, text = at+piece.Length, text+piece.Plain
		case "index":
			index = p.word()
			s.indexes[index] = written{file: p.word(), sha256: p.word(), size: p.number(math.MaxInt64)}
		case "member":
			w := s.indexes[index]
			w.pieces = append(w.pieces, packed.Piece{Key: p.digest(), Length: p.number(maxPart)})
			s.indexes[index] = w
		case "package":
			e := p.entry()
			e.at, e.old = record, true
			record += e.length()
			if e.mtime.Before(scanned.Add(-racy)) {
				s.entries[e.path] = &e
			}
		default:
			p.fail(kind)
		}
	}
	if p.err == nil && record != text {
		p.err = errors.New("its packages have other records")
	}
	return s, p.err
}

func readTable(file *os.File) (string, error) {
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	size := info.Size() - stateFooter
	footer := make([]byte, stateFooter)
	if size < 0 {
		return "", errors.New("truncated")
	}
	if _, err := file.ReadAt(footer, size); err != nil {
		return "", err
	}
	at, err := strconv.ParseInt(strings.TrimLeft(string(footer[:20]), "0"), 10, 64)
	if err != nil || at > size || size-at > maxTable {
		return "", errors.New("its end is malformed")
	}
	table := make([]byte, size-at)
	if _, err := io.ReadFull(io.NewSectionReader(file, at, size-at), table); err != nil {
		return "", err
	}
	if sum := sha256.Sum256(table); hex.EncodeToString(sum[:]) != string(footer[21:]) {
		return "", errors.New("its table does not have the digest that its end says")
	}
	return string(table), nil
}

// stateParser takes the words off a line.
type stateParser struct {
	line string // what is left of it
	over bool   // whether that is nothing, not even an empty word
	err  error
}

func (p *stateParser) fail(what string) {
	if p.err == nil {
		p.err = fmt.Errorf("malformed at %q", what)
	}
}

func (p *stateParser) word() string {
	if p.over {
		p.fail("the end of a line")
		return ""
	}
	w, rest, more := strings.Cut(p.line, "\t")
	p.line, p.over = rest, !more
	return w
}

func (p *stateParser) number(most int64) int64 {
	w := p.word()
	n, err := strconv.ParseInt(w, 10, 64)
	if err != nil || n < 0 || n > most {
		p.fail(w)
	}
	return n
}

func (p *stateParser) time() time.Time {
	w := p.word()
	n, err := strconv.ParseInt(w, 10, 64)
	if err != nil {
		p.fail(w)
	}
	return time.Unix(0, n)
}

func (p *stateParser) digest() (sum [sha256.Size]byte) {
	w := p.word()
	if len(w) != 2*len(sum) {
		p.fail(w)
	} else if _, err := hex.Decode(sum[:], []byte(w)); err != nil {
		p.fail(w)
	}
	return sum
}

func (p *stateParser) entry() (e entry) {
	e.path, e.size, e.mtime, e.sum = p.word(), p.number(math.MaxInt64), p.time(), p.digest()
	e.name, e.version, e.arch = p.word(), p.word(), p.word()
	for i := range e.parts {
		e.parts[i] = int32(p.number(maxPart))
	}
	return e
}

// record returns the record that begins at byte at of the texts.
func (s *state) record(at, length int64) ([]byte, error) {
	i, found := slices.BinarySearch(s.starts, at)
	if !found {
		i--
	}
	if i < 0 {
		return nil, errors.New("is not in the state")
	}
	l := s.piece(i)
	from := at - s.starts[i]
	if l.err == nil && from+length > int64(len(l.text)) {
		l.err = errors.New("is not in the state")
	}
	if l.err != nil {
		return nil, l.err
	}
	return l.text[from : from+length], nil
}

// piece returns the text of a piece. Records are asked for in their order, so those that follow are unpacked meanwhile,
// and those before are forgotten.
func (s *state) piece(i int) loaded {
	const ahead = 3
	for j := i; j < min(i+ahead, len(s.pieces)); j++ {
		if s.loading[j] != nil {
			continue
		}
		to := make(chan loaded, 1)
		s.loading[j] = to
		l := loaded{member: s.memory(), text: s.memory()}
		go func() {
			p := s.pieces[j]
			l.member = slices.Grow(l.member, int(p.Length))[:p.Length]
			if _, l.err = io.ReadFull(io.NewSectionReader(s.file, s.offsets[j], p.Length), l.member); l.err == nil {
				l.text, l.err = s.unframe.Unframe(l.text, l.member, p.Plain)
			}
			to <- l
		}()
	}
	for j := range s.loading {
		if j < i || j >= i+ahead {
			l := <-s.loading[j]
			s.free = append(s.free, l.member, l.text)
			delete(s.loading, j)
		}
	}
	l := <-s.loading[i]
	s.loading[i] <- l // for the next record
	return l
}

// memory returns an empty slice, with what a piece before had if there is one.
func (s *state) memory() []byte {
	n := len(s.free)
	if n == 0 {
		return nil
	}
	b := s.free[n-1]
	s.free = s.free[:n-1]
	return b[:0]
}

// stateWriter writes the records of a new state while the indexes are written.
type stateWriter struct {
	file    *os.File
	records *packed.Writer
	indexes []writtenIndex
}

type writtenIndex struct {
	name string
	written
}

// newState starts a state, nil unless records are kept.
func (r *run) newState(ctx context.Context, b *book) (*stateWriter, error) {
	if !r.Update {
		return nil, nil
	}
	file, err := r.draft.create()
	if err != nil {
		return nil, err
	}
	var kept *packed.Kept
	if b.state.file != nil {
		kept = packed.Keep(b.state.file, b.state.pieces)
	}
	records, err := packed.NewWriter(ctx, r.pool, kept, packed.Output{Compression: packed.Frames, W: file})
	if err != nil {
		file.Close()
		return nil, err
	}
	return &stateWriter{file: file, records: records}, nil
}

func (w *stateWriter) add(e *entry, parts [3][]byte) {
	if w != nil {
		w.records.Add(e.sum, e.path, parts[:]...)
	}
}

// finish writes the table.
func (w *stateWriter) finish(r *run, b *book) error {
	if w == nil {
		return nil
	}
	defer w.file.Close()
	result, err := w.records.Close()
	if err != nil {
		return err
	}
	const usualLine = 256 // more bytes than most packages take
	var t bytes.Buffer
	t.Grow(usualLine * len(b.entries))
	fmt.Fprintf(&t, "%s\t%s\t%d\n", stateVersion, b.format.variant, r.scanned.UnixNano())
	for _, p := range result.Pieces {
		fmt.Fprintf(&t, "piece\t%x\t%d\t%d\n", p.Key, p.Length, p.Plain)
	}
	for _, i := range w.indexes {
		fmt.Fprintf(&t, "index\t%s\t%s\t%s\t%d\n", i.name, i.file, i.sha256, i.size)
		for _, p := range i.pieces {
			fmt.Fprintf(&t, "member\t%x\t%d\n", p.Key, p.Length)
		}
	}
	for i := range b.entries {
		b.entries[i].line(&t)
	}
	sum := sha256.Sum256(t.Bytes())
	fmt.Fprintf(&t, "%020d %x", result.Files[0].Size, sum)
	if _, err := w.file.Write(t.Bytes()); err != nil {
		return err
	}
	r.draft.state = append(r.draft.state, move{path.Base(w.file.Name()), path.Join(stateFolder, b.format.name), false})
	return nil
}

func (e *entry) line(t *bytes.Buffer) {
	line := append(t.AvailableBuffer(), "package\t"...)
	word := func(s string) { line = append(append(line, s...), '\t') }
	number := func(n int64) { line = append(strconv.AppendInt(line, n, 10), '\t') }
	word(e.path)
	number(e.size)
	number(e.mtime.UnixNano())
	line = append(hex.AppendEncode(line, e.sum[:]), '\t')
	word(e.name)
	word(e.version)
	word(e.arch)
	for _, n := range e.parts {
		number(int64(n))
	}
	line[len(line)-1] = '\n'
	t.Write(line)
}
