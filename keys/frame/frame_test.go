package frame

import (
	"bytes"
	"strings"
	"testing"
)

// message is 7 bytes whose checksum was computed by gpg --enarmor.
const message = "-----BEGIN PGP SIGNATURE-----\n\naGVsbG8hCg==\n=JDXg\n-----END PGP SIGNATURE-----\n"

func TestEncode(t *testing.T) {
	if got := string(Encode(Signature, []byte("hello!\n"))); got != message {
		t.Errorf("got\n%swant\n%s", got, message)
	}
	long := Encode(PublicKey, make([]byte, 100))
	for line := range strings.Lines(string(long)) {
		if len(line) > 65 {
			t.Errorf("line of %d characters", len(line)-1)
		}
	}
}

func TestDecode(t *testing.T) {
	for _, text := range []string{
		message,
		strings.TrimSuffix(message, "\n"),
		strings.ReplaceAll(message, "\n", "\r\n"),
		strings.Replace(message, "\n\n", "\nComment: here\nVersion: 1\n\n", 1),
		strings.Replace(message, "aGVs", "aGVs\n", 1),
	} {
		if b, err := Decode([]byte(text)); err != nil || string(b.Data) != "hello!\n" || b.Kind != Signature || !b.Checksum {
			t.Errorf("%q: %+v, %v", text, b, err)
		}
	}
	if b, err := Decode([]byte(strings.Replace(message, "=JDXg\n", "", 1))); err != nil || b.Checksum {
		t.Errorf("without a checksum: %+v, %v", b, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                "expected -----BEGIN",
		" " + message:     "expected -----BEGIN",
		"x\n" + message:   "expected -----BEGIN",
		message + "\n":    "behind the end",
		message + message: "behind the end",
		message[:30]:      "ends within the headers",
		message[:40]:      "ends without -----END",
		strings.Replace(message, "=JDXg", "=JDXh", 1):                    "line 5 of the armor: checksum JDXh is wrong, the data has JDXg",
		strings.Replace(message, "aGVs", "a_Vs", 1):                      "base64 is damaged",
		strings.Replace(message, "Cg==", "Ch==", 1):                      "base64 is damaged",
		strings.Replace(message, "aGVs", strings.Repeat("A", 80), 1):     "at most 76",
		strings.Replace(message, "=JDXg", "=JDXg\n=JDXg", 1):             "expected -----END",
		strings.Replace(message, "=JDXg", "\n=JDXg", 1):                  "at most 76",
		strings.Replace(message, "\n\n", "\n", 1):                        "expected a header",
		strings.Replace(message, "END PGP SIG", "END PGP MESS", 1):       "expected -----END PGP SIGNATURE-----",
		strings.Replace(message, "SIGNATURE-----\n", "signature--\n", 1): "expected -----BEGIN",
	} {
		if b, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v, want %q", text, b, err, want)
		}
	}
}

func TestPackets(t *testing.T) {
	body := bytes.Repeat([]byte{7}, 300)
	for _, header := range [][]byte{
		{0x80 | 2<<2 | 1, 1, 44},       // old, two bytes of length
		{0x80 | 2<<2 | 2, 0, 0, 1, 44}, // old, four
		{0xc0 | 2, 192, 108},           // new, two
		{0xc0 | 2, 255, 0, 0, 1, 44},   // new, five
	} {
		raw := append(header, body...)
		got, err := Packets(append(raw, raw...))
		if err != nil || len(got) != 2 || got[1].Tag != TagSignature || !bytes.Equal(got[0].Body, body) || !bytes.Equal(got[1].Raw, raw) {
			t.Errorf("% x: %v", header, err)
		}
	}
	if got, err := Packets([]byte{0x88, 0, 0xc2, 0}); err != nil || len(got) != 2 || len(got[0].Body) != 0 {
		t.Errorf("empty packets: %v, %v", got, err)
	}
}

func TestPacketsRefuses(t *testing.T) {
	for want, data := range map[string][]byte{
		"not OpenPGP":       {0x10},
		"indeterminate":     {0x8b, 1},
		"in parts":          {0xc2, 230, 1},
		"cut short":         {0xc2},
		"header is cut":     {0x89, 1},
		"only 1 are there":  {0xc2, 2, 1},
		"at byte 2: it has": {0xc2, 0, 0xc2, 255, 255, 255, 255, 255},
		"more than 4096":    bytes.Repeat([]byte{0xc2, 0}, maxPackets+1),
	} {
		if _, err := Packets(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(message))
	f.Add([]byte(message + "\ntext\n" + message))
	f.Fuzz(func(t *testing.T, text []byte) {
		blocks, err := DecodeAll(text)
		if err != nil {
			return
		}
		for _, b := range blocks {
			again, err := Decode(Encode(b.Kind, b.Data))
			if err != nil || again.Kind != b.Kind || !bytes.Equal(again.Data, b.Data) {
				t.Fatalf("%+v became %+v: %v", b, again, err)
			}
		}
		if one, err := Decode(text); err == nil && (len(blocks) != 1 || !bytes.Equal(blocks[0].Data, one.Data)) {
			t.Fatal("Decode and DecodeAll see different blocks")
		}
	})
}

func FuzzPackets(f *testing.F) {
	f.Add([]byte{0x88, 1, 2, 0xc2, 1, 3})
	f.Add([]byte{0x89, 0, 1, 2, 0xc2, 192, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		packets, err := Packets(data)
		if err != nil {
			return
		}
		var joined []byte
		for _, p := range packets {
			joined = append(joined, p.Raw...)
		}
		if !bytes.Equal(joined, data) {
			t.Fatal("packets are not the whole of the data")
		}
	})
}
