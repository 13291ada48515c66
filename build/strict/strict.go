// Package strict reads YAML that people write by hand, and accepts nothing that it does not fully understand.
//
// The notation is YAML 1.2 as github.com/goccy/go-yaml parses it, less what makes configuration surprising:
//
//   - one document, not empty, of at most 256 KiB and 5000 lines, valid UTF-8, at most 32 levels deep;
//   - no tabs in front of a line, no anchors, aliases, merge keys, tags, directives or explicit keys (? key);
//   - a key stands once in its mapping, and is one that the Go type knows;
//   - a value has the type that is expected. Text that looks like a number or a truth value has to be quoted, null is
//     nothing that can be given, and a key that may be left out is left out rather than empty.
//
// A mapping becomes a struct, or a map with keys of kind string; a sequence becomes a slice. Scalars become strings,
// booleans, integers in decimal, floating point numbers and [time.Duration] ("90s"). A type with an UnmarshalText method
// gets any scalar as it is written, quoted or not, and decides itself. The tag of a field is that of other YAML packages:
// `yaml:"name"` names it (by default the field's name in lower case), `yaml:"-"` hides it, `yaml:",inline"` makes the
// fields of an embedded struct keys of this mapping; and `yaml:"name,required"` makes its absence an error. A field of type
// [Position] gets the place of the mapping that the struct was read from, for later errors about its meaning.
//
// Every error is an [*Error], or several joined by [errors.Join] in the order of their lines, each of the form
//
//	pkgs.yaml:12:5: unknown key "architecture": expected one of architectures, name, packages
package strict

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The parser's time grows with the square of a document's size, so its limits are what a person could still edit.
const (
	maxSize   = 256 << 10
	maxLines  = 5000
	maxDepth  = 32
	maxErrors = 10
	// No sequence entry of a document that nests at most maxDepth deep and is indented like a document begins so far
	// to the right. The parser recurses once for each "- - - -", and must not get as many as fit into a document.
	maxColumn = 1000
)

// Position is a place in a file. Line and Column count from 1.
type Position struct {
	File         string
	Line, Column int
}

func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Errorf makes an error at p. It wraps the argument of %w, if there is one.
func (p Position) Errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{p, err.Error(), errors.Unwrap(err)}
}

// Error says what is wrong at a place of a file, and what was expected.
type Error struct {
	Position
	Message string
	// Err is the reason, or nil if Message says everything.
	Err error
}

func (e *Error) Error() string { return e.Position.String() + ": " + e.Message }

func (e *Error) Unwrap() error { return e.Err }

// Decode reads the one YAML document in data into v, a pointer to a struct. file names data in errors. When it fails, v
// holds what could be read. It panics when v is of a type that no document can be read into, which is a mistake in the
// program.
func Decode(file string, data []byte, v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() || target.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("strict: cannot decode into a %T: a pointer to a struct is needed", v))
	}
	root, err := parse(file, data)
	if err != nil {
		return err
	}
	d := decoder{file: file}
	d.value(root, target.Elem(), "")
	slices.SortStableFunc(d.errs, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	errs := make([]error, 0, maxErrors+1)
	for i, e := range d.errs {
		if i == maxErrors {
			errs = append(errs, fmt.Errorf("%s: %d more mistakes", file, len(d.errs)-maxErrors))
			break
		}
		errs = append(errs, e)
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// parse turns data into the tree of its only document.
func parse(file string, data []byte) (root ast.Node, err error) {
	at := func(line, column int) Position { return Position{file, line, column} }
	// The parser has been seen to panic on input that is not YAML.
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, at(1, 1).Errorf("this is not YAML that can be read: %v", p)
		}
	}()
	if len(data) > maxSize {
		return nil, at(1, 1).Errorf("the file has %d bytes: expected at most %d", len(data), maxSize)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	// A lone carriage return would end a line for the parser and not for an editor.
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	line := 0
	for text := range bytes.Lines(data) {
		if line++; line > maxLines {
			return nil, at(line, 1).Errorf("the file has too many lines: expected at most %d", maxLines)
		}
		if err := checkLine(text, at(line, 1)); err != nil {
			return nil, err
		}
	}
	tokens := lexer.Tokenize(string(data))
	if err := checkTokens(tokens, at); err != nil {
		return nil, err
	}
	// The decoder reports duplicate keys itself, with the line of the first one.
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxError(err, at)
	}
	for i, doc := range tree.Docs {
		if i > 0 && (doc.Body != nil || doc.Start != nil) {
			place := at(1, 1)
			if doc.Start != nil {
				place = at(doc.Start.Position.Line, doc.Start.Position.Column)
			} else if t := doc.Body.GetToken(); t != nil {
				place = at(t.Position.Line, t.Position.Column)
			}
			return nil, place.Errorf("a second document begins here: expected one document in the file")
		}
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return nil, at(1, 1).Errorf("the file is empty: expected a mapping of keys to values")
	}
	if t := tree.Docs[0].Body.Type(); t == ast.NullType || t == ast.CommentType {
		return nil, at(1, 1).Errorf("the file is empty: expected a mapping of keys to values")
	}
	return tree.Docs[0].Body, nil
}

func checkLine(text []byte, at Position) error {
	place := func(i int) Position {
		at.Column = utf8.RuneCount(text[:i]) + 1
		return at
	}
	if !utf8.Valid(text) {
		return place(invalidAt(text)).Errorf("this is not UTF-8: save the file in that encoding")
	}
	if i := len(text) - len(bytes.TrimLeft(text, " ")); i < len(text) && text[i] == '\t' {
		return place(i).Errorf("a tab in front of the line: indent with spaces")
	}
	for i, c := range bytes.TrimSuffix(text, []byte("\n")) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return place(i).Errorf("a control character (0x%02x): expected text", c)
		}
	}
	return nil
}

// invalidAt is the index of the first byte of text that is not UTF-8.
func invalidAt(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return len(text)
}

// checkTokens refuses the parts of YAML that this package does without, before the parser acts on them.
func checkTokens(tokens token.Tokens, at func(line, column int) Position) error {
	depth := 0
	for _, t := range tokens {
		place := at(t.Position.Line, t.Position.Column)
		switch t.Type {
		case token.AnchorType, token.AliasType:
			return place.Errorf("anchors and aliases (%s) are not used here: write the value out", t.Value)
		case token.MergeKeyType:
			return place.Errorf("merge keys (<<) are not used here: write the keys out")
		case token.TagType:
			return place.Errorf("tags (%s) are not used here: leave it out", t.Value)
		case token.DirectiveType:
			return place.Errorf("directives (%%) are not used here: leave it out")
		case token.MappingKeyType:
			return place.Errorf("explicit keys (?) are not used here: write \"key: value\"")
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			if t.Position.Column > maxColumn {
				return place.Errorf("nested too deeply: expected at most %d levels", maxDepth)
			}
		}
		if depth > maxDepth {
			return place.Errorf("nested too deeply: expected at most %d levels", maxDepth)
		}
	}
	return nil
}

// syntaxError gives the parser's errors our form.
func syntaxError(err error, at func(line, column int) Position) error {
	var located interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if !errors.As(err, &located) || located.GetToken() == nil {
		return at(1, 1).Errorf("this is not YAML: %v", err)
	}
	p := located.GetToken().Position
	message, _, _ := strings.Cut(located.GetMessage(), "\n")
	return at(p.Line, p.Column).Errorf("this is not YAML: %s", message)
}
