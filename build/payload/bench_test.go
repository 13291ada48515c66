package payload

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// go test -bench . ./build/payload -args -file bin/kubelet
var benchFile = flag.String("file", "", "the `file` that benchmarks compress; the test itself, a Go program of some megabytes, if empty")

// cpu is the processor time of this process and of the xz that it started and waited for.
func cpu() time.Duration {
	var total int64
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if syscall.Getrusage(who, &r) == nil {
			total += r.Utime.Nano() + r.Stime.Nano()
		}
	}
	return time.Duration(total)
}

// BenchmarkCompress compresses one program with each encoder and reports the processor time and what is left of the size.
func BenchmarkCompress(b *testing.B) {
	file := *benchFile
	if file == "" {
		var err error
		if file, err = os.Executable(); err != nil {
			b.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	content := FromFile(file, int64(len(data)), sha256.Sum256(data))
	type named struct {
		name string
		Encoder
	}
	all := []named{{"go", Go()}}
	for _, preset := range []int{0, 1, 2, 3, 6} {
		e, err := XZ(b.Context(), preset)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, named{fmt.Sprintf("xz-%d", preset), e})
	}
	for _, e := range all {
		b.Run("encoder="+e.name, func(b *testing.B) {
			c := &Compressor{Encoder: e.Encoder}
			b.SetBytes(int64(len(data)))
			var r Result
			start := cpu()
			for b.Loop() {
				if r, err = c.Compress(b.Context(), io.Discard, slices.Values([]Segment{{Content: content}}), nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpu()-start).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(r.Size), "bytes")
		})
	}
}
