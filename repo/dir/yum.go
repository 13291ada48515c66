package dir

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/packed"
	"sigs.k8s.io/pkgs/repo/yum"
)

// rpmFormat is how rpms are read and indexed. Their records have three parts, one for each index.
func (r *run) rpmFormat() format {
	return format{
		name: "rpm", compare: compareRpms, write: r.writeRpms, variant: "primary, filelists, other",
		same: func(a, b *entry) bool {
			return a.name == b.name && a.arch == b.arch && yum.CompareVersions(a.version, b.version) == 0
		},
		reader: func() reader {
			m := yum.Reader{Foreign: true, Large: r.oneLarge}
			return func(in io.ReaderAt, from file) (entry, [][]byte, error) {
				p, err := m.ReadPackage(in, from.size, from.path)
				if err != nil {
					return entry{}, nil, err
				}
				return entry{sum: unhex(p.SHA256), name: p.Name, version: p.EVR(), arch: p.Arch},
					[][]byte{p.Primary, p.Filelists, p.Other}, nil
			}
		},
	}
}

func compareRpms(a, b *entry) int {
	if a.name != b.name {
		return cmp.Compare(a.name, b.name) // versions take longer to compare
	}
	return cmp.Or(yum.CompareVersions(a.version, b.version), cmp.Compare(a.arch, b.arch), cmp.Compare(a.path, b.path))
}

// writeRpms writes the yum repository.
func (r *run) writeRpms(ctx context.Context, b *book) (err error) {
	r.result.Rpms = len(b.entries)
	compression := r.Compress[0]
	frames := yum.Frames(len(b.entries))
	var indexes [len(frames)]*index
	defer func() {
		for _, x := range indexes {
			if x != nil && err != nil {
				x.finish()
			}
		}
	}()
	for i, f := range frames {
		if indexes[i], err = r.newIndex(ctx, b, f.Kind, compression); err != nil {
			return err
		}
		indexes[i].Text(f.Open)
	}
	state, err := r.newState(ctx, b)
	if err != nil {
		return err
	}
	for i := range b.entries {
		e := b.entries[i]
		parts, err := b.record(e)
		if err != nil {
			if state != nil {
				state.records.Close()
			}
			return err
		}
		state.add(e, parts)
		for j, x := range indexes {
			x.Add(e.sum, e.path, parts[j])
		}
	}
	repomd := yum.Repomd{Revision: strconv.FormatInt(r.Release.Date.Unix(), 10), Tags: r.Tags}
	for i, x := range indexes {
		x.Text(frames[i].Close)
		indexes[i] = nil
		described, err := r.finishRpmIndex(x, state)
		if err != nil {
			return err
		}
		repomd.Indexes = append(repomd.Indexes, described)
	}
	if len(r.Advisories) > 0 {
		described, err := r.writeAdvisories(ctx, b)
		if err != nil {
			return err
		}
		repomd.Indexes = append(repomd.Indexes, described)
	}
	if err := r.writeRepomd(ctx, &repomd); err != nil {
		return err
	}
	return state.finish(r, b)
}

func (r *run) finishRpmIndex(x *index, state *stateWriter) (yum.IndexFile, error) {
	result, err := x.finish()
	if err != nil {
		return yum.IndexFile{}, err
	}
	name := func(c packed.Compression, f packed.File) string {
		return strings.TrimSuffix(layout.Repodata(f.SHA256, x.name), ".gz") + c.Suffix()
	}
	state.remember(x, result, name)
	f := result.Files[0]
	href := name(x.outputs[0].Compression, f)
	r.draft.move(x.file(0), href, false)
	return yum.IndexFile{
		Kind: x.name, Href: href, Size: f.Size, SHA256: f.SHA256, OpenSize: result.Plain.Size,
		OpenSHA256: result.Plain.SHA256, Timestamp: r.Release.Date,
	}, nil
}

// writeAdvisories writes updateinfo.
func (r *run) writeAdvisories(ctx context.Context, b *book) (yum.IndexFile, error) {
	list, unmet := yum.Resolve(r.Advisories, func(yield func(yum.AdvisedPackage) bool) {
		for i := range b.entries {
			if e := b.entries[i]; !yield(advised(e)) {
				return
			}
		}
	})
	if len(unmet) > 0 {
		return yum.IndexFile{}, fmt.Errorf("%s: write name-version-release or name-version-release.arch", unmet[0])
	}
	text, err := yum.Updateinfo(list)
	if err != nil {
		return yum.IndexFile{}, err
	}
	x, err := r.newIndex(ctx, &book{state: &state{}}, "updateinfo", r.Compress[0])
	if err != nil {
		return yum.IndexFile{}, err
	}
	x.Text(string(text))
	return r.finishRpmIndex(x, nil)
}

func advised(e *entry) yum.AdvisedPackage {
	epoch, rest, _ := strings.Cut(e.version, ":")
	version, release, _ := strings.Cut(rest, "-")
	return yum.AdvisedPackage{Name: e.name, Epoch: epoch, Version: version, Release: release, Arch: e.arch, File: path.Base(e.path)}
}

var hashedRepodata = regexp.MustCompile(`^[0-9a-f]{64}-[a-z_]+\.(xml|sqlite)\.[a-z0-9]+$`)

// writeRepomd writes and signs repomd.xml.
func (r *run) writeRepomd(ctx context.Context, repomd *yum.Repomd) error {
	d := r.draft
	before, err := d.read(layout.Repomd)
	if err != nil {
		return err
	}
	named := func(name string) bool { return bytes.Contains(before, []byte("repodata/"+name)) }
	if err := d.keep(path.Dir(layout.Repomd), hashedRepodata.MatchString, named); err != nil {
		return err
	}
	text, err := repomd.XML()
	if err != nil {
		return err
	}
	if r.Signer == nil {
		d.gone = append(d.gone, layout.RepomdAsc)
		return d.text(layout.Repomd, text)
	}
	if r.Keyring != nil {
		key, err := r.Keyring.Armor()
		if err != nil {
			return err
		}
		if err := d.text(layout.RepomdKey, key); err != nil {
			return err
		}
	}
	signature, err := r.Signer.Repomd(ctx, repomd, r.Release.Date)
	if err != nil {
		return err
	}
	if err := d.text(layout.Repomd, text); err != nil {
		return err
	}
	return d.text(layout.RepomdAsc, signature)
}
