package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/build/strict"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/dir"
	"sigs.k8s.io/pkgs/repo/packed"
	"sigs.k8s.io/pkgs/repo/yum"
)

// indexConfig is the section index of the configuration: what a yum repository in place says besides its packages.
type indexConfig struct {
	// Tags of repomd.xml.
	ContentTags []string          `yaml:"content-tags"`
	RepoTags    []string          `yaml:"repo-tags"`
	DistroTags  []distroTagConfig `yaml:"distro-tags"`
	// Advisories make updateinfo.
	Advisories []advisoryConfig `yaml:"advisories"`
}

type distroTagConfig struct {
	CPEID string `yaml:"cpeid"`
	Tag   string `yaml:"tag"`
}

// readIndexConfig reads a configuration of which only the sections signing and index count.
func readIndexConfig(file string) (*config, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, usagef("there is no configuration file %s: name one with --config", file)
	}
	if err != nil {
		return nil, err
	}
	cfg := &config{file: file}
	if err := strict.Decode(file, data, cfg); err != nil {
		return nil, usageError{err}
	}
	return cfg, nil
}

// apply fills in what the section says.
func (c *indexConfig) apply(to *dir.Config) error {
	to.Tags = yum.Tags{Content: c.ContentTags, Repo: c.RepoTags}
	for _, d := range c.DistroTags {
		to.Tags.Distro = append(to.Tags.Distro, yum.Distro{CPEID: d.CPEID, Tag: d.Tag})
	}
	var err error
	to.Advisories, err = notices(c.Advisories)
	return err
}

// indexOptions are the flags of the command index.
type indexOptions struct {
	stream, out                 string
	format, layout              string
	update, skipInvalid, sign   bool
	contents, trustContents     bool
	compress, component, arches []string
	validUntil                  time.Duration
	release                     apt.Config
}

func newIndex(p *program) *cobra.Command {
	var o indexOptions
	cmd := &cobra.Command{
		Use:   "index DIR",
		Short: "Make a repository of a directory of packages, in place",
		Long: `Index reads every .deb and .rpm below DIR and writes the indexes that make DIR an apt repository, a yum repository
or both: what createrepo_c, apt-ftparchive and dpkg-scanpackages do. The packages may be anybody's. Every package is
judged first: if one is not fit for an index, over which clients might refuse all the others, nothing is written and the
exit code is 1. With --skip-invalid the rest is indexed.

What a deb installs is judged, too: it may have no devices, FIFOs, absolute or dotted paths, or one path twice. For that its
data is unpacked, unless it can be skipped from file to file as in packages of pkgs; --trust-contents spares that time.

With --update, what is known of the packages is kept in DIR/.pkgs, and those whose size and time did not change are not
read again. The result is the same as without.

Indexes are signed with --sign, by the key of the configuration; otherwise Release and repomd.xml are ready to be signed.
They are dated five minutes back, for clients whose clocks are behind, or at SOURCE_DATE_EPOCH. Of the configuration only
the sections signing and index count, and it is read if it is named or there is something to sign.

With --stream and --out the packages are not indexed in place: checked to make a complete stream of the configuration, they
are copied with its signed indexes to a new directory, which is what users would get if nothing else were in the stream.`,
		Example: `  pkgs index packages
  pkgs index packages --update --sign --config pkgs.yaml
  pkgs index archive --layout dists --suite stable --component main --compress gz,xz --contents
  pkgs index packages --stream core:/stable:/v1.35 --out try && pkgs serve try`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			if o.stream != "" || o.out != "" {
				return p.indexStream(cmd, given[0], o.stream, o.out)
			}
			cfg, err := p.indexSettings(&o, cmd.Flag("config").Changed)
			if err != nil {
				return err
			}
			return p.indexDir(cmd.Context(), given[0], cfg)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.format, "format", "", "`format` to index: deb, rpm or both; otherwise those that there are packages of")
	flags.BoolVar(&o.update, "update", false, "read only packages that are new or changed")
	flags.BoolVar(&o.skipInvalid, "skip-invalid", false, "leave out packages that are not fit for an index")
	flags.BoolVar(&o.sign, "sign", false, "sign with the key of the configuration")
	flags.StringSliceVar(&o.compress, "compress", []string{"gz"}, "`compressions`: gz, xz, zst. A yum repository gets the first")
	flags.StringVar(&o.layout, "layout", "flat", "`layout` of the apt repository: flat, or dists with the packages below DIR/pool")
	flags.BoolVar(&o.contents, "contents", false, "also write apt's Contents indexes, which takes unpacking every deb")
	flags.BoolVar(&o.trustContents, "trust-contents", false, "do not judge what debs install, which takes unpacking those that are compressed")
	flags.StringVar(&o.release.Origin, "origin", "", "`text` for Origin in Release")
	flags.StringVar(&o.release.Label, "label", "", "`text` for Label in Release")
	flags.StringVar(&o.release.Suite, "suite", "", "`name` for Suite in Release, and of the folder below dists/")
	flags.StringVar(&o.release.Codename, "codename", "", "`name` for Codename in Release")
	flags.StringVar(&o.release.Version, "release-version", "", "`version` for Version in Release")
	flags.StringVar(&o.release.Description, "description", "", "`text` for Description in Release")
	flags.BoolVar(&o.release.NotAutomatic, "not-automatic", false, "have apt install from here only what it is told to")
	flags.BoolVar(&o.release.ButAutomaticUpgrades, "but-automatic-upgrades", false, "but upgrade what is installed from here")
	flags.StringSliceVar(&o.component, "component", nil, "`names` of the components below dists/; with several, the packages of one are in pool/NAME/")
	flags.StringSliceVar(&o.arches, "architectures", nil, "Debian's `names` of architectures to list besides those that there are packages for")
	flags.DurationVar(&o.validUntil, "valid-until", 0, "`time` for which apt accepts the index, such as 720h; 0 is for ever")
	flags.StringVar(&o.stream, "stream", "", "`name` of the stream that the packages are for")
	flags.StringVar(&o.out, "out", "", "`directory` for the repository of a stream, new or empty")
	return cmd
}

// backdated is how far back indexes in place are dated: apt refuses a Date that its clock holds to be in the future.
const backdated = 5 * time.Minute

// indexSettings turns flags and the configuration into what to do.
func (p *program) indexSettings(o *indexOptions, named bool) (dir.Config, error) {
	cfg := dir.Config{
		Update: o.update, SkipInvalid: o.skipInvalid, Contents: o.contents, TrustContents: o.trustContents, Dists: o.layout == "dists",
		Release: o.release, Log: p.log,
	}
	cfg.Release.Components, cfg.Release.Architectures = o.component, o.arches
	switch {
	case o.layout != "flat" && o.layout != "dists":
		return cfg, usagef("--layout %s: expected flat or dists", o.layout)
	case cfg.Dists && cmp.Or(o.release.Suite, o.release.Codename) == "":
		return cfg, usagef("--layout dists needs --suite or --codename: the folder below dists/ is called so")
	case !cfg.Dists && len(o.component) > 0:
		return cfg, usagef("--component is for --layout dists: a flat repository has none")
	case o.contents && o.trustContents:
		return cfg, usagef("--contents reads what debs install, so --trust-contents spares nothing: give one of them")
	case o.validUntil < 0:
		return cfg, usagef("--valid-until %s: expected a time to come, such as 720h", o.validUntil)
	}
	switch o.format {
	case "":
	case "deb", "rpm", "both":
		cfg.Deb, cfg.Rpm = o.format != "rpm", o.format != "deb"
	default:
		return cfg, usagef("--format %s: expected deb, rpm or both", o.format)
	}
	for _, name := range o.compress {
		c, err := packed.ParseCompression(name)
		if err != nil {
			return cfg, usagef("--compress: %w", err)
		}
		cfg.Compress = append(cfg.Compress, c)
	}
	date, err := sourceDate(p.getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return cfg, err
	}
	if date.IsZero() {
		date = p.now().Add(-backdated).UTC().Truncate(time.Second)
	}
	cfg.Release.Date = date
	if o.validUntil > 0 {
		cfg.Release.ValidUntil = date.Add(o.validUntil)
	}
	if !named && !o.sign {
		return cfg, nil
	}
	file, err := readIndexConfig(p.configFile)
	if err != nil {
		return cfg, err
	}
	if err := file.Index.apply(&cfg); err != nil {
		return cfg, usageError{err}
	}
	if !o.sign {
		return cfg, nil
	}
	if err := file.Signing.check(); err != nil {
		return cfg, usageError{fmt.Errorf("%s: %w", file.file, err)}
	}
	signing, err := p.openSigning(file)
	if err != nil {
		return cfg, err
	}
	if err := signing.check(); err != nil {
		return cfg, err
	}
	cfg.Signer, cfg.Keyring = signing.signer, signing.keyring
	return cfg, nil
}

// indexMemory is from where on the collector is in a hurry.
const indexMemory = 160 << 20

// indexDir indexes a directory and tells what was done.
func (p *program) indexDir(ctx context.Context, root string, cfg dir.Config) error {
	if _, err := os.Stat(root); err != nil {
		return usageError{err}
	}
	// The collector is in no hurry while there is memory to spare: what is held grows slowly, and what is not soon goes.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(indexMemory))
	bar := p.progress("reading")
	defer bar.done()
	cfg.Progress = bar.verifying
	result, err := dir.Index(ctx, root, cfg)
	bar.done()
	if err != nil {
		return err
	}
	if p.output == "json" {
		return p.printJSON(result)
	}
	out := slices.Concat(result.Refused, result.Copies)
	for _, why := range out {
		fmt.Fprintf(p.stderr, "pkgs: left out: %s\n", why)
	}
	for _, why := range result.Anew {
		fmt.Fprintf(p.stderr, "pkgs: made anew: %s\n", why)
	}
	fmt.Fprintf(p.stdout, "%s: %s and %s indexed, %d of them read, %d left out\n", root, repo.Count(result.Debs, "deb"), repo.Count(result.Rpms, "rpm"),
		result.Read, len(out))
	return nil
}

// indexStream makes the repository of a stream in a directory of its own.
func (p *program) indexStream(cmd *cobra.Command, from, stream, out string) error {
	if stream == "" || out == "" {
		return usagef("--stream and --out belong together: see %s --help", cmd.CommandPath())
	}
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
		return usagef("%s is not empty: name a new directory for the repository", out)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	cfg, err := readConfig(p.configFile)
	if err != nil {
		return err
	}
	cfg.CDN = nil // which knows nothing of this repository
	return p.publishDir(cmd, cfg, from, stream, out, repo.Change{}, true)
}
