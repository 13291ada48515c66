package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/verify"
)

// keyReport is what pkgs keys list and check print.
type keyReport struct {
	Time  time.Time  `json:"time"`
	Phase keys.Phase `json:"phase"`
	Keys  []keyState `json:"keys"`
	// Deadlines are the days by which a signing key must have been replaced, Alarms those that are near.
	Deadlines []keys.Deadline `json:"deadlines"`
	Alarms    []keys.Alarm    `json:"alarms"`
	// Refused are what clients refuse today about the keys that sign and about signatures.
	Refused []keys.Finding   `json:"refused"`
	Streams []*verify.Signed `json:"streams"`
	// Resign are the streams that are not signed as the configuration says, and why; Ending those whose index ends soon.
	// Forgotten are streams that give users a key which the configuration does not have. Unknown are streams of the bucket
	// that are not in the configuration.
	Resign    []streamDue     `json:"resign"`
	Ending    []streamDue     `json:"ending"`
	Forgotten []streamDue     `json:"forgotten"`
	Unknown   []layout.Stream `json:"unknown"`
}

// keyState is a key of the configuration.
type keyState struct {
	keys.Info
	// Role is what it is there for: what it signs, or that users are given it.
	Role string `json:"role"`
}

// streamDue is something to be done about a stream.
type streamDue struct {
	Stream layout.Stream `json:"stream"`
	Why    string        `json:"why"`
}

// keyReport reads the keys of the configuration and the signatures of streams, by default all that were ever published.
func (p *program) keyReport(ctx context.Context, url string, names []string, packages bool) (*keyReport, error) {
	cfg, err := readConfig(p.configFile)
	if err != nil {
		return nil, err
	}
	signing, err := p.openSigning(cfg)
	if err != nil {
		return nil, err
	}
	b, err := p.openBucket(cfg.address(cfg.Bucket))
	if err != nil {
		return nil, err
	}
	now := p.now().UTC()
	report := newKeyReport(cfg, signing, now)
	source := verify.FromBucket(b)
	if url != "" {
		if source, err = verify.FromURL(url, &http.Client{Timeout: time.Minute}); err != nil {
			return nil, usageError{err}
		}
	}
	if len(names) == 0 {
		names, err = cfg.existing(ctx, func(ctx context.Context, stream layout.Stream) (bool, error) {
			return verify.Published(ctx, source, stream)
		})
		if err != nil {
			return nil, err
		}
		if url == "" {
			if report.Unknown, err = unknownStreams(ctx, b, cfg); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range names {
		if _, err := cfg.stream(name); err != nil {
			return nil, err
		}
		signed, err := verify.Signatures(ctx, verify.Config{Source: source, Keyring: signing.keyring, Now: now, KeyringPackage: cfg.Signing.Package.name()}, layout.Stream(name), packages)
		if err != nil {
			return nil, err
		}
		report.add(signed, cfg, signing)
	}
	return report, nil
}

// newKeyReport is the part of a report that the configuration alone tells.
func newKeyReport(cfg *config, signing *signingKeys, now time.Time) *keyReport {
	phase := cfg.Signing.phase()
	r := &keyReport{
		Time: now, Phase: phase, Keys: []keyState{}, Deadlines: []keys.Deadline{}, Alarms: []keys.Alarm{}, Refused: []keys.Finding{},
		Streams: []*verify.Signed{}, Resign: []streamDue{}, Ending: []streamDue{}, Forgotten: []streamDue{}, Unknown: []layout.Stream{},
	}
	signers := signing.signs(cfg)
	for _, k := range signing.keyring.Keys() {
		role := "given to users"
		switch slices.Index(signers, k.Fingerprint) {
		case -1:
		case 0:
			role = "signs everything"
			if len(signers) > 1 {
				role = "signs apt's indexes, and first: yum's indexes and rpms"
			}
		default:
			role = "signs apt's indexes"
		}
		r.Keys = append(r.Keys, keyState{k, role})
	}
	for i, signer := range signers {
		key := signing.keyring.Only(signer)
		rotateBy, reached := cfg.Signing.RotateBy.Time, phase
		// The deadline of the configuration and the progress of the rotation are those of the key that is to be replaced.
		if next := phase != keys.Alone && (i == 0) == phase.Reached(keys.Switch); next || i > 0 && phase == keys.Alone {
			rotateBy, reached = time.Time{}, keys.Alone
		}
		deadlines := keys.Deadlines(key, rotateBy)
		r.Deadlines = append(r.Deadlines, deadlines...)
		r.Alarms = append(r.Alarms, keys.Alarms(deadlines, reached, now)...)
		r.refuse(key.Check(), now)
	}
	return r
}

// refuse notes what clients refuse at a time, each once.
func (r *keyReport) refuse(found []keys.Finding, now time.Time) {
	for _, f := range found {
		if f.At(now) && !slices.ContainsFunc(r.Refused, func(o keys.Finding) bool { return o.String() == f.String() }) {
			r.Refused = append(r.Refused, f)
		}
	}
}

// signs lists the fingerprints of the keys that sign, the first one first.
func (s *signingKeys) signs(cfg *config) []string {
	var all []string
	signing, _ := cfg.Signing.order()
	for _, k := range s.keyring.Keys()[:min(len(signing), len(s.keyring.Keys()))] {
		all = append(all, k.Fingerprint)
	}
	return all
}

// add notes what is to be said of a stream.
func (r *keyReport) add(signed *verify.Signed, cfg *config, signing *signingKeys) {
	r.Streams = append(r.Streams, signed)
	r.refuse(signed.Refused, r.Time)
	due := func(list *[]streamDue, format string, args ...any) {
		*list = append(*list, streamDue{signed.Stream, fmt.Sprintf(format, args...)})
	}
	want := signing.signs(cfg)
	for _, o := range signed.Objects {
		expected := want[:1]
		if path.Base(o.Object) != path.Base(layout.RepomdAsc) {
			expected = want
		}
		var by []string
		for _, s := range o.Signatures {
			by = append(by, s.Key)
		}
		if !slices.Equal(by, expected) {
			due(&r.Resign, "%s is signed by %s, and should be by %s", path.Base(o.Object), strings.Join(by, " and "), strings.Join(expected, " and "))
		}
	}
	for _, g := range signed.Given {
		for _, k := range signing.keyring.Keys() {
			if !slices.Contains(g.Keys, k.Fingerprint) {
				due(&r.Resign, "%s lacks key %s", path.Base(g.Object), k.Fingerprint)
			}
		}
		for _, f := range g.Keys {
			if len(signing.keyring.Only(f).Keys()) == 0 && !slices.Contains(cfg.Signing.Withdrawn, fingerprint(f)) {
				due(&r.Forgotten, "%s gives users key %s, which the configuration does not have: put its public half into signing.keyring", path.Base(g.Object), f)
			}
		}
	}
	if k := cfg.Signing.Package; k != nil {
		version, formats := k.version(signing.keyring), 0
		for _, g := range signed.Given {
			if g.Version() == version {
				formats++
			}
		}
		if formats < 2 {
			due(&r.Resign, "lacks %s %s, the package with the present keyring", k.Name, version)
		}
	}
	if end := signed.ValidUntil; !end.IsZero() && end.Sub(r.Time) < cfg.validity/3 {
		due(&r.Ending, "its index is valid until %s: it should have been signed again", end.Format(time.RFC3339))
	}
}

// unknownStreams finds the streams of a bucket that the configuration does not have.
func unknownStreams(ctx context.Context, b bucket.Bucket, cfg *config) ([]layout.Stream, error) {
	unknown := []layout.Stream{}
	for info, err := range b.List(ctx, ".state/") {
		if err != nil {
			return nil, err
		}
		name, ok := strings.CutSuffix(strings.TrimPrefix(info.Name, ".state/"), "/HEAD")
		if !ok {
			continue
		}
		if _, err := cfg.stream(name); err != nil {
			unknown = append(unknown, layout.Stream(name))
		}
	}
	return unknown, nil
}

// due counts what is to be done.
func (r *keyReport) due() int {
	return len(r.Alarms) + len(r.Refused) + len(r.Resign) + len(r.Ending) + len(r.Forgotten) + len(r.Unknown)
}

// err is what the exit code follows from: damage, or else something that is due.
func (r *keyReport) err() error {
	for _, s := range r.Streams {
		if err := s.Err(); err != nil {
			return err
		}
	}
	if n := r.due(); n > 0 {
		return &dueError{n}
	}
	return nil
}

// printDue writes what is to be done.
func (r *keyReport) printDue(w io.Writer) error {
	var b strings.Builder
	for _, a := range r.Alarms {
		fmt.Fprintf(&b, "! %s\n", a)
	}
	for _, f := range r.Refused {
		fmt.Fprintf(&b, "! %s\n", f)
	}
	for _, s := range r.Streams {
		for _, f := range s.Findings {
			fmt.Fprintf(&b, "! %s\n", f)
		}
	}
	for _, d := range slices.Concat(r.Forgotten, r.Resign, r.Ending) {
		fmt.Fprintf(&b, "! %s: %s\n", d.Stream, d.Why)
	}
	for _, s := range r.Unknown {
		fmt.Fprintf(&b, "! %s is in the bucket and not in the configuration: nobody signs it again\n", s)
	}
	if len(r.Resign)+len(r.Ending) > 0 {
		fmt.Fprintf(&b, "pkgs resign signs streams again\n")
	}
	if b.Len() == 0 {
		fmt.Fprintf(&b, "nothing is due (keys: %d, streams: %d)\n", len(r.Keys), len(r.Streams))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// print writes everything.
func (r *keyReport) print(w io.Writer) error {
	var b strings.Builder
	for _, k := range r.Keys {
		fmt.Fprintf(&b, "%s  %s%d, made %s, %s\n    %s\n    %s\n", k.Fingerprint, k.Algorithm, k.Bits, k.Created.Format(time.DateOnly), ends(k.Info), k.UserID, k.Role)
		for _, d := range r.Deadlines {
			if d.Fingerprint == k.Fingerprint {
				fmt.Fprintf(&b, "    to be replaced by %s (%s)\n", d.At.Format(time.DateOnly), d.What)
			}
		}
	}
	if r.Phase != keys.Alone {
		fmt.Fprintf(&b, "rotation: phase %s\n", r.Phase)
	}
	for _, s := range r.Streams {
		fmt.Fprintf(&b, "\n%s", s.Stream)
		if !s.ValidUntil.IsZero() {
			fmt.Fprintf(&b, ", valid until %s", s.ValidUntil.Format(time.DateOnly))
		}
		b.WriteString("\n")
		for _, o := range s.Objects {
			name := strings.TrimPrefix(o.Object, string(s.Stream)+"/")
			if strings.HasPrefix(name, "rpm-snapshots/") {
				name = "rpm/mirrorlist's " + path.Base(name)
			}
			for _, by := range o.Signatures {
				fmt.Fprintf(&b, "  %-32s signed %s by %s\n", name, by.Created.Format(time.DateOnly), by.Issuer)
			}
		}
		for _, g := range s.Given {
			fmt.Fprintf(&b, "  %-32s gives %s\n", strings.TrimPrefix(g.Object, string(s.Stream)+"/"), strings.Join(g.Keys, " and "))
		}
		for _, by := range slices.Sorted(maps.Keys(s.Rpms)) {
			fmt.Fprintf(&b, "  %4d rpms signed by %s\n", s.Rpms[by], by)
		}
		for _, f := range s.Findings {
			fmt.Fprintf(&b, "  ! %s\n", f)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
