// Package release brings the files of upstream releases to this machine, and lets nobody see one that is not what the
// release promises.
//
// # Where releases lie
//
// A [Source] is a directory, a web server or a bucket of Google Cloud Storage or S3. Below its URL every release has a folder
// that is named by its [Version], and below that lie its files; this is how the downloads of a GitHub project are arranged:
//
//	<url>/v1.34.1/crictl-v1.34.1-linux-arm64.tar.gz
//	<url>/v1.34.1/crictl-v1.34.1-linux-arm64.tar.gz.sha256
//
// The [Layout] of a source says where the folders are if it is otherwise. dl.k8s.io keeps nightly builds apart from releases:
//
//	<url>/release/v1.34.1/bin/linux/arm64/kubelet              Releases: release/{version}
//	<url>/ci/v1.36.0-alpha.0.721+f8ff8f44206ff4/bin/linux/…    Nightlies: ci/{version}
//
// Projects that keep the files of all versions in one folder tell them apart by name. A path with a slash in front stands for
// such a file: /cri-o.arm64.v1.34.0.tar.gz is
//
//	<url>/artifacts/cri-o.arm64.v1.34.0.tar.gz                 Shared: artifacts
//	<url>/artifacts/cri-o.arm64.v1.34.0.tar.gz.sha256sum
//
// [Source.Marker] reads files that name a version, such as <url>/release/stable-1.34.txt, and [Source.Versions] lists the
// folders of versions where the place can list.
//
// # Downloads
//
// What fails on the way is tried up to four times, with doubled pauses or those that the server asks for, and a download
// that breaks off is continued where it was if the server can do that and still has the same file. An answer, and each piece
// of a body, must come within a time limit. What is missing (404, 410, or the 403 of S3) is missing at once.
//
// # Checksums
//
// For a file there must be a checksum, and these places are tried in this order: the file's name followed by .sha256,
// .sha256sum or .sha512, and the files SHA256SUMS and SHA512SUMS in the folder of the release, or in the shared one for a
// path with a slash in front. The first that is there counts, and what is wrong with it is an error rather than a reason
// to try the next. A checksum file holds a digest in lower-case hexadecimal, alone or as sha256sum(1) writes it: two
// spaces and the name. That name must be the file's own, with or without the path from that folder; in SHA256SUMS it must
// be that path.
//
// # Signatures
//
// Where the source's configuration says who must have signed ([Config].Signatures), every file needs a signature: a bundle,
// called as the file with .sigstore.json, .sigstore or .bundle behind it, or else a signature, .sig, with a certificate,
// .cert. The first that is there counts. Package sigstore says what these are and what is checked. A file without a signature, or
// with one by somebody else, is refused before it is in the cache, and where the checksum is a SHA-256 before it is read.
//
// # The cache
//
// A file is hashed while it is copied to a temporary file in the cache, compared, and only then named after its SHA-256.
// This is done for directories too: a file that changes between being checked and being packaged would otherwise be
// packaged unchecked. A file that is in the cache is hashed again before it is used.
//
// Releases that are tarballs are unpacked by [Source.Extract], within bounds; [Inspect] tells what a binary needs to run.
package release
