package payload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"

	"github.com/ulikunitz/xz/lzma"
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
	// Memory is the number of bytes that one call of Encode needs besides its input and output.
	Memory() int64
	// Encode appends the compressed form of src to dst.
	Encode(ctx context.Context, dst, src []byte) ([]byte, error)
}

// goDict is small because this encoder finds no more matches in a larger dictionary; it only gets slower.
const goDict = 1 << 20

// Go is the encoder that is part of this program. It makes the same bytes on every machine.
func Go() Encoder { return goEncoder{} }

type goEncoder struct{}

func (goEncoder) Name() string {
	return "github.com/ulikunitz/xz v0.5.17, hash table, dictionary 1 MiB"
}
func (goEncoder) DictSize() int { return goDict }
func (goEncoder) Memory() int64 { return 32 << 20 }

func (goEncoder) Encode(ctx context.Context, dst, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	w, err := lzma.Writer2Config{DictCap: goDict, Matcher: lzma.HashTable4}.NewWriter2(out)
	if err != nil {
		return nil, err
	}
	// In pieces, so that ^C need not wait for the whole block.
	for len(src) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		n := min(len(src), 1<<20)
		if _, err := w.Write(src[:n]); err != nil {
			return nil, err
		}
		src = src[n:]
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// XZ is the encoder that runs the program xz at a preset from 0 to 9. It is faster than [Go] and compresses better, but
// its bytes are only the same on machines with the same version of xz, which therefore is part of its name. It is an
// error if the program is not there.
func XZ(ctx context.Context, preset int) (Encoder, error) {
	if preset < 0 || preset >= len(presetDict) {
		return nil, fmt.Errorf("xz preset %d: expected 0 to %d", preset, len(presetDict)-1)
	}
	program, err := exec.LookPath("xz")
	if err != nil {
		return nil, fmt.Errorf("%w: install xz-utils, or use the encoder that is built in", err)
	}
	e := &xzEncoder{program: program, preset: preset}
	out, err := e.run(ctx, nil, "--version")
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

// Memory is what xz's manual says, about twelve times the dictionary and less for the fast presets.
func (e *xzEncoder) Memory() int64 { return 12 * int64(e.DictSize()) }

func (e *xzEncoder) Encode(ctx context.Context, dst, src []byte) ([]byte, error) {
	out, err := e.run(ctx, src, "--format=raw", fmt.Sprintf("--lzma2=preset=%d,dict=%d", e.preset, e.DictSize()),
		"--threads=1", "--compress", "--stdout")
	return append(dst, out...), err
}

func (e *xzEncoder) run(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, e.program, args...)
	// Without an environment nobody's XZ_OPT changes what we write.
	cmd.Env = []string{"LC_ALL=C"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &complaint
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "),
			errors.Join(err, errors.New(Abbreviate(complaint.String()))))
	}
	return out.Bytes(), nil
}
