package build

import (
	"strings"
	"testing"
)

// Every license of a package stands in it, in the words of Debian, of rpm and of SPDX, with the files that are under it.
func TestLicenses(t *testing.T) {
	t.Parallel()
	deb, rpm := crio(t, tiny(t, "s390x"), "v1.35.1", "s390x")

	// python3-debian's reader of copyright files, which finds the license of a file as the format says.
	const program = `
import sys, debian.copyright
c = debian.copyright.Copyright(sys.stdin.read().splitlines(True), strict=True)
names = [p.license.synopsis for p in c.all_license_paragraphs()]
for name in sys.argv[1:]:
    p = c.find_files_paragraph(name)
    assert p.license.synopsis in names, p.license.synopsis
    print(name, p.license.synopsis, "/", p.copyright)
`
	got := run(t, "python3-debian", "sh", "-c", `program=$1 deb=$2; shift 2; dpkg-deb --fsys-tarfile "$deb" | tar -xO ./usr/share/doc/cri-o/copyright | /usr/bin/python3 -c "$program" "$@"`,
		"sh", program, deb.Path, "usr/bin/crio", "usr/libexec/crio/crun", "usr/libexec/crio/runc")
	want := "usr/bin/crio Apache-2.0 / 2016-2026 The CRI-O Authors\n" +
		"usr/libexec/crio/crun GPL-2+ / 2017-2026 Giuseppe Scrivano and the crun Authors\n" +
		"usr/libexec/crio/runc Apache-2.0 / 2016-2026 The CRI-O Authors\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	copyright := run(t, "dpkg", "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/share/doc/cri-o/copyright`, "sh", deb.Path)
	if !strings.Contains(copyright, "/usr/share/common-licenses/GPL-2 on Debian") {
		t.Errorf("got %s", copyright)
	}

	text := run(t, "rpm2cpio cpio", "sh", "-c", `rpm2cpio "$1" | cpio -i --quiet --to-stdout ./usr/share/licenses/cri-o/LICENSE.GPL-2.0-or-later`, "sh", rpm.Path)
	if !strings.Contains(text, "GNU GENERAL PUBLIC LICENSE") {
		t.Errorf("got %.100s", text)
	}
	if got := run(t, "rpm", "rpm", "-qpL", "--nosignature", rpm.Path); got != "/usr/share/licenses/cri-o/LICENSE\n/usr/share/licenses/cri-o/LICENSE.GPL-2.0-or-later\n" {
		t.Errorf("got %q", got)
	}

	for _, p := range []Package{deb, rpm} {
		var s spdxDocument
		readJSON(t, p.SBOM, &s)
		self := s.Packages[0]
		if self.LicenseDeclared != "Apache-2.0 AND GPL-2.0-or-later" || self.LicenseConcluded != self.LicenseDeclared || !strings.Contains(self.Copyright, "CRI-O Authors\n2017") {
			t.Errorf("got %+v", self)
		}
		for _, f := range s.Files {
			if want := map[bool]string{true: "GPL-2.0-or-later", false: noAssertion}[f.Name == "./usr/libexec/crio/crun"]; f.LicenseConcluded != want {
				t.Errorf("%s is under %s, want %s", f.Name, f.LicenseConcluded, want)
			}
		}
	}
}

func TestDebianLicense(t *testing.T) {
	for spdx, want := range map[string][2]string{
		"Apache-2.0":        {"Apache-2.0", "/usr/share/common-licenses/Apache-2.0"},
		"MPL-2.0":           {"MPL-2.0", "/usr/share/common-licenses/MPL-2.0"},
		"GPL-2.0-or-later":  {"GPL-2+", "/usr/share/common-licenses/GPL-2"},
		"GPL-3.0-only":      {"GPL-3", "/usr/share/common-licenses/GPL-3"},
		"LGPL-2.1-or-later": {"LGPL-2.1+", "/usr/share/common-licenses/LGPL-2.1"},
		"MIT":               {"MIT", ""}, "BSD-3-Clause": {"BSD-3-Clause", ""}, "AGPL-3.0-only": {"AGPL-3.0-only", ""},
	} {
		if name, place := debianLicense(spdx); name != want[0] || place != want[1] {
			t.Errorf("%s: got %s in %q", spdx, name, place)
		}
	}
}

func TestLicenseErrors(t *testing.T) {
	licenses := func(text string) string {
		return head + "licenses:\n" + text + "files:\n  - {path: /usr/bin/tool, from: tool}\n"
	}
	for text, want := range map[string]string{
		licenses("  - {license: MIT, copyright: x, files: [/usr/bin/other]}\n"):                                                          `there is no file "/usr/bin/other" among files`,
		licenses("  - {license: MIT, copyright: x, files: []}\n"):                                                                        "no file is under MIT",
		licenses("  - {license: MIT, copyright: x, files: [/usr/bin/tool, /usr/bin/tool]}\n"):                                            "/usr/bin/tool stands here twice",
		licenses("  - {license: MIT, copyright: x}\n"):                                                                                   "files",
		licenses("  - {license: Nothing-1.0, copyright: x, files: [/usr/bin/tool]}\n"):                                                   "license: open licenses/Nothing-1.0.txt",
		licenses("  - {license: ../../etc/passwd, copyright: x, files: [/usr/bin/tool]}\n"):                                              "is not an SPDX identifier",
		licenses("  - {license: MIT, copyright: x, files: [/usr/bin/tool]}\n  - {license: MIT, copyright: y, files: [/usr/bin/tool]}\n"): "stands here twice",
	} {
		if _, err := Load(folder(text)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "tool/package.yaml:") {
			t.Errorf("%s\ngot %v, want %s", text, err, want)
		}
	}
}
