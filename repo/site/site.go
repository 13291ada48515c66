// Package site writes what people read and paste: for each stream, the lines that make apt, dnf and zypper use it.
//
// Everything is a pure function of a [Repository]. File names on the user's machine are made from the folders of the
// stream's name without its channel, so that moving to the next minor version changes one line of a file and not which file
// it is: core for core:/stable:/v1.35, addons-cri-o for addons:/cri-o:/prerelease:/main.
//
// # Where the keys go
//
// A stream with a keyring package has users put the keys where that package has them: /usr/share/keyrings/<name>.gpg for
// apt and /etc/pki/rpm-gpg/RPM-GPG-KEY-<name> for the others. They install the package next, and it takes the file over: from
// then on an upgrade brings new keys. A file there belongs to the package, and differs from machine to machine in nothing.
// Without such a package the keys are the user's own, in /etc/apt/keyrings as sources.list(5) has it, and dnf fetches them
// from the stream.
package site

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/repo/layout"
)

// Repository is a stream as its users know it.
type Repository struct {
	Stream layout.Stream
	// URL is the public address of the bucket, without a slash at the end.
	URL string
	// Keyring is the name of the package that brings users the keys; empty if there is none.
	Keyring string
	// Copy says that this is a copy at another address than the one that the mirrorlist and the files of the stream have in
	// them: users are told of neither.
	Copy bool
}

// nickname is what files on the user's machine are called after.
func (r Repository) nickname() string {
	folders := slices.DeleteFunc(r.Stream.Folders(), func(f string) bool {
		return f == "stable" || f == "prerelease" || f == "nightly"
	})
	if len(folders) == 0 {
		return r.Stream.Leaf()
	}
	return strings.Join(folders, "-")
}

// deb and rpm are the addresses of files of the two repositories.
func (r Repository) deb(name string) string { return r.URL + "/" + r.Stream.Deb(name) }
func (r Repository) rpm(name string) string { return r.URL + "/" + r.Stream.Rpm(name) }

// AptKeyring is where a user keeps the stream's keys, in the binary form that every apt reads.
func (r Repository) AptKeyring() string {
	if r.Keyring != "" {
		return "/usr/share/keyrings/" + r.Keyring + ".gpg"
	}
	return "/etc/apt/keyrings/" + r.nickname() + "-apt-keyring.gpg"
}

// RpmKeyring is where a user of dnf or zypper keeps the stream's keys, in armor; empty if dnf fetches them.
func (r Repository) RpmKeyring() string {
	if r.Keyring != "" {
		return "/etc/pki/rpm-gpg/RPM-GPG-KEY-" + r.Keyring
	}
	return ""
}

// AptList is the stream's line of a sources.list file (sources.list(5), one-line style).
func (r Repository) AptList() string {
	return fmt.Sprintf("deb [signed-by=%s] %s /\n", r.AptKeyring(), r.deb(""))
}

// AptSources is the stream's stanza of a .sources file (sources.list(5), deb822 style).
func (r Repository) AptSources() string {
	return fmt.Sprintf("Types: deb\nURIs: %s\nSuites: /\nSigned-By: %s\n", r.deb(""), r.AptKeyring())
}

// KeyringOf is the name of the keyring package in a .sources file that AptSources has written; empty if it names none.
func KeyringOf(sources []byte) string {
	for line := range strings.Lines(string(sources)) {
		if file, ok := strings.CutPrefix(strings.TrimSpace(line), "Signed-By: /usr/share/keyrings/"); ok {
			return strings.TrimSuffix(file, ".gpg")
		}
	}
	return ""
}

// Repo is the stream's .repo file for dnf, yum and zypper (dnf.conf(5)). It uses the mirrorlist, which names an immutable
// snapshot: a client never meets a repomd.xml whose signature is not there yet.
func (r Repository) Repo() string {
	if r.Copy {
		return r.repo(r.baseURL())
	}
	return r.repo("mirrorlist=" + r.rpm(layout.Mirrorlist))
}

// baseURL is what says in a .repo file where the repository itself is, as pkgs.k8s.io has always had it. It is for whoever
// copies the repository: dnf reposync refuses snapshots, whose packages lie outside of them.
func (r Repository) baseURL() string { return "baseurl=" + r.rpm("") }

// repo is a .repo file; from says where the repository is.
func (r Repository) repo(from string) string {
	key := r.rpm(layout.RepomdKey)
	if file := r.RpmKeyring(); file != "" {
		key = "file://" + file
	}
	return fmt.Sprintf("[%s]\nname=%s\n%s\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey=%s\n", r.nickname(), r.Stream, from, key)
}

// Files are the files of a stream that a user can put on the machine as they are, instead of pasting lines: for apt in the
// newer style and the older, and for dnf, yum and zypper.
func (r Repository) Files() []layout.File {
	name := r.nickname()
	return []layout.File{
		{Path: name + ".sources", Data: []byte(r.AptSources())},
		{Path: name + ".list", Data: []byte(r.AptList())},
		{Path: name + ".repo", Data: []byte(r.Repo())},
	}
}

// Instructions are the lines that a user pastes for each of the clients.
func (r Repository) Instructions() string {
	name := r.nickname()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	page := func(suffix string) string { return r.URL + "/" + r.Stream.File(name+suffix) }
	// Installed, the package keeps the keys up to date.
	install := func(with string) {
		if r.Keyring != "" {
			line("sudo %s install %s", with, r.Keyring)
		}
	}

	line("# %s with apt", r.Stream)
	line("sudo mkdir -p -m 755 %s", path.Dir(r.AptKeyring()))
	line("curl -fsSL %s | sudo gpg --dearmor --yes -o %s", r.deb(layout.ReleaseKey), r.AptKeyring())
	line("echo '%s' | sudo tee /etc/apt/sources.list.d/%s.list", strings.TrimSuffix(r.AptList(), "\n"), name)
	line("sudo apt-get update")
	install("apt-get")
	if !r.Copy {
		line("# or, in the place of the line with echo:")
		line("#   curl -fsSL %s | sudo tee /etc/apt/sources.list.d/%s.sources", page(".sources"), name)
	}
	line("")

	line("# %s with dnf or yum", r.Stream)
	if file := r.RpmKeyring(); file != "" {
		line("sudo curl -fsSL --create-dirs -o %s %s", file, r.rpm(layout.RepomdKey))
	}
	line("cat <<'EOF' | sudo tee /etc/yum.repos.d/%s.repo\n%sEOF", name, r.Repo())
	install("dnf")
	if !r.Copy {
		line("# or, in the place of the file that cat writes:\n#   curl -fsSL %s | sudo tee /etc/yum.repos.d/%s.repo", page(".repo"), name)
		line("# or, to copy the repository with dnf reposync, in the place of the line with mirrorlist:\n#   %s", r.baseURL())
	}
	line("")

	line("# %s with zypper", r.Stream)
	key := r.rpm(layout.RepomdKey)
	if file := r.RpmKeyring(); file != "" {
		line("sudo curl -fsSL --create-dirs -o %s %s", file, key)
		key = file
	}
	line("sudo rpm --import %s", key)
	line("cat <<'EOF' | sudo tee /etc/zypp/repos.d/%s.repo\n%sEOF", name, r.Repo())
	install("zypper")
	line("# or, in the place of the file that cat writes:")
	line("#   sudo zypper addrepo --refresh --gpgcheck-strict %s %s", r.rpm(""), name)
	return b.String()
}
