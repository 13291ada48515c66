package build

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"sigs.k8s.io/pkgs/build/payload"
)

// tree is what the package of a format installs.
func (p *prepared) tree(format Format) (*payload.Tree, error) {
	entries, err := p.documentation(format)
	if err != nil {
		return nil, err
	}
	for _, f := range p.definition.Files {
		if !f.in(format) {
			continue
		}
		more, err := p.entries(f, format)
		if err != nil {
			return nil, err
		}
		entries = append(entries, more...)
	}
	return payload.NewTree(entries...)
}

// entries are what a file of the definition becomes.
func (p *prepared) entries(f File, format Format) ([]payload.Entry, error) {
	w := p.definition.place(format, p.request)
	e := payload.Entry{Path: w.Replace(f.Path), Mode: f.mode(), Config: f.Config, Doc: f.Doc, License: f.License}
	switch {
	case f.Directory:
		e.Kind = payload.Dir
	case f.Link != "":
		e.Kind, e.Target = payload.Symlink, w.Replace(f.Link)
	case f.Local != "":
		data, err := p.local(f, w)
		if err != nil {
			return nil, err
		}
		e.Content = payload.Bytes(data)
	default:
		inputs, err := p.inputsOf(f, format)
		if err != nil {
			return nil, err
		}
		var all []payload.Entry
		for _, in := range inputs {
			e.Path = in.path
			if e.Content, err = p.content(f, in); err != nil {
				return nil, err
			}
			all = append(all, e)
		}
		return all, nil
	}
	return []payload.Entry{e}, nil
}

// content is what f makes of a file of the release, made once for both formats.
func (p *prepared) content(f File, in input) (payload.Content, error) {
	key := made{in.file.Path, f.Gzip}
	content, ok := p.contents[key]
	if ok {
		return content, nil
	}
	content, err := f.content(in)
	if err == nil {
		p.contents[key] = content
	}
	return content, err
}

// made is what contents are made of, and how.
type made struct {
	path string
	gzip bool
}

func (f File) content(in input) (payload.Content, error) {
	content := payload.FromFile(in.file.Path, in.file.Size, in.file.SHA256)
	if !f.Gzip {
		return content, nil
	}
	if content.Size > maxLocal {
		return content, fmt.Errorf("%s has %d bytes: expected at most %d in a file to compress", in.name, content.Size, maxLocal)
	}
	var text bytes.Buffer
	err := content.Each(context.Background(), make([]byte, 32<<10), func(b []byte) error {
		_, err := text.Write(b)
		return err
	})
	if err != nil {
		return content, err
	}
	packed, err := compress(text.Bytes())
	return payload.Bytes(packed), err
}

// local is the content of a file beside the definition.
func (p *prepared) local(f File, w *strings.Replacer) ([]byte, error) {
	data := p.definition.local[f.Local]
	if f.Template {
		data = []byte(w.Replace(string(data)))
	}
	if f.Gzip {
		return compress(data)
	}
	return data, nil
}
