package apt

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/repo/layout"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// Config is what a Release file says of its repository. Texts are one line each; those that are empty are left out.
type Config struct {
	// Origin and Label must stay what they are for as long as the repository exists: apt asks before it accepts others.
	// Suite and Codename have no spaces. Description is for people.
	Origin, Label, Suite, Codename, Description string
	// Version is that of a release of a distribution. Others have none.
	Version string
	// NotAutomatic keeps apt from installing anything from here unless it is told to, and ButAutomaticUpgrades has it
	// keep up to date what was installed from here.
	NotAutomatic, ButAutomaticUpgrades bool
	// Architectures are Debian's names of those that the repository is for, in any order.
	Architectures []string
	// Components are the parts of a repository below dists/. A flat repository has none.
	Components []string
	// Date is when the index was made. Fractions of a second are cut off.
	Date time.Time
	// ValidUntil is when clients stop to accept the index; zero is never.
	ValidUntil time.Time
}

// Release is what a Release file says.
type Release struct {
	Config
	// Indexes are the files that it names, in the order of their paths.
	Indexes []IndexFile
}

// IndexFile is one line of the SHA256 list of a Release file: a path relative to the repository's root, a size in bytes
// and a digest in lower-case hex.
type IndexFile struct {
	Path   string
	Size   int64
	SHA256 string
}

// dateForm is RFC 5322 with the zone in digits, as apt-ftparchive and Debian's own archive write dates. It is always
// given UTC.
const dateForm = "Mon, 02 Jan 2006 15:04:05 -0700"

var (
	suiteForm = grammar{pattern: regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+.:/~_-]*$`), most: 128}
	pathForm  = grammar{pattern: regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+.~_/-]*$`), most: 256}
)

// check tells whether a Release file can say what cfg holds.
func (cfg Config) check() error {
	for _, f := range []field{{"Origin", cfg.Origin}, {"Label", cfg.Label}, {"Description", cfg.Description}} {
		if err := checkText([]byte(f.value)); err != nil {
			return fmt.Errorf("field %s: %w", f.name, err)
		}
		if strings.ContainsAny(f.value, "\n\t") || strings.TrimSpace(f.value) != f.value || len(f.value) > 1000 {
			return fmt.Errorf("field %s: %q: expected one line without spaces around it", f.name, refusal.Shorten(f.value))
		}
	}
	for _, f := range []field{{"Suite", cfg.Suite}, {"Codename", cfg.Codename}, {"Version", cfg.Version}} {
		if f.value != "" && !suiteForm.match(f.value) {
			return fmt.Errorf("field %s: %q: expected one word of letters, digits and + . : / ~ _ -", f.name, refusal.Shorten(f.value))
		}
	}
	seen := make(map[string]bool)
	for _, a := range cfg.Architectures {
		if !grammars[Strict][architecture].match(a) || seen[a] {
			return fmt.Errorf("field Architectures: %q is no architecture, or there twice", refusal.Shorten(a))
		}
		seen[a] = true
	}
	for i, c := range cfg.Components {
		if !suiteForm.match(c) || slices.Contains(cfg.Components[:i], c) {
			return fmt.Errorf("field Components: %q is no component, or there twice", refusal.Shorten(c))
		}
	}
	for _, t := range []time.Time{cfg.Date, cfg.ValidUntil} {
		if y := t.UTC().Year(); !t.IsZero() && (y < 1970 || y > 9999) {
			return fmt.Errorf("the year %d is out of range", y)
		}
	}
	switch {
	case cfg.ButAutomaticUpgrades && !cfg.NotAutomatic:
		return errors.New("field ButAutomaticUpgrades: says nothing without NotAutomatic")
	case cfg.Date.IsZero():
		return errors.New("field Date: not given")
	case !cfg.ValidUntil.IsZero() && !cfg.ValidUntil.After(cfg.Date):
		return errors.New("field Valid-Until: not after Date")
	}
	return nil
}

// covers tells whether the repository is for the package's architecture.
func (cfg Config) covers(p *Package) error {
	for _, a := range cfg.Architectures {
		if a == p.Architecture {
			return nil
		}
	}
	if p.Architecture == "all" {
		return nil
	}
	return fmt.Errorf("architecture %s is not one of the repository's: %s", p.Architecture,
		strings.Join(cfg.Architectures, " "))
}

// release writes the Release file, its fields in the order that Debian's archive gives them.
func (cfg Config) release(indexes []IndexFile) []byte {
	architectures := append([]string(nil), cfg.Architectures...)
	sort.Strings(architectures)
	var b bytes.Buffer
	for _, f := range []field{
		{"Origin", cfg.Origin},
		{"Label", cfg.Label},
		{"Suite", cfg.Suite},
		{"Version", cfg.Version},
		{"Codename", cfg.Codename},
		{"Date", formatDate(cfg.Date)},
		{"Valid-Until", formatDate(cfg.ValidUntil)},
		{"NotAutomatic", yes(cfg.NotAutomatic)},
		{"ButAutomaticUpgrades", yes(cfg.ButAutomaticUpgrades)},
		{"Acquire-By-Hash", "yes"},
		{"Architectures", strings.Join(architectures, " ")},
		{"Components", strings.Join(cfg.Components, " ")},
		{"Description", cfg.Description},
	} {
		if f.value != "" {
			b.WriteString(f.name + ": " + f.value + "\n")
		}
	}
	b.WriteString("SHA256:\n")
	for _, i := range indexes {
		fmt.Fprintf(&b, " %s %d %s\n", i.SHA256, i.Size, i.Path)
	}
	return b.Bytes()
}

// WriteRelease writes the Release file of a repository with these indexes, whose paths are relative to the folder that
// the file is in. They are listed in the order of their paths.
func (cfg Config) WriteRelease(indexes []IndexFile) ([]byte, error) {
	if err := cfg.check(); err != nil {
		return nil, &Error{File: layout.Release, Err: err}
	}
	indexes = slices.SortedFunc(slices.Values(indexes), func(a, b IndexFile) int { return cmp.Compare(a.Path, b.Path) })
	return cfg.release(indexes), nil
}

// yes is the value of a field that is only there when it says yes.
func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func formatDate(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(dateForm)
}

// maxRelease bounds a Release file; ours have well under a kilobyte.
const maxRelease = 1 << 20

// ParseRelease reads a Release file that Index wrote: Index makes the same bytes of what it returns. The text of an
// InRelease has to be taken out of its signature first.
func ParseRelease(data []byte) (release *Release, err error) {
	defer refusal.Recover(layout.Release, &err)
	if len(data) > maxRelease {
		return nil, fmt.Errorf("larger than %d bytes", maxRelease)
	}
	fields, err := Strict.parseParagraph(data)
	if err != nil {
		return nil, err
	}
	release = new(Release)
	for _, f := range fields {
		if err := release.set(f); err != nil {
			return nil, fmt.Errorf("field %s: %w", f.name, err)
		}
	}
	if err := release.check(); err != nil {
		return nil, err
	}
	if !bytes.Equal(release.release(release.Indexes), data) {
		return nil, errors.New("not in the form that this program writes")
	}
	return release, nil
}

func (r *Release) set(f field) (err error) {
	switch f.name {
	case "Origin":
		r.Origin = f.value
	case "Label":
		r.Label = f.value
	case "Suite":
		r.Suite = f.value
	case "Codename":
		r.Codename = f.value
	case "Description":
		r.Description = f.value
	case "Version":
		r.Version = f.value
	case "NotAutomatic":
		r.NotAutomatic = true // its one value is checked when the whole is compared
	case "ButAutomaticUpgrades":
		r.ButAutomaticUpgrades = true
	case "Components":
		r.Components = strings.Split(f.value, " ")
	case "Architectures":
		r.Architectures = strings.Split(f.value, " ")
	case "Date":
		r.Date, err = time.Parse(dateForm, f.value)
		r.Date = r.Date.UTC()
	case "Valid-Until":
		r.ValidUntil, err = time.Parse(dateForm, f.value)
		r.ValidUntil = r.ValidUntil.UTC()
	case "Acquire-By-Hash":
		// likewise
	case "SHA256":
		r.Indexes, err = parseIndexFiles(f.value)
	default:
		return errors.New("this program does not write it")
	}
	return err
}

// parseIndexFiles reads the value of the field SHA256: lines of a digest, a size and a path.
func parseIndexFiles(value string) ([]IndexFile, error) {
	var files []IndexFile
	for _, line := range strings.Split(strings.TrimPrefix(value, "\n"), "\n") {
		part := strings.Split(strings.TrimPrefix(line, " "), " ")
		if len(part) != 3 || !digestForm.MatchString(part[0]) || !pathForm.match(part[2]) {
			return nil, fmt.Errorf("%q is not a digest, a size and a path", refusal.Shorten(line))
		}
		size, err := strconv.ParseInt(part[1], 10, 63)
		if err != nil || size < 0 {
			return nil, fmt.Errorf("%q is no size", refusal.Shorten(part[1]))
		}
		if n := len(files); n > 0 && files[n-1].Path >= part[2] {
			return nil, fmt.Errorf("%s stands behind %s: not in order", part[2], files[n-1].Path)
		}
		files = append(files, IndexFile{Path: part[2], Size: size, SHA256: part[0]})
	}
	return files, nil
}
