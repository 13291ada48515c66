package repo

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
)

// misread are files of which one deb and one rpm have records that say something else than the package.
func misread(t *testing.T, files *Files) *Files {
	t.Helper()
	other := *files
	other.Debs, other.Rpms = slices.Clone(files.Debs), slices.Clone(files.Rpms)
	stanza := bytes.Replace(files.Debs[0].Stanza, []byte("a test"), []byte("another"), 1)
	debs, err := apt.ParsePackages(append(stanza, '\n'))
	if err != nil {
		t.Fatal(err)
	}
	filelists := bytes.Replace(files.Rpms[1].Filelists, []byte("/usr/bin/kubectl<"), []byte("/usr/bin/kubectx<"), 1)
	primary := bytes.Replace(files.Rpms[1].Primary, []byte("/usr/bin/kubectl<"), []byte("/usr/bin/kubectx<"), 1)
	other.Debs[0], other.Rpms[1] = debs[0], recorded(t, primary, filelists, files.Rpms[1].Other)
	return &other
}

// recorded is the rpm that an index with these records has.
func recorded(t *testing.T, primary, filelists, other []byte) *yum.Package {
	t.Helper()
	text := func(kind string, fragment []byte) []byte {
		for _, f := range yum.Frames(1) {
			if f.Kind == kind {
				return []byte(f.Open + string(fragment) + f.Close)
			}
		}
		return nil
	}
	rpms, err := yum.ParseIndex("", text("primary", primary), text("filelists", filelists), text("other", other))
	if err != nil {
		t.Fatal(err)
	}
	return rpms[0]
}

// TestRecords: what the index says of packages is compared with them, and what does not match is made anew and told of. The
// index is then what it would have been.
func TestRecords(t *testing.T) {
	files := packages(t, "1.35.0", "one")
	b, right := bucket.NewMemory(), bucket.NewMemory()
	p := publisher(t, b)
	mustAdd(t, p, misread(t, files))
	mustAdd(t, publisher(t, right), files)
	state, err := ReadState(t.Context(), b, streamName)
	if err != nil {
		t.Fatal(err)
	}
	records, err := p.Reread(t.Context(), state, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := records.Mismatches
	if len(m) != 2 || m[0].Name != "deb/amd64/kubectl_1.35.0-1.1_amd64.deb" || !strings.Contains(m[0].Detail, `says "Description: another" where the file gives "Description: a test"`) ||
		m[1].Name != "rpm/"+files.Rpms[1].Href || !strings.Contains(m[1].Detail, "kubectx") || !records.Replaces(m[0].Name) || !records.Replaces(m[1].Name) {
		t.Fatalf("found %+v", m)
	}
	plan, err := p.Plan(t.Context(), testStream(), Change{Records: records})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := plan.Print(&text); err != nil || len(plan.Rebuilt) != 2 || plan.Reason != "records made anew" || len(plan.Added)+len(plan.Removed) != 0 ||
		!strings.Contains(text.String(), "~ deb/amd64/kubectl_1.35.0-1.1_amd64.deb") {
		t.Errorf("the plan is\n%s%v", &text, plan.Rebuilt)
	}
	for _, w := range plan.Writes {
		if w.Class == layout.Package {
			t.Errorf("%s is written again", w.Name)
		}
	}
	if err := p.Execute(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if n := check(t, b); n != 2 {
		t.Errorf("%d debs", n)
	}
	if read(t, b, streamName.Deb(layout.Packages)) != read(t, right, streamName.Deb(layout.Packages)) {
		t.Error("the records that were made anew are not those of the packages")
	}
	if state, err = ReadState(t.Context(), b, streamName); err != nil {
		t.Fatal(err)
	}
	if records, err = p.Reread(t.Context(), state, t.TempDir()); err != nil || len(records.Mismatches) != 0 {
		t.Errorf("found once more: %v, %v", records, err)
	}
	if plan, err = p.Plan(t.Context(), testStream(), Change{Records: records}); err != nil || !plan.Empty() {
		t.Errorf("nothing is to be made anew, and there is a plan: %v", err)
	}

	// A package that is altered or lost is not what its record is judged by.
	if err := b.Corrupt(streamName.Deb(files.Debs[1].Filename), func([]byte) []byte { return []byte("altered") }); err != nil {
		t.Fatal(err)
	}
	if records, err = p.Reread(t.Context(), state, t.TempDir()); err != nil || len(records.Mismatches) != 0 {
		t.Errorf("of an altered package was found: %+v, %v", records, err)
	}
	remove(t, b, streamName.Deb(files.Debs[0].Filename))
	if records, err = p.Reread(t.Context(), state, t.TempDir()); err != nil || len(records.Mismatches) != 0 {
		t.Errorf("of a lost package was found: %v, %v", records, err)
	}
}

// TestRecordsApart: each of an rpm's records is compared, and a package that would not be indexed today is told of and has no
// better one.
func TestRecordsApart(t *testing.T) {
	whole := packages(t, "1.35.0", "one")
	r := whole.Rpms[0]
	junk := []byte("no package")
	for what, change := range map[string]func(files *Files){
		"/usr/share/kubectx": func(files *Files) { // which is in filelists alone
			files.Rpms[0] = recorded(t, r.Primary, bytes.Replace(r.Filelists, []byte("</package>"), []byte("  <file>/usr/share/kubectx</file>\n</package>"), 1), r.Other)
		},
		"changelog": func(files *Files) {
			files.Rpms[0] = recorded(t, r.Primary, r.Filelists, bytes.Replace(r.Other, []byte("</package>"), []byte("  <changelog author=\"a\" date=\"1\">x</changelog>\n</package>"), 1))
		},
		"not a Debian package": func(files *Files) {
			stanza := strings.NewReplacer(files.Debs[0].SHA256, digest(junk), fmt.Sprintf("Size: %d\n", files.Debs[0].Size), fmt.Sprintf("Size: %d\n", len(junk))).Replace(string(files.Debs[0].Stanza))
			debs, err := apt.ParsePackages([]byte(stanza + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			files.Debs[0] = debs[0]
			files.paths = maps.Clone(files.paths)
			files.paths["deb/"+debs[0].Filename] = writeFile(t, string(junk))
		},
	} {
		files := *whole
		files.Debs, files.Rpms = slices.Clone(files.Debs), slices.Clone(files.Rpms)
		change(&files)
		b := bucket.NewMemory()
		p := publisher(t, b)
		mustAdd(t, p, &files)
		state, err := ReadState(t.Context(), b, streamName)
		if err != nil {
			t.Fatal(err)
		}
		records, err := p.Reread(t.Context(), state, t.TempDir())
		if err != nil || len(records.Mismatches) != 1 || !strings.Contains(records.Mismatches[0].Detail, what) {
			t.Errorf("%s: found %+v, %v", what, records, err)
			continue
		}
		name := records.Mismatches[0].Name
		if better := strings.HasSuffix(name, ".rpm"); records.Replaces(name) != better {
			t.Errorf("%s: that there is a better record of %s is said to be %t", what, name, !better)
		}
	}
}

// A publisher on a machine that knows nothing of the stream adds a package without reading one that is there.
func TestAddWithoutReading(t *testing.T) {
	b := bucket.NewMemory()
	mustAdd(t, publisher(t, b), packages(t, "1.35.0", "one"))
	l := watch(b)
	mustAdd(t, publisher(t, b), packages(t, "1.35.1", "two"))
	opened := 0
	for _, op := range l.ops {
		name, ok := strings.CutPrefix(op, "open ")
		if ok {
			opened++
		}
		if ok && layout.ClassOf(name) == layout.Package {
			t.Errorf("a publisher reads %s to add another package", name)
		}
	}
	if opened == 0 {
		t.Error("nothing was seen to be read")
	}
	b.Fault = nil
	check(t, b)
}
