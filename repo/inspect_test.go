package repo

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// Whatever is done to whatever object of a stream, a listing shows it, and nothing is said of a stream that is as its
// publishers left it.
func TestInspect(t *testing.T) {
	whole := bucket.NewMemory()
	p := publisher(t, whole)
	first, second := packages(t, "1.35.0", "0"), packages(t, "1.35.1", "1")
	mustAdd(t, p, first)
	mustAdd(t, p, second)
	plan, err := p.Plan(t.Context(), testStream(), Change{Yank: only(second.digests(), map[string]string{}), Reason: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Execute(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	state, err := ReadState(t.Context(), whole, streamName)
	if err != nil {
		t.Fatal(err)
	}
	inspect := func(b bucket.Bucket) *Inspection {
		t.Helper()
		found, err := Inspect(t.Context(), b, state)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := inspect(whole); len(found.Damage) > 0 || found.Older == 0 || found.Objects <= len(state.Manifest.Objects) {
		t.Fatalf("a stream that is right: %+v", found)
	}

	named := map[string]bool{}
	for _, o := range state.Manifest.Objects {
		named[o.Name] = true
	}
	for _, o := range state.Manifest.Pointers {
		named[o.Name] = true
	}
	overwrite := func(name string, change func([]byte) []byte) bucket.Bucket {
		b := whole.Clone()
		data := change(contentOf(t, b, name))
		if _, err := b.Put(t.Context(), name, text(data), bucket.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		return b
	}
	flip := func(data []byte) []byte { data[len(data)/2] ^= 1; return data }
	for name := range named {
		pointer := layout.ClassOf(name) == layout.Pointer
		kinds := map[string]DamageKind{"altered": Altered, "cut off": Altered, "lost": Lost}
		if pointer {
			kinds = map[string]DamageKind{"altered": Displaced, "cut off": Displaced, "lost": Displaced}
		}
		lost := whole.Clone()
		remove(t, lost, name)
		for how, b := range map[string]bucket.Bucket{
			"altered": overwrite(name, flip),
			"cut off": overwrite(name, func(data []byte) []byte { return data[:len(data)-1] }),
			"lost":    lost,
		} {
			found := inspect(b)
			if len(found.Damage) != 1 || found.Damage[0].Object.Name != name || found.Damage[0].Kind != kinds[how] {
				t.Errorf("%s %s: %v", name, how, found.Damage)
			}
		}
	}
	// The record of publications.
	for serial := int64(1); serial <= 2; serial++ {
		var name string
		for info, err := range whole.List(t.Context(), fmt.Sprintf(".state/%s/manifests/%d-", streamName, serial)) {
			if name = info.Name; err != nil {
				t.Fatal(err)
			}
		}
		if found := inspect(overwrite(name, flip)); len(found.Damage) != 1 || found.Damage[0].Object.Name != name || found.Damage[0].Kind != Altered {
			t.Errorf("%s altered: %v", name, found.Damage)
		}
		b := whole.Clone()
		remove(t, b, name)
		if found := inspect(b); len(found.Damage) != 1 || found.Damage[0].Kind != Lost || !strings.Contains(found.Damage[0].Detail, fmt.Sprint(serial)) {
			t.Errorf("%s lost: %v", name, found.Damage)
		}
	}
	// What does not belong there.
	for _, name := range []string{
		streamName.Deb("amd64/kubectl_1.35.9-1.1_amd64.deb"), streamName.Deb("Packages.xz"), streamName.Rpm("repodata/repomd.xml.bad"),
		streamName.Rpm("x86_64/evil-1-1.x86_64.rpm.spdx.json"),
	} {
		b := whole.Clone()
		if _, err := b.Put(t.Context(), name, text([]byte("extra")), bucket.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if found := inspect(b); len(found.Damage) != 1 || found.Damage[0].Object.Name != name || found.Damage[0].Kind != Extra {
			t.Errorf("extra %s: %v", name, found.Damage)
		}
	}
}

// Of a store whose listing has no digests, only what was written at the wrong time is read.
func TestInspectReads(t *testing.T) {
	b := bucket.NewDir(t.TempDir())
	p := publisher(t, b)
	files := packages(t, "1.35.0", "0")
	mustAdd(t, p, files)
	mustAdd(t, p, packages(t, "1.35.1", "1"))
	state, err := ReadState(t.Context(), b, streamName)
	if err != nil {
		t.Fatal(err)
	}
	counted := &countOpens{Bucket: b, names: map[string]int{}}
	found, err := Inspect(t.Context(), counted, state)
	if err != nil || len(found.Damage) > 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	if len(counted.names) != 0 {
		t.Errorf("of a stream that is right these were read: %v", counted.names)
	}
	name := streamName.Deb("amd64/kubectl_1.35.0-1.1_amd64.deb")
	data := contentOf(t, b, name)
	data[len(data)-1] ^= 1
	if _, err := b.Put(t.Context(), name, text(data), bucket.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if found, err = Inspect(t.Context(), b, state); err != nil || len(found.Damage) != 1 || path.Base(found.Damage[0].Object.Name) != path.Base(name) {
		t.Errorf("%+v, %v", found, err)
	}
}

// countOpens counts what is read.
type countOpens struct {
	bucket.Bucket
	names map[string]int
}

func (c *countOpens) Open(ctx context.Context, name string) (io.ReadCloser, bucket.Info, error) {
	c.names[name]++
	return c.Bucket.Open(ctx, name)
}
