package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A damage is a way in which a bucket can go bad, or be made to.
type damage struct {
	name string
	// flip are the objects in each of which one byte is changed.
	flip []spot
	// hide are patterns of objects that are taken away from clients, so that they use others.
	hide []string
	// names is what the complaint of pkgs verify must contain: the damaged object, or its beginning.
	names string
	// aptSays, dnfSays and zypperSays are what those clients say when it is this that they fail for.
	aptSays, dnfSays, zypperSays string
}

// A spot is the middle of a part of all objects that match a pattern: what stands between two strings, or the whole.
type spot struct{ objects, from, to string }

var signature = [2]string{"-----BEGIN PGP SIGNATURE-----", "-----END PGP SIGNATURE-----"}

// aptDamages are those that matter to apt.
var aptDamages = []damage{
	{
		name:    "a package",
		flip:    []spot{{objects: "deb/amd64/kubelet_1.35.1-1.1_amd64.deb"}},
		aptSays: "Hash Sum mismatch",
		names:   "deb/amd64/kubelet_1.35.1-1.1_amd64.deb",
	}, {
		// apt asks for the copies under by-hash, and for the plain names when it finds those missing.
		name:    "Packages",
		flip:    []spot{{objects: "deb/Packages"}, {objects: "deb/Packages.gz"}, {objects: "deb/by-hash/SHA256/*"}},
		aptSays: "Hash Sum mismatch",
		names:   "deb/Packages",
	}, {
		name:    "the text of InRelease",
		flip:    []spot{{"deb/InRelease", "Origin: ", "\n"}},
		aptSays: "InRelease",
		names:   "deb/InRelease",
	}, {
		name:    "the signature in InRelease",
		flip:    []spot{{"deb/InRelease", signature[0], signature[1]}},
		aptSays: "InRelease",
		names:   "deb/InRelease",
	}, {
		name:    "Release.gpg",
		flip:    []spot{{"deb/Release.gpg", signature[0], signature[1]}},
		hide:    []string{"deb/InRelease"},
		aptSays: "Release",
		names:   "deb/Release.gpg",
	},
}

// rpmDamages are those that matter to dnf and zypper, for users of baseurl= and of mirrorlist= alike.
var rpmDamages = []damage{
	{
		name:    "a package",
		flip:    []spot{{objects: "rpm/x86_64/kubelet-1.35.1-*.x86_64.rpm"}},
		names:   "rpm/x86_64/kubelet-1.35.1-",
		dnfSays: "checksum doesn't match", zypperSays: "Signature verification failed",
	}, {
		name:    "primary",
		flip:    []spot{{objects: "rpm/repodata/*-primary.xml.gz"}, {objects: "rpm-snapshots/*/repodata/*-primary.xml.gz"}},
		names:   "rpm/repodata/",
		dnfSays: "checksum doesn't match", zypperSays: "Digest verification failed",
	}, {
		name: "repomd.xml",
		flip: []spot{{"rpm/repodata/repomd.xml", "<revision>", "</revision>"},
			{"rpm-snapshots/*/repodata/repomd.xml", "<revision>", "</revision>"}},
		names:   "rpm/repodata/repomd.xml",
		dnfSays: "GPG signature verification error", zypperSays: "Signature verification failed",
	}, {
		name: "repomd.xml.asc",
		flip: []spot{{"rpm/repodata/repomd.xml.asc", signature[0], signature[1]},
			{"rpm-snapshots/*/repodata/repomd.xml.asc", signature[0], signature[1]}},
		names:   "rpm/repodata/repomd.xml",
		dnfSays: "GPG signature verification error", zypperSays: "Signature verification failed",
	},
}

// make makes a damaged copy of the published bucket.
func (d *damage) make(t *testing.T, p *published) (bucket string) {
	t.Helper()
	bucket = filepath.Join(t.TempDir(), "bucket")
	linkTree(t, p.second, bucket)
	for _, spot := range d.flip {
		for _, object := range objects(t, bucket, spot.objects) {
			spot.flip(t, filepath.Join(bucket, object))
		}
	}
	return bucket
}

// makeFor is make for a client that can be led to the damaged object only by taking others away.
func (d *damage) makeFor(t *testing.T, p *published) (bucket string) {
	t.Helper()
	bucket = d.make(t, p)
	for _, pattern := range d.hide {
		for _, object := range objects(t, bucket, pattern) {
			if err := os.Remove(filepath.Join(bucket, object)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return bucket
}

// flip changes one byte of a file. The file is made anew, because damaged copies share files with the bucket that they
// were made from.
func (s spot) flip(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	from := bytes.Index(data, []byte(s.from)) + len(s.from)
	to := len(data)
	if s.to != "" {
		to = from + bytes.Index(data[from:], []byte(s.to))
	}
	if from < len(s.from) || to < from {
		t.Fatalf("%s has nothing between %q and %q", file, s.from, s.to)
	}
	at := (from + to) / 2
	if s.to != "" {
		// A text: what stands there must go on being a letter or a digit, or the damage would be to the form.
		for !alphanumeric(data[at]) {
			at++
		}
	}
	if data[at] > '9' && s.to != "" {
		data[at] ^= 'a' ^ 'A'
	} else {
		data[at] ^= 1
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, string(data))
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// testVerifyDamage wants pkgs verify to find every damage, to say where it is, and to exit with the code for that.
func testVerifyDamage(t *testing.T, p *published) {
	if out, code := verify(t, p, p.second); code != 0 {
		t.Fatalf("pkgs verify exits with %d for the undamaged stream:\n%s", code, out)
	}
	for _, d := range append(aptDamages, rpmDamages...) {
		t.Run(d.name, func(t *testing.T) {
			out, code := verify(t, p, d.make(t, p))
			if code != 4 {
				t.Errorf("pkgs verify exits with %d, want 4 for damage:\n%s", code, out)
			}
			if !strings.Contains(out, d.names) {
				t.Errorf("pkgs verify does not name %s:\n%s", d.names, out)
			}
		})
	}
	t.Run("another key", func(t *testing.T) {
		out, code := verify(t, p, p.second, "--keyring", anotherKey(t, p))
		if code != 4 {
			t.Errorf("pkgs verify exits with %d, want 4 for signatures of an unknown key:\n%s", code, out)
		}
		for _, name := range []string{"deb/InRelease", "rpm/repodata/repomd.xml"} {
			if !strings.Contains(out, name) {
				t.Errorf("pkgs verify does not name %s:\n%s", name, out)
			}
		}
	})
}

// verify runs pkgs verify on a bucket, with more flags, and returns what it prints and its exit code.
func verify(t *testing.T, p *published, bucket string, flags ...string) (string, int) {
	t.Helper()
	// Beside the config of the published bucket, because paths in a config are relative to its folder.
	file, err := os.CreateTemp(filepath.Dir(p.config), "verify-*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	writeFile(t, file.Name(), strings.Replace(readFile(t, p.config), "bucket: second", "bucket: "+bucket, 1))
	cmd := exec.Command(p.program, append([]string{"verify", "--config", file.Name()}, flags...)...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
