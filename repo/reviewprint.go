package repo

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Print writes the review for a person.
func (v *Review) Print(w io.Writer) error {
	var b strings.Builder
	if v.request.Index == nil {
		fmt.Fprintf(&b, "stream %s: %s to be signed\n", v.Stream, Count(len(v.Headers), "package"))
		for _, h := range v.Headers {
			fmt.Fprintf(&b, "    %-50s built %s, payload %s\n", h.File, stamp(h.Built), h.PayloadSHA256)
		}
	} else {
		after := "the first of this stream"
		if v.From > 0 {
			after = fmt.Sprintf("after %d", v.From)
		}
		fmt.Fprintf(&b, "stream %s: the index of serial %d, %s, is to be signed: %s\n", v.Stream, v.Serial, after, v.Reason)
		fmt.Fprintf(&b, "  dated %s, valid until %s\n", stamp(v.Time), stamp(v.Until))
		fmt.Fprintf(&b, "  packages: %d new, %d kept, %d removed\n", len(v.Added), v.Kept, len(v.Removed))
		for _, p := range v.Added {
			fmt.Fprintf(&b, "    + %-60s %-10s %s\n", p.Name, Size(p.Size), p.SHA256)
		}
		for _, name := range v.Removed {
			fmt.Fprintf(&b, "    - %s\n", name)
		}
		printAdvisories(&b, v.Advisories)
		for _, name := range slices.Sorted(maps.Keys(v.Sign)) {
			fmt.Fprintf(&b, "  %-25s %s\n", name, v.Sign[name])
		}
	}
	for _, k := range v.Keys {
		fmt.Fprintf(&b, "  key %s\n", k)
	}
	for _, n := range v.Notes {
		fmt.Fprintf(&b, "  note: %s\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
