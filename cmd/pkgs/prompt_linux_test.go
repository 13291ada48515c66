package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"unsafe"
)

// terminal is a terminal that a test sits at: what is typed goes in at keyboard, and screen is what it shows up to the first
// exclamation mark.
type terminal struct {
	t        *testing.T
	keyboard *os.File
	tty      *os.File
	screen   chan []byte
}

func control(t *testing.T, f *os.File, request uintptr, argument unsafe.Pointer) {
	t.Helper()
	if _, _, err := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(argument)); err != 0 {
		t.Fatal(err)
	}
}

// newTerminal makes a terminal the standard input of this process until the test ends.
func newTerminal(t *testing.T) *terminal {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var number, locked int32
	control(t, keyboard, syscall.TIOCGPTN, unsafe.Pointer(&number))
	control(t, keyboard, syscall.TIOCSPTLCK, unsafe.Pointer(&locked))
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	stdin := os.Stdin
	os.Stdin = tty
	term := &terminal{t, keyboard, tty, make(chan []byte, 1)}
	go func() {
		data, _ := bufio.NewReader(keyboard).ReadBytes('!')
		term.screen <- data
	}()
	t.Cleanup(func() { os.Stdin = stdin; tty.Close(); keyboard.Close() })
	return term
}

// echoes tells whether the terminal shows what is typed.
func (m *terminal) echoes() bool {
	m.t.Helper()
	var state syscall.Termios
	control(m.t, m.tty, syscall.TCGETS, unsafe.Pointer(&state))
	return state.Lflag&syscall.ECHO != 0
}

// waitSilent waits until it does not.
func (m *terminal) waitSilent() {
	m.t.Helper()
	for m.echoes() {
		if m.t.Context().Err() != nil {
			m.t.Fatal("nobody asked for a passphrase")
		}
		runtime.Gosched()
	}
}

// TestPrompt asks a person for a passphrase, who types it, or would rather not.
func TestPrompt(t *testing.T) {
	const passphrase = "throwaway-typed-by-a-person"
	m := newTerminal(t)
	interrupted, interrupt := context.WithCancel(t.Context())
	var said bytes.Buffer
	p := &program{stderr: &said, interrupted: interrupted.Done(), passphraseFD: -1}
	type answer struct {
		data []byte
		err  error
	}
	ask := func() chan answer {
		answers := make(chan answer, 1)
		go func() {
			data, err := p.readPassphrase("key.asc", "")
			answers <- answer{data, err}
		}()
		m.waitSilent()
		return answers
	}
	answers := ask()
	if _, err := m.keyboard.WriteString(passphrase + "\n"); err != nil {
		t.Fatal(err)
	}
	if a := <-answers; a.err != nil || string(a.data) != passphrase {
		t.Errorf("got %q, %v", a.data, a.err)
	}
	if said.String() != "passphrase of key.asc: \n" || !m.echoes() {
		t.Errorf("it asked %q, and shows what is typed: %v", said.String(), m.echoes())
	}

	answers = ask()
	interrupt()
	if a := <-answers; !errors.Is(a.err, context.Canceled) || a.data != nil {
		t.Errorf("interrupted: got %q, %v", a.data, a.err)
	}
	if !m.echoes() {
		t.Error("the terminal is left silent")
	}
	// It shows what is typed now; and whoever still reads the interrupted passphrase is content.
	if _, err := m.keyboard.WriteString("end!\n"); err != nil {
		t.Fatal(err)
	}
	if screen := <-m.screen; !bytes.HasSuffix(screen, []byte("end!")) || bytes.Contains(screen, []byte(passphrase)) {
		t.Errorf("the terminal showed %q", screen)
	}
}
