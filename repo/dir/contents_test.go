package dir

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/packed"
)

// However little memory the paths may have, Contents are the same.
func TestContentsPasses(t *testing.T) {
	dir := t.TempDir()
	for i := range 30 { // all of them have a path in common
		addDeb(t, dir, fmt.Sprintf("p%02d", i), "1-1", []string{"amd64", "arm64", "all"}[i%3], "/usr/lib/"+strings.Repeat("x", i+1), fmt.Sprint("/etc/", i/2*3))
	}
	cfg := config()
	cfg.Contents, cfg.Update = true, true
	mustIndex(t, dir, cfg)
	want := indexes(t, dir)
	if lines := strings.Count(gunzip(t, filepath.Join(dir, "Contents-amd64.gz")), "\n"); lines != 56 {
		t.Errorf("%d lines", lines)
	}
	for _, most := range []int{1, 100, 700, 5000} {
		clean(t, dir)
		cfg.Compress, cfg.Log = []packed.Compression{packed.Gzip}, slog.New(slog.DiscardHandler)
		r := &run{Config: cfg, root: dir, pool: packed.NewPool(), contentsMemory: most}
		if err := r.index(context.Background()); err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprint(most, " bytes"), indexes(t, dir), want)
	}
}
