package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo"
)

func newKeysRotate(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "rotate",
		Short: "Tell the next step from the old signing key to the new one",
		Long: `Rotate tells what the rotation of the signing key needs next: which lines of the configuration to change, for
somebody to review, and what the change does once pkgs resign --confirm has brought it to all streams. It changes nothing.

The phases, in each of which users are given both keys:

  announce  the old key signs; users get to know the new one
  overlap   both sign InRelease and Release.gpg; the old key signs repomd.xml and new rpms
  switch    both sign InRelease and Release.gpg; the new key signs repomd.xml and new rpms
  retire    the new key signs; the old one stays in the keyrings, for the rpms that it signed`,
		Example: `  pkgs keys generate --out new-key.asc --name "Example Packages" --email packages@example.org
  pkgs keys rotate
  pkgs resign --confirm`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := p.keyReport(cmd.Context(), "", nil, false)
			if err != nil {
				return err
			}
			cfg, err := readConfig(p.configFile)
			if err != nil {
				return err
			}
			signing, err := p.openSigning(cfg)
			if err != nil {
				return err
			}
			step, err := cfg.nextStep(signing, report)
			if err != nil {
				return err
			}
			if p.output == "json" {
				return p.printJSON(step)
			}
			return step.print(p.stdout)
		},
	}
}

// rotationStep is what comes next in the life of the signing key.
type rotationStep struct {
	// Phase is the present one, Next the one that follows: empty when the rotation is over, or none has begun.
	Phase keys.Phase `json:"phase"`
	Next  keys.Phase `json:"next"`
	// Due is when the next phase is due by the schedule; zero if the key has no deadline.
	Due time.Time `json:"due,omitzero"`
	// Wait are streams that have not reached the present phase: they are signed again first.
	Wait []streamDue `json:"wait"`
	// File is the configuration, Remove and Add its lines to change.
	File   string   `json:"file"`
	Remove []string `json:"remove"`
	Add    []string `json:"add"`
	// Apt signs InRelease and Release.gpg after that, Yum repomd.xml and new rpms, Given is what users are given.
	Apt   []string `json:"apt"`
	Yum   string   `json:"yum"`
	Given []string `json:"given"`
	// Streams are those that the change is brought to.
	Streams []string `json:"streams"`
}

// nextStep works out what follows the phase that the configuration is in.
func (c *config) nextStep(signing *signingKeys, report *keyReport) (*rotationStep, error) {
	data, err := os.ReadFile(c.file)
	if err != nil {
		return nil, err
	}
	phase := c.Signing.phase()
	step := &rotationStep{Phase: phase, File: c.file, Wait: report.Resign, Remove: []string{}, Add: []string{}, Streams: []string{}}
	for _, s := range report.Streams {
		step.Streams = append(step.Streams, string(s.Stream))
	}
	for _, k := range signing.keyring.Keys() {
		step.Given = append(step.Given, k.Fingerprint)
	}
	now := signing.signs(c)
	old, next := now[0], "the new key"
	switch phase {
	case keys.Alone:
	case keys.Announce: // what follows the signing key in the keyring is the next one
		next = signing.keyring.Keys()[1].Fingerprint
	case keys.Overlap:
		next = now[1]
	case keys.Switch:
		old, next = now[1], now[0]
	case keys.Retire:
		old, next = signing.keyring.Keys()[1].Fingerprint, now[0]
	}
	switch phase {
	case keys.Alone:
		step.Next = keys.Announce
		step.Given = append(step.Given, next)
		step.Add = []string{"  next: {key: new-key.asc, phase: announce}    # under signing:"}
	case keys.Retire:
		step.Remove, step.Add = finish(c)
	default:
		step.Next = keys.Phases()[slices.Index(keys.Phases(), phase)+1]
		if step.Remove, step.Add, err = changePhase(string(data), c.Signing.Next.At.Line, phase, step.Next); err != nil {
			return nil, fmt.Errorf("%s: %w", c.file, err)
		}
	}
	step.Apt = keys.Signers(cmp.Or(step.Next, keys.Retire), old, next)
	step.Yum = step.Apt[0]
	if step.Next != keys.Alone {
		step.Due = keys.DueDate(report.Deadlines, old, step.Next)
	}
	return step, nil
}

// changePhase finds the line that names the phase and writes it with the next one. line is where signing.next begins.
func changePhase(text string, line int, from, to keys.Phase) (remove, add []string, err error) {
	lines := strings.Split(text, "\n")
	for _, l := range lines[max(0, line-1):] {
		before, after, ok := strings.Cut(l, "phase:")
		if ok && strings.Contains(after, string(from)) {
			return []string{l}, []string{before + "phase:" + strings.Replace(after, string(from), string(to), 1)}, nil
		}
	}
	return nil, nil, errors.New("there is no line with the phase of signing.next")
}

// finish says how the configuration looks when a rotation is over: the next key takes the place of the old one, whose public
// half stays in the keyring.
func finish(c *config) (remove, add []string) {
	remove = []string{"  " + c.Signing.describe()}
	if !c.Signing.RotateBy.IsZero() {
		remove = append(remove, "  rotate-by: "+c.Signing.RotateBy.Format(time.DateOnly))
	}
	remove = append(remove, "  next: {"+c.Signing.Next.describe()+", phase: retire}")
	add = []string{"  " + c.Signing.Next.describe(), "  rotate-by: " + "the day by which this key is to be replaced"}
	keyring := append(slices.Clone(c.Signing.Keyring), "old-key-public.asc")
	return remove, append(add, "  keyring: ["+strings.Join(keyring, ", ")+"]    # pkgs keys export FINGERPRINT > old-key-public.asc")
}

// describe writes where a key is, as the configuration does.
func (k *keyConfig) describe() string {
	switch k.kind() {
	case "key":
		return "key: " + k.Key
	case "key-env":
		return "key-env: " + k.KeyEnv
	case "":
		return "public: " + k.Public
	}
	return k.kind() + ": …, public: " + k.Public
}

// print writes the step for a person.
func (s *rotationStep) print(w io.Writer) error {
	var b strings.Builder
	if s.Phase == keys.Alone {
		fmt.Fprintf(&b, "no rotation has begun\n")
	} else {
		fmt.Fprintf(&b, "the rotation is in phase %s\n", s.Phase)
	}
	if len(s.Wait) > 0 {
		fmt.Fprintf(&b, "\nThese are not signed as the configuration says. Sign them first, with pkgs resign --confirm, and give users time:\n\n")
		for _, d := range s.Wait {
			fmt.Fprintf(&b, "  %s: %s\n", d.Stream, d.Why)
		}
	}
	if s.Next == keys.Alone {
		fmt.Fprintf(&b, "\nTo end it, change in %s:\n\n", s.File)
	} else {
		due := ""
		if !s.Due.IsZero() {
			due = ", due by " + s.Due.Format(time.DateOnly)
		}
		fmt.Fprintf(&b, "\nThe next phase is %s%s. Change in %s:\n\n", s.Next, due, s.File)
	}
	for _, l := range s.Remove {
		fmt.Fprintf(&b, "- %s\n", l)
	}
	for _, l := range s.Add {
		fmt.Fprintf(&b, "+ %s\n", l)
	}
	if s.Next == keys.Alone {
		fmt.Fprintf(&b, "\nNo signature changes by that.\n")
	} else {
		fmt.Fprintf(&b, "\nThen pkgs resign --confirm signs all streams (%d) again, builds no package, and\n\n", len(s.Streams))
		fmt.Fprintf(&b, "  InRelease, Release.gpg    are signed by %s\n", strings.Join(s.Apt, " and "))
		fmt.Fprintf(&b, "  repomd.xml, new rpms      are signed by %s\n", s.Yum)
		fmt.Fprintf(&b, "  keyrings                  hold %s\n", strings.Join(s.Given, " and "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func newResign(p *program) *cobra.Command {
	var reason, unsigned string
	var confirm bool
	cmd := &cobra.Command{
		Use:   "resign [STREAM...]",
		Short: "Sign streams again, also those that are no longer cut",
		Long: `Resign makes a new publication of every stream that was ever published, or of those named: the same packages under
an index with a new date, signed by the keys of the configuration, beside the keyring of the configuration. No package is
built, uploaded or changed, and rpms keep their own signatures. Frozen streams are signed like all others. A stream that
fails does not keep the others back.`,
		Example: `  pkgs resign
  pkgs resign --confirm --reason "rotation: phase overlap"`,
		RunE: func(cmd *cobra.Command, names []string) error {
			return p.resign(cmd.Context(), names, reason, unsigned, confirm)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "signed again", "why, for the history")
	addUnsigned(cmd, &unsigned)
	cmd.Flags().BoolVar(&confirm, "confirm", false, "publish what the plans say")
	return cmd
}

// resign signs streams again, by default all that were ever published, or writes requests to have them signed elsewhere to
// folders of the directory unsigned, if that is not empty.
func (p *program) resign(ctx context.Context, names []string, reason, unsigned string, confirm bool) error {
	cfg, err := readConfig(p.configFile)
	if err != nil {
		return err
	}
	signing, err := p.openSigning(cfg)
	if err != nil {
		return err
	}
	if unsigned != "" {
		err = nothingToConfirm(unsigned, confirm)
	} else {
		err = signing.open(ctx)
	}
	if err != nil {
		return err
	}
	b, err := p.openBucket(cfg.address(cfg.Bucket))
	if err != nil {
		return err
	}
	if len(names) == 0 {
		if names, err = cfg.published(ctx, b); err != nil {
			return err
		}
		if len(names) == 0 {
			return fmt.Errorf("no stream of %s was ever published in %s: there is nothing to sign again", filepath.Base(cfg.file), b)
		}
	}
	change := repo.Change{Resign: true, Reason: reason}
	if unsigned != "" {
		var all results[request]
		for _, name := range names {
			target, err := cfg.stream(name)
			if err != nil {
				return err
			}
			all.add(p.requestIndex(ctx, cfg, signing, b, target, change, filepath.Join(unsigned, filepath.FromSlash(name))))
		}
		return all.printList(p)
	}
	var all results[publication]
	for _, name := range names {
		target, err := cfg.stream(name)
		if err != nil {
			return err
		}
		all.add(p.publish(ctx, cfg, signing, b, target, change, confirm))
	}
	return all.printList(p)
}
