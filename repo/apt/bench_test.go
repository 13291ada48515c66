package apt

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// benchPackage is the file of a package of usual size in an index, another for each i.
func benchPackage(b *testing.B, i int) []byte {
	control := strings.Replace(plainControl, "odd", fmt.Sprintf("pkg%05d", i), 1)
	control = strings.Replace(control, "Description", "Installed-Size: 1234\nDepends: aa (>= 1.0), bb, cc | dd\n"+
		"Section: admin\nPriority: optional\nHomepage: https://example.org\nDescription", 1) + " More is to be said.\n"
	return arOf(part{"debian-binary", []byte("2.0\n")}, part{"control.tar.xz", xz(b, controlTar(control))},
		part{"data.tar.xz", xz(b, tarOf(manyFiles(20)))})
}

func BenchmarkReadPackage(b *testing.B) {
	data := benchPackage(b, 0)
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
		data := debOf(strings.Replace(plainControl, "odd", fmt.Sprintf("pkg%05d", i), 1))
		p, err := ReadPackage(bytes.NewReader(data), int64(len(data)), fmt.Sprintf("amd64/%d.deb", i))
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
