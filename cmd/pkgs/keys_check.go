package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newKeysList(p *program) *cobra.Command {
	var url string
	var packages bool
	cmd := &cobra.Command{
		Use:   "list [STREAM...]",
		Short: "Show which keys sign what, until when, on every stream",
		Long: `List shows the keys of the configuration, what they are there for and until when, and reads from every stream
that was ever published, also those that are no longer cut, who signed its indexes and which keys its users are given. With
--packages it reads the headers of all rpms, too, and counts them by the key that signed them.`,
		Example: `  pkgs keys list
  pkgs keys list core:/stable:/v1.34 --packages
  pkgs keys list --url https://pkgs.example.org --output json`,
		RunE: func(cmd *cobra.Command, names []string) error {
			report, err := p.keyReport(cmd.Context(), url, names, packages)
			if err != nil {
				return err
			}
			if p.output == "json" {
				return p.printJSON(report)
			}
			return report.print(p.stdout)
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "public `address` to read from instead of the bucket")
	cmd.Flags().BoolVar(&packages, "packages", false, "read who signed each rpm, too")
	return cmd
}

func newKeysCheck(p *program) *cobra.Command {
	var url string
	cmd := &cobra.Command{
		Use:   "check [STREAM...]",
		Short: "Tell what is due about keys and signatures, before users notice",
		Long: `Check reads what list shows and tells what somebody has to do about it:

  - a phase of a key's rotation that is due: announce 180 days before the key expires, before clients refuse its kind, or
    before the day signing.rotate-by; overlap 90 days before; switch 30 days before;
  - whatever some client refuses about a key that signs or about a signature, and which clients these are;
  - a stream that is not signed as the configuration says, or whose index is valid for less than a third of the time
    that it is signed for, or that the configuration does not know, so that nobody signs it again.

The exit code is 0 if there is nothing to do, 3 if something is due, and 4 if a signature on a stream does not verify or is
by a key that its users are not given. It needs no private key.`,
		Example: `  pkgs keys check
  pkgs keys check --url https://pkgs.example.org --output json`,
		RunE: func(cmd *cobra.Command, names []string) error {
			report, err := p.keyReport(cmd.Context(), url, names, false)
			if err != nil {
				return err
			}
			if p.output == "json" {
				err = p.printJSON(report)
			} else {
				err = report.printDue(p.stdout)
			}
			if err != nil {
				return err
			}
			return report.err()
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "public `address` to read from instead of the bucket")
	return cmd
}

// dueError says that something is to be done, which has been printed.
type dueError struct{ n int }

func (e *dueError) Error() string {
	if e.n == 1 {
		return "one thing is due: see above"
	}
	return fmt.Sprintf("%d things are due: see above", e.n)
}
