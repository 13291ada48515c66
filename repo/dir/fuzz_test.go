package dir

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever a table says, reading it and the records that it tells of does no more than fail.
func FuzzState(f *testing.F) {
	dir := f.TempDir()
	addDeb(f, dir, "aa", "1-1", "amd64")
	addDeb(f, dir, "bb", "1-1", "amd64")
	cfg := config()
	cfg.Update = true
	if _, err := Index(context.Background(), dir, cfg); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, stateFolder, "deb"))
	if err != nil {
		f.Fatal(err)
	}
	at := strings.Index(string(good), stateVersion)
	f.Add(string(good[at : len(good)-stateFooter]))
	name := filepath.Join(f.TempDir(), "state")
	f.Fuzz(func(t *testing.T, table string) {
		text := append(append([]byte(nil), good[:at]...), table...)
		text = fmt.Appendf(text, "%020d %x", at, sha256.Sum256([]byte(table)))
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := parseState(file, "stanza")
		if err != nil {
			file.Close()
			return
		}
		defer s.close()
		for _, e := range s.entries {
			if data, err := s.record(e.at, e.length()); err == nil && int64(len(data)) != e.length() {
				t.Errorf("%d bytes, expected %d", len(data), e.length())
			}
		}
	})
}
