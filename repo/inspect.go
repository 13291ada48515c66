package repo

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// DamageKind tells in which way an object is not what it should be.
type DamageKind string

const (
	// Lost objects are named by the live snapshot and not in the bucket; a lost manifest is named by the next one.
	Lost DamageKind = "lost"
	// Altered objects are immutable and have another size or other bytes than when they were published.
	Altered DamageKind = "altered"
	// Displaced pointers have other bytes than the live snapshot gives them.
	Displaced DamageKind = "displaced"
	// Extra objects are ones that no publication of the stream can have put there, or packages that were uploaded and
	// never published.
	Extra DamageKind = "extra"
)

// Damage is one object of a stream that is not what it should be.
type Damage struct {
	Kind   DamageKind
	Object Object // as it should be; of an extra object, as it is, without a digest
	Detail string
}

func (d Damage) String() string { return fmt.Sprintf("%s is %s: %s", d.Object.Name, d.Kind, d.Detail) }

// Inspection is what a look at all objects of a stream found.
type Inspection struct {
	Damage []Damage // in the order of the names
	// Objects and Bytes count everything that the stream has in the bucket. Older are the objects among them that are not
	// of the live snapshot, OlderBytes their size.
	Objects, Older    int
	Bytes, OlderBytes int64
}

// Inspect compares all objects of a stream with what its live snapshot says of them, by listing the bucket: one request for
// some thousand objects. An object whose size, or whose digest as far as the listing has it, is another than it was
// published with is damaged. Bytes are read only where there is a suspicion: an immutable object that was written after the
// manifest that first named it, or a pointer that was written after the last pointer or of which the store has another MD5, is
// not what a publisher left there. The bytes of the last pointer itself are left to [Publisher.Plan], which reads it in any case.
// So a change of bytes below the store, which leaves no time behind, is not seen; verify.Stream reads everything.
func Inspect(ctx context.Context, b bucket.Bucket, state *State) (*Inspection, error) {
	stream := state.Head.Stream
	listed := map[string]bucket.Info{}
	for _, prefix := range []string{string(stream) + "/", ".state/" + string(stream) + "/"} {
		for info, err := range b.List(ctx, prefix) {
			if err != nil {
				return nil, err
			}
			listed[info.Name] = info
		}
	}
	i := &inspector{b: b, m: &state.Manifest, head: state.Head, listed: listed}
	for _, info := range listed {
		i.result.Objects++
		i.result.Bytes += info.Size
	}
	i.readManifestNames()
	i.immutable()
	i.pointers()
	i.others()
	if err := i.neverNamed(ctx, state); err != nil {
		return nil, err
	}
	if err := i.readSuspects(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(i.result.Damage, func(a, b Damage) int { return cmp.Compare(a.Object.Name, b.Object.Name) })
	return &i.result, nil
}

type inspector struct {
	b      bucket.Bucket
	m      *Manifest
	head   Head
	listed map[string]bucket.Info
	// written is when the manifest of each serial was, for serials that have one manifest; of more than one, all but one
	// were never committed, and which it is only the chain tells.
	written map[int64]time.Time
	result  Inspection
	// unindexed are packages and attestations that may have been of an earlier publication.
	unindexed []Object

	mu       sync.Mutex
	suspects []suspect
}

// suspect is an object whose bytes have to be read.
type suspect struct {
	object Object
	kind   DamageKind
	why    string
}

func (i *inspector) damage(kind DamageKind, o Object, format string, args ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.result.Damage = append(i.result.Damage, Damage{kind, o, fmt.Sprintf(format, args...)})
}

var manifestForm = regexp.MustCompile(`^([1-9][0-9]{0,17})-([0-9a-f]{64})\.json$`)

// readManifestNames finds a manifest for each serial, and suspects those that were written after the one that follows.
func (i *inspector) readManifestNames() {
	i.written = map[int64]time.Time{}
	names := map[int64][]string{}
	folder := path.Dir(i.head.Stream.Manifest(1, "")) + "/"
	for name := range i.listed {
		rest, ok := strings.CutPrefix(name, folder)
		form := manifestForm.FindStringSubmatch(rest)
		if !ok || form == nil {
			continue
		}
		serial, _ := strconv.ParseInt(form[1], 10, 64) // the pattern lets nothing else through
		names[serial] = append(names[serial], name)
	}
	live := i.head.Stream.Manifest(i.head.Serial, i.head.Manifest)
	for serial := int64(1); serial <= i.head.Serial; serial++ {
		switch {
		case len(names[serial]) == 0:
			i.damage(Lost, Object{Name: i.head.Stream.Manifest(serial, "…"), Class: layout.Hashed}, "no manifest of serial %d is there: the record of publications has a gap", serial)
		case serial == i.head.Serial:
			i.written[serial] = i.listed[live].Modified
		case len(names[serial]) == 1:
			i.written[serial] = i.listed[names[serial][0]].Modified
		}
	}
	for serial, at := range i.written {
		// HEAD was written after the manifest that it names.
		next, ok := i.written[serial+1]
		if serial == i.head.Serial {
			next, ok = i.listed[i.head.Stream.Head()].Modified, true
		}
		if name := names[serial]; ok && at.After(next) && len(name) == 1 {
			sum := manifestForm.FindStringSubmatch(path.Base(name[0]))[2]
			i.suspects = append(i.suspects, suspect{Object{Name: name[0], Class: layout.Hashed, SHA256: sum}, Altered, "was written again after serial " + strconv.FormatInt(serial+1, 10)})
		}
	}
}

// immutable compares the objects of the live snapshot.
func (i *inspector) immutable() {
	for _, o := range i.m.Objects {
		info, ok := i.listed[o.Name]
		at, known := i.written[o.Since]
		switch {
		case !ok:
			i.damage(Lost, o, "serial %d names it", i.head.Serial)
		case info.Size != o.Size:
			i.damage(Altered, o, "has %d bytes, and was published with %d", info.Size, o.Size)
		case info.SHA256 != "" && info.SHA256 != o.SHA256:
			i.damage(Altered, o, "the bucket says that its SHA-256 is %s, and it was published with %s", info.SHA256, o.SHA256)
		case known && info.Modified.After(at):
			i.suspects = append(i.suspects, suspect{o, Altered, fmt.Sprintf("was written again on %s", info.Modified.Format(time.DateTime))})
		}
	}
}

// pointers compares the pointers of the live snapshot. The last of them was written last; every plan reads that one.
func (i *inspector) pointers() {
	if len(i.m.Pointers) == 0 {
		return
	}
	last := i.listed[i.m.Pointers[len(i.m.Pointers)-1].Name].Modified
	// Stores tell times in whole seconds, in which much can be written; an MD5 tells it all. But where no pointer has the one
	// that it should, the store means something else by it.
	differs, sums := map[string]bool{}, false
	for _, pointer := range i.m.Pointers {
		p, data := pointer.in(i.head.URL)
		wants := i.listed[pointer.Copy].MD5
		if pointer.Copy == "" {
			sum := md5.Sum(data)
			wants = hex.EncodeToString(sum[:])
		}
		if has := i.listed[p.Name].MD5; has != "" && wants != "" {
			differs[p.Name] = has != wants
			sums = sums || has == wants
		}
	}
	for _, pointer := range i.m.Pointers {
		p, _ := pointer.in(i.head.URL)
		info, ok := i.listed[p.Name]
		switch {
		case !ok:
			i.damage(Displaced, p, "is missing")
		case info.Size != p.Size:
			i.damage(Displaced, p, "has %d bytes, and serial %d gives it %d", info.Size, i.head.Serial, p.Size)
		case info.SHA256 != "" && info.SHA256 != p.SHA256:
			i.damage(Displaced, p, "the bucket says that its SHA-256 is %s, and serial %d gives it %s", info.SHA256, i.head.Serial, p.SHA256)
		case info.Modified.After(last) || sums && differs[p.Name]:
			i.suspects = append(i.suspects, suspect{p, Displaced, fmt.Sprintf("was written on %s", info.Modified.Format(time.DateTime))})
		}
	}
}

// others counts what is there besides the live snapshot, and finds what cannot be of an earlier one.
func (i *inspector) others() {
	withdrawn := map[string]bool{}
	for _, w := range i.m.Withdrawn {
		withdrawn[w.Name] = true
	}
	known := map[string]bool{i.head.Stream.Head(): true, i.head.Stream.Manifest(i.head.Serial, i.head.Manifest): true}
	for _, o := range i.m.Objects {
		known[o.Name] = true
	}
	for _, p := range i.m.Pointers {
		known[p.Name] = true
	}
	for name, info := range i.listed {
		if known[name] {
			continue
		}
		o := Object{Name: name, Class: layout.ClassOf(name), Size: info.Size}
		below := strings.TrimPrefix(name, string(i.head.Stream)+"/")
		switch o.Class {
		case layout.Hashed:
		case layout.Package, layout.Attestation:
			for _, suffix := range layout.Attestations() {
				below = strings.TrimSuffix(below, suffix)
			}
			// Prereleases and nightly builds make room for newer ones, and are left for some time then.
			if withdrawn[below] || strings.Contains(path.Base(below), "~") {
				break
			}
			i.unindexed = append(i.unindexed, o)
			continue
		case layout.Page, layout.State:
		default:
			i.damage(Extra, o, "has no place in a stream, and clients could ask for it")
			continue
		}
		i.result.Older++
		i.result.OlderBytes += info.Size
	}
}

// neverNamed tells packages that an earlier publication named from those that none did. It reads as many manifests as it
// takes to find the former.
func (i *inspector) neverNamed(ctx context.Context, state *State) error {
	left := map[string]Object{}
	for _, o := range i.unindexed {
		left[o.Name] = o
	}
	if len(left) == 0 {
		return nil
	}
	err := walk(ctx, i.b, state, func(m *Manifest, _ string) bool {
		for _, o := range m.Objects {
			if there, ok := left[o.Name]; ok {
				i.result.Older++
				i.result.OlderBytes += there.Size
				delete(left, o.Name)
			}
		}
		return len(left) > 0
	})
	var chain *ChainError
	if err != nil && !errors.As(err, &chain) {
		return err
	}
	for _, o := range left {
		i.damage(Extra, o, "was uploaded on %s and no publication named it: one that was given up left it, or somebody else", i.listed[o.Name].Modified.Format(time.DateTime))
	}
	return nil
}

// suspectsAtOnce is how many objects are read at a time.
const suspectsAtOnce = 8

func (i *inspector) readSuspects(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(suspectsAtOnce)
	for _, s := range i.suspects {
		group.Go(func() error {
			r, _, err := i.b.Open(ctx, s.object.Name)
			if errors.Is(err, bucket.ErrNotExist) {
				i.damage(Lost, s.object, "vanished while it was looked at")
				return nil
			}
			if err != nil {
				return err
			}
			defer r.Close()
			sum, err := digestReader(r)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				i.damage(s.kind, s.object, "%s and cannot be read: %v", s.why, err)
			case sum != s.object.SHA256:
				i.damage(s.kind, s.object, "%s and has SHA-256 %s instead of %s", s.why, sum, s.object.SHA256)
			}
			return nil
		})
	}
	return group.Wait()
}
