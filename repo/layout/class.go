package layout

import (
	"path"
	"strings"
)

// Class is what kind of object a name stands for.
type Class string

const (
	// Package is a .deb or .rpm file: created once, never changed, never removed from a stable stream.
	Package Class = "package"
	// Attestation is what was said of a package when it was built, its SBOM or provenance: it has the package's name and
	// one of the Attestations behind it, and lives as long as the package.
	Attestation Class = "attestation"
	// Hashed is metadata that nothing can change without changing its name: by-hash indexes, yum indexes with a
	// unique name, snapshots, roots, manifests. Created once; it may go when no recent snapshot names it.
	Hashed Class = "hashed"
	// Pointer is what clients ask for by a fixed name: overwritten with the generation that was read, never deleted.
	Pointer Class = "pointer"
	// Page is what people and mirrors read: overwritten after the pointers.
	Page Class = "page"
	// State is a stream's HEAD and the list of what may go, which are written by compare-and-swap only, and the note of what
	// was settled.
	State Class = "state"
)

// Policy is all that follows from an object's class.
type Policy struct {
	// CacheControl is the value of that header, set on every write.
	CacheControl string
	// Immutable objects are written with the precondition that they do not exist. Writing the same bytes again
	// succeeds, other bytes under the name are an error.
	Immutable bool
}

const (
	forever = "public, max-age=31536000, immutable"
	// revalidate lets caches keep an object if they ask whether it is still the same. Fastly takes no heed of no-cache and
	// would keep it for an hour, but it heeds max-age.
	revalidate = "no-cache, max-age=0"
)

// Policy tells how objects of the class are cached and written.
func (c Class) Policy() Policy {
	switch c {
	case Package, Attestation:
		return Policy{CacheControl: forever, Immutable: true}
	case Hashed:
		return Policy{CacheControl: forever, Immutable: true}
	case Pointer:
		return Policy{CacheControl: revalidate}
	case Page:
		return Policy{CacheControl: "public, max-age=60"}
	}
	return Policy{CacheControl: "private, no-store"}
}

// ClassOf tells the class of the object called name.
func ClassOf(name string) Class {
	base := path.Base(name)
	switch {
	case strings.HasPrefix(name, ".state/"):
		if base == "HEAD" || base == marks || base == settled {
			return State
		}
		return Hashed
	case strings.HasSuffix(base, ".deb"), strings.HasSuffix(base, ".rpm"):
		return Package
	case Attested(base) != "":
		return Attestation
	case strings.Contains(name, "/by-hash/"), strings.Contains(name, "/rpm-snapshots/"):
		return Hashed
	case strings.Contains(name, "/rpm/repodata/") && isHex(strings.SplitN(base, "-", 2)[0]):
		return Hashed
	case strings.Contains(name, "/deb/"), strings.Contains(name, "/rpm/"), strings.HasPrefix(name, "keys/"):
		return Pointer
	}
	return Page
}

// Attestations are what follows a package's name in the names of its attestations: an SBOM in SPDX 2.3 and an in-toto
// statement with SLSA provenance.
func Attestations() []string { return []string{SBOM, Provenance} }

// What follows a package's name in the names of its attestations.
const (
	SBOM       = ".spdx.json"
	Provenance = ".intoto.json"
)

// Attested is the name of the package that an attestation called name is about; empty for all other names.
func Attested(name string) string {
	for _, suffix := range Attestations() {
		if of, ok := strings.CutSuffix(name, suffix); ok && (strings.HasSuffix(of, ".deb") || strings.HasSuffix(of, ".rpm")) {
			return of
		}
	}
	return ""
}

// NamedDigest is the SHA-256 that an object must have because its name says so, as the names of by-hash objects and of yum's
// indexes do; empty if the name says nothing.
func NamedDigest(name string) string {
	if first, _, _ := strings.Cut(path.Base(name), "-"); isHex(first) {
		return first
	}
	return ""
}

// isHex tells whether s is a SHA-256 digest in lower-case hex.
func isHex(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// ContentType is the media type of the object called name. No Content-Encoding goes with it: the compressed indexes are
// files of their own, and a client that received them unpacked would find the wrong digest.
func ContentType(name string) string {
	switch path.Ext(name) {
	case ".deb":
		return "application/vnd.debian.binary-package"
	case ".rpm":
		return "application/x-rpm"
	case ".gz":
		return "application/gzip"
	case ".xz":
		return "application/x-xz"
	case ".zst":
		return "application/zstd"
	case ".xml":
		return "application/xml"
	case ".json":
		return "application/json"
	case ".html":
		return "text/html; charset=utf-8"
	case ".asc", ".gpg", ".key":
		return pgpType(name)
	}
	switch {
	case strings.Contains(name, "/by-hash/"):
		return "application/octet-stream"
	case path.Base(name) == "HEAD":
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// pgpType tells armored keys from armored signatures (RFC 3156, sections 5 and 7).
func pgpType(name string) string {
	if strings.HasSuffix(name, ".key") || strings.HasPrefix(name, "keys/") {
		return "application/pgp-keys"
	}
	return "application/pgp-signature"
}
