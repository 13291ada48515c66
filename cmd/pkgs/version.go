package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// What this program is; set by the linker. The date is that of the commit.
var (
	version = "devel"
	commit  string
	date    string
)

// buildInfo describes the program for people who have to say which one they run.
type buildInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Date     string `json:"date,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// thisBuild is what the linker was told or, for go install and go build, what Go itself noted.
func thisBuild() buildInfo {
	r := buildInfo{version, commit, date, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return r
	}
	if r.Version == "devel" && info.Main.Version != "(devel)" {
		r.Version = cmp.Or(info.Main.Version, r.Version)
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			r.Commit = cmp.Or(r.Commit, s.Value)
		case "vcs.time":
			r.Date = cmp.Or(r.Date, s.Value)
		}
	}
	return r
}

func (r buildInfo) String() string {
	return fmt.Sprintf("pkgs %s\ncommit %s\ndate %s\nbuilt with %s for %s\n", r.Version, cmp.Or(r.Commit, "unknown"), cmp.Or(r.Date, "unknown"), r.Go, r.Platform)
}

// line is what --version prints behind the program's name. It is one line because any other form takes one of cobra's
// templates, and with those the linker keeps every exported method of the program: 20 MB.
func (r buildInfo) line() string {
	return fmt.Sprintf("%s (commit %s of %s, %s, %s)", r.Version, cmp.Or(r.Commit, "unknown"), cmp.Or(r.Date, "unknown"), r.Go, r.Platform)
}

func newVersion(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show which version of pkgs this is",
		Long: `Version shows the version, the commit that it was built of and its date, the version of Go, and the platform. A
release has all of them, and can be built again from them, to the same bytes.`,
		Example: `  pkgs version
  pkgs version --output json`,
		Args: args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if p.output == "json" {
				return p.printJSON(thisBuild())
			}
			_, err := fmt.Fprint(p.stdout, thisBuild())
			return err
		},
	}
}
