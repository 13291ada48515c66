package release

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Binary tells what an ELF executable is made for, as its headers say.
type Binary struct {
	// Architecture is what it runs on; the zero value if that is none of those we know.
	Architecture Architecture
	// Machine is how the ELF header calls the processor, such as EM_X86_64.
	Machine string
	// Interpreter is the program that loads it, such as /lib64/ld-linux-x86-64.so.2; empty for a static binary.
	Interpreter string
	// Libraries are the shared libraries that it names, such as libc.so.6, sorted.
	Libraries []string
	// Glibc is the newest version of the GNU C library that it takes symbols from, such as 2.34; empty if none.
	Glibc string
	// Symbols are the versioned symbol sets that it needs, by library: libc.so.6 -> GLIBC_2.2.5, GLIBC_2.34. Sorted, without
	// GLIBC_PRIVATE.
	Symbols map[string][]string
	// Stripped tells that it has neither a symbol table nor debugging information.
	Stripped bool
}

// Static tells that the binary needs no other file to run.
func (b Binary) Static() bool { return b.Interpreter == "" && len(b.Libraries) == 0 }

// ErrNotBinary is the error of [Inspect] for a file that is not an ELF executable.
var ErrNotBinary = errors.New("not an ELF executable")

// machines are the architectures in the words of ELF: the processor, the width of an address and the order of bytes.
var machines = []struct {
	machine elf.Machine
	class   elf.Class
	data    elf.Data
	name    string
}{
	{elf.EM_X86_64, elf.ELFCLASS64, elf.ELFDATA2LSB, "amd64"},
	{elf.EM_AARCH64, elf.ELFCLASS64, elf.ELFDATA2LSB, "arm64"},
	{elf.EM_PPC64, elf.ELFCLASS64, elf.ELFDATA2LSB, "ppc64le"},
	{elf.EM_RISCV, elf.ELFCLASS64, elf.ELFDATA2LSB, "riscv64"},
	{elf.EM_S390, elf.ELFCLASS64, elf.ELFDATA2MSB, "s390x"},
}

// Inspect reads the headers of the ELF executable at path.
func Inspect(path string) (Binary, error) {
	f, err := os.Open(path)
	if err != nil {
		return Binary{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Binary{}, err
	}
	return inspect(f, info.Size())
}

func inspect(r io.ReaderAt, size int64) (b Binary, err error) {
	// debug/elf does not promise to withstand hostile files.
	defer func() {
		if p := recover(); p != nil {
			b, err = Binary{}, fmt.Errorf("damaged ELF headers: %v", p)
		}
	}()
	f, err := elf.NewFile(io.NewSectionReader(r, 0, size))
	if err != nil {
		var format *elf.FormatError
		if errors.As(err, &format) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return Binary{}, fmt.Errorf("%w (%v)", ErrNotBinary, err)
		}
		return Binary{}, err
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return Binary{}, fmt.Errorf("%w but of type %v", ErrNotBinary, f.Type)
	}
	b.Machine = f.Machine.String()
	for _, m := range machines {
		if m.machine == f.Machine && m.class == f.Class && m.data == f.Data {
			b.Architecture, _ = ParseArchitecture(m.name)
		}
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			if b.Interpreter, err = interpreter(p); err != nil {
				return Binary{}, err
			}
		}
	}
	// A static position-independent binary has a dynamic section without these; one without sections has no more to say.
	if b.Libraries, err = f.ImportedLibraries(); err != nil {
		return Binary{}, fmt.Errorf("damaged dynamic section: %w", err)
	}
	slices.Sort(b.Libraries)
	b.Libraries = slices.Compact(b.Libraries)
	if err := b.versions(f); err != nil {
		return Binary{}, err
	}
	b.Stripped = true
	for _, s := range f.Sections {
		if s.Type == elf.SHT_SYMTAB || strings.HasPrefix(s.Name, ".debug_") || strings.HasPrefix(s.Name, ".zdebug_") {
			b.Stripped = false
		}
	}
	return b, nil
}

func interpreter(p *elf.Prog) (string, error) {
	if p.Filesz > 4096 {
		return "", fmt.Errorf("damaged ELF headers: an interpreter's name of %d bytes", p.Filesz)
	}
	data := make([]byte, p.Filesz)
	if _, err := io.ReadFull(p.Open(), data); err != nil {
		return "", fmt.Errorf("damaged ELF headers: the interpreter's name: %w", err)
	}
	name, _, _ := strings.Cut(string(data), "\x00")
	return name, nil
}

// versions reads which versioned symbol sets the binary needs, from the section .gnu.version_r as the Linux Standard
// Base describes it: a list of libraries, each with a list of names.
func (b *Binary) versions(f *elf.File) error {
	s := f.SectionByType(elf.SHT_GNU_VERNEED)
	if s == nil {
		return nil
	}
	const damaged = "damaged table of symbol versions"
	if s.Size > 1<<20 || s.Link >= uint32(len(f.Sections)) || f.Sections[s.Link].Size > 64<<20 {
		return errors.New(damaged)
	}
	data, err := s.Data()
	if err != nil {
		return fmt.Errorf("%s: %w", damaged, err)
	}
	names, err := f.Sections[s.Link].Data()
	if err != nil {
		return fmt.Errorf("%s: %w", damaged, err)
	}
	text := func(at uint32) string {
		if uint64(at) >= uint64(len(names)) {
			return ""
		}
		end := slices.Index(names[at:], 0)
		if end < 0 || end > 200 {
			return ""
		}
		return string(names[at:][:end])
	}
	b.Symbols = map[string][]string{}
	order := f.ByteOrder
	for at, n := uint64(0), 0; ; n++ {
		if at+16 > uint64(len(data)) || n > 1000 {
			return errors.New(damaged)
		}
		need := data[at:]
		library, count := text(order.Uint32(need[4:])), order.Uint16(need[2:])
		if err := b.libraryVersions(order, data, at+uint64(order.Uint32(need[8:])), count, library, text); err != nil {
			return err
		}
		next := uint64(order.Uint32(need[12:]))
		if next == 0 {
			return nil
		}
		at += next
	}
}

func (b *Binary) libraryVersions(order binary.ByteOrder, data []byte, at uint64, count uint16, library string, text func(uint32) string) error {
	for range min(count, 1000) {
		if at+16 > uint64(len(data)) {
			return errors.New("damaged table of symbol versions")
		}
		name := text(order.Uint32(data[at+8:]))
		if name != "" && name != "GLIBC_PRIVATE" {
			b.Symbols[library] = append(b.Symbols[library], name)
		}
		if v, ok := strings.CutPrefix(name, "GLIBC_"); ok && CompareLibraryVersions(v, b.Glibc) > 0 && v[0] >= '0' && v[0] <= '9' {
			b.Glibc = v
		}
		at += uint64(order.Uint32(data[at+12:]))
	}
	slices.Sort(b.Symbols[library])
	b.Symbols[library] = slices.Compact(b.Symbols[library])
	return nil
}

// CompareLibraryVersions orders versions of a library, numbers with dots between them such as [Binary.Glibc]; no version is
// the oldest.
func CompareLibraryVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		n := func(s []string) int {
			if i >= len(s) {
				return -1
			}
			n, _ := strconv.Atoi(s[i])
			return n
		}
		if c := cmp.Compare(n(as), n(bs)); c != 0 {
			return c
		}
	}
	return 0
}
