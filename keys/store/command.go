package store

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/keys/frame"
)

// CommandConfig is a program that signs.
//
// It is run once for each signature, gets the bytes to sign on its standard input, and writes one detached OpenPGP
// signature to its standard output, armored or in binary. In its arguments these are replaced:
//
//	{textmode}  --textmode for a signature over text (type 0x01), --no-textmode for one over bytes (type 0x00)
//	{hash}      SHA512 or SHA256; a program may use the other one
//	{time}      when the signature shall count as made, in seconds since 1970
//
// These are options of gpg, to which a service's own client has to translate:
//
//	gpg --batch --local-user FINGERPRINT --detach-sign --faked-system-time {time}! --digest-algo {hash} {textmode}
//
// The text of a signature over text has line ends of CR LF and none at its end, so that a program may hash what it gets. A
// program that is not told the time dates the signature itself, with the present: then InRelease is not the same twice.
type CommandConfig struct {
	// Argv is the program and its arguments. No shell looks at them.
	Argv []string
	// Dir is the directory it is run in.
	Dir string
	// Timeout is how long it may take; 0 is DefaultTimeout.
	Timeout time.Duration
	// Now tells the time.
	Now func() time.Time
}

// Check says what is wrong with the configuration.
func (c CommandConfig) Check() error {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return errors.New("argv is empty: name the program that signs and its arguments")
	}
	text := false
	for _, a := range c.Argv {
		rest := strings.NewReplacer("{textmode}", "", "{hash}", "", "{time}", "").Replace(a)
		if strings.HasPrefix(rest, "{") && strings.HasSuffix(rest, "}") {
			return fmt.Errorf("argv: %s is not known: there are {textmode}, {hash} and {time}", a)
		}
		text = text || strings.Contains(a, "{textmode}")
	}
	if !text {
		return errors.New("argv: {textmode} is missing: the program must be told whether to sign text, as for InRelease, or bytes")
	}
	return nil
}

// FromCommand returns the key of a program, whose public half was exported from it.
func FromCommand(cfg CommandConfig, public *keys.Keyring) *Key {
	k := &Key{name: "signing command", public: public, limit: cfg.Timeout}
	if k.limit == 0 {
		k.limit = DefaultTimeout
	}
	if len(cfg.Argv) > 0 {
		k.name += " " + cfg.Argv[0]
	}
	k.open = func(context.Context) (signer, error) {
		if err := cfg.Check(); err != nil {
			return nil, err
		}
		if _, err := exec.LookPath(cfg.Argv[0]); err != nil {
			return nil, fmt.Errorf("cannot be run: %w", err)
		}
		return command{cfg}, nil
	}
	return k
}

type command struct{ CommandConfig }

const (
	maxAnswer = 64 << 10 // of a signature
	maxTold   = 300      // of what a program says when it fails
)

// Sign runs the program once.
func (c command) Sign(ctx context.Context, data []byte, opts keys.SignOpts) ([]byte, error) {
	mode, hash := "--no-textmode", "SHA512"
	if opts.Text {
		mode = "--textmode"
	}
	if opts.Hash == crypto.SHA256 {
		hash = "SHA256"
	}
	timed := false
	args := make([]string, len(c.Argv))
	for i, a := range c.Argv {
		timed = timed || strings.Contains(a, "{time}")
		args[i] = strings.NewReplacer("{textmode}", mode, "{hash}", hash, "{time}", strconv.FormatInt(opts.Time.Unix(), 10)).Replace(a)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = c.Dir
	cmd.Stdin = bytes.NewReader(data)
	answer, told := &bounded{limit: maxAnswer}, &bounded{limit: maxTold, drop: true}
	cmd.Stdout, cmd.Stderr = answer, told
	// It may have started others, which hold its output open.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if answer.full {
			return nil, fmt.Errorf("wrote more than %d bytes where a signature was expected", maxAnswer)
		}
		said := strings.Join(strings.Fields(strings.ToValidUTF8(string(told.data), "?")), " ")
		if said != "" {
			return nil, fmt.Errorf("failed: %w: it says %q", err, said)
		}
		return nil, fmt.Errorf("failed: %w", err)
	}
	made, created, err := readSignature(answer.data)
	if err != nil {
		return nil, err
	}
	// A date ahead of ours is ahead of most users', and apt would refuse the signature.
	if now := c.Now(); created.After(now.Add(time.Second)) {
		return nil, fmt.Errorf("dated its signature %s, and it is %s: check its clock", created.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if timed && !created.Equal(opts.Time) {
		return nil, fmt.Errorf("dated its signature %s, and was told %s", created.UTC().Format(time.RFC3339), opts.Time.UTC().Format(time.RFC3339))
	}
	return made, nil
}

// bounded is a buffer that takes no more than a limit: it fails then, or drops the rest. The buffer is not embedded, since
// its ReadFrom knows no limit.
type bounded struct {
	data       []byte
	limit      int
	drop, full bool
}

func (b *bounded) Write(data []byte) (int, error) {
	room := b.limit - len(b.data)
	b.data = append(b.data, data[:min(room, len(data))]...)
	if len(data) <= room {
		return len(data), nil
	}
	b.full = true
	if !b.drop {
		return 0, errors.New("too much")
	}
	return len(data), nil
}

// readSignature takes the signature packet out of what a program wrote, and reads when it was made. All else is for
// package sign to judge.
func readSignature(answer []byte) (made []byte, created time.Time, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("wrote a signature that is damaged in a way that the openpgp library cannot handle")
		}
	}()
	if len(answer) == 0 {
		return nil, created, errors.New("wrote nothing where a signature was expected")
	}
	if frame.IsArmored(answer) {
		block, err := frame.Decode(answer)
		if err != nil {
			return nil, created, fmt.Errorf("wrote armor that cannot be read: %w", err)
		}
		if block.Kind != frame.Signature {
			return nil, created, fmt.Errorf("wrote a %s where a %s was expected", block.Kind, frame.Signature)
		}
		answer = block.Data
	}
	packets, err := frame.Packets(answer)
	if err != nil {
		return nil, created, fmt.Errorf("wrote what is not a signature: %w", err)
	}
	if len(packets) != 1 || packets[0].Tag != frame.TagSignature {
		return nil, created, fmt.Errorf("wrote %d OpenPGP packets where one signature was expected", len(packets))
	}
	parsed, err := packet.Read(bytes.NewReader(packets[0].Raw))
	s, ok := parsed.(*packet.Signature)
	if err != nil || !ok {
		return nil, created, errors.New("wrote a signature that cannot be read: version 4 is expected")
	}
	return packets[0].Raw, s.CreationTime, nil
}
