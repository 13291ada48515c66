package apt

import "testing"

// Whatever the order of the fields in a control file, what a package depends on comes in that of an index.
func TestOrder(t *testing.T) {
	p, err := read(debOf("Depends: aa\nDescription: x\nPre-Depends: bb\n" +
		"Package: odd\nVersion: 1.0-1\nArchitecture: amd64\nMaintainer: x <x@example.org>\n"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Depends != "bb, aa" {
		t.Errorf("depends on %q", p.Depends)
	}
}

// Lines that continue a field come out the same whatever white space is around them.
func TestContinuation(t *testing.T) {
	for text, want := range map[string]string{
		"A: x\n y\n z\n":        "x\n y\n z",
		"A: x \n y\t\n z\nB: c": "x\n y\n z",
		"A:\n y\n  z":           "\n y\n  z",
		"A: \n y":               "\n y",
		"A: x\n\ty\n z":         "x\n y\n z",
		"A: x\n y\n\tz \n .":    "x\n y\n z\n .",
		"A: x\n":                "x",
		"B: x\nA: y\n z":        "y\n z",
	} {
		fields, err := Strict.parseParagraph([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got := ""
		for _, f := range fields {
			if f.name == "A" {
				got = f.value
			}
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
