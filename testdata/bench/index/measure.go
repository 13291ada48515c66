package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sample is how long something took, the time of processors in it, and the most memory of a process of it in bytes.
type sample struct {
	time, processors time.Duration
	memory           int64
}

// command runs a program and measures it. Its output is shown only when it fails.
func command(ctx context.Context, dir string, env []string, args ...string) (sample, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := cmd.Run()
	s := sample{time: time.Since(start)}
	if err != nil {
		text := out.String()
		return s, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, text[max(0, len(text)-2000):])
	}
	s.processors = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	s.memory = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	return s, nil
}

// shell is command for a line of shell.
func shell(ctx context.Context, dir string, env []string, line string) (sample, error) {
	return command(ctx, dir, env, "/bin/sh", "-ec", line)
}

// contender is one way to do a piece of work. Before runs unmeasured ahead of each run, told its number.
type contender struct {
	name   string
	before func(run int) error
	run    func(run int) (sample, error)
	taken  []sample
}

func (c *contender) median(of func(sample) time.Duration) time.Duration {
	times := make([]time.Duration, len(c.taken))
	for i, s := range c.taken {
		times[i] = of(s)
	}
	slices.Sort(times)
	return times[len(times)/2]
}

func (c *contender) memory() (most int64) {
	for _, s := range c.taken {
		most = max(most, s.memory)
	}
	return most
}

// race lets contenders do the same work in turns, so that whatever else the machine does strikes all alike. The first
// run of each is not counted.
func race(runs int, contenders ...*contender) error {
	for run := range runs + 1 {
		for _, c := range contenders {
			if c.before != nil {
				if err := c.before(run); err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
			}
			s, err := c.run(run)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if run > 0 {
				c.taken = append(c.taken, s)
			}
		}
	}
	return nil
}
