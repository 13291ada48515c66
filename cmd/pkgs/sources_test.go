package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"sigs.k8s.io/pkgs/build/release/releasetest"
)

// scriptSign signs the programs of Kubernetes in a version as an identity, with a Sigstore of its own: sign VERSION IDENTITY.
func scriptSign(ts *testscript.TestScript, neg bool, args []string) {
	by := releasetest.NewSigstore(ts.Value(testingKey{}).(*testing.T))
	ts.Check(os.WriteFile(ts.MkAbs("trusted_root.json"), by.TrustedRoot(), 0o644))
	err := filepath.WalkDir(ts.MkAbs(filepath.Join("release/kubernetes", args[0], "bin")), func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(name) != "" {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s := by.Sign(data, releasetest.Signing{Identity: args[1], Issuer: "https://accounts.example.org"})
		ts.Check(os.WriteFile(name+".sig", s.Sig, 0o644))
		return os.WriteFile(name+".cert", s.Cert, 0o644)
	})
	ts.Check(err)
}

// testingKey is the key of the test itself among a script's values.
type testingKey struct{}

// scriptUpstream starts a stand-in for the real upstreams with these versions of Kubernetes and what goes with them, and makes
// them the sources of pkgs.yaml: upstream VERSION....
func scriptUpstream(ts *testscript.TestScript, neg bool, args []string) {
	u := releasetest.NewUpstream(ts.Value(testingKey{}).(*testing.T))
	for _, version := range args {
		u.Kubernetes(version, releaseDate, "amd64", "arm64")
	}
	u.CRITools("v1.35.0", releaseDate, "amd64", "arm64")
	u.CNI("v1.9.1", releaseDate, "amd64", "arm64")
	name := ts.MkAbs("pkgs.yaml")
	text, err := os.ReadFile(name)
	ts.Check(err)
	before, rest, _ := strings.Cut(string(text), "sources:\n")
	_, after, _ := strings.Cut(rest, "streams:\n")
	ts.Check(os.WriteFile(name, []byte(before+u.Config()+"streams:\n"+after), 0o644))
}
