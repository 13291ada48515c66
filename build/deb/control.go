package deb

import (
	"bytes"
	"fmt"
	"strings"

	"sigs.k8s.io/pkgs/build/payload"
)

// control is the control file.
func (m Meta) control(installedSize int64) []byte {
	var b bytes.Buffer
	for _, f := range m.fields(installedSize) {
		if f.Value != "" {
			fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
		}
	}
	return b.Bytes()
}

// fields are the fields in dpkg's order, those that are not used with an empty value.
func (m Meta) fields(installedSize int64) []Field {
	fields := []Field{
		{"Package", m.Package},
		{"Version", m.Version},
		{"Architecture", m.Architecture},
		{"Maintainer", m.Maintainer},
		{"Installed-Size", fmt.Sprint(installedSize)},
	}
	for _, r := range m.relations() {
		fields = append(fields, Field{r.field, strings.Join(r.list, ", ")})
	}
	fields = append(fields,
		Field{"Section", m.Section},
		Field{"Priority", m.Priority},
		Field{"Homepage", m.Homepage},
		Field{"Description", describe(m.Summary, m.Description)},
	)
	return append(fields, m.Extra...)
}

type relations struct {
	field string
	list  []string
}

func (m Meta) relations() []relations {
	return []relations{
		{"Pre-Depends", m.PreDepends},
		{"Depends", m.Depends},
		{"Recommends", m.Recommends},
		{"Suggests", m.Suggests},
		{"Enhances", m.Enhances},
		{"Conflicts", m.Conflicts},
		{"Breaks", m.Breaks},
		{"Replaces", m.Replaces},
		{"Provides", m.Provides},
	}
}

// describe folds a description: every line behind the summary begins with a space, and a line with nothing but a full
// stop stands for an empty one.
func describe(summary, text string) string {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		line = strings.TrimRight(line, " \t\n")
		if line == "" {
			line = "."
		}
		summary += "\n " + line
	}
	return summary
}

// installedSize counts as dpkg-gencontrol does, in KiB. A file takes whole ones; a directory one, since nobody knows how
// large it becomes.
func installedSize(files []payload.Entry) (kib int64) {
	for _, e := range files {
		switch e.Kind {
		case payload.File:
			kib += (e.Content.Size + 1023) / 1024
		case payload.Symlink:
			kib += int64(len(e.Target)+1023) / 1024
		default:
			kib++
		}
	}
	return kib
}
