// Command pkgs builds, signs and publishes the deb and rpm packages of a community, one stream for each minor version.
//
// Every command has one shape: it reads flags and the configuration file, calls the library that does the work, prints
// the result on standard output and leaves with an exit code. Logs and progress go to standard error. Only this package
// knows the environment, the clock and where secrets come from.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/reconcile"
	"sigs.k8s.io/pkgs/repo/verify"
)

// The exit codes, which the help of the root command explains.
const (
	exitFailure   = 1
	exitUsage     = 2
	exitDrift     = 3
	exitIntegrity = 4
	exitRace      = 5
)

func main() { os.Exit(start(time.Now, os.Stdout, os.Stderr)) }

// start is the program on this machine, but for its clock. It returns the exit code.
func start(now func() time.Time, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once: the first has been noticed by then.
	context.AfterFunc(ctx, stop)
	return run(ctx, now, os.Args[1:], stdout, stderr)
}

// run is the program with its surroundings as arguments. It returns the exit code.
func run(ctx context.Context, now func() time.Time, args []string, stdout, stderr io.Writer) int {
	out := &output{w: stdout}
	p := &program{stdout: out, stderr: stderr, now: now, getenv: os.Getenv, openBucket: bucket.Open, interrupted: ctx.Done()}
	defer p.end()
	root := newRoot(p)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = out.err
	}
	if err == nil {
		return 0
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "pkgs: interrupted: nothing half-written is left, and the same command goes on from here")
		return exitFailure
	}
	fmt.Fprintf(stderr, "pkgs: %v\n", err)
	return exitCode(err)
}

func exitCode(err error) int {
	var usage usageError
	var race *repo.RaceError
	var moved *repo.MovedError
	var damage *verify.DamageError
	var chain *repo.ChainError
	var altered *repo.AlteredError
	var drift *driftError
	var due *dueError
	var unshown *unshownError
	var busy *repo.BusyError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &damage), errors.As(err, &chain), errors.As(err, &altered):
		return exitIntegrity
	case errors.As(err, &race), errors.As(err, &busy), errors.As(err, &moved):
		return exitRace
	case errors.As(err, &drift) && drift.severity == reconcile.Alarm:
		return exitIntegrity
	case errors.As(err, &drift):
		return exitDrift
	case errors.As(err, &due), errors.As(err, &unshown):
		return exitDrift
	}
	return exitFailure
}

// usageError is an error in what the user typed or configured.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// program is what all commands share: the surroundings and the flags that every command has.
type program struct {
	stdout, stderr io.Writer
	now            func() time.Time
	getenv         func(string) string
	openBucket     func(address string) (bucket.Bucket, error)
	interrupted    <-chan struct{} // closed when the program is told to end
	// backoff is how long to wait before a download is tried again; 0 is the default.
	backoff time.Duration

	configFile string
	output     string
	logLevel   string
	passphrase string // a file
	log        *slog.Logger

	ending []func() // what remains to be done when the command has ended

	passphraseFD   int // -1 is none
	passphraseOnce sync.Once
	passphraseData []byte // what passphraseFD held, as is passphraseErr; both are set by passphraseOnce
	passphraseErr  error
}

// end does what is to be done when a command has ended.
func (p *program) end() {
	for _, do := range p.ending {
		do()
	}
}

func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:   "pkgs",
		Short: "Build, sign and publish deb and rpm packages, one stream for each minor version",
		Long: `pkgs turns the files of a release into deb and rpm packages, indexes and signs them, and brings them to the
bucket that apt, dnf and zypper read. Nothing in a bucket changes without --confirm: every command that would
change it prints its plan first.

Exit codes: 0 done, or nothing to do; 1 failed; 2 wrong usage or configuration; 3 something is left to do; 4 something published is
damaged or not what its signature says; 5 somebody else published the stream first.`,
		Example: `  pkgs keys generate --out key.asc --name "Example Packages" --email packages@example.org
  pkgs cut v1.35.1 --config pkgs.yaml
  pkgs cut v1.35.1 --config pkgs.yaml --confirm
  pkgs verify --config pkgs.yaml`,
		Version:           thisBuild().line(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRunE: func(*cobra.Command, []string) error { return p.prepare() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w: see %s --help", err, cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&p.configFile, "config", "c", "pkgs.yaml", "configuration `file`")
	flags.StringVarP(&p.output, "output", "o", "text", "what to print: text or json")
	flags.StringVar(&p.logLevel, "log-level", "warn", "what to log: debug, info, warn or error")
	flags.StringVar(&p.passphrase, "passphrase-file", "", "`file` with the passphrase of the signing key; without it a locked key asks on the terminal")
	flags.IntVar(&p.passphraseFD, "passphrase-fd", -1, "file descriptor, by `number`, from which to read the passphrase of the signing key")
	root.AddCommand(
		newCut(p), newBuild(p), newIndex(p), newPublish(p),
		newVerify(p), newHistory(p), newDiff(p),
		newRollback(p), newYank(p), newResign(p), newPromote(p), newGC(p),
		newPurge(p), newReconcile(p), newStatus(p),
		newServe(p), newKeys(p), newSign(p),
		newVersion(p), newMan(p),
	)
	return group(root)
}

// prepare checks the flags that every command has.
func (p *program) prepare() error {
	if p.output != "text" && p.output != "json" {
		return usagef("--output %s: expected text or json", p.output)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(p.logLevel)); err != nil {
		return usagef("--log-level %s: expected debug, info, warn or error", p.logLevel)
	}
	if p.passphraseFD >= 0 && p.passphrase != "" {
		return usagef("--passphrase-fd and --passphrase-file are two places for one passphrase: give one of them")
	}
	p.log = slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: level}))
	return nil
}

// args makes an argument check of cobra's an error of usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := check(cmd, given); err != nil {
			return usagef("%s was given %d arguments: the form is %s; see %s --help", cmd.CommandPath(), len(given), cmd.UseLine(), cmd.CommandPath())
		}
		return nil
	}
}

// group makes a command that only has others below it show its help, and refuse what is none of them.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, given []string) error {
		if len(given) == 0 {
			return nil
		}
		if cmd.SuggestionsMinimumDistance == 0 {
			cmd.SuggestionsMinimumDistance = 2
		}
		what := strings.TrimPrefix(cmd.CommandPath()+" "+given[0], cmd.Root().Name()+" ")
		if like := cmd.SuggestionsFor(given[0]); len(like) > 0 {
			return usagef("there is no command %s: did you mean %s?", what, strings.Join(like, " or "))
		}
		return usagef("there is no command %s: see %s --help", what, cmd.CommandPath())
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}
