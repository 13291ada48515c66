// Package build turns the files of a release into .deb and .rpm packages.
//
// It knows neither streams nor keys: what becomes of the packages is not its business, and for signing rpms it is handed
// a signer. Where releases come from is the business of package release, how packages are written that of deb and rpm.
//
// # From a request to a package
//
// [Build] does its work in three steps, so that whatever is wrong with a release shows before a package exists:
//
//  1. Every file that the requests need is found, with its checksum ([Preflight]).
//  2. Every file is fetched and verified, archives are unpacked, and each binary is looked at: it must be for the package's
//     architecture, and be static or need nothing but the GNU C library, on which the package then depends. One that is not
//     stripped is a warning and no error: some projects ship theirs so.
//  3. Each package is written to a temporary file that gets its name at the end.
//
// The same request for the same release gives the same bytes, on every machine: all times are that of the release's newest
// file in the package, unless Config says otherwise, and nothing else of the surroundings goes in.
//
// Besides the files of its definition each deb has a copyright file in the machine-readable format 1.0 of Debian and a
// changelog, and each rpm has the text of its license and a changelog in its header.
//
// # Definitions
//
// What goes into packages is data: a folder with a folder for each package, embedded in this program (build/definitions)
// and replaceable by the user's own. A definition is a file package.yaml, read by package strict, with these keys. Those
// without "optional" are required.
//
//	name          the package's name, and that of its folder
//	source        the name of the source that its files come from, such as kubernetes
//	versions      the Range of versions that the definition can be used for
//	summary       one line without a full stop
//	description   lines of text, an empty line between paragraphs
//	section       a section of Debian's archive
//	homepage      the URL of the project
//	upstream      the URL of its source code
//	license       the name of a file licenses/<name>.txt: an SPDX identifier
//	copyright     years and holder
//	licenses      optional: a list of licenses with copyright and files, the paths of files that are under another license
//	maintainer    name and address
//	vendor        optional: what rpm calls the distributor
//	words         optional: placeholders with a value for each format, {deb: /etc/default, rpm: /etc/sysconfig}
//	requires, recommends, suggests, conflicts
//	              optional: lists of relations to other packages
//	files         the list of what is installed
//	units         optional: the list of systemd units to enable
//
// A relation has these keys. Two relations of a list to the same package whose versions overlap are an error.
//
//	name          the other package's name; or deb and rpm, if the name differs or only one format has the relation
//	at-least      optional: the oldest version of the other package that will do
//	versions      optional: the Range of versions of this package for which the relation holds
//
// A file has a path, and one of local (the name of a file beside package.yaml), from (the path of a file of the release, below
// the folder of the version, or with a slash in front below the source's own), link (the target of a symbolic link) and
// directory: true. All other keys are optional:
//
//	formats       [deb] or [rpm]; else both have it
//	mode          four octal digits in quotes; else 0755 for binaries and directories, 0644 for other files
//	template      true replaces placeholders in a local file
//	gzip          true compresses a text of at most a megabyte, such as a manual page
//	member        for a .tar.gz or .tgz: a pattern (as of path.Match) of the names of the members that are meant: one, or
//	              any number if the path has the placeholder {member}
//	except        patterns of members that are not meant after all
//	binary        true demands an executable for the package's architecture
//	config, doc, license
//	              true marks configuration that upgrades keep, documentation and license texts
//
// In path, from and link these placeholders are replaced: {arch} (Go's name of the architecture), {version} (upstream's
// form, v1.34.1), {build} (the commit of a nightly build, the version of any other), {package}, and the definition's
// words; in the path of members {member} too, the last part of its name.
//
// A unit has a name, the file's in /usr/lib/systemd/system, and optionally on-upgrade: keep (let it run) or try-restart. The
// package enables it as the system's presets say when it is first installed, never again after that, and stops and
// disables it when it is removed. It never starts it.
//
// # Attestations
//
// Beside each package lie two files that say what is in it and how it was made. Like the package they are the same every
// time: their date is the package's, and nothing in them is random.
//
// <package file>.spdx.json is an SBOM in SPDX 2.3. It describes the package, which contains each installed file (links and
// folders are none to SPDX) and is generated from each input; a Go program among the files is generated from its main module
// and statically linked to the standard library and the modules that its linker recorded. Files have SHA-1 beside SHA-256
// because SPDX 2.3 demands it, in 8.4 and 7.9. The document's namespace ends in the SHA-256 of the document without it.
//
// <package file>.intoto.json is an in-toto Statement v1 with a provenance of SLSA v1. Its build type is
//
//	https://sigs.k8s.io/pkgs/build/v1
//
// and means these parameters. External are those of the Request: package, version (v1.34.1), revision (what follows the
// version), architecture (in Go's words) and format. Internal are the digest of the definition, the name of the encoder and
// the size of its blocks, the source date and, of a signed rpm, the fingerprint of the key. The resolved dependencies are
// the inputs, named by their paths in the release; an archive counts as one. An input whose signature was verified has an
// annotation, signature, with the identity and the issuer that it was found to be by, when a transparency log saw it if
// that is known, and the digests of the files that say so. A by-product is the SBOM. An input from a server has its URL; one from a folder is called
//
//	pkg:generic/<source>@<version>#<path>
//
// because folders differ between machines. The digest of a definition is the SHA-256 of what this prints, for the files that
// it names, sorted:
//
//	cd definitions; sha256sum kubelet/kubelet.service kubelet/package.yaml … licenses/Apache-2.0.txt
package build
