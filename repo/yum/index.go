package yum

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/repo/layout"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// Config is what an index says of its repository.
type Config struct {
	// Revision is the publication's serial, a decimal number.
	Revision string
	// Date is when the index was made. Fractions of a second are cut off.
	Date time.Time
	// HrefPrefix leads from this repository's root to that of the one where the packages are. It is empty there, and
	// layout.SnapshotToRpm in a snapshot.
	HrefPrefix string
	// Advisories make the fourth index, updateinfo, unless there are none.
	Advisories []Advisory
	Tags       Tags
}

var (
	revisionForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)
	prefixForm   = regexp.MustCompile(`^((\.\./)+([A-Za-z0-9][A-Za-z0-9._-]*/)*)?$`)
)

func (cfg Config) check() error {
	switch {
	case !revisionForm.MatchString(cfg.Revision):
		return fmt.Errorf("revision %q is no decimal number", refusal.Shorten(cfg.Revision))
	case cfg.Date.Unix() < 0:
		return fmt.Errorf("the date %s is before 1970", cfg.Date.Format(time.DateOnly))
	}
	return checkPrefix(cfg.HrefPrefix)
}

func checkPrefix(prefix string) error {
	if !prefixForm.MatchString(prefix) {
		return fmt.Errorf("prefix %q does not lead to another repository: expected a path like ../../rpm/",
			refusal.Shorten(prefix))
	}
	return nil
}

// index is one of the three indexes: its name, and the element around its packages.
type index struct {
	kind, open, close string
	of                func(*Package) []byte
}

// Frames are what stands before and behind the packages in the three indexes primary, filelists and other of count
// packages, for those who write indexes of packages that they do not hold in memory.
func Frames(count int) [3]Frame {
	var f [3]Frame
	for i, index := range indexes() {
		f[i] = Frame{index.kind, index.opening(count), index.close}
	}
	return f
}

// Frame is the text around the packages of the index called Kind.
type Frame struct{ Kind, Open, Close string }

func (i index) opening(count int) string { return fmt.Sprintf("%s%s%d\">\n", xmlStart, i.open, count) }

const xmlStart = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

// indexes are the three in the order of repomd.xml.
func indexes() [3]index {
	const url = "http://linux.duke.edu/metadata/"
	return [3]index{
		{"primary", `<metadata xmlns="` + url + `common" xmlns:rpm="` + url + `rpm" packages="`, "</metadata>\n",
			func(p *Package) []byte { return p.Primary }},
		{"filelists", `<filelists xmlns="` + url + `filelists" packages="`, "</filelists>\n",
			func(p *Package) []byte { return p.Filelists }},
		{"other", `<otherdata xmlns="` + url + `other" packages="`, "</otherdata>\n",
			func(p *Package) []byte { return p.Other }},
	}
}

// Index writes the indexes primary, filelists and other, updateinfo if there are advisories, all compressed, and
// repodata/repomd.xml, unsigned, in this order.
// The same packages in any order and the same cfg give the same bytes. Packages that clash, or whose fragments are not
// what ReadPackage makes, are an error.
func Index(cfg Config, packages []*Package) ([]layout.File, error) {
	if err := cfg.check(); err != nil {
		return nil, &Error{File: layout.Repomd, Err: err}
	}
	list, err := sorted(packages)
	if err != nil {
		return nil, &Error{File: "primary", Err: err}
	}
	err = refusal.Each(len(list), func(i int) error {
		if err := list[i].check(); err != nil {
			return &Error{File: list[i].Href, Err: err}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	parts := indexes()
	files := make([]layout.File, len(parts))
	repomd := Repomd{Revision: cfg.Revision, Tags: cfg.Tags, Indexes: make([]IndexFile, len(parts))}
	if err := repomd.check(); err != nil {
		return nil, &Error{File: layout.Repomd, Err: err}
	}
	var group errgroup.Group
	for i, index := range parts {
		group.Go(func() error {
			data, described, err := index.write(list, cfg)
			if err != nil {
				return &Error{File: index.kind, Err: err}
			}
			files[i] = layout.File{Path: described.Href, Data: data}
			repomd.Indexes[i] = described
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if len(cfg.Advisories) > 0 {
		text, err := Updateinfo(cfg.Advisories)
		if err != nil {
			return nil, err
		}
		data, described, err := pack(updateinfo, cfg, func(w io.Writer) { w.Write(text) })
		if err != nil {
			return nil, &Error{File: updateinfo, Err: err}
		}
		files, repomd.Indexes = append(files, layout.File{Path: described.Href, Data: data}), append(repomd.Indexes, described)
	}
	return append(files, layout.File{Path: layout.Repomd, Data: repomd.xml()}), nil
}

// gzipLevel makes files that are some 3% larger than the highest level does, in a fifth of the time.
const gzipLevel = 6

// write compresses an index on the way: unpacked, that of a large repository is many times as large.
func (i index) write(packages []*Package, cfg Config) ([]byte, IndexFile, error) {
	prefix := ""
	if i.kind == "primary" {
		prefix = cfg.HrefPrefix
	}
	return pack(i.kind, cfg, func(w io.Writer) {
		io.WriteString(w, i.opening(len(packages)))
		for _, p := range packages {
			before, after := i.of(p), []byte(nil)
			if prefix != "" {
				before, after = splitLocation(before)
			}
			w.Write(before)
			io.WriteString(w, prefix)
			w.Write(after)
		}
		io.WriteString(w, i.close)
	})
}

// pack compresses what write writes, and describes it.
func pack(kind string, cfg Config, write func(io.Writer)) ([]byte, IndexFile, error) {
	var packed bytes.Buffer
	gz, err := gzip.NewWriterLevel(&packed, gzipLevel)
	if err != nil {
		return nil, IndexFile{}, err
	}
	gz.ModTime = time.Unix(0, 0) // written as "none"
	open := sha256.New()
	size := &counter{w: io.MultiWriter(open, gz)}
	write(size)
	if err := gz.Close(); err != nil { // which knows of every failed write
		return nil, IndexFile{}, err
	}
	digest := sha256.Sum256(packed.Bytes())
	described := IndexFile{
		Kind: kind, Size: int64(packed.Len()), SHA256: hex.EncodeToString(digest[:]),
		OpenSize: size.n, OpenSHA256: hex.EncodeToString(open.Sum(nil)), Timestamp: cfg.Date.UTC().Truncate(time.Second),
	}
	described.Href = layout.Repodata(described.SHA256, kind)
	return packed.Bytes(), described, nil
}

// splitLocation parts a fragment of primary just before its href. Text in it cannot look like location, as < is escaped
// there.
func splitLocation(primary []byte) (before, after []byte) {
	at := bytes.Index(primary, []byte(location)) + len(location)
	return primary[:at], primary[at:]
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.w.Write(p)
}

// sorted returns packages in the order of an index. Two packages that a client could not tell apart, or two of one href,
// are an error.
func sorted(packages []*Package) ([]*Package, error) {
	list := slices.Clone(packages)
	slices.SortFunc(list, compare)
	hrefs := make(map[string]bool, len(list))
	for i, p := range list {
		if hrefs[p.Href] {
			return nil, fmt.Errorf("%s: the file name is there twice", p.Href)
		}
		hrefs[p.Href] = true
		if i == 0 {
			continue
		}
		before := list[i-1]
		if before.Name == p.Name && before.Arch == p.Arch && CompareVersions(before.EVR(), p.EVR()) == 0 {
			return nil, fmt.Errorf("%s and %s are both %s %s of %s: remove one, clients cannot tell them apart",
				before.Href, p.Href, p.Name, p.EVR(), p.Arch)
		}
	}
	return list, nil
}

func compare(a, b *Package) int {
	if a.Name != b.Name {
		return cmp.Compare(a.Name, b.Name) // versions take longer to compare
	}
	return cmp.Or(CompareVersions(a.EVR(), b.EVR()), cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.Href, b.Href))
}

// ParseIndex reads the indexes that Index wrote with that HrefPrefix, uncompressed, and returns the packages in their
// order: equal to those that Index was given. Fragments may point into the three slices, which must not change.
func ParseIndex(hrefPrefix string, primary, filelists, other []byte) (packages []*Package, err error) {
	defer refusal.Recover("repodata", &err)
	if err := checkPrefix(hrefPrefix); err != nil {
		return nil, err
	}
	var fragments [3][][]byte
	for i, data := range [][]byte{primary, filelists, other} {
		part := indexes()[i]
		if fragments[i], err = part.split(data); err != nil {
			return nil, fmt.Errorf("%s: %w", part.kind, err)
		}
	}
	n := len(fragments[0])
	if len(fragments[1]) != n || len(fragments[2]) != n {
		return nil, fmt.Errorf("primary has %d packages, filelists %d and other %d", n, len(fragments[1]),
			len(fragments[2]))
	}
	packages = make([]*Package, n)
	err = refusal.Each(n, func(i int) error {
		first, err := cutPrefix(fragments[0][i], hrefPrefix)
		if err != nil {
			return fmt.Errorf("package %d: %w", i+1, err)
		}
		r, err := parseRecord(first, fragments[1][i], fragments[2][i])
		if err != nil {
			return fmt.Errorf("package %d: %w", i+1, err)
		}
		packages[i] = newPackage(r, first, fragments[1][i], fragments[2][i])
		return nil
	})
	if err != nil {
		return nil, err
	}
	return packages, checkSorted(packages)
}

// ParsePrimary reads the primary index alone, as ParseIndex does with all three. The packages lack Filelists and Other, so
// no index can be made of them.
func ParsePrimary(hrefPrefix string, primary []byte) (packages []*Package, err error) {
	defer refusal.Recover("repodata", &err)
	if err := checkPrefix(hrefPrefix); err != nil {
		return nil, err
	}
	fragments, err := indexes()[0].split(primary)
	if err != nil {
		return nil, fmt.Errorf("primary: %w", err)
	}
	packages = make([]*Package, len(fragments))
	err = refusal.Each(len(fragments), func(i int) error {
		fragment, err := cutPrefix(fragments[i], hrefPrefix)
		if err != nil {
			return fmt.Errorf("package %d: %w", i+1, err)
		}
		r, err := parsePrimaryRecord(fragment)
		if err != nil {
			return fmt.Errorf("package %d: %w", i+1, err)
		}
		packages[i] = newPackage(r, fragment, nil, nil)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return packages, checkSorted(packages)
}

// checkSorted refuses packages that are not in the order in which they are indexed.
func checkSorted(packages []*Package) error {
	list, err := sorted(packages)
	if err != nil {
		return err
	}
	for i := range list {
		if list[i] != packages[i] {
			return fmt.Errorf("%s stands before %s: not in the order that this program writes", packages[i].Href,
				list[i].Href)
		}
	}
	return nil
}

// split parts an index into the elements of its packages.
func (i index) split(data []byte) ([][]byte, error) {
	const end = "</package>\n"
	count := bytes.Count(data, []byte(end))
	rest, ok := bytes.CutPrefix(data, []byte(i.opening(count)))
	if !ok {
		return nil, fmt.Errorf("%w: its beginning is another, or its number of packages is not %d", errForm, count)
	}
	list := make([][]byte, 0, count)
	for range count {
		n := bytes.Index(rest, []byte(end)) + len(end)
		list = append(list, rest[:n:n])
		rest = rest[n:]
	}
	if string(rest) != i.close {
		return nil, fmt.Errorf("%w: its end is another", errForm)
	}
	return list, nil
}

// cutPrefix takes the prefix out of the href of a fragment of primary.
func cutPrefix(primary []byte, prefix string) ([]byte, error) {
	if prefix == "" {
		return primary, nil
	}
	if !bytes.Contains(primary, []byte(location+prefix)) {
		return nil, errors.New("its location does not begin with " + prefix)
	}
	before, after := splitLocation(primary)
	return append(append(make([]byte, 0, len(primary)), before...), after[len(prefix):]...), nil
}
