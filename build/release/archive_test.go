package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type member struct {
	header tar.Header
	data   string
}

func file(name, data string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(data))}, data}
}

func special(name string, kind byte, target string) member {
	return member{tar.Header{Name: name, Typeflag: kind, Linkname: target, Mode: 0o755}, ""}
}

func tarball(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, m := range members {
		if err := w.WriteHeader(&m.header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bomb is a member of 200 MiB in 200 kB. A gzip file may consist of several, one after the other.
func bomb(t testing.TB) []byte {
	t.Helper()
	pack := func(write func(io.Writer) error) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if err := errors.Join(write(z), z.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	head := pack(func(w io.Writer) error {
		return tar.NewWriter(w).WriteHeader(&tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 200 << 20})
	})
	zeros := pack(func(w io.Writer) error {
		_, err := w.Write(make([]byte, 1<<20))
		return err
	})
	return append(head, bytes.Repeat(zeros, 200)...)
}

// pax is a tarball of one empty file with records that archive/tar would not write.
func pax(t testing.TB, records map[string]string) []byte {
	t.Helper()
	var data string
	for key, value := range records {
		// A record begins with its length, which counts its own digits.
		length := len(key) + len(value) + 3
		for len(fmt.Sprint(length))+len(key)+len(value)+3 != length {
			length++
		}
		data += fmt.Sprintf("%d %s=%s\n", length, key, value)
	}
	block := func(kind byte, size int) []byte {
		b := make([]byte, 512)
		copy(b, "x")
		copy(b[100:], "0000644\x000000000\x000000000\x00")
		copy(b[124:], fmt.Sprintf("%011o\x0000000000000\x00        ", size))
		b[156] = kind
		copy(b[257:], "ustar\x0000")
		sum := 0
		for _, c := range b {
			sum += int(c)
		}
		copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
		return b
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(block('x', len(data)))
	z.Write([]byte(data))
	z.Write(make([]byte, (512-len(data)%512)%512))
	z.Write(block('0', 0))
	z.Write(make([]byte, 1024))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func extract(t testing.TB, data []byte, wanted ...string) ([]Member, cache, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.tgz")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	c := cache{filepath.Join(t.TempDir(), "cache")}
	members, err := c.extract(t.Context(), File{Path: path, Size: int64(len(data)), URL: "a.tgz"}, func(name string) bool {
		return len(wanted) == 0 || strings.Contains(strings.Join(wanted, " "), name)
	})
	return members, c, err
}

func TestExtract(t *testing.T) {
	data := tarball(t, special("./", tar.TypeDir, ""), file("./bridge", "a"), file("./LICENSE", "text"), special("d/", tar.TypeDir, ""), file("d/host-local", content))
	members, c, err := extract(t, data, "bridge", "d/host-local")
	if err != nil {
		t.Fatal(err)
	}
	if len(members) != 2 || members[0].Name != "bridge" || members[1].Name != "d/host-local" || members[1].Mode != 0o755 {
		t.Fatalf("got %+v", members)
	}
	if got, err := os.ReadFile(members[1].Path); err != nil || string(got) != content || members[1].Path != c.path(hex256(content)) {
		t.Errorf("got %d bytes at %s, %v", len(got), members[1].Path, err)
	}
	if members[1].URL != "a.tgz:d/host-local" {
		t.Errorf("got %s", members[1].URL)
	}
}

func TestHostileTarballs(t *testing.T) {
	good := tarball(t, file("a", content))
	many := make([]member, maxMembers+1)
	for i := range many {
		many[i] = special("d/", tar.TypeDir, "")
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"parent":      {tarball(t, file("../a", "x")), "leads elsewhere"},
		"hidden up":   {tarball(t, file("a/../../b", "x")), "leads elsewhere"},
		"dot up":      {tarball(t, file("./../a", "x")), "leads elsewhere"},
		"absolute":    {tarball(t, file("/etc/passwd", "x")), "is absolute"},
		"newline":     {tarball(t, file("a\nb", "x")), "has a character"},
		"symlink":     {tarball(t, special("a", tar.TypeSymlink, "/etc")), `is a link to "/etc"`},
		"hard link":   {tarball(t, special("a", tar.TypeLink, "b")), "is a link"},
		"device":      {tarball(t, special("a", tar.TypeBlock, "")), "is a device"},
		"character":   {tarball(t, special("a", tar.TypeChar, "")), "is a device"},
		"NUL":         {pax(t, map[string]string{"path": "a\x00b"}), "after 0 members"},
		"PAX newline": {pax(t, map[string]string{"path": "a\nb"}), "has a character"},
		"PAX parent":  {pax(t, map[string]string{"path": "../../etc/passwd"}), "leads elsewhere"},
		"PAX size":    {pax(t, map[string]string{"size": "9223372036854775807"}), "expected at most"},
		"sparse":      {pax(t, map[string]string{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a", "GNU.sparse.realsize": "99999999999"}), ""},
		"long name":   {tarball(t, file(strings.Repeat("d/", 300)+"a", "x")), "a name of 601 characters"},
		"large PAX":   {pax(t, map[string]string{"comment": strings.Repeat("x", 2<<20)}), "after 0 members"},
		"last":        {tarball(t, file("a", content), file("LICENSE", "x"), special("../b", tar.TypeReg, "")), "leads elsewhere"},
		"pipe":        {tarball(t, special("a", tar.TypeFifo, "")), "is a device or a pipe"},
		"twice":       {tarball(t, file("a", "x"), file("./a", "y")), `two members are called "a"`},
		"many":        {tarball(t, many...), "more than 10000 members"},
		"bomb":        {bomb(t), "unpacks to far more"},
		"unwanted":    {tarball(t, file("LICENSE", "x"), special("unwanted", tar.TypeSymlink, "/")), "is a link"},
		"cut off":     {good[:len(good)/2], "cut off"},
		"no checksum": {good[:len(good)-4], "cut off"},
		"damaged":     {append(append([]byte{}, good[:len(good)-6]...), 0, 0, 0, 0, 0, 0), "checksum"},
		"trailing":    {append(append([]byte{}, good...), "rubbish that follows"...), "invalid header"},
		"no gzip":     {[]byte("PK\x03\x04 this is a zip file"), "not a gzip file"},
		"empty":       {nil, "not a gzip file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, cache, err := extract(t, c.data, "a", "LICENSE")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			entries, _ := os.ReadDir(filepath.Join(cache.dir, "sha256"))
			for _, e := range entries {
				t.Errorf("the cache holds %s", e.Name())
			}
		})
	}
}

func FuzzExtract(f *testing.F) {
	f.Add(tarball(f, file("a", "x"), special("d/", tar.TypeDir, "")))
	f.Add(tarball(f, file("a", strings.Repeat("x", 10000)), special("b", tar.TypeSymlink, "/")))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Most mutations die in gzip, so they are tried as the tar inside, too.
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(data)
		z.Close()
		for _, data := range [][]byte{data, b.Bytes()} {
			members, _, err := extract(t, data)
			for _, m := range members {
				if err != nil || checkName(m.Name) != nil || !strings.Contains(m.Path, "cache") {
					t.Errorf("extracted %+v, %v", m, err)
				}
			}
		}
	})
}
