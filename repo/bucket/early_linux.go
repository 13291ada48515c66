package bucket

import (
	"os"
	"syscall"
)

// startWriting has the kernel begin to write a part of a file to the disk, and does not wait for it. What goes wrong shows
// when the file is synced.
func startWriting(f *os.File, from, size int64) {
	const write = 2 // SYNC_FILE_RANGE_WRITE of sync_file_range(2)
	_ = syscall.SyncFileRange(int(f.Fd()), from, size, write)
}
