package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/build"
	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// addUnsigned adds the flag of the commands whose index can be signed elsewhere.
func addUnsigned(cmd *cobra.Command, out *string) {
	cmd.Flags().StringVar(out, "unsigned", "", "`directory` for a request to sign it on another machine, instead of signing it here")
}

// nothingToConfirm refuses --confirm beside --unsigned.
func nothingToConfirm(unsigned string, confirm bool) error {
	if !confirm {
		return nil
	}
	return usagef("--unsigned publishes nothing that --confirm could confirm: pkgs publish %s --confirm does, when it is signed", unsigned)
}

// outbox is the folder of a stream for what is signed elsewhere; filled tells that this run has put packages there.
func (p *program) outbox(cfg *config, signing *signingKeys, dir string, stream layout.Stream, filled bool) (*repo.Outbox, error) {
	if len(signing.by.Keys()) == 0 {
		return nil, usagef("%s does not say whose signatures to ask for: name the public key with signing.public", cfg.file)
	}
	box := &repo.Outbox{Dir: dir, Stream: stream, By: signing.by, Validity: cfg.validity, Now: p.now}
	if !filled {
		if err := box.Own(); err != nil {
			return nil, usageError{fmt.Errorf("--unsigned: %w", err)}
		}
	}
	return box, nil
}

// cutUnsigned goes as far with a cut as it can be gone without the key: to a request for signatures on the packages or,
// when they are there, for those on the index.
func (p *program) cutUnsigned(ctx context.Context, cfg *config, v release.Version, s *streamConfig, out string, change repo.Change) error {
	if err := s.changeable(); err != nil {
		return err
	}
	signing, err := p.openSigning(cfg)
	if err != nil {
		return err
	}
	stream := layout.Stream(s.Name)
	box, err := p.outbox(cfg, signing, out, stream, false)
	if err != nil {
		return err
	}
	b, err := p.openBucket(cfg.address(cfg.Bucket))
	if err != nil {
		return err
	}
	state, err := repo.ReadState(ctx, b, stream)
	if err != nil {
		return err
	}
	requests, err := cfg.requests(s, v, state)
	if err != nil {
		return err
	}
	requests = unpublished(requests, state)
	// What is signed and can still be published is not built over.
	if w, err := box.Index(state); err != nil {
		return err
	} else if w != nil && w.Signed {
		return &repo.WaitingError{Waiting: *w}
	}
	headers, err := box.Headers()
	if err != nil {
		return err
	}
	target := cfg.repoStream(s)
	publisher := p.newPublisher(cfg, signing, b, nil)
	keyring := publisher.KeyringPackage
	if needed, err := publisher.NeedsKeyring(&target, state); err != nil {
		return err
	} else if !needed {
		keyring = nil
	}
	again := fmt.Sprintf("pkgs cut %s --unsigned %s", v, out)
	signed := headers.Files()
	lacks := keyring != nil && !slices.Contains(signed, fmt.Sprintf("%s-%s-%s.noarch.rpm", keyring.Name, keyring.Version, keyringRevision))
	if lacks || slices.ContainsFunc(requests, func(r build.Request) bool {
		return slices.Contains(r.Formats, build.Rpm) && !slices.Contains(signed, path.Base(r.FileName(build.Rpm)))
	}) {
		return p.requestPackages(ctx, cfg, box, requests, keyring, again)
	}
	signing = signing.with(headers)
	if err = os.RemoveAll(box.Packages()); err == nil {
		_, err = p.build(ctx, cfg, signing, requests, box.Packages())
	}
	if err == nil && keyring != nil {
		err = keyring.Build(ctx, box.Packages(), headers)
	}
	var unsigned *repo.UnsignedError
	if errors.As(err, &unsigned) { // the rpms are called like those that were signed, and are others
		return p.requestPackages(ctx, cfg, box, requests, keyring, again)
	}
	if err == nil {
		err = os.MkdirAll(box.Packages(), 0o755) // when nothing was to be built
	}
	if err != nil {
		return err
	}
	files, err := repo.ReadFiles(ctx, box.Packages())
	if err != nil {
		return err
	}
	change.Add, change.Base = files, state
	return one(p.requestIndex(ctx, cfg, signing, b, s, change, out)).print(p)
}

// requestPackages builds packages without signatures, and the keyring package if it is not nil, and asks for those on the
// rpms. again is the command that goes on.
func (p *program) requestPackages(ctx context.Context, cfg *config, box *repo.Outbox, requests []build.Request, keyring *repo.KeyringPackage, again string) error {
	err := os.RemoveAll(box.Packages())
	if err == nil {
		err = os.MkdirAll(box.Dir, 0o755)
	}
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(box.Dir, ".unsigned-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if _, err := p.build(ctx, cfg, nil, requests, work); err != nil {
		return err
	}
	if keyring != nil {
		if err := keyring.Build(ctx, work, nil); err != nil {
			return err
		}
	}
	w, err := box.RequestPackages(work)
	if err != nil {
		return err
	}
	told := &request{Waiting: w, Next: []string{
		fmt.Sprintf("copy %s to the machine with the key, and there: pkgs sign %s --confirm", w.Request, filepath.Base(w.Request)),
		fmt.Sprintf("copy it back, and here: %s", again),
	}}
	p.tell(told)
	return one(told, nil).print(p)
}

// unpublished leaves out the packages that a stream has already. Their files are signed, and those built without the key
// would be others.
func unpublished(requests []build.Request, state *repo.State) []build.Request {
	var left []build.Request
	for _, r := range requests {
		r.Formats = slices.DeleteFunc(slices.Clone(r.Formats), func(f build.Format) bool { return state.Has(string(f) + "/" + r.FileName(f)) })
		if len(r.Formats) > 0 {
			left = append(left, r)
		}
	}
	return left
}

// requestIndex plans a change of a stream and asks for the signatures on its index.
func (p *program) requestIndex(ctx context.Context, cfg *config, signing *signingKeys, b bucket.Bucket, s *streamConfig, change repo.Change, out string) (*request, error) {
	box, err := p.outbox(cfg, signing, out, layout.Stream(s.Name), change.Add != nil)
	if err != nil {
		return nil, err
	}
	plan, w, err := box.RequestIndex(ctx, p.newPublisher(cfg, signing.with(nil), b, nil), cfg.repoStream(s), change)
	if err != nil {
		return nil, err
	}
	if p.output == "text" {
		if err := plan.Print(p.stdout); err != nil {
			return nil, err
		}
	}
	told := &request{Waiting: w, Plan: plan}
	if w != nil && !w.Signed {
		told.Next = append(told.Next, fmt.Sprintf("copy %s to the machine with the key, and there: pkgs sign %s --confirm", w.Request, filepath.Base(w.Request)))
	}
	if w != nil {
		told.Next = append(told.Next, fmt.Sprintf("copy it back, and here: pkgs publish %s --confirm", out))
	}
	p.tell(told)
	return told, nil
}

// request is what a command that asks for signatures prints as JSON.
type request struct {
	// Waiting is what to carry to the signer; nil when there is nothing to sign.
	*repo.Waiting
	Plan *repo.Plan `json:"plan,omitempty"`
	Next []string   `json:"next,omitempty"`
}

// tell says to a person what to do with a request.
func (p *program) tell(r *request) {
	if p.output != "text" {
		return
	}
	w := r.Waiting
	switch {
	case w == nil:
		return
	case w.Signed:
		fmt.Fprintf(p.stdout, "the index is signed already, and not published yet: see %s\n", w.Request)
	case w.Packages > 0:
		fmt.Fprintf(p.stdout, "%s to be signed before the index: see %s\n", repo.Count(w.Packages, "rpm"), w.Request)
	default:
		fmt.Fprintf(p.stdout, "the index is to be signed: see %s\n", w.Request)
	}
	if !w.New && !w.Signed {
		fmt.Fprintf(p.stdout, "that has been asked for since %s, and is left as it is\n", w.Since.UTC().Format(time.DateTime+" UTC"))
	}
	for _, next := range r.Next {
		fmt.Fprintf(p.stdout, "  %s\n", next)
	}
}

// publishSigned publishes the request in the directory out, once it is signed.
func (p *program) publishSigned(ctx context.Context, cfg *config, out string, confirm bool) (*publication, error) {
	dir := filepath.Join(out, repo.IndexFolder)
	r, err := repo.ReadRequest(dir)
	if err != nil {
		return nil, err
	}
	signatures, err := repo.ReadSignatures(dir, r)
	if err != nil {
		return nil, err
	}
	if signatures == nil {
		return nil, usagef("%s is not signed yet: copy it to the machine with the key, and there: pkgs sign %s --confirm", dir, filepath.Base(dir))
	}
	target, err := cfg.stream(string(r.Stream))
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
	files := &repo.Files{}
	if packages := filepath.Join(out, repo.PackagesFolder); isDir(packages) {
		if files, err = repo.ReadFiles(ctx, packages); err != nil {
			return nil, err
		}
	}
	show := p.progress("publish")
	publisher := p.newPublisher(cfg, signing, b, show.publishing)
	plan, err := publisher.PlanSigned(ctx, cfg.repoStream(target), r, signatures, files, signing.by)
	if err != nil {
		return nil, err
	}
	return p.carryOut(ctx, cfg, signing, b, target, publisher, plan, show, confirm)
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// requestsBelow finds the requests of a kind, which is the name of their folders, in a directory that --unsigned made: that
// may be for several streams.
func requestsBelow(dir, kind string) []string {
	var found []string
	// What cannot be read is no request.
	_ = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || !entry.IsDir() || name == dir:
			return nil
		case entry.Name() == kind:
			found = append(found, name)
			return fs.SkipDir
		case entry.Name() == repo.PackagesFolder || strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		}
		return nil
	})
	return found
}
