package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

var (
	architectures = []string{"amd64", "arm64", "ppc64le", "s390x"}
	// programs are what Kubernetes has packages of; changed those of them that are others in the second cut.
	programs = []string{"kubeadm", "kubectl", "kubelet"}
	changed  = []string{"kubeadm", "kubelet"}
)

const (
	first, second = "v1.35.0", "v1.35.1"
	crictl, cni   = "v1.35.0", "v1.9.1"
)

// made is what the files of the second version say of when they were made.
var made = time.Date(2026, 2, 10, 12, 0, 0, 0, time.UTC)

// compiled is the architecture whose programs stand for those of an architecture: its own where testdata/release compiles
// Kubernetes for it.
var compiled = map[string]string{"amd64": "amd64", "arm64": "arm64", "ppc64le": "arm64", "s390x": "amd64"}

// recipe counts the changes of what makeInputs makes.
const recipe = "2"

// makeInputs makes, below dir, releases to cut from of what testdata/release made: its programs and its CNI plugins as they
// are; what it has stand-ins for equally large, which are crictl and the programs for two architectures; and a second
// version in which the changed programs are others, which is what a patch release does to them. As with real ones, no two
// programs have blocks in common that are worth mentioning. It is left alone when it is there.
func makeInputs(dir, release string) error {
	done := filepath.Join(dir, "complete-"+recipe)
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	in := func(parts ...string) string {
		return filepath.Join(append([]string{release}, parts...)...)
	}
	out := func(parts ...string) string {
		file := filepath.Join(append([]string{dir}, parts...)...)
		os.MkdirAll(filepath.Dir(file), 0o755) // what fails here fails again
		return file
	}
	for _, arch := range architectures {
		for _, program := range programs {
			data, err := os.ReadFile(in("kubernetes", first, "bin/linux", compiled[arch], program))
			if err != nil {
				return fmt.Errorf("%w: make it with `make release REAL=1`", err)
			}
			if len(data) < 20<<20 {
				return fmt.Errorf("%s for %s has %d bytes, it is not that of Kubernetes: make it with `make release REAL=1`", program, compiled[arch], len(data))
			}
			if compiled[arch] != arch {
				if err := disguise(data, arch); err != nil {
					return err
				}
				vary(data, 0x11)
			}
			if err := write(out("kubernetes", first, "bin/linux", arch, program), data); err != nil {
				return err
			}
			if program == "kubectl" {
				name := fmt.Sprintf("crictl-%s-linux-%s.tar.gz", crictl, arch)
				vary(data, 0x22)
				if err := pack(out("cri-tools", crictl, name), "crictl", data); err != nil {
					return err
				}
			}
			vary(data, 0x44)
			if err := write(out("kubernetes", second, "bin/linux", arch, program), data); err != nil {
				return err
			}
		}
		name := fmt.Sprintf("cni-plugins-linux-%s-%s.tgz", arch, cni)
		data, err := os.ReadFile(in("cni-plugins", cni, name))
		if err != nil {
			return err
		}
		if err := write(out("cni-plugins", cni, name), data); err != nil {
			return err
		}
	}
	return os.WriteFile(done, nil, 0o644)
}

// disguise turns a program into one for another architecture, as far as its first bytes tell.
func disguise(program []byte, arch string) error {
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_PPC64), Version: uint32(elf.EV_CURRENT), Ehsize: 64,
	}
	var order binary.ByteOrder = binary.LittleEndian
	if arch == "s390x" {
		header.Ident[elf.EI_DATA], header.Machine, order = byte(elf.ELFDATA2MSB), uint16(elf.EM_S390), binary.BigEndian
	}
	_, err := binary.Encode(program, order, header)
	return err
}

// vary changes a byte in each 64 KiB of a program, by which its blocks become others and no harder to compress. The first
// and the last megabyte stay, which say what the program is.
func vary(program []byte, by byte) {
	for i := 1 << 20; i < len(program)-1<<20; i += 64 << 10 {
		program[i] ^= by
	}
}

// write makes a file with its checksum beside it.
func write(file string, data []byte) error {
	if err := os.WriteFile(file, data, 0o755); err != nil {
		return err
	}
	if err := os.Chtimes(file, made, made); err != nil {
		return err
	}
	return os.WriteFile(file+".sha256", fmt.Appendf(nil, "%x", sha256.Sum256(data)), 0o644)
}

// pack makes a tarball of one program.
func pack(file, name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), "pack-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data)), ModTime: made}); err != nil {
		return err
	}
	if _, err := t.Write(data); err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	packed, err := os.ReadFile(f.Name())
	if err != nil {
		return err
	}
	return write(file, packed)
}
