package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/keys/frame"
)

// gpgHome is a home of gpg with a throwaway key. Its path must be short, and the agent that gpg starts in it ends with the
// test.
func gpgHome(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		run(t, "gnupg", "", "gpgconf", "--homedir", dir, "--kill", "all")
		os.RemoveAll(dir)
	})
	run(t, "gnupg", string(armored(t, name)), "gpg", "--homedir", dir, "--batch", "--quiet", "--import")
	return dir
}

// run runs a program with an input; one that is missing fails the test.
func run(t *testing.T, debianPackage, input, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: install the Debian package %s", name, debianPackage)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func gpgArgv(home string, more ...string) []string {
	return append([]string{"gpg", "--homedir", home, "--batch", "--quiet", "--detach-sign", "--digest-algo", "{hash}", "{textmode}"}, more...)
}

// TestCommandGPG signs with gpg and its agent: what README shows.
func TestCommandGPG(t *testing.T) {
	home := gpgHome(t, "one")
	fingerprint := public(t, "one").Keys()[0].Fingerprint
	for _, more := range [][]string{{}, {"--armor"}} {
		argv := gpgArgv(home, append(more, "--local-user", fingerprint, "--faked-system-time", "{time}!")...)
		k := FromCommand(CommandConfig{Argv: argv, Now: time.Now}, public(t, "one"))
		for _, opts := range forms {
			text := []byte("- a\r\nb\r\n\r\nlast")
			one, err := k.Sign(t.Context(), text, opts)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := k.Sign(t.Context(), text, opts); err != nil || !bytes.Equal(again, one) {
				t.Errorf("%+v: signing twice gives different bytes: %v", opts, err)
			}
			// The number is that which we compute, if everything that is hashed is the same; gpg writes the same
			// hashed subpackets in another order, so only their length can be compared.
			if packets, err := frame.Packets(one); err != nil || len(packets) != 1 || packets[0].Body[0] != 4 {
				t.Errorf("%+v: made %x: %v", opts, one, err)
			}
		}
	}
}

// script is a program that signs as its text says.
func script(t *testing.T, text string) CommandConfig {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sign")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return CommandConfig{Argv: []string{file, "{textmode}", "{hash}", "{time}"}, Timeout: 20 * time.Second, Now: func() time.Time { return at.Add(time.Hour) }}
}

func TestCommand(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good")
	late := filepath.Join(t.TempDir(), "late")
	for file, opts := range map[string]keys.SignOpts{good: forms[0], late: {Text: true, Hash: forms[0].Hash, Time: at.Add(2 * time.Hour)}} {
		if err := os.WriteFile(file, reference(t, "one", []byte("x"), opts), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	arguments := filepath.Join(t.TempDir(), "arguments")
	cfg := script(t, `echo "$@" >`+arguments+`; cat >`+arguments+`.in; pwd >`+arguments+`.dir; cat `+good)
	cfg.Dir = t.TempDir()
	got, err := FromCommand(cfg, public(t, "one")).Sign(t.Context(), []byte("some\nbytes\x00"), forms[0])
	if err != nil || !bytes.Equal(got, reference(t, "one", []byte("x"), forms[0])) {
		t.Errorf("got %x, %v", got, err)
	}
	for file, want := range map[string]string{"": "--textmode SHA512 1717243200\n", ".in": "some\nbytes\x00", ".dir": cfg.Dir + "\n"} {
		if have, err := os.ReadFile(arguments + file); err != nil || string(have) != want {
			t.Errorf("the program got %q, want %q: %v", have, want, err)
		}
	}

	for text, want := range map[string]string{
		"exit 3":                           "exit status 3",
		"echo no agent  here >&2; exit 1":  `exit status 1: it says "no agent here"`,
		"yes x | head -c 1000 >&2; exit 1": "x x x",
		":":                                "wrote nothing",
		"echo garbage":                     "wrote what is not a signature: packet 1, at byte 0: this is not OpenPGP data",
		"yes | head -c 100000":             "wrote more than 65536 bytes",
		"cat " + good + " " + good:         "wrote 2 OpenPGP packets",
		"head -c 50 " + good:               "wrote what is not a signature",
		"cat " + late:                      "dated its signature 2024-06-01T14:00:00Z, and it is 2024-06-01T13:00:00Z: check its clock",
		"printf '\\302\\001\\003'":         "version 4 is expected",
		"echo '-----BEGIN PGP PUBLIC KEY BLOCK-----'; echo; echo; echo '-----END PGP PUBLIC KEY BLOCK-----'": "wrote ",
		"kill -9 $$": "killed",
	} {
		got, err := FromCommand(script(t, text), public(t, "one")).Sign(t.Context(), []byte("x"), forms[0])
		if got != nil || err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 1000 {
			t.Errorf("%s: %x, %v; want %q", text, got, err, want)
		}
	}
	wrong := script(t, "cat "+good)
	if _, err := FromCommand(wrong, public(t, "one")).Sign(t.Context(), []byte("x"), keys.SignOpts{Text: true, Hash: forms[0].Hash, Time: at.Add(time.Minute)}); err == nil ||
		!strings.Contains(err.Error(), "was told 2024-06-01T12:01:00Z") {
		t.Errorf("with another time than it was told: %v", err)
	}
	if err := FromCommand(CommandConfig{Argv: []string{"/nowhere/sign", "{textmode}"}}, public(t, "one")).Open(t.Context()); err == nil || !strings.Contains(err.Error(), "/nowhere/sign") {
		t.Errorf("a program that is not there: %v", err)
	}
}

// TestCommandHangs: a program that does not end is ended, with what it started.
func TestCommandHangs(t *testing.T) {
	alive := filepath.Join(t.TempDir(), "alive")
	if err := os.Mkdir(alive, 0o755); err != nil {
		t.Fatal(err)
	}
	// The child holds the pipe open and would go on after its parent.
	cfg := script(t, "(while [ -d "+alive+" ]; do sleep 0.05; date >>"+alive+"/child; done) & wait")
	cfg.Timeout = 300 * time.Millisecond
	_, err := FromCommand(cfg, public(t, "one")).Sign(t.Context(), []byte("x"), forms[0])
	if err == nil || !strings.Contains(err.Error(), "gave no answer within 300ms") {
		t.Fatalf("got %v", err)
	}
	size := func() int64 {
		info, err := os.Stat(alive + "/child")
		if err != nil {
			return 0
		}
		return info.Size()
	}
	for before, tries := size(), 0; ; tries++ {
		time.Sleep(300 * time.Millisecond)
		if now := size(); now == before {
			break
		} else if before = now; tries == 10 {
			t.Fatal("the program's child goes on")
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	cfg.Timeout = time.Hour
	time.AfterFunc(200*time.Millisecond, cancel)
	if _, err := FromCommand(cfg, public(t, "one")).Sign(ctx, []byte("x"), forms[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("when interrupted: %v", err)
	}
}

func TestCommandCheck(t *testing.T) {
	for want, argv := range map[string][]string{
		"argv is empty":            nil,
		"{textmode} is missing":    {"gpg", "--detach-sign"},
		"{mode} is not known":      {"gpg", "{mode}"},
		"{textmode}, {hash} and {": {"gpg", "{textmode}", "{}"},
	} {
		if err := (CommandConfig{Argv: argv}).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", argv, err, want)
		}
	}
	if err := (CommandConfig{Argv: []string{"sign", "--mode={textmode}", "--at={time}"}}).Check(); err != nil {
		t.Error(err)
	}
}

// FuzzReadSignature: what is taken from a program's output is one packet of it, whole.
func FuzzReadSignature(f *testing.F) {
	for _, opts := range forms {
		made := reference(f, "one", []byte("x"), opts)
		f.Add(made)
		f.Add(frame.Encode(frame.Signature, made))
		f.Add(append(made, made...))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		made, _, err := readSignature(answer)
		if err != nil {
			return
		}
		if packets, err := frame.Packets(made); err != nil || len(packets) != 1 || packets[0].Tag != frame.TagSignature {
			t.Errorf("took %x", made)
		}
	})
}
