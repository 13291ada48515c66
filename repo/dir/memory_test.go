package dir

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
)

// Debs that take much memory to unpack, for a dictionary as large as any or for many names, are read one after the other:
// on any number of processors it stays below 256 MB.
func TestHostileMemory(t *testing.T) {
	const variable = "PKGS_TEST_MEMORY"
	if dir := os.Getenv(variable); dir != "" {
		debug.SetMemoryLimit(160 << 20) // as pkgs does
		if r := mustIndex(t, dir, config()); r.Debs != 3 || len(r.Copies) != 9 || len(r.Refused) > 0 {
			t.Errorf("got %+v", r)
		}
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, peak, _ := strings.Cut(string(status), "VmHWM:")
		peak, _, _ = strings.Cut(peak, " kB")
		if kB, err := strconv.Atoi(strings.TrimSpace(peak)); err != nil || kB > 256<<10 {
			t.Fatalf("took %d MB at most, %v", kB>>10, err)
		}
		return
	}
	some := make([]byte, 1<<20)
	rand.New(rand.NewSource(1)).Read(some)
	wide := tarball(1, bytes.Repeat(some, 48)) // with a dictionary that is used up
	many := new(bytes.Buffer)
	z, _ := gzip.NewWriterLevel(many, gzip.BestSpeed)
	z.Write(tarball(80_000, nil))
	z.Close()
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"data.tar.xz":  pack(t, wide, "xz", "--lzma2=preset=0,dict=64MiB", "-T1"),
		"data.tar.zst": pack(t, wide, "zstd", "--long=26", "-1"),
		"data.tar.gz":  many.Bytes(),
	} {
		control := new(bytes.Buffer)
		w := tar.NewWriter(control)
		text := fmt.Sprintf("Package: p%s\nVersion: 1\nArchitecture: all\n", filepath.Ext(name))
		w.WriteHeader(&tar.Header{Name: "./control", Mode: 0o644, Size: int64(len(text))})
		w.Write([]byte(text))
		w.Close()
		deb := []byte("!<arch>\n")
		for _, m := range []struct {
			name string
			data []byte
		}{{"debian-binary", []byte("2.0\n")}, {"control.tar", control.Bytes()}, {name, append(data, make([]byte, len(data)&1)...)}} {
			deb = append(fmt.Appendf(deb, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data)), m.data...)
		}
		first := filepath.Join(dir, name+"0.deb")
		if err := os.WriteFile(first, deb, 0o644); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			os.Link(first, filepath.Join(dir, fmt.Sprint(name, i+1, ".deb")))
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestHostileMemory$")
	cmd.Env = append(os.Environ(), variable+"="+dir, "GOMAXPROCS=8")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// tarball has n files of that content.
func tarball(n int, content []byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range n {
		w.WriteHeader(&tar.Header{Name: fmt.Sprintf("./%060d", i), Mode: 0o644, Size: int64(len(content))})
		w.Write(content)
	}
	w.Close()
	return b.Bytes()
}

func pack(t testing.TB, data []byte, program string, args ...string) []byte {
	cmd := exec.Command(program, append(args, "-c")...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: install the Debian packages xz-utils and zstd", program, err)
	}
	return out
}
