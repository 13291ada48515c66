// Package refusal is how the readers of both kinds of repositories say no: to packages, indexes and whatever else comes
// from outside. Each error names the file and the reason, a panic of a library over hostile input is an error like any
// other, and what is quoted is short. What a text or a digest must be is the same for both, and stands here, too.
package refusal

import (
	"fmt"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
)

// Error says which file was refused and why.
type Error struct {
	// File is the name that the caller gave, or that of an index, such as Packages.
	File string
	Err  error
}

func (e *Error) Error() string {
	name := e.File
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		name = strconv.Quote(name) // what a terminal would take for something else
	}
	return name + ": " + e.Err.Error()
}
func (e *Error) Unwrap() error { return e.Err }

// Recover turns a panic over hostile input into an error, and puts the file's name to every error. It is to be deferred
// with the address of the function's error.
func Recover(file string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("malformed: %v", r)
	}
	if *err != nil {
		*err = &Error{file, *err}
	}
}

// Shorten keeps a value that is quoted in an error to a readable length.
func Shorten(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

// Rune tells why a rune, decoded from size bytes, cannot stand in text that all clients read alike; it is empty for those
// that can. Refused are bytes that are not UTF-8, control characters but tab and line feed, and code points that are no
// characters: XML 1.0 cannot hold some of them, and programs differ in what they do with the others.
func Rune(r rune, size int) string {
	switch {
	case r == '\n' || r == '\t':
		return ""
	case r == utf8.RuneError && size == 1:
		return "not UTF-8"
	case r < ' ' || r >= 0x7f && r < 0xa0:
		return fmt.Sprintf("control character %U", r)
	case r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe:
		return fmt.Sprintf("code point %U, which is no character", r)
	}
	return ""
}

// MaxPath is how many bytes the path of a package in an index may have.
const MaxPath = 512

// Path tells whether name may be that of somebody else's package in an index: a clean relative path that ends in ext, of
// letters and digits of any script, spaces, and those marks that apt, dnf and zypper bring into a URL rightly or that need
// nothing. (apt leaves # and ? as they are, which end the path of a URL, and quotes and brackets that some servers refuse.)
func Path(name, ext string) error {
	if !strings.HasSuffix(name, ext) || path.Clean(name) != name || strings.HasPrefix(name, "../") || len(name) > MaxPath ||
		strings.ContainsRune("/ -", rune(name[0])) || strings.ContainsFunc(name, outsidePath) {
		return fmt.Errorf("file name %q is not fit for an index: expected a relative path without . and .. that ends in %s, of "+
			"letters, digits, spaces and . + ~ ^ _ : = , @ %% ( ) [ ] ! & ' -", Shorten(name), ext)
	}
	return nil
}

func outsidePath(r rune) bool {
	return !unicode.In(r, unicode.L, unicode.M, unicode.N) && !strings.ContainsRune(" .+~^_:=,@%()[]!&'/-", r)
}

// Each calls f for the numbers below n, on all processors, and returns the error for the lowest number that has one. A
// panic of f is an error.
func Each(n int, f func(i int) error) error {
	const chunk = 128
	errs := make([]error, (n+chunk-1)/chunk)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for c := range errs {
		group.Go(func() error {
			errs[c] = part(c*chunk, min((c+1)*chunk, n), f)
			return nil
		})
	}
	_ = group.Wait() // which is never told of any
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

func part(from, to int, f func(i int) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("malformed: %v", r)
		}
	}()
	for i := from; i < to; i++ {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}
