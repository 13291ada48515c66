// Command publish measures what publications cost: requests, waiting and memory, against stores on this machine that are
// a round trip of 30 ms away, and beside each figure what a peer takes for the same work in the same run. Where a thing is
// measured several times, the median is told.
//
//	make bench-publish RUNS=5
//
// It runs in its own folder, and keeps the packages that it makes for the next time.
//
// The stores are fsouza/fake-gcs-server, with its objects in files in memory, and johannesboyne/gofakes3. They share the
// processors with who is measured, so a first publication is measured with a lean stand-in for the former too, and how much
// processor time went where is told. Every publication runs in a process of its own, whose memory is what the system says that
// it had at most. The peers are Debian's aptly and rclone; one that is not installed is left out, and the output says so. It
// fails when a figure misses its goal.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/testdata/bench/publish/fixture"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	debug.SetGCPercent(400) // who is measured needs the processors
	b := &bench{ctx: ctx}
	flag.IntVar(&b.runs, "runs", 5, "how often to measure what depends on the machine")
	flag.DurationVar(&b.trip, "trip", 30*time.Millisecond, "round trip to the store")
	flag.StringVar(&b.cache, "cache", "../../../.cache/bench/publish", "where the packages lie that are made once")
	flag.StringVar(&b.only, "only", "", "`names` of what to measure, of changes,aptly,first,memory,history; all if empty")
	flag.Parse()
	if err := b.all(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if b.missed > 0 {
		fmt.Printf("%d goals missed\n", b.missed)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	ctx    context.Context
	runs   int
	trip   time.Duration
	cache  string
	only   string
	missed int
}

// goal prints a figure beside its goal.
func (b *bench) goal(met bool, format string, args ...any) {
	verdict := "ok    "
	if !met {
		verdict = "MISSED"
		b.missed++
	}
	fmt.Printf("  %s %s\n", verdict, fmt.Sprintf(format, args...))
}

func (b *bench) note(format string, args ...any) {
	fmt.Printf("         %s\n", fmt.Sprintf(format, args...))
}

func (b *bench) all() error {
	whole, more, large, small := filepath.Join(b.cache, "whole"), filepath.Join(b.cache, "more"), filepath.Join(b.cache, "large"), filepath.Join(b.cache, "small")
	first := filepath.Join(b.cache, "first")
	fmt.Println("making packages, once")
	for _, make := range []func() error{
		func() error {
			return fixture.MakePackages(b.ctx, whole, fixture.PackagesOf, fixture.Architectures, "1.35.0", 1000, "deb", "rpm")
		},
		func() error {
			return fixture.MakePackages(b.ctx, more, 1, fixture.Architectures[:1], "1.35.0-1.2", 1000, "deb")
		},
		func() error {
			return fixture.MakePackages(b.ctx, first, firstPackages, fixture.Architectures, "1.35.0", 20_000, "deb", "rpm")
		},
		func() error {
			return fixture.MakePackages(b.ctx, large, 2, fixture.Architectures[:1], "1.35.0", 96<<20, "deb", "rpm")
		},
		func() error {
			return fixture.MakePackages(b.ctx, small, 2, fixture.Architectures[:1], "1.35.0", 1<<20, "deb", "rpm")
		},
	} {
		if err := make(); err != nil {
			return err
		}
	}
	for _, part := range []struct {
		name string
		do   func() error
	}{
		{"changes", func() error { return b.changes("gs", whole, more) }},
		{"changes", func() error { return b.changes("s3", whole, more) }},
		{"aptly", func() error { return b.aptlyChanges(whole, more) }},
		{"first", func() error { return b.first("gs", first) }},
		{"first", func() error { return b.first("lean", first) }},
		{"first", func() error { return b.first("s3", first) }},
		{"memory", func() error { return b.memory("gs", small, large) }},
		{"memory", func() error { return b.memory("s3", small, large) }},
		{"history", func() error { return b.history(small) }},
	} {
		if b.only != "" && !slices.Contains(strings.Split(b.only, ","), part.name) {
			continue
		}
		if err := part.do(); err != nil {
			return err
		}
	}
	return nil
}

// changes measures what is done to a stream of 1000 debs and 1000 rpms.
func (b *bench) changes(scheme, whole, more string) error {
	s, err := newStore(scheme, b.trip)
	if err != nil {
		return err
	}
	defer s.Close()
	add := func(dir string) (fixture.Result, counts, error) {
		s.take()
		r, err := publish(b.ctx, "-bucket", s.address(), "-dir", dir)
		return r, s.take(), err
	}
	if _, _, err := add(whole); err != nil {
		return err
	}
	fmt.Printf("\n%s, a stream of 1000 debs and 1000 rpms for 4 architectures\n", scheme)
	r, c, err := add(whole)
	if err != nil {
		return err
	}
	b.goal(c.reads <= 3 && c.writes+c.lists+c.deletes == 0, "no change: %d reads, %d writes, %d listings (at most 3, 0, 0); waited %s", c.reads, c.writes, c.lists, ms(r.Waiting))
	if r, c, err = add(more); err != nil {
		return err
	}
	b.goal(c.all() <= 20, "one more deb: %d requests, %d of them writes of %s (at most 20)", c.all(), c.writes, size(c.sent))
	b.goal(r.Waiting <= 600*time.Millisecond, "one more deb: waited %s (at most 600 ms); planned and executed in %s", ms(r.Waiting), ms(r.Publish))
	s.take()
	if r, err = publish(b.ctx, "-bucket", s.address(), "-to", "1"); err != nil {
		return err
	}
	c = s.take()
	b.goal(c.writes <= 16, "rollback of that: %d writes of %s (at most 16), %d reads; waited %s", c.writes, size(c.sent), c.reads, ms(r.Waiting))
	return nil
}

// aptlyChanges has aptly do what changes does.
func (b *bench) aptlyChanges(whole, more string) error {
	fmt.Printf("\naptly, s3, the 1000 debs\n")
	if _, err := exec.LookPath("aptly"); err != nil {
		b.note("not installed: apt-get install aptly")
		return nil
	}
	s, err := newStore("s3", b.trip)
	if err != nil {
		return err
	}
	defer s.Close()
	dir, err := os.MkdirTemp("", "aptly-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	a, err := newAptly(b.ctx, dir, s)
	if err != nil {
		return err
	}
	if err := a.add(whole); err != nil {
		return err
	}
	took, err := a.run("publish", "repo", "-skip-signing", "bench", "s3:bench:")
	if err != nil {
		return err
	}
	b.note("first publication: %d requests, %s", s.take().all(), ms(took))
	if took, err = a.run("publish", "update", "-skip-signing", "bench", "s3:bench:"); err != nil {
		return err
	}
	c := s.take()
	b.note("no change: %d requests, %d of them writes of %s, %s", c.all(), c.writes, size(c.sent), ms(took))
	if err := a.add(more); err != nil {
		return err
	}
	if took, err = a.run("publish", "update", "-skip-signing", "bench", "s3:bench:"); err != nil {
		return err
	}
	c = s.take()
	b.note("one more deb: %d requests, %d of them writes of %s, %s", c.all(), c.writes, size(c.sent), ms(took))
	return nil
}

// firstPackages gives the first publication of first about 1000 objects: 8 for each, and 29 that any has.
const firstPackages = 121

// first measures a first publication against rclone, which copies the same objects.
func (b *bench) first(scheme, packages string) error {
	fmt.Printf("\n%s, a first publication\n", scheme)
	dir, err := os.MkdirTemp("", "first-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, err := publish(b.ctx, "-bucket", dir, "-dir", packages, "-n", fmt.Sprint(firstPackages)); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, ".bucket")); err != nil {
		return err
	}
	var ours, theirs, least series
	_, lacking := exec.LookPath("rclone")
	for range b.runs {
		if err := ours.add(scheme, b.trip, func(s *store) (fixture.Result, error) {
			return publish(b.ctx, "-bucket", s.address(), "-dir", packages, "-n", fmt.Sprint(firstPackages))
		}); err != nil {
			return err
		}
		if scheme != "s3" {
			if err := least.add(scheme, b.trip, func(s *store) (fixture.Result, error) {
				return publish(b.ctx, "-bucket", s.address(), "-bare", dir)
			}); err != nil {
				return err
			}
		}
		if lacking != nil {
			continue
		}
		if err := theirs.add(scheme, b.trip, func(s *store) (fixture.Result, error) { return rclone(b.ctx, dir, s) }); err != nil {
			return err
		}
	}
	b.note("%d objects, %d requests, %s; planned and executed in %s, the whole process in %s", ours.c.writes, ours.c.all(), size(ours.c.sent), ms(ours.publish()), ms(ours.whole()))
	b.note("processor time: %s of the process, %s of the store", ms(ours.cpu()), ms(median(ours.store)))
	b.goal(ours.peak() <= 64<<20, "at most %s of memory (64 MiB)", size(ours.peak()))
	if len(least.runs) > 0 {
		b.note("the same bytes by net/http alone, with the same round trips: %s, with %s of processor time and %s of the store", ms(least.publish()), ms(least.cpu()), ms(median(least.store)))
	}
	if lacking != nil {
		b.note("rclone is not installed: apt-get install rclone")
		return nil
	}
	b.note("rclone --transfers 64: %d requests, %s, at most %s of memory", theirs.c.all(), ms(theirs.whole()), size(theirs.peak()))
	b.note("processor time: %s of rclone, %s of the store", ms(theirs.cpu()), ms(median(theirs.store)))
	ratio := theirs.whole().Seconds() / ours.publish().Seconds()
	line := fmt.Sprintf("%.1f times as fast as rclone; with the reading of the packages and the start of the process %.1f times",
		ratio, theirs.whole().Seconds()/ours.whole().Seconds())
	if scheme == "gs" {
		b.goal(ratio >= 3.5, "%s (3.5)", line)
	} else {
		b.note("%s", line)
	}
	return nil
}

// series is what several runs of the same took, each with a store of its own.
type series struct {
	runs  []fixture.Result
	store []time.Duration // processor time of the stores
	c     counts          // of the last run
}

func (s *series) add(scheme string, trip time.Duration, do func(*store) (fixture.Result, error)) error {
	to, err := newStore(scheme, trip)
	if err != nil {
		return err
	}
	defer to.Close()
	before := spent()
	r, err := do(to)
	s.runs, s.store, s.c = append(s.runs, r), append(s.store, spent()-before), to.take()
	return err
}

func (s *series) of(what func(fixture.Result) time.Duration) time.Duration {
	var all []time.Duration
	for _, r := range s.runs {
		all = append(all, what(r))
	}
	return median(all)
}

func (s *series) publish() time.Duration {
	return s.of(func(r fixture.Result) time.Duration { return r.Publish })
}
func (s *series) whole() time.Duration {
	return s.of(func(r fixture.Result) time.Duration { return r.Whole })
}
func (s *series) cpu() time.Duration {
	return s.of(func(r fixture.Result) time.Duration { return r.CPU })
}

func (s *series) peak() (most int64) {
	for _, r := range s.runs {
		most = max(most, r.Peak)
	}
	return most
}

// memory compares publications of small packages and of large ones.
func (b *bench) memory(scheme, small, large string) error {
	fmt.Printf("\n%s, large packages\n", scheme)
	var peaks [2]int64
	for i, dir := range []string{small, large} {
		s, err := newStore(scheme, 0)
		if err != nil {
			return err
		}
		r, err := publish(b.ctx, "-bucket", s.address(), "-dir", dir, "-n", "2", "-architectures", "1")
		s.Close()
		if err != nil {
			return err
		}
		peaks[i] = r.Peak
	}
	b.goal(peaks[1] <= 64<<20, "4 packages of 96 MiB take %s of memory (64 MiB), 4 of 1 MiB take %s", size(peaks[1]), size(peaks[0]))
	return nil
}

// history compares a publication on top of few others with one on top of many.
func (b *bench) history(small string) error {
	fmt.Printf("\na long history\n")
	dir, err := os.MkdirTemp("", "history-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	base := []string{"-bucket", dir, "-n", "2", "-architectures", "1"}
	if _, err := publish(b.ctx, append(base, "-dir", small)...); err != nil {
		return err
	}
	few, err := publish(b.ctx, append(base, "-resign", "1")...)
	if err != nil {
		return err
	}
	const serials = 250 // each is dated a second later, and the first minutes ago
	if _, err := publish(b.ctx, append(base, "-resign", fmt.Sprint(serials))...); err != nil {
		return err
	}
	many, err := publish(b.ctx, append(base, "-resign", "1")...)
	if err != nil {
		return err
	}
	b.goal(many.Peak <= few.Peak+8<<20, "publication %d takes %s of memory, publication 2 took %s", serials+3, size(many.Peak), size(few.Peak))
	return nil
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
