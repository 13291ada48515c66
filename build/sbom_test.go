package build

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// Grammars of SPDX 2.3 and of package URLs.
var (
	spdxID     = regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)
	purlForm   = regexp.MustCompile(`^pkg:[a-z]+(/[A-Za-z0-9._~%-]+)+(@[A-Za-z0-9._~%-]+)?(\?arch=[a-z0-9_]+)?(#[A-Za-z0-9._~%/-]+)?$`)
	checksums  = map[string]*regexp.Regexp{"SHA1": regexp.MustCompile(`^[0-9a-f]{40}$`), "SHA256": regexp.MustCompile(`^[0-9a-f]{64}$`)}
	agentForm  = regexp.MustCompile(`^(NOASSERTION|(Organization|Person): .+)$`)
	namespaces = regexp.MustCompile(`^https://[^#\s]+-[0-9a-f]{64}$`)
)

// checkSBOM checks a document against the rules of SPDX 2.3.
func checkSBOM(t *testing.T, s *spdxDocument) {
	t.Helper()
	if s.Version != "SPDX-2.3" || s.DataLicense != "CC0-1.0" || s.ID != "SPDXRef-DOCUMENT" || s.Name == "" || !namespaces.MatchString(s.Namespace) {
		t.Errorf("%+v", s)
	}
	if _, err := time.Parse("2006-01-02T15:04:05Z", s.Creation.Created); err != nil || len(s.Creation.Creators) == 0 {
		t.Errorf("%+v: %v", s.Creation, err)
	}
	ids := map[string]bool{s.ID: true}
	add := func(id string) {
		if !spdxID.MatchString(id) || ids[id] {
			t.Errorf("identifier %q is bad or there already", id)
		}
		ids[id] = true
	}
	check := func(name string, sums []spdxChecksum) {
		for _, c := range sums {
			if form := checksums[c.Algorithm]; form == nil || !form.MatchString(c.Value) {
				t.Errorf("%s: %+v", name, c)
			}
		}
	}
	for _, p := range s.Packages {
		add(p.ID)
		check(p.Name, p.Checksums)
		if p.Name == "" || p.DownloadLocation == "" || p.FilesAnalyzed != (p.VerificationCode != nil) || !agentForm.MatchString(p.Supplier) {
			t.Errorf("%+v", p)
		}
		for _, r := range p.ExternalRefs {
			if r.Category != "PACKAGE-MANAGER" || r.Type != "purl" || !purlForm.MatchString(r.Locator) {
				t.Errorf("%s: %+v", p.Name, r)
			}
		}
	}
	for _, f := range s.Files {
		add(f.ID)
		check(f.Name, f.Checksums)
		if !strings.HasPrefix(f.Name, "./") || len(f.Checksums) != 2 || f.Checksums[0].Algorithm != "SHA1" {
			t.Errorf("%+v", f)
		}
	}
	described, related := 0, map[string]bool{}
	for _, r := range s.Relationships {
		if !ids[r.Element] || !ids[r.Related] {
			t.Errorf("%+v relates what is not there", r)
		}
		related[r.Related] = true
		switch r.Type {
		case "DESCRIBES":
			described++
		case "CONTAINS", "GENERATED_FROM", "STATIC_LINK":
		default:
			t.Errorf("%+v", r)
		}
	}
	for id := range ids {
		if !related[id] && id != s.ID {
			t.Errorf("nothing relates to %s", id)
		}
	}
	if described != 1 || s.Relationships[0] != (spdxRelationship{"SPDXRef-DOCUMENT", "DESCRIBES", s.Packages[0].ID}) {
		t.Errorf("%d packages are described", described)
	}
}

func TestSBOM(t *testing.T) {
	seen := map[string]string{}
	for _, p := range built(t) {
		var s spdxDocument
		readJSON(t, p.SBOM, &s)
		checkSBOM(t, &s)
		self := s.Packages[0]
		if self.Name != p.Name || self.Version != p.Version || self.FileName != filepath.Base(p.Path) ||
			self.Checksums[0].Value != hexSHA256(t, p.Path) || self.LicenseDeclared != "Apache-2.0" ||
			self.Supplier == noAssertion || !strings.HasPrefix(self.Supplier, "Organization: ") {
			t.Errorf("%+v", self)
		}
		want := fmt.Sprintf("pkg:%s/kubernetes/%s@1.34.1-1.1?arch=%s", p.Format, p.Name, p.Architecture)
		if self.ExternalRefs[0].Locator != want {
			t.Errorf("got %s, want %s", self.ExternalRefs[0].Locator, want)
		}
		if other := seen[s.Namespace]; other != "" {
			t.Errorf("%s and %s are both called %s", other, s.Name, s.Namespace)
		}
		seen[s.Namespace] = s.Name
		if s.Packages[1].Checksums[0].Algorithm != "SHA256" || s.Packages[1].DownloadLocation != noAssertion {
			t.Errorf("%+v", s.Packages[1])
		}
	}
}

// What dpkg-deb unpacks are the files of the SBOM, with their digests.
func TestSBOMAgreesWithDpkg(t *testing.T) {
	for _, path := range all(t, Deb) {
		dir := t.TempDir()
		run(t, "dpkg", "dpkg-deb", "-x", path, dir)
		got := map[string]string{}
		err := filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(file)
			name, _ := filepath.Rel(dir, file)
			got["./"+name] = fmt.Sprintf("%x %x", sha1.Sum(data), sha256.Sum256(data))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		compareFiles(t, path, got, func(f spdxFile) string { return f.Checksums[0].Value + " " + f.Checksums[1].Value })
	}
}

// What rpm says of the files of a package is what the SBOM does.
func TestSBOMAgreesWithRPM(t *testing.T) {
	for _, path := range all(t, Rpm) {
		got := map[string]string{}
		for line := range strings.Lines(run(t, "rpm", "rpm", "-qp", "--nosignature", "--qf", "[%{FILEMODES:perms} %{FILENAMES} %{FILEDIGESTS}\n]", path)) {
			if f := strings.Fields(line); strings.HasPrefix(f[0], "-") {
				got["."+f[1]] = f[2]
			}
		}
		compareFiles(t, path, got, func(f spdxFile) string { return f.Checksums[1].Value })
	}
}

func compareFiles(t *testing.T, path string, got map[string]string, digests func(spdxFile) string) {
	t.Helper()
	var s spdxDocument
	readJSON(t, path+".spdx.json", &s)
	if len(got) == 0 {
		t.Errorf("%s is empty", path)
	}
	for _, f := range s.Files {
		if got[f.Name] != digests(f) {
			t.Errorf("%s: %s has the digests %q, not %+v", filepath.Base(path), f.Name, got[f.Name], f.Checksums)
		}
		delete(got, f.Name)
	}
	if len(got) > 0 {
		t.Errorf("%s: the SBOM lacks %v", filepath.Base(path), got)
	}
}

// The modules of a Go program are in the SBOM.
func TestModules(t *testing.T) {
	work := t.TempDir()
	sums, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	module := "golang.org/x/sync"
	version := strings.Fields(run(t, "golang", "go", "list", "-m", module))[1]
	for name, text := range map[string]string{
		"go.mod":  "module example.org/Try\n\ngo 1.26.0\n\nrequire " + module + " " + version + "\n",
		"go.sum":  string(sums),
		"main.go": "package main\n\nimport \"" + module + "/errgroup\"\n\nfunc main() { new(errgroup.Group).Wait() }\n",
	} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", "main", ".")
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=s390x", "CGO_ENABLED=0", "GOFLAGS=", "GOPROXY=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(work, "main"))
	if err != nil {
		t.Fatal(err)
	}
	dir := kubernetes(t)
	put(t, dir, "v1.34.1/bin/linux/s390x/kubectl", data)
	p, err := prepare(t.Context(), config(t, dir), request(t, "kubectl", "v1.34.1", "s390x"))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := p.tree(Rpm)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.sbom(t.Context(), "v1", tree, Package{Name: "kubectl", Version: "1.34.1-1.1", Format: Rpm, Architecture: "s390x", Path: "kubectl.rpm"})
	if err != nil {
		t.Fatal(err)
	}
	checkSBOM(t, s)
	purls := map[string]string{}
	for _, m := range s.Packages {
		purls[m.ID] = m.ExternalRefs[0].Locator
	}
	links, program := map[string]bool{}, ""
	for _, f := range s.Files {
		if f.Name == "./usr/bin/kubectl" {
			program = f.ID
		}
	}
	for _, r := range s.Relationships {
		if r.Element == program {
			links[r.Type+" "+strings.Split(purls[r.Related], "@")[0]] = true
		}
	}
	for _, want := range []string{"GENERATED_FROM pkg:golang/example.org/try", "STATIC_LINK pkg:golang/stdlib",
		"STATIC_LINK pkg:golang/golang.org/x/sync"} {
		if !links[want] {
			t.Errorf("the program has no %s, only %v", want, links)
		}
	}
}

func TestLinked(t *testing.T) {
	got := linked(&debug.BuildInfo{GoVersion: "go1.24.1 X:boringcrypto", Deps: []*debug.Module{
		{Path: "a", Version: "v1.0.0"},
		{Path: "b", Version: "v1.0.0", Replace: &debug.Module{Path: "c", Version: "v1.1.0"}},
		{Path: "k8s.io/api", Version: "v0.34.1", Replace: &debug.Module{Path: "./staging/src/k8s.io/api"}},
	}})
	var list []string
	for _, m := range got {
		list = append(list, m.Path+"@"+m.Version)
	}
	if s := strings.Join(list, " "); s != "stdlib@1.24.1 a@v1.0.0 c@v1.1.0 k8s.io/api@v0.34.1" {
		t.Errorf("got %s", s)
	}
}

// What is no Go program has no modules, however it pretends.
func TestNoModules(t *testing.T) {
	for name, data := range map[string][]byte{
		"text": []byte("hello"), "empty": nil, "headers": tiny(t, "arm64"), "libc": dynamic(t),
		"cut": program(t, "amd64")[:100_000],
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if info, err := goBuild(file); info != nil || err != nil {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if _, err := goBuild(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("no error for a missing file")
	}
}

// Whatever the bytes are, reading the modules of a program comes to an end, and what it finds can be written down.
func FuzzReadGoBuild(f *testing.F) {
	real := program(f, "amd64")
	// The headers and what the linker wrote about modules, without the code between them.
	at := bytes.Index(real, []byte("\xff Go buildinf:"))
	if at < 0 {
		f.Fatal("the program has no build information")
	}
	build := func(head, info []byte, at, size uint32) []byte {
		data := make([]byte, size%(8<<20))
		copy(data, head)
		if int(at) < len(data) {
			copy(data[at:], info)
		}
		return data
	}
	if info, err := readGoBuild(bytes.NewReader(build(real[:4096], real[at:at+4096], uint32(at), uint32(len(real))))); err != nil || info.GoVersion == "" {
		f.Fatalf("the seed has no modules: %v", err)
	}
	f.Add(real[:4096], real[at:at+4096], uint32(at), uint32(len(real)))
	f.Add(tiny(f, "arm64"), []byte("\xff Go buildinf:\x08\x02"), uint32(4096), uint32(8192))
	f.Add([]byte("MZ"), []byte{}, uint32(0), uint32(100))
	f.Add([]byte("\x7fELF\x02\x01\x01"), real[at:at+100], uint32(64), uint32(1000))
	f.Fuzz(func(t *testing.T, head, info []byte, at, size uint32) {
		read, err := readGoBuild(bytes.NewReader(build(head, info, at, size)))
		if err != nil {
			return
		}
		for _, m := range linked(read) {
			if p := describeModule("SPDXRef-Module-1", m); p.Name != m.Path {
				t.Errorf("module %q is called %q", m.Path, p.Name)
			}
		}
	})
}
