package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

func newHistory(p *program) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "history STREAM",
		Short: "Show who published what to a stream, the newest first",
		Long: `History lists the publications of a stream: serial, the date that its index has, how many packages the index had,
came to it and left it, who published, and why. It follows the records in the bucket, each of which names the one before
it by digest, and says where they do not fit together.

An index is dated five minutes before it is made, for clients whose clocks are behind.`,
		Example: `  pkgs history core:/stable:/v1.35
  pkgs history core:/stable:/v1.35 --output json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			_, b, err := p.openStream(given[0])
			if err != nil {
				return err
			}
			if _, err := liveState(cmd.Context(), b, given[0]); err != nil {
				return err
			}
			history, err := repo.History(cmd.Context(), b, layout.Stream(given[0]), limit)
			if err != nil {
				return err
			}
			if p.output == "json" {
				return p.printJSON(history)
			}
			for _, h := range history {
				fmt.Fprintf(p.stdout, "%4d  %s  %4d packages, %d added, %d removed  %s: %s\n",
					h.Serial, h.Time.UTC().Format(time.DateTime+" UTC"), h.Packages, len(h.Added), len(h.Removed), h.By, h.Reason)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "show this many publications at most; 0 is all")
	return cmd
}

func newDiff(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "diff STREAM FROM TO",
		Short: "Show which packages came and went between two publications of a stream",
		Long: `Diff compares the packages in the indexes of two publications, which are given by their serials: a + stands before
those that only TO has, a - before those that only FROM has.`,
		Example: `  pkgs diff core:/stable:/v1.35 3 5`,
		Args:    args(cobra.ExactArgs(3)),
		RunE: func(cmd *cobra.Command, given []string) error {
			var serials [2]int64
			for i := range serials {
				n, err := strconv.ParseInt(given[1+i], 10, 64)
				if err != nil || n < 1 {
					return usagef("%q is not a serial: pkgs history %s lists them", given[1+i], given[0])
				}
				serials[i] = n
			}
			_, b, err := p.openStream(given[0])
			if err != nil {
				return err
			}
			if _, err := liveState(cmd.Context(), b, given[0]); err != nil {
				return err
			}
			added, removed, err := repo.Diff(cmd.Context(), b, layout.Stream(given[0]), serials[0], serials[1])
			if err != nil {
				return err
			}
			if p.output == "json" {
				return p.printJSON(map[string][]string{"added": added, "removed": removed})
			}
			for _, name := range added {
				fmt.Fprintf(p.stdout, "+ %s\n", name)
			}
			for _, name := range removed {
				fmt.Fprintf(p.stdout, "- %s\n", name)
			}
			return nil
		},
	}
}

func newRollback(p *program) *cobra.Command {
	var to int64
	var reason, unsigned string
	var confirm bool
	cmd := &cobra.Command{
		Use:   "rollback STREAM --to SERIAL --reason TEXT",
		Short: "Give a stream the packages of an earlier publication again",
		Long: `Rollback makes a new publication, with a new serial and a new signature, whose index names the packages that the
index of an earlier one named. Nothing is deleted: what leaves the index stays in the bucket, and can come back.`,
		Example: `  pkgs rollback core:/stable:/v1.35 --to 4 --reason "1.35.2 does not start"
  pkgs rollback core:/stable:/v1.35 --to 4 --reason "1.35.2 does not start" --confirm`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			if to < 1 || reason == "" {
				return usagef("--to and --reason are needed: pkgs history %s lists the serials", given[0])
			}
			return p.changeOrAsk(cmd.Context(), given[0], repo.Change{To: to, Reason: fmt.Sprintf("rollback to %d: %s", to, reason)}, unsigned, confirm)
		},
	}
	cmd.Flags().Int64Var(&to, "to", 0, "`serial` of the publication to go back to")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the history")
	addUnsigned(cmd, &unsigned)
	cmd.Flags().BoolVar(&confirm, "confirm", false, "publish what the plan says")
	return cmd
}

func newYank(p *program) *cobra.Command {
	var reason, unsigned string
	var confirm bool
	cmd := &cobra.Command{
		Use:   "yank STREAM PACKAGE... --reason TEXT",
		Short: "Take packages out of a stream's index",
		Long: `Yank makes a new publication whose index does not name the packages given. Their files stay in the bucket, so
that nobody who has the address of one finds it gone. PACKAGE is the name of a file below the stream, or a package and
version such as kubelet=1.35.2-1.1, which stands for its files in both formats and for every architecture.`,
		Example: `  pkgs yank core:/stable:/v1.35 kubelet=1.35.2-1.1 --reason "does not start" --confirm`,
		Args:    args(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, given []string) error {
			if reason == "" {
				return usagef("--reason is missing: say why, for the history")
			}
			_, b, err := p.openStream(given[0])
			if err != nil {
				return err
			}
			state, err := liveState(cmd.Context(), b, given[0])
			if err != nil {
				return err
			}
			names, err := state.Find(given[1:])
			if err != nil {
				return usageError{err}
			}
			return p.changeOrAsk(cmd.Context(), given[0], repo.Change{Yank: names, Reason: "yank: " + reason, Base: state}, unsigned, confirm)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the history")
	addUnsigned(cmd, &unsigned)
	cmd.Flags().BoolVar(&confirm, "confirm", false, "publish what the plan says")
	return cmd
}

// openStream reads the configuration, checks that it has the stream, and opens the bucket.
func (p *program) openStream(name string) (*config, bucket.Bucket, error) {
	cfg, err := readConfig(p.configFile)
	if err != nil {
		return nil, nil, err
	}
	if _, err := cfg.stream(name); err != nil {
		return nil, nil, err
	}
	b, err := p.openBucket(cfg.address(cfg.Bucket))
	return cfg, b, err
}

// changeOrAsk plans a change of a stream that needs no files, prints the plan and, if confirmed, carries it out. If the
// directory unsigned is not empty, it writes a request there to have the change signed elsewhere instead.
func (p *program) changeOrAsk(ctx context.Context, name string, change repo.Change, unsigned string, confirm bool) error {
	cfg, b, err := p.openStream(name)
	if err != nil {
		return err
	}
	target, err := cfg.stream(name)
	if err != nil {
		return err
	}
	if change.Base == nil {
		if change.Base, err = liveState(ctx, b, name); err != nil {
			return err
		}
	}
	signing, err := p.openSigning(cfg)
	if err != nil {
		return err
	}
	if unsigned != "" {
		if err := nothingToConfirm(unsigned, confirm); err != nil {
			return err
		}
		return one(p.requestIndex(ctx, cfg, signing, b, target, change, unsigned)).print(p)
	}
	return one(p.publish(ctx, cfg, signing, b, target, change, confirm)).print(p)
}
