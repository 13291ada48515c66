package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/sign"
)

// Outbox is a folder with what the next publication of a stream needs to have signed elsewhere. There is one request of each
// kind at most, so nothing piles up when nobody signs:
//
//	1-packages/   the [Request] for signatures on rpms, as long as it is not answered
//	2-index/      the [Request] for those on the index that names them
//	packages/     the packages that come with that index
//	headers.json  the signatures on rpms that came back
//
// First the rpms are signed, since the index has the digests of the signed files. A request is left as it is while it asks
// for what is needed: whoever carries it to the signer finds that the answer fits. Two processes must not work on one outbox
// at a time.
type Outbox struct {
	// Dir is the folder; it need not exist.
	Dir    string
	Stream layout.Stream
	// By are the keys that are to sign, in their order.
	By *keys.Keyring
	// Validity is how long clients may use an index; 0 is 30 days.
	Validity time.Duration
	Now      func() time.Time
}

// Outbox is the outbox of a stream in a folder, for what the keys Elsewhere are to sign.
func (p *Publisher) Outbox(dir string, stream layout.Stream) *Outbox {
	return &Outbox{Dir: dir, Stream: stream, By: p.Elsewhere, Validity: p.Validity, Now: p.Now}
}

// Names in an outbox.
const (
	HeadersFolder  = "1-packages"
	IndexFolder    = "2-index"
	PackagesFolder = "packages"
	headersFile    = "headers.json"
)

// Waiting is a request that waits: to be signed or, if it is signed, to be published.
type Waiting struct {
	// Request is its folder, and Since when it was written.
	Request string    `json:"request"`
	Since   time.Time `json:"since"`
	// Packages is how many rpms are to be signed, Serial the number of the publication whose index is: one of them is 0.
	Packages int   `json:"packages,omitempty"`
	Serial   int64 `json:"serial,omitempty"`
	Signed   bool  `json:"signed"`
	// New tells that it was written just now.
	New bool `json:"new"`
}

// WaitingError says that a publication is signed already and waits to be published, where another one should take its place.
type WaitingError struct{ Waiting }

func (e *WaitingError) Error() string {
	return fmt.Sprintf("%s: serial %d is signed, and waits to be published: publish it first, or remove the folder to give it up", e.Request, e.Serial)
}

// UnsignedError says that an rpm is not among those that were signed.
type UnsignedError struct{}

func (*UnsignedError) Error() string {
	return "is not among the packages that were signed: the release, the definitions or the program has changed since; ask for signatures again"
}

func (o *Outbox) path(name string) string { return filepath.Join(o.Dir, name) }

// Packages is the folder with the packages of the index that is to be signed.
func (o *Outbox) Packages() string { return o.path(PackagesFolder) }

// Own makes sure that what lies in the folder of the packages, which each change of the outbox clears, was put there by one:
// somebody may have named a folder that has packages of his own.
func (o *Outbox) Own() error {
	entries, err := os.ReadDir(o.Packages())
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range []string{HeadersFolder, IndexFolder, headersFile} {
		if _, err := os.Lstat(o.path(name)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s holds files and there is no request beside it that they could belong to: name another folder, or remove it", o.Packages())
}

// SignedHeaders has signatures on rpms that were made elsewhere. It is the HeaderSigner of package build.
type SignedHeaders struct {
	packages map[string]signedPackage // by file name
	by       *keys.Keyring
	now      time.Time
}

// signedPackage is an rpm that was signed: the SHA-256 of its main header in lower-case hex, and the signature packet.
type signedPackage struct {
	Header    string `json:"header"`
	Signature []byte `json:"signature"`
}

// RPMHeader returns the signature on a header. The error is an [*UnsignedError] when there is none.
func (s *SignedHeaders) RPMHeader(_ context.Context, header []byte, at time.Time) ([]byte, error) {
	sum := headerSum(header)
	for _, p := range s.packages {
		if p.Header != sum {
			continue
		}
		good, err := sign.VerifyBinary(header, p.Signature, s.by, s.now)
		if err != nil {
			return nil, err
		}
		if !good[0].Created.Equal(at) {
			return nil, fmt.Errorf("the signature is dated %s where %s was expected", good[0].Created.Format(time.RFC3339), at.Format(time.RFC3339))
		}
		return p.Signature, nil
	}
	return nil, &UnsignedError{}
}

// Files are the names of the rpms that were signed, in order.
func (s *SignedHeaders) Files() []string { return slices.Sorted(maps.Keys(s.packages)) }

// Headers returns the signatures on rpms that came back so far. It takes in an answer that lies beside its request, which it
// removes then. The error of one that is not by the key that was to sign leaves it there.
func (o *Outbox) Headers() (*SignedHeaders, error) {
	s := &SignedHeaders{packages: map[string]signedPackage{}, by: o.By.Split()[0], now: o.Now().UTC()}
	data, err := readFile(o.path(headersFile), maxRequest)
	if err == nil {
		err = decodeJSON(data, &s.packages)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", o.path(headersFile), err)
	}
	dir := o.path(HeadersFolder)
	r, err := ReadRequest(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	answer, err := ReadSignatures(dir, r)
	if err != nil || answer == nil {
		return s, err
	}
	for _, p := range r.Packages {
		sum := headerSum(p.Header)
		packet, ok := answer.Headers[sum]
		if !ok {
			return nil, fmt.Errorf("%s: there is no signature on %s in the answer: have it signed again", dir, p.File)
		}
		if _, err := sign.VerifyBinary(p.Header, packet, s.by, s.now); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", dir, p.File, err)
		}
		s.packages[p.File] = signedPackage{sum, packet}
	}
	if err := o.keep(s); err != nil {
		return nil, err
	}
	return s, os.RemoveAll(dir)
}

// Forget drops the signatures on some rpms, so that they are asked for again.
func (o *Outbox) Forget(s *SignedHeaders, files []string) error {
	for _, f := range files {
		delete(s.packages, f)
	}
	return o.keep(s)
}

func (o *Outbox) keep(s *SignedHeaders) error {
	data, err := encodeJSON(s.packages)
	if err != nil {
		return err
	}
	return replaceFile(o.path(headersFile), data)
}

// Asked reads the request for signatures on rpms that is not answered yet. It returns nil when there is none, or one that
// cannot be read or is for other keys, which a new one may replace.
func (o *Outbox) Asked() *Request {
	r, err := ReadRequest(o.path(HeadersFolder))
	if err != nil || r.Index != nil || r.Stream != o.Stream || !slices.Equal(r.Keys, fingerprints(o.By)) {
		return nil
	}
	return r
}

// waiting describes a request.
func (o *Outbox) waiting(name string, r *Request, signed, isNew bool) *Waiting {
	w := &Waiting{Request: o.path(name), Since: r.Asked, Packages: len(r.Packages), Signed: signed, New: isNew}
	if r.Index != nil {
		w.Serial = r.Index.Serial
	}
	return w
}

// Waiting describes the request for signatures on rpms that [Outbox.Asked] returns.
func (o *Outbox) Waiting(asked *Request) *Waiting {
	return o.waiting(HeadersFolder, asked, false, false)
}

// RequestPackages asks for signatures on the rpms below the directory files that are not signed, and returns nil when there
// are none.
func (o *Outbox) RequestPackages(files string) (*Waiting, error) {
	r := &Request{Stream: o.Stream, Keys: fingerprints(o.By), Asked: o.Now().UTC().Truncate(time.Second)}
	err := filepath.WalkDir(files, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(file) != ".rpm" {
			return err
		}
		signature, err := signatureOf(file)
		if err == nil && signature.Packet == nil {
			r.Packages = append(r.Packages, UnsignedPackage{File: filepath.Base(file), Header: signature.Header})
		}
		return err
	})
	if err != nil || len(r.Packages) == 0 {
		return nil, err
	}
	if old := o.Asked(); old != nil {
		same := func(a, b UnsignedPackage) bool { return a.File == b.File && string(a.Header) == string(b.Header) }
		if slices.EqualFunc(old.Packages, r.Packages, same) {
			return o.Waiting(old), nil
		}
	}
	if err := r.write(o.path(HeadersFolder), nil); err != nil {
		return nil, err
	}
	return o.waiting(HeadersFolder, r, false, true), nil
}

// Index finds the request for signatures on an index on top of a state that is still of use. It removes one that was
// published, or that cannot be any more since the stream has moved on or the index would have expired, and the packages with
// it.
func (o *Outbox) Index(state *State) (*Waiting, error) {
	w, _, err := o.index(state)
	return w, err
}

func (o *Outbox) index(state *State) (*Waiting, *Request, error) {
	dir := o.path(IndexFolder)
	r, err := ReadRequest(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	validity := o.Validity
	if validity == 0 {
		validity = defaultValidity
	}
	now := o.Now()
	// What nobody has signed until then is asked for again, so that users get an index that is good for long.
	fresh := func(of *Request) bool { return now.Before(of.Index.Time.Add(validity / 3)) }
	usable := err == nil && r.Index != nil && r.Stream == o.Stream && slices.Equal(r.Keys, fingerprints(o.By)) &&
		r.Index.From == state.Head.Serial && r.Index.Base == state.Head.Manifest
	if usable {
		answer, err := ReadSignatures(dir, r)
		signed := err == nil && answer != nil
		if signed && now.Before(r.Index.Time.Add(validity)) || !signed && fresh(r) {
			return o.waiting(IndexFolder, r, signed, false), r, nil
		}
	}
	return nil, nil, errors.Join(os.RemoveAll(dir), os.RemoveAll(o.Packages()))
}

// RequestIndex plans a change whose index is signed elsewhere, and asks for that unless the request that is there already is
// for just that. The new packages of the change must lie in the folder [Outbox.Packages]. The plan can be printed, but not
// executed. When it is to publish nothing, there is nothing that waits. The error is a [*WaitingError] when another
// publication is signed and can still be published.
func (o *Outbox) RequestIndex(ctx context.Context, p *Publisher, stream Stream, change Change) (*Plan, *Waiting, error) {
	if change.Base == nil {
		state, err := ReadState(ctx, p.Bucket, o.Stream)
		if err != nil {
			return nil, nil, err
		}
		change.Base = state
	}
	w, old, err := o.index(change.Base)
	if err != nil {
		return nil, nil, err
	}
	if old != nil {
		plan, again, _, err := p.draftRequest(ctx, stream, change, o.By, old.Index.Time)
		if err != nil {
			return nil, nil, err
		}
		if again != nil && maps.Equal(again.Index.Sign, old.Index.Sign) {
			return plan, w, nil
		}
		if w.Signed {
			return nil, nil, &WaitingError{*w}
		}
	}
	plan, r, files, err := p.draftRequest(ctx, stream, change, o.By, time.Time{})
	if err != nil || r == nil {
		return plan, nil, err
	}
	if change.Add == nil || change.Add.Empty() {
		if err := os.RemoveAll(o.Packages()); err != nil {
			return nil, nil, err
		}
	}
	if err := r.write(o.path(IndexFolder), files); err != nil {
		return nil, nil, err
	}
	return plan, o.waiting(IndexFolder, r, false, true), nil
}
