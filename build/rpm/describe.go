package rpm

import (
	"fmt"
	"hash"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/build/payload"
)

const (
	// rpmVersion is recorded as the rpm that built the package: the first that writes all that we write.
	rpmVersion = "4.16.0"
	// digestSHA256 is the number that OpenPGP gives SHA-256.
	digestSHA256 = 8
)

// describe sets all entries of the main header but those on the payload.
func (m Meta) describe(h *header, tree *payload.Tree) error {
	h.strings(tagHeaderI18NTable, []string{"C"})
	h.string(tagName, m.Name)
	h.string(tagVersion, m.Version)
	h.string(tagRelease, m.Release)
	h.text(tagSummary, m.Summary)
	h.text(tagDescription, strings.TrimRight(m.Description, "\n"))
	h.int32(tagBuildTime, uint32(m.Time.Unix()))
	h.string(tagLicense, m.License)
	group := m.Group
	if group == "" {
		group = "Unspecified"
	}
	h.text(tagGroup, group)
	h.string(tagOS, "linux")
	h.string(tagArch, m.Arch)
	// Without the name of a source package, rpm takes this for one.
	h.string(tagSourceRPM, m.Name+"-"+m.evr()+".src.rpm")
	h.string(tagRPMVersion, rpmVersion)
	h.string(tagEncoding, "utf-8")
	for _, optional := range []struct {
		tag  uint32
		text string
	}{{tagBuildHost, m.BuildHost}, {tagVendor, m.Vendor}, {tagPackager, m.Packager}, {tagURL, m.URL}} {
		if optional.text != "" {
			h.string(optional.tag, optional.text)
		}
	}
	m.describeChanges(h)
	for _, s := range m.scripts() {
		if s.there() {
			if s.body() != "" {
				h.string(s.bodyTag, s.body())
			}
			if program := s.program(); len(program) == 1 {
				h.string(s.programTag, program[0])
			} else {
				h.strings(s.programTag, program)
			}
		}
	}
	m.describeRelations(h, tree)
	return describeFiles(h, tree.Entries(), m.Time)
}

func (m Meta) describeChanges(h *header) {
	if len(m.Changelog) == 0 {
		return
	}
	var times []uint32
	var authors, texts []string
	for _, c := range m.Changelog {
		times = append(times, uint32(c.Time.Unix()))
		authors = append(authors, c.Author)
		texts = append(texts, strings.TrimRight(c.Text, "\n"))
	}
	h.int32(tagChangelogTime, times...)
	h.strings(tagChangelogName, authors)
	h.strings(tagChangelogText, texts)
}

// payload sets the entries on the payload, of which plain is the digest before compression. Their length does not depend on
// it.
func (h *header) payload(r payload.Result, plain hash.Hash) {
	h.string(tagPayloadFormat, "cpio")
	h.string(tagPayloadCompressor, "xz")
	h.string(tagPayloadFlags, "2")
	h.strings(tagPayloadDigest, []string{fmt.Sprintf("%x", r.SHA256)})
	h.int32(tagPayloadDigestAlgo, digestSHA256)
	h.strings(tagPayloadDigestAlt, []string{fmt.Sprintf("%x", plain.Sum(nil))})
}

// scriptlet is a script together with what its time of running decides.
type scriptlet struct {
	Script
	name                string
	bodyTag, programTag uint32
	sense               sense
}

func (m Meta) scripts() []scriptlet {
	return []scriptlet{
		{m.Pre, "pre", tagPreIn, tagPreInProg, sensePre},
		{m.Post, "post", tagPostIn, tagPostInProg, sensePost},
		{m.PreUn, "preun", tagPreUn, tagPreUnProg, sensePreUn},
		{m.PostUn, "postun", tagPostUn, tagPostUnProg, sensePostUn},
	}
}

func (s Script) there() bool { return s.Body != "" || s.Interpreter != "" }

func (s Script) body() string { return strings.TrimRight(s.Body, "\n") }

func (s Script) program() []string {
	if s.Interpreter == "" {
		return []string{"/bin/sh"}
	}
	return strings.Fields(s.Interpreter)
}

// isa is the architecture in the form that relations name it in, by that of packages.
var isa = map[string]string{
	"x86_64":  "x86-64",
	"aarch64": "aarch-64",
	"ppc64le": "ppc-64",
	"s390x":   "s390-64",
	"riscv64": "riscv-64",
}

// describeRelations sets the relations: those that were given, and those that every package has.
func (m Meta) describeRelations(h *header, tree *payload.Tree) {
	self := func(name string, flags sense) dependency { return dependency{name, senseEqual | flags, m.evr()} }
	provides := append(dependencies(m.Provides, 0), self(m.Name, 0))
	if isa, ok := isa[m.Arch]; ok {
		provides = append(provides, self(m.Name+"("+isa+")", 0))
	}
	requires := dependencies(m.Requires, 0)
	if slices.ContainsFunc(tree.Entries(), func(e payload.Entry) bool { return e.Config }) {
		provides = append(provides, self("config("+m.Name+")", senseConfig))
		requires = append(requires, self("config("+m.Name+")", senseConfig))
	}
	arguments := false
	var order []dependency
	for _, s := range m.scripts() {
		order = append(order, dependencies(s.After, s.sense)...)
		requires = append(requires, dependencies(s.Requires, s.sense)...)
		if s.there() {
			requires = append(requires, dependency{name: s.program()[0], sense: s.sense | senseInterpreter})
			arguments = arguments || len(s.program()) > 1
		}
	}
	weak := []struct {
		names, flags, versions uint32
		list                   []dependency
	}{
		{tagConflictName, tagConflictFlags, tagConflictVersion, dependencies(m.Conflicts, 0)},
		{tagObsoleteName, tagObsoleteFlags, tagObsoleteVersion, dependencies(m.Obsoletes, 0)},
		{tagRecommendName, tagRecommendFlags, tagRecommendVersion, dependencies(m.Recommends, 0)},
		{tagSuggestName, tagSuggestFlags, tagSuggestVersion, dependencies(m.Suggests, 0)},
		{tagSupplementName, tagSupplementFlags, tagSupplementVersion, dependencies(m.Supplements, 0)},
		{tagEnhanceName, tagEnhanceFlags, tagEnhanceVersion, dependencies(m.Enhances, 0)},
		{tagOrderName, tagOrderFlags, tagOrderVersion, order},
	}
	all := slices.Concat(provides, requires)
	for _, w := range weak {
		all = append(all, w.list...)
	}
	requires = append(requires, features(all, arguments, len(tree.Entries()) > 0)...)

	h.relations(tagProvideName, tagProvideFlags, tagProvideVersion, provides)
	h.relations(tagRequireName, tagRequireFlags, tagRequireVersion, requires)
	for _, w := range weak {
		h.relations(w.names, w.flags, w.versions, w.list)
	}
}

// features are the abilities that rpm must have to install the package.
func features(all []dependency, arguments, files bool) []dependency {
	var list []dependency
	need := func(condition bool, feature, since string) {
		if condition {
			list = append(list, dependency{"rpmlib(" + feature + ")", senseRpmlib | senseLess | senseEqual, since})
		}
	}
	holds := func(what string) bool {
		return slices.ContainsFunc(all, func(d dependency) bool { return strings.Contains(d.version, what) })
	}
	rich := slices.ContainsFunc(all, func(d dependency) bool { return strings.HasPrefix(d.name, "(") })
	need(files, "CompressedFileNames", "3.0.4-1")
	need(files, "FileDigests", "4.6.0-1")
	need(files, "PayloadFilesHavePrefix", "4.0-1")
	need(true, "PayloadIsXz", "5.2-1")
	need(holds("~"), "TildeInVersions", "4.10.0-1")
	need(holds("^"), "CaretInVersions", "4.15.0-1")
	need(rich, "RichDependencies", "4.12.0-1")
	need(arguments, "ScriptletInterpreterArgs", "4.0.3-1")
	return list
}

func (h *header) relations(names, flags, versions uint32, list []dependency) {
	if len(list) == 0 {
		return
	}
	slices.SortFunc(list, dependency.compare)
	var n, v []string
	var f []uint32
	for _, d := range slices.Compact(list) {
		n, f, v = append(n, d.name), append(f, uint32(d.sense)), append(v, d.version)
	}
	h.strings(names, n)
	h.int32(flags, f...)
	h.strings(versions, v)
}
