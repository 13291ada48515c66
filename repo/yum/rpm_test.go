package yum

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/layout"
)

var testConfig = Config{Revision: "42", Date: time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC)}

// tool finds a program that a test cannot do without.
func tool(t testing.TB, name, debianPackage string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: install the Debian package %s", err, debianPackage)
	}
	return p
}

// run runs a program in dir and returns what it printed on standard output.
func run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC", "HOME="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// makeRPM has rpmbuild make the packages of a spec below dir, in a folder for each architecture. Defines are macros of
// the form "name value".
func makeRPM(t testing.TB, dir, spec string, defines ...string) {
	t.Helper()
	top := t.TempDir()
	name := filepath.Join(top, "test.spec")
	write(t, name, spec)
	args := []string{"-bb", "--quiet", "--define", "_topdir " + top, "--define", "_rpmdir " + dir,
		"--define", "_buildhost builder.example.org", "--define", "_build_id_links none"}
	for _, d := range defines {
		args = append(args, "--define", d)
	}
	run(t, top, tool(t, "rpmbuild", "rpm"), append(args, name)...)
}

// readAll reads every .rpm below dir.
func readAll(t testing.TB, dir string) []*Package {
	t.Helper()
	var packages []*Package
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".rpm") {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		p, err := ReadPackage(bytes.NewReader(data), int64(len(data)), rel)
		packages = append(packages, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

func writeFiles(t testing.TB, dir string, files []layout.File) {
	t.Helper()
	for _, f := range files {
		write(t, filepath.Join(dir, f.Path), string(f.Data))
	}
}

func gunzip(t testing.TB, data []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// oddSpec has something of everything that an index speaks of.
var oddSpec = `
Name: odd-pkg
Version: 1.2.3~rc1^git5
Release: 1.el9
Epoch: 3
Summary: An <odd> & "quoted" 'ünïcode' summary
License: MIT and (GPL-2.0-or-later or "other")
URL: https://example.org/?a=b&c=d
Vendor: Test "Vendor" & Söhne
Packager: Some One <a@example.org>
Group: Dev/Tools
Provides: foo = 1.0, bar, with-epoch = 7:1-2, font(:lang=en)
Requires: baz >= 2:1.0-3, less < 4, bazz <= 1, more > 0:5
Requires: (aa or bb), (cc >= 1.0 if dd), ((ee with ff) or (gg without hh)), (pkgconfig(x) >= 2 if ii else jj)
Requires: /etc/odd/conf, /usr/bin/other, bar, twice, twice, libc.so.6(GLIBC_2.4)(64bit), libc.so.6()(64bit), libc.so.6(GLIBC_2.34)(64bit), libc.so.6(GLIBC_2.15)(64bit)
Requires(pre): shadow-utils
Requires(post): systemd
Requires(preun): systemd
Requires(postun): systemd
Requires(pretrans): trans
Conflicts: old < 1, (pkgconfig(x) >= 2 unless ii else jj)
Obsoletes: oldname <= 1:3.2
Suggests: sug, sug2 = 3
Enhances: enh
Recommends: rec > 3, rec2
Supplements: (xx and yy), sup
%description
Long description
with <lines> & such, "quotes" and 日本語.

  indented	with a tab
]]> and &amp; done
%install
mkdir -p %{buildroot}/etc/odd/sub %{buildroot}/usr/bin %{buildroot}/usr/sbin %{buildroot}/usr/share/odd/cabin
mkdir -p %{buildroot}/var/log %{buildroot}/usr/lib %{buildroot}/var/empty
echo x > %{buildroot}/etc/odd/conf
echo x > %{buildroot}/usr/bin/odd
ln -s odd %{buildroot}/usr/bin/odd2
echo x > %{buildroot}/usr/share/odd/data
echo x > "%{buildroot}/usr/share/odd/space & <x> 'q' ñ"
echo x > %{buildroot}/usr/share/odd/cabin/file
echo x > %{buildroot}/usr/share/odd/` + longName + `
echo x > %{buildroot}/usr/lib/sendmail
touch %{buildroot}/var/log/odd.log
%pretrans -p <lua>
print("x")
%pre
echo pre
%post
echo hi
%preun -p /bin/sh
echo bye
%postun
echo gone
%posttrans
echo done
%files
%dir /etc/odd
%config(noreplace) /etc/odd/conf
%config(missingok) %ghost /etc/odd/missing
%dir /etc/odd/sub
/usr/bin/odd
/usr/bin/odd2
/usr/share/odd
/usr/lib/sendmail
%dir %attr(0700, daemon, daemon) /var/empty
%ghost /var/log/odd.log
%ghost %dir /var/log/ghostdir
%changelog
* Wed Jan 03 2024 A B <a@example.org> - 3:1.2.3-1
- second & <b>
- more "text"

* Wed Jan 03 2024 Ünï Code <u@example.org>
- same day
* Wed Jan 03 2024 C D
- and again
* Tue Jan 02 2024 E F <e@example.org> - 9
- 9
* Mon Jan 01 2024 E F <e@example.org> - 8
- 8
* Sun Dec 31 2023 E F <e@example.org> - 7
- 7
* Sat Dec 30 2023 E F <e@example.org> - 6
- 6
* Fri Dec 29 2023 E F <e@example.org> - 5
- 5
* Thu Dec 28 2023 E F <e@example.org> - 4
- 4
* Wed Dec 27 2023 E F <e@example.org> - 3
- 3
* Tue Dec 26 2023 E F <e@example.org> - 2
- 2
* Mon Dec 25 2023 E F <e@example.org> - 1
- 1
`

var longName = strings.Repeat("long-name-", 25)

// plainSpec makes a noarch package with one file, and a sub-package without any.
const plainSpec = `
Name: %{pkg}
Version: 1.0
Release: 1
Summary: Plain
License: MIT
BuildArch: noarch
%description
Plain.
%package empty
Summary: Nothing in it
%description empty
%install
mkdir -p %{buildroot}/usr/share/%{pkg}
seq 1000 > %{buildroot}/usr/share/%{pkg}/data
%files
/usr/share/%{pkg}
%files empty
`

// testPackages builds one package of every kind into dir.
func testPackages(t testing.TB, dir string) {
	makeRPM(t, dir, oddSpec)
	for pkg, payload := range map[string]string{
		"plain-gz": "w9.gzdio", "plain-xz": "w2.xzdio", "plain-bz": "w9.bzdio", "plain-zst": "w3.zstdio",
	} {
		makeRPM(t, dir, plainSpec, "pkg "+pkg, "_binary_payload "+payload)
	}
}
