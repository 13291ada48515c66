package payload

import (
	"context"
	"os"
	"path/filepath"
)

// WriteFile makes the file at path by calling write with a temporary file beside it that takes its name at the end.
// When write fails, or ctx ends, nothing is left behind and what stood at path before stays.
func WriteFile(ctx context.Context, path string, write func(*os.File) error) (err error) {
	// The dot keeps it away from those who list packages by *.deb and *.rpm.
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	// What CreateTemp makes is private. Packages are for everybody.
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
