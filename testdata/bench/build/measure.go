package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// usage is what a run took, by the kernel's account of the processes that were waited for.
type usage struct {
	cpu, wall time.Duration
	// peak is the memory of the largest process, in bytes; size that of the files that were made.
	peak, size int64
}

// job is something to measure. Each of its commands runs after the other; they make the files in dir, which is emptied
// before unless keep is set.
type job struct {
	dir      string
	keep     bool
	commands [][]string
	env      []string
}

func (j job) run(ctx context.Context) (usage, error) {
	if !j.keep {
		if err := os.RemoveAll(j.dir); err != nil {
			return usage{}, err
		}
	}
	if err := os.MkdirAll(j.dir, 0o755); err != nil {
		return usage{}, err
	}
	var u usage
	for _, command := range j.commands {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		var out bytes.Buffer
		cmd.Stderr = &out
		cmd.Env = append(os.Environ(), j.env...)
		start := time.Now()
		if err := cmd.Run(); err != nil {
			return usage{}, fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, &out)
		}
		u.wall += time.Since(start)
		u.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		// Linux counts this in KiB.
		u.peak = max(u.peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss<<10)
	}
	var err error
	u.size, err = packagesIn(j.dir)
	return u, err
}

// packagesIn is the size of all packages below dir.
func packagesIn(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".deb" && filepath.Ext(path) != ".rpm" {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

// pairs runs two jobs in turn, so that whatever else the machine does is the same for both.
func pairs(ctx context.Context, runs int, a, b job) (as, bs []usage, err error) {
	for i := range runs {
		for which, j := range []job{a, b} {
			u, err := j.run(ctx)
			if err != nil {
				return nil, nil, err
			}
			if which == 0 {
				as = append(as, u)
			} else {
				bs = append(bs, u)
			}
		}
		fmt.Fprintf(os.Stderr, "bench: run %d of %d: %.1f and %.1f s of processor time, %.1f and %.1f s\n", i+1, runs,
			as[i].cpu.Seconds(), bs[i].cpu.Seconds(), as[i].wall.Seconds(), bs[i].wall.Seconds())
	}
	return as, bs, nil
}

// median is that of what f says about each run.
func median(runs []usage, f func(usage) float64) float64 {
	var values []float64
	for _, u := range runs {
		values = append(values, f(u))
	}
	return middle(values)
}

// ratio is the median of the ratios of each pair of runs.
func ratio(as, bs []usage, f func(usage) float64) float64 {
	var values []float64
	for i := range as {
		values = append(values, f(as[i])/f(bs[i]))
	}
	return middle(values)
}

func middle(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

func cpu(u usage) float64  { return u.cpu.Seconds() }
func wall(u usage) float64 { return u.wall.Seconds() }
func size(u usage) float64 { return float64(u.size) / 1e6 }
func peak(u usage) float64 { return float64(u.peak) / 1e6 }
