package yum

import (
	"reflect"
	"testing"
)

// The main header is fuzzed within a package that carries its digest: otherwise hardly a change would get past that.
func FuzzReadPackage(f *testing.F) {
	f.Add(headerOf(regionMain, goodValues()...))
	f.Add(headerOf(regionMain, append(goodValues(), int32s(tagEpoch, 3), strs(1049, "(a or b)", "/bin/sh"), int32s(1048, 0, 1<<9),
		strs(1050, "", ""), int32s(tagChangeTimes, 7, 7), strs(tagChangeNames, "a ", "b"),
		strs(tagChangeTexts, "<x>", ""))...))
	f.Add(forge())
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 1<<20 {
			checkRead(t, data)
			checkRead(t, assemble(data, []byte("payload")))
		}
	})
}

// FuzzParseHeader: what may be signed names a package and its payload.
func FuzzParseHeader(f *testing.F) {
	f.Add(headerOf(regionMain, goodValues()...))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ParseHeader(data)
		if err == nil && (!nameForm.MatchString(h.Name) || !archForm.MatchString(h.Arch) || !digestForm.MatchString(h.PayloadSHA256)) {
			t.Errorf("read %+v", h)
		}
	})
}

func FuzzParseIndex(f *testing.F) {
	p, err := read(forge())
	if err != nil {
		f.Fatal(err)
	}
	files, err := Index(testConfig, []*Package{p})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(gunzip(f, files[0].Data), gunzip(f, files[1].Data), gunzip(f, files[2].Data))
	f.Fuzz(func(t *testing.T, primary, filelists, other []byte) {
		packages, err := ParseIndex("", primary, filelists, other)
		alone, perr := ParsePrimary("", primary)
		if err == nil && (perr != nil || len(alone) != len(packages)) {
			t.Errorf("primary alone has %d packages, with the others %d: %v", len(alone), len(packages), perr)
		}
		if err != nil {
			return
		}
		files, err := Index(testConfig, packages)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range [][]byte{primary, filelists, other} {
			if got := gunzip(t, files[i].Data); !reflect.DeepEqual(got, want) {
				t.Errorf("came back as\n%s\nwas\n%s", got, want)
			}
		}
	})
}

func FuzzParseRepomd(f *testing.F) {
	files, err := Index(testConfig, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(files[3].Data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := ParseRepomd(data); err == nil && string(m.xml()) != string(data) {
			t.Errorf("came back as\n%s\nwas\n%s", m.xml(), data)
		}
	})
}

func FuzzCompareVersions(f *testing.F) {
	f.Add("1.0~rc1", "1:1.0^git")
	f.Fuzz(func(t *testing.T, a, b string) {
		if x, y := CompareVersions(a, b), CompareVersions(b, a); x != -y {
			t.Errorf("%q and %q compare as %d, the other way round as %d", a, b, x, y)
		}
	})
}
