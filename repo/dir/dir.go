// Package dir makes an apt repository, a yum repository or both of a directory of packages, in place: it leaves the
// packages where they are and writes the indexes beside them, as createrepo_c, apt-ftparchive and dpkg-scanpackages do.
// The packages may be anybody's.
//
// # What is written
//
// Flat, for a line "deb [signed-by=…] https://host/dir/ ./" or "baseurl=https://host/dir/":
//
//	Packages Packages.gz …            and Contents-<arch>.gz where it was asked for
//	by-hash/SHA256/<digest>           each of them again
//	Release InRelease Release.gpg     the last two, and Release.key, where there is a key
//	repodata/<sha256>-primary.xml.gz  and filelists, other, updateinfo
//	repodata/repomd.xml               and repomd.xml.asc and repomd.xml.key where there is a key
//
// Dists, for "deb https://host/dir/ <suite> <component>": packages lie below pool/, and the same files of apt below
// dists/<suite>/, with an index for each architecture at <component>/binary-<arch>/Packages. Packages of all
// architectures are in each of them. Where there are several components, those of one lie below pool/<component>/.
//
// # How
//
// Packages are looked for in all folders below the directory, and in those that symbolic links in it lead to. A link to a
// file that is found by its own name counts for nothing, so that kubelet-latest.rpm may be one; of other files with the same
// bytes the first is indexed.
//
// All packages are read, as many at a time as there are processors, before anything is written. Of each there remains a
// record: what the indexes say of it. Records go to a file without a name, since those of a hundred thousand packages are
// many times larger than memory may be; only what they are sorted by is held. The indexes are then written in one pass
// over the records (see package packed) to files in .pkgs/new, and moved to their names at last: what has a digest in its
// name first, the files in which clients begin last. So at every moment a client of the hashed names finds one state or
// the other whole. Indexes that neither the new state nor the one before names are removed. A lock on the directory itself
// keeps two runs apart.
//
// # State
//
// With Update the records are kept, in .pkgs/deb and .pkgs/rpm, together with the size and the modification time of each
// file, and a package that has both still is not read again. A record that does not fit its file any more is made anew; a
// state that is damaged is of no use and is made anew as a whole. The result is the same to the byte as without it. A file
// that was changed less than two seconds before it was read is read again the next time, since its time may not tell of a
// second change.
package dir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/packed"
	"sigs.k8s.io/pkgs/repo/yum"
	"sigs.k8s.io/pkgs/sign"
)

// Config says what to make of a directory.
type Config struct {
	// Deb and Rpm say which repositories to make. Neither is: of the formats that there are packages of.
	Deb, Rpm bool
	// Update keeps records and uses those that are there.
	Update bool
	// SkipInvalid leaves out packages that are not fit to be indexed, instead of making nothing at all.
	SkipInvalid bool
	// Compress are the compressions of the apt indexes, which are also there without any. Of the yum indexes there is one
	// file each, in the first of them. Empty is gzip.
	Compress []packed.Compression
	// Contents adds what each deb installs, as apt-file reads it. It has to unpack all of them.
	Contents bool
	// TrustContents does not judge what debs install, which is not in their index: see apt.Reader.
	TrustContents bool

	// Release holds the fields of the apt repository's Release. Its architectures are added to those that there are
	// packages for. Date is the time of both repositories, and of their signatures.
	Release apt.Config
	// Dists chooses the layout with dists/ and pool/; Suite or Codename of Release names the folder then, and Components
	// is main if it is empty.
	Dists bool

	// Tags and Advisories are for the yum repository. A package that an advisory names and that is not there is an error.
	Tags       yum.Tags
	Advisories []yum.Notice

	// Signer signs the indexes, unless it is nil; it is opened meanwhile if it is not open. Keyring is the key file that goes
	// with them.
	Signer  *sign.Signer
	Keyring *keys.Keyring

	// Progress is called after each package that was read, never by two goroutines at a time; bytes are those read so far.
	Progress func(done, total int, bytes int64)
	Log      *slog.Logger
}

// Result says what was done.
type Result struct {
	// Debs and Rpms are how many packages are in the indexes. Read are those of them that were read, the others had a record.
	Debs int `json:"debs"`
	Rpms int `json:"rpms"`
	Read int `json:"read"`
	// Refused says why packages are not in the indexes.
	Refused []string `json:"refused,omitempty"`
	// Copies says which files are not in the indexes because one with the same bytes is.
	Copies []string `json:"copies,omitempty"`
	// Anew says what of the state was damaged or did not fit, and was made anew.
	Anew []string `json:"anew,omitempty"`
	// Written and Removed are the files that changed, relative to the directory.
	Written []string `json:"written"`
	Removed []string `json:"removed,omitempty"`
}

// RefusedError says why nothing was written: each line is about one package.
type RefusedError struct{ Problems []string }

func (e *RefusedError) Error() string {
	const most = 20
	lines := e.Problems[:min(len(e.Problems), most)]
	text := strings.Join(lines, "\n  ")
	if more := len(e.Problems) - len(lines); more > 0 {
		text += fmt.Sprintf("\n  and %d more", more)
	}
	return "nothing was written, because of packages that are not fit for an index:\n  " + text
}

// run is one call of Index.
type run struct {
	Config
	root   string
	pool   *packed.Pool
	result Result
	// draft is what will be written; scanned the time of the file system at the beginning.
	draft          *draft
	scanned        time.Time
	large          sync.Mutex // held while a package is read that takes much memory
	contentsMemory int        // see there
	// forget is set when the state has proved to be damaged.
	forget bool
}

// errState is the error of a record that cannot be read.
var errState = errors.New("the state is damaged")

// Index indexes the directory called root. When it returns an error, and when ctx ends, the indexes are as they were,
// unless the file system failed in the moment in which they were moved to their names.
func Index(ctx context.Context, root string, cfg Config) (*Result, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Compress) == 0 {
		cfg.Compress = []packed.Compression{packed.Gzip}
	}
	if cfg.Dists && len(cfg.Release.Components) == 0 {
		cfg.Release.Components = []string{"main"}
	}
	if cfg.Dists && suite(cfg.Release) == "" {
		return nil, errors.New("a repository below dists/ needs the name of a suite or a codename")
	}
	r := &run{Config: cfg, root: root, pool: packed.NewPool(), contentsMemory: contentsMemory}
	unlock, err := lock(root)
	if err != nil {
		return nil, err
	}
	defer unlock()
	err = r.index(ctx)
	if errors.Is(err, errState) {
		r.anew(err)
		r.result, r.forget = Result{Anew: r.result.Anew}, true
		err = r.index(ctx)
	}
	if err != nil {
		return nil, err
	}
	return &r.result, nil
}

// anew notes that something of the state cannot be used.
func (r *run) anew(why error) {
	r.result.Anew = append(r.result.Anew, why.Error())
	r.Log.Info("made anew", "reason", why)
}

func (r *run) index(ctx context.Context) (err error) {
	if r.draft, err = newDraft(r.root); err != nil {
		return err
	}
	defer r.draft.remove()
	if r.scanned, err = r.draft.now(); err != nil {
		return err
	}
	deb, rpm := &book{format: r.debFormat(), state: &state{}}, &book{format: r.rpmFormat(), state: &state{}}
	defer deb.close()
	defer rpm.close()
	loaded, opened := r.loadStates(deb, rpm), r.openSigner(ctx)
	debs, rpms, err := r.walk(ctx)
	if r.Update {
		r.look(debs)
		r.look(rpms)
	}
	loaded()
	if err := cmp.Or(err, opened()); err != nil {
		return err
	}
	wantDeb, wantRpm := r.Deb, r.Rpm
	if !wantDeb && !wantRpm {
		wantDeb, wantRpm = len(debs) > 0, len(rpms) > 0
		switch {
		case wantDeb || wantRpm:
		case len(r.result.Refused) > 0 && !r.SkipInvalid:
			return &RefusedError{r.result.Refused}
		default:
			return fmt.Errorf("%s: there are no packages below it: name the format to make an empty repository", r.root)
		}
	}
	var books []*book
	for _, f := range []struct {
		book   *book
		wanted bool
		files  []file
	}{{deb, wantDeb, debs}, {rpm, wantRpm, rpms}} {
		if !f.wanted {
			continue
		}
		if err := r.read(ctx, f.book, f.files); err != nil {
			return err
		}
		books = append(books, f.book)
	}
	if len(r.result.Refused) > 0 && !r.SkipInvalid {
		return &RefusedError{r.result.Refused}
	}
	for _, b := range books {
		if err := b.format.write(ctx, b); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	r.result.Written, r.result.Removed, err = r.draft.commit()
	return err
}

// openSigner begins to open the signing keys, and returns what waits until they are: what is wrong with them is to be known
// before packages are read.
func (r *run) openSigner(ctx context.Context) (wait func() error) {
	if r.Signer == nil {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() { done <- r.Signer.Open(ctx) }()
	return func() error { return <-done }
}

// refuse notes why a package is not indexed.
func (r *run) refuse(why error) {
	r.result.Refused = append(r.result.Refused, why.Error())
	r.Log.Info("package refused", "reason", why)
}

// copy notes that a file is not indexed because it has the bytes of another.
func (r *run) copy(of, indexed string) {
	r.result.Copies = append(r.result.Copies, fmt.Sprintf("%s: is a copy of %s", of, indexed))
}

// suite is the name of the folder below dists/.
func suite(c apt.Config) string {
	if c.Suite != "" {
		return c.Suite
	}
	return c.Codename
}
