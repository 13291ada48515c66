package strict

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// decoder walks a document and a Go value in step and gathers what does not fit.
type decoder struct {
	file  string
	errs  []*Error
	depth int
}

func (d *decoder) errorf(n ast.Node, format string, args ...any) {
	d.errs = append(d.errs, &Error{d.position(n), fmt.Sprintf(format, args...), nil})
}

// position is where n begins. The parser's idea of where a mapping begins is its first colon.
func (d *decoder) position(n ast.Node) Position {
	for {
		switch m := n.(type) {
		case *ast.MappingNode:
			if m.IsFlowStyle || len(m.Values) == 0 {
				return d.token(m)
			}
			n = m.Values[0]
			continue
		case *ast.MappingValueNode:
			n = m.Key
			continue
		}
		return d.token(n)
	}
}

func (d *decoder) token(n ast.Node) Position {
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return Position{d.file, 1, 1}
	}
	return Position{d.file, t.Position.Line, t.Position.Column}
}

var (
	positionType = reflect.TypeFor[Position]()
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// value reads n into v. name is how errors call the value: the key before it, or nothing.
func (d *decoder) value(n ast.Node, v reflect.Value, name string) {
	if d.depth++; d.depth > maxDepth {
		d.errorf(n, "nested too deeply: expected at most %d levels", maxDepth)
		d.depth--
		return
	}
	defer func() { d.depth-- }()
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), name)
	case v.CanAddr() && v.Addr().Type().Implements(textType):
		d.text(n, v.Addr().Interface().(encoding.TextUnmarshaler), name)
	case v.Type() == durationType:
		d.duration(n, v, name)
	case v.Kind() == reflect.Struct:
		d.structure(n, v, name)
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
		d.mapping(n, v, name)
	case v.Kind() == reflect.Slice:
		d.sequence(n, v, name)
	default:
		d.scalar(n, v, name)
	}
}

// found describes what n is, for the first half of an error.
func found(n ast.Node) string {
	switch n := n.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.BoolNode:
		return "the truth value " + n.Token.Value
	case *ast.IntegerNode:
		return "the number " + n.Token.Value
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + n.GetToken().Value
	case *ast.StringNode:
		return fmt.Sprintf("the text %q", shorten(n.Value))
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	}
	return "something else"
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// wrong reports a value of the wrong type.
func (d *decoder) wrong(n ast.Node, name, expected string) {
	what := found(n)
	if name != "" {
		name += ": "
	} else if _, text := n.(*ast.StringNode); text {
		what = "nothing but a text" // it may be a key or a passphrase, given in the place of this file
	}
	d.errorf(n, "%sfound %s, expected %s", name, what, expected)
}

// pairs are the keys and values of a mapping in the order of the file.
func pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// keys calls each with every key of a mapping, once.
func (d *decoder) keys(n ast.Node, name, expected string, each func(key string, pair *ast.MappingValueNode)) {
	all, ok := pairs(n)
	if !ok {
		d.wrong(n, name, expected)
		return
	}
	first := map[string]Position{}
	for _, pair := range all {
		key, ok := written(pair.Key)
		if !ok {
			d.errorf(pair.Key, "a key that is %s: expected text", found(pair.Key))
			continue
		}
		if at, twice := first[key]; twice {
			d.errorf(pair.Key, "the key %q stands here again: the first is in line %d", key, at.Line)
			continue
		}
		first[key] = d.position(pair.Key)
		each(key, pair)
	}
}

// written is a scalar as it stands in the file, without quotes.
func written(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// field is a key that a struct knows.
type field struct {
	value    reflect.Value
	required bool
}

// fields are the keys that the struct v knows.
func fields(v reflect.Value, at Position) map[string]field {
	known := map[string]field{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		inline := slices.Contains(strings.Split(options, ","), "inline")
		switch {
		case f.Type == positionType:
			v.Field(i).Set(reflect.ValueOf(at))
		case name == "-" || !f.IsExported() && !inline:
		case inline:
			maps.Copy(known, fields(v.Field(i), at))
		default:
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			known[name] = field{v.Field(i), slices.Contains(strings.Split(options, ","), "required")}
		}
	}
	return known
}

func (d *decoder) structure(n ast.Node, v reflect.Value, name string) {
	known := fields(v, d.position(n))
	names := slices.Sorted(maps.Keys(known))
	list := strings.Join(names, ", ")
	seen := map[string]bool{}
	d.keys(n, name, "a mapping with the keys "+list, func(key string, pair *ast.MappingValueNode) {
		f, ok := known[key]
		if !ok {
			d.errorf(pair.Key, "unknown key %q: expected one of %s", shorten(key), list)
			return
		}
		seen[key] = true
		if _, null := pair.Value.(*ast.NullNode); null {
			d.errorf(pair.Key, "%s: found nothing, expected %s: give a value or leave the key out", key, expectation(f.value.Type()))
			return
		}
		d.value(pair.Value, f.value, key)
	})
	if _, ok := pairs(n); !ok {
		return
	}
	missing := slices.DeleteFunc(names, func(name string) bool { return !known[name].required || seen[name] })
	switch len(missing) {
	case 0:
	case 1:
		d.errorf(n, "missing key %q", missing[0])
	default:
		d.errorf(n, "missing keys %s", strings.Join(missing, ", "))
	}
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, name string) {
	v.Set(reflect.MakeMap(v.Type()))
	d.keys(n, name, "a mapping", func(key string, pair *ast.MappingValueNode) {
		element := reflect.New(v.Type().Elem()).Elem()
		if _, null := pair.Value.(*ast.NullNode); null {
			d.errorf(pair.Key, "%s: found nothing, expected %s", shorten(key), expectation(element.Type()))
			return
		}
		d.value(pair.Value, element, shorten(key))
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), element)
	})
}

func (d *decoder) sequence(n ast.Node, v reflect.Value, name string) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		d.wrong(n, name, expectation(v.Type()))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list.Values), len(list.Values)))
	for i, element := range list.Values {
		d.value(element, v.Index(i), fmt.Sprintf("%s[%d]", name, i))
	}
}

func (d *decoder) text(n ast.Node, v encoding.TextUnmarshaler, name string) {
	s, ok := written(n)
	if !ok {
		d.wrong(n, name, "text")
		return
	}
	if err := v.UnmarshalText([]byte(s)); err != nil {
		d.errorf(n, "%s: %v", name, err)
	}
}

func (d *decoder) duration(n ast.Node, v reflect.Value, name string) {
	s, ok := written(n)
	t, err := time.ParseDuration(s)
	if !ok || err != nil {
		d.wrong(n, name, "a length of time such as 90s, 5m or 720h")
		return
	}
	v.SetInt(int64(t))
}

// expectation describes what values of type t look like, for the second half of an error.
func expectation(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a length of time such as 90s, 5m or 720h"
	case reflect.PointerTo(t).Implements(textType):
		return "text"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return expectation(t.Elem())
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list (each entry: " + expectation(t.Elem()) + ")"
	case reflect.Struct, reflect.Map:
		return "a mapping"
	}
	panic(fmt.Sprintf("strict: a %s cannot be read from YAML", t))
}

func (d *decoder) scalar(n ast.Node, v reflect.Value, name string) {
	s, _ := written(n)
	expected := expectation(v.Type())
	switch v.Kind() {
	case reflect.String:
		switch n.(type) {
		case *ast.StringNode, *ast.LiteralNode:
			v.SetString(s)
			return
		case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
			expected += fmt.Sprintf(": put it in quotes, %q", s)
		}
	case reflect.Bool:
		if b, ok := n.(*ast.BoolNode); ok {
			v.SetBool(b.Value)
			return
		}
	case reflect.Float32, reflect.Float64:
		if f, err := strconv.ParseFloat(s, v.Type().Bits()); err == nil && isNumber(n) {
			v.SetFloat(f)
			return
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if u, err := strconv.ParseUint(s, 10, v.Type().Bits()); err == nil && isNumber(n) {
			v.SetUint(u)
			return
		}
		if isNumber(n) {
			expected = fmt.Sprintf("a whole number from 0 to %d in decimal", ^uint64(0)>>(64-v.Type().Bits()))
		}
	default:
		if i, err := strconv.ParseInt(s, 10, v.Type().Bits()); err == nil && isNumber(n) {
			v.SetInt(i)
			return
		}
		if isNumber(n) {
			most := int64(^uint64(0) >> (65 - v.Type().Bits()))
			expected = fmt.Sprintf("a whole number from %d to %d in decimal", -most-1, most)
		}
	}
	d.wrong(n, name, expected)
}

func isNumber(n ast.Node) bool {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		return true
	}
	return false
}
