package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
)

// result is what a process took that published something.
type result struct {
	Whole   time.Duration // from the start of the process to its end
	Publish time.Duration // of that, planning and executing
	Waiting time.Duration // of that, with at least one request under way
	CPU     time.Duration // processor time of the whole process
	Peak    int64         // bytes of memory that the process had at most
}

// publish runs a process that publishes, and says what it took.
func publish(ctx context.Context, args ...string) (result, error) {
	self, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	whole, out, err := run(exec.CommandContext(ctx, self, append([]string{"worker"}, args...)...))
	if err != nil {
		return result{}, err
	}
	r := whole
	if err := json.Unmarshal(out, &r); err != nil {
		return result{}, err
	}
	r.Whole, r.CPU, r.Peak = whole.Whole, whole.CPU, max(whole.Peak, r.Peak)
	return r, nil
}

// run runs a command and says what the whole of it took. The memory is as far as a look every few milliseconds tells. (What
// wait4 tells of a child is no less than what its parent had when it was forked.)
func run(cmd *exec.Cmd) (r result, out []byte, err error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_EC2_METADATA_DISABLED=true")
	start := time.Now()
	if err = cmd.Start(); err != nil {
		return result{}, nil, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for running := true; running; {
		select {
		case err = <-done:
			running = false
		case <-time.After(5 * time.Millisecond):
			r.Peak = max(r.Peak, highest(cmd.Process.Pid))
		}
	}
	r.Whole = time.Since(start)
	r.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if err != nil {
		return result{}, nil, fmt.Errorf("%s: %w: %s%s", strings.Join(cmd.Args, " "), err, &stdout, &stderr)
	}
	return r, stdout.Bytes(), nil
}

// spent is the processor time that this process has used, which is that of the stores.
func spent() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// highest is the most memory that a process has had, in bytes (VmHWM of proc(5)); 0 if it is gone.
func highest(pid int) int64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	var kilobytes int64
	fmt.Sscan(rest, &kilobytes)
	return kilobytes << 10
}

// work is the process.
func work(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("worker", flag.ExitOnError)
	address := flags.String("bucket", "", "")
	dir := flags.String("dir", "", "packages to add")
	n := flags.Int("n", packagesOf, "members of the stream")
	few := flags.Int("architectures", len(architectures), "")
	to := flags.Int64("to", 0, "serial to go back to")
	resign := flags.Int("resign", 0, "how often to sign the index anew")
	if err := flags.Parse(args); err != nil {
		return err
	}
	signer, err := readSigner()
	if err != nil {
		return err
	}
	inner, err := bucket.Open(*address)
	if err != nil {
		return err
	}
	b := &watched{Bucket: inner}
	p := repo.NewPublisher(repo.Config{Bucket: b, URL: "https://pkgs.example.org", Signer: signer, Keyring: signer.Keyring(), Now: time.Now})
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
		plan, err := p.Plan(ctx, stream(*n, architectures[:*few]), change)
		if err != nil {
			return err
		}
		if err := p.Execute(ctx, plan); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(result{Publish: time.Since(start), Waiting: b.waited, Peak: highest(os.Getpid())})
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
