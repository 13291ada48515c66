package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// forge makes a manifest live that nobody with a key has made, as somebody can who may write to the bucket: it takes the
// place of the live one, or follows it, and holds what change makes of that.
func forge(t *testing.T, b bucket.Bucket, follow bool, change func(m *Manifest)) {
	t.Helper()
	state, err := ReadState(t.Context(), b, streamName)
	if err != nil {
		t.Fatal(err)
	}
	m := state.Manifest
	if follow {
		m.Serial, m.Previous, m.Time = m.Serial+1, state.Head.Manifest, m.Time.Add(time.Second)
	}
	m.Pointers = slices.Clone(m.Pointers)
	change(&m)
	data, err := encodeJSON(&m)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, data []byte, condition bucket.Condition) {
		if _, err := b.Put(t.Context(), name, text(data), bucket.PutOptions{Condition: condition}); err != nil {
			t.Fatal(err)
		}
	}
	put(streamName.Manifest(m.Serial, digest(data)), data, nil)
	head := state.follow(&m, digest(data), state.Head.URL)
	if data, err = encodeJSON(head); err != nil {
		t.Fatal(err)
	}
	put(streamName.Head(), data, bucket.IfGeneration(state.Generation))
}

// TestReplay: whoever may write to the bucket for staging, and has no key, cannot make an old index live in production
// under a new serial: that of all packages, or of one format.
func TestReplay(t *testing.T) {
	from, to := staging(t)
	mustAdd(t, from, packages(t, "1.35.0", "0"))
	first, err := ReadState(t.Context(), from.Bucket, streamName)
	if err != nil {
		t.Fatal(err)
	}
	mustPromote(t, from, to)
	from.Now = func() time.Time { return now.Add(time.Hour) }
	to.Now = from.Now
	mustAdd(t, from, packages(t, "1.35.1", "1"))
	mustPromote(t, from, to)
	for name, halves := range map[string][]string{"all": {"deb", "rpm"}, "rpm": {"rpm"}} {
		staged := from.Bucket.(*bucket.Memory).Clone()
		forge(t, staged, true, func(m *Manifest) {
			keep := func(object string) bool {
				for _, half := range halves {
					if inHalf(streamName, half, object) {
						return false
					}
				}
				return true
			}
			forged := Manifest{Stream: m.Stream, Serial: m.Serial, Previous: m.Previous, Time: m.Time, Record: m.Record}
			for _, source := range []struct {
				of   *Manifest
				take func(string) bool
			}{{m, keep}, {&first.Manifest, func(n string) bool { return !keep(n) }}} {
				for _, o := range source.of.Objects {
					if source.take(o.Name) {
						forged.Objects = append(forged.Objects, o)
					}
				}
				for _, p := range source.of.Pointers {
					if source.take(p.Name) {
						forged.Pointers = append(forged.Pointers, p)
					}
				}
			}
			forged.Record.Added, forged.Record.Removed = only(forged.digests(), m.digests()), only(m.digests(), forged.digests())
			*m = forged
		})
		_, err := to.Promote(t.Context(), staged, testStream())
		if err == nil || !strings.Contains(err.Error(), "neither made for this publication nor that of the one before") {
			t.Errorf("an old index of %s was promoted: %v", name, err)
		}
	}
}

// TestPromoteForeignKey: a key that is not in the keyring comes to nobody with a promotion.
func TestPromoteForeignKey(t *testing.T) {
	from, to := staging(t)
	mustAdd(t, from, packages(t, "1.35.0", "0"))
	forge(t, from.Bucket, false, func(m *Manifest) {
		armored, err := stranger(t).Armor()
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range m.Pointers {
			if strings.HasSuffix(p.Name, layout.ReleaseKey) || strings.HasSuffix(p.Name, layout.RepomdKey) {
				m.Pointers[i].Data += string(armored)
				sum := sha256.Sum256([]byte(m.Pointers[i].Data))
				m.Pointers[i].SHA256, m.Pointers[i].Size = hex.EncodeToString(sum[:]), int64(len(m.Pointers[i].Data))
			}
		}
	})
	if _, err := to.Promote(t.Context(), from.Bucket, testStream()); err == nil || !strings.Contains(err.Error(), "gives users the key") {
		t.Errorf("a foreign key was promoted: %v", err)
	}
}

// TestForgedManifest: what a manifest names is only what a snapshot can hold, so nothing else comes to another bucket with it.
func TestForgedManifest(t *testing.T) {
	b := bucket.NewMemory()
	mustAdd(t, publisher(t, b), packages(t, "1.35.0", "0"))
	for want, change := range map[string]func(m *Manifest){
		"names the pointer": func(m *Manifest) {
			m.Pointers = append(m.Pointers, Pointer{Object: Object{Name: streamName.Deb("install.sh"), Class: layout.Pointer, SHA256: digest(nil)}})
		},
		"and says that its SHA-256 is": func(m *Manifest) {
			name := streamName.Deb(layout.ByHash(digest([]byte("what comes next"))))
			m.Objects = append(slices.Clone(m.Objects), Object{Name: name, Class: layout.Hashed, SHA256: digest(nil)})
		},
	} {
		forged := b.Clone()
		forge(t, forged, false, change)
		if _, err := ReadState(t.Context(), forged, streamName); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a manifest that it cannot be: %v, want one that says %q", err, want)
		}
	}
}

// TestPromoteForgedPackages: a package that no key has signed the digest of takes no name in production, whatever the manifest in
// the bucket for staging says of it.
func TestPromoteForgedPackages(t *testing.T) {
	const name = string(streamName) + "/deb/amd64/kubectl_1.35.0-1.1_amd64.deb"
	for want, change := range map[string]func(m *Manifest, other string){
		"and the manifest": func(m *Manifest, other string) { // gives a package other bytes
			m.Objects = slices.Clone(m.Objects)
			i := slices.IndexFunc(m.Objects, func(o Object) bool { return o.Name == name })
			m.Objects[i].SHA256 = other
		},
		"and the signed index does not": func(m *Manifest, other string) { // has one more
			m.Objects = append(slices.Clone(m.Objects), Object{Name: strings.ReplaceAll(name, "1.35.0", "1.35.9"), Class: layout.Package, Size: 5, SHA256: other})
			slices.SortFunc(m.Objects, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
			m.Record.Added = append(slices.Clone(m.Record.Added), "deb/amd64/kubectl_1.35.9-1.1_amd64.deb")
			slices.Sort(m.Record.Added)
		},
	} {
		from, to := staging(t)
		mustAdd(t, from, packages(t, "1.35.0", "0"))
		forge(t, from.Bucket, false, func(m *Manifest) { change(m, digest([]byte("other"))) })
		if _, err := to.Promote(t.Context(), from.Bucket, testStream()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("promoted a forged package: %v, want an error that says %q", err, want)
		}
	}
}

// copying is a store that copies by itself, and believes of an object's digest what it was told.
type copying struct{ *bucket.Memory }

func (c copying) CopyFrom(ctx context.Context, from bucket.Bucket, source bucket.Info, name string, options bucket.PutOptions) (bucket.Info, error) {
	data, _, err := readAll(ctx, from, source.Name, maxIndex)
	if err != nil {
		return bucket.Info{}, err
	}
	info, err := c.Put(ctx, name, text(data), options)
	info.SHA256 = source.SHA256
	return info, err
}

// TestPromoteClaimedDigest: a package that is not what its store was told takes no name in production. Names there are for
// good.
func TestPromoteClaimedDigest(t *testing.T) {
	from, to := staging(t)
	production := bucket.NewMemory()
	to.Bucket = copying{production}
	mustAdd(t, from, packages(t, "1.35.0", "0"))
	const name = string(streamName) + "/deb/amd64/kubectl_1.35.0-1.1_amd64.deb"
	if err := from.Bucket.(*bucket.Memory).Corrupt(name, func(data []byte) []byte { data[len(data)-1] ^= 1; return data }); err != nil {
		t.Fatal(err)
	}
	if _, err := promote(t, from, to); !errors.As(err, new(*AlteredError)) {
		t.Errorf("promoted what is not what its store says: %v", err)
	}
	if _, err := production.Stat(t.Context(), name); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("it has its name in production: %v", err)
	}
	if err := from.Bucket.(*bucket.Memory).Corrupt(name, func(data []byte) []byte { data[len(data)-1] ^= 1; return data }); err != nil {
		t.Fatal(err)
	}
	mustPromote(t, from, to)
	check(t, production)
}

// TestPromoteGates: what is staged passes the gates of the bucket that it comes to, by the configuration there.
func TestPromoteGates(t *testing.T) {
	from, to := staging(t)
	mustAdd(t, from, packages(t, "1.35.0", "0"))
	stream := testStream()
	stream.Members = map[string]Member{"kubeadm": {Main: true}}
	if _, err := to.Promote(t.Context(), from.Bucket, stream); !errors.As(err, new(*GateError)) {
		t.Errorf("a package that is no member was promoted: %v", err)
	}
}
