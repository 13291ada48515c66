//go:build !linux

package bucket

import "os"

// startWriting leaves it to the system when it writes.
func startWriting(*os.File, int64, int64) {}
