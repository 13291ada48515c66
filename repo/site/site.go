// Package site writes what people read and paste: for each stream, the lines that make apt, dnf and zypper use it.
//
// Everything is a pure function of a stream's name and the public address of the bucket. File names on the user's machine
// are made from the folders of the stream's name without its channel, so that moving to the next minor version changes
// one line of a file and not which file it is: core for core:/stable:/v1.35, addons-cri-o for
// addons:/cri-o:/prerelease:/main.
package site

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/repo/layout"
)

// nickname is what files on the user's machine are called after.
func nickname(stream layout.Stream) string {
	folders := slices.DeleteFunc(stream.Folders(), func(f string) bool {
		return f == "stable" || f == "prerelease" || f == "nightly"
	})
	if len(folders) == 0 {
		return stream.Leaf()
	}
	return strings.Join(folders, "-")
}

// AptKeyring is where a user keeps the stream's key, in the binary form that every apt reads.
func AptKeyring(stream layout.Stream) string {
	return "/etc/apt/keyrings/" + nickname(stream) + "-apt-keyring.gpg"
}

// AptList is the stream's line of a sources.list file (sources.list(5), one-line style).
func AptList(stream layout.Stream, url string) string {
	return fmt.Sprintf("deb [signed-by=%s] %s /\n", AptKeyring(stream), url+"/"+stream.Deb(""))
}

// AptSources is the stream's stanza of a .sources file (sources.list(5), deb822 style).
func AptSources(stream layout.Stream, url string) string {
	return fmt.Sprintf("Types: deb\nURIs: %s\nSuites: /\nSigned-By: %s\n", url+"/"+stream.Deb(""), AptKeyring(stream))
}

// Repo is the stream's .repo file for dnf, yum and zypper (dnf.conf(5)). It uses the mirrorlist, which names an immutable
// snapshot: a client never meets a repomd.xml whose signature is not there yet.
func Repo(stream layout.Stream, url string) string {
	return repo(stream, url, "mirrorlist="+url+"/"+stream.Rpm(layout.Mirrorlist))
}

// RepoBaseURL is Repo with the address of the repository itself, as pkgs.k8s.io has always had it. It is for whoever
// copies the repository: dnf reposync refuses snapshots, whose packages lie outside of them.
func RepoBaseURL(stream layout.Stream, url string) string {
	return repo(stream, url, "baseurl="+url+"/"+stream.Rpm(""))
}

// repo is a .repo file; from says where the repository is.
func repo(stream layout.Stream, url, from string) string {
	return fmt.Sprintf("[%s]\nname=%s\n%s\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey=%s\n",
		nickname(stream), stream, from, url+"/"+stream.Rpm(layout.RepomdKey))
}

// Files are the files of a stream that a user can put on the machine as they are, instead of pasting lines: for apt in the
// newer style and the older, and for dnf, yum and zypper.
func Files(stream layout.Stream, url string) []layout.File {
	name := nickname(stream)
	return []layout.File{
		{Path: name + ".sources", Data: []byte(AptSources(stream, url))},
		{Path: name + ".list", Data: []byte(AptList(stream, url))},
		{Path: name + ".repo", Data: []byte(Repo(stream, url))},
	}
}

// ZypperAddrepo are the lines that add the stream to zypper without a file (zypper(8)), by the address of the repository
// itself.
func ZypperAddrepo(stream layout.Stream, url string) string {
	return fmt.Sprintf("sudo rpm --import %s\nsudo zypper addrepo --refresh --gpgcheck-strict %s %s\n",
		url+"/"+stream.Rpm(layout.RepomdKey), url+"/"+stream.Rpm(""), nickname(stream))
}

// Instructions are the lines that a user pastes for each of the clients.
func Instructions(stream layout.Stream, url string) string {
	name := nickname(stream)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s with apt\n", stream)
	fmt.Fprintf(&b, "sudo mkdir -p -m 755 /etc/apt/keyrings\n")
	fmt.Fprintf(&b, "curl -fsSL %s | sudo gpg --dearmor -o %s\n", url+"/"+stream.Deb(layout.ReleaseKey), AptKeyring(stream))
	fmt.Fprintf(&b, "echo '%s' | sudo tee /etc/apt/sources.list.d/%s.list\n", strings.TrimSuffix(AptList(stream, url), "\n"), name)
	fmt.Fprintf(&b, "sudo apt-get update\n")
	fmt.Fprintf(&b, "# or, in the place of the line with echo:\n")
	fmt.Fprintf(&b, "#   curl -fsSL %s | sudo tee /etc/apt/sources.list.d/%s.sources\n\n", url+"/"+stream.File(name+".sources"), name)
	fmt.Fprintf(&b, "# %s with dnf or yum\n", stream)
	fmt.Fprintf(&b, "cat <<'EOF' | sudo tee /etc/yum.repos.d/%s.repo\n%sEOF\n", name, Repo(stream, url))
	fmt.Fprintf(&b, "# or:\n#   curl -fsSL %s | sudo tee /etc/yum.repos.d/%s.repo\n\n", url+"/"+stream.File(name+".repo"), name)
	fmt.Fprintf(&b, "# %s with zypper\n", stream)
	fmt.Fprintf(&b, "sudo rpm --import %s\n", url+"/"+stream.Rpm(layout.RepomdKey))
	fmt.Fprintf(&b, "cat <<'EOF' | sudo tee /etc/zypp/repos.d/%s.repo\n%sEOF\n", name, Repo(stream, url))
	return b.String()
}
