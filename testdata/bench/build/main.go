// Command bench measures how pkgs builds packages, beside the programs that others build theirs with, and prints the table
// that stands in the README. It is run by make bench-build, which compiles what it needs.
//
// Every comparison is between two programs that run in turn on the same input, and is the median of the ratios of such
// pairs. Processor time is that of all processes that a program started, memory that of the largest of them.
//
// The input is what testdata/release compiles: the real kubeadm, kubectl and kubelet for two architectures, and the real CNI
// plugins for four. In the place of what it has small stand-ins for are programs that are as large, see input.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	pkgs := flag.String("pkgs", "", "the `program` pkgs (required)")
	nfpm := flag.String("nfpm", "", "the `program` nfpm (required)")
	release := flag.String("release", "", "the `folder` that testdata/release made (required)")
	work := flag.String("work", "", "a `folder` for what is made; some gigabytes (required)")
	runs := flag.Int("runs", 5, "how often each pair is run")
	only := flag.String("only", "", "`names` of comparisons to make, of nfpm,native,unpack,cores,again; all if empty")
	flag.Parse()
	if *pkgs == "" || *nfpm == "" || *release == "" || *work == "" || *runs < 1 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := &bench{pkgs: *pkgs, nfpm: *nfpm, work: *work, runs: *runs}
	if err := b.all(ctx, *release, *only); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// comparisons in the order in which they are made; unpack needs the packages of the two before.
func (b *bench) all(ctx context.Context, release, only string) error {
	comparisons := []struct {
		name string
		make func(context.Context) error
	}{
		{"nfpm", b.againstNFPM}, {"native", b.againstNative}, {"unpack", b.unpacking}, {"cores", b.cores}, {"again", b.again},
	}
	for _, path := range []*string{&b.pkgs, &b.nfpm, &b.work, &release} {
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	for _, tool := range []string{"dpkg-deb", "rpmbuild", "rpm2cpio", "xz", "taskset"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: install dpkg, rpm, rpm2cpio, xz-utils and util-linux", err)
		}
	}
	if err := os.MkdirAll(b.work, 0o755); err != nil {
		return err
	}
	b.inputs = filepath.Join(b.work, "inputs")
	fmt.Fprintln(os.Stderr, "bench: making the inputs")
	if err := makeInputs(b.inputs, release); err != nil {
		return err
	}
	// The kernel counts as a process' memory also what its parent had when it was started.
	debug.FreeOSMemory()
	if err := b.describe(); err != nil {
		return err
	}
	fmt.Println("| | processor time | size | wall time | memory |")
	fmt.Println("|---|---|---|---|---|")
	for _, c := range comparisons {
		if only != "" && !slices.Contains(strings.Split(only, ","), c.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", c.name)
		if err := c.make(ctx); err != nil {
			return err
		}
	}
	return nil
}

// describe says what was measured, with which programs.
func (b *bench) describe() error {
	info, err := os.Stat(b.kubelet())
	if err != nil {
		return err
	}
	version := func(command ...string) string {
		out, _ := exec.Command(command[0], command[1:]...).Output()
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return line
	}
	fmt.Printf("Medians of %d paired runs on %d processors; kubelet %s of %.1f MB; nfpm %s, %s, %s, %s.\n\n", b.runs, runtime.NumCPU(),
		first, float64(info.Size())/1e6, nfpmVersion, version("dpkg-query", "--showformat", "dpkg ${Version}", "--show", "dpkg"),
		version("rpm", "--version"), version("xz", "--version"))
	return nil
}

// nfpmVersion is the one that go.mod requires.
const nfpmVersion = "v2.45.2"

func row(name string, runs []usage) {
	fmt.Printf("| %s | %.2f s | %.2f MB | %.2f s | %.0f MB |\n", name, median(runs, cpu), median(runs, size), median(runs, wall), median(runs, peak))
}

// ratios is the row that compares: how many times the second is better than the first.
func ratios(as, bs []usage) {
	sizes := "" // what only reads makes none
	if median(as, size) > 0 && median(bs, size) > 0 {
		sizes = fmt.Sprintf("%.3f×", ratio(as, bs, size))
	}
	fmt.Printf("| *ratio* | **%.2f×** | %s | %.2f× | |\n", ratio(as, bs, cpu), sizes, ratio(as, bs, wall))
}
