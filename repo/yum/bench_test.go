package yum

import (
	"bytes"
	"fmt"
	"testing"
)

// benchPackage is the file of a package of thirty files, another for each i.
func benchPackage(i int) []byte {
	name := fmt.Sprintf("pkg%05d", i)
	var names []string
	var dirs, flags []uint32
	var modes []uint16
	for j := range 30 {
		names, dirs = append(names, fmt.Sprint("file", j)), append(dirs, uint32(j%2))
		modes, flags = append(modes, modeFile|0o644), append(flags, 0)
	}
	return forge(str(tagName, name), strs(1047, name, name+"(x86-64)", "foo"), int32s(1112, 8, 8, 0),
		strs(1113, "1.0-1", "1.0-1", ""), strs(1049, "a", "b", "rpmlib(X)", "/bin/sh"), int32s(1048, 8|4, 0, 8, 0),
		strs(1050, "1.0", "", "1", ""), strs(tagDirNames, "/usr/bin/", "/usr/share/"+name+"/"), strs(tagBaseNames, names...),
		int32s(tagDirIndexes, dirs...), int16s(tagFileModes, modes...), int32s(tagFileFlags, flags...),
		int32s(tagChangeTimes, 5, 4), strs(tagChangeNames, "a", "b"), strs(tagChangeTexts, "- one", "- two"))
}

func BenchmarkReadPackage(b *testing.B) {
	data := benchPackage(0)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := read(data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIndex tells the time for a thousand packages.
func BenchmarkIndex(b *testing.B) {
	var packages []*Package
	for i := range 1000 {
		data := benchPackage(i)
		p, err := ReadPackage(bytes.NewReader(data), int64(len(data)), fmt.Sprintf("x86_64/%d.rpm", i))
		if err != nil {
			b.Fatal(err)
		}
		packages = append(packages, p)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Index(testConfig, packages); err != nil {
			b.Fatal(err)
		}
	}
}
