package rpm

import (
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/build/payload"
)

// Packages of more than 4 GiB are not written in a test; their headers are.
func TestLargeSizesHaveTagsOfTheirOwn(t *testing.T) {
	h := new(header)
	h.size(tagSize, tagLongSize, 1<<32-1)
	if len(h.entries) != 1 || h.entries[0].tag != tagSize || h.entries[0].kind != typeInt32 {
		t.Errorf("%+v, expected the short tag", h.entries)
	}
	h = new(header)
	h.size(tagSize, tagLongSize, 1<<32)
	if len(h.entries) != 1 || h.entries[0].tag != tagLongSize || string(h.entries[0].data) != "\x00\x00\x00\x01\x00\x00\x00\x00" {
		t.Errorf("%+v, expected the long tag", h.entries)
	}
	for _, plain := range []int64{100, 5 << 30} {
		s, err := Meta{}.signature(t.Context(), []byte(strings.Repeat("h", 1001)), payload.Result{Size: plain, PlainSize: plain}, nil)
		if err != nil || len(s) != headerSpace {
			t.Errorf("signature header has %d bytes, expected %d: %v", len(s), headerSpace, err)
		}
	}
}

func TestHeaderAligns(t *testing.T) {
	h := new(header)
	h.int16(30, 1)
	h.string(10, "a")
	h.int32(20, 2)
	h.set(entry{40, typeInt64, 1, 8, make([]byte, 8)})
	h.string(10, "abc") // Replaces the first.
	want := "\x8e\xad\xe8\x01\x00\x00\x00\x00" + "\x00\x00\x00\x05\x00\x00\x00\x28" +
		"\x00\x00\x00\x3f\x00\x00\x00\x07\x00\x00\x00\x18\x00\x00\x00\x10" +
		"\x00\x00\x00\x0a\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x00\x00\x00\x14\x00\x00\x00\x04\x00\x00\x00\x04\x00\x00\x00\x01" +
		"\x00\x00\x00\x1e\x00\x00\x00\x03\x00\x00\x00\x08\x00\x00\x00\x01" +
		"\x00\x00\x00\x28\x00\x00\x00\x05\x00\x00\x00\x10\x00\x00\x00\x01" +
		"abc\x00" + "\x00\x00\x00\x02" + "\x00\x01" + "\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x3f\x00\x00\x00\x07\xff\xff\xff\xb0\x00\x00\x00\x10"
	if got := string(h.bytes(tagHeaderImmutable)); got != want {
		t.Errorf("header is\n%x\nexpected\n%x", got, want)
	}
}
