package apt

// Grammar says how strictly the words of a package are judged. How a file is taken apart, what it may hold and how much,
// is the same in all.
type Grammar int

const (
	// Strict is what we publish: the Debian Policy Manual, and where programs differ, what all of them take.
	Strict Grammar = iota
	// Foreign is for packages that others made: what dpkg-deb builds, if need be with a warning, and apt reads without
	// harm to the packages beside it. Names may have capitals and underscores; sections, priorities and sizes may say
	// anything; only Package, Version and Architecture must be there; names of fields may have all characters of Debian
	// Policy 5.1; upstream versions may have colons behind an epoch; files may be called as people call files.
	Foreign
)
