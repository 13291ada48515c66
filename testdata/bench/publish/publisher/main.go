// Command publisher is a publication that is measured: it adds packages to a stream of a bucket, goes back to an earlier
// serial, or signs the index anew, and prints what that took as JSON. It is a program of its own so that the memory which it
// takes is not that of the stores, too.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/testdata/bench/publish/fixture"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := publish(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func publish(ctx context.Context) error {
	address := flag.String("bucket", "", "")
	dir := flag.String("dir", "", "packages to add")
	n := flag.Int("n", fixture.PackagesOf, "members of the stream")
	few := flag.Int("architectures", len(fixture.Architectures), "")
	to := flag.Int64("to", 0, "serial to go back to")
	resign := flag.Int("resign", 0, "how often to sign the index anew")
	barely := flag.String("bare", "", "directory to send as it is")
	flag.Parse()
	if *barely != "" {
		start := time.Now()
		if err := bare(ctx, *address, *barely); err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(fixture.Result{Publish: time.Since(start)})
	}
	signer, err := fixture.ReadSigner()
	if err != nil {
		return err
	}
	inner, err := bucket.Open(*address)
	if err != nil {
		return err
	}
	b := &watched{Bucket: inner}
	p := repo.NewPublisher(repo.Config{Bucket: b, URL: "https://pkgs.example.org", Signer: signer, Keyring: signer.Keyring(), Now: time.Now, Parallel: bucket.Writers(inner)})
	var changes []repo.Change
	switch {
	case *dir != "":
		files, err := repo.ReadFiles(ctx, *dir)
		if err != nil {
			return err
		}
		changes = []repo.Change{{Add: files}}
	case *to != 0:
		changes = []repo.Change{{To: *to, Reason: "bench"}}
	}
	for range *resign {
		changes = append(changes, repo.Change{Resign: true, Reason: "bench"})
	}
	start := time.Now()
	for _, change := range changes {
		plan, err := p.Plan(ctx, fixture.NewStream(*n, fixture.Architectures[:*few]), change)
		if err != nil {
			return err
		}
		if err := p.Execute(ctx, plan); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(fixture.Result{Publish: time.Since(start), Waiting: b.waited, Peak: fixture.Highest(os.Getpid())})
}

// watched is a bucket that measures for how long it was waited for.
type watched struct {
	bucket.Bucket

	mu     sync.Mutex
	under  int           // guarded by mu; requests under way
	since  time.Time     // guarded by mu; when there came to be some
	waited time.Duration // guarded by mu
}

func (w *watched) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.under++; w.under == 1 {
		w.since = time.Now()
	}
}

func (w *watched) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.under--; w.under == 0 {
		w.waited += time.Since(w.since)
	}
}

func (w *watched) Stat(ctx context.Context, name string) (bucket.Info, error) {
	w.begin()
	defer w.end()
	return w.Bucket.Stat(ctx, name)
}

func (w *watched) Put(ctx context.Context, name string, c bucket.Content, o bucket.PutOptions) (bucket.Info, error) {
	w.begin()
	defer w.end()
	return w.Bucket.Put(ctx, name, c, o)
}

func (w *watched) Open(ctx context.Context, name string) (io.ReadCloser, bucket.Info, error) {
	w.begin()
	r, info, err := w.Bucket.Open(ctx, name)
	if err != nil {
		w.end()
		return nil, info, err
	}
	return &watchedBody{ReadCloser: r, done: sync.OnceFunc(w.end)}, info, nil
}

// watchedBody is waited for until it is closed.
type watchedBody struct {
	io.ReadCloser
	done func()
}

func (b *watchedBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}
