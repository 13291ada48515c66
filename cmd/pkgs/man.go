package main

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newMan(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "man",
		Short: "Print the manual page",
		Long:  `Man prints pkgs(1), the help of all commands as a page for the program man. Releases have it in their packages.`,
		Example: `  pkgs man > pkgs.1
  pkgs man | man -l -`,
		Hidden: true,
		Args:   args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := p.stdout.Write(manual(cmd.Root(), thisBuild()))
			return err
		},
	}
}

// manual is the manual page of a program, in the macros that man(7) describes.
func manual(root *cobra.Command, r buildInfo) []byte {
	page := &roff{}
	day, _, _ := strings.Cut(r.Date, "T")
	page.macro("TH", strings.ToUpper(root.Name()), "1", cmp.Or(day, "unreleased"), root.Name()+" "+r.Version, "User Commands")
	page.macro("SH", "NAME")
	// Read by mandb, which wants this very line.
	fmt.Fprintf(&page.text, "%s \\- %s\n", escape(root.Name()), escape(root.Short))
	page.macro("SH", "SYNOPSIS")
	page.words(root.Name() + " COMMAND [--config FILE] [--output text|json] …")
	page.macro("SH", "DESCRIPTION")
	page.paragraphs(root.Long)
	page.macro("SH", "EXAMPLES")
	page.verbatim(root.Example)
	page.macro("SH", "OPTIONS OF ALL COMMANDS")
	page.flags(root.PersistentFlags())
	page.macro("SH", "COMMANDS")
	page.commands(root)
	return page.text.Bytes()
}

// roff writes the source of a manual page.
type roff struct{ text bytes.Buffer }

// commands describes the commands below one, in the order of their names.
func (r *roff) commands(parent *cobra.Command) {
	for _, cmd := range parent.Commands() {
		if !cmd.IsAvailableCommand() || cmd.Name() == "help" {
			continue
		}
		if cmd.Runnable() {
			r.macro("SS", strings.TrimSuffix(cmd.UseLine(), " [flags]"))
			r.paragraphs(cmp.Or(cmd.Long, cmd.Short))
			r.flags(cmd.LocalNonPersistentFlags())
			if cmd.Example != "" {
				r.macro("PP")
				r.verbatim(cmd.Example)
			}
		}
		r.commands(cmd)
	}
}

// flags describes flags, but for --help, which every command has.
func (r *roff) flags(set *pflag.FlagSet) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		r.macro("TP")
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		fmt.Fprintf(&r.text, "\\fB%s\\fR", escape(name))
		if value != "" {
			fmt.Fprintf(&r.text, " \\fI%s\\fR", escape(value))
		}
		r.text.WriteByte('\n')
		switch f.DefValue {
		case "", "false", "0", "[]", "0s", "-1":
		default:
			usage += " (default " + f.DefValue + ")"
		}
		r.words(usage)
	})
}

// paragraphs writes text that has empty lines between its paragraphs.
func (r *roff) paragraphs(text string) {
	for i, paragraph := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if i > 0 {
			r.macro("PP")
		}
		if strings.HasPrefix(paragraph, " ") { // a table
			r.verbatim(paragraph)
			continue
		}
		r.words(paragraph)
	}
}

// verbatim writes lines as they are.
func (r *roff) verbatim(text string) {
	r.macro("nf")
	for line := range strings.Lines(text) {
		r.words(strings.TrimRight(line, "\n"))
	}
	r.macro("fi")
}

func (r *roff) words(text string) {
	for line := range strings.Lines(text) {
		line = escape(strings.TrimRight(line, "\n"))
		// What would be a macro otherwise.
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		r.text.WriteString(line + "\n")
	}
}

func (r *roff) macro(name string, args ...string) {
	r.text.WriteString("." + name)
	for _, a := range args {
		r.text.WriteString(` "` + strings.ReplaceAll(escape(a), `"`, `\(dq`) + `"`)
	}
	r.text.WriteByte('\n')
}

// escape writes text so that it appears as it is. A hyphen of ours is always meant to be the character of a command line.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\(rs`, "-", `\-`, "…", "...", "—", `\(em`).Replace(text)
}
