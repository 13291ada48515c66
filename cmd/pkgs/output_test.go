package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"
)

// closed is an output that nothing can be written to.
type closed struct{}

var errClosed = errors.New("no space left")

func (closed) Write([]byte) (int, error) { return 0, errClosed }

// TestLostOutput holds every way of printing to telling that what was printed is lost: a file of half a report, or of none, must not
// come with exit code 0.
func TestLostOutput(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"version", "--output", "json"}, {"--help"}, {"gc", "--help"}} {
		var stderr bytes.Buffer
		if code := run(context.Background(), time.Now, args, closed{}, &stderr); code != exitFailure || stderr.String() != "pkgs: no space left\n" {
			t.Errorf("%q: exit code %d, %q", args, code, &stderr)
		}
		if code := run(context.Background(), time.Now, args, io.Discard, &stderr); code != 0 {
			t.Errorf("%q: exit code %d where there is space", args, code)
		}
	}
}
