package apt

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/refusal"
)

func TestRefused(t *testing.T) {
	version, data := part{"debian-binary", []byte("2.0\n")}, part{"data.tar", tarOf(nil)}
	control := part{"control.tar", controlTar(plainControl)}
	good := arOf(version, control, data)
	if _, err := read(good); err != nil {
		t.Fatal(err)
	}
	deb := func(members ...part) []byte { return arOf(append([]part{version}, members...)...) }
	with := func(headers []tar.Header, contents ...part) []byte {
		return deb(part{"control.tar", tarOf(headers, contents...)}, data)
	}
	file := part{"./control", []byte(plainControl)}
	bomb := make([]byte, maxControlTar+1<<20)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":                 {nil, "not a Debian package"},
		"text":                  {[]byte("a long text that is no package at all"), "not a Debian package"},
		"magic only":            {good[:8], "truncated: it ends before its member debian-binary"},
		"truncated header":      {good[:40], "truncated: 32 bytes where a member should begin"},
		"truncated control":     {good[:300], "truncated: member \"control.tar\" should be"},
		"truncated before data": {deb(control), "truncated: it ends before its member data.tar"},
		"truncated data":        {good[:len(good)-20], "truncated: member \"data.tar\" should be"},
		"huge size":             {bytes.Replace(good, []byte("4         `\n"), []byte("9999999999`\n"), 1), "truncated"},
		"negative size":         {bytes.Replace(good, []byte("4         `\n"), []byte("-4        `\n"), 1), "malformed header"},
		"no magic of a member":  {bytes.Replace(good, []byte("`\n"), []byte("xx"), 1), "malformed header"},
		"format 3":              {arOf(part{"debian-binary", []byte("3.0\n")}, control, data), "format version"},
		"wrong order":           {deb(data, control), "member 2 is \"data.tar\", expected control.tar"},
		"control first":         {arOf(control, version, data), "member 1 is \"control.tar\", expected debian-binary"},
		"two controls":          {deb(control, control, data), "member 3 is \"control.tar\", expected data.tar"},
		"two data":              {deb(control, data, data), "unexpected member \"data.tar\""},
		"a member too many":     {deb(control, data, part{"evil", nil}), "unexpected member \"evil\""},
		"unknown compression":   {deb(part{"control.tar.br", nil}, data), "compression \".br\" is not supported"},
		"no gzip":               {deb(part{"control.tar.gz", []byte("abc")}, data), "control.tar.gz"},
		"truncated gzip":        {deb(part{"control.tar.gz", gz(control.data)[:60]}, data), "control.tar.gz"},
		"no xz":                 {deb(part{"control.tar.xz", make([]byte, 64)}, data), "malformed xz"},
		"no zstd":               {deb(part{"control.tar.zst", make([]byte, 64)}, data), "control.tar.zst"},
		"gzip bomb":             {deb(part{"control.tar.gz", gz(bomb)}, data), "control.tar.gz"},
		"xz bomb":               {deb(part{"control.tar.xz", xz(t, bomb)}, data), "control.tar.xz"},
		"gzip bomb behind the end": {deb(part{"control.tar.gz", gz(append(bytes.Clone(control.data), bomb...))}, data),
			"unpacks to more than the 33554432 bytes"},
		"two xz streams":            {deb(part{"control.tar.xz", append(xz(t, control.data), xz(t, control.data)...)}, data), "malformed xz"},
		"xz with a filter":          {deb(part{"control.tar.xz", xz(t, control.data, "--x86", "--lzma2")}, data), "filters other than LZMA2"},
		"xz with a wrong check":     {deb(part{"control.tar.xz", flip(xz(t, control.data), -28)}, data), "xz data"},
		"xz with a huge dictionary": {deb(part{"control.tar.xz", hugeDictionary(xz(t, control.data))}, data), "dictionary of"},
		"xz of many blocks":         {deb(part{"control.tar.xz", xz(t, make([]byte, 1<<17), "-0", "--block-size=1")}, data), "malformed xz"},
		"large control.tar":         {deb(part{"control.tar", make([]byte, maxControlTar+1)}, data), "more than the 33554432 allowed"},
		"no control":                {with(nil), "there is no file control"},
		"control twice":             {with([]tar.Header{{Name: "control"}, {Name: "./control"}}, part{"control", nil}, file), "a second member"},
		"control is a link":         {with([]tar.Header{{Name: "control", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}}), "is not a file"},
		"a FIFO":                    {with([]tar.Header{{Name: "./control"}, {Name: "x", Typeflag: tar.TypeFifo}}, file), "is not a file"},
		"a device":                  {with([]tar.Header{{Name: "./control"}, {Name: "x", Typeflag: tar.TypeChar}}, file), "is not a file"},
		"an absolute path":          {with([]tar.Header{{Name: "./control"}, {Name: "/postinst"}}, file), "expected a plain file name"},
		"a dotted path":             {with([]tar.Header{{Name: "./control"}, {Name: "../postinst"}}, file), "expected a plain file name"},
		"a large control":           {with([]tar.Header{{Name: "./control", Size: 2 << 20}}), "more than the 1048576 allowed"},
		"many files":                {with(manyFiles(2000)), "more than 1000 files"},
		"no tar":                    {deb(part{"control.tar", bytes.Repeat([]byte("x"), 1024)}, data), "control.tar"},
	} {
		p, err := read(c.data)
		var refusal *Error
		if !errors.As(err, &refusal) || refusal.File != "amd64/odd_1.0-1_amd64.deb" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v, want an error with %q", name, p, err, c.want)
		}
	}
	if _, err := read(deb(control, data, part{"_gpgorigin", []byte("x")})); err != nil {
		t.Errorf("with a signature of debsigs: %v", err)
	}
}

func TestRefusedControl(t *testing.T) {
	for _, c := range []struct{ edit, want string }{
		{"Filename: x.deb", "only an index may say this"},
		{"filename: x.deb", "only an index may say this"},
		{"SHA256: 00", "only an index may say this"},
		{"MD5Sum: 00", "only an index may say this"},
		{"Size: 1", "only an index may say this"},
		{"Status: install ok installed", "belongs to dpkg's database"},
		{"Conffiles:\n /etc/a 00", "belongs to dpkg's database"},
		{"package: other", "a second field Package"},
		{"\nPackage: other", "an empty line, expected one paragraph"},
		{" \nPackage: other", "an empty line, expected one paragraph"},
		{"no field", "is not a field"},
		{"Field With Space: x", "is not a field"},
		{"-Field: x", "is not a field"},
		{"Field-: x", "is not a field"},
		{"A--Field: x", "is not a field"},
		{": x", "is not a field"},
		{"# comment: x", "is not a field"},
		{"Homepage: https://x\r", "control character U+000D"},
		{"Homepage: https://x\x00", "control character U+0000"},
		{"Homepage: https://x\x1b[31m", "control character U+001B"},
		{"Homepage: https://x\u0085", "control character U+0085"},
		{"Homepage: caf\xe9", "not UTF-8"},
		{"Homepage: \ufffe", "code point U+FFFE"},
		{"Comment: x\u2028Filename: y", "separator U+2028"},
		{"Source: " + strings.Repeat("a", 513), "expected name or name (version)"},
		{"X: y\nSection: " + strings.Repeat("a", 65), "expected one word"},
		{"Installed-Size: 1234567890123456", "expected a number"},
		{"Comment: x\n y\u2029Depends: z", "separator U+2029"},
		{"Homepage: a\n b", "expected one line"},
		{"Depends: a b", "not a relation"},
		{"Depends: foo <!x>", "not a relation"},
		{"Depends: foo [amd64]", "not a relation"},
		{"Depends: foo (> 1)", "not a relation"},
		{"Depends: foo (>= v1.0)", "is not a version"},
		{"Depends: foo (>= 1.0", "not a relation"},
		{"Depends: foo,, bar", "not a relation"},
		{"Depends: foo,", "not a relation"},
		{"Depends: ${shlibs:Depends}", "not a relation"},
		{"Depends: Foo", "not a relation"},
		{"Depends: " + strings.Repeat("foo, ", 5000) + "foo", "more than 4096 relations"},
		{"Conflicts: foo | bar", "offers a choice"},
		{"Provides: foo (>= 1)", "expected = as the only operator"},
		{"Multi-Arch: maybe", "field Multi-Arch"},
		{"Essential: perhaps", "field Essential"},
		{"Installed-Size: 1 MB", "field Installed-Size"},
		{"Section: a b", "field Section"},
		{"Package-Type: udeb", "expected deb"},
		{"Depends: foo (=3)", "makes apt refuse the whole index"},
		{"Depends: foo (=3), bar (<<\n 4), foo(\n =3)", "makes apt refuse the whole index"},
		{"Depends:\n foo", "its first line is empty"},
		{"Priority: required-ish", "field Priority"},
	} {
		control := strings.Replace(plainControl, "Description", c.edit+"\nDescription", 1)
		if p, err := read(debOf(control)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, %v, want an error with %q", refusal.Shorten(c.edit), p, err, c.want)
		}
	}
	for _, c := range []struct{ old, new, want string }{
		{"odd", "Odd", "field Package"}, {"odd", "o", "field Package"}, {"odd", "../odd", "field Package"},
		{"1.0-1", "v1.0", "is not a version"}, {"1.0-1", "1.0-", "is not a version"}, {"1.0-1", "1.0 1", "is not a version"},
		{"1.0-1", "a:1.0", "is not a version"}, {"1.0-1", "99999999999:1", "is not a version"},
		{"1.0-1", "2147483648:1", "epoch 2147483648"}, {"1.0-1", ":1", "is not a version"}, {"1.0-1", "1.0_1", "is not a version"},
		{"amd64", "any", "stands for many"}, {"amd64", "linux-any", "stands for many"}, {"amd64", "amd64 arm64", "field Architecture"},
		{"amd64", "source", "stands for many"}, {"amd64", "all\nMulti-Arch: same", "field Multi-Arch"}, {"a test", "", "field Description is missing"},
		{"a test", "\n long", "expected a synopsis"}, {"Maintainer", "Packager", "field Maintainer is missing"},
		{"Package: odd\n", "", "field Package is missing"}, {plainControl, "", "no fields"}, {plainControl, " x\n", "continues a field"},
		{plainControl, strings.Repeat("x", 2<<20), "more than the 1048576 allowed"},
		{"Package", manyFields(300) + "Package", "more than 256 fields"},
	} {
		control := strings.Replace(plainControl, c.old, c.new, 1)
		if p, err := read(debOf(control)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: got %v, %v, want an error with %q", refusal.Shorten(c.new), c.old, p, err, c.want)
		}
	}
}

func TestRefusedNames(t *testing.T) {
	data := debOf(plainControl)
	for _, name := range []string{"", "a.rpm", "/a.deb", "../a.deb", "a/../b.deb", "./a.deb", "a//b.deb", "a b.deb", "a%2f.deb",
		"a\n.deb", "-a.deb", strings.Repeat("a", 600) + ".deb"} {
		if _, err := ReadPackage(bytes.NewReader(data), int64(len(data)), name); err == nil {
			t.Errorf("file name %q: accepted", name)
		}
	}
}

func manyFiles(n int) (headers []tar.Header) {
	for i := range n {
		headers = append(headers, tar.Header{Name: fmt.Sprint("f", i)})
	}
	return headers
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "X%d: x\n", i)
	}
	return b.String()
}

// flip changes a byte; negative positions count from the end.
func flip(data []byte, at int) []byte {
	data = bytes.Clone(data)
	if at < 0 {
		at += len(data)
	}
	data[at] ^= 1
	return data
}

// hugeDictionary has the first block of an xz file ask for a dictionary of 4 GiB.
func hugeDictionary(data []byte) []byte {
	data = bytes.Clone(data)
	header := data[xzEdge : xzEdge+(int(data[xzEdge])+1)*4]
	at := bytes.Index(header, []byte{0x21, 1}) + 2
	header[at] = 40
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	return data
}

// Memory is bounded whatever a file claims; a file of a gigabyte is hashed, not held.
func TestBounds(t *testing.T) {
	large := arOf(part{"debian-binary", []byte("2.0\n")}, part{"control.tar.xz", xz(t, controlTar(plainControl), "-9")},
		part{"data.tar", make([]byte, 128<<20)})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := read(large); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("allocated %d KiB to read a plain package", used>>10)
	}
}

// What is accepted here is accepted by dpkg, dpkg-scanpackages writes the same of it, and apt reads the index of it all:
// changed control files of all kinds are tried.
func TestNoLaxerThanDpkg(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	text := "Package: odd\nVersion: 1:1.0~rc1-1\nArchitecture: amd64\nMulti-Arch: same\nMaintainer: A B <a@example.org>\n" +
		"Depends: aa (>= 1.0), bb | cc, dd (= 2:3-4) , ee:any\nProvides: ff (= 1)\nBuilt-Using: gg (= 1)\nOther: x\n y\n" +
		"Section: net\nDescription: a test\n more\n .\n  and more\n"
	pieces := []string{" ", "\n", "\n ", "\n.", ":", "-", "~", "(", ")", "|", ",", ".", "A", "a", "0", "\t", "ü", "=", "_", "#"}
	dir := t.TempDir()
	ours := make(map[string]string)
	var packages []*Package
	for i := 0; len(ours) < 60; i++ {
		control := strings.Replace(text, "odd", fmt.Sprintf("odd%d", i), 1)
		for range 1 + random.Intn(3) {
			at, end := random.Intn(len(control)), 0
			if end = at + random.Intn(2); end > len(control) {
				end = len(control)
			}
			control = control[:at] + pieces[random.Intn(len(pieces))] + control[end:]
		}
		data := debOf(control)
		name := fmt.Sprintf("%d.deb", i)
		if p, err := ReadPackage(bytes.NewReader(data), int64(len(data)), name); err == nil {
			write(t, filepath.Join(dir, name), string(data))
			ours[name] = string(p.Stanza) + "\n"
			packages = append(packages, p)
		}
	}
	scanned := run(t, dir, tool(t, "dpkg-scanpackages", "dpkg-dev"), "-m", "-h", "sha256", ".")
	theirs := stanzas(strings.ReplaceAll(scanned, "Filename: ./", "Filename: "))
	for name, stanza := range ours {
		if theirs[name] != stanza {
			t.Errorf("ours\n%s\ndpkg-scanpackages\n%s", stanza, theirs[name])
		}
	}
	cfg := testConfig
	for _, p := range packages {
		if !slices.Contains(cfg.Architectures, p.Architecture) {
			cfg.Architectures = append(cfg.Architectures, p.Architecture)
		}
	}
	files, err := Index(cfg, packages)
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, files)
	options := aptIn(t, t.TempDir(), "deb [trusted=yes] file:"+dir+"/ ./")
	run(t, dir, tool(t, "apt-get", "apt"), append(options, "update")...)
	if names := strings.Fields(run(t, dir, "apt-cache", append(options, "pkgnames", "odd")...)); len(names) < 50 {
		t.Errorf("apt-cache knows %d packages: %q", len(names), names)
	}
}

// One stanza over which apt or dpkg stumbles makes a whole index useless. So of values of all kinds, thousands that are
// accepted are given to both: apt reads them whatever the grammar, and dpkg those of the strict one.
func TestReadersTakeIt(t *testing.T) {
	relation := []string{" ", "\n ", "(", ")", "|", ",", ":", ":any", "a", "bb", "C", "1", "1:2", "3-4", "~", "+", ".", "_", "=", ">=", "<<", "<", ">",
		"[amd64]", "<x>", "foo", "foo (=3)", "a (1)", "b (= 1)", "c(>= 1.0)", "d (<2)", "e (=\n 4)"}
	other := []string{" ", "\n ", "\n .\n ", "(", ")", ",", ":", "all", "amd64", "a", "C", "1", "1:2", "3-4", "~", "+", ".", "_", "-", "yes", "no", "YES", "same", "/",
		"foo", "(= 1)", "é", "\u00a0", "Package: x", "#", "important", "required", "99999999999", "deb", "<x>", "&", "\"", "$"}
	kinds := []struct{ fields, pieces []string }{
		{[]string{"Depends", "Pre-Depends", "Recommends", "Suggests", "Enhances", "Conflicts", "Breaks", "Replaces", "Provides", "Built-Using"}, relation},
		{[]string{"Source", "Section", "Priority", "Installed-Size", "Essential", "Important", "Protected", "Build-Essential", "Multi-Arch", "Description",
			"Tag", "Task", "Homepage", "Origin", "Bugs", "Maintainer", "Package-Type", "X-Other", "Version", "Architecture", "Kernel-Version"}, other},
	}
	for _, g := range []Grammar{Strict, Foreign} {
		random := rand.New(rand.NewSource(1))
		var text strings.Builder
		for n := 0; n < 3000; {
			kind := kinds[n%2]
			name, value := kind.fields[random.Intn(len(kind.fields))], ""
			for range 1 + random.Intn(6) {
				value += kind.pieces[random.Intn(len(kind.pieces))]
			}
			control := fmt.Sprintf("Package: p%d\n%s: %s\n", n, name, value)
			for _, needed := range []string{"Version: 1\n", "Architecture: all\n", "Maintainer: x\n", "Description: x\n"} {
				if !strings.HasPrefix(needed, name+":") {
					control += needed
				}
			}
			fields, err := g.parseParagraph([]byte(control))
			if err != nil || g.checkControl(fields) != nil {
				continue
			}
			fields = append(fields, field{"Filename", fmt.Sprintf("%d.deb", n)}, field{"Size", "1"}, field{"SHA256", strings.Repeat("0", 64)})
			text.Write(append(writeStanza(fields), '\n'))
			n++
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, "Packages"), text.String())
		if g == Strict {
			write(t, filepath.Join(dir, "dpkg/status"), "")
			os.MkdirAll(filepath.Join(dir, "dpkg/info"), 0o755)
			os.MkdirAll(filepath.Join(dir, "dpkg/updates"), 0o755)
			if out := run(t, dir, tool(t, "dpkg", "dpkg"), "--admindir=dpkg", "--update-avail", "Packages"); !strings.Contains(out, "Information about 3000 packages") {
				t.Errorf("dpkg says %s", out)
			}
		}
		release, err := testConfig.WriteRelease([]IndexFile{describe("Packages", []byte(text.String()))})
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "Release"), string(release))
		options := aptIn(t, t.TempDir(), "deb [trusted=yes] file:"+dir+"/ ./")
		run(t, dir, tool(t, "apt-get", "apt"), append(options, "update")...)
		if stats := run(t, dir, tool(t, "apt-cache", "apt"), append(options, "stats")...); !strings.Contains(stats, "Total dependencies: ") {
			t.Errorf("apt-cache says %s", stats)
		}
	}
}

// Whatever is damaged, there is an error or a package that an index takes.
func TestDamaged(t *testing.T) {
	good := debOf(plainControl)
	random := rand.New(rand.NewSource(1))
	for range 5000 {
		data := bytes.Clone(good)
		for range 1 + random.Intn(4) {
			data[random.Intn(len(data))] = byte(random.Intn(256))
		}
		checkRead(t, data[:len(data)-random.Intn(2)*random.Intn(len(data))])
	}
}

// checkRead reads a package that may be anything and holds what is accepted to what is promised of it.
func checkRead(t *testing.T, data []byte) {
	ReadContents(bytes.NewReader(data), int64(len(data)), "x")
	ReadInstalled(bytes.NewReader(data), int64(len(data)), "x", "/usr/bin/odd", 1<<20)
	if p, err := read(data); err == nil {
		checkRoundTrip(t, []*Package{p})
	}
}
