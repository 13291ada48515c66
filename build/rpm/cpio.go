package rpm

import (
	"fmt"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
)

// archive is the cpio archive of entries, as segments. Its format is "new ASCII", see cpio(5): a member has a header of
// six digits and 13 numbers of eight hex digits, its name with a zero byte behind, and its bytes; name and bytes are
// filled up with zeros so that what follows begins at a multiple of four.
func archive(entries []payload.Entry, at time.Time) []payload.Segment {
	var all []payload.Segment
	for i, e := range entries {
		head := member{
			inode: i + 1, mode: mode(e), time: at.Unix(), size: size(e), name: "." + e.Path,
		}.header()
		all = append(all, payload.Segment{Bytes: head})
		switch e.Kind {
		case payload.File:
			all = append(all, payload.Segment{Content: e.Content})
		case payload.Symlink:
			all = append(all, payload.Segment{Bytes: []byte(e.Target)})
		}
		all = append(all, payload.Segment{Bytes: make([]byte, -size(e)&3)})
	}
	return append(all, payload.Segment{Bytes: member{name: "TRAILER!!!"}.header()})
}

type member struct {
	inode int
	mode  uint32
	time  int64
	size  int64
	name  string
}

func (m member) header() []byte {
	// Owner and group are names in the rpm header; here everything belongs to number 0. There is one link to each file.
	b := fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", m.inode, m.mode, 0, 0, 1, m.time,
		m.size, 0, 0, 0, 0, len(m.name)+1, 0)
	b = append(b, m.name...)
	b = append(b, 0)
	return append(b, make([]byte, -len(b)&3)...)
}
