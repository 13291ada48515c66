package apt

// Package is one .deb as an apt index describes it. Its fields are copies of what Stanza says, for those who plan with
// packages; Stanza is what is published.
type Package struct {
	// Name, Version and Architecture identify the package; Architecture is Debian's name or "all".
	Name, Version, Architecture string
	// Filename leads from the repository's root to the file: "amd64/kubeadm_1.34.1-1.1_amd64.deb".
	Filename string
	// Size is the file's length in bytes.
	Size int64
	// SHA256 is the file's digest in lower-case hex.
	SHA256 string
	// Depends and Provides are the fields of those names, empty where the package has none. Depends leads with what
	// Pre-Depends says, since a package needs both. ParseRelations takes them apart.
	Depends, Provides string
	// Stanza is the package's paragraph of a Packages file, without the empty line that ends it.
	Stanza []byte
}
