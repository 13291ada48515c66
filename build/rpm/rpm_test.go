package rpm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"sigs.k8s.io/pkgs/build/payload"
	"sigs.k8s.io/pkgs/build/rpm"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func kubelet() rpm.Meta {
	return rpm.Meta{
		Name: "kubelet", Version: "1.34.1~rc.0", Release: "1.1", Arch: "x86_64",
		Summary: "Node agent for Kubernetes clusters", Description: "It runs on every node.\n\nIt starts pods – and\n  * watches them",
		License: "Apache-2.0", URL: "https://kubernetes.io", Vendor: "Kubernetes", Packager: "Kubernetes Authors <dev@kubernetes.io>",
		BuildHost:   "pkgs",
		Requires:    []rpm.Relation{{"iptables", rpm.GreaterEqual, "1.4.21"}, {Name: "util-linux"}, {Name: "(a or (b with c))"}},
		Provides:    []rpm.Relation{{"node-agent", rpm.Equal, "1.34"}, {Name: "agent"}},
		Conflicts:   []rpm.Relation{{"kubeadm", rpm.Less, "1:1.20-3"}},
		Obsoletes:   []rpm.Relation{{"hyperkube", rpm.LessEqual, "1.18"}},
		Recommends:  []rpm.Relation{{Name: "kubernetes-cni"}},
		Suggests:    []rpm.Relation{{"socat", rpm.Greater, "1"}},
		Supplements: []rpm.Relation{{Name: "kubeadm"}},
		Enhances:    []rpm.Relation{{Name: "systemd"}},
		Pre:         rpm.Script{Body: "echo pre\n"},
		Post:        rpm.Script{Body: "echo post $1\n", Requires: []rpm.Relation{{Name: "systemd"}}, After: []rpm.Relation{{Name: "dbus"}}},
		PreUn:       rpm.Script{Body: "echo preun\n", Interpreter: "/bin/sh -e", Requires: []rpm.Relation{{"systemd", rpm.Greater, "200"}}, After: []rpm.Relation{{"dbus", rpm.GreaterEqual, "1.10"}, {Name: "udev"}}},
		PostUn:      rpm.Script{Interpreter: "/sbin/ldconfig"},
		Changelog: []rpm.Change{
			{time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC), "A <a@b.c> - 1.34.1-1", "- Release\n- Again"},
			{time.Date(2026, 2, 4, 12, 0, 0, 0, time.UTC), "B <a@b.c>", "- First"},
		},
		Time: at,
	}
}

func files(t testing.TB) *payload.Tree {
	t.Helper()
	binary := bytes.Repeat([]byte("a program has many words; "), 40_000)
	tree, err := payload.NewTree(
		payload.Entry{Path: "/usr/bin/kubelet", Mode: 0o755, Content: payload.Bytes(binary)},
		payload.Entry{Path: "/usr/bin/node-agent", Kind: payload.Symlink, Target: "kubelet"},
		payload.Entry{Path: "/etc/sysconfig/kubelet", Mode: 0o644, Content: payload.Bytes([]byte("KUBELET_EXTRA_ARGS=\n")), Config: true},
		payload.Entry{Path: "/etc/kubernetes", Kind: payload.Dir, Mode: 0o755},
		payload.Entry{Path: "/etc/kubernetes/manifests", Kind: payload.Dir, Mode: 0o700},
		payload.Entry{Path: "/usr/lib/systemd/system/kubelet.service", Mode: 0o644, Content: payload.Bytes([]byte("[Unit]\n"))},
		payload.Entry{Path: "/usr/share/doc/kubelet/README.md", Mode: 0o644, Content: payload.Bytes([]byte("# Kubelet\n")), Doc: true},
		payload.Entry{Path: "/usr/share/doc/kubelet/empty", Mode: 0o640, Content: payload.Bytes(nil), Doc: true},
		payload.Entry{Path: "/usr/share/doc/kubelet/größe", Mode: 0o644, Content: payload.Bytes([]byte("y")), Doc: true},
		payload.Entry{Path: "/usr/share/kubelet-data/" + strings.Repeat("n", 240), Mode: 0o644, Content: payload.Bytes([]byte("z"))},
		payload.Entry{Path: "/usr/share/licenses/kubelet/LICENSE", Mode: 0o644, Content: payload.Bytes([]byte("Apache")), License: true},
	)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func compressor() *payload.Compressor { return &payload.Compressor{Encoder: payload.Go()} }

// signer signs with a key made for the test.
type signer struct{ entity *openpgp.Entity }

func newSigner(t testing.TB) signer {
	t.Helper()
	e, err := openpgp.NewEntity("Test", "", "test@example.org", &packet.Config{
		RSABits: 2048, Time: func() time.Time { return at.Add(-time.Hour) }, DefaultHash: crypto.SHA256,
		InsecureGenerateNonCriticalKeyFlags: true, InsecureGenerateNonCriticalSignatureCreationTime: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	e.Subkeys = nil
	return signer{e}
}

func (s signer) RPMHeader(_ context.Context, header []byte, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	never := false
	err := openpgp.DetachSign(&out, s.entity, bytes.NewReader(header), &packet.Config{
		DefaultHash: crypto.SHA256, Time: func() time.Time { return at }, NonDeterministicSignaturesViaNotation: &never,
	})
	return out.Bytes(), err
}

// publicKey writes the public key to a file as rpm --import wants it.
func (s signer) publicKey(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.asc")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := armor.Encode(f, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{s.entity.Serialize(w), w.Close(), f.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// write makes a package in a directory of its own and returns its path.
func write(t testing.TB, m rpm.Meta, tree *payload.Tree, s rpm.HeaderSigner) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), m.FileName())
	if err := rpm.WriteFile(t.Context(), path, m, tree, compressor(), s); err != nil {
		t.Fatal(err)
	}
	return path
}

// try runs a program of a Debian package and returns what it prints.
func try(t testing.TB, debian string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Fatalf("%s is not installed: apt-get install %s", args[0], debian)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func run(t testing.TB, debian string, args ...string) string {
	t.Helper()
	out, err := try(t, debian, args...)
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

func TestReproducible(t *testing.T) {
	tree, s := files(t), newSigner(t)
	one := &payload.Compressor{Encoder: payload.Go(), Workers: 1, BlockSize: 128 << 10}
	many := &payload.Compressor{Encoder: payload.Go(), Workers: 8, BlockSize: 128 << 10, Cache: t.TempDir()}
	var want []byte
	for _, c := range []*payload.Compressor{one, many, many} {
		path := filepath.Join(t.TempDir(), "x.rpm")
		if err := rpm.WriteFile(t.Context(), path, kubelet(), tree, c, s); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) {
			t.Error("the same package has other bytes")
		}
	}
}

// A package written behind other bytes is the same package.
func TestWriteStartsWhereTheWriterStands(t *testing.T) {
	tree := files(t)
	want, err := os.ReadFile(write(t, kubelet(), tree, nil))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	io.WriteString(f, "before")
	if err := rpm.Write(t.Context(), f, kubelet(), tree, compressor(), nil); err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "after")
	if got, err := os.ReadFile(f.Name()); err != nil || string(got) != "before"+string(want)+"after" {
		t.Errorf("not the package between what was written before and after: %v", err)
	}
}

type brokenSigner struct {
	packet []byte
	err    error
}

func (s brokenSigner) RPMHeader(context.Context, []byte, time.Time) ([]byte, error) {
	return s.packet, s.err
}

func TestFailureLeavesNothingBehind(t *testing.T) {
	changed := filepath.Join(t.TempDir(), "binary")
	if err := os.WriteFile(changed, []byte("new bytes"), 0o644); err != nil {
		t.Fatal(err)
	}
	tree, err := payload.NewTree(payload.Entry{Path: "/usr/bin/x", Mode: 0o755,
		Content: payload.FromFile(changed, 9, sha256.Sum256([]byte("old bytes")))})
	if err != nil {
		t.Fatal(err)
	}
	gone, err := payload.NewTree(payload.Entry{Path: "/usr/bin/x", Mode: 0o755,
		Content: payload.FromFile(changed+"-gone", 9, sha256.Sum256([]byte("old bytes")))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	stop(errors.New("stopped"))
	bad := kubelet()
	bad.Version = "v1.34"
	good := files(t)
	for want, try := range map[string]func(string) error{
		"SHA-256": func(p string) error { return rpm.WriteFile(t.Context(), p, kubelet(), tree, compressor(), nil) },
		"no such": func(p string) error { return rpm.WriteFile(t.Context(), p, kubelet(), gone, compressor(), nil) },
		"stopped": func(p string) error { return rpm.WriteFile(ctx, p, kubelet(), good, compressor(), nil) },
		"version": func(p string) error { return rpm.WriteFile(t.Context(), p, bad, good, compressor(), nil) },
		"no encoder": func(p string) error {
			return rpm.WriteFile(t.Context(), p, kubelet(), good, &payload.Compressor{}, nil)
		},
		"no key": func(p string) error {
			return rpm.WriteFile(t.Context(), p, kubelet(), good, compressor(), brokenSigner{err: errors.New("no key")})
		},
		"no signature": func(p string) error {
			return rpm.WriteFile(t.Context(), p, kubelet(), good, compressor(), brokenSigner{})
		},
		"too long": func(p string) error {
			return rpm.WriteFile(t.Context(), p, kubelet(), good, compressor(), brokenSigner{packet: make([]byte, 5000)})
		},
	} {
		out := t.TempDir()
		err := try(filepath.Join(out, "x.rpm"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected an error with %q", err, want)
		}
		if left, _ := os.ReadDir(out); len(left) != 0 {
			t.Errorf("%s: %s is left behind", want, left[0].Name())
		}
	}
}

func ExampleParseRelation() {
	for _, s := range []string{"kubernetes-cni >= 1.2.0", "/bin/sh", "(a or b)", "a >=1"} {
		r, err := rpm.ParseRelation(s)
		fmt.Printf("%q %q %q %v\n", r.Name, r.Op, r.Version, err)
	}
	// Output:
	// "kubernetes-cni" ">=" "1.2.0" <nil>
	// "/bin/sh" "" "" <nil>
	// "(a or b)" "" "" <nil>
	// "a >=1" "" "" relation "a >=1": expected a name, or name, comparison and version with spaces between
}
