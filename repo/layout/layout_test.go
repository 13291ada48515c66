package layout

import (
	"strings"
	"testing"
)

func TestParseStream(t *testing.T) {
	for _, name := range []string{"core:/stable:/v1.35", "addons:/cri-o:/prerelease:/main", "a:/b"} {
		if s, err := ParseStream(name); err != nil || string(s) != name {
			t.Errorf("ParseStream(%q) = %q, %v", name, s, err)
		}
	}
	for _, name := range []string{"", "v1.35", "core/stable/v1.35", "core:/stable:/", "core:/../v1", "core:/.state", "Core:/v1", "core:/v1:", "/core:/v1",
		"core:/stable:/v1.35/", "core:/sta ble:/v1", "core:/v1\n", strings.Repeat("a", 300) + ":/v1"} {
		if s, err := ParseStream(name); err == nil {
			t.Errorf("ParseStream(%q) = %q, want an error", name, s)
		}
	}
}

func FuzzParseStream(f *testing.F) {
	f.Add("core:/stable:/v1.35")
	f.Add("core:/../x")
	f.Fuzz(func(t *testing.T, name string) {
		s, err := ParseStream(name)
		if err != nil {
			return
		}
		if strings.Contains(name, "..") && strings.Contains("/"+name+"/", "/../") {
			t.Errorf("%q climbs out of the bucket", name)
		}
		if got := strings.Join(s.Folders(), ":/") + ":/" + s.Leaf(); got != name {
			t.Errorf("%q has the folders %q and the leaf %q", name, s.Folders(), s.Leaf())
		}
	})
}

func TestKeeps(t *testing.T) {
	for stream, want := range map[Stream]bool{
		"core:/stable:/v1.35": true, "tools:/main": true, "core:/prerelease:/v1.35": false, "addons:/cri-o:/nightly:/main": false,
	} {
		if stream.Keeps() != want {
			t.Errorf("%s keeps its packages: %t", stream, !want)
		}
	}
}

func TestClasses(t *testing.T) {
	hex := strings.Repeat("0a", 32)
	s := Stream("core:/stable:/v1.35")
	for _, c := range []struct {
		name, contentType string
		class             Class
	}{
		{s.Deb("amd64/kubeadm_1.35.0-1.1_amd64.deb"), "application/vnd.debian.binary-package", Package},
		{s.Rpm("x86_64/kubeadm-1.35.0-1.1.x86_64.rpm"), "application/x-rpm", Package},
		{s.Deb("amd64/kubeadm_1.35.0-1.1_amd64.deb.spdx.json"), "application/json", Attestation},
		{s.Rpm("x86_64/kubeadm-1.35.0-1.1.x86_64.rpm.intoto.json"), "application/json", Attestation},
		{s.Deb(InRelease), "text/plain; charset=utf-8", Pointer},
		{s.Deb(ReleaseGpg), "application/pgp-signature", Pointer},
		{s.Deb(ReleaseKey), "application/pgp-keys", Pointer},
		{s.Deb(Packages), "text/plain; charset=utf-8", Pointer},
		{s.Deb(PackagesGz), "application/gzip", Pointer},
		{s.Deb(ByHash(hex)), "application/octet-stream", Hashed},
		{s.Rpm(Repomd), "application/xml", Pointer},
		{s.Rpm(RepomdAsc), "application/pgp-signature", Pointer},
		{s.Rpm(RepomdKey), "application/pgp-keys", Pointer},
		{s.Rpm(Mirrorlist), "text/plain; charset=utf-8", Pointer},
		{s.Rpm(Repodata(hex, "primary")), "application/gzip", Hashed},
		{s.RpmSnapshot(7, hex, Repomd), "application/xml", Hashed},
		{s.Promotion(7, hex), "application/json", Hashed},
		{s.Head(), "application/json", State},
		{s.Marks(), "application/json", State},
		{s.Manifest(7, hex), "application/json", Hashed},
		{"streams.json", "application/json", Page},
	} {
		if got := ClassOf(c.name); got != c.class {
			t.Errorf("ClassOf(%s) = %s, want %s", c.name, got, c.class)
		}
		if got := ContentType(c.name); got != c.contentType {
			t.Errorf("ContentType(%s) = %s, want %s", c.name, got, c.contentType)
		}
	}
	for class, immutable := range map[Class]bool{Package: true, Attestation: true, Hashed: true, Pointer: false, Page: false, State: false} {
		if class.Policy().Immutable != immutable {
			t.Errorf("class %s: immutable is %t", class, !immutable)
		}
		if immutable != strings.Contains(class.Policy().CacheControl, "immutable") {
			t.Errorf("class %s has Cache-Control %s", class, class.Policy().CacheControl)
		}
	}
}
