package yum

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// record is all that the three indexes say of one package.
type record struct {
	name, arch    string
	version       evr
	digest        string
	summary       string
	description   string
	packager, url string
	buildTime     int64 // Unix time
	size          int64 // bytes: of the file, of what it installs, of the unpacked payload
	installed     uint64
	archive       uint64
	href          string
	license       string
	vendor, group string
	buildHost     string
	sourceRPM     string
	headerStart   int64 // byte offsets in the file
	headerEnd     int64
	relations     [len(relationKinds)][]Dependency
	files         []packageFile
	changes       []change
}

var (
	nameForm   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}$`)
	archForm   = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)
	digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
	hrefForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+~^_:=,@/-]*\.rpm$`)
)

// newRecord reads what the indexes say of a package out of its headers. Size, digest and href are not said there.
func (m *Reader) newRecord(f *file) (*record, error) {
	r := &record{headerStart: f.start, headerEnd: f.end, size: f.size}
	readTexts := func(f *file) error { return r.readTexts(f, m.Foreign) }
	for _, step := range []func(*file) error{readTexts, r.readNumbers, r.readFiles, r.readRelations, r.readChanges} {
		if err := step(f); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// readTexts fills in the values that are strings. What does not name its source package is one, to rpm and to createrepo_c.
// Among our own packages it is one whose maker forgot the name.
func (r *record) readTexts(f *file, foreign bool) error {
	var version, release string
	for _, field := range []struct {
		to  *string
		tag tag
	}{
		{&r.name, tagName}, {&version, tagVersion}, {&release, tagRelease}, {&r.arch, tagArch},
		{&r.summary, tagSummary}, {&r.description, tagDescription}, {&r.packager, tagPackager}, {&r.url, tagURL},
		{&r.license, tagLicense}, {&r.vendor, tagVendor}, {&r.group, tagGroup}, {&r.buildHost, tagBuildHost},
		{&r.sourceRPM, tagSourceRPM},
	} {
		var err error
		if *field.to, err = f.main.text(field.tag); err != nil {
			return err
		}
	}
	_, source := f.main.entries[tagSourcePackage]
	_, named := f.main.entries[tagSourceRPM]
	if source || foreign && !named {
		r.arch = "src"
	}
	epoch, _, err := f.main.number(tagEpoch, kindInt32)
	if err != nil {
		return err
	}
	r.version = evr{fmt.Sprint(epoch), version, release}
	if err := r.check(); err != nil {
		return err
	}
	if r.sourceRPM == "" && r.arch != "src" && !foreign {
		return errors.New("does not name its source package: rpm would take it for one")
	}
	return nil
}

// check tells whether the texts of the record may stand in an index.
func (r *record) check() error {
	const versionWords = "letters, digits and . _ + ~ ^, beginning with a letter or digit"
	switch v := r.version; {
	case !nameForm.MatchString(r.name):
		return fmt.Errorf("name %q: expected letters, digits and . _ + -", refusal.Shorten(r.name))
	case !archForm.MatchString(r.arch):
		return fmt.Errorf("architecture %q: expected small letters, digits and _", refusal.Shorten(r.arch))
	case !checkVersion(v.version):
		return fmt.Errorf("version %q: expected %s", refusal.Shorten(v.version), versionWords)
	case !checkVersion(v.release):
		return fmt.Errorf("release %q: expected %s", refusal.Shorten(v.release), versionWords)
	case !checkEpoch(v.epoch):
		return fmt.Errorf("epoch %q: expected a number below 2^32", refusal.Shorten(v.epoch))
	}
	for _, text := range []struct{ name, value string }{
		{"summary", r.summary}, {"description", r.description}, {"packager", r.packager}, {"url", r.url},
		{"license", r.license}, {"vendor", r.vendor}, {"group", r.group}, {"build host", r.buildHost},
		{"source package", r.sourceRPM},
	} {
		if err := checkText(text.value); err != nil {
			return fmt.Errorf("%s: %w", text.name, err)
		}
	}
	return nil
}

// readNumbers fills in times and sizes.
func (r *record) readNumbers(f *file) error {
	built, _, err := f.main.number(tagBuildTime, kindInt32)
	if err != nil {
		return err
	}
	r.buildTime = int64(built)
	if r.installed, _, err = f.main.size(tagLongSize, tagSize); err != nil {
		return err
	}
	var ok bool
	if r.archive, ok, err = f.signature.size(sigLongArchive, sigArchive); err == nil && !ok {
		r.archive, _, err = f.main.size(tagLongArchive, tagArchiveSize)
	}
	if r.installed > math.MaxInt64 || r.archive > math.MaxInt64 {
		return fmt.Errorf("a size of %d or %d bytes is beyond belief", r.installed, r.archive)
	}
	return err
}

// checkText refuses what XML 1.0 cannot hold or what clients read differently: bytes that are not UTF-8, control
// characters but tab and line feed, and code points that are no characters.
func checkText(s string) error {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if bad := refusal.Rune(r, size); bad == "not UTF-8" {
			return fmt.Errorf("%s at %q", bad, refusal.Shorten(s[i:]))
		} else if bad != "" {
			return errors.New(bad)
		}
		i += size
	}
	return nil
}

// checkLine is checkText for what must stand on one line.
func checkLine(s string) error {
	if strings.ContainsAny(s, "\n\t") {
		return fmt.Errorf("%q has a line feed or tab in it", refusal.Shorten(s))
	}
	return checkText(s)
}
