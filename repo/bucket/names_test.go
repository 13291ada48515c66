package bucket

import (
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzNames: a name that is accepted leads to a place inside, has no second form, and can be found by its prefixes.
func FuzzNames(f *testing.F) {
	for _, name := range []string{"core:/stable:/v1.35/deb/InRelease", "a/../b", "/", "..", ".bucket/lock", "a\x00", "x//y", "é"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if checkName(name) != nil {
			return
		}
		if !filepath.IsLocal(name) || path.Clean(name) != name || strings.HasPrefix(name+"/", reserved+"/") {
			t.Fatalf("%q is accepted as a name", name)
		}
		for i := range name {
			if err := checkPrefix(name[:i]); err != nil {
				t.Fatalf("%q is refused as a prefix of %q: %v", name[:i], name, err)
			}
		}
	})
}
