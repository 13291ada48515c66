package rpm_test

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/rpm"
)

// tags reads all entries of both headers of a package, as rpm shows them.
func tags(t *testing.T, path string) map[string][]string {
	t.Helper()
	var header struct {
		Tags []struct {
			Name   string `xml:"name,attr"`
			Values []struct {
				Text string `xml:",chardata"`
			} `xml:",any"`
		} `xml:"rpmTag"`
	}
	if err := xml.Unmarshal([]byte(run(t, "rpm", "rpm", "--nosignature", "-qp", "--xml", path)), &header); err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for _, tag := range header.Tags {
		for _, v := range tag.Values {
			all[tag.Name] = append(all[tag.Name], v.Text)
		}
	}
	return all
}

// rpmbuild makes a package of the same definition, and both headers must say the same in all that is not the builder's
// own affair.
func TestHeadersAreThoseOfRpmbuild(t *testing.T) {
	m, tree := kubelet(), files(t)
	mine := tags(t, write(t, m, tree, nil))
	theirs := tags(t, rpmbuild(t, m, tree))
	for _, name := range []string{
		// Needed by no rpm that is in use, and impossible under FIPS.
		"Sigmd5",
		// The builder's own machine and compiler.
		"Cookie", "Optflags", "Platform", "Rpmversion",
		// Which file needs what, and what file(1) says: for information only.
		"Filedependsx", "Filedependsn", "Dependsdict", "Fileclass", "Classdict",
		// Depend on the compressor, or on how the file system counts links to a directory.
		"Sigsize", "Sha1header", "Sha256header", "Payloaddigest", "Payloaddigestalt", "Archivesize",
	} {
		delete(mine, name)
		delete(theirs, name)
	}
	for name, want := range theirs {
		if !slices.Equal(mine[name], want) {
			t.Errorf("%s is %q, rpmbuild says %q", name, mine[name], want)
		}
	}
	for name, got := range mine {
		if _, ok := theirs[name]; !ok {
			t.Errorf("%s is %q, rpmbuild does not write it", name, got)
		}
	}
}

func rpmbuild(t *testing.T, m rpm.Meta, tree *payload.Tree) string {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "files")
	var list strings.Builder
	for _, e := range tree.Entries() {
		path := filepath.Join(root, e.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		attribute := ""
		switch e.Kind {
		case payload.Dir:
			attribute = "%dir "
			err = os.MkdirAll(path, 0o755)
		case payload.Symlink:
			err = os.Symlink(e.Target, path)
		default:
			err = os.WriteFile(path, read(t, e.Content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != payload.Symlink {
			if err := os.Chmod(path, os.FileMode(e.Mode)); err != nil {
				t.Fatal(err)
			}
			attribute += fmt.Sprintf("%%attr(%04o, root, root) ", e.Mode)
		}
		switch {
		case e.Config:
			attribute += "%config(noreplace) "
		case e.Doc:
			attribute += "%doc "
		case e.License:
			attribute += "%license "
		}
		fmt.Fprintf(&list, "%s%s\n", attribute, e.Path)
	}

	var spec strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&spec, format+"\n", args...) }
	line("Name: %s\nVersion: %s\nRelease: %s\nSummary: %s\nLicense: %s\nURL: %s\nVendor: %s\nPackager: %s",
		m.Name, m.Version, m.Release, m.Summary, m.License, m.URL, m.Vendor, m.Packager)
	relations := func(tag string, list []rpm.Relation) {
		for _, r := range list {
			line("%s: %s", tag, r)
		}
	}
	relations("Requires", m.Requires)
	relations("Provides", m.Provides)
	relations("Conflicts", m.Conflicts)
	relations("Obsoletes", m.Obsoletes)
	relations("Recommends", m.Recommends)
	relations("Suggests", m.Suggests)
	relations("Supplements", m.Supplements)
	relations("Enhances", m.Enhances)
	relations("Requires(pre)", m.Pre.Requires)
	relations("Requires(post)", m.Post.Requires)
	relations("Requires(preun)", m.PreUn.Requires)
	relations("Requires(postun)", m.PostUn.Requires)
	relations("OrderWithRequires(post)", m.Post.After)
	relations("OrderWithRequires(preun)", m.PreUn.After)
	line("%%description\n%s", m.Description)
	line("%%install\ncp -a %s/. %%{buildroot}", root)
	line("%%pre\n%s\n%%post\n%s\n%%preun -p \"/bin/sh -e\"\n%s\n%%postun -p /sbin/ldconfig", m.Pre.Body, m.Post.Body, m.PreUn.Body)
	line("%%files\n%s", list.String())
	line("%%changelog")
	for _, c := range m.Changelog {
		line("* %s %s\n%s\n", c.Time.Format("Mon Jan 02 2006"), c.Author, c.Text)
	}
	specFile := filepath.Join(dir, "x.spec")
	if err := os.WriteFile(specFile, []byte(spec.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"env", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", m.Time.Unix()), "rpmbuild", "-bb", "--quiet", "--target", "x86_64-linux"}
	for _, define := range []string{
		"_topdir " + dir, "_binary_payload w2.xzdio", "_buildhost " + m.BuildHost, "use_source_date_epoch_as_buildtime 1",
		"clamp_mtime_to_source_date_epoch 1", "_source_filedigest_algorithm 8", "_binary_filedigest_algorithm 8", "__os_install_post %{nil}",
		"_build_id_links none", "_use_internal_dependency_generator 1", "__spec_install_pre %{___build_pre}",
	} {
		args = append(args, "--define", define)
	}
	run(t, "rpm", append(args, specFile)...)
	return filepath.Join(dir, "RPMS", "x86_64", m.FileName())
}
