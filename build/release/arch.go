package release

import "fmt"

// Architecture names one processor architecture in the words of Go, Debian and RPM. The three differ: ppc64le is ppc64el
// to Debian, amd64 is x86_64 to RPM.
type Architecture struct{ Go, Deb, Rpm string }

var architectures = []Architecture{
	{"amd64", "amd64", "x86_64"},
	{"arm64", "arm64", "aarch64"},
	{"ppc64le", "ppc64el", "ppc64le"},
	{"riscv64", "riscv64", "riscv64"},
	{"s390x", "s390x", "s390x"},
}

// ParseArchitecture finds an architecture by the name that Go gives it.
func ParseArchitecture(name string) (Architecture, error) {
	known := ""
	for _, a := range architectures {
		if a.Go == name {
			return a, nil
		}
		known += " " + a.Go
	}
	return Architecture{}, fmt.Errorf("unknown architecture %q: expected one of%s", name, known)
}
