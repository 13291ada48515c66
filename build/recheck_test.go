package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// statementOf builds a package and gives its provenance.
func statementOf(t testing.TB, c Config) []byte {
	t.Helper()
	r := request(t, "kubectl", "v1.34.1", "s390x")
	r.Formats = []Format{Deb}
	all, err := Build(t.Context(), c, []Request{r})
	if err != nil {
		t.Fatal(err)
	}
	statement, err := os.ReadFile(all[0].Provenance)
	if err != nil {
		t.Fatal(err)
	}
	return statement
}

func TestRecheck(t *testing.T) {
	dir := kubernetes(t)
	c := config(t, dir)
	statement := statementOf(t, c)
	recheck := func(statement []byte) ([]string, error) {
		return Recheck(t.Context(), c.Definitions, c.Sources, statement)
	}
	if changed, err := recheck(statement); err != nil || len(changed) > 0 {
		t.Errorf("nothing has changed: got %q, %v", changed, err)
	}

	const program = "v1.34.1/bin/linux/s390x/kubectl"
	put(t, dir, program, []byte("replaced"))
	if changed, err := recheck(statement); err != nil || !slices.Equal(changed, []string{filepath.Join(dir, program)}) {
		t.Errorf("%s was replaced: got %q, %v", program, changed, err)
	}
	if err := os.Remove(filepath.Join(dir, program)); err != nil {
		t.Fatal(err)
	}
	if changed, err := recheck(statement); err != nil || len(changed) > 0 {
		t.Errorf("%s is gone: got %q, %v", program, changed, err)
	}

	for name, bad := range map[string]struct{ statement, want string }{
		"nothing":      {"", "cannot be read"},
		"other type":   {strings.ReplaceAll(string(statement), provenanceType, "https://example.org"), "not known here"},
		"other build":  {strings.ReplaceAll(string(statement), buildType, "https://example.org"), "not known here"},
		"no package":   {strings.ReplaceAll(string(statement), `"kubectl"`, `"kubectx"`), `no definition of package "kubectx"`},
		"no version":   {strings.ReplaceAll(string(statement), `"v1.34.1"`, `"1"`), "cannot be read"},
		"out of there": {strings.ReplaceAll(string(statement), `"bin/linux`, `"../../bin/linux`), "leads elsewhere"},
		"large":        {strings.Repeat(" ", maxStatement+1), "more than"},
	} {
		if _, err := recheck([]byte(bad.statement)); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: got %v, want %s", name, err, bad.want)
		}
	}
}

// Whatever stands in a statement, nothing but the files of the release is looked at.
func FuzzRecheck(f *testing.F) {
	dir := kubernetes(f)
	c := config(f, dir)
	f.Add(statementOf(f, c))
	f.Fuzz(func(t *testing.T, statement []byte) {
		changed, err := Recheck(t.Context(), c.Definitions, c.Sources, statement)
		if err != nil && changed != nil {
			t.Error("both files and an error")
		}
		for _, file := range changed {
			if rel, err := filepath.Rel(dir, file); err != nil || !filepath.IsLocal(rel) {
				t.Errorf("looked at %s", file)
			}
		}
	})
}
