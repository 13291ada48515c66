package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
	"sigs.k8s.io/pkgs/sign"
)

// Signatures are the answer to a [Request]. Each is found by the SHA-256 of what was signed, in lower-case hex, and verified
// before it is used.
type Signatures struct {
	// Request is the SHA-256 of the request's file.
	Request string `json:"request"`
	// Headers are signature packets over the main headers of rpms.
	Headers map[string][]byte `json:"headers,omitempty"`
	// Releases and Repomds are the signatures on texts.
	Releases map[string]SignedRelease `json:"releases,omitempty"`
	Repomds  map[string]string        `json:"repomds,omitempty"`
}

// SignedRelease is the signed message InRelease and the detached signature Release.gpg.
type SignedRelease struct {
	InRelease  string `json:"inrelease"`
	ReleaseGpg string `json:"release.gpg"`
}

// ReadSignatures reads the signatures in the folder of a request. It returns nil when there are none yet, and an error when
// they are for another request.
func ReadSignatures(dir string, r *Request) (*Signatures, error) {
	file := filepath.Join(dir, signaturesFile)
	data, err := readCarried(dir, signaturesFile, maxRequest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := &Signatures{}
	if err := decodeJSON(data, s); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if s.Request != r.digest {
		return nil, fmt.Errorf("%s: are the signatures for another request: copy back those that were made for this one", file)
	}
	return s, nil
}

// Write writes the signatures to the folder of their request.
func (s *Signatures) Write(dir string) error {
	data, err := encodeJSON(s)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, signaturesFile), data)
}

// replaceFile writes a file whole or not at all.
func replaceFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// given stands for a signer that is elsewhere and has signed.
type given struct {
	signatures *Signatures
	by         *keys.Keyring
	index      *IndexRequest
	now        time.Time
}

func (g *given) Keyring() *keys.Keyring { return g.by }

func (g *given) notSigned(name string) error {
	return fmt.Errorf("%s is not the one that was signed: the packages or the configuration have changed since; ask for signatures again", name)
}

func (g *given) Release(_ context.Context, r *apt.Release) (inRelease, releaseGpg []byte, err error) {
	text, err := r.WriteRelease(r.Indexes)
	if err != nil {
		return nil, nil, err
	}
	s, ok := g.signatures.Releases[digest(text)]
	if !ok {
		return nil, nil, g.notSigned(layout.Release)
	}
	return []byte(s.InRelease), []byte(s.ReleaseGpg), sign.VerifyRelease(r, []byte(s.InRelease), []byte(s.ReleaseGpg), g.by, g.now)
}

func (g *given) Repomd(_ context.Context, r *yum.Repomd, _ time.Time) ([]byte, error) {
	text, err := r.XML()
	if err != nil {
		return nil, err
	}
	asc, ok := g.signatures.Repomds[digest(text)]
	if !ok {
		return nil, g.notSigned(layout.Repomd)
	}
	return []byte(asc), sign.VerifyRepomd(r, []byte(asc), g.by, g.now)
}

// MovedError says that a stream was published by somebody else since signatures for it were asked for.
type MovedError struct {
	Stream     layout.Stream
	From, Live int64 // serial that the request was to follow, and the one that is live
}

func (e *MovedError) Error() string {
	return fmt.Sprintf("stream %s: the signatures are for a publication that follows serial %d, and serial %d is live by now: ask for signatures again with the command that wrote the request; packages that were signed stay signed",
		e.Stream, e.From, e.Live)
}

// PlanSigned plans the publication of a request with the signatures that were made for it; files are its new packages. by are
// the keys that were to sign. It needs no key. The index is derived again, and a signature counts if it is one on that. When
// the request was published before, the plan is what is left of that, which may be nothing.
func (p *Publisher) PlanSigned(ctx context.Context, stream Stream, r *Request, s *Signatures, files *Files, by *keys.Keyring) (*Plan, error) {
	if r.Index == nil || r.Stream != stream.Name {
		return nil, fmt.Errorf("it is not a request for an index of stream %s", stream.Name)
	}
	state, err := ReadState(ctx, p.Bucket, stream.Name)
	if err != nil {
		return nil, err
	}
	i := r.Index
	if state.Head.Serial == i.Serial && state.Head.Time.Equal(i.Time) && state.Manifest.Previous == i.Base {
		return p.Plan(ctx, stream, Change{Base: state, Settled: true})
	}
	if state.Head.Serial != i.From || state.Head.Manifest != i.Base {
		return nil, &MovedError{Stream: stream.Name, From: i.From, Live: state.Head.Serial}
	}
	if until := i.Time.Add(p.Validity); !until.After(p.Now()) {
		return nil, fmt.Errorf("stream %s: the index that was signed has expired on %s: ask for signatures again with the command that wrote the request", stream.Name, stamp(until))
	}
	c := i.Change
	var follow *State
	if f := c.Follow; f != nil {
		if follow, err = f.state(ctx, p.Bucket); err != nil {
			return nil, err
		}
	}
	plan, err := p.Plan(ctx, stream, Change{
		Add: files, Yank: c.Yank, Retire: c.Retire, To: c.To, Resign: c.Resign, Backfill: c.Backfill, Unyank: c.Unyank, Follow: follow, Reason: c.Reason, Base: state,
		signer: &given{signatures: s, by: by, index: i, now: p.Now().UTC()},
	})
	if err == nil && plan.Reason == "" {
		return nil, fmt.Errorf("stream %s: none of the %d packages is there for which signatures were asked: bring back the folder with them, or ask for signatures again", stream.Name, len(i.Added))
	}
	return plan, err
}
