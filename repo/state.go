package repo

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// Head is the content of a stream's HEAD object: which manifest is live. Replacing it, on the condition that it is
// still the one that was read, is the commit of a publication.
type Head struct {
	Stream layout.Stream `json:"stream"`
	// Serial counts the stream's publications from 1 and only grows.
	Serial int64 `json:"serial"`
	// Time is when the publication was planned, in UTC with whole seconds. It is also the Date of its Release.
	Time time.Time `json:"time"`
	// Manifest is the SHA-256 of the manifest's bytes in lower-case hex; with the serial it gives its name.
	Manifest string `json:"manifest"`
	// URL is the public address of the bucket's root, without a slash at the end. It is not in the manifest, which is the
	// same in every bucket that the publication was promoted to.
	URL string `json:"url"`
	// Before are the publications that were live in this bucket before this one, the newest first, at most Retained-1.
	Before []Ref `json:"before,omitempty"`
	// Promotion is the record of the last promotion to this bucket; nil if there was none.
	Promotion *Ref `json:"promotion,omitempty"`
}

// equal tells whether two HEADs say the same.
func (h *Head) equal(o *Head) bool {
	return h.Stream == o.Stream && h.Serial == o.Serial && h.Time.Equal(o.Time) && h.Manifest == o.Manifest && h.URL == o.URL &&
		slices.Equal(h.Before, o.Before) && (h.Promotion == nil) == (o.Promotion == nil) && (h.Promotion == nil || *h.Promotion == *o.Promotion)
}

// Ref names an immutable object of a stream's state, a manifest or the record of a promotion, which has the serial and the
// digest in its name.
type Ref struct {
	Serial int64  `json:"serial"`
	SHA256 string `json:"sha256"` // lower-case hex
}

// Retained is how many publications' objects are kept in any case: those of the live one and of the last that were live
// in the same bucket before it.
const Retained = 5

// follow returns the HEAD that makes a manifest live in place of the state's.
func (s *State) follow(m *Manifest, sha256, url string) Head {
	next := Head{Stream: m.Stream, Serial: m.Serial, Time: m.Time, Manifest: sha256, URL: url, Promotion: s.Head.Promotion}
	if s.Exists() {
		next.Before = append([]Ref{{s.Head.Serial, s.Head.Manifest}}, s.Head.Before...)
		next.Before = next.Before[:min(len(next.Before), Retained-1)]
	}
	return next
}

// Manifest lists everything that one publication of a stream consists of. Its JSON is an immutable object of its own.
type Manifest struct {
	Stream layout.Stream `json:"stream"`
	Serial int64         `json:"serial"`
	Time   time.Time     `json:"time"`
	// Previous is the SHA-256 of the manifest that this one followed; empty for the first.
	Previous string `json:"previous,omitempty"`
	// Record tells how the publication came about.
	Record Record `json:"record"`
	// Withdrawn are packages that a person took out of the index, by a yank or a rollback, and that have not come back
	// since. Whoever fills in what is missing leaves them out.
	Withdrawn []Withdrawn `json:"withdrawn,omitempty"`
	// Follows tells, of an alias, whose packages it has; nil for all other streams.
	Follows *Followed `json:"follows,omitempty"`
	// Objects are the immutable objects, packages and hashed metadata, in the order of their names.
	Objects []Object `json:"objects"`
	// Pointers are the objects with fixed names, in the order in which they are brought up to date. Those of a
	// repository that this publication did not change come first. So the bytes of the last pointer differ from those of
	// any publication before, and when a client can see them, all others were written before.
	Pointers []Pointer `json:"pointers"`
}

// Record is the audit record of a publication. It stands in the manifest, which names the manifest before it by digest: so
// the records of a stream are a chain that nobody can change without changing HEAD, and none can be missing.
type Record struct {
	// By is who published, as the program that did it was told.
	By     string `json:"by"`
	Reason string `json:"reason"`
	// Config is the SHA-256 of the configuration that the plan was made with.
	Config string `json:"config,omitempty"`
	// Keys are the fingerprints of the keys that signed.
	Keys []string `json:"keys"`
	// Added and Removed are the packages that came to the index and left it, relative to the stream.
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
}

// Object is one immutable object of a snapshot.
type Object struct {
	Name   string       `json:"name"`
	Class  layout.Class `json:"class"`
	Size   int64        `json:"size"`
	SHA256 string       `json:"sha256"`
	// Since is the serial of the publication that wrote the object, which is never newer than that one's manifest; 0 for
	// objects that are not immutable.
	Since int64 `json:"since,omitempty"`
}

// Pointer is one object with a fixed name and the bytes that it has in this snapshot. A manifest holds those bytes, so
// that a publication which was cut off after its commit can be finished by anybody who can write to the bucket, without
// the signing key.
type Pointer struct {
	Object
	// Data is the bytes themselves, which are text.
	Data string `json:"data,omitempty"`
	// Copy is, instead of Data, the immutable object of this snapshot that has the same bytes.
	Copy string `json:"copy,omitempty"`
	// Lead is, instead of Data, a folder of the bucket: the pointer's bytes are one line with the folder's public address.
	// They differ from bucket to bucket, so the size and digest here are those of Lead. A mirrorlist is such a pointer,
	// since neither librepo nor libzypp take addresses in it that are not absolute.
	Lead string `json:"lead,omitempty"`
}

// in is what a pointer whose bytes are not a copy is in the bucket with a public address.
func (p *Pointer) in(url string) (Object, []byte) {
	if p.Lead == "" {
		return p.Object, []byte(p.Data)
	}
	line := []byte(url + "/" + p.Lead + "\n")
	return Object{Name: p.Name, Class: p.Class, Size: int64(len(line)), SHA256: digest(line)}, line
}

// Bounds of what is read from a bucket into memory.
const (
	maxHead     = 1 << 16
	maxManifest = 256 << 20
	maxIndex    = 1 << 30
)

// State is a stream as its HEAD describes it.
type State struct {
	Head     Head
	Manifest Manifest
	// Generation is that of the HEAD object; it is empty when the stream was never published.
	Generation bucket.Generation
}

// Exists tells whether the stream was ever published.
func (s *State) Exists() bool { return s.Generation != "" }

// Has tells whether the live snapshot has an immutable object; name is relative to the stream.
func (s *State) Has(name string) bool {
	_, ok := s.Manifest.object(string(s.Manifest.Stream) + "/" + name)
	return ok
}

// Packages are the names of the packages in the live index, relative to the stream, in order.
func (s *State) Packages() []string { return s.Manifest.packages() }

// Find resolves what a person calls packages to their names in the live index, relative to the stream: such a name itself,
// or package=version, which stands for the package's files in both formats and for every architecture. The revision counts
// as part of the version.
func (s *State) Find(wanted []string) ([]string, error) {
	found := []string{}
	for _, w := range wanted {
		before := len(found)
		name, version, _ := strings.Cut(w, "=")
		var others []string
		for _, p := range s.Manifest.packages() {
			is := layout.ParsePackageName(p)
			has := is.Version + "-" + is.Revision
			if p == w || is.Name == name && has == version {
				found = append(found, p)
			}
			if is.Name == name {
				others = append(others, name+"="+has)
			}
		}
		if len(found) > before {
			continue
		}
		slices.Sort(others)
		if others = slices.Compact(others); len(others) == 0 {
			return nil, fmt.Errorf("there is no package %s in the index of %s: name one as kubelet=1.35.0-1.1", name, s.Head.Stream)
		}
		return nil, fmt.Errorf("there is no package %s in the index of %s: name one of %s", w, s.Head.Stream, strings.Join(others, ", "))
	}
	return found, nil
}

// packages are the names of the packages in the index, relative to the stream, in order.
func (m *Manifest) packages() []string {
	var names []string
	for _, o := range m.Objects {
		if o.Class == layout.Package {
			names = append(names, strings.TrimPrefix(o.Name, string(m.Stream)+"/"))
		}
	}
	return names
}

// object finds an immutable object of the snapshot by name.
func (m *Manifest) object(name string) (Object, bool) {
	for _, o := range m.Objects {
		if o.Name == name {
			return o, true
		}
	}
	return Object{}, false
}

// pointer finds a pointer of the snapshot by name.
func (m *Manifest) pointer(name string) (Pointer, bool) {
	for _, p := range m.Pointers {
		if p.Name == name {
			return p, true
		}
	}
	return Pointer{}, false
}

// ReadState reads a stream's HEAD and the manifest that it names: two reads. A stream that was never published gives a
// State whose Exists is false, after two reads more that make sure of it. The manifest's bytes are checked against the digest in HEAD; what both say is only as
// good as the bucket's access rules until the signatures inside are checked.
func ReadState(ctx context.Context, b bucket.Bucket, stream layout.Stream) (*State, error) {
	state, err := readLive(ctx, b, stream)
	if err != nil || state.Exists() {
		return state, err
	}
	return unlessLost(ctx, b, stream)
}

// unlessLost reads the state of a stream whose HEAD was not there: it does not exist if it was never published.
func unlessLost(ctx context.Context, b bucket.Bucket, stream layout.Stream) (*State, error) {
	pointer, err := anyPointer(ctx, b, stream)
	if pointer == "" {
		return &State{Head: Head{Stream: stream}}, err
	}
	// It was published after all: just now, or long ago.
	state, err := readLive(ctx, b, stream)
	if err == nil && !state.Exists() {
		return nil, &HeadLostError{Stream: stream, Bucket: b.String(), Pointer: pointer}
	}
	return state, err
}

// readLive reads what HEAD says; the state does not exist if there is no HEAD.
func readLive(ctx context.Context, b bucket.Bucket, stream layout.Stream) (*State, error) {
	data, info, err := readAll(ctx, b, stream.Head(), maxHead)
	if errors.Is(err, bucket.ErrNotExist) {
		return &State{Head: Head{Stream: stream}}, nil
	}
	if err != nil {
		return nil, err
	}
	state := &State{Generation: info.Generation}
	if err := decodeJSON(data, &state.Head); err != nil {
		return nil, fmt.Errorf("%s/%s: %w", b, stream.Head(), err)
	}
	head := state.Head
	if head.Stream != stream || head.Serial < 1 || len(head.Manifest) != 64 {
		return nil, fmt.Errorf("%s/%s: is not a HEAD of stream %s", b, stream.Head(), stream)
	}
	m, err := readManifest(ctx, b, stream, head.Serial, head.Manifest)
	if err != nil {
		return nil, err
	}
	if !m.Time.Equal(head.Time) {
		return nil, fmt.Errorf("%s/%s: is of %s, and the manifest that it names of %s", b, stream.Head(), head.Time.Format(time.RFC3339), m.Time.Format(time.RFC3339))
	}
	state.Manifest = *m
	return state, nil
}

// HeadLostError says that a stream was published, since a pointer is there, and that its HEAD is not.
type HeadLostError struct {
	Stream          layout.Stream
	Bucket, Pointer string
}

func (e *HeadLostError) Error() string {
	return fmt.Sprintf("%s/%s is lost, and %s is there: publishing anew would begin at serial 1 and take back what was published. Bring HEAD back from the bucket's older versions or a backup",
		e.Bucket, e.Stream.Head(), e.Pointer)
}

// anyPointer finds a pointer that a published stream has; empty if there is none.
func anyPointer(ctx context.Context, b bucket.Bucket, stream layout.Stream) (string, error) {
	var found [2]string
	var group errgroup.Group
	for i, name := range []string{stream.Deb(layout.InRelease), stream.Rpm(layout.Repomd)} {
		group.Go(func() error {
			_, err := b.Stat(ctx, name)
			if err == nil {
				found[i] = name
			} else if errors.Is(err, bucket.ErrNotExist) {
				return nil
			}
			return err
		})
	}
	err := group.Wait()
	return cmp.Or(found[:]...), err
}

// AlteredError says that an object does not have the bytes that what names it, a signed index or a later record, says.
type AlteredError struct {
	Bucket, Name string
	Want, Have   string // SHA-256, lower-case hex
}

func (e *AlteredError) Error() string {
	return fmt.Sprintf("%s/%s: has SHA-256 %s, and what names it says %s: it was altered after it was published", e.Bucket, e.Name, e.Have, e.Want)
}

// readManifest reads the manifest with a digest.
func readManifest(ctx context.Context, b bucket.Bucket, stream layout.Stream, serial int64, sha256 string) (*Manifest, error) {
	name := stream.Manifest(serial, sha256)
	data, _, err := readAll(ctx, b, name, maxManifest)
	if err != nil {
		return nil, err
	}
	if got := digest(data); got != sha256 {
		return nil, &AlteredError{Bucket: b.String(), Name: name, Want: sha256, Have: got}
	}
	m := &Manifest{}
	if err := decodeJSON(data, m); err != nil {
		return nil, fmt.Errorf("%s/%s: %w", b, name, err)
	}
	if err := m.check(stream, serial); err != nil {
		return nil, fmt.Errorf("%s/%s: %w", b, name, err)
	}
	return m, nil
}

// check refuses a manifest that is another's than its name says, or names objects outside of its stream.
func (m *Manifest) check(stream layout.Stream, serial int64) error {
	if (m.Previous == "") != (m.Serial == 1) {
		return fmt.Errorf("is serial %d and says that %q came before it", m.Serial, m.Previous)
	}
	if m.Stream != stream || m.Serial != serial {
		return fmt.Errorf("is the manifest of %s serial %d", m.Stream, m.Serial)
	}
	for _, o := range m.Objects {
		if !strings.HasPrefix(o.Name, string(m.Stream)+"/") || !layout.ClassOf(o.Name).Policy().Immutable || o.Size < 0 || len(o.SHA256) != 64 {
			return fmt.Errorf("names the object %q, which no snapshot of %s can hold", o.Name, m.Stream)
		}
		if sum := layout.NamedDigest(o.Name); sum != "" && sum != o.SHA256 {
			return fmt.Errorf("names the object %q, and says that its SHA-256 is %s", o.Name, o.SHA256)
		}
	}
	if f := m.Follows; f != nil {
		if _, err := layout.ParseStream(string(f.Stream)); err != nil || f.Stream == stream || f.Serial < 1 || len(f.Manifest) != 64 {
			return fmt.Errorf("follows serial %d of %q, which cannot be", f.Serial, f.Stream)
		}
	}
	pointers := m.Stream.Pointers()
	for _, p := range m.Pointers {
		if !slices.Contains(pointers, p.Name) {
			return fmt.Errorf("names the pointer %q, which no snapshot of %s can hold", p.Name, m.Stream)
		}
		if p.Lead != "" {
			if !strings.HasPrefix(p.Lead, string(m.Stream)+"/") || digest([]byte(p.Lead)) != p.SHA256 {
				return fmt.Errorf("pointer %s leads to %q, which is not a folder of the stream with the digest that it says", p.Name, p.Lead)
			}
		} else if p.Copy != "" {
			if o, ok := m.object(p.Copy); !ok || o.SHA256 != p.SHA256 {
				return fmt.Errorf("pointer %s is a copy of %q, which the manifest does not hold with the same digest", p.Name, p.Copy)
			}
		} else if digest([]byte(p.Data)) != p.SHA256 {
			return fmt.Errorf("pointer %s has data of another digest than it says", p.Name)
		}
	}
	return nil
}

// encode gives the bytes of HEAD or of a manifest: indented, so that a person can read and compare them.
func encodeJSON(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", " ")
	return append(data, '\n'), err
}

func decodeJSON(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("cannot be read: %w (was it written by a newer version of this program?)", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("has something after its end")
	}
	return nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// readAll reads an object of at most limit bytes into memory.
func readAll(ctx context.Context, b bucket.Bucket, name string, limit int64) ([]byte, bucket.Info, error) {
	r, info, err := b.Open(ctx, name)
	if err != nil {
		return nil, bucket.Info{}, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, bucket.Info{}, err
	}
	if int64(len(data)) > limit {
		return nil, bucket.Info{}, fmt.Errorf("%s/%s: is larger than %d bytes", b, name, limit)
	}
	return data, info, nil
}

func digestReader(r io.Reader) (string, error) {
	h := sha256.New()
	_, err := io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), err
}
