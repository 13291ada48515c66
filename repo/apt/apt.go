// Package apt reads .deb files and writes the unsigned index of a flat apt repository.
//
// # Packages
//
// A .deb (deb(5)) is an ar archive of exactly three members, in this order: debian-binary, which says 2.0;
// control.tar, plain or compressed with gzip, xz or zstd, which holds the file "control" and the maintainer scripts;
// and data.tar, compressed likewise, which holds what the package installs. Members that follow and begin with _gpg
// are signatures of debsigs and are ignored.
//
// [ReadPackage] trusts nothing of it. The control file must be one paragraph of "Name: value" lines and of lines that
// begin with a space and continue the value before, in UTF-8 without control characters, each field named once; the
// fields that apt and dpkg interpret must have the form that the Debian Policy Manual gives them in chapters 5 and 7;
// and the fields that only an index or dpkg's own database may write must be absent. So a package can neither add a
// stanza to the index nor write Filename or SHA256 for itself, nor bring in a version or a relation over which apt
// refuses the whole repository. What is accepted is then written by this package: the fields in the order and the
// capitals that dpkg-scanpackages gives them, with Filename, Size and SHA256 in the midst. Fields without a value are
// left out.
//
// What data.tar installs is not said in an index, and judged all the same: a package must have no devices, no FIFOs, no
// paths that are absolute or dotted, and no path twice. Of data.tar only the headers of its members are looked at. What
// is between them is stepped over where there is no compression, and where xz data consists of several blocks, as in
// large packages of ours and of dpkg-deb on several processors; otherwise it is unpacked, which takes a second for some 75
// to 500 MB. A [Reader] can be told to trust data.tar. [ReadContents] lists what is in it.
//
// Reading takes memory that does not grow with the file, and time in proportion to its size: the file is hashed as a
// stream, and what it may unpack to is bounded by its size.
//
// # Index
//
// [Index] sorts packages by name, version, architecture and file name, and writes for a flat repository
// (https://wiki.debian.org/DebianRepository/Format):
//
//	Packages                  every stanza, each ended by an empty line
//	Packages.gz               the same, compressed
//	by-hash/SHA256/<digest>   both again, under their digest
//	Release                   Origin to Description, and the digest and size of both
//
// SHA256 is the only kind of digest in it: every apt in use takes it, and more kinds would only cost time.
// Release is ready to be signed. There is nothing in any file but what the packages and the [Config] say, so equal
// input gives equal bytes.
//
// [ParsePackages] and [ParseRelease] read what Index wrote, exactly that and nothing else: a Packages file that another
// program wrote, or somebody edited, is refused even where apt would take it.
package apt

import "sigs.k8s.io/pkgs/repo/refusal"

// Error says which file was refused and why. Every error of this package that concerns one file is an *Error, with the
// name that the caller gave, or "Packages" or "Release".
type Error = refusal.Error
