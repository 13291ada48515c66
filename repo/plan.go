package repo

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// Plan is everything that one execution will do to a bucket. It is a value: what is printed is what is executed.
type Plan struct {
	Stream layout.Stream `json:"stream"`
	Bucket string        `json:"bucket"`
	// Serial is the number of the publication to be made, and From the one that it replaces; From is 0 when the
	// stream is new. They are equal when nothing is to be published.
	Serial int64     `json:"serial"`
	From   int64     `json:"from"`
	Time   time.Time `json:"time"`
	// Reason is why there is a new publication, for instance "new packages"; empty when there is none.
	Reason string `json:"reason,omitempty"`
	// Added are the packages that come to the index and Removed those that leave it, relative to the stream; Kept is how
	// many stay.
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	Kept    int      `json:"kept"`
	// Rebuilt are packages that stay, and of which the index will say what their files do, relative to the stream.
	Rebuilt []string `json:"rebuilt,omitempty"`
	// Advisories are those about rpms that the publication changes, and Unmet says which of the packages that advisories
	// name the stream does not have.
	Advisories []AdvisoryChange `json:"advisories,omitempty"`
	Unmet      []UnmetAdvisory  `json:"unmet,omitempty"`
	// Restored are immutable objects of the live publication, relative to the stream, that the bucket has lost and that
	// are put back.
	Restored []string `json:"restored,omitempty"`
	// Finish are the pointers of the live publication that its publisher did not bring up to date.
	Finish []string `json:"finish,omitempty"`
	// Unsettled says that nothing is to be published, and that it was not noted that all which shows the live publication does:
	// see [Publisher.Settle]. Only plans that were asked to tell do.
	Unsettled bool `json:"unsettled,omitempty"`
	// Writes are the objects to write, in order: what is put back, what is to be finished, packages, hashed metadata, the manifest, HEAD,
	// pointers.
	Writes []Write `json:"writes"`

	base *State
	head Head
	// made is when the plan was begun.
	made time.Time
	// hold are objects of an earlier publication that are to be deleted unless the plan keeps them.
	hold []string
	// have are the immutable objects that are known to be in the bucket.
	have map[string]Object
	// signer signs the index, if it is not the publisher's. fresh are the halves whose index is made anew, and contents what
	// they list.
	signer   signsIndexes
	fresh    []string
	contents Contents
	// keyring tells that a keyring package is among those added.
	keyring bool
	// withdrawn is the new manifest's list.
	withdrawn []Withdrawn
	// follows is the new manifest's, and origins what is taken over from other objects, by the names of the new ones.
	follows *Followed
	origins map[string]*origin
	// lost are the objects to put back.
	lost []Write
	// seen are the generations of pointers that planning came across.
	seen *sightings
	// finish and project are the pointers to project before and after the commit.
	finish, project []Pointer
}

// Write is one object that a plan writes.
type Write struct {
	Object
	content bucket.Content
	// origin, if it is not nil, is where the object is taken over from, instead of content.
	origin *origin
}

// rely counts on an object that the bucket has. The list, which was read before the object was seen, tells whether it may be
// deleted unless it is kept.
func (p *Plan) rely(o Object, list *marks) {
	p.have[o.Name] = o
	if list.has(o.Name) {
		p.hold = append(p.hold, o.Name)
	}
}

// Empty tells whether executing the plan would write nothing.
func (p *Plan) Empty() bool { return len(p.Writes) == 0 && len(p.finish) == 0 }

// Bytes is how much the plan writes.
func (p *Plan) Bytes() int64 {
	var n int64
	for _, w := range p.Writes {
		n += w.Size
	}
	return n
}

// Print writes the plan for a person: what users will get, then what happens to the bucket.
func (p *Plan) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "stream %s in %s\n", p.Stream, p.Bucket)
	for _, name := range p.Restored {
		fmt.Fprintf(&b, "  put back %s, which the bucket has lost\n", name)
	}
	if len(p.Finish) > 0 {
		fmt.Fprintf(&b, "  finish serial %d, which was committed but not brought to all pointers: %s\n", p.From, strings.Join(p.Finish, ", "))
	}
	if p.Reason == "" {
		fmt.Fprintf(&b, "  nothing to publish: serial %d has it all, %s\n", p.From, Count(p.Kept, "package"))
		if p.Unsettled {
			fmt.Fprintf(&b, "  its run was cut off, or is still on its way: whatever shows it besides is looked at once more, the lists of streams, aliases and the CDN\n")
		}
		p.printUnmet(&b)
		_, err := io.WriteString(w, b.String())
		return err
	}
	if p.From == 0 {
		fmt.Fprintf(&b, "  serial %d, the first of this stream: %s\n", p.Serial, p.Reason)
	} else {
		fmt.Fprintf(&b, "  serial %d after %d: %s\n", p.Serial, p.From, p.Reason)
	}
	fmt.Fprintf(&b, "  packages: %d new, %d kept, %d removed\n", len(p.Added), p.Kept, len(p.Removed))
	sizes := map[string]int64{}
	for _, w := range p.Writes {
		sizes[w.Name] = w.Size
	}
	for _, name := range p.Added {
		size := "is in the bucket"
		if n, ok := sizes[string(p.Stream)+"/"+name]; ok {
			size = Size(n)
		}
		fmt.Fprintf(&b, "    + %-60s %s\n", name, size)
	}
	for _, name := range p.Removed {
		fmt.Fprintf(&b, "    - %-60s its file stays\n", name)
	}
	for _, name := range p.Rebuilt {
		fmt.Fprintf(&b, "    ~ %-60s its record is made anew\n", name)
	}
	printAdvisories(&b, p.Advisories)
	p.printUnmet(&b)
	type total struct {
		class  layout.Class
		number int
		size   int64
	}
	var totals []total
	for _, w := range p.Writes {
		i := slices.IndexFunc(totals, func(t total) bool { return t.class == w.Class })
		if i < 0 {
			i = len(totals)
			totals = append(totals, total{class: w.Class})
		}
		totals[i].number++
		totals[i].size += w.Size
	}
	fmt.Fprintf(&b, "  writes, in this order:\n")
	for _, t := range totals {
		fmt.Fprintf(&b, "    %4d %-11s %s\n", t.number, t.class, Size(t.size))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *Plan) printUnmet(b *strings.Builder) {
	for _, u := range p.Unmet {
		fmt.Fprintf(b, "  note: %s\n", u)
	}
}
