package yum

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRefused(t *testing.T) {
	good := forge()
	if _, err := read(good); err != nil {
		t.Fatal(err)
	}
	headerAt := bytes.LastIndex(good, []byte(headerMagic))
	withHeader := func(edit func(h []byte)) []byte {
		end := len(good) - len("payload")
		h := bytes.Clone(good[headerAt:end])
		edit(h)
		return assemble(h, []byte("payload"))
	}
	entryAt := func(t tag) int { // of the tag in the header of the good package
		return bytes.Index(good[headerAt:], binary.BigEndian.AppendUint32(nil, uint32(t)))
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":                          {nil, "not an rpm package"},
		"text":                           {bytes.Repeat([]byte("rpm "), 100), "not an rpm package"},
		"truncated in the lead":          {good[:50], "too short"},
		"truncated before the signature": {good[:100], "signature header: truncated"},
		"truncated in the signature":     {good[:120], "signature header: truncated"},
		"truncated in the header":        {good[:headerAt+40], "main header: truncated"},
		"truncated before the payload":   {good[:len(good)-7], "ends before its payload"},
		"truncated in the payload":       {good[:len(good)-1], "payload has the SHA-256 digest"},
		"flipped byte in the header":     {flip(good, headerAt+400), "digest"},
		"flipped byte in the payload":    {flip(good, len(good)-1), "payload has the SHA-256 digest"},
		"many entries":                   {withHeader(func(h []byte) { copy(h[8:], "\xff\xff\xff\xff") }), "claims 4294967295 entries"},
		"large store":                    {withHeader(func(h []byte) { copy(h[12:], "\xff\xff\xff\xff") }), "claims"},
		"store beyond the end":           {withHeader(func(h []byte) { copy(h[12:], "\x00\x10\x00\x00") }), "truncated"},
		"large count of numbers": {withHeader(func(h []byte) { copy(h[entryAt(tagBuildTime)+12:], "\xff\xff\xff\xff") }),
			"more than the 1048576 allowed"},
		"large count of strings": {withHeader(func(h []byte) { copy(h[entryAt(tagBaseNames)+12:], "\x00\x0f\xff\xff") }),
			"string without an end"},
		"no region":              {assemble(headerOf(lowestTag, goodValues()...), nil), "declare a region"},
		"another region":         {assemble(headerOf(regionSignature, goodValues()...), nil), "declare a region"},
		"partial region":         {withHeader(func(h []byte) { h[len(h)-5] += 16 }), "not cover all of it"},
		"region too large":       {withHeader(func(h []byte) { h[len(h)-6] -= 1 }), "not cover all of it"},
		"no end of region":       {withHeader(func(h []byte) { h[len(h)-13]++ }), "no copy of its beginning"},
		"low tag":                {withHeader(func(h []byte) { copy(h[entryAt(tagName):], "\x00\x00\x00\x07") }), "expected one from 100"},
		"offset outside":         {withHeader(func(h []byte) { copy(h[entryAt(tagArch)+8:], "\x00\xff\xff\xff") }), "expected 40, behind the one before"},
		"overlap":                {withHeader(func(h []byte) { copy(h[entryAt(tagArch)+8:], "\x00\x00\x00\x00") }), "expected 40, behind the one before"},
		"unknown type":           {withHeader(func(h []byte) { copy(h[entryAt(tagArch)+4:], "\x00\x00\x00\x0a") }), "unknown type 10"},
		"no value":               {withHeader(func(h []byte) { copy(h[entryAt(tagArch)+12:], "\x00\x00\x00\x00") }), "has no value"},
		"name of another type":   {forge(int32s(tagName, 7)), "expected a string"},
		"tag twice":              {assemble(headerOf(regionMain, str(tagName, "a"), str(tagName, "b")), []byte("x")), "there twice"},
		"no source package":      {forge(value{tagSourceRPM, kindString, 1, []byte{0}}), "does not name its source package"},
		"no name":                {assemble(headerOf(regionMain, str(tagVersion, "1")), []byte("x")), "name \"\""},
		"name with a slash":      {forge(str(tagName, "../odd")), "name"},
		"version with a dash":    {forge(str(tagVersion, "1-0")), "version"},
		"release with a space":   {forge(str(tagRelease, "1 0")), "release"},
		"architecture":           {forge(str(tagArch, "x86/64")), "architecture"},
		"summary with U+FFFE":    {forge(str(tagSummary, "a\ufffeb")), "summary: code point U+FFFE"},
		"summary with U+FFFF":    {forge(str(tagSummary, "a\uffffb")), "summary: code point U+FFFF"},
		"Latin-1":                {forge(str(tagDescription, "caf\xe9")), "description: not UTF-8"},
		"surrogate":              {forge(str(tagDescription, "\xed\xa0\x80")), "description: not UTF-8"},
		"bell":                   {forge(str(tagVendor, "a\ab")), "vendor: control character U+0007"},
		"carriage return":        {forge(str(tagDescription, "a\r\nb")), "description: control character U+000D"},
		"two epochs":             {forge(int32s(tagEpoch, 1, 2)), "2 values, expected one"},
		"huge size":              {forge(value{tagLongSize, kindInt64, 1, bytes.Repeat([]byte{0xff}, 8)}), "beyond belief"},
		"more names than modes":  {forge(strs(tagBaseNames, "a", "b")), "2 files, but 1 directories"},
		"directory out of range": {forge(int32s(tagDirIndexes, 7)), "directory 7 of 1"},
		"relative path":          {forge(strs(tagDirNames, "usr/bin/")), "is not absolute"},
		"dotted path":            {forge(strs(tagDirNames, "/usr/../bin/")), "is not absolute"},
		"path with a line feed":  {forge(strs(tagBaseNames, "a\n</file>")), "line feed"},
		"path without a name":    {forge(strs(tagBaseNames, "")), "is not absolute"},
		"long path":              {forge(strs(tagBaseNames, strings.Repeat("a", 5000))), "4096 bytes"},
		"FIFO":                   {forge(int16s(tagFileModes, 0o010644)), "no file, link or directory"},
		"device":                 {forge(int16s(tagFileModes, 0o020644)), "no file, link or directory"},
		"path twice": {forge(strs(tagBaseNames, "a", "a"), int32s(tagDirIndexes, 0, 0),
			int16s(tagFileModes, modeFile, modeFile), int32s(tagFileFlags, 0, 0)), "there twice"},
		"files of rpm 3":         {forge(strs(tagOldFilenames, "/a")), "rpm 3"},
		"flags without names":    {forge(int32s(1112, 8, 8)), "1 names, but 2 flags"},
		"nameless provides":      {forge(strs(1047, "")), "without a name"},
		"provides with a space":  {forge(strs(1047, "a b")), "white space"},
		"provides with U+FFFE":   {forge(strs(1047, "a\ufffe")), "U+FFFE"},
		"version of a relation":  {forge(strs(1113, "1.0-1-1")), "is not a version"},
		"epoch of a relation":    {forge(strs(1113, "99999999999:1.0")), "is not a version"},
		"unknown comparison":     {forge(int32s(1112, 6)), "unknown way"},
		"version, no comparison": {forge(int32s(1112, 0)), "but no comparison"},
		"open rich dependency":   {forge(strs(1047, "(a and b"), int32s(1112, 0), strs(1113, "")), "not a rich dependency"},
		"empty rich dependency":  {forge(strs(1047, "()"), int32s(1112, 0), strs(1113, "")), "not a rich dependency"},
		"deep rich dependency": {forge(strs(1047, strings.Repeat("(", 1000)+"a"+strings.Repeat(")", 1000)), int32s(1112, 0),
			strs(1113, "")), "not a rich dependency"},
		"changelog without texts": {forge(int32s(tagChangeTimes, 1), strs(tagChangeNames, "a")), "changelog: 1 times"},
		"changelog with a bell": {forge(int32s(tagChangeTimes, 1), strs(tagChangeNames, "a"), strs(tagChangeTexts, "\a")),
			"changelog: control character"},
	} {
		p, err := read(c.data)
		var refusal *Error
		if !errors.As(err, &refusal) || refusal.File != "x86_64/odd-1.0-1.x86_64.rpm" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v, want an error with %q", name, p, err, c.want)
		}
	}
}

func TestRefusedNames(t *testing.T) {
	for _, href := range []string{"", "a.deb", "/a.rpm", "../a.rpm", "a/../b.rpm", "./a.rpm", "a//b.rpm", "a b.rpm", "a\".rpm",
		"a%2f.rpm", "-a.rpm", "a\n.rpm", strings.Repeat("a", 600) + ".rpm"} {
		data := forge()
		if _, err := ReadPackage(bytes.NewReader(data), int64(len(data)), href); err == nil {
			t.Errorf("href %q: accepted", href)
		}
	}
}

// Of other people's packages one that does not name its source package is a source package, as it is to createrepo_c, whose
// files have no folders.
func TestForeign(t *testing.T) {
	values := slices.DeleteFunc(goodValues(), func(v value) bool { return v.tag == tagSourceRPM || v.tag == tagDirNames || v.tag == tagBaseNames })
	values = append(values, strs(tagDirNames, ""), strs(tagBaseNames, "odd.spec"))
	slices.SortFunc(values, func(a, b value) int { return cmp.Compare(a.tag, b.tag) })
	data := assemble(headerOf(regionMain, values...), []byte("payload"))
	m := Reader{Foreign: true}
	dir := t.TempDir()
	p, err := m.ReadPackage(bytes.NewReader(data), int64(len(data)), "_für dich/odd (1).rpm")
	if err != nil || p.Arch != "src" {
		t.Fatalf("got %+v, %v", p, err)
	}
	write(t, filepath.Join(dir, p.Href), string(data))
	theirs := meant[0].undo(string(createrepo(t, dir)["primary"]))
	ours := `<x xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm">` + string(p.Primary) + "</x>"
	if got, want := parseXML(t, []byte(ours)).Children, parseXML(t, []byte(theirs)).Children; !reflect.DeepEqual(got, want) {
		t.Errorf("ours\n%v\ncreaterepo_c\n%v", got, want)
	}
	if _, err := m.ReadPackage(bytes.NewReader(data), int64(len(data)), "a?.rpm"); err == nil {
		t.Error("a name that cuts a URL short is accepted")
	}
	data = forge(value{tagSourceRPM, kindString, 1, []byte{0}}) // it says that it has one
	if p, err := m.ReadPackage(bytes.NewReader(data), int64(len(data)), "a.rpm"); err != nil || p.Arch != "x86_64" {
		t.Errorf("got %+v, %v", p, err)
	}
}

func flip(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 0x20
	return data
}

// A header of 32 MiB may say much in few bytes: all files in one directory with a long name, or a million empty strings.
func TestBounds(t *testing.T) {
	n := 1 << 20
	long := "/" + strings.Repeat("d", 3000) + "/"
	names := make([]string, n)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	empty := make([]string, n)
	modes := make([]uint16, n)
	for i := range modes {
		modes[i] = modeFile
	}
	for name, data := range map[string][]byte{
		"long paths": forge(strs(tagDirNames, long), strs(tagBaseNames, names...), int32s(tagDirIndexes, make([]uint32, n)...),
			int16s(tagFileModes, modes...), int32s(tagFileFlags, make([]uint32, n)...)),
		"many provides": forge(strs(1047, names...), int32s(1112, make([]uint32, n)...), strs(1113, empty...)),
		"long text":     forge(str(tagDescription, strings.Repeat("&", 20<<20))),
		"escaped paths": forge(strs(tagDirNames, "/bin/"+strings.Repeat("&", 20)+"/"), strs(tagBaseNames, names...),
			int32s(tagDirIndexes, make([]uint32, n)...), int16s(tagFileModes, modes...), int32s(tagFileFlags, make([]uint32, n)...)),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		_, err := read(data)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 600<<20 {
			t.Errorf("%s: allocated %d MiB", name, used>>20)
		}
		t.Logf("%s: %v, %d MiB, %v", name, time.Since(start), (after.TotalAlloc-before.TotalAlloc)>>20, err)
	}
}

// What is accepted here is accepted by rpm, and createrepo_c reads the same out of it: changed headers of all kinds are
// tried, within packages whose digests are right.
func TestNoLaxerThanRPM(t *testing.T) {
	good := headerOf(regionMain, goodValues()...)
	random := rand.New(rand.NewSource(2))
	dir := t.TempDir()
	var packages []*Package
	for i := 0; len(packages) < 300; i++ {
		h := bytes.Clone(good)
		for range 1 + random.Intn(3) {
			at := random.Intn(len(h))
			if index := headerStart * (len(goodValues()) + 2); at < index && at%headerStart < 4 {
				continue // a tag: rpm knows the types of many that an index says nothing of
			}
			h[at] = byte(random.Intn(256))
		}
		data := assemble(h, []byte("payload"))
		name := strconv.Itoa(i) + ".rpm"
		if p, err := ReadPackage(bytes.NewReader(data), int64(len(data)), name); err == nil && !bytes.Equal(h, good) {
			write(t, filepath.Join(dir, name), string(data))
			packages = append(packages, p)
		}
	}
	text := string(createrepo(t, dir)["primary"])
	for _, m := range meant {
		text = m.undo(text)
	}
	theirs := make(map[string]node)
	for _, p := range parseXML(t, []byte(text)).Children {
		for _, c := range p.Children {
			if c.XMLName.Local == "location" {
				theirs[c.Attrs[0].Value] = p
			}
		}
	}
	for _, p := range packages {
		ours := parseXML(t, []byte(`<x xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm">`+
			string(p.Primary)+"</x>")).Children[0]
		if want, ok := theirs[p.Href]; !ok {
			t.Errorf("%s: accepted here, refused by createrepo_c\n%s", p.Href, p.Primary)
		} else if !reflect.DeepEqual(ours, want) {
			t.Errorf("%s: ours\n%v\ncreaterepo_c\n%v", p.Href, ours, want)
		}
	}
}

// Whatever is damaged, there is an error or a package that an index takes.
func TestDamaged(t *testing.T) {
	good := forge()
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
	ReadSignature(bytes.NewReader(data), int64(len(data)), "x") // which may fail, but not panic
	if p, err := read(data); err == nil {
		checkRoundTrip(t, []*Package{p})
	}
}

// Whatever packages claim, reading them on several processors stays below 256 MB: what is large is read one after the
// other.
func TestHostileMemory(t *testing.T) {
	const variable = "PKGS_TEST_HOSTILE"
	if dir := os.Getenv(variable); dir != "" {
		readHostile(t, dir)
		return
	}
	dir := t.TempDir()
	n := 1 << 19
	names, dirs := make([]string, n), make([]uint32, n)
	modes := make([]uint16, n)
	for i := range names {
		names[i], modes[i] = strconv.Itoa(i), modeFile
	}
	empty := make([]string, 1<<20)
	for name, values := range map[string][]value{
		"paths": {strs(tagDirNames, "/bin/a&b/"), strs(tagBaseNames, names...), int32s(tagDirIndexes, dirs...),
			int16s(tagFileModes, modes...), int32s(tagFileFlags, dirs...)},
		"long paths": {strs(tagDirNames, "/"+strings.Repeat("d", 3000)+"/"), strs(tagBaseNames, names...), int32s(tagDirIndexes, dirs...),
			int16s(tagFileModes, modes...), int32s(tagFileFlags, dirs...)},
		"provides": {strs(1047, append(names, names...)...), int32s(1112, append(dirs, dirs...)...), strs(1113, empty...)},
		"text":     {str(tagDescription, strings.Repeat("&", 10<<20))},
		"lines":    {str(tagSummary, strings.Repeat("\n", 30<<20))},
		"changes":  {int32s(tagChangeTimes, 1), strs(tagChangeNames, "a"), strs(tagChangeTexts, strings.Repeat("<", 11<<20))},
	} {
		if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".rpm"), forge(values...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestHostileMemory$", "-test.v")
	cmd.Env = append(os.Environ(), variable+"="+dir, "GOMEMLIMIT=160MiB")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	// The peak counts from the beginning of the program: before that, what this one had counts (getrusage(2)).
	if !strings.Contains(string(out), "peak below 256 MB") {
		t.Errorf("%s", out)
	}
}

func readHostile(t *testing.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.rpm"))
	if err != nil || len(files) != 6 {
		t.Fatal(files, err)
	}
	var large sync.Mutex
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			m := Reader{Large: func() func() { large.Lock(); return large.Unlock }}
			for _, name := range files {
				f, err := os.Open(name)
				if err != nil {
					t.Error(err)
					return
				}
				info, _ := f.Stat()
				_, err = m.ReadPackage(f, info.Size(), filepath.Base(name))
				t.Logf("%s: %v", filepath.Base(name), err)
				f.Close()
			}
		})
	}
	group.Wait()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	peak, _, _ = strings.Cut(peak, " kB")
	kB, err := strconv.Atoi(strings.TrimSpace(peak))
	if err != nil || kB > 256<<10 {
		t.Fatalf("took %d MB at most, %v", kB>>10, err)
	}
	t.Logf("peak below 256 MB: %d MB", kB>>10)
}
