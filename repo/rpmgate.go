package repo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
	"sigs.k8s.io/pkgs/sign"
)

// rpms are the names of the rpms.
func (f *Files) rpms() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, p := range f.Rpms {
			if !yield("rpm/" + p.Href) {
				return
			}
		}
	}
}

// signatureCheck verifies that rpms are signed by a key that users are given: a client with gpgcheck=1 refuses them otherwise,
// after they are published. It uses all processors.
type signatureCheck struct {
	p   *Publisher
	now time.Time

	mu    sync.Mutex
	known map[string]error // guarded by mu; what came of it, by file
}

// run verifies the rpms among some names of files, until ctx ends.
func (c *signatureCheck) run(ctx context.Context, files *Files, names iter.Seq[string]) {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for name := range names {
		file := files.paths[name]
		c.mu.Lock()
		_, known := c.known[file]
		c.mu.Unlock()
		if path.Ext(name) != ".rpm" || file == "" || known || ctx.Err() != nil {
			continue
		}
		group.Go(func() error {
			err := checkRpmSignature(file, c.p.Keyring, c.now)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.known[file] = err
			return nil
		})
	}
	group.Wait()
}

// gate refuses packages that are not signed so.
func (c *signatureCheck) gate(ctx context.Context, stream layout.Stream, files *Files, added []string) error {
	c.run(ctx, files, slices.Values(added))
	var problems []string
	for _, name := range added {
		if err := c.known[files.paths[name]]; err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", name, err))
		}
	}
	if len(problems) > 0 {
		return &GateError{Stream: stream, Problems: problems}
	}
	return ctx.Err()
}

func checkRpmSignature(file string, trusted *keys.Keyring, now time.Time) error {
	signature, err := signatureOf(file)
	if err != nil {
		return err
	}
	if signature.Packet == nil {
		return errors.New("is not signed: build it with the signing key of the configuration")
	}
	_, err = sign.VerifyBinary(signature.Header, signature.Packet, trusted, now)
	return err
}

// signatureOf reads the header of an rpm and the signature over it.
func signatureOf(file string) (*yum.Signature, error) {
	r, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return nil, err
	}
	return yum.ReadSignature(r, info.Size(), path.Base(file))
}

// readLive is the function readLive of the publisher's bucket. While the store is waited for, signatures are verified: a first
// publication has many.
func (p *Publisher) readLive(ctx context.Context, stream layout.Stream, signatures *signatureCheck, files *Files) (*State, error) {
	waiting, done := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer done()
	group.Go(func() { signatures.run(waiting, files, files.rpms()) })
	return readLive(ctx, p.Bucket, stream)
}
