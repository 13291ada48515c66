package build

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

func TestDefault(t *testing.T) {
	all := defaults(t)
	names := append(slices.Clone(packages), "cri-o")
	for _, name := range names {
		if all[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	if len(all) != len(names) {
		t.Errorf("got %d packages", len(all))
	}
}

// head is a definition without its files.
const head = `name: tool
source: upstream
versions: ">=1.0.0"
summary: A tool for tests
description: It does nothing.
section: admin
homepage: https://example.org
upstream: https://example.org/source
license: MIT
copyright: 2026 Nobody
maintainer: Nobody <nobody@example.org>
`

const files = "files:\n  - {path: /usr/bin/tool, from: tool, binary: true}\n"

func folder(definition string) fstest.MapFS {
	return fstest.MapFS{
		"tool/package.yaml":    {Data: []byte(definition)},
		"tool/tool.service":    {Data: []byte("[Service]\nExecStart=/usr/bin/tool\n")},
		"licenses/MIT.txt":     {Data: []byte("Do what you want.\n\nBut say who wrote it.\n")},
		".git/config":          {Data: []byte("x")},
		"README.md":            {Data: []byte("x")},
		"tool/large":           {Data: make([]byte, maxLocal+1)},
		"tool/folder/nested":   {Data: []byte("nested")},
		"licenses/unused/deep": {Data: []byte("x")},
	}
}

func TestLoad(t *testing.T) {
	all, err := Load(folder(head + `vendor: Somebody
words:
  etc: {deb: /etc/default, rpm: /etc/sysconfig}
requires:
  - {name: liba, at-least: 1.0.0}
  - {name: libb, versions: "<2.0.0"}
  - {name: libb, at-least: "2", versions: ">=2.0.0"}
  - {deb: libc, rpm: libd}
  - {rpm: libc}
recommends: [{name: liba}]
suggests: [{deb: libe}]
conflicts: [{name: libf}]
units: [{name: tool.service, on-upgrade: try-restart}]
files:
  - {path: /usr/bin/tool, from: "bin/{arch}/tool", binary: true}
  - {path: /usr/libexec/tool/one, from: "bundle.{version}.tar.gz", member: bin/one, mode: "0700"}
  - {path: "/usr/share/{package}/{member}", from: bundle.tgz, member: "*", except: [README*]}
  - {path: /usr/lib/systemd/system/tool.service, local: tool.service}
  - {path: "{etc}/tool", local: folder/nested, config: true, template: true}
  - {path: /usr/bin/alias, link: tool}
  - {path: /var/lib/tool, directory: true, mode: "0750", formats: [rpm]}
`))
	if err != nil {
		t.Fatal(err)
	}
	d := all["tool"]
	if d == nil || d.Files[0].mode() != 0o755 || d.Files[1].mode() != 0o700 || d.Files[2].mode() != 0o644 || d.Files[6].in(Deb) || !d.Files[6].in(Rpm) {
		t.Errorf("got %+v", d)
	}
	if want := "\nLicense: MIT\n Do what you want.\n .\n But say who wrote it.\n"; !strings.HasSuffix(d.copyright(sampleRequest("tool")), want) {
		t.Errorf("got %s", d.copyright(sampleRequest("tool")))
	}
}

// Each case is a definition behind the head and what its error must say.
func TestLoadErrors(t *testing.T) {
	with := func(s string) string { return head + files + s }
	file := func(s string) string { return head + "files:\n  - {" + s + "}\n" }
	for _, c := range []struct{ definition, want string }{
		{"", "tool/package.yaml:1:1: the file is empty"},
		{with("foo: bar\n"), `tool/package.yaml:14:1: unknown key "foo": expected one of conflicts, copyright, `},
		{strings.Replace(with(""), "name: tool", "name: other", 1), `tool/package.yaml:1:1: the package is called "other", its folder "tool"`},
		{strings.Replace(with(""), "MIT", "BSD", 1), "license: open licenses/BSD.txt: file does not exist"},
		{strings.Replace(with(""), ">=1.0.0", "1.0", 1), `tool/package.yaml:3:11: versions: range "1.0"`},
		{strings.Replace(with(""), "Nobody <nobody@example.org>", "nobody", 1), "Maintainer"},
		{strings.Replace(with(""), "https://example.org\n", "example\n", 1), "Homepage"},
		{strings.Replace(with(""), "section: admin", "section: Admin!", 1), "Section"},
		{head, `missing key "files"`},
		{with("requires: [{name: a}, {name: a}]\n"), "tool/package.yaml:14:23: a stands here again for versions of any kind: those of line 14 (of any kind) overlap"},
		{with("requires:\n- {name: a, versions: \">=1.0.0\"}\n- {deb: a, versions: \"=1.5.0\"}\n"), "tool/package.yaml:16:3: a stands here again for versions =1.5.0: those of line 15 (>=1.0.0) overlap"},
		{with("requires: [{at-least: \"1\"}]\n"), "14:12: expected either name, or deb or rpm or both"},
		{with("requires: [{name: a, deb: b}]\n"), "expected either name, or deb or rpm or both"},
		{with("requires: [{name: a, at-least: v1}]\n"), `at-least: "v1" is not a version`},
		{with("requires: [{name: a, at-least: \"1:2\"}]\n"), `at-least: "1:2" is not a version`},
		{with("requires: [{name: \"a b\"}]\n"), "Depends"},
		{with("requires: [{deb: \"<!x>\"}]\n"), "Depends"},
		{with("units: [{name: tool}]\n"), `"tool" is not the name of a systemd unit`},
		{with("units: [{name: tool.service}]\n"), "the deb has no file /usr/lib/systemd/system/tool.service"},
		{with("units: [{name: \"$(x).service\"}]\n"), "is not the name of a systemd unit"},
		{with("units: [{name: a.service, on-upgrade: stop}]\n"), `on-upgrade: unknown action "stop": expected keep or try-restart`},
		{with("words: {Etc: {deb: a, rpm: b}}\n"), `words: "Etc" cannot be a placeholder`},
		{with("words: {arch: {deb: a, rpm: b}}\n"), `words: "arch" cannot be a placeholder`},
		{with("words: {etc: {deb: a}}\n"), `missing key "rpm"`},
		{file("path: /a"), "/a: expected one of local, from, link and directory"},
		{file("path: /a, link: b, directory: true"), "/a: expected one of local, from, link and directory"},
		{file("path: /a, from: b.tgz"), "b.tgz is an archive: expected a member"},
		{file("path: /a, from: b, member: c"), "member and except are for files from a .tar.gz or .tgz"},
		{file("path: /a, from: b.tgz, member: \"[\""), `"[" is not a pattern`},
		{file("path: /a, local: tool.service, binary: true"), "only files from a release can be binaries"},
		{file("path: /a, link: b, gzip: true"), "gzip is for files of text"},
		{file("path: /a, from: b, binary: true, gzip: true"), "gzip is for files of text"},
		{file("path: /a, from: b, template: true"), "template is for local files"},
		{file("path: /a, directory: true, config: true"), "config, doc and license are for files"},
		{file("path: a, link: b"), `"a" is not a plain absolute path`},
		{file("path: /a/../b, link: b"), `"/a/../b" is not a plain absolute path`},
		{file("path: \"/{foo}\", link: b"), "unknown placeholder {foo}"},
		{file("path: \"/{member}\", link: b"), "unknown placeholder {member}"},
		{file("path: /a, link: b, formats: [apk]"), `formats[0]: unknown format "apk": expected deb or rpm`},
		{file("path: /a, link: b, mode: 755"), `mode: "755" is not a mode`},
		{file("path: /a, link: b, mode: \"4755\""), `mode: "4755" is not a mode`},
		{file("path: /a, local: ../licenses/MIT.txt"), "is not the name of a file beside package.yaml"},
		{file("path: /a, local: package.yaml"), "is not the name of a file beside package.yaml"},
		{file("path: /a, local: missing"), "local: open tool/missing: file does not exist"},
		{file("path: /a, local: folder"), "local: tool/folder is not a file"},
		{file("path: /a, local: large"), "tool/large is too large"},
		{file("path: \"/a\\nb\", link: b"), "without control characters"},
		{file("path: \"/a\\0b\", link: b"), "tool/package.yaml:13:5: "},
		{file("path: /" + strings.Repeat("a", 5000) + ", link: b"), "expected at most"},
		{with("  - {path: /usr/bin/tool, from: other}\n"), "tool/package.yaml:14:5: /usr/bin/tool stands here again: the deb has it from line 13"},
		{with("  - {path: /usr/bin/tool, from: other, formats: [rpm]}\n"), "/usr/bin/tool stands here again: the rpm has it from line 13"},
		{head + "files:\n" + strings.Repeat("  - {path: /a, link: b}\n", maxFiles+1), "files: 1001 of them: expected at most 1000"},
		{with("requires:\n" + strings.Repeat("  - {name: a}\n", maxRelations+1)), "more than 200 relations of one kind"},
		{strings.Replace(with(""), ">=1.0.0", strings.Repeat("=1.0.0||", 5000)+"=1.0.0", 1), "a range of 5001 alternatives"},
	} {
		_, err := Load(folder(c.definition))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngot %v, want %s", strings.TrimPrefix(c.definition, head), err, c.want)
		}
	}
	if _, err := Load(fstest.MapFS{}); err == nil || !strings.Contains(err.Error(), "no package definitions") {
		t.Errorf("got %v", err)
	}
	if _, err := Load(fstest.MapFS{"tool/x": {}}); err == nil || !strings.Contains(err.Error(), "tool/package.yaml") {
		t.Errorf("got %v", err)
	}
}

// Definitions in a folder of the user's own can neither lead out of it nor keep anybody waiting.
func TestHostileDefinitions(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		make func(local string) error
		want string
	}{
		"a link out":     {func(local string) error { return os.Symlink(filepath.Join(outside, "secret"), local) }, "escapes"},
		"a relative one": {func(local string) error { return os.Symlink("../../"+filepath.Base(outside)+"/secret", local) }, "escapes"},
		"a pipe":         {func(local string) error { return syscall.Mkfifo(local, 0o644) }, "tool/local is not a file"},
		"a folder":       {func(local string) error { return os.Mkdir(local, 0o755) }, "tool/local is not a file"},
		"a loop":         {func(local string) error { return os.Symlink("local", local) }, "too many"},
		"mostly nothing": {func(local string) error {
			return errors.Join(os.WriteFile(local, nil, 0o644), os.Truncate(local, 1<<32))
		}, "too large"},
		"nothing to be had": {func(local string) error { return nil }, "no such file"},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"tool/package.yaml": head + "files:\n  - {path: /a, local: local}\n", "licenses/MIT.txt": "Do what you want.\n"} {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.make(filepath.Join(dir, "tool/local")); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if _, err := Load(root.FS()); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "tool/package.yaml:13:5: local: ") {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// The files beside a definition are bounded together, and one that is used twice is read once.
func TestManyLocals(t *testing.T) {
	all := folder(head)
	text := head + "files:\n"
	for i := range 17 {
		all[fmt.Sprintf("tool/%d", i)] = &fstest.MapFile{Data: make([]byte, maxLocal)}
		text += fmt.Sprintf("  - {path: /%d, local: \"%d\"}\n", i, i)
	}
	all["tool/package.yaml"] = &fstest.MapFile{Data: []byte(text)}
	if _, err := Load(all); err == nil || !strings.Contains(err.Error(), "have more than 16777216 bytes together") {
		t.Errorf("got %v", err)
	}
	text = head + "files:\n"
	for i := range 17 {
		text += fmt.Sprintf("  - {path: /%d, local: \"0\"}\n", i)
	}
	all["tool/package.yaml"] = &fstest.MapFile{Data: []byte(text)}
	if _, err := Load(all); err != nil {
		t.Error(err)
	}
}

// The mistakes of several packages are reported at once.
func TestLoadManyErrors(t *testing.T) {
	all := folder(head)
	maps.Copy(all, fstest.MapFS{"other/package.yaml": {Data: []byte("name: [1]\n")}})
	_, err := Load(all)
	for _, want := range []string{"tool/package.yaml:1:1: missing key \"files\"", "other/package.yaml:1:7: name: found a list"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v\ndoes not say %s", err, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(head + files))
	for _, name := range packages {
		data, err := embedded.ReadFile("definitions/" + name + "/package.yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := Load(folder(string(data)))
		if err != nil {
			return
		}
		// What loads can be described in both formats.
		p := &prepared{definition: all["tool"], request: sampleRequest("tool"), date: released}
		if p.debMeta().Check() != nil || p.rpmMeta().Check() != nil {
			t.Errorf("%q loads, but makes no package", data)
		}
	})
}
