package lzma2

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"

	"github.com/ulikunitz/xz/lzma"

	"sigs.k8s.io/pkgs/build/payload/payloadtest"
)

// decode undoes the compression with a decoder that is not ours.
func decode(t testing.TB, data []byte) []byte {
	t.Helper()
	r, err := lzma.Reader2Config{DictCap: DictSize}.NewReader2(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func encode(t testing.TB, e *Encoder, src []byte) []byte {
	t.Helper()
	data, err := e.Encode(t.Context(), nil, src)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// inputs are what an encoder may stumble over.
func inputs() map[string][]byte {
	long := payloadtest.Text(1, 200_000)
	return map[string][]byte{
		"nothing":                nil,
		"one byte":               {'a'},
		"two bytes":              []byte("aa"),
		"three bytes":            []byte("aba"),
		"zeros":                  make([]byte, 2<<20+5),
		"text":                   long,
		"noise":                  payloadtest.Noise(200_000),
		"noise first":            slices.Concat(payloadtest.Noise(100_000), long),
		"noise between":          slices.Concat(long[:100_003], payloadtest.Noise(100_001), long),
		"noise last":             slices.Concat(long, payloadtest.Noise(100_000)),
		"noise again":            slices.Concat(payloadtest.Noise(100_000), payloadtest.Noise(100_000)),
		"as far as it can be":    slices.Concat(long[:50_000], make([]byte, MaxSize-100_000), long[:50_000]),
		"as long as matches are": bytes.Repeat(payloadtest.Noise(maxMatch), 40),
	}
}

func TestOthersDecode(t *testing.T) {
	program, err := exec.LookPath("xz")
	if err != nil {
		t.Fatal("xz is not installed: apt-get install xz-utils")
	}
	e := new(Encoder)
	for name, src := range inputs() {
		data := encode(t, e, src)
		if got := decode(t, data); !bytes.Equal(got, src) {
			t.Errorf("%s: the Go decoder gives back %d bytes, not the %d that went in", name, len(got), len(src))
		}
		cmd := exec.Command(program, "--format=raw", fmt.Sprintf("--lzma2=dict=%d", DictSize), "-dc")
		cmd.Stdin = bytes.NewReader(data)
		if got, err := cmd.Output(); err != nil || !bytes.Equal(got, src) {
			t.Errorf("%s: xz gives back %d bytes, not the %d that went in: %v", name, len(got), len(src), err)
		}
		// At worst three bytes for 64 KiB.
		if most := len(src) + len(src)/10_000 + 100; len(data) > most {
			t.Errorf("%s: %d bytes become %d, expected at most %d", name, len(src), len(data), most)
		}
	}
}

// Short inputs of few different bytes have many ways to be written, and with that many ways to be written wrong.
func TestFewBytes(t *testing.T) {
	e := new(Encoder)
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		src := make([]byte, 1+random.IntN(600))
		different := 1 + random.IntN(6)
		for i := range src {
			src[i] = byte(random.IntN(different))
		}
		if got := decode(t, encode(t, e, src)); !bytes.Equal(got, src) {
			t.Fatalf("%d bytes of %d kinds come back as others", len(src), different)
		}
	}
}

// An encoder that was used before makes the same bytes as a new one.
func TestEncoderForgets(t *testing.T) {
	used := new(Encoder)
	for name, src := range inputs() {
		if len(src) > 1<<20 {
			continue
		}
		if !bytes.Equal(encode(t, used, src), encode(t, new(Encoder), src)) {
			t.Errorf("%s: an encoder that was used before makes other bytes", name)
		}
	}
}

// Packages must be reproducible by who has the same version of this program, and blocks in caches are keyed by Version. If
// this test fails, the encoder's choices have changed: change Version, and then this digest.
func TestVersionStandsForTheBytes(t *testing.T) {
	data := encode(t, new(Encoder), payloadtest.Text(2, 1<<18))
	if got, want := fmt.Sprintf("%s %x", Version, sha256.Sum256(data)), "3 30a73a3b4cbffe04e71d8da35c10272d5dabb52fe3db56cf10455b927dfdf608"; got != want {
		t.Errorf("version and digest are %s, expected %s", got, want)
	}
}

func TestCompressesAsWellAsXZ(t *testing.T) {
	src := payloadtest.Text(3, 1<<20)
	cmd := exec.Command("xz", "--format=raw", "--lzma2=preset=2", "-c")
	cmd.Stdin = bytes.NewReader(src)
	theirs, err := cmd.Output()
	if err != nil {
		t.Fatalf("xz: %v: apt-get install xz-utils if it is not there", err)
	}
	if ours := encode(t, new(Encoder), src); len(ours) > len(theirs)*102/100 {
		t.Errorf("%d bytes become %d, xz -2 makes %d", len(src), len(ours), len(theirs))
	}
}

func TestEncodeAppends(t *testing.T) {
	data, err := new(Encoder).Encode(t.Context(), []byte("before"), []byte("text"))
	if err != nil || string(data[:6]) != "before" || string(decode(t, data[6:])) != "text" {
		t.Errorf("%q: %v", data, err)
	}
}

func TestEncodeStops(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	stop(enough)
	if _, err := new(Encoder).Encode(ctx, nil, []byte("text")); err != enough {
		t.Errorf("%v, expected %v", err, enough)
	}
}

func FuzzEncode(f *testing.F) {
	f.Add([]byte("text, text"), []byte("and more text, text"), uint16(3), byte(0))
	f.Add(payloadtest.Text(4, 3000), payloadtest.Noise(3000), uint16(1), byte(0))
	f.Add(payloadtest.Noise(300), []byte{}, uint16(500), byte(0))
	f.Add([]byte{0}, payloadtest.Noise(70_000), uint16(2000), byte(0))
	f.Add(payloadtest.Noise(100), payloadtest.Noise(300), uint16(1), byte(2))
	e := new(Encoder)
	f.Fuzz(func(t *testing.T, a, b []byte, times uint16, different byte) {
		src := slices.Concat(bytes.Repeat(a, min(int(times), 1+100_000/(1+len(a)))), b, a)
		if different > 0 {
			for i := range src {
				src[i] %= different
			}
		}
		if got := decode(t, encode(t, e, src)); !bytes.Equal(got, src) {
			t.Errorf("%d bytes came back, %d went in", len(got), len(src))
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	src := payloadtest.Text(5, 4<<20)
	e := new(Encoder)
	var dst []byte
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		var err error
		if dst, err = e.Encode(b.Context(), dst[:0], src); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(dst))/float64(len(src)), "ratio")
}
