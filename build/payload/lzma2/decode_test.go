package lzma2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand"
	"os/exec"
	"testing"

	"github.com/ulikunitz/xz/lzma"
)

// What the encoder here and xz make comes out again, whatever the properties of the model.
func TestDecode(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	noise := make([]byte, 300<<10)
	random.Read(noise)
	few := make([]byte, 200<<10)
	for i := range few {
		few[i] = byte(random.Intn(3))
	}
	var d Decoder
	for name, plain := range map[string][]byte{
		"nothing": {}, "a byte": {7}, "zeros": make([]byte, 5<<20), "noise": noise, "few": few,
		"text": bytes.Repeat([]byte("Depends: libc6 (>= 2.31), adduser\n"), 9000), "mixed": append(append(bytes.Clone(few), noise...), few...),
	} {
		var e Encoder
		packed, err := e.Encode(context.Background(), nil, plain)
		if err != nil {
			t.Fatal(err)
		}
		back, err := d.Decode([]byte("before"), packed, len(plain))
		if err != nil || !bytes.Equal(back, append([]byte("before"), plain...)) {
			t.Errorf("%s: %d bytes came back, %v", name, len(back), err)
		}
		if _, err := d.Decode(nil, packed, len(plain)+1); !errors.Is(err, errData) {
			t.Errorf("%s, one byte more expected: %v", name, err)
		}
		if _, err := d.Decode(nil, packed[:len(packed)-1], len(plain)); !errors.Is(err, errData) {
			t.Errorf("%s, truncated: %v", name, err)
		}
		for _, preset := range []string{"preset=0", "preset=9", "lc=0,lp=4,pb=0", "lc=4,lp=0,pb=4", "lc=1,lp=3,pb=1,nice=8"} {
			cmd := exec.Command("xz", "--format=raw", "--lzma2="+preset, "--stdout")
			cmd.Stdin = bytes.NewReader(plain)
			packed, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: install the Debian package xz-utils", err)
			}
			if back, err := d.Decode(nil, packed, len(plain)); err != nil || !bytes.Equal(back, plain) {
				t.Errorf("%s, xz with %s: %d bytes came back, %v", name, preset, len(back), err)
			}
		}
	}
}

// Whatever the bytes, we and another decoder agree on what they are.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{"", "a", "some text, some text, and some more text", "\x00\x00\x00\x00\x00\x00\x00"} {
		var e Encoder
		packed, err := e.Encode(context.Background(), nil, []byte(text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed, len(text))
	}
	f.Fuzz(func(t *testing.T, packed []byte, size int) {
		if size < 0 || size > 1<<16 {
			return
		}
		var d Decoder
		ours, err := d.Decode(nil, packed, size)
		in := bytes.NewReader(packed)
		r, theirErr := lzma.Reader2Config{DictCap: 1 << 17}.NewReader2(in)
		var theirs []byte
		if theirErr == nil {
			theirs, theirErr = io.ReadAll(io.LimitReader(r, 1<<16+1))
		}
		if err == nil && (theirErr != nil || !bytes.Equal(ours, theirs)) {
			t.Errorf("we decode %d bytes, another decoder %d, %v", len(ours), len(theirs), theirErr)
		}
		if err != nil && theirErr == nil && len(theirs) == size && in.Len() == 0 {
			t.Logf("refused here alone: %v", err) // the end of a chunk is not checked there
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	var plain bytes.Buffer
	random := rand.New(rand.NewSource(1))
	for plain.Len() < 4000 {
		plain.WriteString([]string{"0123456789abcdef  usr/share/doc/", "Depends: libc6 (>= 2.31)\n", string(rune('a' + random.Intn(26)))}[random.Intn(3)])
	}
	var e Encoder
	packed, err := e.Encode(context.Background(), nil, plain.Bytes())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(plain.Len()))
	var d Decoder
	out := make([]byte, 0, plain.Len())
	for b.Loop() {
		if _, err := d.Decode(out, packed, plain.Len()); err != nil {
			b.Fatal(err)
		}
	}
}
