package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// TakenError says that attestations to be published exist with other bytes. That happens when a run dies after it has
// uploaded them: the package's bytes are the same whenever it is built, and what is said of how it was built need not be.
// Nothing that clients see has changed. Planning again, with the names in Change.Adopt, publishes what is there.
type TakenError struct {
	Stream layout.Stream
	Names  []string // of the objects, in order
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("stream %s: %d attestations exist with other bytes, first %s: plan again and adopt those that are there", e.Stream, len(e.Names), e.Names[0])
}

// maxAttestation bounds what is read of an attestation, in bytes.
const maxAttestation = 64 << 20

// adopt makes the objects of attestations that the bucket has the plan's own. They are as good as new ones if they are about
// the very bytes of the package, which is the least that is asked of them here: what else they say was said by a run of a
// publisher, too, for nobody else can write to the bucket.
func (p *Publisher) adopt(ctx context.Context, plan *Plan, names []string, packages map[string]string) error {
	if len(names) == 0 {
		return nil
	}
	list, _, err := readMarks(ctx, p.Bucket, plan.Stream)
	if err != nil {
		return err
	}
	for _, name := range names {
		below := strings.TrimPrefix(name, string(plan.Stream)+"/")
		of := below
		for _, suffix := range layout.Attestations() {
			of = strings.TrimSuffix(of, suffix)
		}
		data, _, err := readAll(ctx, p.Bucket, name, maxAttestation)
		if errors.Is(err, bucket.ErrNotExist) {
			continue // it was deleted, so it is no longer in the way
		}
		if err != nil {
			return err
		}
		if layout.ClassOf(name) != layout.Attestation || packages[of] == "" || !describes(data, packages[of]) {
			return &GateError{Stream: plan.Stream, Problems: []string{fmt.Sprintf(
				"%s exists and is not about this package, whose SHA-256 is %s: raise the revision in the configuration, or let `pkgs gc` delete what a run left that died", below, packages[of])}}
		}
		plan.rely(Object{Name: name, Class: layout.Attestation, Size: int64(len(data)), SHA256: digest(data), Since: plan.From + 1}, list)
	}
	return nil
}

// describes tells whether an attestation is about a file with a digest: an in-toto statement
// (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md) that has it as a subject, or an SPDX 2.3 document
// (https://spdx.github.io/spdx-spec/v2.3/package-information/) with a package that has it as a checksum.
func describes(data []byte, sha256 string) bool {
	var doc struct {
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
		Packages []struct {
			Checksums []struct {
				Algorithm string `json:"algorithm"`
				Value     string `json:"checksumValue"`
			} `json:"checksums"`
		} `json:"packages"`
	}
	if json.Unmarshal(data, &doc) != nil {
		return false
	}
	for _, s := range doc.Subject {
		if s.Digest["sha256"] == sha256 {
			return true
		}
	}
	for _, p := range doc.Packages {
		for _, c := range p.Checksums {
			if c.Algorithm == "SHA256" && c.Value == sha256 {
				return true
			}
		}
	}
	return false
}
