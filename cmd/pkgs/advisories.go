package main

import (
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/build/strict"
	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/yum"
)

// advisoryConfig is a yum.Notice as people write it, in the section index, for one stream, or for all of them.
type advisoryConfig struct {
	At          strict.Position
	ID          string            `yaml:"id,required"`
	Type        string            `yaml:"type,required"`
	Severity    string            `yaml:"severity"`
	From        string            `yaml:"from"`
	Title       string            `yaml:"title,required"`
	Description string            `yaml:"description"`
	Rights      string            `yaml:"rights"`
	Summary     string            `yaml:"summary"`
	Solution    string            `yaml:"solution"`
	Issued      instant           `yaml:"issued,required"`
	Updated     instant           `yaml:"updated"`
	Reboot      bool              `yaml:"reboot"`
	References  []referenceConfig `yaml:"references"`
	// Packages are names such as kubelet-1.35.1-1.1, or kubelet-1.35.1-1.1.x86_64 for one architecture.
	Packages []string `yaml:"packages,required"`
}

type referenceConfig struct {
	Type  string `yaml:"type"`
	ID    string `yaml:"id"`
	Title string `yaml:"title"`
	Href  string `yaml:"href"`
}

// instant is a day, which stands for its beginning in UTC, or a time.
type instant struct{ time.Time }

// UnmarshalText reads 2026-11-21 or 2026-11-21T12:00:00Z.
func (i *instant) UnmarshalText(text []byte) (err error) {
	if i.Time, err = time.Parse(time.DateOnly, string(text)); err == nil {
		return nil
	}
	if i.Time, err = time.Parse(time.RFC3339, string(text)); err != nil {
		return fmt.Errorf("%q is not a day or time: expected 2026-11-21 or 2026-11-21T12:00:00Z", text)
	}
	return nil
}

// notices checks advisories and returns them; the list is nil if it is not there at all.
func notices(list []advisoryConfig) ([]yum.Notice, error) {
	if list == nil {
		return nil, nil
	}
	all := make([]yum.Notice, 0, len(list))
	first := map[string]strict.Position{}
	for _, a := range list {
		n := yum.Notice{Named: a.Packages, Advisory: yum.Advisory{
			ID: a.ID, Type: a.Type, Severity: a.Severity, From: a.From, Title: a.Title, Description: strings.TrimRight(a.Description, "\n"),
			Rights: a.Rights, Summary: a.Summary, Solution: a.Solution, Reboot: a.Reboot, Issued: a.Issued.Time, Updated: a.Updated.Time,
		}}
		for _, r := range a.References {
			n.References = append(n.References, yum.Reference(r))
		}
		if err := n.Check(); err != nil {
			return nil, a.At.Errorf("%w", err)
		}
		if at, ok := first[a.ID]; ok {
			return nil, a.At.Errorf("advisory %s stands in line %d already", a.ID, at.Line)
		}
		first[a.ID] = a.At
		all = append(all, n)
	}
	return all, nil
}

// checkAdvisories checks the advisories for all streams and those of each: their form, and that they name packages which
// there can be.
func (c *config) checkAdvisories() error {
	if _, err := notices(c.Advisories); err != nil {
		return err
	}
	some := map[string]string{}
	for i := range c.Streams {
		s := &c.Streams[i]
		for name := range s.Packages {
			some[name] = s.Name
		}
		if _, err := notices(append(c.Advisories[:len(c.Advisories):len(c.Advisories)], s.Advisories...)); err != nil {
			return err
		}
		if err := checkNamed(s.Advisories, s.Packages, "stream "+s.Name+" has"); err != nil {
			return err
		}
	}
	return checkNamed(c.Advisories, some, "the streams have")
}

func checkNamed(list []advisoryConfig, packages map[string]string, where string) error {
	for _, a := range list {
		for _, named := range a.Packages {
			if name, _ := yum.SplitNamed(named); packages[name] == "" {
				return a.At.Errorf("advisory %s: %s: %s no package %s", a.ID, named, where, name)
			}
		}
	}
	return nil
}

// streamNotices are the advisories that a stream is to have; nil if the configuration has nothing to say about that.
func (c *config) streamNotices(s *streamConfig) []repo.Notice {
	if c.Advisories == nil && s.Advisories == nil {
		return nil
	}
	all := []repo.Notice{}
	for _, list := range []struct {
		advisories []advisoryConfig
		elsewhere  bool
	}{{c.Advisories, true}, {s.Advisories, s.template()}} {
		found, _ := notices(list.advisories) // checked before
		for _, n := range found {
			all = append(all, repo.Notice{Notice: n, Elsewhere: list.elsewhere})
		}
	}
	return all
}
