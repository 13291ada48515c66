package rpm

import (
	"fmt"
	"io"
	"path"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
)

// Types of files in a mode, as stat(2) has them.
const (
	modeDir     = 0o040000
	modeRegular = 0o100000
	modeSymlink = 0o120000
)

// Flags of files.
const (
	flagConfig    = 1 << 0
	flagDoc       = 1 << 1
	flagNoReplace = 1 << 4
	flagLicense   = 1 << 7
)

// verifyAll makes rpm --verify look at everything about a file.
const verifyAll = 1<<32 - 1

// mode is the mode of an entry as stat(2) has it.
func mode(e payload.Entry) uint32 {
	switch e.Kind {
	case payload.Dir:
		return modeDir | e.Mode
	case payload.Symlink:
		return modeSymlink | 0o777
	default:
		return modeRegular | e.Mode
	}
}

// size is the size of an entry as stat(2) has it. Directories have none.
func size(e payload.Entry) int64 {
	if e.Kind == payload.Symlink {
		return int64(len(e.Target))
	}
	return e.Content.Size
}

// describeFiles sets the entries on files: one array for each property, and in all of them the files in the same order.
func describeFiles(h *header, entries []payload.Entry, at time.Time) error {
	var total int64
	for _, e := range entries {
		total += size(e)
	}
	h.size(tagSize, tagLongSize, total)
	if len(entries) == 0 {
		return nil
	}
	var (
		sizes, times, flags, verify, devices, inodes, colors, classes []uint32
		modes, rdevs                                                  []uint16
		digests, links, owners, langs, baseNames, dirNames, classDict []string
		dirIndexes                                                    []uint32
	)
	dirs, dict := make(numbering), make(numbering)
	for i, e := range entries {
		class, color, err := classify(e)
		if err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
		digest, flag := "", uint32(0)
		if e.Kind == payload.File {
			digest = fmt.Sprintf("%x", e.Content.SHA256)
		}
		if e.Config {
			flag |= flagConfig | flagNoReplace
		}
		if e.Doc {
			flag |= flagDoc
		}
		if e.License {
			flag |= flagLicense
		}
		dir, base := path.Split(e.Path)

		sizes = append(sizes, uint32(size(e)))
		modes = append(modes, uint16(mode(e)))
		times = append(times, uint32(at.Unix()))
		digests = append(digests, digest)
		links = append(links, e.Target)
		flags = append(flags, flag)
		verify = append(verify, verifyAll)
		owners = append(owners, "root")
		langs = append(langs, "")
		rdevs = append(rdevs, 0)
		devices = append(devices, 1)
		inodes = append(inodes, uint32(i+1))
		colors = append(colors, color)
		baseNames = append(baseNames, base)
		dirIndexes = append(dirIndexes, dirs.number(dir, &dirNames))
		classes = append(classes, dict.number(class, &classDict))
	}
	h.int32(tagFileSizes, sizes...)
	h.int16(tagFileModes, modes...)
	h.int16(tagFileRDevs, rdevs...)
	h.int32(tagFileMTimes, times...)
	h.strings(tagFileDigests, digests)
	h.strings(tagFileLinkTos, links)
	h.int32(tagFileFlags, flags...)
	h.strings(tagFileUserName, owners)
	h.strings(tagFileGroupName, owners)
	h.int32(tagFileVerifyFlags, verify...)
	h.int32(tagFileDevices, devices...)
	h.int32(tagFileInodes, inodes...)
	h.strings(tagFileLangs, langs)
	h.int32(tagDirIndexes, dirIndexes...)
	h.strings(tagBaseNames, baseNames)
	h.strings(tagDirNames, dirNames)
	h.int32(tagFileColors, colors...)
	h.int32(tagFileClass, classes...)
	h.strings(tagClassDict, classDict)
	h.int32(tagFileDigestAlgo, digestSHA256)
	return nil
}

// numbering numbers names in the order in which they are first seen.
type numbering map[string]uint32

func (n numbering) number(name string, list *[]string) uint32 {
	i, ok := n[name]
	if !ok {
		i = uint32(len(*list))
		n[name] = i
		*list = append(*list, name)
	}
	return i
}

// classify tells programs and libraries from other files. The color is what rpm compares when a 32-bit and a 64-bit
// package hold the same file; the class is a short form of what file(1) says, which some tools look at.
func classify(e payload.Entry) (class string, color uint32, err error) {
	if e.Kind == payload.Dir {
		return "directory", 0, nil
	}
	if e.Kind == payload.Symlink || e.Content.Size < 5 {
		return "", 0, nil
	}
	r, err := e.Content.Open()
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", 0, err
	}
	switch string(head[:]) {
	case "\x7fELF\x01":
		return "ELF 32-bit", 1, nil
	case "\x7fELF\x02":
		return "ELF 64-bit", 2, nil
	}
	return "", 0, nil
}
