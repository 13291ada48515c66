package release

import (
	"fmt"
	"path"
	"strings"
)

// Checksum files that hold one digest are this large at most; a list of all files of a release is larger.
const (
	maxChecksumFile = 4 << 10
	maxChecksumList = 4 << 20
)

// checksumPlace is a place where a release may keep a file's checksum.
type checksumPlace struct {
	algorithm string
	// suffix follows the file's own name; list is the name of a file in the release's folder. One of them is set.
	suffix, list string
}

var checksumPlaces = []checksumPlace{
	{algorithm: "sha256", suffix: ".sha256"},
	{algorithm: "sha256", suffix: ".sha256sum"},
	{algorithm: "sha512", suffix: ".sha512"},
	{algorithm: "sha256", list: "SHA256SUMS"},
	{algorithm: "sha512", list: "SHA512SUMS"},
}

// hexLength is how many digits a digest has.
func hexLength(algorithm string) int {
	if algorithm == "sha512" {
		return 128
	}
	return 64
}

// parseChecksum reads the checksum of the file at name, a path relative to the release's folder, from a file that holds
// nothing else. from names that file in errors.
func parseChecksum(from, algorithm, name string, data []byte) (string, error) {
	line, rest, _ := strings.Cut(string(data), "\n")
	if strings.TrimSpace(rest) != "" {
		return "", fmt.Errorf("%s:2: expected one line with the digest of %s", from, path.Base(name))
	}
	digest, of, err := parseChecksumLine(algorithm, strings.TrimSuffix(line, "\r"))
	if err != nil {
		return "", fmt.Errorf("%s:1: %w", from, err)
	}
	if of != "" && of != path.Base(name) && of != name {
		return "", fmt.Errorf("%s:1: found the digest of %q, expected that of %s", from, of, path.Base(name))
	}
	return digest, nil
}

// parseChecksums reads a list of checksums, such as SHA256SUMS, into digests by name.
func parseChecksums(from, algorithm string, data []byte) (map[string]string, error) {
	digests := map[string]string{}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" {
			continue
		}
		digest, name, err := parseChecksumLine(algorithm, line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", from, number, err)
		}
		name = strings.TrimPrefix(name, "./")
		if name == "" {
			return nil, fmt.Errorf("%s:%d: found a digest without a name, expected \"digest  path\"", from, number)
		}
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", from, number, err)
		}
		if other, twice := digests[name]; twice && other != digest {
			return nil, fmt.Errorf("%s:%d: a second, different digest of %s", from, number, name)
		}
		digests[name] = digest
	}
	return digests, nil
}

// parseChecksumLine reads "digest", "digest  name" or "digest *name".
func parseChecksumLine(algorithm, line string) (digest, name string, err error) {
	digest, name, named := strings.Cut(line, " ")
	if want := hexLength(algorithm); len(digest) != want {
		return "", "", fmt.Errorf("found %d characters, expected the %d hexadecimal digits of a %s", len(digest), want, algorithm)
	}
	if i := strings.IndexFunc(digest, func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) }); i >= 0 {
		return "", "", fmt.Errorf("found %q in a digest, expected hexadecimal digits in lower case", digest[i:i+1])
	}
	if !named {
		return digest, "", nil
	}
	if len(name) < 2 || name[0] != ' ' && name[0] != '*' {
		return "", "", fmt.Errorf("found %q after the digest, expected two spaces and a name", shorten(name))
	}
	return digest, name[1:], nil
}

func shorten(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// checkName refuses names of files that are not plain relative paths: they come from config, from checksum lists and from
// tarballs, and become parts of URLs, of paths in packages and of messages.
func checkName(name string) error {
	switch {
	case name == "" || len(name) > 500:
		return fmt.Errorf("a name of %d characters: expected 1 to 500", len(name))
	case strings.HasPrefix(name, "/"):
		return fmt.Errorf("the name %q is absolute: expected a path relative to the release", shorten(name))
	case path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../") || name == ".":
		return fmt.Errorf("the name %q leads elsewhere or is not written plainly: expected a path without .. and //", shorten(name))
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`\"'*?<>|`+"`", c) >= 0 {
			return fmt.Errorf("the name %q has a character that names of release files do not have", shorten(name))
		}
	}
	return nil
}
