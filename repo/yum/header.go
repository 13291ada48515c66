package yum

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// header is one of the two headers of a package. Values are looked up in its bytes when they are asked for: the
// libraries that unpack all of them at once can be made to allocate gigabytes by a header of a few hundred bytes.
type header struct {
	raw     []byte // from the magic to the end of the store
	store   []byte
	entries map[tag]entry
	filled  int // bytes of the store up to the end of the last value
}

type tag uint32

// entry is where a header's store holds the value of a tag.
type entry struct {
	kind   kind
	offset uint32
	count  uint32
	end    int // of its bytes in the store
}

// kind is the type of a value.
type kind uint32

const (
	_ kind = iota // no value, which rpm refuses
	kindChar
	kindInt8
	kindInt16
	kindInt32
	kindInt64
	kindString
	kindBinary
	kindStrings
	kindI18N
)

// Bounds of a header. rpm itself takes up to 256 MiB. A package of a hundred thousand files needs some 15: a file takes
// about 150 bytes there.
const (
	headerMagic = "\x8e\xad\xe8\x01\x00\x00\x00\x00"
	headerStart = 16 // bytes of magic and sizes, and also of an entry
	maxHeader   = 32 << 20
	maxEntries  = 1 << 16
	maxCount    = 1 << 20 // strings or numbers in one value
)

// Tags of regions: that of the signature header, which old programs end with another, and that of the main header. The
// tags of all other values are between the last two.
const (
	regionImage     tag = 61
	regionSignature tag = 62
	regionMain      tag = 63
	lowestTag       tag = 100
	highestTag      tag = math.MaxInt32
)

// readHeader reads the header at offset at of a file of size bytes, whose first entry has to be that of the region.
func readHeader(r io.ReaderAt, at, size int64, region tag) (*header, error) {
	if size-at < headerStart {
		return nil, fmt.Errorf("truncated: it ends before the header at byte %d", at)
	}
	start := make([]byte, headerStart)
	if _, err := r.ReadAt(start, at); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(start[:8]) != headerMagic {
		return nil, fmt.Errorf("no header at byte %d", at)
	}
	count, store := int64(binary.BigEndian.Uint32(start[8:])), int64(binary.BigEndian.Uint32(start[12:]))
	total := headerStart + count*headerStart + store
	switch {
	case count == 0 || count > maxEntries || total > maxHeader:
		return nil, fmt.Errorf("header at byte %d claims %d entries and %d bytes: expected at most %d and %d", at, count,
			store, maxEntries, maxHeader)
	case total > size-at:
		return nil, fmt.Errorf("truncated: the header at byte %d has %d bytes, but %d are left", at, total, size-at)
	}
	var raw []byte
	if b, ok := r.(*begun); ok && at+total <= int64(len(b.head)) {
		raw = b.head[at : at+total]
	} else {
		raw = make([]byte, total)
		if n, err := r.ReadAt(raw, at); n < len(raw) {
			return nil, fmt.Errorf("header at byte %d: %w", at, err)
		}
	}
	h, err := parseHeader(raw, int(count))
	if err == nil {
		err = h.checkRegion(raw, int(count), region)
	}
	return h, err
}

// parseHeader checks every entry of a header. Like rpm it insists that the values fill the store in the order of their
// entries, each right behind the one before but for alignment. The first entry is another matter, see checkRegion. Of
// values without a use for us no more is asked.
func parseHeader(raw []byte, count int) (*header, error) {
	h := &header{raw: raw, store: raw[headerStart+count*headerStart:], entries: make(map[tag]entry, count)}
	for i := range count {
		t, v := readEntry(raw[headerStart+i*headerStart:])
		width := v.kind.width()
		if i > 0 {
			if t < lowestTag || t > highestTag {
				return nil, fmt.Errorf("tag %d: expected one from %d to %d", t, lowestTag, highestTag)
			}
			if want := (h.filled + width - 1) / width * width; int64(v.offset) != int64(want) {
				return nil, fmt.Errorf("tag %d: its value is at %d, expected %d, behind the one before", t, v.offset, want)
			}
		}
		if int64(v.offset) > int64(len(h.store)) {
			return nil, fmt.Errorf("tag %d: its value lies outside of the header", t)
		}
		var err error
		if v.end, err = v.measure(h.store); err != nil {
			return nil, fmt.Errorf("tag %d: %w", t, err)
		}
		if i > 0 {
			h.filled = v.end
		}
		if _, ok := h.entries[t]; ok {
			return nil, fmt.Errorf("tag %d is there twice", t)
		}
		h.entries[t] = v
	}
	return h, nil
}

func readEntry(b []byte) (tag, entry) {
	return tag(binary.BigEndian.Uint32(b)), entry{kind: kind(binary.BigEndian.Uint32(b[4:])),
		offset: binary.BigEndian.Uint32(b[8:]), count: binary.BigEndian.Uint32(b[12:])}
}

// checkRegion checks the first entry, of the tag want. Its value is a copy of the entry, with the negative length of all
// entries as its offset, and ends the store. It says what digests and signatures are over: everything before it. Were
// that not all of the header, the rest would be protected by nothing.
func (h *header) checkRegion(raw []byte, count int, want tag) error {
	t, first := readEntry(raw[headerStart:])
	if t != want || first.kind != kindBinary || first.count != headerStart {
		return fmt.Errorf("its first entry, tag %d, does not declare a region", t)
	}
	at := int(first.offset) // in the store, as every value that was read
	t, last := readEntry(h.store[at:])
	if t != want && !(want == regionSignature && t == regionImage) || last.kind != kindBinary || last.count != headerStart {
		return fmt.Errorf("its region ends in tag %d, which is no copy of its beginning", t)
	}
	if at != h.filled || at+headerStart != len(h.store) || int64(int32(last.offset)) != -int64(count)*headerStart {
		return errors.New("its region does not cover all of it")
	}
	return nil
}

// width is the size of one value in bytes, to which it is aligned; that of strings, and of what is unknown, counts as 1.
func (k kind) width() int {
	switch k {
	case kindInt16:
		return 2
	case kindInt32:
		return 4
	case kindInt64:
		return 8
	}
	return 1
}

// measure returns where the value ends in the store.
func (v entry) measure(store []byte) (int, error) {
	if v.count == 0 {
		return 0, errors.New("has no value")
	}
	switch v.kind {
	case kindChar, kindInt8, kindBinary, kindInt16, kindInt32, kindInt64:
	case kindString, kindStrings, kindI18N:
		return v.measureStrings(store)
	default:
		return 0, fmt.Errorf("is of the unknown type %d", v.kind)
	}
	if v.kind != kindBinary && v.count > maxCount {
		return 0, fmt.Errorf("has %d values, more than the %d allowed", v.count, maxCount)
	}
	end := int64(v.offset) + int64(v.count)*int64(v.kind.width())
	if end > int64(len(store)) {
		return 0, errors.New("lies outside of the header")
	}
	return int(end), nil
}

func (v entry) measureStrings(store []byte) (int, error) {
	if v.kind == kindString && v.count != 1 {
		return 0, fmt.Errorf("is %d strings, expected one", v.count)
	}
	if v.count > maxCount {
		return 0, fmt.Errorf("has %d strings, more than the %d allowed", v.count, maxCount)
	}
	end := int(v.offset)
	for range v.count {
		n := bytes.IndexByte(store[end:], 0)
		if n < 0 {
			return 0, errors.New("is a string without an end")
		}
		end += n + 1
	}
	return end, nil
}

// text returns the value of a string tag, empty where the header has none. Of a text in several languages it is the
// first, which is the one for the locale C.
func (h *header) text(t tag) (string, error) {
	e, ok := h.entries[t]
	if !ok {
		return "", nil
	}
	if e.kind != kindString && e.kind != kindI18N {
		return "", fmt.Errorf("tag %d: is of type %d, expected a string", t, e.kind)
	}
	value := h.store[e.offset:e.end]
	return string(value[:bytes.IndexByte(value, 0)]), nil
}

// texts returns the values of an array of strings, nil where the header has none.
func (h *header) texts(t tag) ([]string, error) {
	e, ok := h.entries[t]
	if !ok {
		return nil, nil
	}
	if e.kind != kindStrings {
		return nil, fmt.Errorf("tag %d: is of type %d, expected an array of strings", t, e.kind)
	}
	all := string(h.store[e.offset:e.end])
	list := make([]string, e.count)
	for i, at := 0, 0; i < len(list); i++ {
		end := at
		for all[end] != 0 {
			end++
		}
		list[i], at = all[at:end], end+1
	}
	return list, nil
}

// numbers returns the values of an array of unsigned integers, nil where the header has none.
func (h *header) numbers(t tag, want kind) ([]uint64, error) {
	e, ok := h.entries[t]
	if !ok {
		return nil, nil
	}
	if e.kind != want {
		return nil, fmt.Errorf("tag %d: is of type %d, expected %d", t, e.kind, want)
	}
	list := make([]uint64, e.count)
	value := h.store[e.offset:e.end]
	for i := range list {
		switch want {
		case kindInt16:
			list[i] = uint64(binary.BigEndian.Uint16(value[2*i:]))
		case kindInt32:
			list[i] = uint64(binary.BigEndian.Uint32(value[4*i:]))
		case kindInt64:
			list[i] = binary.BigEndian.Uint64(value[8*i:])
		}
	}
	return list, nil
}

// number returns the one integer of a tag, and whether there is one.
func (h *header) number(t tag, want kind) (uint64, bool, error) {
	list, err := h.numbers(t, want)
	if err != nil || list == nil {
		return 0, false, err
	}
	if len(list) != 1 {
		return 0, false, fmt.Errorf("tag %d: has %d values, expected one", t, len(list))
	}
	return list[0], true, nil
}

// size returns the value of the first tag that is there: the one of 64 bits or else that of 32.
func (h *header) size(long, short tag) (uint64, bool, error) {
	if n, ok, err := h.number(long, kindInt64); ok || err != nil {
		return n, ok, err
	}
	return h.number(short, kindInt32)
}

// blob returns the bytes of a binary tag, nil where the header has none.
func (h *header) blob(t tag) ([]byte, error) {
	e, ok := h.entries[t]
	if !ok {
		return nil, nil
	}
	if e.kind != kindBinary {
		return nil, fmt.Errorf("tag %d: is of type %d, expected binary data", t, e.kind)
	}
	return h.store[e.offset:e.end], nil
}
