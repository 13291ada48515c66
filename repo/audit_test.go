package repo

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
)

// audited is a stream in production with three publications, the first two of which were promoted at once.
func audited(t testing.TB) *Publisher {
	t.Helper()
	from, to := staging(t)
	from.By, from.ConfigDigest = "builder", digest([]byte("config"))
	one := packages(t, "1.35.0", "one")
	mustAdd(t, from, one)
	mustAdd(t, from, packages(t, "1.35.1", "two"))
	mustPromote(t, from, to)
	carryOut(t, from, testStream(), Change{Yank: only(one.digests(), nil), Reason: "it does not start"})
	mustPromote(t, from, to)
	return to
}

// rewritten changes one leaf of a JSON document at a time, and hands out the new document with the path of the leaf. Of
// leaves that are alike, such as the objects of a list, the first and the last are changed.
func rewritten(t testing.TB, document string, visit func(path, changed string)) {
	t.Helper()
	var root any
	if err := json.Unmarshal([]byte(document), &root); err != nil {
		t.Fatal(err)
	}
	encode := func() string {
		data, err := encodeJSON(root)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	var walk func(path string, v any, set func(any))
	walk = func(path string, v any, set func(any)) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				walk(path+"."+key, value, func(n any) { v[key] = n })
			}
		case []any:
			for i, value := range v {
				if i == 0 || i == len(v)-1 {
					walk(fmt.Sprint(path, "[", i, "]"), value, func(n any) { v[i] = n })
				}
			}
		case string:
			set(v + "x")
			visit(path, encode())
			set("")
			visit(path, encode())
			set(v)
		case float64:
			set(v + 1)
			visit(path, encode())
			set(v)
		}
	}
	walk("", root, nil)
}

// TestAudit changes every word of every record, and takes each away.
func TestAudit(t *testing.T) {
	p := audited(t)
	whole := p.Bucket.(*bucket.Memory)
	audit := func(b bucket.Bucket) error {
		_, err := Audit(t.Context(), b, streamName, p.Keyring)
		return err
	}
	report, err := Audit(t.Context(), whole, streamName, p.Keyring)
	if err != nil || report.Publications != 3 || report.Promotions != 2 || report.Serial != 3 {
		t.Fatalf("%+v %v", report, err)
	}
	if report, err := Audit(t.Context(), bucket.NewMemory(), streamName, p.Keyring); err != nil || report.Publications != 0 {
		t.Errorf("a stream that does not exist: %+v %v", report, err)
	}
	if _, err := Audit(t.Context(), whole, streamName, stranger(t)); err == nil || !strings.Contains(err.Error(), "broken at serial 3") {
		t.Errorf("signatures of an unknown key: %v", err)
	}
	records, words := 0, 0
	for name := range objects(t, whole) {
		if !strings.HasPrefix(name, ".state/") {
			continue
		}
		records++
		put := func(data string) bucket.Bucket {
			b := whole.Clone()
			if _, err := b.Put(t.Context(), name, text([]byte(data)), bucket.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			return b
		}
		rewritten(t, read(t, whole, name), func(path, changed string) {
			words++
			if name == streamName.Head() && path == ".url" {
				return // where the bucket is now is no record
			}
			if err := audit(put(changed)); err == nil {
				t.Errorf("%s: a change of %s is not found", name, path)
			}
		})
		b := whole.Clone()
		info, err := b.Stat(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Delete(t.Context(), name, info.Generation); err != nil {
			t.Fatal(err)
		}
		if report, err := Audit(t.Context(), b, streamName, p.Keyring); err == nil && (name != streamName.Head() || report.Publications != 0) {
			t.Errorf("that %s is gone is not found", name)
		}
	}
	if records != 1+3+2 || words < 200 {
		t.Errorf("%d records with %d words were tried", records, words)
	}
}

// chainOf are the manifests of the stream in a bucket, the first one first.
func chainOf(t testing.TB, b bucket.Bucket) []*Manifest {
	t.Helper()
	state, err := ReadState(t.Context(), b, streamName)
	if err != nil {
		t.Fatal(err)
	}
	var chain []*Manifest
	if err := walk(t.Context(), b, state, func(m *Manifest, _ string) bool { chain = append(chain, m); return true }); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(chain)
	return chain
}

// rewrittenChain makes a bucket like another, whose chain is whole after a change of the second manifest.
func rewrittenChain(t testing.TB, whole *bucket.Memory, change func(m *Manifest)) bucket.Bucket {
	t.Helper()
	state, err := ReadState(t.Context(), whole, streamName)
	if err != nil {
		t.Fatal(err)
	}
	b, previous := whole.Clone(), ""
	head := state.Head
	for i, m := range chainOf(t, whole) {
		forged := *m
		forged.Record.Added, forged.Record.Removed = slices.Clone(m.Record.Added), slices.Clone(m.Record.Removed)
		forged.Objects = slices.Clone(m.Objects)
		forged.Previous = previous
		if i == 1 {
			change(&forged)
		}
		data, err := encodeJSON(forged)
		if err != nil {
			t.Fatal(err)
		}
		previous = digest(data)
		if _, err := b.Put(t.Context(), streamName.Manifest(m.Serial, previous), text(data), bucket.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	head.Manifest, head.Promotion, head.Before = previous, nil, nil
	data, err := encodeJSON(head)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), streamName.Head(), text(data), bucket.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAuditForged rewrites a record and then everything that names it, up to HEAD, as somebody can who may write to the
// bucket. What the index signed is found all the same.
func TestAuditForged(t *testing.T) {
	p := audited(t)
	whole := p.Bucket.(*bucket.Memory)
	first := chainOf(t, whole)[0]
	for what, c := range map[string]struct {
		change func(m *Manifest)
		want   string
	}{
		"nothing":        {func(m *Manifest) {}, ""},
		"who":            {func(m *Manifest) { m.Record.By = "" }, "does not say who"},
		"why":            {func(m *Manifest) { m.Record.Reason = "" }, "does not say why"},
		"configuration":  {func(m *Manifest) { m.Record.Config = "" }, "with which configuration"},
		"time":           {func(m *Manifest) { m.Time = m.Time.Add(-1e9) }, "neither made for this publication"},
		"keys":           {func(m *Manifest) { m.Record.Keys = []string{"0123"} }, "and the record names [0123]"},
		"what came":      {func(m *Manifest) { m.Record.Added = m.Record.Added[1:] }, "the manifests differ by others"},
		"what went":      {func(m *Manifest) { m.Record.Removed = []string{"deb/x.deb"} }, "the manifests differ by others"},
		"the index":      {func(m *Manifest) { m.Pointers = first.Pointers }, ""},
		"the signatures": {func(m *Manifest) { m.Pointers = nil }, "no index was signed at"},
	} {
		_, err := Audit(t.Context(), rewrittenChain(t, whole, c.change), streamName, p.Keyring)
		if what == "the index" { // another publication's is not this one's
			c.want = "which the manifest does not hold"
		}
		var broken *ChainError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case c.want != "" && (!errors.As(err, &broken) || broken.Serial != 2 || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want one that says %q", what, err, c.want)
		}
	}
}
