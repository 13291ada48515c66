package apt

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// plainControl is a control file with what the policy demands and no more.
const plainControl = "Package: odd\nVersion: 1.0-1\nArchitecture: amd64\nMaintainer: A B <a@example.org>\n" +
	"Description: a test\n"

// part is one member of an archive that a test writes by hand.
type part struct {
	name string
	data []byte
}

// arOf writes an ar archive of the parts.
func arOf(parts ...part) []byte {
	var b bytes.Buffer
	b.WriteString(arMagic)
	for _, p := range parts {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d%s", p.name, 0, 0, 0, "100644", len(p.data), arEnd)
		b.Write(p.data)
		if len(p.data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// tarOf writes a tar archive of headers; the content of a file is its Size times the letter x, or that of a part of the
// same name.
func tarOf(headers []tar.Header, contents ...part) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := bytes.Repeat([]byte("x"), int(h.Size))
		for _, c := range contents {
			if c.name == h.Name {
				content, h.Size = c.data, int64(len(c.data))
			}
		}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		if h.Typeflag == tar.TypeReg {
			w.Write(content)
		}
	}
	w.Close()
	return b.Bytes()
}

func controlTar(control string) []byte {
	return tarOf([]tar.Header{{Name: "./", Typeflag: tar.TypeDir}, {Name: "./control"}}, part{"./control", []byte(control)})
}

// debOf writes a .deb with that control file and nothing to install.
func debOf(control string) []byte {
	return arOf(part{"debian-binary", []byte("2.0\n")}, part{"control.tar", controlTar(control)},
		part{"data.tar", tarOf(nil)})
}

func gz(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func zst(t testing.TB, data []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

// xz packs data with the program xz.
func xz(t testing.TB, data []byte, args ...string) []byte {
	t.Helper()
	return piped(t, data, tool(t, "xz", "xz-utils"), append([]string{"-c"}, args...)...)
}

// piped runs a program with data as its input and returns its output.
func piped(t testing.TB, data []byte, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tool finds a program that a test cannot do without.
func tool(t testing.TB, name, debianPackage string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: install the Debian package %s", err, debianPackage)
	}
	return p
}

// run runs a program in dir and returns what it printed on standard output.
func run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC", "SOURCE_DATE_EPOCH=1700000000")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// makeDeb has dpkg-deb build a package into the file dir/name. Files are the paths that it installs.
func makeDeb(t testing.TB, dir, name, control string, options []string, files ...string) {
	t.Helper()
	root := t.TempDir()
	write(t, filepath.Join(root, "DEBIAN/control"), control)
	for _, f := range files {
		write(t, filepath.Join(root, f), "content of "+f+"\n")
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--root-owner-group", "--nocheck"}, options...)
	run(t, dir, tool(t, "dpkg-deb", "dpkg"), append(args, "--build", root, filepath.Join(dir, name))...)
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// readAll reads every .deb below dir.
func readAll(t testing.TB, dir string) []*Package {
	t.Helper()
	var packages []*Package
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".deb") {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		p, err := readFile(name, rel)
		packages = append(packages, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

func readFile(name, filename string) (*Package, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return ReadPackage(f, info.Size(), filename)
}

func read(data []byte) (*Package, error) {
	return ReadPackage(bytes.NewReader(data), int64(len(data)), "amd64/odd_1.0-1_amd64.deb")
}
