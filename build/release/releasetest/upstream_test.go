package releasetest_test

import (
	"errors"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/release"
	"sigs.k8s.io/pkgs/build/release/releasetest"
	"sigs.k8s.io/pkgs/build/release/sigstore"
)

var at = time.Date(2025, 9, 10, 11, 12, 13, 0, time.UTC)

// Everything that is released can be fetched as it can from the real servers.
func TestUpstream(t *testing.T) {
	u := releasetest.NewUpstream(t)
	by := releasetest.NewSigstore(t)
	policy := sigstore.Policy{Identity: "release@example.org", Issuer: "https://accounts.example.org"}
	verifier, err := sigstore.NewVerifier(by.TrustedRoot(), policy)
	if err != nil {
		t.Fatal(err)
	}
	u.Sign(by, releasetest.Signing{Identity: policy.Identity, Issuer: policy.Issuer})
	archs := []string{"amd64", "arm64", "ppc64le", "riscv64", "s390x"}
	const nightly = "v1.36.0-alpha.0.721+f8ff8f44206ff4"
	u.Kubernetes("v1.34.1", at, archs...)
	u.Kubernetes(nightly, at, archs...)
	u.CRITools("v1.34.0", at, archs...)
	u.CNI("v1.8.0", at, archs...)
	u.CRIO("v1.34.0", at, archs...)
	u.CRIO(nightly, at, archs...)
	u.Mark("kubernetes", "release/stable-1.34.txt", "v1.34.1", at)
	u.Mark("kubernetes", "ci/latest.txt", nightly+"\n", at)
	u.Mark("cri-o", "latest-1.34.txt", "v1.34.0", at)

	sources := map[string]*release.Source{}
	for name, layout := range map[string]release.Layout{
		"kubernetes": {Releases: "release/{version}", Nightlies: "ci/{version}"}, "cri-tools": {}, "cni-plugins": {}, "cri-o": {Shared: "artifacts"},
	} {
		sources[name], err = release.Open(t.Context(), release.Config{Name: name, URL: u.Source(name), Layout: layout, Signatures: verifier,
			Cache: filepath.Join(t.TempDir(), "cache"), Backoff: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ source, version, path string }{
		{"kubernetes", "v1.34.1", "bin/linux/ARCH/kubelet"}, {"kubernetes", nightly, "bin/linux/ARCH/kubeadm"},
		{"cri-tools", "v1.34.0", "crictl-v1.34.0-linux-ARCH.tar.gz"}, {"cni-plugins", "v1.8.0", "cni-plugins-linux-ARCH-v1.8.0.tgz"},
		{"cri-o", "v1.34.0", "/cri-o.ARCH.v1.34.0.tar.gz"}, {"cri-o", nightly, "/cri-o.ARCH.f8ff8f44206ff4.tar.gz"},
	} {
		v, err := release.ParseVersion(c.version)
		if err != nil {
			t.Fatal(err)
		}
		for _, arch := range archs {
			f, err := sources[c.source].Fetch(t.Context(), v, strings.Replace(c.path, "ARCH", arch, 1))
			if err != nil || !f.Modified.Equal(at) || f.Signature == nil {
				t.Fatalf("%s: %+v, %v", c.path, f, err)
			}
			path := f.Path
			if !strings.HasPrefix(c.path, "bin") {
				members, err := sources[c.source].Extract(t.Context(), f, func(name string) bool {
					return strings.HasSuffix(name, "/crio") && strings.Contains(name, "bin") || name == "crictl" || name == "bridge"
				})
				if err != nil || len(members) != 1 {
					t.Fatalf("%s: %+v, %v", c.path, members, err)
				}
				path = members[0].Path
			}
			if b, err := release.Inspect(path); err != nil || b.Architecture.Go != arch || !b.Static() || !b.Stripped {
				t.Errorf("%s: %+v, %v", c.path, b, err)
			}
		}
	}
	for source, markers := range map[string]map[string]string{
		"kubernetes": {"release/stable-1.34.txt": "v1.34.1", "ci/latest.txt": nightly}, "cri-o": {"latest-1.34.txt": "v1.34.0"},
	} {
		for name, want := range markers {
			if v, err := sources[source].Marker(t.Context(), name); err != nil || v.String() != want {
				t.Errorf("%s: got %v, %v", name, v, err)
			}
		}
	}

	v, _ := release.ParseVersion("v1.34.1")
	u.Damage("v1.34.1/bin/linux/arm64/")
	var mismatch *release.ChecksumError
	for name, want := range map[string]bool{"bin/linux/arm64/kubelet": true, "bin/linux/amd64/kubelet": false} {
		fresh, err := release.Open(t.Context(), release.Config{Name: "kubernetes", URL: u.Source("kubernetes") + "/release", Cache: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fresh.Fetch(t.Context(), v, name); errors.As(err, &mismatch) != want {
			t.Errorf("%s: got %v", name, err)
		}
	}
	u.Damage("")
	u.Remove("kubernetes", "release/v1.34.1/bin/linux/amd64/")
	if _, err := sources["kubernetes"].Stat(t.Context(), v, "bin/linux/amd64/kubelet"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := sources["kubernetes"].Stat(t.Context(), v, "bin/linux/arm64/kubelet"); err != nil {
		t.Error(err)
	}
	u.Disturb(func(w http.ResponseWriter, r *http.Request) bool {
		http.Error(w, "sorry", http.StatusInternalServerError)
		return true
	})
	before := u.Requests()
	if _, err := sources["kubernetes"].Stat(t.Context(), v, "bin/linux/arm64/kubelet"); err == nil || u.Requests() != before+4 {
		t.Errorf("got %v after %d requests", err, u.Requests()-before)
	}
	u.Disturb(nil)
	if _, err := sources["kubernetes"].Stat(t.Context(), v, "bin/linux/arm64/kubelet"); err != nil {
		t.Error(err)
	}
}
