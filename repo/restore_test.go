package repo

import (
	"bytes"
	"io"
	"path"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// remove takes an object out of a bucket as nobody should.
func remove(t *testing.T, b bucket.Bucket, name string) {
	t.Helper()
	info, err := b.Stat(t.Context(), name)
	if err == nil {
		err = b.Delete(t.Context(), name, info.Generation)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func contentOf(t *testing.T, b bucket.Bucket, name string) []byte {
	t.Helper()
	r, _, err := b.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Every object of a snapshot that is lost alone comes back with the bytes that it had, but for those of a yum snapshot that
// say something of their own.
func TestRestore(t *testing.T) {
	files := packages(t, "1.35.0", "0")
	whole := bucket.NewMemory()
	mustAdd(t, publisher(t, whole), files)
	state, err := ReadState(t.Context(), whole, streamName)
	if err != nil {
		t.Fatal(err)
	}
	restored := 0
	for _, o := range state.Manifest.Objects {
		b := whole.Clone()
		remove(t, b, o.Name)
		p := publisher(t, b)
		found, err := Reproduce(t.Context(), b, state, []string{o.Name}, files)
		if err != nil {
			t.Fatalf("%s: %v", o.Name, err)
		}
		if len(found) == 0 {
			if base := path.Base(o.Name); !strings.Contains(o.Name, "/rpm-snapshots/") || base != "repomd.xml" && base != "repomd.xml.asc" {
				t.Errorf("%s was not found again", o.Name)
			}
			continue
		}
		plan, err := p.Plan(t.Context(), testStream(), Change{Restore: found})
		if err != nil {
			t.Fatalf("%s: %v", o.Name, err)
		}
		if plan.Reason != "" || len(plan.Writes) != 1 || plan.Writes[0].Name != o.Name {
			t.Errorf("%s: the plan is %+v", o.Name, plan)
		}
		if err := p.Execute(t.Context(), plan); err != nil {
			t.Fatalf("%s: %v", o.Name, err)
		}
		if !bytes.Equal(contentOf(t, b, o.Name), contentOf(t, whole, o.Name)) {
			t.Errorf("%s came back with other bytes", o.Name)
		}
		counts(t, b)
		restored++
	}
	if restored < 12 {
		t.Errorf("only %d objects were restored", restored)
	}
}

// Both forms of an index lost at once are made from the other repository format's copies, or not at all.
func TestRestoreMany(t *testing.T) {
	b := bucket.NewMemory()
	files := packages(t, "1.35.0", "0")
	mustAdd(t, publisher(t, b), files)
	state, err := ReadState(t.Context(), b, streamName)
	if err != nil {
		t.Fatal(err)
	}
	var lost []string
	for _, o := range state.Manifest.Objects {
		if o.Class == layout.Package || strings.Contains(o.Name, "/by-hash/") || strings.Contains(o.Name, "/rpm/repodata/") {
			lost = append(lost, o.Name)
			remove(t, b, o.Name)
		}
	}
	remove(t, b, streamName.Deb(layout.Packages))
	found, err := Reproduce(t.Context(), b, state, lost, files)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(lost) {
		t.Fatalf("%d of %d lost objects were found", len(found), len(lost))
	}
	p := publisher(t, b)
	p.Signer = nil
	plan, err := p.Plan(t.Context(), testStream(), Change{Restore: found, Repoint: true})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(plan.Finish, []string{"deb/Packages"}) {
		t.Errorf("pointers to finish: %q", plan.Finish)
	}
	if err := p.Execute(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	counts(t, b)

	if _, err := Reproduce(t.Context(), b, state, []string{"other"}, files); err == nil {
		t.Error("an object of no snapshot was looked for")
	}
	other := packages(t, "1.35.0", "other bytes")
	if found, err = Reproduce(t.Context(), b, state, lost, other); err != nil {
		t.Fatal(err)
	}
	for name := range found {
		if layout.ClassOf(name) == layout.Package {
			t.Errorf("%s was replaced by another package", name)
		}
	}
	forged := Found{lost[0]: text([]byte("other bytes"))}
	if _, err := p.Plan(t.Context(), testStream(), Change{Restore: forged}); err == nil {
		t.Error("other bytes were planned under the name of a lost object")
	}
}

// A pointer that somebody overwrote is put right without a key, wherever it stands in the order.
func TestRepoint(t *testing.T) {
	b := bucket.NewMemory()
	p := publisher(t, b)
	mustAdd(t, p, packages(t, "1.35.0", "0"))
	p.Signer = nil
	name := streamName.Deb(layout.InRelease)
	if _, err := b.Put(t.Context(), name, text([]byte("altered")), bucket.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	plan, err := p.Plan(t.Context(), testStream(), Change{})
	if err != nil || !plan.Empty() {
		t.Fatalf("plan %+v, error %v", plan, err)
	}
	if plan, err = p.Plan(t.Context(), testStream(), Change{Repoint: true}); err != nil {
		t.Fatal(err)
	}
	if err := p.Execute(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	counts(t, b)
	if plan, err = p.Plan(t.Context(), testStream(), Change{Repoint: true}); err != nil || !plan.Empty() {
		t.Errorf("a second time: plan %+v, error %v", plan, err)
	}
}
