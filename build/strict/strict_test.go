package strict

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

type level string

func (l *level) UnmarshalText(text []byte) error {
	if s := string(text); s != "high" && s != "low" && s != "1.10" {
		return fmt.Errorf("unknown level %q: expected high or low", s)
	}
	*l = level(text)
	return nil
}

type place struct {
	At   Position
	Path string `yaml:"path,required"`
	Mode uint8
}

type common struct{ Note string }

type config struct {
	common  `yaml:",inline"`
	Name    string `yaml:"name,required"`
	On      *bool
	Count   int
	Share   float64
	Wait    time.Duration
	Level   level
	Places  []place
	Words   []string
	Streams map[string]place
	Hidden  string `yaml:"-"`
}

func TestDecode(t *testing.T) {
	var got config
	err := Decode("a.yaml", []byte(`# a comment
name: "1.10"
on: false
count: -3
share: 0.5
wait: 90s
level: 1.10
note: >
  folded
  text
places:
  - path: /a
    mode: 7
  - {path: /b}
words: [a, 'b: c', "d"]
streams:
  core:/stable:/v1.34: {path: x}
`), &got)
	if err != nil {
		t.Fatal(err)
	}
	off := false
	want := config{common{"folded text\n"}, "1.10", &off, -3, 0.5, 90 * time.Second, "1.10",
		[]place{{Position{"a.yaml", 12, 5}, "/a", 7}, {Position{"a.yaml", 14, 5}, "/b", 0}},
		[]string{"a", "b: c", "d"}, map[string]place{"core:/stable:/v1.34": {Position{"a.yaml", 17, 24}, "x", 0}}, ""}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Each case is a document and the whole error that it must give.
func TestErrors(t *testing.T) {
	const keys = "count, level, name, note, on, places, share, streams, wait, words"
	for _, c := range []struct{ name, doc, want string }{
		{"empty", "", "f:1:1: the file is empty: expected a mapping of keys to values"},
		{"comment", "# only\n\n", "f:1:1: the file is empty: expected a mapping of keys to values"},
		{"dashes", "---\n", "f:1:1: the file is empty: expected a mapping of keys to values"},
		{"null", "null\n", "f:1:1: the file is empty: expected a mapping of keys to values"},
		{"scalar", "hello\n", `f:1:1: found nothing but a text, expected a mapping with the keys ` + keys},
		{"list", "- a\n", "f:1:1: found a list, expected a mapping with the keys " + keys},
		{"unknown", "name: a\nfoo: b\n", `f:2:1: unknown key "foo": expected one of ` + keys},
		{"nested", "name: a\nplaces:\n  - path: b\n    size: 3\n", `f:4:5: unknown key "size": expected one of mode, path`},
		{"hidden", "name: a\nHidden: b\n", `f:2:1: unknown key "Hidden": expected one of ` + keys},
		{"twice", "name: a\ncount: 1\nname: b\n", `f:3:1: the key "name" stands here again: the first is in line 1`},
		{"twice in a map", "name: a\nstreams:\n  x: {path: a}\n  x: {path: b}\n", `f:4:3: the key "x" stands here again: the first is in line 3`},
		{"missing", "count: 3\n", `f:1:1: missing key "name"`},
		{"missing nested", "name: a\nplaces:\n- mode: 3\n", `f:3:3: missing key "path"`},
		{"number for text", "name: 1.34\n", `f:1:7: name: found the number 1.34, expected text: put it in quotes, "1.34"`},
		{"bool for text", "name: true\n", `f:1:7: name: found the truth value true, expected text: put it in quotes, "true"`},
		{"list for text", "name: [a]\n", "f:1:7: name: found a list, expected text"},
		{"text for list", "name: a\nwords: b\n", `f:2:8: words: found the text "b", expected a list (each entry: text)`},
		{"number in list", "name: a\nwords: [b, 1]\n", `f:2:12: words[1]: found the number 1, expected text: put it in quotes, "1"`},
		{"null in list", "name: a\nwords:\n  - b\n  -\n", "f:4:5: words[1]: found nothing, expected text"},
		{"nothing", "name:\n", "f:1:1: name: found nothing, expected text: give a value or leave the key out"},
		{"nothing for list", "name: a\nplaces:\n", "f:2:1: places: found nothing, expected a list (each entry: a mapping): give a value or leave the key out"},
		{"text for number", "name: a\ncount: many\n", `f:2:8: count: found the text "many", expected a whole number`},
		{"quoted number", "name: a\ncount: \"3\"\n", `f:2:8: count: found the text "3", expected a whole number`},
		{"fraction", "name: a\ncount: 1.5\n", "f:2:8: count: found the number 1.5, expected a whole number from -9223372036854775808 to 9223372036854775807 in decimal"},
		{"too large", "name: a\nplaces: [{path: a, mode: 300}]\n", "f:2:26: mode: found the number 300, expected a whole number from 0 to 255 in decimal"},
		{"text for truth", "name: a\non: yes\n", `f:2:5: on: found the text "yes", expected true or false`},
		{"duration", "name: a\nwait: 90\n", "f:2:7: wait: found the number 90, expected a length of time such as 90s, 5m or 720h"},
		{"own type", "name: a\nlevel: middle\n", `f:2:8: level: unknown level "middle": expected high or low`},
		{"scalar for map", "name: a\nstreams: b\n", `f:2:10: streams: found the text "b", expected a mapping`},
		{"tab", "name: a\nplaces:\n\t- path: b\n", "f:3:1: a tab in front of the line: indent with spaces"},
		{"tab after spaces", "name: a\nplaces:\n  \t- path: b\n", "f:3:3: a tab in front of the line: indent with spaces"},
		{"second document", "name: a\n---\nname: b\n", "f:2:1: a second document begins here: expected one document in the file"},
		{"empty second document", "name: a\n---\n", "f:2:1: a second document begins here: expected one document in the file"},
		{"alias", "name: &x a\n", "f:1:7: anchors and aliases (&) are not used here: write the value out"},
		{"merge", "name: a\n<<: {count: 3}\n", "f:2:1: merge keys (<<) are not used here: write the keys out"},
		{"tag", "name: !!str 3\n", "f:1:7: tags (!!str) are not used here: leave it out"},
		{"explicit key", "? name\n: a\n", `f:1:1: explicit keys (?) are not used here: write "key: value"`},
		{"directive", "%YAML 1.2\n---\nname: a\n", "f:1:1: directives (%) are not used here: leave it out"},
		{"control", "name: a\x00b\n", "f:1:8: a control character (0x00): expected text"},
		{"latin", "name: a\nnote: \xe9\n", "f:2:7: this is not UTF-8: save the file in that encoding"},
		{"deep", "name: " + strings.Repeat("[", 100), "f:1:39: nested too deeply: expected at most 32 levels"},
		{"large", "name: " + strings.Repeat("x", maxSize), "f:1:1: the file has 262150 bytes: expected at most 262144"},
		{"two mistakes", "nam: a\ncount: b\n", `f:1:1: unknown key "nam": expected one of ` + keys + "\n" +
			`f:1:1: missing key "name"` + "\n" + `f:2:8: count: found the text "b", expected a whole number`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Decode("f", []byte(c.doc), new(config))
			if err == nil {
				t.Fatal("no error")
			}
			if err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			var located *Error
			if !errors.As(err, &located) || located.Line == 0 {
				t.Errorf("%#v is no *Error with a place", err)
			}
		})
	}
}

// The words of the parser are its own, but the place is what matters.
func TestSyntaxErrors(t *testing.T) {
	for _, c := range []struct{ doc, place string }{
		{"name: [a\n", "f:1:7: "},
		{"name: \"a\n", "f:1:7: "},
		{"name: a\n  count: 3\n", "f:"},
		{"name: a: b\n", "f:1:"},
		{"name: @a\n", "f:1:7: "},
	} {
		if err := Decode("f", []byte(c.doc), new(config)); err == nil || !strings.HasPrefix(err.Error(), c.place) {
			t.Errorf("%q: got %v, want an error at %s", c.doc, err, c.place)
		}
	}
}

func TestManyMistakes(t *testing.T) {
	doc := "name: a\n"
	for i := range 50 {
		doc += fmt.Sprintf("x%d: 1\n", i)
	}
	err := Decode("f", []byte(doc), new(config))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxErrors+1 || lines[maxErrors] != "f: 40 more mistakes" {
		t.Errorf("got %d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

func TestWindowsLines(t *testing.T) {
	var c config
	if err := Decode("f", []byte("\ufeffname: a\r\nwords:\r\n- b\r\n"), &c); err != nil || c.Name != "a" || c.Words[0] != "b" {
		t.Errorf("got %+v, %v", c, err)
	}
}

// A hostile document must end in an error soon: the time limit of all tests is the judge, since one of its own would fail on a busy machine.
func TestHostile(t *testing.T) {
	for _, doc := range []string{
		strings.Repeat("[", maxSize), strings.Repeat("{", maxSize), strings.Repeat("- ", maxSize/2), strings.Repeat("a: ", maxSize/3),
		strings.Repeat("a:\n", maxSize/3), strings.Repeat("a:\n", maxLines), strings.Repeat("- a\n", maxLines), strings.Repeat("? ", maxSize/2), "a: \"" + strings.Repeat("\\", maxSize/2),
		strings.Repeat("a: |\n x\n", maxSize/8), strings.Repeat("#\n", maxSize/2), strings.Repeat("\n", maxSize),
		strings.Repeat("---\n", maxSize/4), "words: [" + strings.Repeat("a,", maxSize/3) + "]", "a: " + strings.Repeat("'", maxSize-9),
	} {
		if err := Decode("f", []byte(doc), new(config)); err == nil {
			t.Errorf("%.10q… is taken for a configuration", doc)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: a\nplaces:\n  - path: b\n"))
	f.Add([]byte("name: {a: [b, 'c', \"d\"]}\non: true # x\n"))
	f.Add([]byte("name: |\n  a\n\n  b\nwait: 3s\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c config
		if err := Decode("f", data, &c); err == nil && c.Name == "" && !strings.Contains(string(data), "name") {
			t.Errorf("a document without a name was read: %q", data)
		}
	})
}
