package main_test

import (
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// testIndexes compares the published indexes with those that the distributions' own indexers make of the published
// packages.
func testIndexes(t *testing.T, p *published) {
	t.Run("apt-ftparchive", func(t *testing.T) {
		// The digests that we do not publish are left out.
		theirs := command(t, filepath.Join(p.second, stream, "deb"), "apt-ftparchive", "-o", "APT::FTPArchive::MD5=false",
			"-o", "APT::FTPArchive::SHA1=false", "-o", "APT::FTPArchive::SHA512=false", "packages", ".")
		ours := readFile(t, filepath.Join(p.second, stream, "deb/Packages"))
		compare(t, stanzas(ours), stanzas(theirs))
	})
	t.Run("createrepo_c", func(t *testing.T) {
		rpm := filepath.Join(p.second, stream, "rpm")
		copied := filepath.Join(t.TempDir(), "rpm")
		linkTree(t, rpm, copied)
		if err := os.RemoveAll(filepath.Join(copied, "repodata")); err != nil {
			t.Fatal(err)
		}
		command(t, copied, "createrepo_c", "--quiet", "--no-database", "--general-compress-type=gz", ".")
		for _, kind := range []string{"primary", "filelists", "other"} {
			t.Run(kind, func(t *testing.T) { compare(t, elements(t, rpm, kind), elements(t, copied, kind)) })
		}
	})
}

// compare compares two descriptions of each package, given by the package's file or digest.
func compare(t *testing.T, ours, theirs map[string]map[string]string) {
	t.Helper()
	if len(ours) == 0 || !slices.Equal(slices.Sorted(maps.Keys(ours)), slices.Sorted(maps.Keys(theirs))) {
		t.Fatalf("we index\n%q\nthey index\n%q", slices.Sorted(maps.Keys(ours)), slices.Sorted(maps.Keys(theirs)))
	}
	for name, fields := range ours {
		both := maps.Clone(fields)
		maps.Copy(both, theirs[name])
		for field := range both {
			if ours, theirs := fields[field], theirs[name][field]; ours != theirs {
				t.Errorf("%s: of %s we say\n%q\nthey say\n%q", name, field, ours, theirs)
			}
		}
	}
}

// stanzas reads a Packages file: the fields of each stanza, by its Filename. Names of fields mean the same in capitals
// and small letters.
func stanzas(packages string) map[string]map[string]string {
	all := map[string]map[string]string{}
	for stanza := range strings.SplitSeq(strings.TrimSpace(packages), "\n\n") {
		fields, last := map[string]string{}, ""
		for line := range strings.SplitSeq(stanza, "\n") {
			if strings.HasPrefix(line, " ") {
				fields[last] += "\n" + line
				continue
			}
			name, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(name)
			fields[last] = strings.TrimSpace(value)
		}
		fields["filename"] = strings.TrimPrefix(fields["filename"], "./")
		all[fields["filename"]] = fields
	}
	return all
}

// elements reads an index of a yum repository: what it says of each package, by the package's digest, as a value for
// each path of element names. What depends on the indexer's copy of the file and not on the file is left out.
func elements(t *testing.T, repository, kind string) map[string]map[string]string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(repository, "repodata/*-"+kind+".xml.gz"))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s has no %s index (%v)", repository, kind, err)
	}
	// An older index may still lie there; repomd.xml names the one that counts.
	repomd := readFile(t, filepath.Join(repository, "repodata/repomd.xml"))
	found = slices.DeleteFunc(found, func(name string) bool { return !strings.Contains(repomd, filepath.Base(name)) })
	f, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}

	all, path := map[string]map[string]string{}, []string{}
	var fields map[string]string
	digest := ""
	decoder := xml.NewDecoder(unpacked)
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", found[0], err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			path = append(path, token.Name.Local)
			if token.Name.Local == "package" {
				fields, digest = map[string]string{}, ""
			}
			for _, a := range token.Attr {
				if token.Name.Local == "time" && a.Name.Local == "file" {
					continue
				}
				if a.Name.Local == "pkgid" && token.Name.Local == "package" {
					digest = a.Value
				}
				if fields != nil {
					fields[strings.Join(path, "/")] += fmt.Sprintf(" %s=%q", a.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			text := strings.TrimSpace(string(token))
			if fields != nil && text != "" {
				fields[strings.Join(path, "/")] += " " + text
				if path[len(path)-1] == "checksum" {
					digest = text
				}
			}
		case xml.EndElement:
			path = path[:len(path)-1]
			if token.Name.Local == "package" {
				all[digest] = fields
			}
		}
	}
}
