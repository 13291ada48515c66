package payload

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of the text in a package's metadata.
const (
	maxLine = 8 << 10
	maxText = 1 << 20
)

// CheckLine says what is wrong with s as one line of metadata, if anything. A good line is not empty, has no space around
// it, and holds nothing that some tool or index on its way to the user reads as something else than text: control
// characters, Unicode's line separators, and what XML cannot say.
func CheckLine(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("is empty: expected one line of text")
	case len(s) > maxLine:
		return fmt.Errorf("has %d bytes: expected at most %d", len(s), maxLine)
	case !printable(s):
		return fmt.Errorf("is %q: expected one line of UTF-8 without control characters", Abbreviate(s))
	case strings.TrimSpace(s) != s:
		return fmt.Errorf("is %q: expected no space at either end", Abbreviate(s))
	}
	return nil
}

// CheckText says what is wrong with s as any number of lines of metadata, if anything. The lines may be empty, be
// indented and have spaces at their end, but hold no tabs or other control characters.
func CheckText(s string) error {
	if len(s) > maxText {
		return fmt.Errorf("has %d bytes: expected at most %d", len(s), maxText)
	}
	for line := range strings.SplitSeq(s, "\n") {
		if !printable(line) {
			return fmt.Errorf("has the line %q: expected UTF-8 without control characters", Abbreviate(line))
		}
	}
	return nil
}

// CheckScript says what is wrong with s as the text of a script, if anything. A script is UTF-8 without NUL.
func CheckScript(s string) error {
	if len(s) > maxText {
		return fmt.Errorf("has %d bytes: expected at most %d", len(s), maxText)
	}
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return fmt.Errorf("is not UTF-8 text without NUL bytes")
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufffe' || r == '\uffff'
	})
}

// Abbreviate shortens s for an error message.
func Abbreviate(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
