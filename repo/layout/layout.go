// Package layout is the one place that knows what published things are called.
//
// A bucket holds any number of streams. A stream is one line of versions and has one apt repository and one yum
// repository; its name is a path whose segments but the last end in a colon, as the Open Build Service writes project
// names in URLs, for instance core:/stable:/v1.34. Below it lies:
//
//	<stream>/deb/InRelease Release Release.gpg Release.key Packages Packages.gz
//	<stream>/deb/by-hash/SHA256/<hex>
//	<stream>/deb/<debarch>/kubeadm_1.34.1-1.1_amd64.deb
//	<stream>/rpm/repodata/repomd.xml repomd.xml.asc repomd.xml.key <sha256>-primary.xml.gz …
//	<stream>/rpm/<rpmarch>/kubeadm-1.34.1-1.1.x86_64.rpm
//	<stream>/rpm/mirrorlist
//	<stream>/rpm-snapshots/<serial>-<hash>/repodata/…
//	<stream>/latest.txt <name>.sources <name>.list <name>.repo
//	keys/<fingerprint>.asc
//	.state/<stream>/HEAD
//	.state/<stream>/manifests/<serial>-<hash>.json
//	.state/<stream>/promotions/<serial>-<hash>.json
//	.state/<stream>/unnamed.json
//
// Everything here is a pure function of names: no input or output, no clock. What kind of object a name stands for, its
// [Class], decides its content type, how long a cache may keep it, and how it is written; that table is
// in class.go and nowhere else.
package layout

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// Stream is the name of a stream, such as core:/stable:/v1.34. Use [ParseStream] to make one from input.
type Stream string

var (
	streamFolder = regexp.MustCompile(`^[a-z0-9][a-z0-9+._-]*:$`)
	streamLeaf   = regexp.MustCompile(`^[a-z0-9][a-z0-9+._-]*$`)
)

// ParseStream checks that name has the form of a stream's name: at least two segments of lower-case letters, digits and
// +._- separated by slashes, all but the last ending in a colon.
func ParseStream(name string) (Stream, error) {
	segments := strings.Split(name, "/")
	ok := len(segments) >= 2 && len(name) <= 200
	for i, s := range segments {
		if i < len(segments)-1 {
			ok = ok && streamFolder.MatchString(s)
		} else {
			ok = ok && streamLeaf.MatchString(s)
		}
	}
	if !ok {
		return "", fmt.Errorf("%q is not the name of a stream: expected segments like core:/stable:/v1.34", name)
	}
	return Stream(name), nil
}

// Project is the name in the form that the Open Build Service uses in Origin and Label: core:stable:v1.34.
func (s Stream) Project() string { return strings.ReplaceAll(string(s), "/", "") }

// Leaf is the last segment: v1.34.
func (s Stream) Leaf() string { return path.Base(string(s)) }

// Folders are the segments before the last without their colons: core, stable.
func (s Stream) Folders() []string {
	segments := strings.Split(string(s), "/")
	folders := segments[:len(segments)-1]
	for i := range folders {
		folders[i] = strings.TrimSuffix(folders[i], ":")
	}
	return folders
}

// Deb is the object name of a file of the stream's apt repository; name is relative to that repository's root.
func (s Stream) Deb(name string) string { return string(s) + "/deb/" + name }

// Rpm is the object name of a file of the stream's yum repository; name is relative to that repository's root.
func (s Stream) Rpm(name string) string { return string(s) + "/rpm/" + name }

// Pointers are the object names of all pointers that a stream can have.
func (s Stream) Pointers() []string {
	return []string{
		s.Deb(ReleaseKey), s.Deb(InRelease), s.Deb(Packages), s.Deb(PackagesGz), s.Deb(Release), s.Deb(ReleaseGpg),
		s.Rpm(RepomdKey), s.Rpm(Mirrorlist), s.Rpm(Repomd), s.Rpm(RepomdAsc),
	}
}

// RpmSnapshot is the object name of a file of the immutable yum repository of one publication; sha256 is the digest of
// its repomd.xml. It is in the name because two publishers may prepare the same serial, and one of them will lose it: what
// they prepare must not have the same names.
func (s Stream) RpmSnapshot(serial int64, sha256, name string) string {
	return fmt.Sprintf("%s/rpm-snapshots/%d-%.16s/%s", s, serial, sha256, name)
}

// SnapshotToRpm leads from the root of a yum snapshot back to the root of the yum repository, where the packages are.
const SnapshotToRpm = "../../rpm/"

// Head is the object name of the stream's HEAD, whose compare-and-swap is the commit of a publication.
func (s Stream) Head() string { return ".state/" + string(s) + "/HEAD" }

// Manifests is what the object names of all manifests of the stream begin with.
func (s Stream) Manifests() string { return ".state/" + string(s) + "/manifests/" }

// Manifest is the object name of a snapshot's manifest; sha256 is the lower-case hex digest of its bytes.
func (s Stream) Manifest(serial int64, sha256 string) string {
	return fmt.Sprintf("%s%d-%s.json", s.Manifests(), serial, sha256)
}

// Promotion is the object name of the record of a promotion to the bucket that it lies in; sha256 is the digest of its
// bytes.
func (s Stream) Promotion(serial int64, sha256 string) string {
	return fmt.Sprintf(".state/%s/promotions/%d-%s.json", s, serial, sha256)
}

// Streams is the object name of the list of all streams, a page.
const Streams = "streams.json"

// Latest is the object name of the page with the stream's newest version, and FolderLatest that of the one with the newest
// version of all streams beside it: core:/stable:/latest.txt.
func (s Stream) Latest() string       { return string(s) + "/latest.txt" }
func (s Stream) FolderLatest() string { return path.Dir(string(s)) + "/latest.txt" }

// Marks is the object name of the list of what no recent publication of the stream names, and since when.
func (s Stream) Marks() string { return ".state/" + string(s) + "/" + marks }

const marks = "unnamed.json"

// Settled names the note of which publication of the stream was last brought to everything that shows it.
func (s Stream) Settled() string { return ".state/" + string(s) + "/" + settled }

const settled = "settled.json"

// Keeps tells whether packages of the stream stay in the bucket for ever: they do unless its name says that it holds
// prereleases or nightly builds.
func (s Stream) Keeps() bool {
	for _, folder := range s.Folders() {
		if folder == "prerelease" || folder == "nightly" {
			return false
		}
	}
	return true
}

// File is the object name of a page of the stream, such as core.repo.
func (s Stream) File(name string) string { return string(s) + "/" + name }

// Key is the object name of one public key by its fingerprint.
func Key(fingerprint string) string { return "keys/" + fingerprint + ".asc" }

// ByHash is where apt looks for an index by its digest when Release says Acquire-By-Hash: yes, relative to the
// repository's root (https://wiki.debian.org/DebianRepository/Format#indices_acquisition_via_hashsums_.28by-hash.29).
func ByHash(sha256 string) string { return "by-hash/SHA256/" + sha256 }

// Repodata is where a yum index lies, relative to the repository's root; kind is primary, filelists,
// other or updateinfo.
func Repodata(sha256, kind string) string { return "repodata/" + sha256 + "-" + kind + ".xml.gz" }

// The pointers of the two repositories, relative to each repository's root. They are the only names below a stream
// whose bytes ever change.
const (
	InRelease  = "InRelease"
	Release    = "Release"
	ReleaseGpg = "Release.gpg"
	ReleaseKey = "Release.key"
	Packages   = "Packages"
	PackagesGz = "Packages.gz"

	Repomd     = "repodata/repomd.xml"
	RepomdAsc  = "repodata/repomd.xml.asc"
	RepomdKey  = "repodata/repomd.xml.key"
	Mirrorlist = "mirrorlist"
)

// File is one small file of published metadata. Path is relative to the root of its repository.
type File struct {
	Path string
	Data []byte
}
