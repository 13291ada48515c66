package apt

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// judgeData refuses a data.tar with members that no package should have: devices, FIFOs, members of unknown types, paths
// that are absolute or dotted, and paths that are there twice. It looks at nothing but the headers of the members. What
// lies between is skipped, not unpacked, where that can be: without compression, and in xz data of several blocks.
func (m *Reader) judgeData(data member) error {
	judged := func(by func(*judge) error) error {
		in, err := data.open(dataAllowance+dataRatio*data.size, &m.scratch)
		if err != nil {
			return err
		}
		return by(&judge{in: in, scratch: &m.scratch, grammar: m.Grammar, seen: m.seen()})
	}
	err := judged((*judge).members)
	if errors.Is(err, errOtherTar) {
		err = judged((*judge).otherMembers)
	}
	return err
}

// seen returns an empty set.
func (m *Reader) seen() map[string]struct{} {
	const most = 10_000 // beyond which clearing takes longer than a new one
	if m.paths == nil || len(m.paths) > most {
		m.paths = map[string]struct{}{}
	}
	clear(m.paths)
	return m.paths
}

// judge judges the members of one data.tar.
type judge struct {
	in      *limited
	scratch *scratch
	grammar Grammar
	seen    map[string]struct{} // paths, relative to the root directory
	names   int                 // bytes of them
}

// members judges what a tarReader reads.
func (j *judge) members() error {
	for t := (tarReader{in: j.in, block: &j.scratch.block}); ; {
		m, err := t.next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = j.member(m.kind, m.name, m.link)
		}
		if err != nil {
			return err
		}
	}
}

// otherMembers judges what archive/tar reads.
func (j *judge) otherMembers() error {
	for t := tar.NewReader(j.in); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = j.member(h.Typeflag, h.Name, h.Linkname)
		}
		if err != nil {
			return err
		}
	}
}

// member judges one member.
func (j *judge) member(kind byte, name, link string) error {
	path, err := installPath(name)
	if err == nil && j.grammar == Strict {
		err = checkPathText(path)
	}
	if err == nil {
		err = checkKind(kind, link, j.grammar)
	}
	if err != nil {
		return fmt.Errorf("member %q: %w", refusal.Shorten(name), err)
	}
	if path == "" {
		return nil
	}
	if _, twice := j.seen[path]; twice {
		return fmt.Errorf("a second member %q", refusal.Shorten(name))
	}
	j.seen[path] = struct{}{}
	if j.names += len(path); len(j.seen) > maxInstalled || j.names > maxPathBytes {
		return errTooMany
	} else if len(j.seen) > manyInstalled || j.names > manyPathBytes {
		j.scratch.enlarge()
	}
	return nil
}
