package refusal

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

func TestEach(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 129, 1000} {
		var calls atomic.Int64
		if err := Each(n, func(int) error { calls.Add(1); return nil }); err != nil || calls.Load() != int64(n) {
			t.Errorf("%d: %d calls, %v", n, calls.Load(), err)
		}
	}
	err := Each(1000, func(i int) error {
		if i >= 500 {
			return fmt.Errorf("number %d", i)
		}
		return nil
	})
	if err == nil || err.Error() != "number 500" {
		t.Errorf("got %v, want that of the lowest number", err)
	}
	if err := Each(300, func(i int) error { return []error{nil, nil}[i/150+i/299] }); err == nil || err.Error() == "" {
		t.Errorf("a panic: got %v", err)
	}
}

func TestRecover(t *testing.T) {
	f := func(fail func() error) (err error) {
		defer Recover("file", &err)
		return fail()
	}
	var refused *Error
	if err := f(func() error { panic("hostile") }); !errors.As(err, &refused) || err.Error() != "file: malformed: hostile" {
		t.Errorf("a panic: got %v", err)
	}
	inner := errors.New("inner")
	if err := f(func() error { return inner }); !errors.Is(err, inner) || err.Error() != "file: inner" {
		t.Errorf("an error: got %v", err)
	}
	if err := f(func() error { return nil }); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestRune(t *testing.T) {
	for r, refused := range map[rune]bool{'a': false, 'ü': false, '\n': false, '\t': false, '日': false, 0: true, '\r': true, 0x7f: true,
		0x85: true, 0xfffe: true, 0xffff: true, 0xfdd0: true, 0x1fffe: true, 0xfffd: false, 0x10fffd: false} {
		if got := Rune(r, 3); (got != "") != refused {
			t.Errorf("%U: %q", r, got)
		}
	}
	if Rune(0xfffd, 1) == "" {
		t.Error("what is not UTF-8 is accepted")
	}
}

// A file whose name is no text is named all the same, and says nothing to a terminal.
func TestErrorQuotes(t *testing.T) {
	for name, want := range map[string]string{"für dich.deb": "für dich.deb: x", "a\nb\x1b[2J.deb": `"a\nb\x1b[2J.deb": x`, "\xff": `"\xff": x`} {
		if got := (&Error{name, errors.New("x")}).Error(); got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
}

// TestPath holds foreign paths to what is said of them; which of them clients can fetch, the tests of package dir show.
func TestPath(t *testing.T) {
	for _, good := range []string{"a.deb", "_a/.b/~c+(1)&[d]'!=@,%3a^.deb", "für dich/日本 .deb", "cafe\u0301.deb", "a/-b.deb", strings.Repeat("a", MaxPath-4) + ".deb"} {
		if err := Path(good, ".deb"); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", ".deb/", "a.rpm", "/a.deb", "../a.deb", "a/../b.deb", "./a.deb", "a//b.deb", " a.deb", "-a.deb", "a#.deb", "a?.deb",
		"a\".deb", "a<.deb", "a\\b.deb", "a\n.deb", "a\tb.deb", "a\xff.deb", "a\u2028b.deb", "a\u202eb.deb", "a\ufffdb.deb", "a*.deb", "a;b.deb", "$a.deb", "a`.deb",
		strings.Repeat("a", MaxPath-3) + ".deb"} {
		if Path(bad, ".deb") == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
