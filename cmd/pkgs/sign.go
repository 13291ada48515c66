package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/repo"
)

func newSign(p *program) *cobra.Command {
	var memory string
	var policy signPolicy
	var confirm bool
	cmd := &cobra.Command{
		Use:   "sign DIR",
		Short: "Sign on this machine what was prepared on another with --unsigned",
		Long: `Sign looks at a request that another machine wrote with --unsigned, in DIR or folders of it, and shows what it means.
With --confirm it signs, and writes the signatures beside the request, to be carried back.

It needs the configuration, whose signing section is this machine's own, and the request; no bucket, no packages, no
network. It believes nothing of the request: the live index in it must be signed by a key of the keyring; the new index,
and with it what is signed, is derived here from the list of packages; the packages must belong to the stream and pass its
gates. Serial and date must go forward, and packages only come, unless --allow-removals says otherwise. What was signed is
remembered in the file --memory, so that nobody who asks can lead back to an earlier state. The keys must pass the gate of
a publication, too: none that has expired, that was to be replaced by signing.rotate-by, or that users were not given.`,
		Example: `  pkgs sign 2-index
  pkgs sign 2-index --confirm`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			cfg, err := readConfig(p.configFile)
			if err != nil {
				return err
			}
			if memory == "" {
				memory = cfg.path("signed.json")
			}
			return p.sign(cmd.Context(), cfg, requestsIn(given[0]), memory, policy, confirm)
		},
	}
	cmd.Flags().StringVar(&memory, "memory", "", "`file` that remembers what was signed, instead of signed.json beside the configuration")
	cmd.Flags().BoolVar(&policy.removals, "allow-removals", false, "sign also when packages leave the index")
	cmd.Flags().BoolVar(&policy.replace, "replace", false, "sign also in place of a publication that was signed with the same serial and then lost")
	cmd.Flags().BoolVar(&confirm, "confirm", false, "sign what was shown")
	return cmd
}

// signPolicy is what a signer is told to let through this time.
type signPolicy struct{ removals, replace bool }

// requestsIn finds the requests to sign in a directory: it itself, or those below it.
func requestsIn(dir string) []string {
	if requests := append(requestsBelow(dir, repo.HeadersFolder), requestsBelow(dir, repo.IndexFolder)...); len(requests) > 0 {
		return requests
	}
	return []string{dir}
}

// reviewed is what pkgs sign prints as JSON of each request.
type reviewed struct {
	Request string       `json:"request"`
	Review  *repo.Review `json:"review"`
	Signed  bool         `json:"signed"`
}

// sign reviews requests, prints the reviews and, if confirmed, signs them. One that is refused does not keep the others
// back.
func (p *program) sign(ctx context.Context, cfg *config, dirs []string, memoryFile string, policy signPolicy, confirm bool) error {
	signing, err := p.openSigning(cfg)
	if err != nil {
		return err
	}
	if confirm || signing.signer == nil {
		if err := signing.open(ctx); err != nil {
			return err
		}
	}
	if confirm { // who only looks writes nothing, not even a lock
		unlock, err := lock(memoryFile)
		if err != nil {
			return err
		}
		defer unlock()
	}
	all := []*reviewed{}
	var problems []error
	for _, dir := range dirs {
		review, err := p.signOne(ctx, cfg, signing, dir, memoryFile, policy, confirm)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		all = append(all, &reviewed{dir, review, confirm})
	}
	if p.output == "json" {
		problems = append(problems, p.printJSON(all))
	} else if !confirm && len(all) > 0 {
		fmt.Fprintln(p.stdout, "nothing was signed. Run it again with --confirm to sign.")
	}
	return errors.Join(problems...)
}

// signOne reviews one request and, if confirmed, signs it.
func (p *program) signOne(ctx context.Context, cfg *config, signing *signingKeys, dir, memoryFile string, policy signPolicy, confirm bool) (*repo.Review, error) {
	r, err := repo.ReadRequest(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("%s holds no request for signatures: pkgs cut VERSION --unsigned DIR writes one", dir)
	}
	if err != nil {
		return nil, err
	}
	target, err := cfg.stream(string(r.Stream))
	if err != nil {
		return nil, err
	}
	memory, err := repo.ReadMemory(memoryFile)
	if err != nil {
		return nil, err
	}
	review, err := repo.NewReview(ctx, dir, r, repo.ReviewConfig{
		Stream: cfg.repoStream(target), Signer: signing.signer, Keyring: signing.keyring, Validity: cfg.validity, Now: p.now().UTC(),
		Keys: cfg.Signing.keyPolicy(), Memory: memory, AllowRemovals: policy.removals, Replace: policy.replace,
	})
	if err != nil {
		return nil, err
	}
	if p.output == "text" {
		if err := review.Print(p.stdout); err != nil {
			return nil, err
		}
	}
	if !confirm {
		return review, nil
	}
	signatures, err := review.Signatures(ctx)
	if err != nil {
		return nil, err
	}
	// First remembered, then handed out.
	review.Remember()
	if err := memory.Write(memoryFile); err != nil {
		return nil, err
	}
	if err := signatures.Write(dir); err != nil {
		return nil, err
	}
	if p.output == "text" {
		fmt.Fprintf(p.stdout, "signed: copy %s back to the machine that wrote the request\n", filepath.Join(dir, "signatures.json"))
	}
	return review, nil
}

// lock keeps other runs away from a file that this one reads and writes.
func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is in use by another run: %w", file, err)
	}
	return func() { f.Close() }, nil
}
