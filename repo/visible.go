package repo

import (
	"context"
	"slices"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// Visible are the objects that the plan writes under names that clients know already, pointers and pages: what a cache may
// have older bytes of, once the plan is executed.
func (p *Plan) Visible() []Object {
	var objects []Object
	for _, w := range p.Writes {
		mutable := w.Class == layout.Pointer || w.Class == layout.Page
		// A pointer that is finished first may be written again for the new publication: then that is what to see.
		i := slices.IndexFunc(objects, func(o Object) bool { return o.Name == w.Name })
		switch {
		case !mutable:
		case i >= 0:
			objects[i] = w.Object
		default:
			objects = append(objects, w.Object)
		}
	}
	return objects
}

// Pointers are the pointers of the live publication, in their order, as they are in this bucket.
func (s *State) Pointers() []Object {
	var objects []Object
	for _, p := range s.Manifest.Pointers {
		o, _ := p.in(s.Head.URL)
		objects = append(objects, o)
	}
	return objects
}

// SerialOf finds the latest publication of a stream in which a pointer had a SHA-256, lower-case hex, among the live one and
// as many before it as limit says. It is 0 when there is none.
func SerialOf(ctx context.Context, b bucket.Bucket, state *State, pointer, sha256 string, limit int) (int64, error) {
	var serial int64
	err := walk(ctx, b, state, func(m *Manifest, _ string) bool {
		if p, ok := m.pointer(pointer); ok {
			if o, _ := p.in(state.Head.URL); o.SHA256 == sha256 {
				serial = m.Serial
			}
		}
		limit--
		return serial == 0 && limit >= 0
	})
	return serial, err
}
