package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// garbageConfig says when objects that nothing names are deleted.
type garbageConfig struct {
	// After is how long they are kept after they were seen first; empty is 336h, two weeks.
	After string `yaml:"after"`
	// Percent is how much of a stream's objects one run deletes at most; 0 is 10.
	Percent int `yaml:"percent"`
}

// retention checks the configuration and brings it into the form of the library.
func (g garbageConfig) retention() (repo.Retention, error) {
	r := repo.Retention{Share: float64(g.Percent) / 100}
	if g.After != "" {
		var err error
		if r.Age, err = time.ParseDuration(g.After); err != nil || r.Age < 24*time.Hour {
			return r, fmt.Errorf("after: %q is not a time of at least 24h, such as 336h", g.After)
		}
	}
	if g.Percent < 0 || g.Percent > 100 {
		return r, fmt.Errorf("percent: %d is not between 1 and 100", g.Percent)
	}
	return r, nil
}

func newGC(p *program) *cobra.Command {
	var after string
	var percent int
	var confirm bool
	cmd := &cobra.Command{
		Use:   "gc [STREAM...]",
		Short: "Delete what no publication needs any more",
		Long: `Gc looks for objects that nothing names: indexes and snapshots of all but the last 5 publications, files that a run
left which died before it published, and, in streams of prereleases and nightly builds, packages that are in no index of
those publications. What it finds for the first time it notes in the bucket. What was noted two weeks ago, or the time
that --after or garbage.after in the configuration says, and is still not named, it deletes, though never more than a tenth
of a stream's objects in one run (--percent, garbage.percent).

The packages that were ever published to a stable stream are never deleted, nor are the records of publications. Without
--confirm nothing is noted and nothing is deleted. Publications may go on at the same time.`,
		Example: `  pkgs gc
  pkgs gc core:/prerelease:/v1.36 --confirm`,
		RunE: func(cmd *cobra.Command, names []string) error {
			cfg, err := readConfig(p.configFile)
			if err != nil {
				return err
			}
			garbage := cfg.Garbage
			if after != "" {
				garbage.After = after
			}
			if percent != 0 {
				garbage.Percent = percent
			}
			retention, err := garbage.retention()
			if err != nil {
				return usagef("--%w", err)
			}
			b, err := p.openBucket(cfg.address(cfg.Bucket))
			if err != nil {
				return err
			}
			for _, name := range names {
				if _, err := cfg.stream(name); err != nil {
					return err
				}
				if _, err := liveState(cmd.Context(), b, name); err != nil {
					return err
				}
			}
			if len(names) == 0 {
				if names, err = cfg.published(cmd.Context(), b); err != nil {
					return err
				}
				if len(names) == 0 && p.output == "text" {
					fmt.Fprintf(p.stdout, "no stream of %s was ever published in %s: there is nothing to delete\n", cfg.file, b)
				}
			}
			return p.gc(cmd.Context(), b, names, retention, confirm)
		},
	}
	cmd.Flags().StringVar(&after, "after", "", "how long to keep what nothing names, such as 336h; a day is the least")
	cmd.Flags().IntVar(&percent, "percent", 0, "how much of a stream's objects to delete at most")
	cmd.Flags().BoolVar(&confirm, "confirm", false, "note and delete what the plan says")
	return cmd
}

// collection is what gc prints of a stream as JSON.
type collection struct {
	*repo.Collection
	Done bool `json:"done"`
}

// gc collects the garbage of streams one after the other. What goes wrong with one does not keep the others back.
func (p *program) gc(ctx context.Context, b bucket.Bucket, names []string, retention repo.Retention, confirm bool) error {
	show := p.progress("gc")
	defer show.done()
	publisher := repo.NewPublisher(repo.Config{Bucket: b, Now: p.now, Log: p.log, By: p.publisher(), Progress: show.publishing})
	results := []collection{}
	var problems []error
	for _, name := range names {
		c, err := publisher.Collect(ctx, layout.Stream(name), retention)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if p.output == "text" {
			problems = append(problems, c.Print(p.stdout))
		}
		if confirm {
			err = publisher.Sweep(ctx, c)
			problems = append(problems, err)
		} else if !c.Empty() && p.output == "text" {
			fmt.Fprintln(p.stdout, "  dry run: nothing was written. Run it again with --confirm to note and delete this.")
		}
		results = append(results, collection{c, confirm && err == nil})
	}
	if p.output == "json" {
		problems = append(problems, p.printJSON(results))
	}
	return errors.Join(problems...)
}
