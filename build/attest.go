package build

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/release"
)

// What the names of attestations end in, behind the name of the package.
const (
	sbomSuffix       = ".spdx.json"
	provenanceSuffix = ".intoto.json"
)

const (
	provenanceType = "https://slsa.dev/provenance/v1"
	// buildType says how to read the parameters in a provenance; the package's comment defines it. Whoever changes their
	// meaning counts up.
	buildType = "https://sigs.k8s.io/pkgs/build/v1"
	// builderID is what made the package, in any version.
	builderID = "https://sigs.k8s.io/pkgs"
	// builderName is the builder's name where there are versions beside it.
	builderName = "sigs.k8s.io/pkgs"
)

// attest writes what is known about a package beside it: SBOM and provenance. It fills in where they lie.
func (c *Config) attest(ctx context.Context, p *prepared, tree *payload.Tree, file *Package) error {
	bill, err := p.sbom(ctx, c.builderVersion(), tree, *file)
	if err != nil {
		return fmt.Errorf("cannot describe %s: %w", filepath.Base(file.Path), err)
	}
	file.SBOM, file.Provenance = file.Path+sbomSuffix, file.Path+provenanceSuffix
	billed, err := writeJSON(ctx, file.SBOM, bill)
	if err != nil {
		return err
	}
	_, err = writeJSON(ctx, file.Provenance, c.provenance(p, *file, billed))
	return err
}

func (c *Config) builderVersion() string {
	if c.BuilderVersion == "" {
		return "devel"
	}
	return c.BuilderVersion
}

// statement is an in-toto Statement v1, https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, of which the
// predicate is a provenance of SLSA v1, https://slsa.dev/spec/v1.0/provenance.
type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     predicate  `json:"predicate"`
}

// resource is a ResourceDescriptor of in-toto.
type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest"`
	// Annotations tell who has signed an input.
	Annotations *annotations `json:"annotations,omitempty"`
}

type annotations struct {
	Signature signatureNote `json:"signature"`
}

// signatureNote is a signature of an input that has been verified.
type signatureNote struct {
	Identity string `json:"identity"`
	Issuer   string `json:"issuer"`
	// Logged is when a transparency log saw the signature, if one is known to have.
	Logged string `json:"logged,omitempty"`
	// Files are the bundle, or the signature and the certificate.
	Files []resource `json:"files"`
}

type predicate struct {
	BuildDefinition buildDefinition `json:"buildDefinition"`
	RunDetails      runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	BuildType            string             `json:"buildType"`
	ExternalParameters   externalParameters `json:"externalParameters"`
	InternalParameters   internalParameters `json:"internalParameters"`
	ResolvedDependencies []resource         `json:"resolvedDependencies"`
}

// externalParameters are what was asked for.
type externalParameters struct {
	Package      string `json:"package"`
	Version      string `json:"version"`
	Revision     string `json:"revision"`
	Architecture string `json:"architecture"`
	Format       Format `json:"format"`
}

// internalParameters are what else decides about the bytes of the package.
type internalParameters struct {
	Definition resource `json:"definition"`
	Encoder    string   `json:"encoder"`
	BlockSize  int      `json:"blockSize"`
	SourceDate string   `json:"sourceDate"`
	// SigningKey is the fingerprint of the key that signed the header of an rpm.
	SigningKey string `json:"signingKey,omitempty"`
}

// runDetails have none of the optional metadata: they would be times and a random name, and so another attestation for the
// same package in each run.
type runDetails struct {
	Builder    builder    `json:"builder"`
	Byproducts []resource `json:"byproducts"`
}

type builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version"`
}

// provenance says how a package file came about. billed is the digest of its SBOM.
func (c *Config) provenance(p *prepared, file Package, billed [sha256.Size]byte) statement {
	r := p.request
	revision := r.DebRevision
	if file.Format == Rpm {
		revision = r.RpmRelease
	}
	blockSize := cmp.Or(c.Compressor.BlockSize, c.Compressor.Encoder.BlockSize())
	s := statement{
		Type:          "https://in-toto.io/Statement/v1",
		Subject:       []resource{{Name: filepath.Base(file.Path), Digest: digestSet(file.SHA256)}},
		PredicateType: provenanceType,
	}
	s.Predicate.BuildDefinition = buildDefinition{
		BuildType:          buildType,
		ExternalParameters: externalParameters{r.Package, r.Version.String(), revision, r.Architecture.Go, file.Format},
		InternalParameters: internalParameters{
			Definition: resource{Name: p.definition.Name, Digest: digestSet(p.definition.digest())},
			Encoder:    c.Compressor.Encoder.Name(), BlockSize: blockSize,
			SourceDate: p.date.UTC().Format(time.RFC3339),
		},
	}
	if file.Format == Rpm && c.HeaderSigner != nil {
		s.Predicate.BuildDefinition.InternalParameters.SigningKey = c.SigningKey
	}
	for _, m := range p.materials(file.Format) {
		dependency := resource{Name: m.path, URI: m.location(), Digest: digestSet(m.file.SHA256), Annotations: annotate(m.file.Signature)}
		s.Predicate.BuildDefinition.ResolvedDependencies = append(s.Predicate.BuildDefinition.ResolvedDependencies, dependency)
	}
	s.Predicate.RunDetails = runDetails{
		Builder:    builder{builderID, map[string]string{builderName: c.builderVersion()}},
		Byproducts: []resource{{Name: filepath.Base(file.SBOM), Digest: digestSet(billed)}},
	}
	return s
}

// annotate tells of a signature what does not depend on where it was read.
func annotate(s *release.Signature) *annotations {
	if s == nil {
		return nil
	}
	note := signatureNote{Identity: s.Identity, Issuer: s.Issuer, Files: []resource{{Name: path.Base(s.URL), Digest: digestSet(s.SHA256)}}}
	if s.Certificate != [sha256.Size]byte{} {
		name := strings.TrimSuffix(path.Base(s.URL), path.Ext(s.URL)) + ".cert"
		note.Files = append(note.Files, resource{Name: name, Digest: digestSet(s.Certificate)})
	}
	if !s.Logged.IsZero() {
		note.Logged = s.Logged.UTC().Format(time.RFC3339)
	}
	return &annotations{note}
}

func digestSet(sum [sha256.Size]byte) map[string]string {
	return map[string]string{"sha256": hex.EncodeToString(sum[:])}
}

// digest is the SHA-256 of what "sha256sum" prints for the definition's files: package.yaml, the local files that it names
// and the texts of its licenses, named from the folder of all definitions and sorted by name.
func (d *Definition) digest() [sha256.Size]byte {
	files := d.licenseFiles()
	for name, data := range d.local {
		files[d.Name+"/"+name] = data
	}
	list := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(list, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	return [sha256.Size]byte(list.Sum(nil))
}

// material is a file of the release that went into a package.
type material struct {
	source  string
	version release.Version
	// path is that in the release.
	path string
	file release.File
}

// materials are the inputs of the package of a format, sorted by path.
func (p *prepared) materials(format Format) []material {
	r := p.request
	r.Formats = []Format{format}
	var all []material
	for _, name := range slices.Sorted(slices.Values(p.definition.inputs(r))) {
		all = append(all, material{p.definition.Source, r.Version, name, p.files[name]})
	}
	return all
}

// url is where the file was downloaded, a web server or a bucket, or empty if it was read from a folder: where that lies on this machine does not
// concern anybody, and would make a difference where there is none. What a URL says about who downloads is left out.
func (m material) url() string {
	u, err := url.Parse(m.file.URL)
	if err != nil || !slices.Contains([]string{"http", "https", "gs", "s3"}, u.Scheme) {
		return ""
	}
	u.User = nil
	return u.String()
}

// purl names the file without saying where it lies: by its source, version and path.
func (m material) purl() string {
	return packageURL("generic", "", m.source, m.version.String(), "") + "#" + escape(strings.Trim(m.path, "/"), "/")
}

// location is a URI for the file: the URL if it has one.
func (m material) location() string {
	if u := m.url(); u != "" {
		return u
	}
	return m.purl()
}

func (m material) base() string { return path.Base(m.path) }

// packageURL is a purl, https://github.com/package-url/purl-spec. The namespace may be empty or have several parts.
func packageURL(kind, namespace, name, version, qualifiers string) string {
	s := "pkg:" + kind + "/"
	if namespace != "" {
		s += escape(namespace, "/") + "/"
	}
	s += escape(name, "")
	if version != "" {
		s += "@" + escape(version, "")
	}
	if qualifiers != "" {
		s += "?" + qualifiers
	}
	return s
}

// escape writes all bytes of s as %XX but letters, digits, -._~ and those in keep.
func escape(s, keep string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~"+keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// writeJSON writes v to a file and gives its digest.
func writeJSON(ctx context.Context, file string, v any) ([sha256.Size]byte, error) {
	data, err := encodeJSON(v)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return sha256.Sum256(data), payload.WriteFile(ctx, file, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}
