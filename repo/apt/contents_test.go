package apt

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func contents(data []byte) ([]Installed, error) {
	return ReadContents(bytes.NewReader(data), int64(len(data)), "odd.deb")
}

func debWith(data part) []byte {
	return arOf(part{"debian-binary", []byte("2.0\n")}, part{"control.tar", controlTar(plainControl)}, data)
}

// What dpkg-deb --contents lists is what ReadContents lists, for every compression.
func TestContents(t *testing.T) {
	for _, options := range [][]string{{"-Zxz"}, {"-Zxz", "-z0"}, {"-Zgzip"}, {"-Zzstd"}, {"-Znone"}} {
		dir := t.TempDir()
		makeDeb(t, dir, "odd.deb", plainControl, options, "usr/bin/odd", "etc/odd/conf", "usr/share/"+strings.Repeat("long/", 25)+"ñ ame")
		data, err := os.ReadFile(filepath.Join(dir, "odd.deb"))
		if err != nil {
			t.Fatal(err)
		}
		list, err := contents(data)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		names := run(t, dir, "sh", "-c", "dpkg-deb --fsys-tarfile odd.deb | tar --quoting-style=literal -t")
		for _, name := range strings.Split(names, "\n") {
			if name = strings.TrimSuffix(strings.TrimPrefix(name, "."), "/"); name != "" {
				want = append(want, name)
			}
		}
		var got []string
		for _, e := range list {
			got = append(got, e.Path)
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%v: got\n%s\ndpkg-deb lists\n%s", options, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// An xz stream of several blocks, as dpkg-deb writes it on several cores, and of every kind of checksum.
func TestXZ(t *testing.T) {
	want := bytes.Repeat([]byte("some text that xz packs. "), 100000)
	for _, args := range [][]string{{"--block-size=100000", "-T1"}, {"-T2", "--block-size=300000"}, {"-C", "crc32"}, {"-C", "sha256"},
		{"-C", "none"}, {"-9"}, {"-0"}} {
		data := debWith(part{"data.tar.xz", xz(t, tarOf([]tar.Header{{Name: "./a"}}, part{"./a", want}), args...)})
		if list, err := contents(data); err != nil || len(list) != 1 || list[0].Size != int64(len(want)) {
			t.Errorf("%v: got %+v, %v", args, list, err)
		}
		file := func(at string, limit int64) ([]byte, error) {
			return ReadInstalled(bytes.NewReader(data), int64(len(data)), "odd.deb", at, limit)
		}
		if got, err := file("/a", int64(len(want))); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: read %d bytes, %v", args, len(got), err)
		}
		if _, err := file("/a", int64(len(want)-1)); err == nil {
			t.Errorf("%v: a file that is too large was read", args)
		}
		if _, err := file("/b", 1<<30); err == nil || !strings.Contains(err.Error(), "does not install /b") {
			t.Errorf("%v: a file that is not there: %v", args, err)
		}
	}
}

// Frames of zstd may ask for as much as dpkg-deb -z22 asks for, and who reads several packages is told of it.
func TestZstdWindows(t *testing.T) {
	data := tarOf([]tar.Header{{Name: "./a"}}, part{"./a", make([]byte, 1000)})
	large := 0
	m := Reader{Large: func() func() { large++; return func() { large += 10 } }}
	for _, c := range []struct {
		args  []string
		large int
		want  string
	}{
		{[]string{"-3"}, 0, ""}, {[]string{"-19"}, 0, ""}, {[]string{"-3", "--long=24"}, 11, ""}, {[]string{"-3", "--long=27"}, 11, ""},
		{[]string{"-3", "--long=28"}, 11, "window size exceeded"}, {[]string{"-3"}, 0, ""},
	} {
		large = 0
		deb := debWith(part{"data.tar.zst", piped(t, data, tool(t, "zstd", "zstd"), append(c.args, "-c")...)})
		_, err := m.ReadPackage(bytes.NewReader(deb), int64(len(deb)), "a.deb")
		if large != c.large || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %d, %v, want %d and %q", c.args, large, err, c.large, c.want)
		}
	}
}

func TestRefusedContents(t *testing.T) {
	tarball := func(headers ...tar.Header) part { return part{"data.tar", tarOf(headers)} }
	zeros := make([]byte, 48<<20)
	for name, c := range map[string]struct {
		data part
		want string
	}{
		"FIFO":             {tarball(tar.Header{Name: "./a", Typeflag: tar.TypeFifo}), "is a FIFO"},
		"character device": {tarball(tar.Header{Name: "./a", Typeflag: tar.TypeChar}), "is a device"},
		"block device":     {tarball(tar.Header{Name: "./a", Typeflag: tar.TypeBlock}), "is a device"},
		"absolute path":    {tarball(tar.Header{Name: "/etc/passwd"}), "absolute"},
		"dotted path":      {tarball(tar.Header{Name: "./../etc/passwd"}), ".. segments"},
		"dot in the path":  {tarball(tar.Header{Name: "./etc/./passwd"}), ". or .. segments"},
		"twice":            {tarball(tar.Header{Name: "./a"}, tar.Header{Name: "a"}), "a second member"},
		"file and folder":  {tarball(tar.Header{Name: "./a"}, tar.Header{Name: "./a/", Typeflag: tar.TypeDir}), "a second member"},
		"line feed":        {tarball(tar.Header{Name: "./a\nb"}), "not readable text"},
		"not UTF-8":        {tarball(tar.Header{Name: "./a\xff"}), "not readable text"},
		"link out":         {tarball(tar.Header{Name: "./a", Typeflag: tar.TypeLink, Linkname: "../../etc/shadow"}), "link target"},
		"link to nothing":  {tarball(tar.Header{Name: "./a", Typeflag: tar.TypeSymlink}), "link target"},
		"gzip bomb":        {part{"data.tar.gz", gz(tarOf([]tar.Header{{Name: "a"}}, part{"a", zeros}))}, "unpacks to more than"},
		"xz bomb":          {part{"data.tar.xz", xz(t, tarOf([]tar.Header{{Name: "a"}}, part{"a", zeros}))}, "unpacks to more than"},
		"zstd bomb":        {part{"data.tar.zst", zst(t, tarOf([]tar.Header{{Name: "a"}}, part{"a", zeros}))}, "unpacks to more than"},
		"truncated":        {part{"data.tar", tarOf([]tar.Header{{Name: "a", Size: 9000}})[:4096]}, "data.tar"},
	} {
		list, err := contents(debWith(c.data))
		var refusal *Error
		if !errors.As(err, &refusal) || refusal.File != "odd.deb" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v, want an error with %q", name, list, err, c.want)
		}
		// Who reads the package alone is told the same.
		p, err := read(debWith(c.data))
		if !errors.As(err, &refusal) || refusal.File != "amd64/odd_1.0-1_amd64.deb" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got the package %v, %v, want an error with %q", name, p, err, c.want)
		}
	}
}
