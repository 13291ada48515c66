package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// readPassphrase gets the passphrase of a key: from where the flags say, from the file that the configuration names, or
// from the person at the terminal.
func (p *program) readPassphrase(key, file string) ([]byte, error) {
	if p.passphraseFD >= 0 {
		return p.passphraseFromFD()
	}
	if p.passphrase != "" {
		file = p.passphrase
	}
	return p.readSecret("passphrase of "+key, file, "give a file that holds it with --passphrase-file, or a file descriptor with --passphrase-fd")
}

// maxSecret is how long a passphrase or PIN may be, in bytes.
const maxSecret = 4096

// passphraseFromFD reads the passphrase from the file descriptor that the flags name, once for all keys.
func (p *program) passphraseFromFD() ([]byte, error) {
	p.passphraseOnce.Do(func() {
		// A copy, so that a wrong number does not close a descriptor of this program's own.
		fd, err := syscall.Dup(p.passphraseFD)
		if err != nil {
			p.passphraseErr = usagef("--passphrase-fd %d: %w", p.passphraseFD, err)
			return
		}
		f := os.NewFile(uintptr(fd), "passphrase")
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
		if err == nil && len(data) > maxSecret {
			err = fmt.Errorf("a passphrase has no more than %d bytes", maxSecret)
		}
		if err != nil {
			p.passphraseErr = fmt.Errorf("--passphrase-fd %d: %w", p.passphraseFD, err)
			return
		}
		p.passphraseData = trimLineEnd(data)
	})
	return slices.Clone(p.passphraseData), p.passphraseErr
}

// readSecret reads a secret from a file or, without one, from the person at the terminal. instead says what to do where
// there is neither.
func (p *program) readSecret(what, file, instead string) ([]byte, error) {
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
		if err == nil && len(data) > maxSecret {
			err = fmt.Errorf("%s: is longer than %d bytes: a file with the %s was expected", file, maxSecret, what)
		}
		if err != nil {
			return nil, err
		}
		return trimLineEnd(data), nil
	}
	in := int(os.Stdin.Fd())
	before, err := term.GetState(in)
	if err != nil { // it is no terminal
		return nil, errors.New("there is nobody to ask: " + instead)
	}
	fmt.Fprintf(p.stderr, "%s: ", what)
	defer fmt.Fprintln(p.stderr)
	var data []byte
	asked := make(chan error, 1)
	go func() {
		var err error
		data, err = term.ReadPassword(in)
		asked <- err
	}()
	// An interrupt is noted, and does not end the reading: nobody would be asked for more, at a terminal that shows nothing.
	select {
	case err := <-asked:
		return data, err
	case <-p.interrupted:
		return nil, errors.Join(context.Canceled, term.Restore(in, before))
	}
}

func trimLineEnd(data []byte) []byte { return []byte(strings.TrimRight(string(data), "\r\n")) }
