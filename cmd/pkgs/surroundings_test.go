package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// surroundingCalls are what a library must not call, by the package they are in: the clock, the environment, and who and where
// we are. What depends on them would be other bytes tomorrow, or on another machine.
var surroundingCalls = map[string][]string{
	"time": {"Now", "Since", "Until"},
	"os":   {"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Hostname", "Getwd", "Getuid", "Geteuid", "UserHomeDir", "UserCacheDir"},
	"user": {"Current"},
}

// Only the commands know clock and environment; everybody else is told. --check can vary most of what surrounds a build, but
// not the clock: this is why it makes no difference.
func TestOnlyCommandsKnowTheirSurroundings(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	files := 0
	for {
		var p struct {
			ImportPath, Dir string
			GoFiles         []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		// What stands in for a service in tests lives in packages of its own.
		if strings.HasPrefix(p.ImportPath, module+"cmd/") || strings.HasSuffix(p.ImportPath, "test") {
			continue
		}
		for _, name := range p.GoFiles {
			files++
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if of, ok := s.X.(*ast.Ident); ok && slices.Contains(surroundingCalls[of.Name], s.Sel.Name) {
						t.Errorf("%s: %s.%s: let the caller say it", set.Position(s.Pos()), of.Name, s.Sel.Name)
					}
				}
				return true
			})
		}
	}
	if files < 100 {
		t.Errorf("only %d files were looked at", files)
	}
}
