package lzma2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os/exec"
	"strings"
	"testing"

	"github.com/ulikunitz/xz/lzma"
)

// decodeAll returns all that a block unpacks to.
func decodeAll(d *Decoder, packed []byte, dictSize, size int) (plain []byte, err error) {
	d.Reset(bytes.NewReader(packed), dictSize, int64(size))
	for {
		piece, err := d.Next()
		if err == io.EOF {
			return plain, nil
		}
		if err != nil {
			return plain, err
		}
		plain = append(plain, piece...)
	}
}

// What the encoder here and xz make comes out again, whatever the properties of the model, and when there is more of it than
// the decoder has memory for.
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
		"nothing": {}, "a byte": {7}, "zeros": make([]byte, 5<<20), "noise": noise, "few": few, "long": bytes.Repeat(noise, 20),
		"text": bytes.Repeat([]byte("Depends: libc6 (>= 2.31), adduser\n"), 9000), "mixed": append(append(bytes.Clone(few), noise...), few...),
	} {
		var packed []byte
		if len(plain) <= MaxSize {
			var e Encoder
			var err error
			if packed, err = e.Encode(context.Background(), nil, plain); err != nil {
				t.Fatal(err)
			}
			if back, err := decodeAll(&d, packed, DictSize, len(plain)); err != nil || !bytes.Equal(back, plain) {
				t.Errorf("%s: %d bytes came back, %v", name, len(back), err)
			}
			if _, err := decodeAll(&d, packed, DictSize, len(plain)+1); !errors.Is(err, errData) {
				t.Errorf("%s, one byte more expected: %v", name, err)
			}
			if _, err := decodeAll(&d, packed, DictSize, max(len(plain)-1, 0)); len(plain) > 0 && !errors.Is(err, errData) {
				t.Errorf("%s, one byte less expected: %v", name, err)
			}
			if _, err := decodeAll(&d, packed[:len(packed)-1], DictSize, len(plain)); !errors.Is(err, errData) {
				t.Errorf("%s, truncated: %v", name, err)
			}
			if _, err := decodeAll(&d, append(packed, 0), DictSize, len(plain)); !errors.Is(err, errData) {
				t.Errorf("%s, with a byte behind: %v", name, err)
			}
		}
		for _, options := range []string{"preset=0,dict=512KiB", "preset=0,dict=300KiB", "preset=9,dict=512KiB", "preset=0,dict=4KiB",
			"lc=0,lp=4,pb=0,dict=512KiB", "lc=4,lp=0,pb=4,dict=512KiB", "lc=1,lp=3,pb=1,nice=8,dict=512KiB"} {
			cmd := exec.Command("xz", "--format=raw", "--lzma2="+options, "--stdout")
			cmd.Stdin = bytes.NewReader(plain)
			packed, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: install the Debian package xz-utils", err)
			}
			var size int
			fmt.Sscanf(options[strings.Index(options, "dict=")+5:], "%dKiB", &size)
			if back, err := decodeAll(&d, packed, size<<10, len(plain)); err != nil || !bytes.Equal(back, plain) {
				t.Errorf("%s, xz with %s: %d bytes came back, %v", name, options, len(back), err)
			}
		}
	}
}

// What is farther away than the dictionary is large is refused, though it may still be there.
func TestDictionary(t *testing.T) {
	noise := make([]byte, 64<<10)
	rand.New(rand.NewSource(1)).Read(noise)
	plain := append(noise, noise...)
	var e Encoder
	packed, err := e.Encode(context.Background(), nil, plain)
	if err != nil {
		t.Fatal(err)
	}
	var d Decoder
	if back, err := decodeAll(&d, packed, len(noise), len(plain)); err != nil || !bytes.Equal(back, plain) {
		t.Errorf("%d bytes came back, %v", len(back), err)
	}
	if _, err := decodeAll(&d, packed, len(noise)-1, len(plain)); !errors.Is(err, errData) {
		t.Errorf("a distance beyond the dictionary: %v", err)
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
		const dictSize = 1 << 12
		ours, err := decodeAll(&d, packed, dictSize, size)
		in := bytes.NewReader(packed)
		r, theirErr := lzma.Reader2Config{DictCap: dictSize}.NewReader2(in)
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
	src := bytes.NewReader(nil)
	for b.Loop() {
		src.Reset(packed)
		d.Reset(src, DictSize, int64(plain.Len()))
		for {
			if _, err := d.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}
