// Command index measures pkgs index against the programs that do the same work, in turns on the same packages, and prints
// the table of the README. What it makes stays in its directory, and is used again the next time.
//
//	go run ./index -pkgs ../../bin/pkgs -dir ../../out/bench-index [-runs 5] [-only debs,rpms,large,one-deb,one-rpm,many] [-n 10000]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// bench is one run of the program.
type bench struct {
	ctx       context.Context
	pkgs, dir string
	n, runs   int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := &bench{ctx: ctx}
	only := flag.String("only", "debs,rpms,large,one-deb,one-rpm,five,many", "which measurements to take")
	flag.StringVar(&b.pkgs, "pkgs", "bin/pkgs", "the program")
	flag.StringVar(&b.dir, "dir", "out/bench-index", "where packages are made")
	flag.IntVar(&b.n, "n", 10000, "how many packages there are")
	flag.IntVar(&b.runs, "runs", 5, "how many runs count")
	fill := flag.Bool("fill", false, "only make packages: directory, format, from, to")
	flag.Parse()
	if *fill {
		from, _ := strconv.Atoi(flag.Arg(2))
		to, _ := strconv.Atoi(flag.Arg(3))
		if err := newGenerator().fill(ctx, flag.Arg(0), flag.Arg(1), from, to); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := b.all(strings.Split(*only, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) all(only []string) error {
	for _, p := range []*string{&b.pkgs, &b.dir} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	for _, tool := range []struct{ name, from string }{{"apt-ftparchive", "apt-utils"}, {"createrepo_c", "createrepo-c"},
		{"reprepro", "reprepro"}, {"aptly", "aptly"}, {"gpg", "gnupg"}} {
		if _, err := exec.LookPath(tool.name); err != nil {
			return fmt.Errorf("%w: install the Debian package %s", err, tool.from)
		}
	}
	if err := b.key(); err != nil {
		return err
	}
	work := map[string]func() error{"debs": b.debs, "rpms": b.rpms, "large": b.large, "one-deb": b.oneDeb, "one-rpm": b.oneRpm,
		"five": b.five, "many": b.many}
	fmt.Println("| Work | Program | Median | We are | Processors | We need | Memory |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, name := range only {
		f, ok := work[name]
		if !ok {
			return fmt.Errorf("there is no measurement %q", name)
		}
		if err := f(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// report prints what became of a race. The first contender is ours.
func report(work string, contenders ...*contender) {
	ours := contenders[0]
	for i, c := range contenders {
		elapsed, processors := c.median(func(s sample) time.Duration { return s.time }), c.median(func(s sample) time.Duration { return s.processors })
		faster, less := "", ""
		if i > 0 {
			faster = fmt.Sprintf("%.1f times as fast", float64(elapsed)/float64(ours.median(func(s sample) time.Duration { return s.time })))
			less = fmt.Sprintf("1/%.1f", float64(processors)/float64(ours.median(func(s sample) time.Duration { return s.processors })))
			work = ""
		}
		fmt.Printf("| %s | %s | %.3f s | %s | %.3f s | %s | %d MB |\n", work, c.name, elapsed.Seconds(), faster, processors.Seconds(), less, c.memory()>>20)
	}
}

// path is a place in the bench's directory.
func (b *bench) path(elem ...string) string {
	return filepath.Join(append([]string{b.dir}, elem...)...)
}

// fill has another process make packages: what a program is said to use of memory at most is no less than what the process
// that started it used (getrusage(2) does not forget it when a program takes the place of another).
func (b *bench) fill(dir, format string, from, to int) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	_, err = command(b.ctx, b.dir, nil, program, "-fill", dir, format, strconv.Itoa(from), strconv.Itoa(to))
	return err
}

// key makes a signing key once, for us and in gpg.
func (b *bench) key() error {
	if err := os.MkdirAll(b.path("gnupg"), 0o700); err != nil {
		return err
	}
	// An agent of a run before would not have the priority that this one has.
	exec.Command("gpgconf", "--homedir", b.path("gnupg"), "--kill", "gpg-agent").Run()
	if _, err := os.Stat(b.path("key.asc")); err != nil {
		if _, err := command(b.ctx, b.dir, nil, b.pkgs, "keys", "generate", "--out", "key.asc", "--name", "Bench", "--email", "bench@example.org"); err != nil {
			return err
		}
		if _, err := command(b.ctx, b.dir, b.gpgEnv(), "gpg", "--batch", "--import", "key.asc"); err != nil {
			return err
		}
	}
	return os.WriteFile(b.path("pkgs.yaml"), []byte("signing: {key: key.asc}\n"), 0o644)
}

func (b *bench) gpgEnv() []string { return []string{"GNUPGHOME=" + b.path("gnupg")} }

// clean removes what indexers leave beside packages.
func clean(dir string) error {
	for _, name := range []string{".pkgs", "repodata", "by-hash", "Packages", "Packages.gz", "Release", "InRelease", "Release.gpg", "Release.key", "ours", "theirs"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// index is our program's run over dir.
func (b *bench) index(dir string, args ...string) (sample, error) {
	return command(b.ctx, b.dir, nil, append([]string{b.pkgs, "index", dir, "--config", b.path("pkgs.yaml")}, args...)...)
}

const sha256Only = "apt-ftparchive -o APT::FTPArchive::MD5=false -o APT::FTPArchive::SHA1=false -o APT::FTPArchive::SHA512=false"

func (b *bench) debs() error {
	dir := b.path("debs")
	if err := b.fill(dir, "deb", 0, b.n); err != nil {
		return err
	}
	// apt-ftparchive packages does not look at what debs install either.
	ours := &contender{name: "pkgs index --trust-contents", before: func(int) error { return clean(dir) },
		run: func(int) (sample, error) { return b.index(dir, "--trust-contents") }}
	judging := &contender{name: "pkgs index, which judges what debs install", before: func(int) error { return clean(dir) },
		run: func(int) (sample, error) { return b.index(dir) }}
	theirs := &contender{name: "apt-ftparchive packages, SHA-256 only", before: func(int) error { return clean(dir) },
		run: func(int) (sample, error) {
			return shell(b.ctx, dir, nil, sha256Only+" packages . > ../Packages.theirs")
		}}
	if err := race(b.runs, ours, theirs, judging); err != nil {
		return err
	}
	report(fmt.Sprintf("full index of %d debs", b.n), ours, theirs, judging)
	return nil
}

func (b *bench) rpms() error {
	dir := b.path("rpms")
	if err := b.fill(dir, "rpm", 0, b.n); err != nil {
		return err
	}
	ours := &contender{name: "pkgs index", before: func(int) error { return clean(dir) },
		run: func(int) (sample, error) { return b.index(dir) }}
	theirs := &contender{name: "createrepo_c --no-database", before: func(int) error { return clean(dir) },
		run: func(int) (sample, error) {
			return command(b.ctx, dir, nil, "createrepo_c", "--quiet", "--no-database", ".")
		}}
	if err := race(b.runs, ours, theirs); err != nil {
		return err
	}
	report(fmt.Sprintf("full index of %d rpms", b.n), ours, theirs)
	return nil
}

func (b *bench) large() error {
	dir := b.path("large")
	if err := large(b.ctx, dir, 20); err != nil {
		return err
	}
	ours := &contender{name: "pkgs index", before: func(int) error { return clean(dir) },
		run: func(int) (sample, error) { return b.index(dir) }}
	theirs := &contender{name: "apt-ftparchive packages, SHA-256 only", before: func(int) error { return clean(dir) },
		run: func(int) (sample, error) {
			return shell(b.ctx, dir, nil, sha256Only+" packages . > ../Packages.theirs")
		}}
	if err := race(b.runs, ours, theirs); err != nil {
		return err
	}
	report("20 debs of 100 MB", ours, theirs)
	return nil
}

// spare is a package that is in no directory yet.
func (b *bench) spare(format string, i int) (string, error) {
	dir := b.path("spare")
	return filepath.Join(dir, fileName(format, i)), b.fill(dir, format, i, i+1)
}

// copyFile copies a package, as one that was just built.
func copyFile(from, dir string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	to := filepath.Join(dir, filepath.Base(from))
	if err := os.WriteFile(to, data, 0o644); err != nil {
		return err
	}
	return os.Chtimes(to, time.Time{}, built.Add(time.Hour))
}
