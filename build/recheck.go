package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"sigs.k8s.io/pkgs/build/release"
)

// maxStatement is the size of the largest provenance that is read, in bytes.
const maxStatement = 1 << 20

// provenanceInputs is what Recheck reads of a statement that was written beside a package.
type provenanceInputs struct {
	PredicateType string `json:"predicateType"`
	Predicate     struct {
		BuildDefinition struct {
			BuildType          string `json:"buildType"`
			ExternalParameters struct {
				Package string          `json:"package"`
				Version release.Version `json:"version"`
			} `json:"externalParameters"`
			ResolvedDependencies []struct {
				Name   string            `json:"name"`
				Digest map[string]string `json:"digest"`
			} `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
	} `json:"predicate"`
}

// Recheck tells which files of a release its source promises another SHA-256 for now than those had that a package was
// made of: the files' URLs. statement is the provenance that was written beside the package. A file that is not there any
// more, or that has a checksum of another kind only, is left out.
func Recheck(ctx context.Context, definitions Definitions, sources map[string]*release.Source, statement []byte) ([]string, error) {
	if len(statement) > maxStatement {
		return nil, fmt.Errorf("the provenance has more than %d bytes", maxStatement)
	}
	var s provenanceInputs
	if err := json.NewDecoder(bytes.NewReader(statement)).Decode(&s); err != nil {
		return nil, fmt.Errorf("the provenance cannot be read: %w", err)
	}
	made := s.Predicate.BuildDefinition
	if s.PredicateType != provenanceType || made.BuildType != buildType {
		return nil, fmt.Errorf("the provenance is of type %q and of a build of type %q, which is not known here", s.PredicateType, made.BuildType)
	}
	definition, ok := definitions[made.ExternalParameters.Package]
	if !ok {
		return nil, fmt.Errorf("there is no definition of package %q", made.ExternalParameters.Package)
	}
	source := sources[definition.Source]
	if source == nil {
		return nil, fmt.Errorf("package %s: there is no source %s", definition.Name, definition.Source)
	}
	var changed []string
	for _, d := range made.ResolvedDependencies {
		now, err := source.Stat(ctx, made.ExternalParameters.Version, d.Name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if then := d.Digest[now.Algorithm]; then != "" && then != now.Checksum {
			changed = append(changed, now.URL)
		}
	}
	return changed, nil
}
