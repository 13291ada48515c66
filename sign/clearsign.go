package sign

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/keys/frame"
)

const (
	beginMessage   = "-----BEGIN PGP SIGNED MESSAGE-----\n"
	beginSignature = "-----BEGIN PGP SIGNATURE-----"
	maxMessage     = 64 << 20
)

// canonical is what a text signature is made over: every line's end is CR LF, and the last line has none.
func canonical(text []byte) []byte {
	return bytes.ReplaceAll(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"), []byte("\r\n"))
}

// checkText refuses text that would not come out of a clearsigned message as it went in.
func checkText(text []byte) error {
	if len(text) > maxMessage {
		return fmt.Errorf("text of %d bytes is too large to sign", len(text))
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		return errors.New("the text to sign does not end in a newline")
	}
	for i, line := range bytes.Split(text, []byte("\n")) {
		if bytes.ContainsAny(line, "\r\x00") {
			return fmt.Errorf("line %d of the text to sign holds a carriage return or NUL", i+1)
		}
		if bytes.HasSuffix(line, []byte(" ")) || bytes.HasSuffix(line, []byte("\t")) {
			return fmt.Errorf("line %d of the text to sign ends in a blank, which signatures do not cover", i+1)
		}
	}
	return nil
}

// encodeClearsigned writes the message and announces the hashes of its signatures. Lines that begin with a dash are
// escaped with another dash and a blank.
func encodeClearsigned(text, packets []byte) ([]byte, error) {
	list, err := parseSignatures(packets)
	if err != nil {
		return nil, err
	}
	var hashes []string
	for _, s := range list {
		if name := hashName(s.Hash); !slices.Contains(hashes, name) {
			hashes = append(hashes, name)
		}
	}
	var b bytes.Buffer
	b.WriteString(beginMessage + "Hash: " + strings.Join(hashes, ",") + "\n\n")
	for line := range bytes.Lines(text) {
		if line[0] == '-' {
			b.WriteString("- ")
		}
		b.Write(line)
	}
	b.Write(frame.Encode(frame.Signature, packets))
	return b.Bytes(), nil
}

// message is a clearsigned message taken apart.
type message struct {
	text    []byte   // lines without escapes and trailing blanks, each with its newline
	hashes  []string // that the Hash headers announce
	packets []byte
}

// parseClearsigned takes the one message that data must be, from its first byte to its last.
func parseClearsigned(data []byte) (*message, error) {
	if len(data) > maxMessage {
		return nil, &FormatError{fmt.Sprintf("the message is larger than %d bytes", maxMessage)}
	}
	rest, ok := strings.CutPrefix(string(data), beginMessage)
	if !ok {
		return nil, &FormatError{fmt.Sprintf("expected %s at the start, found %.40q", strings.TrimSpace(beginMessage), data)}
	}
	if i := strings.IndexAny(rest, "\r\x00"); i >= 0 {
		return nil, &FormatError{fmt.Sprintf("line %d holds a carriage return or NUL", 2+strings.Count(rest[:i], "\n"))}
	}
	m, number := new(message), 1
	next := func() (line string, ok bool) {
		number++
		line, rest, ok = strings.Cut(rest, "\n")
		return line, ok
	}
	for {
		line, ok := next()
		if !ok {
			return nil, &FormatError{"it ends within the headers"}
		}
		if line == "" {
			break
		}
		names, ok := strings.CutPrefix(line, "Hash: ")
		if !ok {
			return nil, &FormatError{fmt.Sprintf("line %d: expected Hash: or an empty line, found %.40q", number, line)}
		}
		for name := range strings.SplitSeq(names, ",") {
			m.hashes = append(m.hashes, strings.TrimSpace(name))
		}
	}
	var text bytes.Buffer
	for !strings.HasPrefix(rest, beginSignature) {
		line, ok := next()
		if !ok {
			return nil, &FormatError{"it ends without a signature"}
		}
		if unescaped, ok := strings.CutPrefix(line, "- "); ok {
			line = unescaped
		} else if strings.HasPrefix(line, "-") {
			return nil, &FormatError{fmt.Sprintf("line %d begins with a dash that is not escaped", number)}
		}
		text.WriteString(strings.TrimRight(line, " \t") + "\n")
	}
	block, err := frame.Decode([]byte(rest))
	if err != nil {
		return nil, &FormatError{err.Error()}
	}
	m.text = text.Bytes()
	m.packets, err = signaturePackets(block)
	return m, err
}

// announces tells whether the Hash headers name a hash. gpgv needs it to know what to compute.
func (m *message) announces(hash string) bool { return slices.Contains(m.hashes, hash) }

// signaturePackets is the content of an armored block of signatures.
func signaturePackets(block frame.Block) ([]byte, error) {
	switch {
	case block.Kind != frame.Signature:
		return nil, &FormatError{fmt.Sprintf("expected a %s, found a %s", frame.Signature, block.Kind)}
	case !block.Checksum:
		return nil, &FormatError{"its armor has no checksum, without which gpgv before 2.4 misreads some"}
	}
	return block.Data, nil
}
