package repo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
	"sigs.k8s.io/pkgs/sign"
)

// ReviewConfig is what a signer knows by itself when it is asked for signatures.
type ReviewConfig struct {
	// Stream is the stream of the request, by the signer's own configuration.
	Stream Stream
	// Signer signs what is in order, Keyring are the keys that users trust, one of which has signed what is live.
	Signer  *sign.Signer
	Keyring *keys.Keyring
	// Validity is how long clients may use an index; 0 is 30 days.
	Validity time.Duration
	// Now is the signer's time.
	Now time.Time
	// Memory is what was signed before.
	Memory *Memory
	// Keys says how long the signing keys may be used, and what exceptions there are.
	Keys KeyPolicy
	// AllowRemovals lets packages leave the index.
	AllowRemovals bool
	// Replace lets a publication take the place of one that was signed under the same serial. It is for one that was never
	// published: whoever has those signatures can still publish it instead.
	Replace bool
}

// RefusedError says why a signer does not sign a request.
type RefusedError struct {
	Stream   layout.Stream
	Problems []string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("stream %s: this is not signed:%s", e.Stream, asLines(e.Problems))
}

// Review is a request that was found to be in order: what signing it would mean. It is printed, and then that very value is
// signed.
type Review struct {
	Stream layout.Stream `json:"stream"`
	// Headers are the packages whose headers are to be signed.
	Headers []ReviewedHeader `json:"headers,omitempty"`
	// Serial, From, Time, Until, Reason, Added, Removed and Kept are those of the publication whose index is to be signed.
	Serial  int64             `json:"serial,omitempty"`
	From    int64             `json:"from,omitempty"`
	Time    time.Time         `json:"time,omitzero"`
	Until   time.Time         `json:"until,omitzero"`
	Reason  string            `json:"reason,omitempty"`
	Added   []ReviewedPackage `json:"added,omitempty"`
	Removed []string          `json:"removed,omitempty"`
	Kept    int               `json:"kept,omitempty"`
	// Advisories are those about rpms that the publication changes, by the signer's own configuration.
	Advisories []AdvisoryChange `json:"advisories,omitempty"`
	// Sign are the SHA-256 of the texts to be signed.
	Sign map[string]string `json:"sign,omitempty"`
	// Keys are the fingerprints of the keys that sign.
	Keys []string `json:"keys"`
	// Notes are what a person should know before.
	Notes []string `json:"notes,omitempty"`

	cfg     ReviewConfig
	request *Request
	draft   *draft
	after   Contents
}

// ReviewedHeader is an rpm whose header is to be signed.
type ReviewedHeader struct {
	File          string    `json:"file"`
	PayloadSHA256 string    `json:"payload_sha256"`
	Built         time.Time `json:"built"`
	header        []byte
}

// ReviewedPackage is a package that comes to an index.
type ReviewedPackage struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// NewReview looks at a request in the folder dir the way a publisher looks at a change, with the signer's own configuration
// and keyring, and believes nothing of what the request says:
//
//   - The keys pass the gate of a publication: none has expired, is due for rotation, or is unknown to the stream's users as
//     far as the keyrings in the request tell.
//   - The live index has to be this stream's and signed by a trusted key. The new index is derived from what the live one
//     says of the packages that stay and the text in the request of those that come, and with that the texts to sign; they
//     have to be those that the publisher wants signed.
//   - The packages have to belong to the stream and pass its gates, and their files to be called as they are called.
//   - Serial and date go forward: past those of the live index, and of everything that was signed before. The date is not
//     ahead of this machine's clock.
//   - Packages only come, unless cfg allows that they go. Those that were signed before under the same name have the same
//     bytes, in the index as in the headers of rpms.
//
// The error is a [*RefusedError] or a [*GateError] when one of that is not so.
func NewReview(ctx context.Context, dir string, r *Request, cfg ReviewConfig) (*Review, error) {
	if cfg.Validity == 0 {
		cfg.Validity = defaultValidity
	}
	v := &Review{Stream: r.Stream, Keys: fingerprints(cfg.Signer.Keyring()), cfg: cfg, request: r}
	if cfg.Stream.Name != r.Stream {
		return nil, v.refuse("it is a request for stream " + string(r.Stream))
	}
	if !slices.Equal(v.Keys, r.Keys) {
		return nil, v.refuse(fmt.Sprintf("the publisher wants it signed by %s, and this machine's configuration signs with %s", strings.Join(r.Keys, " and "), strings.Join(v.Keys, " and ")))
	}
	if r.Index == nil {
		return v, v.headers()
	}
	from, err := openCarried(dir)
	if err != nil {
		return nil, err
	}
	defer from.close()
	return v, v.index(ctx, from)
}

func (v *Review) refuse(problems ...string) error {
	return &RefusedError{Stream: v.Stream, Problems: problems}
}

// headers reviews rpms.
func (v *Review) headers() error {
	stream, memory := &v.cfg.Stream, v.cfg.Memory.of(v.Stream)
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, p := range v.cfg.Keys.problems(v.cfg.Signer.Keyring(), v.cfg.Keyring, nil, v.cfg.Now) {
		problem("%s", p)
	}
	seen := map[string]bool{}
	for _, p := range v.request.Packages {
		h, err := yum.ParseHeader(p.Header)
		if err != nil {
			problem("%q: %v", p.File, err)
			continue
		}
		file := h.Package() + ".rpm"
		if p.File != file || seen[file] {
			problem("%q: the header is that of %s, or there twice", p.File, file)
			continue
		}
		seen[file] = true
		if err := stream.admit(file, h.Name, h.Version); err != nil {
			problem("%v", err)
		}
		if h.Arch != "noarch" && !slices.ContainsFunc(stream.Architectures, func(a Architecture) bool { return a.Rpm == h.Arch }) {
			problem("%s: architecture %s is not one of the stream's", file, h.Arch)
		}
		if before, ok := memory.Headers[file]; ok && before != headerSum(p.Header) {
			problem("%s was signed before with other contents: raise the revision", file)
		}
		if h.BuildTime.After(v.cfg.Now) {
			problem("%s: is built on %s, in the future", file, h.BuildTime.Format(time.RFC3339))
		}
		v.Headers = append(v.Headers, ReviewedHeader{file, h.PayloadSHA256, h.BuildTime, p.Header})
	}
	if len(problems) > 0 {
		return v.refuse(problems...)
	}
	return nil
}

// Signatures signs what was reviewed.
func (v *Review) Signatures(ctx context.Context) (*Signatures, error) {
	signer := v.cfg.Signer
	s := &Signatures{Request: v.request.digest}
	if v.request.Index == nil {
		s.Headers = map[string][]byte{}
		created := signer.Keyring().Keys()[0].Created
		for _, h := range v.Headers {
			at := h.Built
			if at.Before(created) {
				at = created
			}
			packet, err := signer.RPMHeader(ctx, h.header, at)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", h.File, err)
			}
			s.Headers[headerSum(h.header)] = packet
		}
		return s, nil
	}
	s.Releases, s.Repomds = map[string]SignedRelease{}, map[string]string{}
	for _, r := range v.draft.releases {
		text, err := r.WriteRelease(r.Indexes)
		if err != nil {
			return nil, err
		}
		inRelease, gpg, err := signer.Release(ctx, r)
		if err != nil {
			return nil, err
		}
		s.Releases[digest(text)] = SignedRelease{string(inRelease), string(gpg)}
	}
	for _, r := range v.draft.repomds {
		text, err := r.XML()
		if err != nil {
			return nil, err
		}
		asc, err := signer.Repomd(ctx, r, v.Time)
		if err != nil {
			return nil, err
		}
		s.Repomds[digest(text)] = string(asc)
	}
	return s, nil
}
