package sign

import (
	"bytes"
	"path/filepath"
	"testing"

	"sigs.k8s.io/pkgs/keys/frame"
)

// fixtures gives a fuzz target the signatures of testdata that match a pattern.
func fixtures(f *testing.F, pattern string) [][]byte {
	files, err := filepath.Glob("testdata/" + pattern)
	if err != nil || len(files) == 0 {
		f.Fatal("there are no seeds: ", err)
	}
	var all [][]byte
	for _, file := range files {
		all = append(all, read(f, file))
	}
	return all
}

// FuzzVerifyClearsigned: what is accepted stands in the message, and nothing stands around it.
func FuzzVerifyClearsigned(f *testing.F) {
	s := signer(f, "one")
	ours, err := s.clearsign(f.Context(), []byte(text), at)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ours)
	for _, data := range fixtures(f, "*.clearsigned") {
		f.Add(data)
	}
	trusted := s.Keyring()
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseClearsigned(data)
		if err == nil && !bytes.HasPrefix(data, []byte(beginMessage)) {
			t.Fatal("the message does not begin at the beginning")
		}
		got, good, verr := VerifyClearsigned(data, trusted, at)
		if verr != nil {
			return
		}
		if err != nil || len(good) == 0 || !bytes.Equal(got, m.text) || string(got) != text {
			t.Fatalf("accepted %q with %+v", got, good)
		}
	})
}

// FuzzVerifyDetached: no change to the signature makes it fit other data.
func FuzzVerifyDetached(f *testing.F) {
	s := signer(f, "one")
	ours, err := s.detached(f.Context(), s.keys, []byte(text), at)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(text), ours)
	for _, data := range fixtures(f, "*.asc") {
		f.Add(read(f, "testdata/text"), data)
	}
	trusted := s.Keyring()
	f.Fuzz(func(t *testing.T, data, armored []byte) {
		if good, err := VerifyDetached(data, armored, trusted, at); err == nil && (string(data) != text || len(good) == 0) {
			t.Fatalf("accepted %q with %+v", data, good)
		}
	})
}

// FuzzVerifyBinary is FuzzVerifyDetached without the armor, whose checksum stops most changes.
func FuzzVerifyBinary(f *testing.F) {
	s := signer(f, "one")
	ours, err := s.header(f.Context(), []byte(text), at)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(text), ours)
	for _, data := range fixtures(f, "*.asc") {
		block, err := frame.Decode(data)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(read(f, "testdata/text"), block.Data)
	}
	trusted := s.Keyring()
	f.Fuzz(func(t *testing.T, data, signature []byte) {
		if good, err := VerifyBinary(data, signature, trusted, at); err == nil && (string(data) != text || len(good) != 1) {
			t.Fatalf("accepted %q with %+v", data, good)
		}
	})
}
