package build

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/build/payload"
)

// namespace is what the documents of this builder are called, with a digest behind it. Nothing needs to be there.
const namespace = "https://sigs.k8s.io/pkgs/spdx/"

// vendor is the namespace of our packages in package URLs, as debian and fedora are those of others.
const vendor = "kubernetes"

const noAssertion = "NOASSERTION"

// spdxDocument is a document of SPDX 2.3 as JSON, https://spdx.github.io/spdx-spec/v2.3/. Optional fields that are not here
// stand for NOASSERTION.
type spdxDocument struct {
	Version       string             `json:"spdxVersion"`
	DataLicense   string             `json:"dataLicense"`
	ID            string             `json:"SPDXID"`
	Name          string             `json:"name"`
	Namespace     string             `json:"documentNamespace"`
	Creation      spdxCreation       `json:"creationInfo"`
	Packages      []spdxPackage      `json:"packages"`
	Files         []spdxFile         `json:"files"`
	Relationships []spdxRelationship `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	Name             string                `json:"name"`
	ID               string                `json:"SPDXID"`
	Version          string                `json:"versionInfo,omitempty"`
	FileName         string                `json:"packageFileName,omitempty"`
	Purpose          string                `json:"primaryPackagePurpose"`
	Supplier         string                `json:"supplier"`
	DownloadLocation string                `json:"downloadLocation"`
	FilesAnalyzed    bool                  `json:"filesAnalyzed"`
	VerificationCode *spdxVerificationCode `json:"packageVerificationCode,omitempty"`
	Checksums        []spdxChecksum        `json:"checksums,omitempty"`
	Homepage         string                `json:"homepage,omitempty"`
	LicenseConcluded string                `json:"licenseConcluded"`
	LicenseDeclared  string                `json:"licenseDeclared"`
	Copyright        string                `json:"copyrightText"`
	Summary          string                `json:"summary,omitempty"`
	ExternalRefs     []spdxExternalRef     `json:"externalRefs"`
}

type spdxVerificationCode struct {
	Value string `json:"packageVerificationCodeValue"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxExternalRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxFile struct {
	Name             string         `json:"fileName"`
	ID               string         `json:"SPDXID"`
	Checksums        []spdxChecksum `json:"checksums"`
	LicenseConcluded string         `json:"licenseConcluded"`
	LicenseInFile    []string       `json:"licenseInfoInFiles"`
	Copyright        string         `json:"copyrightText"`
}

type spdxRelationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

func (s *spdxDocument) relate(element, kind, related string) {
	s.Relationships = append(s.Relationships, spdxRelationship{element, kind, related})
}

// sbom describes a package file and what it is made of.
func (p *prepared) sbom(ctx context.Context, builderVersion string, tree *payload.Tree, file Package) (*spdxDocument, error) {
	s := &spdxDocument{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: filepath.Base(file.Path),
		Creation: spdxCreation{p.date.UTC().Format(time.RFC3339), []string{"Tool: pkgs-" + builderVersion}},
	}
	d := p.definition
	self := spdxPackage{
		ID: "SPDXRef-Package", Name: file.Name, Version: file.Version, FileName: filepath.Base(file.Path), Purpose: "APPLICATION",
		Supplier: organization(d.Maintainer), DownloadLocation: noAssertion, FilesAnalyzed: true, Checksums: spdxSHA256(file.SHA256),
		Homepage: d.Homepage, LicenseConcluded: d.licenseExpression(), LicenseDeclared: d.licenseExpression(), Copyright: d.copyrights(), Summary: d.Summary,
		ExternalRefs: purlRef(packageURL(string(file.Format), vendor, file.Name, file.Version, "arch="+escape(file.Architecture, ""))),
	}
	s.relate(s.ID, "DESCRIBES", self.ID)
	ids, err := s.addFiles(ctx, tree, d.licensed(file.Format, p.request))
	if err != nil {
		return nil, err
	}
	for _, f := range s.Files {
		s.relate(self.ID, "CONTAINS", f.ID)
	}
	self.VerificationCode = &spdxVerificationCode{verificationCode(s.Files)}
	s.Packages = append(s.Packages, self)
	for i, m := range p.materials(file.Format) {
		input := m.describe(fmt.Sprintf("SPDXRef-Input-%d", i+1))
		s.Packages = append(s.Packages, input)
		s.relate(self.ID, "GENERATED_FROM", input.ID)
	}
	if err := s.addModules(p, file.Format, ids); err != nil {
		return nil, err
	}
	// Two documents never have the same name, and the same document has the same one every time.
	data, err := encodeJSON(s)
	if err != nil {
		return nil, err
	}
	s.Namespace = fmt.Sprintf("%s%s-%x", namespace, escape(s.Name, ""), sha256.Sum256(data))
	return s, nil
}

// addFiles adds the files of a package and gives their identifiers by path. licensed are the licenses of some, by path.
func (s *spdxDocument) addFiles(ctx context.Context, tree *payload.Tree, licensed map[string]License) (map[string]string, error) {
	ids, buf := map[string]string{}, make([]byte, payload.Large)
	for _, e := range tree.Entries() {
		if e.Kind != payload.File {
			continue
		}
		// SPDX 2.3 demands a SHA-1 of every file, in 8.4 and for the verification code.
		digests, err := e.Content.Legacy(ctx, buf)
		if err != nil {
			return nil, err
		}
		id := fmt.Sprintf("SPDXRef-File-%d", len(s.Files)+1)
		ids[e.Path] = id
		f := spdxFile{
			Name: "." + e.Path, ID: id,
			Checksums:        append([]spdxChecksum{{"SHA1", hex.EncodeToString(digests.SHA1[:])}}, spdxSHA256(e.Content.SHA256)...),
			LicenseConcluded: noAssertion, LicenseInFile: []string{noAssertion}, Copyright: noAssertion,
		}
		if l, ok := licensed[e.Path]; ok {
			f.LicenseConcluded, f.Copyright = l.License, l.Copyright
		}
		s.Files = append(s.Files, f)
	}
	return ids, nil
}

// describe gives the SBOM's view of an input.
func (m material) describe(id string) spdxPackage {
	purpose := "FILE"
	if (File{From: m.path}).archive() {
		purpose = "ARCHIVE"
	}
	location := m.url()
	if location == "" {
		location = noAssertion
	}
	return spdxPackage{
		ID: id, Name: m.base(), Version: m.version.String(), FileName: m.base(), Purpose: purpose, Supplier: noAssertion,
		DownloadLocation: location, Checksums: spdxSHA256(m.file.SHA256),
		LicenseConcluded: noAssertion, LicenseDeclared: noAssertion, Copyright: noAssertion, ExternalRefs: purlRef(m.purl()),
	}
}

// verificationCode is the one of SPDX 2.3, 7.9: the SHA-1 of the sorted SHA-1 of all files, in hex.
func verificationCode(files []spdxFile) string {
	var sums []string
	for _, f := range files {
		sums = append(sums, f.Checksums[0].Value)
	}
	slices.Sort(sums)
	sum := sha1.Sum([]byte(strings.Join(sums, "")))
	return hex.EncodeToString(sum[:])
}

func spdxSHA256(sum [sha256.Size]byte) []spdxChecksum {
	return []spdxChecksum{{"SHA256", hex.EncodeToString(sum[:])}}
}

func purlRef(purl string) []spdxExternalRef {
	return []spdxExternalRef{{"PACKAGE-MANAGER", "purl", purl}}
}

// organization turns "Name <address>" into what SPDX calls an organization.
func organization(maintainer string) string {
	name, address, ok := strings.Cut(maintainer, " <")
	if !ok {
		return "Organization: " + maintainer
	}
	return fmt.Sprintf("Organization: %s (%s)", name, strings.TrimSuffix(address, ">"))
}
