// Package yum reads .rpm files and writes the unsigned index of a yum repository.
//
// # Packages
//
// A .rpm (https://rpm-software-management.github.io/rpm/manual/format_v4.html) is a lead of 96 bytes that nobody reads
// any more, a signature header, a main header and a compressed payload. A header is a magic number, the number of its
// entries and the size of its store; then entries of 16 bytes, each with a tag, a type, an offset into the store and a
// count; then the store. All numbers are big-endian.
//
// [ReadPackage] trusts nothing of it. As rpm does, it demands that the values fill the store in the order of their
// entries, and that the region, the part of a header that digests and signatures are over, is all of it. The digests that
// the package carries of its main header and of its payload must be right; names, versions, relations and paths must
// have the form that rpm gives them, and every text must be UTF-8 that XML can hold. The payload is hashed but not
// unpacked. Headers are limited to 32 MiB and what is made of them to 64 MiB, so that memory does not grow with the file,
// and time is in proportion to its size.
//
// # Index
//
// An index is three XML files and a fourth that names them. What they say of a package is what createrepo_c says, element
// for element and in its order, for it is the only description of the format that there is: primary has what is needed
// to choose packages and resolve their dependencies, and those file names that others depend on (all below /etc/ and
// with "bin/" in them, and /usr/lib/sendmail); filelists has all file names; other has the last ten entries of the
// changelog. We differ in this:
//
//   - <time file> is the time when the package was built and not when its file was written to this disk, so that every
//     machine makes the same index.
//   - A text that is not UTF-8 is refused; createrepo_c takes it for Latin-1. So are control characters, which it drops.
//   - <size installed> and <size archive> are right for packages of more than 4 GiB, where it says 0.
//   - The packages are in the order of name, version, architecture and file name.
//
// Where there are advisories about packages, a fifth file, updateinfo, has them in the order of their IDs. People write
// them as a [Notice], with the names of packages, and [Resolve] finds those.
//
// [Index] writes each index under a name that begins with its digest, so that an old repomd.xml and a new one can
// exist side by side, and repodata/repomd.xml. Nothing is in them but what the packages and the [Config] say.
//
// A repository may be described from elsewhere: with an HrefPrefix, the location of every package is written as the
// prefix and its name. That is how an immutable snapshot of the index leads back to the packages, which lie in one place.
//
// [ParseIndex], [ParseUpdateinfo] and [ParseRepomd] read what Index wrote, exactly that and nothing else.
package yum

import "sigs.k8s.io/pkgs/repo/refusal"

// Error says which file was refused and why. Every error of this package that concerns one file is an *Error, with the
// name that the caller gave, or "primary", "filelists", "other" or "repomd.xml".
type Error = refusal.Error
