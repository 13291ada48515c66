package apt

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func judged(data []byte) error {
	var m Reader
	return m.judgeData(member{"data.tar", int64(len(data)), bytes.NewReader(data)})
}

// What dpkg-deb makes of files of all kinds is taken, and of what is skipped nothing is unpacked.
func TestJudged(t *testing.T) {
	long := strings.Repeat("long/", 30) + "name"
	for _, options := range [][]string{{"-Zxz"}, {"-Zgzip"}, {"-Zzstd"}, {"-Znone"}} {
		dir := t.TempDir()
		makeDeb(t, dir, "odd.deb", plainControl, options, "usr/bin/odd", "etc/odd/conf", "usr/share/"+long, "usr/share/ñ ame")
		data, err := os.ReadFile(filepath.Join(dir, "odd.deb"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := read(data); err != nil {
			t.Errorf("%v: %v", options, err)
		}
	}
	for name, h := range map[string]tar.Header{
		"PAX":                {Name: "./" + long, Format: tar.FormatPAX},
		"PAX with a record":  {Name: "./a", Format: tar.FormatPAX, PAXRecords: map[string]string{"VENDOR.x": "y"}},
		"POSIX, with prefix": {Name: "./" + long, Format: tar.FormatUSTAR},
		"GNU":                {Name: "./" + long, Format: tar.FormatGNU},
		"GNU link":           {Name: "./a", Linkname: "/" + long, Typeflag: tar.TypeSymlink, Format: tar.FormatGNU},
		"hard link":          {Name: "./b", Linkname: "./a", Typeflag: tar.TypeLink},
		"no dot":             {Name: "usr", Typeflag: tar.TypeDir},
		"content":            {Name: "a", Size: 1000},
		"root":               {Name: "./", Typeflag: tar.TypeDir},
	} {
		// Behind it comes a member that shows that it was stepped over rightly.
		if err := judged(tarOf([]tar.Header{h, {Name: "./last"}})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := judged(tarOf([]tar.Header{h, {Name: "./last", Typeflag: tar.TypeFifo}})); err == nil || !strings.Contains(err.Error(), `member "./last": is a FIFO`) {
			t.Errorf("%s: what follows is not judged: %v", name, err)
		}
	}

	// A block of xz data without a header in it may be anything; one with a header may not.
	middle := bytes.Repeat([]byte("some text that xz packs. "), 100000)
	text := tarOf([]tar.Header{{Name: "./a"}, {Name: "./b"}}, part{"./a", middle})
	packed := xz(t, text, "--block-size=100000", "-T1")
	for at, want := range map[int]bool{len(packed) / 2: true, 40: false} {
		deb := debWith(part{"data.tar.xz", flip(packed, at)})
		if _, err := read(deb); (err == nil) != want {
			t.Errorf("damaged at %d of %d: %v", at, len(packed), err)
		}
		if _, err := contents(deb); err == nil {
			t.Errorf("damaged at %d of %d: contents can be read", at, len(packed))
		}
	}
}

// dpkg stops at a header without a name, and others go on: so behind it there is nothing. A name of any length would have to be
// kept in memory.
func TestJudgedEnds(t *testing.T) {
	whole := tarOf([]tar.Header{{Name: "./a"}})
	member, end := whole[:tarBlock], make([]byte, tarBlock)
	nameless := bytes.Clone(member)
	nameless[0] = 0
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"no end":               {member, ""},
		"half an end":          {slices.Concat(member, end), ""},
		"an end":               {slices.Concat(member, end, end), ""},
		"a member behind it":   {slices.Concat(member, end, tarOf([]tar.Header{{Name: "./b"}})), "something follows its end"},
		"a part of one":        {slices.Concat(member, end, []byte("./b")), "something follows its end"},
		"one without a name":   {slices.Concat(member, nameless, end, end), "a member without a name"},
		"a name without end":   {tarOf([]tar.Header{{Name: "./" + strings.Repeat("x", maxTarString), Format: tar.FormatGNU}}), "a name of"},
		"an end within a name": {tarOf([]tar.Header{{Name: "./" + strings.Repeat("x", 1000), Format: tar.FormatGNU}})[:2*tarBlock], "truncated"},
	} {
		if err := judged(c.data); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Who asks for it gets a package whatever is in its data.tar.
func TestTrustData(t *testing.T) {
	data := debWith(part{"data.tar", tarOf([]tar.Header{{Name: "./a", Typeflag: tar.TypeFifo}})})
	m := Reader{TrustData: true}
	p, err := m.ReadPackage(bytes.NewReader(data), int64(len(data)), "a.deb")
	if err != nil || p.Name != "odd" {
		t.Errorf("got %v, %v", p, err)
	}
	m.TrustData = false
	for range 2 { // with memory that is used again
		if _, err := m.ReadPackage(bytes.NewReader(data), int64(len(data)), "a.deb"); err == nil || err.Error() != `a.deb: data.tar: member "./a": is a FIFO` {
			t.Errorf("got %v", err)
		}
	}
	// Names that are not UTF-8 are others' business, as long as nobody lists them.
	data = debWith(part{"data.tar", tarOf([]tar.Header{{Name: "./caf\xe9", Format: tar.FormatGNU}})})
	m.Grammar = Foreign
	if _, err := m.ReadPackage(bytes.NewReader(data), int64(len(data)), "a.deb"); err != nil {
		t.Error(err)
	}
	if _, err := read(data); err == nil || !strings.Contains(err.Error(), "not readable text") {
		t.Errorf("got %v", err)
	}
}

// FuzzJudge holds our reading of tar to archive/tar's: what is accepted without its help has just the paths that it finds,
// all of them of types that are allowed.
func FuzzJudge(f *testing.F) {
	f.Add(tarOf([]tar.Header{{Name: "./", Typeflag: tar.TypeDir}, {Name: "./a", Size: 600}, {Name: "./b", Typeflag: tar.TypeSymlink, Linkname: "a"}}))
	f.Add(tarOf([]tar.Header{{Name: "./" + strings.Repeat("long/", 30), Typeflag: tar.TypeDir, Format: tar.FormatGNU}, {Name: "./a", Typeflag: tar.TypeLink, Linkname: "./b"}}))
	f.Add(tarOf([]tar.Header{{Name: strings.Repeat("long/", 30) + "a", Format: tar.FormatUSTAR}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		// A fuzzer does not find checksums: every block gets the one that is right.
		data = bytes.Clone(data)
		for at := 0; at+tarBlock <= len(data); at += tarBlock {
			if block := data[at : at+tarBlock]; string(block[tarLink:tarLink+5]) == "ustar" {
				putSum(block)
			}
		}
		m := member{"data.tar", int64(len(data)), bytes.NewReader(data)}
		in, err := m.open(dataAllowance, new(scratch))
		if err != nil {
			t.Fatal(err)
		}
		j := judge{in: in, scratch: new(scratch), seen: map[string]struct{}{}}
		if j.members() != nil {
			return
		}
		for r := tar.NewReader(bytes.NewReader(data)); ; {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return // archive/tar refuses some of what dpkg takes
			}
			if h.Format == tar.FormatUnknown || h.Format == tar.FormatGNU {
				continue // it may take other bytes for a part of the name than dpkg does
			}
			if checkKind(h.Typeflag, h.Linkname, Foreign) != nil {
				t.Errorf("accepted a member of type %q", h.Typeflag)
			}
			path, err := installPath(h.Name)
			if _, ok := j.seen[path]; err != nil || !ok && path != "" {
				t.Errorf("accepted %q as something else: %v", h.Name, err)
			}
		}
	})
}

// putSum writes the checksum of a header.
func putSum(block []byte) {
	sum := sumOf((*[tarBlock]byte)(block))
	for i := tarSum - 3; i >= tarSumAt; i-- {
		block[i] = byte('0' + sum&7)
		sum >>= 3
	}
	block[tarSum-2], block[tarSum-1] = 0, ' '
}

// The names of members are counted once, also where the last of them is for archive/tar to understand.
func TestJudgedNamesOnce(t *testing.T) {
	var headers []tar.Header
	for i := range maxPathBytes * 2 / 3 / 60_000 {
		headers = append(headers, tar.Header{Name: fmt.Sprintf("./%060000d", i), Format: tar.FormatGNU})
	}
	headers = append(headers, tar.Header{Name: "./last", Format: tar.FormatPAX, PAXRecords: map[string]string{"VENDOR.x": "y"}})
	if err := judged(tarOf(headers)); err != nil {
		t.Error(err)
	}
}
