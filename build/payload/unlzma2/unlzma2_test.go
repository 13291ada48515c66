package unlzma2

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"slices"
	"testing"

	"github.com/ulikunitz/xz/lzma"

	"sigs.k8s.io/pkgs/build/payload/payloadtest"
)

const dictSize = 1 << 20

// pack compresses with xz.
func pack(t testing.TB, plain []byte, options string) []byte {
	t.Helper()
	program, err := exec.LookPath("xz")
	if err != nil {
		t.Fatal("xz is not installed: apt-get install xz-utils")
	}
	cmd := exec.Command(program, "--format=raw", "--lzma2=dict=1MiB,"+options, "--stdout")
	cmd.Stdin = bytes.NewReader(plain)
	data, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// inputs have every kind of operation and of chunk.
func inputs() map[string][]byte {
	long := payloadtest.Text(1, 150_000)
	return map[string][]byte{
		"nothing":            nil,
		"one byte":           {'a'},
		"zeros":              make([]byte, 2<<20+5),
		"text":               long,
		"noise":              payloadtest.Noise(200_000),
		"noise between":      slices.Concat(long, payloadtest.Noise(100_001), long),
		"noise twice":        slices.Concat(payloadtest.Noise(100_000), payloadtest.Noise(100_000)),
		"as far as possible": slices.Concat(long[:9000], make([]byte, dictSize-9000), long[:9000]),
	}
}

func TestAcceptsWhatXZMakes(t *testing.T) {
	c := new(Checker)
	for name, plain := range inputs() {
		for _, options := range []string{"preset=0", "preset=6,nice=273", "preset=1,lc=4,lp=0,pb=0", "preset=1,lc=0,lp=4,pb=4", "preset=1,lc=1,lp=2,pb=1"} {
			data := pack(t, plain, options)
			if err := c.Check(data, plain, dictSize); err != nil {
				t.Errorf("%s, %s: %v", name, options, err)
			}
			if err := c.Check(slices.Concat(data, []byte{0}), plain, dictSize); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s, %s: a byte behind the end: %v", name, options, err)
			}
			if err := c.Check(data, append(slices.Clone(plain), 0), dictSize); !errors.Is(err, ErrOther) {
				t.Errorf("%s, %s: one byte too few: %v", name, options, err)
			}
			if len(plain) == 0 {
				continue
			}
			if err := c.Check(data, plain[:len(plain)-1], dictSize); !errors.Is(err, ErrOther) {
				t.Errorf("%s, %s: one byte too many: %v", name, options, err)
			}
			for _, at := range []int{0, len(plain) / 2, len(plain) - 1} {
				other := slices.Clone(plain)
				other[at] ^= 0x10
				if err := c.Check(data, other, dictSize); !errors.Is(err, ErrOther) {
					t.Errorf("%s, %s: another byte %d: %v", name, options, at, err)
				}
			}
			if err := c.Check(data[:len(data)-1], plain, dictSize); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s, %s: without its end: %v", name, options, err)
			}
		}
	}
}

// A decoder has no more of a dictionary than the stream says.
func TestDictionaryIsLimited(t *testing.T) {
	plain := inputs()["as far as possible"]
	data := pack(t, plain, "preset=6")
	if err := new(Checker).Check(data, plain, dictSize-1); !errors.Is(err, ErrDamaged) {
		t.Errorf("a distance beyond the dictionary: %v", err)
	}
}

// theirs decodes with a decoder of other authors, a megabyte at most.
func theirs(data []byte) ([]byte, error) {
	in := bytes.NewReader(data)
	r, err := lzma.Reader2Config{DictCap: dictSize}.NewReader2(in)
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err == nil && in.Len() > 0 {
		err = errors.New("there is more behind the end")
	}
	return plain, err
}

// agree fails if data is accepted that another decoder does not unpack to plain.
func agree(t *testing.T, c *Checker, data, plain []byte) {
	t.Helper()
	if err := c.Check(data, plain, dictSize); err != nil {
		if !errors.Is(err, ErrOther) && !errors.Is(err, ErrDamaged) {
			t.Errorf("error %v", err)
		}
		return
	}
	if got, err := theirs(data); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("accepted, but the other decoder gets %d bytes, not %d: %v", len(got), len(plain), err)
	}
}

// No bit of the data can change without another result, or none.
func TestEveryBitMatters(t *testing.T) {
	plain := slices.Concat(payloadtest.Text(2, 700), make([]byte, 300), payloadtest.Text(2, 700))
	data := pack(t, plain, "preset=6")
	c := new(Checker)
	for i := range len(data) * 8 {
		bad := slices.Clone(data)
		bad[i/8] ^= 1 << (i % 8)
		agree(t, c, bad, plain)
	}
}

func FuzzCheck(f *testing.F) {
	for _, plain := range [][]byte{nil, []byte("text, text, text"), payloadtest.Text(3, 2000), payloadtest.Noise(300), make([]byte, 1000)} {
		f.Add(pack(f, plain, "preset=6"), plain)
		f.Add(pack(f, plain, "preset=0,lc=0,lp=3"), plain)
	}
	c := new(Checker)
	f.Fuzz(func(t *testing.T, data, plain []byte) {
		agree(t, c, data, plain)
		// What the other decoder unpacks is not unpacked to anything else here.
		if got, err := theirs(data); err == nil {
			if err := c.Check(data, got, dictSize); errors.Is(err, ErrOther) {
				t.Errorf("the other decoder gets %d bytes: %v", len(got), err)
			}
		}
	})
}
