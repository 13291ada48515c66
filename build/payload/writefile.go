package payload

import (
	"context"
	"errors"
	"os"
)

// WriteFile makes the file at path by calling write with a temporary file beside it that takes its name at the end.
// When write fails, or ctx ends, nothing is left behind and what stood at path before stays.
func WriteFile(ctx context.Context, path string, write func(*os.File) error) error {
	return errors.New("not written yet")
}
