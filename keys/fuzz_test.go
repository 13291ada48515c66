package keys

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/pkgs/keys/frame"
)

// seeds gives a fuzz target every throwaway key, armored and not, private and public.
func seeds(f *testing.F) {
	files, err := filepath.Glob("testdata/*.asc")
	if err != nil || len(files) == 0 {
		f.Fatal("there are no seeds: ", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		block, err := frame.Decode(data)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(block.Data)
		certs, err := parseCertificates(file, block.Data)
		if err != nil {
			f.Fatal(err)
		}
		if public, err := certs[0].public(); err == nil {
			f.Add(bytes.Join(public.packets, nil))
		}
	}
}

func FuzzParseKeyring(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := ParseKeyring("fuzz", data)
		if err != nil {
			return
		}
		armored, err := k.Armor()
		if err != nil {
			t.Fatalf("a keyring that was read cannot be written: %v", err)
		}
		again, err := ParseKeyring("again", armored)
		if err != nil {
			t.Fatalf("a keyring that was written cannot be read: %v", err)
		}
		if twice, _ := again.Armor(); !bytes.Equal(armored, twice) {
			t.Fatal("reading and writing a keyring changes it")
		}
		for _, f := range k.Check() {
			_ = f.String()
		}
		for _, e := range k.Entities() {
			for _, v := range k.Find(e.PrimaryKey.KeyId) {
				_ = v.Check(day2)
			}
		}
	})
}

func FuzzReadPrivate(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ReadPrivate("fuzz", data, nil)
		if err != nil {
			return
		}
		armored, err := p.Armor(nil)
		if err != nil {
			t.Fatalf("a key that was read cannot be written: %v", err)
		}
		again, err := ReadPrivate("again", armored, nil)
		if err != nil {
			t.Fatalf("a key that was written cannot be read: %v", err)
		}
		if again.Info() != p.Info() {
			t.Fatalf("%+v became %+v", p.Info(), again.Info())
		}
	})
}
