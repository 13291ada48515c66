package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/reconcile"
)

// newestMark stands in the key alias of a stream for the newest minor version that has a release. The stream is an alias
// then: it has no packages of its own, but those of the stream of that minor.
const newestMark = "{newest}"

// checkAlias checks a stream that is an alias.
func (c *config) checkAlias(s *streamConfig) error {
	if _, err := layout.ParseStream(strings.Replace(s.Name, minorMark, "0.0", 1)); err != nil {
		return err
	}
	name, ok := strings.CutSuffix(s.Alias, "/v"+newestMark)
	if _, err := layout.ParseStream(name + "/v0.0"); err != nil || !ok {
		return fmt.Errorf("alias: %q does not say which streams to follow the newest of, as core:/stable:/v%s does", s.Alias, newestMark)
	}
	if s.template() {
		return fmt.Errorf("an alias is one stream: leave %s out of its name", minorMark)
	}
	if s.Packages != nil || s.Advisories != nil || s.Architectures != nil || s.Channels != nil || !s.Versions.First().IsZero() || s.Released != (releasedConfig{}) ||
		s.State != "" || s.Keep != 0 || s.Revision != "" || s.RpmRevision != "" {
		return errors.New("an alias has what the stream has that it follows: leave everything out but name, alias and description")
	}
	if s.follows(s.Name) || c.newest(s) == nil {
		return fmt.Errorf("alias: there is no stream %s, or of a minor in its place, that it could follow", strings.Replace(s.Alias, newestMark, minorMark, 1))
	}
	s.State = stateActive
	return nil
}

// follows tells whether the stream is an alias that may follow the one called name, which has a minor or stands for all.
func (s *streamConfig) follows(name string) bool {
	folder, alias := strings.CutSuffix(s.Alias, newestMark)
	minor, ok := strings.CutPrefix(name, folder)
	return alias && ok && (minor == minorMark || minorForm.MatchString(minor))
}

// newest is the entry of the configuration with the newest minors that an alias may follow; nil if there is none.
func (c *config) newest(alias *streamConfig) *streamConfig {
	var newest *streamConfig
	for i := range c.Streams {
		s := &c.Streams[i]
		if alias.follows(s.Name) && (newest == nil || s.firstMinor().Compare(newest.firstMinor()) >= 0) {
			newest = s
		}
	}
	return newest
}

// firstMinor is the first version of the minor that the stream is of, or of the first minor that it stands for.
func (s *streamConfig) firstMinor() release.Version {
	if s.template() {
		return s.Versions.First()
	}
	v, _ := release.ParseVersion("v" + s.minor() + ".0") // zero, which is before all others, for a stream of no minor
	return v
}

// aliases are the streams that follow one.
func (c *config) aliases(name string) []*streamConfig {
	var all []*streamConfig
	for i := range c.Streams {
		if c.Streams[i].follows(name) {
			all = append(all, &c.Streams[i])
		}
	}
	return all
}

// targets are those of the named streams that an alias may follow, the newest minor last.
func (c *config) targets(alias *streamConfig, names []string) ([]repo.Stream, error) {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !alias.follows(name) })
	slices.SortFunc(names, compareStreams)
	all := []repo.Stream{} // not nil: it is an alias even while there is nothing to follow
	for _, name := range slices.Compact(names) {
		s, err := c.stream(name)
		if err != nil {
			return nil, err
		}
		all = append(all, c.repoStream(s))
	}
	return all, nil
}

// follow has the aliases of a stream follow its live publication, and tells whether they do. Without a key to sign with they
// wait for the next reconciliation that has one, or for being promoted themselves, and there is nothing to report.
func (p *program) follow(ctx context.Context, cfg *config, signing *signingKeys, b bucket.Bucket, stream string) (*reconcile.Report, bool, error) {
	aliases := cfg.aliases(stream)
	if len(aliases) == 0 {
		return nil, true, nil
	}
	published, err := cfg.published(ctx, b)
	if err != nil {
		return nil, false, err
	}
	var streams []reconcile.Stream
	for _, s := range aliases {
		one, err := cfg.reconciledStream(s, published)
		if err != nil {
			return nil, false, err
		}
		streams = append(streams, one)
	}
	c, err := p.reconcileConfig(cfg, signing, b)
	if err != nil {
		return nil, false, err
	}
	c.Confirm, c.Quick = signing.signer != nil, true
	report := reconcile.Run(ctx, c, streams)
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	following := report.Worst() == reconcile.Info
	if signing.signer == nil {
		if !following {
			p.log.Info("aliases follow with the next `pkgs reconcile`, which has a key to sign with", "stream", stream)
		}
		return nil, following, nil
	}
	return report, following, nil
}
