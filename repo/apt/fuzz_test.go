package apt

import (
	"bytes"
	"testing"
)

func FuzzReadPackage(f *testing.F) {
	f.Add(debOf(plainControl))
	control, data := controlTar(plainControl), tarOf(nil)
	version := part{"debian-binary", []byte("2.0\n")}
	f.Add(arOf(version, part{"control.tar.gz", gz(control)}, part{"data.tar.gz", gz(data)}))
	f.Add(arOf(version, part{"control.tar.xz", xz(f, control)}, part{"data.tar.xz", xz(f, data)}))
	f.Add(arOf(version, part{"control.tar.zst", zst(f, control)}, part{"data.tar.zst", zst(f, data)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 1<<20 {
			checkRead(t, data)
		}
	})
}

// What is in a control file is either refused or indexed and read back.
func FuzzControl(f *testing.F) {
	f.Add(plainControl)
	f.Add("Package: ab\nVersion: 1:2~3-4\nArchitecture: all\nMaintainer: x\nPre-Depends: cc (= 1)\nDepends: aa (>= 1) | bb:any,cc\n" +
		"Provides: dd (= 1)\nMulti-Arch: same\nTag: x,\n y\nDescription: x\n .\n\ty\n")
	f.Fuzz(func(t *testing.T, control string) {
		if len(control) < maxControl {
			checkRead(t, debOf(control))
		}
	})
}

func FuzzXZ(f *testing.F) {
	f.Add(xz(f, []byte("some text")))
	f.Add(xz(f, bytes.Repeat([]byte("some text"), 1000), "--block-size=4096", "-C", "sha256"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := member{"x.xz", int64(len(data)), bytes.NewReader(data)}
		if r, err := m.open(1<<20, new(scratch)); err == nil {
			var buf bytes.Buffer
			buf.ReadFrom(r)
		}
	})
}

func FuzzParsePackages(f *testing.F) {
	p, err := read(debOf(plainControl))
	if err != nil {
		f.Fatal(err)
	}
	files, err := Index(testConfig, []*Package{p})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(files[0].Data)
	f.Fuzz(func(t *testing.T, data []byte) {
		packages, err := ParsePackages(data)
		if err != nil {
			return
		}
		if back, err := writePackages(packages); err != nil || !bytes.Equal(back, data) {
			t.Errorf("came back as\n%s\nwas\n%s\n%v", back, data, err)
		}
	})
}

func FuzzParseRelease(f *testing.F) {
	files, err := Index(testConfig, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(files[4].Data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := ParseRelease(data); err == nil && !bytes.Equal(r.release(r.Indexes), data) {
			t.Errorf("came back as\n%s\nwas\n%s", r.release(r.Indexes), data)
		}
	})
}
