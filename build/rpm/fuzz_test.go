package rpm_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	cavaliergopher "github.com/cavaliergopher/rpm"
	"github.com/ulikunitz/xz"

	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/rpm"
)

// member is what a cpio archive says about one of its members.
type member struct {
	name string
	mode uint64
	data []byte
}

// unpack reads a cpio archive.
func unpack(t *testing.T, archive []byte) (all []member) {
	t.Helper()
	take := func(n uint64) []byte {
		padded := (n + 3) &^ 3
		if uint64(len(archive)) < padded {
			t.Fatalf("archive ends %d bytes early", padded-uint64(len(archive)))
		}
		piece := archive[:n]
		archive = archive[padded:]
		return piece
	}
	for {
		if len(archive) < 110 || string(archive[:6]) != "070701" {
			t.Fatal("no header where one must be")
		}
		number := func(i int) uint64 {
			n, err := strconv.ParseUint(string(archive[6+8*i:14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		mode, size, name := number(1), number(6), number(11)
		m := member{mode: mode, name: strings.TrimSuffix(string(take(110 + name)[110:]), "\x00")}
		if m.name == "TRAILER!!!" {
			if len(archive) != 0 {
				t.Fatalf("%d bytes behind the end of the archive", len(archive))
			}
			return all
		}
		m.data = take(size)
		all = append(all, m)
	}
}

// What a random tree becomes is read back by code of others.
func FuzzWrite(f *testing.F) {
	f.Add("usr/bin/kubelet\netc/sysconfig\nusr/bin/link\nusr/lib/x", []byte("text"), uint16(0o755), "a line\n\nanother")
	f.Add("a\nb\nc\nd\x00", []byte{}, uint16(0o4755), "")
	f.Add("a\n\na-b/c", []byte("\x7fELF\x02"), uint16(0), "")
	f.Fuzz(func(t *testing.T, names string, data []byte, mode uint16, text string) {
		var entries []payload.Entry
		contents := make(map[string][]byte)
		for i, name := range strings.Split(names, "\n") {
			e := payload.Entry{Path: "/" + name, Mode: uint32(mode) & 0o7777, Kind: payload.Kind(i % 3)}
			switch e.Kind {
			case payload.File:
				contents[e.Path] = slices.Concat(data, []byte(name))
				e.Content, e.Config = payload.Bytes(contents[e.Path]), i%2 == 1
			case payload.Symlink:
				e.Target = name
				contents[e.Path] = []byte(name)
			}
			entries = append(entries, e)
		}
		tree, err := payload.NewTree(entries...)
		if err != nil {
			return
		}
		m := kubelet()
		m.Description, m.Post.Body = text, text
		if m.Check() != nil {
			return
		}
		file := write(t, m, tree, brokenSigner{packet: append([]byte("signature"), data[:min(len(data), 2000)]...)})
		all, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := bytes.NewReader(all)
		p, err := cavaliergopher.Read(r)
		if err != nil {
			t.Fatal(err)
		}
		packed := all[len(all)-r.Len():]
		if got := p.Header.GetTag(5092).StringSlice()[0]; got != fmt.Sprintf("%x", sha256.Sum256(packed)) {
			t.Errorf("payload has SHA-256 %x, the header says %s", sha256.Sum256(packed), got)
		}
		x, err := xz.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		archive, err := io.ReadAll(x)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Header.GetTag(5097).StringSlice()[0]; got != fmt.Sprintf("%x", sha256.Sum256(archive)) {
			t.Errorf("archive has SHA-256 %x, the header says %s", sha256.Sum256(archive), got)
		}
		if want := strings.TrimRight(text, "\n"); p.Description() != want || p.Header.GetTag(1024).String() != want {
			t.Errorf("description %q and script %q, expected %q", p.Description(), p.Header.GetTag(1024).String(), want)
		}
		if p.String() != "kubelet-1.34.1~rc.0-1.1.x86_64" {
			t.Errorf("this is %s", p)
		}

		members, told := unpack(t, archive), p.Files()
		if len(members) != len(entries) || len(told) != len(entries) {
			t.Fatalf("%d members and %d files of %d entries", len(members), len(told), len(entries))
		}
		for i, e := range tree.Entries() {
			info, member := told[i], members[i]
			if path.Clean(info.Name()) != e.Path || member.name != "."+e.Path {
				t.Errorf("file %d is %s, its member %s, expected %s", i, info.Name(), member.name, e.Path)
			}
			if !bytes.Equal(member.data, contents[e.Path]) || info.Size() != int64(len(contents[e.Path])) {
				t.Errorf("%s: other bytes than the tree's", e.Path)
			}
			if e.Kind != payload.Symlink && member.mode&0o7777 != uint64(e.Mode) || info.Linkname() != e.Target {
				t.Errorf("%s: mode %o, target %q", e.Path, member.mode, info.Linkname())
			}
			if e.Kind == payload.File && info.Digest() != fmt.Sprintf("%x", e.Content.SHA256) {
				t.Errorf("%s: digest %s", e.Path, info.Digest())
			}
		}
	})
}

var _ rpm.HeaderSigner = brokenSigner{}
