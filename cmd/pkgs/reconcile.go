package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/reconcile"
)

// reconcileConfig is the section reconcile of the configuration.
type reconcileConfig struct {
	// Refresh is how old an index may become before it is signed anew; without it 168h.
	Refresh time.Duration `yaml:"refresh"`
	// Public tells whether to compare what the public address, url, hands out with the bucket.
	Public bool `yaml:"public"`
	// Webhook is told of alarms, Push of all metrics.
	Webhook *webhookConfig `yaml:"webhook"`
	Push    string         `yaml:"push"`
	// Costs are prices for estimates.
	Costs costsConfig `yaml:"costs"`
}

// costsConfig are prices in any currency: of a gibibyte stored for a month and of one handed out. Clients is how many
// machines use a stream.
type costsConfig struct {
	Storage float64 `yaml:"storage"`
	Egress  float64 `yaml:"egress"`
	Clients float64 `yaml:"clients"`
}

func (c *reconcileConfig) check() error {
	if c.Refresh < 0 {
		return fmt.Errorf("reconcile.refresh: %s is less than nothing", c.Refresh)
	}
	if c.Costs.Storage < 0 || c.Costs.Egress < 0 || c.Costs.Clients < 0 {
		return fmt.Errorf("reconcile.costs: a price is less than nothing")
	}
	if c.Webhook != nil {
		return c.Webhook.check()
	}
	return nil
}

// driftError says that a reconciliation left something to do.
type driftError struct{ severity reconcile.Severity }

func (e *driftError) Error() string {
	switch e.severity {
	case reconcile.Alarm:
		return "something published is not what it was: look at the alarms at once"
	case reconcile.Repair:
		return "there is something to repair: run it again with --confirm"
	}
	return "something is left that a person has to look at"
}

func newReconcile(p *program) *cobra.Command {
	var options reconcileOptions
	cmd := &cobra.Command{
		Use:   "reconcile [STREAM...]",
		Short: "Find what is missing, damaged or about to expire, and repair what is safe to repair",
		Long: `Reconcile works out what should be live, from the configuration and from what upstream has released, and compares
it with every stream and with every object in the bucket. It prints what it found; with --confirm it publishes what is
missing, puts back what was lost, finishes what was cut off and signs anew what comes of age, through the same plans as a
cut. What cannot be repaired safely is reported and left to a person.

With --unsigned DIR it needs no signing key: what needs none is repaired as ever, with --confirm, and for the rest one
request a stream is left in DIR, for pkgs sign on another machine; pkgs publish DIR goes on, and the next run asks for the
index when the rpms that it names are signed. A request that nobody has signed yet is left as it is and reported.

Two at once are harmless, and so is one beside a cut. Streams are worked on in parallel; to share the work between jobs,
name the streams of each.

Exit codes: 0 everything is right, or was repaired; 3 something is left to do; 4 something published is not what it was;
5 other publishers were faster every time.`,
		Example: `  pkgs reconcile                       # see what would happen
  pkgs reconcile --confirm             # do it: the nightly job
  pkgs reconcile --confirm --deep      # read every object and every record, too: the weekly job
  pkgs reconcile --confirm --unsigned out           # the nightly job without a key
  pkgs reconcile core:/stable:/v1.35 --confirm --report-markdown report.md`,
		RunE: func(cmd *cobra.Command, names []string) error {
			cfg, err := readConfig(p.configFile)
			if err != nil {
				return err
			}
			report, err := p.reconcile(cmd.Context(), cfg, names, options)
			if err != nil {
				return err
			}
			if p.output == "json" {
				err = p.printJSON(report)
			} else {
				err = report.Print(p.stdout)
			}
			if err != nil {
				return err
			}
			if err := p.deliver(cmd.Context(), cfg, report, options); err != nil {
				return err
			}
			return outcome(report)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&options.confirm, "confirm", false, "carry the plans out")
	flags.StringVar(&options.unsigned, "unsigned", "", "`directory` for requests to sign on another machine what is to be signed, instead of signing it here")
	flags.BoolVar(&options.quick, "quick", false, "do not compare every object in the bucket")
	flags.BoolVar(&options.deep, "deep", false, "read every object and every record of a publication")
	flags.IntVar(&options.parallel, "parallel", 0, "how many streams to work on at once; 0 is 8")
	flags.StringVar(&options.json, "report-json", "", "`file` to write the report to as JSON")
	flags.StringVar(&options.markdown, "report-markdown", "", "`file` to write the report to as Markdown, for an issue")
	flags.StringVar(&options.prometheus, "report-prometheus", "", "`file` to write metrics to, for a node exporter's textfile collector")
	return cmd
}

type reconcileOptions struct {
	confirm, quick, deep       bool
	parallel                   int
	unsigned                   string
	json, markdown, prometheus string
}

// outcome is the error that gives the exit code of a report.
func outcome(report *reconcile.Report) error {
	worst := report.Worst()
	if report.Raced() && worst != reconcile.Alarm {
		for _, s := range report.Streams {
			if s.Raced {
				return &repo.RaceError{Stream: s.Stream, Serial: s.Serial + 1}
			}
		}
	}
	if worst != reconcile.Info {
		return &driftError{worst}
	}
	return nil
}

// reconcile looks at streams, or at all, and with confirm repairs them.
func (p *program) reconcile(ctx context.Context, cfg *config, names []string, options reconcileOptions) (*reconcile.Report, error) {
	signing, err := p.openSigning(cfg)
	if err != nil {
		return nil, err
	}
	switch {
	case options.unsigned != "" && len(signing.by.Keys()) == 0:
		return nil, usagef("%s does not say whose signatures to ask for: name the public key with signing.public", cfg.file)
	case options.unsigned != "":
		signing.signer = nil
	case cfg.Signing.kind() != "":
		if err := signing.open(ctx); err != nil {
			return nil, err
		}
	}
	b, err := p.openBucket(cfg.address(cfg.Bucket))
	if err != nil {
		return nil, err
	}
	up, err := p.newUpstream(ctx, cfg, signing)
	if err != nil {
		return nil, err
	}
	var problems []reconcile.Finding
	streams, err := p.reconciled(ctx, cfg, up, b, names, func(stream string, err error) {
		problems = append(problems, reconcile.Finding{Kind: reconcile.Upstreams, Severity: reconcile.Drift, Object: stream, Detail: err.Error()})
	})
	if err != nil {
		return nil, err
	}
	if options.unsigned != "" {
		if err := os.MkdirAll(options.unsigned, 0o755); err != nil {
			return nil, err
		}
		unlock, err := lock(filepath.Join(options.unsigned, ".outbox"))
		if err != nil {
			return nil, err
		}
		defer unlock()
	}
	show := p.progress("reconcile")
	show.start(len(streams))
	c, err := p.reconcileConfig(cfg, signing, b)
	if err != nil {
		return nil, err
	}
	c.Unsigned = options.unsigned
	c.Upstream, c.Confirm, c.Quick, c.Deep, c.Parallel = up, options.confirm, options.quick, options.deep, options.parallel
	if len(names) == 0 {
		c.Configured = func(stream layout.Stream) bool {
			_, err := cfg.stream(string(stream))
			return err == nil
		}
	}
	c.Done = func(s *reconcile.StreamReport) { show.step(string(s.Stream), s.Bytes) }
	report := reconcile.Run(ctx, c, streams)
	show.done()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ring := newKeyReport(cfg, signing, p.now().UTC())
	report.Findings = append(append(report.Findings, problems...), keyFindings(ring)...)
	for _, d := range ring.Deadlines {
		report.Keys = append(report.Keys, reconcile.KeyEnd{Fingerprint: d.Fingerprint, Because: d.What, At: d.At})
	}
	report.Estimate(reconcile.Prices(cfg.Reconcile.Costs))
	return report, nil
}

// reconcileConfig is what the configuration says of reconciliations.
func (p *program) reconcileConfig(cfg *config, signing *signingKeys, b bucket.Bucket) (reconcile.Config, error) {
	c := reconcile.Config{Publisher: p.newPublisher(cfg, signing, b, nil), Refresh: cfg.Reconcile.Refresh, Log: p.log}
	cache, err := cfg.cacheDir()
	if err != nil {
		return c, err
	}
	c.Cache = filepath.Join(cache, "attestations")
	if cfg.CDN != nil {
		edge, err := p.openCDN(cfg)
		if err != nil {
			return c, err
		}
		if edge != nil {
			c.Purge = edge.Purge
		}
		c.Patience = cmp.Or(cfg.CDN.Wait, 2*time.Minute)
	}
	if cfg.Reconcile.Public || cfg.CDN.reads() {
		c.Public = p.publicly(cfg)
	}
	return c, nil
}

// keyFindings are what is due about the keys that sign.
func keyFindings(r *keyReport) []reconcile.Finding {
	var all []reconcile.Finding
	for _, a := range r.Alarms {
		all = append(all, reconcile.Finding{Kind: reconcile.Key, Severity: reconcile.Drift, Object: a.Fingerprint, Detail: a.String()})
	}
	for _, f := range r.Refused {
		all = append(all, reconcile.Finding{Kind: reconcile.Key, Severity: reconcile.Drift, Detail: f.String()})
	}
	return all
}

// reconciled are the streams named, or all that exist or should.
func (p *program) reconciled(ctx context.Context, cfg *config, up *upstream, b bucket.Bucket, names []string, problem func(string, error)) ([]reconcile.Stream, error) {
	var configs []*streamConfig
	aliases := false
	for _, name := range names {
		s, err := cfg.stream(name)
		if err != nil {
			return nil, err
		}
		configs = append(configs, s)
		aliases = aliases || s.Alias != ""
	}
	var known []string // that an alias may follow: those that there are, and those that there will be
	if len(names) == 0 || aliases {
		var err error
		if known, err = cfg.published(ctx, b); err != nil {
			return nil, err
		}
	}
	if len(names) == 0 {
		configs = up.streams(ctx, known, problem)
	}
	for _, s := range configs {
		known = append(known, s.Name)
	}
	var streams []reconcile.Stream
	for _, s := range configs {
		one, err := cfg.reconciledStream(s, known)
		if err != nil {
			return nil, err
		}
		streams = append(streams, one)
	}
	return streams, nil
}

// reconciledStream is what a reconciliation is told of a stream; known are the names of all streams that an alias may
// follow.
func (c *config) reconciledStream(s *streamConfig, known []string) (reconcile.Stream, error) {
	stream := reconcile.Stream{Stream: c.repoStream(s), Frozen: s.State == stateFrozen, Keep: s.Keep}
	for _, alias := range c.aliases(s.Name) {
		stream.Aliases = append(stream.Aliases, layout.Stream(alias.Name))
	}
	var err error
	if s.Alias != "" {
		stream.Follows, err = c.targets(s, known)
	}
	return stream, err
}

// deliver writes the report where it was asked for, and tells whoever wants to know.
func (p *program) deliver(ctx context.Context, cfg *config, report *reconcile.Report, options reconcileOptions) error {
	for _, to := range []struct {
		file  string
		write func(io.Writer) error
	}{
		{options.json, func(w io.Writer) error { return writeJSON(w, report) }},
		{options.markdown, report.Markdown},
		{options.prometheus, report.Prometheus},
	} {
		if to.file == "" {
			continue
		}
		if err := replaceFile(to.file, to.write); err != nil {
			return err
		}
	}
	if cfg.Reconcile.Push != "" {
		var b bytes.Buffer
		if err := report.Prometheus(&b); err != nil {
			return err
		}
		if err := p.post(ctx, http.MethodPut, cfg.Reconcile.Push, "text/plain; version=0.0.4", b.Bytes()); err != nil {
			return fmt.Errorf("reconcile.push: %w", err)
		}
	}
	if cfg.Reconcile.Webhook != nil && report.Worst() == reconcile.Alarm {
		return p.alarm(ctx, cfg, report)
	}
	return nil
}

// replaceFile writes a file beside its name first, so that whoever reads it at the same moment sees all of it.
func replaceFile(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func newStatus(p *program) *cobra.Command {
	var quick bool
	cmd := &cobra.Command{
		Use:   "status [STREAM...]",
		Short: "Show a table of all streams: version, serial, age, packages, days left, drift",
		Long: `Status looks at streams as reconcile does, without changing anything, and prints a line for each. Its exit code is
0 even when something is wrong: reconcile is for alarms.`,
		Example: `  pkgs status
  pkgs status --quick core:/stable:/v1.35`,
		RunE: func(cmd *cobra.Command, names []string) error {
			cfg, err := readConfig(p.configFile)
			if err != nil {
				return err
			}
			report, err := p.reconcile(cmd.Context(), cfg, names, reconcileOptions{quick: quick})
			if err != nil {
				return err
			}
			if p.output == "json" {
				return p.printJSON(report)
			}
			return report.PrintTable(p.stdout)
		},
	}
	cmd.Flags().BoolVar(&quick, "quick", false, "do not compare every object in the bucket")
	return cmd
}
