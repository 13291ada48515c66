package payload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/build/payload/payloadtest"
)

// tool runs xz on standard input and returns its output.
func tool(t testing.TB, stdin []byte, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("xz")
	if err != nil {
		t.Fatal("xz is not installed: apt-get install xz-utils")
	}
	cmd := exec.Command(path, args...)
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(stdin), &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("xz %q: %v: %s", args, err, &complaint)
	}
	return out
}

func onDisk(t testing.TB, data []byte) Content {
	t.Helper()
	file := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return FromFile(file, int64(len(data)), sha256.Sum256(data))
}

func compress(t testing.TB, c *Compressor, segments ...Segment) ([]byte, Result) {
	t.Helper()
	return compressAndHash(t, c, nil, segments...)
}

func compressAndHash(t testing.TB, c *Compressor, plain hash.Hash, segments ...Segment) ([]byte, Result) {
	t.Helper()
	var out bytes.Buffer
	r, err := c.Compress(t.Context(), &out, slices.Values(segments), plain)
	if err != nil {
		t.Fatal(err)
	}
	if r.Size != int64(out.Len()) || r.SHA256 != sha256.Sum256(out.Bytes()) {
		t.Fatalf("result says size %d and digest %x of a stream with size %d and digest %x", r.Size, r.SHA256, out.Len(),
			sha256.Sum256(out.Bytes()))
	}
	return out.Bytes(), r
}

// decode reads a stream with a decoder that is not ours.
func decode(t testing.TB, stream []byte) []byte {
	t.Helper()
	reader, err := xz.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func encoders(t testing.TB) []Encoder {
	t.Helper()
	tool(t, nil, "--version")
	x, err := XZ(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return []Encoder{Go(), x}
}

func TestRealToolsReadTheStream(t *testing.T) {
	big, noise := payloadtest.Text(1, 3<<20+12345), payloadtest.Noise(300<<10)
	segments := []Segment{
		{Bytes: []byte("a header")},
		{Content: onDisk(t, big)},
		{Bytes: []byte("padding")},
		{Content: Bytes([]byte("small file"))},
		{Content: Bytes(nil)},
		{Bytes: []byte{}},
		{Content: Bytes(noise)},
		{Content: Bytes(make([]byte, 2<<20))},
	}
	plain := slices.Concat([]byte("a header"), big, []byte("padding"+"small file"), noise, make([]byte, 2<<20))
	for _, e := range encoders(t) {
		t.Run(e.Name(), func(t *testing.T) {
			digest := sha256.New()
			out, r := compressAndHash(t, &Compressor{Encoder: e, BlockSize: 1 << 20}, digest, segments...)
			if r.PlainSize != int64(len(plain)) || [sha256.Size]byte(digest.Sum(nil)) != sha256.Sum256(plain) {
				t.Errorf("plain size %d, digest %x: expected %d, %x", r.PlainSize, digest.Sum(nil), len(plain), sha256.Sum256(plain))
			}
			tool(t, out, "--test")
			if got := tool(t, out, "-dc"); !bytes.Equal(got, plain) {
				t.Errorf("xz gives back %d bytes, not the %d that went in", len(got), len(plain))
			}
			if got := decode(t, out); !bytes.Equal(got, plain) {
				t.Errorf("the Go decoder gives back %d bytes, not the %d that went in", len(got), len(plain))
			}
			file := filepath.Join(t.TempDir(), "x.xz")
			if err := os.WriteFile(file, out, 0o600); err != nil {
				t.Fatal(err)
			}
			// Header; four of the big file; padding and small file; noise; two of zeros.
			list := string(tool(t, nil, "-lvv", "--robot", file))
			var blocks []string
			for line := range strings.Lines(list) {
				if f := strings.Split(strings.TrimSpace(line), "\t"); f[0] == "block" {
					blocks = append(blocks, f[7])
					if f[9] != "CRC32" || f[12] != "cu" {
						t.Errorf("block has check %s and sizes %q in its header: expected CRC32 and cu", f[9], f[12])
					}
				}
			}
			want := strings.Fields("8 1048576 1048576 1048576 12345 17 307200 1048576 1048576")
			if !slices.Equal(blocks, want) {
				t.Errorf("blocks have sizes %v, expected %v\n%s", blocks, want, list)
			}
		})
	}
}

func TestNothing(t *testing.T) {
	out, r := compress(t, &Compressor{Encoder: storing{}})
	if r.PlainSize != 0 || len(tool(t, out, "-dc")) != 0 {
		t.Errorf("an empty stream holds %d bytes", r.PlainSize)
	}
}

func TestWorkersDoNotChangeBytes(t *testing.T) {
	segments := []Segment{{Bytes: payloadtest.Text(2, 1000)}, {Content: onDisk(t, payloadtest.Text(3, 1<<20))}, {Content: onDisk(t, payloadtest.Text(4, 600000))}}
	var want []byte
	for _, workers := range []int{1, 2, 7} {
		var reported int
		c := &Compressor{Encoder: storing{}, Workers: workers, BlockSize: 128 << 10, Report: func(b Block) { reported += b.Size }}
		for range 2 {
			reported = 0
			out, r := compress(t, c, segments...)
			if want == nil {
				want = out
			}
			if !bytes.Equal(out, want) {
				t.Errorf("%d workers write other bytes than one", workers)
			}
			if int64(reported) != r.PlainSize {
				t.Errorf("%d bytes reported of %d", reported, r.PlainSize)
			}
		}
	}
}

func TestCacheSharesBlocksOfLargeFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blocks")
	binary := Segment{Content: onDisk(t, payloadtest.Text(5, 900000))}
	build := func(e Encoder, head string, cached, fresh int) []byte {
		t.Helper()
		var got [2]int
		c := &Compressor{Encoder: e, BlockSize: 256 << 10, Cache: dir, Report: func(b Block) {
			if b.Cached {
				got[0]++
			} else {
				got[1]++
			}
		}}
		segments := []Segment{{Bytes: []byte(head)}, binary, {Bytes: []byte("end")}}
		out, _ := compress(t, c, segments...)
		if got != [2]int{cached, fresh} {
			t.Errorf("%s: %v blocks cached and made, expected %d and %d", head, got, cached, fresh)
		}
		without, _ := compress(t, &Compressor{Encoder: e, BlockSize: 256 << 10}, segments...)
		if !bytes.Equal(out, without) {
			t.Errorf("%s: the cache changes the bytes", head)
		}
		return out
	}
	other := &countingEncoder{Encoder: storing{}, name: "other"}
	build(storing{}, "deb", 0, 6)
	want := build(storing{}, "rpm", 4, 2)
	build(other, "other encoder", 0, 6)

	// Every way in which an entry can be bad: it is made again.
	for name, spoil := range map[string]func([]byte) []byte{
		"flipped":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"truncated": func(b []byte) []byte { return b[:len(b)-1] },
		"digest":    func(b []byte) []byte { return b[:sha256.Size] },
		"empty":     func(b []byte) []byte { return nil },
		"huge":      func(b []byte) []byte { return append(b, make([]byte, 1<<20)...) },
	} {
		files := 0
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			files++
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, spoil(data), 0o600)
		})
		if err != nil || files != 8 {
			t.Fatalf("%d files in the cache, expected 8: %v", files, err)
		}
		if got := build(storing{}, "rpm", 0, 6); !bytes.Equal(got, want) {
			t.Errorf("%s: a bad cache changes the bytes", name)
		}
		build(other, "other encoder", 0, 6)
	}
}

func TestTwoBuildsAtOnceCompressOnce(t *testing.T) {
	c := &Compressor{Encoder: &countingEncoder{Encoder: storing{}}, BlockSize: 64 << 10, Cache: t.TempDir()}
	file := Segment{Content: onDisk(t, payloadtest.Text(6, 1<<20))}
	done := make(chan error)
	for range 4 {
		go func() {
			_, err := c.Compress(context.Background(), io.Discard, slices.Values([]Segment{file}), nil)
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := c.Encoder.(*countingEncoder).calls.Load(); n != 16 {
		t.Errorf("16 blocks compressed %d times", n)
	}
}

// However many streams are written at once, they share a few blocks, and each comes to its end.
func TestManyStreamsAtOnce(t *testing.T) {
	c := &Compressor{Encoder: storing{}, Workers: 1, BlockSize: 64 << 10, Cache: t.TempDir()}
	big := Segment{Content: onDisk(t, payloadtest.Text(10, 1<<20))}
	segments := []Segment{{Bytes: payloadtest.Text(11, 5000)}, big, {Bytes: payloadtest.Text(12, 70000)}, big}
	want, _ := compress(t, &Compressor{Encoder: storing{}, BlockSize: 64 << 10}, segments...)
	var group errgroup.Group
	for range 20 {
		group.Go(func() error {
			var out bytes.Buffer
			_, err := c.Compress(t.Context(), &out, slices.Values(segments), nil)
			if err == nil && !bytes.Equal(out.Bytes(), want) {
				err = errors.New("streams at once have other bytes than one")
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

func TestContentMustBeWhatWasPromised(t *testing.T) {
	for _, size := range []int{100, Large + 100} {
		data := payloadtest.Text(7, size)
		for name, change := range map[string]func([]byte) []byte{
			"expected":    func(b []byte) []byte { b[size/2] ^= 1; return b },
			"when it was": func(b []byte) []byte { return b[:size-1] },
			"has more":    func(b []byte) []byte { return append(b, 0) },
			"no such":     nil,
		} {
			c := onDisk(t, data)
			if change == nil {
				os.Remove(c.path)
			} else if err := os.WriteFile(c.path, change(slices.Clone(data)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := (&Compressor{Encoder: storing{}}).Compress(t.Context(), io.Discard, slices.Values([]Segment{{Content: c}}), nil)
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("%d bytes: %v, expected an error with %q", size, err, name)
			}
		}
	}
}

func TestFailure(t *testing.T) {
	segments := slices.Values([]Segment{{Content: Bytes(payloadtest.Text(8, 2<<20))}})
	broken := errors.New("out of paper")
	for name, c := range map[string]*Compressor{
		"encoder": {Encoder: brokenEncoder{storing{}, broken}, BlockSize: 64 << 10},
		"cached":  {Encoder: brokenEncoder{storing{}, broken}, BlockSize: 64 << 10, Cache: t.TempDir()},
	} {
		if _, err := c.Compress(t.Context(), io.Discard, segments, nil); !errors.Is(err, broken) {
			t.Errorf("%s: %v, expected %v", name, err, broken)
		}
	}
	c := &Compressor{Encoder: storing{}, BlockSize: 64 << 10}
	// More often than there are blocks: one that failed gives them back.
	for range 10 + runtime.GOMAXPROCS(0) {
		if _, err := c.Compress(t.Context(), brokenWriter{broken}, segments, nil); !errors.Is(err, broken) {
			t.Errorf("writer: %v, expected %v", err, broken)
		}
	}
	if _, err := c.Compress(t.Context(), io.Discard, segments, nil); err != nil {
		t.Errorf("after failures: %v", err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	c.Report = func(Block) { stop(broken) }
	if _, err := c.Compress(ctx, io.Discard, segments, nil); !errors.Is(err, broken) {
		t.Errorf("end of context: %v, expected %v", err, broken)
	}
	for name, c := range map[string]*Compressor{
		"no encoder":                {},
		"expected 65536 to 8388608": {Encoder: storing{}, BlockSize: 9 << 20},
		"block size":                {Encoder: storing{}, BlockSize: 1},
	} {
		if _, err := c.Compress(t.Context(), io.Discard, segments, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, expected an error with %q", err, name)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c = &Compressor{Encoder: storing{}, Cache: file}
	if _, err := c.Compress(t.Context(), io.Discard, segments, nil); err == nil || !strings.Contains(err.Error(), "block cache") {
		t.Errorf("%v, expected an error about the block cache", err)
	}
}

func TestXZPreset(t *testing.T) {
	for _, preset := range []int{-1, 10} {
		if _, err := XZ(t.Context(), preset); err == nil || !strings.Contains(err.Error(), fmt.Sprint(preset)) {
			t.Errorf("%v, expected an error about preset %d", err, preset)
		}
	}
}

func FuzzCompress(f *testing.F) {
	f.Add([]byte("some text, some text"), []byte{1, 2, 3}, uint8(3))
	f.Add(payloadtest.Text(9, 5000), []byte{}, uint8(200))
	f.Fuzz(func(t *testing.T, small, seed []byte, blocks uint8) {
		seed = append(slices.Clone(seed), 'x')
		large := bytes.Repeat(seed, 1+(Large+int(blocks)*64)/len(seed))
		plain := slices.Concat(small, large, small)
		digest := sha256.New()
		out, _ := compressAndHash(t, &Compressor{Encoder: storing{}, Workers: 1 + int(blocks)%4, BlockSize: 64<<10 + int(blocks)}, digest,
			Segment{Content: Bytes(small)}, Segment{Content: Bytes(large)}, Segment{Bytes: append([]byte{}, small...)})
		if got := decode(t, out); !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes came back, %d went in", len(got), len(plain))
		}
		if [sha256.Size]byte(digest.Sum(nil)) != sha256.Sum256(plain) {
			t.Error("digest of the plain bytes is wrong")
		}
	})
}

// A mistake of an encoder must never reach a package.
func TestEncoderIsChecked(t *testing.T) {
	data := bytes.Repeat([]byte("a block that is large enough for the cache "), 10_000)
	for _, segment := range []Segment{{Bytes: []byte("small")}, {Content: Bytes(data)}} {
		c := &Compressor{Encoder: lyingEncoder{}, Cache: t.TempDir()}
		_, err := c.Compress(t.Context(), io.Discard, slices.Values([]Segment{segment}), nil)
		if err == nil || !strings.Contains(err.Error(), "unpacks to something else") {
			t.Errorf("error %v", err)
		}
		left, err := filepath.Glob(filepath.Join(c.Cache, "*", "*"))
		if err != nil || len(left) > 0 {
			t.Errorf("the cache has %v, %v", left, err)
		}
	}
}
