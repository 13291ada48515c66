package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/build"
	"sigs.k8s.io/pkgs/repo"
)

func newBuild(p *program) *cobra.Command {
	var stream, out, cache string
	var unsigned, check bool
	cmd := &cobra.Command{
		Use:   "build VERSION --out DIR",
		Short: "Build the packages of a version in a directory",
		Long: `Build makes the deb and rpm files of a version, below DIR/deb and DIR/rpm, and no more: the first stage of a
cut. The rpms are signed, unless --unsigned says that they should not be.

With --check everything is built twice, in two kinds of surroundings that differ in time zone, locale, processors, umask,
user, working directory, home, caches and the second on the clock, and it is an error if a byte differs. Being another
user takes user namespaces; where they are forbidden, the last line says so.`,
		Example: `  pkgs build v1.35.1 --out packages
  pkgs publish packages --stream core:/stable:/v1.35`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			if out == "" {
				return usagef("--out is missing: name the directory for the packages")
			}
			cfg, version, target, err := p.target(given[0], stream)
			if err != nil {
				return err
			}
			if cache != "" {
				if cfg.Cache, err = filepath.Abs(cache); err != nil {
					return err
				}
			}
			if check {
				again := []string{"build", given[0], "--stream", target.Name, "--unsigned=" + strconv.FormatBool(unsigned)}
				if p.passphraseFD >= 0 {
					return usagef("--passphrase-fd can be read once, and --check builds twice: use --passphrase-file")
				}
				if p.passphrase != "" {
					file, err := filepath.Abs(p.passphrase)
					if err != nil {
						return err
					}
					again = append(again, "--passphrase-file", file)
				}
				return p.checkBuild(cmd.Context(), cfg, again, out)
			}
			var signing *signingKeys
			if !unsigned {
				if signing, err = p.openSigning(cfg); err != nil {
					return err
				}
				if err := signing.open(cmd.Context()); err != nil {
					return err
				}
			}
			requests, err := cfg.requests(target, version, nil)
			if err != nil {
				return err
			}
			built, err := p.build(cmd.Context(), cfg, signing, requests, out)
			if err != nil {
				return err
			}
			return p.showBuilt(built)
		},
	}
	cmd.Flags().StringVar(&stream, "stream", "", "`name` of the stream, when more than one takes the version")
	cmd.Flags().StringVar(&out, "out", "", "`directory` for the packages")
	cmd.Flags().BoolVar(&unsigned, "unsigned", false, "do not sign the rpms")
	cmd.Flags().StringVar(&cache, "cache", "", "`directory` for downloads and compressed blocks instead of the configuration's")
	cmd.Flags().BoolVar(&check, "check", false, "build twice in different surroundings and compare")
	return cmd
}

// builtPackage is what build prints of a package as JSON.
type builtPackage struct {
	Name         string       `json:"name"`
	Version      string       `json:"version"`
	Format       build.Format `json:"format"`
	Architecture string       `json:"architecture"`
	Path         string       `json:"path"`
	Size         int64        `json:"size"`
	SHA256       string       `json:"sha256"`
	SBOM         string       `json:"sbom"`
	Provenance   string       `json:"provenance"`
}

// showBuilt prints which packages were built: their digests and where they lie.
func (p *program) showBuilt(built []build.Package) error {
	list := []builtPackage{}
	for _, b := range built {
		sum := hex.EncodeToString(b.SHA256[:])
		if p.output == "text" {
			fmt.Fprintf(p.stdout, "%s  %s\n", sum, b.Path)
		}
		list = append(list, builtPackage{b.Name, b.Version, b.Format, b.Architecture, b.Path, b.Size, sum, b.SBOM, b.Provenance})
	}
	if p.output == "json" {
		return p.printJSON(list)
	}
	return nil
}

func newPublish(p *program) *cobra.Command {
	var stream string
	var additions repo.Change
	var confirm bool
	cmd := &cobra.Command{
		Use:   "publish DIR --stream NAME",
		Short: "Publish a directory of packages to a stream",
		Long: `Publish reads every package file below DIR back, adds them to the index of the stream, and prints the plan.
With --confirm it publishes, and reads back what it published.

A directory that was written with --unsigned, and signed with pkgs sign, is published as it was signed; it knows its stream,
and needs no signing key here.`,
		Example: `  pkgs publish packages --stream core:/stable:/v1.35
  pkgs publish packages --stream core:/stable:/v1.35 --confirm
  pkgs publish out --confirm        # after pkgs cut v1.35.1 --unsigned out, and pkgs sign`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			cfg, err := readConfig(p.configFile)
			if err != nil {
				return err
			}
			if requests := requestsBelow(given[0], repo.IndexFolder); len(requests) > 0 {
				if len(requests) == 1 {
					return one(p.publishSigned(cmd.Context(), cfg, filepath.Dir(requests[0]), confirm)).print(p)
				}
				var all results[publication]
				for _, r := range requests {
					all.add(p.publishSigned(cmd.Context(), cfg, filepath.Dir(r), confirm))
				}
				return all.printList(p)
			}
			if requests := requestsBelow(given[0], repo.HeadersFolder); len(requests) > 0 && stream == "" {
				return usagef("%s asks for signatures on rpms, and there is no index yet that could be published: when it is signed, run the command again that wrote it", requests[0])
			}
			if stream == "" {
				return usagef("--stream is missing: name the stream to publish to")
			}
			return p.publishDir(cmd, cfg, given[0], stream, cfg.address(cfg.Bucket), additions, confirm)
		},
	}
	cmd.Flags().StringVar(&stream, "stream", "", "`name` of the stream")
	addAdditions(cmd, &additions)
	cmd.Flags().BoolVar(&confirm, "confirm", false, "publish what the plan says")
	return cmd
}

// publishDir publishes the packages in dir to the bucket at an address.
func (p *program) publishDir(cmd *cobra.Command, cfg *config, dir, stream, address string, change repo.Change, confirm bool) error {
	target, err := cfg.stream(stream)
	if err != nil {
		return err
	}
	if info, err := os.Stat(dir); err != nil {
		return usageError{err}
	} else if !info.IsDir() {
		return usagef("%s is not a directory of packages", filepath.Clean(dir))
	}
	signing, err := p.openSigning(cfg)
	if err != nil {
		return err
	}
	b, err := p.openBucket(address)
	if err != nil {
		return err
	}
	return one(p.publishFiles(cmd.Context(), cfg, signing, b, target, change, dir, confirm)).print(p)
}
