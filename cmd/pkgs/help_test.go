package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sigs.k8s.io/pkgs/build/strict"
)

// TestHelp holds every command to a help that a newcomer can work with: one line, an explanation, and an example whose
// commands and flags exist.
func TestHelp(t *testing.T) {
	seen := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Short == "" || !unicode.IsUpper([]rune(cmd.Short)[0]) || strings.HasSuffix(cmd.Short, ".") || len(cmd.Short) > 90 {
			t.Errorf("%s: the short help %q is not one short line in sentence case without a full stop", path, cmd.Short)
		}
		if cmd.Runnable() {
			seen++
			if len(cmd.Long) < 60 {
				t.Errorf("%s: the long help is missing, or says no more than the short one", path)
			}
			examples := commandLines(cmd.Example)
			own := 0
			for _, line := range examples {
				if strings.HasPrefix(line, path+" ") || line == path {
					own++
				}
				checkCommandLine(t, path+": example", line)
			}
			if own == 0 {
				t.Errorf("%s: no example shows it", path)
			}
			cmd.Flags().VisitAll(func(f *pflag.Flag) {
				if f.Usage == "" && f.Name != "help" {
					t.Errorf("%s: --%s has no help", path, f.Name)
				}
			})
		}
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(testRoot())
	if seen < 15 {
		t.Errorf("only %d commands were looked at", seen)
	}
}

// TestReadmeCommands runs nothing, but holds what the README tells to type to the commands and flags that there are.
func TestReadmeCommands(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := commandLines(string(data))
	if len(lines) < 6 {
		t.Errorf("found only %d commands in the README, and expected more", len(lines))
	}
	for _, line := range lines {
		checkCommandLine(t, "README.md", line)
	}
	// In a sentence, a command stands without its arguments.
	for _, quoted := range regexp.MustCompile("`(pkgs [^`]+)`").FindAllStringSubmatch(string(data), -1) {
		cmd, rest, err := findCommand(splitWords(quoted[1])[1:])
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err != nil {
			t.Errorf("README.md: `%s`: %v", quoted[1], err)
		}
	}
}

// TestReadmeConfigurations decodes every piece of a configuration in the README as strictly as a user's.
func TestReadmeConfigurations(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	pieces := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(data), -1) {
		// Some show one section in several ways, and an ellipsis stands for what is somewhere else.
		text := strings.ReplaceAll(block[1], "[…]", "[]")
		for _, piece := range strings.Split(text, "\nsigning:") {
			if len(piece) < len(text) && !strings.HasPrefix(text, piece) {
				piece = "signing:" + piece
			}
			pieces++
			if err := strict.Decode("README.md", []byte(piece), &config{}); err != nil {
				t.Errorf("%v in\n%s", err, piece)
			}
		}
	}
	if pieces < 10 {
		t.Errorf("found only %d pieces of configurations", pieces)
	}
}

// TestManual looks at the manual page as mandb does, and for every command in it.
func TestManual(t *testing.T) {
	page := string(manual(testRoot(), buildInfo{Version: "v1.2.3", Date: "2025-06-01T12:00:00Z"}))
	if !strings.HasPrefix(page, `.TH "PKGS" "1" "2025\-06\-01" "pkgs v1.2.3" "User Commands"`+"\n.SH \"NAME\"\npkgs \\- ") {
		t.Errorf("the page begins %.120q", page)
	}
	for _, cmd := range testRoot().Commands() {
		listed := strings.Contains(page, `.SS "pkgs `+cmd.Name())
		if want := cmd.IsAvailableCommand() && cmd.Name() != "help"; listed != want {
			t.Errorf("that %s is in the manual is %t", cmd.Name(), listed)
		}
	}
	for line := range strings.Lines(page) {
		if regexp.MustCompile(`(^|[^\\])-|^'|^\.[a-z]{3}`).MatchString(line) {
			t.Errorf("groff does not take this as it is meant: %s", line)
		}
	}
}

func testRoot() *cobra.Command {
	root := newRoot(&program{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }})
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" {
			root.RemoveCommand(cmd) // cobra's own
		}
	}
	return root
}

// findCommand finds the command that words begin with, and returns it with the rest of them.
func findCommand(words []string) (*cobra.Command, []string, error) {
	cmd, rest, err := testRoot().Find(words)
	if err == nil && cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		err = cmd.ValidateArgs(rest)
	}
	return cmd, rest, err
}

// commandLines finds the lines of a text that call pkgs, indented or behind a prompt or a path, without comments and without
// what a shell would do with the output. A line that ends in a backslash goes on.
func commandLines(text string) []string {
	var found []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if !strings.HasPrefix(line, "    ") && !strings.HasPrefix(line, "  pkgs ") && !strings.HasPrefix(line, "pkgs ") {
			continue
		}
		line, _, _ = strings.Cut(strings.TrimSpace(line), "  #")
		for _, part := range regexp.MustCompile(`\s(?:&&|\||;)\s`).Split(line, -1) {
			part, _, _ = strings.Cut(part, " > ")
			part = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(part), "$ "), "bin/")
			if part == "pkgs" || strings.HasPrefix(part, "pkgs ") {
				found = append(found, strings.TrimSpace(part))
			}
		}
	}
	return found
}

// checkCommandLine checks that a call of pkgs names a command that there is, with flags and a number of arguments that it
// takes.
func checkCommandLine(t *testing.T, where, line string) {
	t.Helper()
	words := splitWords(line)
	cmd, rest, err := findCommand(words[1:])
	if err != nil {
		t.Errorf("%s: %s: %v", where, line, err)
		return
	}
	// Ellipses stand for what the reader puts there.
	if strings.Contains(line, "…") {
		return
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%s: %s: %v", where, line, err)
		return
	}
	if !cmd.Runnable() && len(cmd.Flags().Args()) == 0 && len(words) > 1 {
		return // the name of a group of commands
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		t.Errorf("%s: %s: %v", where, line, err)
	}
}

// splitWords splits a line as a shell does that only knows quotes.
func splitWords(line string) []string {
	var words []string
	var word strings.Builder
	quote, inWord := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, inWord = r, true
		case quote == 0 && unicode.IsSpace(r):
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}
