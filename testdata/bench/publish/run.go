package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/pkgs/testdata/bench/publish/fixture"
)

// publish runs the publisher, which lies beside this program, and says what it took.
func publish(ctx context.Context, args ...string) (fixture.Result, error) {
	self, err := os.Executable()
	if err != nil {
		return fixture.Result{}, err
	}
	whole, out, err := run(exec.CommandContext(ctx, filepath.Join(filepath.Dir(self), "publisher"), args...))
	if err != nil {
		return fixture.Result{}, err
	}
	r := whole
	if err := json.Unmarshal(out, &r); err != nil {
		return fixture.Result{}, err
	}
	r.Whole, r.CPU, r.Peak = whole.Whole, whole.CPU, max(whole.Peak, r.Peak)
	return r, nil
}

// run runs a command and says what the whole of it took. The memory is as far as a look every few milliseconds tells. (What
// wait4 tells of a child is no less than what its parent had when it was forked.)
func run(cmd *exec.Cmd) (r fixture.Result, out []byte, err error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, temporary+"=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_EC2_METADATA_DISABLED=true")
	start := time.Now()
	if err = cmd.Start(); err != nil {
		return fixture.Result{}, nil, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for running := true; running; {
		select {
		case err = <-done:
			running = false
		case <-time.After(20 * time.Millisecond):
			r.Peak = max(r.Peak, fixture.Highest(cmd.Process.Pid))
		}
	}
	r.Whole = time.Since(start)
	r.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if err != nil {
		return fixture.Result{}, nil, fmt.Errorf("%s: %w: %s%s", strings.Join(cmd.Args, " "), err, &stdout, &stderr)
	}
	return r, stdout.Bytes(), nil
}

// spent is the processor time that this process has used, which is that of the stores.
func spent() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
