package payload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/pkgs/build/payload/lzma2"
)

// Encoder compresses one block to raw LZMA2 data: chunks, closed by the zero byte that ends the data. The bytes that it
// makes must depend on nothing but the input and what Name says. Its methods may be called from several goroutines at
// once.
type Encoder interface {
	// Name says which program or library of which version makes the bytes, and with which settings, on one line. It is
	// part of the key of cached blocks and is recorded in the provenance of packages.
	Name() string
	// DictSize is the number of bytes that a reader must keep to undo the compression.
	DictSize() int
	// BlockSize is the number of bytes that a block should have: the most that Encode takes, and the size at which cutting
	// a file costs little.
	BlockSize() int
	// Memory is the number of bytes that one call of Encode needs besides its input and output.
	Memory() int64
	// Encode appends the compressed form of src to dst.
	Encode(ctx context.Context, dst, src []byte) ([]byte, error)
}

// Go is the encoder that is part of this program, see package lzma2. It makes the same bytes on every machine.
func Go() Encoder { return new(goEncoder) }

// goEncoder keeps the memory of encoders that are done for the next block.
type goEncoder struct{ idle sync.Pool }

func (*goEncoder) Name() string   { return "pkgs lzma2 " + lzma2.Version }
func (*goEncoder) DictSize() int  { return lzma2.DictSize }
func (*goEncoder) BlockSize() int { return lzma2.MaxSize }
func (*goEncoder) Memory() int64  { return lzma2.Memory }

func (g *goEncoder) Encode(ctx context.Context, dst, src []byte) ([]byte, error) {
	e, ok := g.idle.Get().(*lzma2.Encoder)
	if !ok {
		e = new(lzma2.Encoder)
	}
	defer g.idle.Put(e)
	// About a quarter is left of a program.
	return e.Encode(ctx, slices.Grow(dst, len(src)/3), src)
}

// XZ is the encoder that runs the program xz at a preset from 0 to 9. Its bytes are only the same on machines with
// the same version of xz, which therefore is part of its name. It is an error if the program is not there.
func XZ(ctx context.Context, preset int) (Encoder, error) {
	if preset < 0 || preset >= len(presetDict) {
		return nil, fmt.Errorf("xz preset %d: expected 0 to %d", preset, len(presetDict)-1)
	}
	program, err := exec.LookPath("xz")
	if err != nil {
		return nil, fmt.Errorf("%w: install xz-utils, or use the encoder that is built in", err)
	}
	e := &xzEncoder{program: program, preset: preset}
	out, err := e.run(ctx, nil, nil, "--version")
	if err != nil {
		return nil, err
	}
	version := xzVersion.FindSubmatch(out)
	if version == nil {
		return nil, fmt.Errorf("%s --version: no version in %q", program, Abbreviate(string(out)))
	}
	e.version = string(version[1])
	return e, nil
}

// presetDict is the dictionary of each of xz's presets, but never more than 8 MiB, which small machines can spare.
var presetDict = [10]int{256 << 10, 1 << 20, 2 << 20, 4 << 20, 4 << 20, 8 << 20, 8 << 20, 8 << 20, 8 << 20, 8 << 20}

var xzVersion = regexp.MustCompile(`(?m)^liblzma (\S+)$`)

type xzEncoder struct {
	program, version string
	preset           int
}

func (e *xzEncoder) Name() string {
	return fmt.Sprintf("liblzma %s, preset %d, dictionary %d KiB", e.version, e.preset, e.DictSize()>>10)
}

func (e *xzEncoder) DictSize() int { return presetDict[e.preset] }

// BlockSize is three times the dictionary, as of xz's own threads, so that most of a block has a full dictionary before it.
func (e *xzEncoder) BlockSize() int { return max(8<<20, 3*e.DictSize()) }

// Memory is what xz's manual says, about twelve times the dictionary and less for the fast presets.
func (e *xzEncoder) Memory() int64 { return 12 * int64(e.DictSize()) }

func (e *xzEncoder) Encode(ctx context.Context, dst, src []byte) ([]byte, error) {
	return e.run(ctx, dst, src, "--format=raw", fmt.Sprintf("--lzma2=preset=%d,dict=%d", e.preset, e.DictSize()),
		"--threads=1", "--compress", "--stdout")
}

// run runs xz and appends what it writes to dst.
func (e *xzEncoder) run(ctx context.Context, dst, stdin []byte, args ...string) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, e.program, args...)
	// Without an environment nobody's XZ_OPT changes what we write. The GNU C library is told to ask for huge pages: xz looks
	// things up all over its memory, and takes a tenth less time where the kernel has to be asked for them.
	cmd.Env = []string{"LC_ALL=C", "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), out, &complaint
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "),
			errors.Join(err, errors.New(Abbreviate(complaint.String()))))
	}
	return out.Bytes(), nil
}
