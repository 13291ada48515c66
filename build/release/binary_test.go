package release

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// program builds a program that does nothing.
func program(t testing.TB, arch, ldflags string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", ldflags, "-o", "program", "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=", "GO111MODULE=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "program")
}

func TestInspectStatic(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64", "ppc64le", "s390x"} {
		b, err := Inspect(program(t, arch, "-s -w"))
		if err != nil {
			t.Fatal(err)
		}
		if b.Architecture.Go != arch || !b.Static() || !b.Stripped || b.Glibc != "" {
			t.Errorf("%s: got %+v", arch, b)
		}
	}
	b, err := Inspect(program(t, runtime.GOARCH, ""))
	if err != nil || b.Stripped {
		t.Errorf("got %+v, %v", b, err)
	}
}

// dpkg-deb is a dynamic binary of the system. What it needs is compared with what readelf says.
func TestInspectDynamic(t *testing.T) {
	need(t, "dpkg-deb", "dpkg")
	need(t, "readelf", "binutils")
	path, err := exec.LookPath("dpkg-deb")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.Architecture.Go != runtime.GOARCH || b.Static() || !strings.HasPrefix(filepath.Base(b.Interpreter), "ld") || !slices.Contains(b.Libraries, "libc.so.6") || !b.Stripped {
		t.Errorf("got %+v", b)
	}
	out, err := exec.Command("readelf", "-VdW", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	newest := ""
	for _, s := range b.Symbols["libc.so.6"] {
		if !strings.Contains(string(out), "Name: "+s+" ") {
			t.Errorf("readelf does not know %s", s)
		}
	}
	for _, line := range strings.Split(string(out), "\n") {
		if _, v, ok := strings.Cut(line, "Name: GLIBC_"); ok {
			if v, _, _ = strings.Cut(v, " "); CompareLibraryVersions(v, newest) > 0 {
				newest = v
			}
		}
	}
	if b.Glibc != newest || newest == "" {
		t.Errorf("got glibc %s, readelf says %s", b.Glibc, newest)
	}
}

func TestInspectOthers(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{"empty": "", "script": "#!/bin/sh\n", "short": "\x7fELF", "text": content} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Inspect(path); !errors.Is(err, ErrNotBinary) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := Inspect(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestCompareDotted(t *testing.T) {
	ordered := []string{"", "2.2.5", "2.3", "2.17", "2.34", "2.34.1", "3"}
	for i, a := range ordered {
		for j, b := range ordered {
			if c := CompareLibraryVersions(a, b); c < 0 != (i < j) || c > 0 != (i > j) {
				t.Errorf("%q against %q: %d", a, b, c)
			}
		}
	}
}

func FuzzInspect(f *testing.F) {
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64,
	})
	binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 120, Filesz: 8, Memsz: 8})
	b.WriteString("/lib/ld\x00")
	f.Add(b.Bytes())
	if path, err := exec.LookPath("dpkg-deb"); err == nil {
		if data, err := os.ReadFile(path); err == nil && len(data) < 1<<20 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := inspect(bytes.NewReader(data), int64(len(data)))
		if err == nil && b.Machine == "" {
			t.Error("an executable for nothing")
		}
	})
}
