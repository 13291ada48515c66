package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/build"
	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/layout"
)

// streamConfig describes a stream, or with {minor} in its name one stream for each minor version.
type streamConfig struct {
	Name string `yaml:"name"`
	// Alias makes the stream one that has the packages of the newest minor of others, such as core:/stable:/v{newest}.
	Alias string `yaml:"alias"`
	// Versions are those that the stream takes; for a {minor} it has to say at which minor they begin.
	Versions build.Range `yaml:"versions"`
	// Channels are those of its versions; without them the stream's name says which. CRI-O's prereleases of a minor have the
	// builds of its branch among them: [prerelease, nightly].
	Channels []release.Channel `yaml:"channels"`
	// State is active or frozen. A frozen stream is signed again and again, and never changed.
	State string `yaml:"state"`
	// Keep is how many of the newest versions of each package stay in the index; 0 is all. Stable streams keep all.
	Keep int `yaml:"keep"`
	// Released tells where to learn what was released.
	Released releasedConfig `yaml:"released"`
	// Advisories are about rpms of the stream.
	Advisories []advisoryConfig `yaml:"advisories"`
	// Packages gives the version of each package of the stream: "cut" for the version that is cut, "companion" for the
	// one that goes with the minor, or a fixed one.
	Packages    map[string]string `yaml:"packages"`
	Description string            `yaml:"description"`
	// Architectures, Revision and RpmRevision take the place of the general ones for this stream.
	Architectures []string `yaml:"architectures"`
	Revision      string   `yaml:"revision"`
	RpmRevision   string   `yaml:"rpm-revision"`
}

// releasedConfig names the files of a source whose content is the newest version.
type releasedConfig struct {
	// Source is that of the packages that are cut when it is empty.
	Source string `yaml:"source"`
	// Marker has the newest version of the stream, such as stable-{minor}.txt, and Newest the newest of all minors.
	// A source that can be listed, a directory or a bucket, needs none.
	Marker string `yaml:"marker"`
	Newest string `yaml:"newest"`
	// Towards is for a marker that names a commit alone.
	Towards *towardsConfig `yaml:"towards"`
}

// The words that stand for a version in a stream's list of packages.
const (
	cutVersion       = "cut"
	companionVersion = "companion"
)

const (
	stateActive = "active"
	stateFrozen = "frozen"
)

// minorMark stands for a minor version, such as 1.35, in the name of a stream and in what is derived from it.
const minorMark = "{minor}"

// revisionForm is what a revision may look like: digits and dots, as 1.1 or 150500.1.1.
var revisionForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*$`)

var minorForm = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)

func (c *config) checkStreams() error {
	if len(c.Streams) == 0 {
		return fmt.Errorf("streams is empty: there is nothing to publish")
	}
	for i := range c.Streams {
		s := &c.Streams[i]
		for _, other := range c.Streams[:i] {
			if other.Name == s.Name && (!s.template() || other.Versions.Overlaps(s.Versions)) {
				return fmt.Errorf("streams: %s stands there twice", s.Name)
			}
		}
		check := c.checkStream
		if s.Alias != "" {
			check = c.checkAlias
		}
		if err := check(s); err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		if !s.template() {
			if err := c.resolve(s); err != nil {
				return fmt.Errorf("stream %s: %w", s.Name, err)
			}
		}
	}
	return c.checkAdvisories()
}

func (c *config) checkStream(s *streamConfig) error {
	if _, err := layout.ParseStream(strings.Replace(s.Name, minorMark, "0.0", 1)); err != nil {
		return fmt.Errorf("%w, or core:/stable:/v{minor}", err)
	}
	if s.template() {
		if !strings.HasSuffix(s.Name, "/v"+minorMark) {
			return fmt.Errorf("%s may only stand at the end, as in core:/stable:/v{minor}", minorMark)
		}
		if s.Versions.First().IsZero() {
			return fmt.Errorf("versions is missing: say at which version the minors begin, such as \">=1.24.0\"")
		}
	}
	s.Revision = cmp.Or(s.Revision, c.Revision)
	s.RpmRevision = cmp.Or(s.RpmRevision, c.RpmRevision, s.Revision)
	for _, r := range []string{s.Revision, s.RpmRevision} {
		if !revisionForm.MatchString(r) {
			return fmt.Errorf("revision %q is not numbers with dots, such as \"1.1\"", r)
		}
	}
	if s.State = cmp.Or(s.State, stateActive); s.State != stateActive && s.State != stateFrozen {
		return fmt.Errorf("state: %q is neither active nor frozen", s.State)
	}
	if s.channel() == release.Stable && slices.ContainsFunc(s.Channels, func(c release.Channel) bool { return c != release.Stable }) {
		return errors.New("channels: a stream that is called stable holds stable versions alone")
	}
	if err := s.Released.Towards.check(); err != nil {
		return fmt.Errorf("released.towards: %w", err)
	}
	if s.Keep < 0 || s.Keep > 0 && s.channel() == release.Stable {
		return fmt.Errorf("keep: %d: a stable stream keeps all versions, and others a number from 1 on or, with 0, all", s.Keep)
	}
	if s.Architectures == nil {
		s.Architectures = c.Architectures
	}
	if err := checkArchitectures(s.Architectures); err != nil {
		return err
	}
	if len(s.Packages) == 0 {
		return fmt.Errorf("packages is empty")
	}
	for name, version := range s.Packages {
		if k := c.Signing.Package; k != nil && k.Name == name {
			return fmt.Errorf("packages.%s: signing.package has this name, and is in every stream anyway", name)
		}
		switch version {
		case cutVersion:
		case companionVersion:
			if c.Companions[name] == nil {
				return fmt.Errorf("packages.%s: companions has no versions of it", name)
			}
			if s.minor() == "" && !s.template() {
				return fmt.Errorf("packages.%s: the stream has no minor that a companion could go with: give a version", name)
			}
		default:
			if _, err := release.ParseVersion(version); err != nil {
				return fmt.Errorf("packages.%s: expected %q, %q or a version: %w", name, cutVersion, companionVersion, err)
			}
		}
	}
	return nil
}

func checkArchitectures(architectures []string) error {
	if len(architectures) == 0 {
		return fmt.Errorf("architectures is empty: list those to publish for, such as [amd64, arm64]")
	}
	for i, a := range architectures {
		if _, err := release.ParseArchitecture(a); err != nil {
			return fmt.Errorf("architectures: %w", err)
		}
		if slices.Contains(architectures[:i], a) {
			return fmt.Errorf("architectures: %s stands there twice", a)
		}
	}
	return nil
}

// template tells whether s stands for one stream of each minor.
func (s *streamConfig) template() bool { return strings.Contains(s.Name, minorMark) }

// of makes the stream of a minor from a template.
func (c *config) of(template *streamConfig, minor string) (*streamConfig, error) {
	s := *template
	s.Name = strings.Replace(s.Name, minorMark, minor, 1)
	s.Released.Marker = strings.ReplaceAll(s.Released.Marker, minorMark, minor)
	if s.Released.Towards != nil {
		towards := *s.Released.Towards
		towards.Marker = strings.ReplaceAll(towards.Marker, minorMark, minor)
		s.Released.Towards = &towards
	}
	if err := c.resolve(&s); err != nil {
		return nil, usagef("%s: stream %s: %w", c.file, s.Name, err)
	}
	return &s, nil
}

// stream finds a stream by name.
func (c *config) stream(name string) (*streamConfig, error) {
	for i := range c.Streams {
		s := &c.Streams[i]
		if s.Name == name && !s.template() {
			return s, nil
		}
		minor, ok := strings.CutPrefix(name, strings.TrimSuffix(s.Name, minorMark))
		if !ok || !s.template() || !minorForm.MatchString(minor) {
			continue
		}
		if first, err := release.ParseVersion("v" + minor + ".0"); err == nil && s.Versions.Contains(first) {
			return c.of(s, minor)
		}
	}
	return nil, usagef("%s has no stream %q: it has %s", c.file, name, strings.Join(c.streamNames(), ", "))
}

// streamNames are the names of the streams as the file has them.
func (c *config) streamNames() []string {
	var names []string
	for _, s := range c.Streams {
		names = append(names, s.Name)
	}
	return slices.Compact(names)
}

// streamFor finds the stream that a version is cut into: the one named, or the only one that takes the version.
func (c *config) streamFor(v release.Version, name string) (*streamConfig, error) {
	if name != "" {
		s, err := c.stream(name)
		if err != nil {
			return nil, err
		}
		return s, s.admits(v)
	}
	var found []*streamConfig
	var why []string
	for i := range c.Streams {
		s := &c.Streams[i]
		if err := s.admits(v); err != nil {
			why = append(why, err.Error())
			continue
		}
		if s.template() {
			var err error
			if s, err = c.of(s, v.Minor()); err != nil {
				return nil, err
			}
		}
		found = append(found, s)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, usagef("no stream of %s takes %s:\n  %s", c.file, v, strings.Join(why, "\n  "))
	}
	return nil, usagef("more than one stream takes %s: choose with --stream %s or --stream %s", v, found[0].Name, found[1].Name)
}

// minor is the minor version that a stream's name ends in, such as 1.35 for core:/stable:/v1.35; empty for others.
func (s *streamConfig) minor() string {
	leaf := layout.Stream(s.Name).Leaf()
	if m, ok := strings.CutPrefix(leaf, "v"); ok && minorForm.MatchString(m) {
		return m
	}
	return ""
}

// channel is the last folder of a stream's name that names a channel.
func (s *streamConfig) channel() release.Channel {
	folders := layout.Stream(s.Name).Folders()
	for _, f := range slices.Backward(folders) {
		for _, c := range []release.Channel{release.Stable, release.Prerelease, release.Nightly} {
			if f == string(c) {
				return c
			}
		}
	}
	return release.Stable
}

func join[T ~string](words []T, between string) string {
	var all []string
	for _, w := range words {
		all = append(all, string(w))
	}
	return strings.Join(all, between)
}

// admits tells why a version does not belong to the stream, or nil.
func (s *streamConfig) admits(v release.Version) error {
	if s.Alias != "" {
		return usagef("stream %s has no versions of its own: it follows %s", s.Name, s.Alias)
	}
	if m := s.minor(); m != "" && v.Minor() != m {
		return usagef("%s is a version of v%s, and stream %s holds v%s", v, v.Minor(), s.Name, m)
	}
	have, want := v.Channel(), s.channel()
	// A stream of prereleases without a minor of its own, such as addons:/cri-o:/prerelease:/main, takes nightly builds.
	held := []release.Channel{want}
	switch {
	case len(s.Channels) > 0:
		held = s.Channels
	case want == release.Prerelease && s.minor() == "":
		held = append(held, release.Nightly)
	}
	if !slices.Contains(held, have) {
		return usagef("%s is a %s version, and stream %s holds %s versions", v, have, s.Name, join(held, " and "))
	}
	first, err := release.ParseVersion("v" + v.Minor() + ".0")
	if err != nil {
		return usageError{err}
	}
	// The prereleases of the first minor are older than it and belong to it all the same.
	if !s.Versions.Contains(v) && !(have != release.Stable && s.Versions.Contains(first)) {
		return usagef("%s is not among the versions of stream %s, which are %s", v, s.Name, s.Versions)
	}
	return nil
}

// changeable refuses to change a stream that is frozen, or that has the packages of another one.
func (s *streamConfig) changeable() error {
	if s.Alias != "" {
		return usagef("stream %s follows %s: change that stream, and this one will have what it has", s.Name, s.Alias)
	}
	if s.State == stateFrozen {
		return usagef("stream %s is frozen: it is signed again and never changed. Set its state to active in the configuration to change it", s.Name)
	}
	return nil
}

// repoStream is what the repository is told of a stream.
func (c *config) repoStream(s *streamConfig) repo.Stream {
	name := layout.Stream(s.Name)
	suite := strings.ReplaceAll(name.Project(), ":", "-")
	stream := repo.Stream{
		Name:   name,
		Origin: cmp.Or(c.Origin, name.Project()), Label: name.Project(), Suite: suite, Codename: suite,
		Description: cmp.Or(s.Description, "Packages of "+name.Project()),
		Members:     map[string]repo.Member{},
		Advisories:  c.streamNotices(s),
	}
	if s.Alias != "" {
		like := c.repoStream(c.newest(s))
		for name, member := range like.Members {
			member.Minor = ""
			stream.Members[name] = member
		}
		stream.Architectures, stream.Advisories = like.Architectures, like.Advisories
		return stream
	}
	for _, a := range s.Architectures {
		arch, _ := release.ParseArchitecture(a) // checked before
		stream.Architectures = append(stream.Architectures, repo.Architecture{Deb: arch.Deb, Rpm: arch.Rpm})
	}
	for name, version := range s.Packages {
		member := repo.Member{Prereleases: s.channel() != release.Stable, Main: version == cutVersion}
		if version == cutVersion {
			member.Minor = s.minor()
		}
		stream.Members[name] = member
	}
	if k := c.Signing.Package; k != nil {
		stream.Members[k.Name] = repo.Member{Keyring: true}
	}
	return stream
}
