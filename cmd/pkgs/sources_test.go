package main

import (
	"io/fs"
	"os"
	"path/filepath"
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
