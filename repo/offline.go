package repo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
	"sigs.k8s.io/pkgs/sign"
)

// Request asks a machine that has the keys for signatures. It is a folder that is small enough to be carried there and to be
// read by a person:
//
//	request.json     the Request
//	signatures.json  the [Signatures], once they are made
//	new/             the new index in plain text: deb/Packages, rpm/primary.xml, rpm/filelists.xml, rpm/other.xml
//	live/            what a client reads of the index that is live, with its signatures, as it lies in the bucket, and the
//	                 keyrings that users are given
//
// It is for the packages of a cut, whose headers are signed first since the index has the digests of the signed files, or
// for an index. Nothing in it is believed: see [NewReview].
type Request struct {
	Stream layout.Stream `json:"stream"`
	// Asked is when it was written.
	Asked time.Time `json:"asked"`
	// Keys are the fingerprints of the keys that are to sign, in their order: apt's index by all of them, all else by the
	// first.
	Keys []string `json:"keys"`
	// Packages are rpms whose headers are to be signed; there are none when it is about an index.
	Packages []UnsignedPackage `json:"packages,omitempty"`
	Index    *IndexRequest     `json:"index,omitempty"`

	digest string // SHA-256 of request.json
}

// UnsignedPackage is an rpm whose header is to be signed.
type UnsignedPackage struct {
	File string `json:"file"`
	// Header is the main header, which names the package and the digest of its payload.
	Header []byte `json:"header"`
}

// IndexRequest is a publication whose index is to be signed.
type IndexRequest struct {
	// Serial is the number of the publication and From of the one that it is to follow, which has the manifest Base; From is
	// 0 and Base empty when it is the first of the stream.
	Serial int64  `json:"serial"`
	From   int64  `json:"from"`
	Base   string `json:"base,omitempty"`
	// Time is the date of the index and of its signatures, Until the one at which it expires.
	Time  time.Time `json:"time"`
	Until time.Time `json:"until"`
	// Added, Removed and Reason are those of the plan.
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	Reason  string   `json:"reason"`
	// Halves tells which indexes are made anew: deb, rpm or both.
	Halves []string `json:"halves"`
	// Sign are the SHA-256 of the texts that the publisher wants signed.
	Sign map[string]string `json:"sign"`
	// Change is what the publisher will plan again when it has the signatures; the packages to add come from their files.
	Change ChangeRequest `json:"change"`
}

// ChangeRequest is what a [Change] asks for besides the files.
type ChangeRequest struct {
	Yank     []string `json:"yank,omitempty"`
	Retire   []string `json:"retire,omitempty"`
	To       int64    `json:"to,omitempty"`
	Resign   bool     `json:"resign,omitempty"`
	Backfill bool     `json:"backfill,omitempty"`
	Unyank   bool     `json:"unyank,omitempty"`
	// Follow is the publication of another stream whose packages an alias shall have.
	Follow *Followed `json:"follow,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// Names of the files of a request.
const (
	requestFile    = "request.json"
	signaturesFile = "signatures.json"
	newFolder      = "new"
	liveFolder     = "live"
)

// maxRequest bounds the request and the signatures in bytes. The header of a package with a hundred thousand files has some
// 15 million.
const maxRequest = 256 << 20

// maxReason bounds the reason for a publication in bytes.
const maxReason = 1000

// ReadRequest reads the request in a folder.
func ReadRequest(dir string) (*Request, error) {
	data, err := readCarried(dir, requestFile, maxRequest)
	if err != nil {
		return nil, err
	}
	r := &Request{digest: digest(data)}
	if err := decodeJSON(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, requestFile), err)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, requestFile), err)
	}
	return r, nil
}

var fingerprintForm = regexp.MustCompile(`^([0-9A-F]{40}|[0-9A-F]{64})$`)

func (r *Request) check() error {
	if _, err := layout.ParseStream(string(r.Stream)); err != nil {
		return err
	}
	odd := func(fingerprint string) bool { return !fingerprintForm.MatchString(fingerprint) }
	if len(r.Keys) == 0 || slices.ContainsFunc(r.Keys, odd) || (r.Index == nil) == (len(r.Packages) == 0) {
		return errors.New("is not a request for the signatures of packages or of an index")
	}
	i := r.Index
	if i == nil {
		return nil
	}
	halves := [][]string{{"deb"}, {"rpm"}, {"deb", "rpm"}}
	if i.From < 0 || i.Serial != i.From+1 || (i.From == 0) != (i.Base == "") || !slices.ContainsFunc(halves, func(h []string) bool { return slices.Equal(h, i.Halves) }) {
		return errors.New("is not a request for the publication that follows another")
	}
	if f := i.Change.Follow; f != nil {
		if _, err := layout.ParseStream(string(f.Stream)); err != nil {
			return err
		}
	}
	// It is shown to the person who decides, and could hide or forge what else is shown.
	if i.Reason == "" || len(i.Reason) > maxReason || !utf8.ValidString(i.Reason) || strings.ContainsFunc(i.Reason, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return fmt.Errorf("has no reason of one line and at most %d bytes", maxReason)
	}
	return nil
}

// write makes the folder of a request, in the place of one that is there.
func (r *Request) write(dir string, files map[string][]byte) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("the request for stream %s: %w", r.Stream, err)
	}
	data, err := encodeJSON(r)
	if err != nil {
		return err
	}
	r.digest = digest(data)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), ".request-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	files = maps.Clone(files)
	if files == nil {
		files = map[string][]byte{}
	}
	files[requestFile] = data
	for name, data := range files {
		file := filepath.Join(fresh, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(fresh, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(fresh, dir)
}

// fingerprints are those of a keyring, in its order.
func fingerprints(ring *keys.Keyring) []string {
	var list []string
	for _, k := range ring.Keys() {
		list = append(list, k.Fingerprint)
	}
	return list
}

// draftRequest plans a change whose index is signed elsewhere by keys, and makes the request for those signatures and its
// files besides request.json. The plan can be printed, but not executed. When it is to publish nothing, the request is nil.
// at, if it is not zero, is the date of the index; it must lie between the last publication and now.
func (p *Publisher) draftRequest(ctx context.Context, stream Stream, change Change, by *keys.Keyring, at time.Time) (*Plan, *Request, map[string][]byte, error) {
	if len(by.Keys()) == 0 {
		return nil, nil, nil, errors.New("nobody is to sign: name the public key with signing.public in the configuration")
	}
	draft := &draft{by: by, at: at}
	change.signer = draft
	plan, err := p.Plan(ctx, stream, change)
	if err != nil || plan.Reason == "" {
		return plan, nil, nil, err
	}
	r := &Request{Stream: stream.Name, Asked: p.Now().UTC().Truncate(time.Second), Keys: fingerprints(by), Index: &IndexRequest{
		Serial: plan.Serial, From: plan.From, Base: plan.base.Head.Manifest, Time: plan.Time, Until: plan.Time.Add(p.Validity),
		Added: plan.Added, Removed: plan.Removed, Reason: plan.Reason, Halves: plan.fresh,
		Change: ChangeRequest{change.Yank, change.Retire, change.To, change.Resign, change.Backfill, change.Unyank, plan.following(change), change.Reason},
	}}
	if r.Index.Sign, err = draft.sums(); err != nil {
		return nil, nil, nil, err
	}
	files, err := plan.contents.texts(plan.fresh)
	if err != nil {
		return nil, nil, nil, err
	}
	if plan.base.Exists() {
		seen := &remembering{Bucket: p.Bucket, seen: map[string][]byte{}}
		if _, err := live(ctx, seen, plan.base, p.Keyring, p.Now().UTC(), true, nil); err != nil {
			return nil, nil, nil, err
		}
		for _, name := range append(livePointers(stream.Name), keyringPointers(stream.Name)...) {
			if pointer, ok := plan.base.Manifest.pointer(name); ok {
				seen.seen[name] = []byte(pointer.Data)
			}
		}
		for name, data := range seen.seen {
			files[path.Join(liveFolder, name)] = data
		}
	}
	return plan, r, files, nil
}

// following is the publication that a change has an alias follow; nil if it has it follow none.
func (p *Plan) following(change Change) *Followed {
	if change.Follow == nil {
		return nil
	}
	return p.follows
}

// livePointers are the signed files with which a client begins to read the index of a stream.
func livePointers(stream layout.Stream) []string {
	return []string{stream.Deb(layout.InRelease), stream.Rpm(layout.Repomd), stream.Rpm(layout.RepomdAsc)}
}

// texts are the indexes of some halves in plain text, by their names in a request.
func (c *Contents) texts(halves []string) (map[string][]byte, error) {
	files := map[string][]byte{}
	if slices.Contains(halves, "deb") {
		cfg := apt.Config{Date: time.Unix(0, 0).UTC()}
		for _, p := range c.Debs {
			if p.Architecture != "all" && !slices.Contains(cfg.Architectures, p.Architecture) {
				cfg.Architectures = append(cfg.Architectures, p.Architecture)
			}
		}
		index, err := apt.Index(cfg, c.Debs)
		if err != nil {
			return nil, err
		}
		for _, f := range index {
			if f.Path == layout.Packages {
				files[path.Join(newFolder, "deb", layout.Packages)] = f.Data
			}
		}
	}
	if slices.Contains(halves, "rpm") {
		index, err := yum.Index(yum.Config{Revision: "0", Date: time.Unix(0, 0)}, c.Rpms)
		if err != nil {
			return nil, err
		}
		for _, kind := range yumKinds {
			i := slices.IndexFunc(index, func(f layout.File) bool { return strings.HasSuffix(f.Path, "-"+kind+".xml.gz") })
			if files[path.Join(newFolder, "rpm", kind+".xml")], err = gunzip(index[i].Data); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

var yumKinds = []string{"primary", "filelists", "other"}

// remembering is a bucket that keeps what is read from it.
type remembering struct {
	bucket.Bucket
	mu   sync.Mutex
	seen map[string][]byte // guarded by mu
}

func (b *remembering) Open(ctx context.Context, name string) (io.ReadCloser, bucket.Info, error) {
	r, info, err := b.Bucket.Open(ctx, name)
	if err != nil {
		return nil, info, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxIndex+1))
	if err != nil {
		return nil, info, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen[name] = data
	return io.NopCloser(bytes.NewReader(data)), info, nil
}

// readFile reads a file of at most limit bytes.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: is larger than %d bytes", name, limit)
	}
	return data, err
}

// signsIndexes is who signs an index: a [*sign.Signer], or who stands for one that is elsewhere.
type signsIndexes interface {
	Release(context.Context, *apt.Release) (inRelease, releaseGpg []byte, err error)
	Repomd(context.Context, *yum.Repomd, time.Time) ([]byte, error)
	// Keyring is the keys that sign, in their order.
	Keyring() *keys.Keyring
}

var _ signsIndexes = (*sign.Signer)(nil)

// draft stands for a signer: it notes what is to be signed, and signs nothing.
type draft struct {
	by       *keys.Keyring
	at       time.Time // of the index, if it is not zero
	releases []*apt.Release
	repomds  []*yum.Repomd
}

var unsigned = []byte("not signed yet\n")

func (d *draft) Release(_ context.Context, r *apt.Release) (inRelease, releaseGpg []byte, err error) {
	d.releases = append(d.releases, r)
	return unsigned, unsigned, nil
}

func (d *draft) Repomd(_ context.Context, r *yum.Repomd, _ time.Time) ([]byte, error) {
	d.repomds = append(d.repomds, r)
	return unsigned, nil
}

func (d *draft) Keyring() *keys.Keyring { return d.by }

// sums are the SHA-256 of the texts to sign, by what a person calls them.
func (d *draft) sums() (map[string]string, error) {
	sums := map[string]string{}
	for _, r := range d.releases {
		text, err := r.WriteRelease(r.Indexes)
		if err != nil {
			return nil, err
		}
		sums["deb/"+layout.Release] = digest(text)
	}
	for i, r := range d.repomds {
		text, err := r.XML()
		if err != nil {
			return nil, err
		}
		// The snapshot's comes first.
		sums[[]string{"rpm-snapshots/", "rpm/"}[i%2]+layout.Repomd] = digest(text)
	}
	return sums, nil
}

func headerSum(header []byte) string {
	sum := sha256.Sum256(header)
	return hex.EncodeToString(sum[:])
}
