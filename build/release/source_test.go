package release

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const kubelet = "bin/linux/amd64/kubelet"

var content = strings.Repeat("not really a kubelet\n", 100000)

func hex256(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
func hex512(s string) string { return fmt.Sprintf("%x", sha512.Sum512([]byte(s))) }

// folderWith makes a directory with files by their names.
func folderWith(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t *testing.T, url string) *Source {
	t.Helper()
	s, err := Open(t.Context(), Config{Name: "kubernetes", URL: url, Cache: filepath.Join(t.TempDir(), "cache"), Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// cached lists the cache, which must hold nothing but verified files.
func cached(t *testing.T, s *Source) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.config.Cache, "sha256"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Every way to give a checksum, from a directory and from a web server.
func TestFetch(t *testing.T) {
	const file = "v1.34.1/" + kubelet
	for name, sums := range map[string]map[string]string{
		"sha256 bare":         {file + ".sha256": hex256(content)},
		"sha256 with newline": {file + ".sha256": hex256(content) + "\n"},
		"sha256 named":        {file + ".sha256": hex256(content) + "  kubelet\n"},
		"sha256 path":         {file + ".sha256": hex256(content) + "  " + kubelet + "\n"},
		"sha256 binary":       {file + ".sha256": hex256(content) + " *kubelet\n"},
		"sha256sum":           {file + ".sha256sum": hex256(content) + "  kubelet\n"},
		"sha512":              {file + ".sha512": hex512(content)},
		"list":                {"v1.34.1/SHA256SUMS": hex256("x") + "  kubelet\n" + hex256(content) + "  " + kubelet + "\n"},
		"list with dots":      {"v1.34.1/SHA256SUMS": hex256(content) + "  ./" + kubelet + "\n"},
		"list of sha512":      {"v1.34.1/SHA512SUMS": hex512(content) + "  " + kubelet + "\n"},
		"first counts":        {file + ".sha256": hex256(content), "v1.34.1/SHA256SUMS": hex256("x") + "  " + kubelet + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			sums[file] = content
			dir := folderWith(t, sums)
			when := time.Date(2025, 9, 10, 11, 12, 13, 0, time.UTC)
			if err := os.Chtimes(filepath.Join(dir, file), when, when); err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(http.FileServer(http.Dir(dir)))
			defer server.Close()
			for _, url := range []string{dir, "file://" + dir, server.URL, server.URL + "/"} {
				s := open(t, url)
				var last Progress
				s.config.Progress = func(p Progress) { last = p }
				for range 2 { // the second is found in the cache
					f, err := s.Fetch(t.Context(), version(t, "v1.34.1"), kubelet)
					if err != nil {
						t.Fatal(err)
					}
					data, err := os.ReadFile(f.Path)
					if err != nil || string(data) != content || f.Size != int64(len(content)) || f.SHA256 != sha256.Sum256(data) {
						t.Fatalf("got %+v, %v", f, err)
					}
					if !f.Modified.Equal(when) || !strings.HasSuffix(f.URL, "/v1.34.1/"+kubelet) {
						t.Errorf("got %+v", f)
					}
					if want := (Progress{"kubernetes", "v1.34.1", kubelet, f.Size, f.Size}); last != want {
						t.Errorf("got %+v, want %+v", last, want)
					}
				}
				if c := cached(t, s); len(c) != 1 || c[0] != hex256(content) {
					t.Errorf("the cache holds %q", c)
				}
			}
		})
	}
}

// A path with a slash in front is one below the source's own folder, checksums included.
func TestFetchBesideReleases(t *testing.T) {
	for name, sums := range map[string]map[string]string{
		"own":  {"tool.v1.34.1.tar.gz.sha256sum": hex256(content) + "  tool.v1.34.1.tar.gz\n"},
		"list": {"SHA256SUMS": hex256(content) + "  tool.v1.34.1.tar.gz\n"},
	} {
		t.Run(name, func(t *testing.T) {
			sums["tool.v1.34.1.tar.gz"] = content
			dir := folderWith(t, sums)
			server := httptest.NewServer(http.FileServer(http.Dir(dir)))
			defer server.Close()
			for _, url := range []string{dir, server.URL} {
				f, err := open(t, url).Fetch(t.Context(), version(t, "v1.34.1"), "/tool.v1.34.1.tar.gz")
				if err != nil || f.URL != url+"/tool.v1.34.1.tar.gz" || f.SHA256 != sha256.Sum256([]byte(content)) {
					t.Errorf("got %+v, %v", f, err)
				}
				for _, path := range []string{"tool.v1.34.1.tar.gz", "/tool.v1.34.2.tar.gz"} {
					if _, err := open(t, url).Fetch(t.Context(), version(t, "v1.34.1"), path); !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("%s: got %v", path, err)
					}
				}
				for _, path := range []string{"/", "//tool.v1.34.1.tar.gz", "/../tool", "../tool"} {
					if _, err := open(t, url).Fetch(t.Context(), version(t, "v1.34.1"), path); err == nil || errors.Is(err, fs.ErrNotExist) {
						t.Errorf("%s: got %v", path, err)
					}
				}
			}
		})
	}
}

// The folder of a nightly build has a plus in its name, which some servers take for a space unless it is escaped.
func TestFetchNightly(t *testing.T) {
	const nightly = "v1.36.0-alpha.0.721+f8ff8f44206ff4"
	files := http.FileServer(http.Dir(folderWith(t, map[string]string{nightly + "/f": content, nightly + "/f.sha256": hex256(content)})))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.RequestURI, "+") {
			http.Error(w, "a space?", http.StatusNotFound)
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	if _, err := open(t, server.URL).Fetch(t.Context(), version(t, nightly), "f"); err != nil {
		t.Error(err)
	}
}

// What is wrong with a release, and what the error must say about it.
func TestBadReleases(t *testing.T) {
	const file = "v1.34.1/" + kubelet
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"no file":          {map[string]string{"v1.34.1/x": ""}, []string{file}},
		"no checksum":      {map[string]string{file: content}, []string{file + " has no checksum (tried .sha256, .sha256sum, .sha512, SHA256SUMS, SHA512SUMS)"}},
		"not in list":      {map[string]string{file: content, "v1.34.1/SHA256SUMS": hex256("x") + "  kubelet\n"}, []string{"has no checksum"}},
		"mismatch":         {map[string]string{file: content, file + ".sha256": hex256("x")}, []string{hex256("x"), hex256(content), file + ".sha256"}},
		"sha512 differs":   {map[string]string{file: content, file + ".sha512": hex512("x")}, []string{hex512("x"), hex512(content)}},
		"upper case":       {map[string]string{file: content, file + ".sha256": strings.ToUpper(hex256(content))}, []string{file + ".sha256:1: ", "lower case"}},
		"truncated":        {map[string]string{file: content, file + ".sha256": hex256(content)[1:]}, []string{file + ".sha256:1: found 63 characters, expected the 64"}},
		"empty":            {map[string]string{file: content, file + ".sha256": ""}, []string{file + ".sha256:1: found 0 characters"}},
		"other name":       {map[string]string{file: content, file + ".sha256": hex256(content) + "  kubeadm"}, []string{`found the digest of "kubeadm", expected that of kubelet`}},
		"one space":        {map[string]string{file: content, file + ".sha256": hex256(content) + " kubelet"}, []string{file + ".sha256:1: ", "two spaces"}},
		"two lines":        {map[string]string{file: content, file + ".sha256": hex256(content) + "\n" + hex256("x") + "\n"}, []string{file + ".sha256:2: expected one line"}},
		"a page":           {map[string]string{file: content, file + ".sha256": "<html>" + strings.Repeat("x", 10000)}, []string{"too large"}},
		"list twice":       {map[string]string{file: content, "v1.34.1/SHA256SUMS": hex256(content) + "  " + kubelet + "\n" + hex256("x") + "  " + kubelet + "\n"}, []string{"SHA256SUMS:2: a second, different digest of " + kubelet}},
		"list traversal":   {map[string]string{file: content, "v1.34.1/SHA256SUMS": hex256(content) + "  ../" + kubelet + "\n"}, []string{"SHA256SUMS:1: ", "leads elsewhere"}},
		"list nameless":    {map[string]string{file: content, "v1.34.1/SHA256SUMS": hex256(content) + "\n"}, []string{"SHA256SUMS:1: found a digest without a name"}},
		"list with NUL":    {map[string]string{file: content, "v1.34.1/SHA256SUMS": hex256(content) + "  bin/\x00kubelet\n"}, []string{"SHA256SUMS:1: ", "has a character"}},
		"list absolute":    {map[string]string{file: content, "v1.34.1/SHA256SUMS": hex256(content) + "  /" + kubelet + "\n"}, []string{"SHA256SUMS:1: ", "is absolute"}},
		"list in capitals": {map[string]string{file: content, "v1.34.1/SHA256SUMS": strings.ToUpper(hex256(content)) + "  " + kubelet + "\n"}, []string{"SHA256SUMS:1: ", "lower case"}},
		"list truncated":   {map[string]string{file: content, "v1.34.1/SHA256SUMS": hex256(content)[:63] + "  " + kubelet + "\n"}, []string{"SHA256SUMS:1: found 63 characters"}},
		"NUL":              {map[string]string{file: content, file + ".sha256": hex256(content) + "\x00"}, []string{file + ".sha256:1: found 65 characters"}},
		"list damaged":     {map[string]string{file: content, "v1.34.1/SHA256SUMS": hex256(content) + "  " + kubelet + "\nrubbish\n"}, []string{"SHA256SUMS:2: found 7 characters"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folderWith(t, c.files)
			server := httptest.NewServer(http.FileServer(http.Dir(dir)))
			defer server.Close()
			for _, url := range []string{dir, server.URL} {
				s := open(t, url)
				_, err := s.Fetch(t.Context(), version(t, "v1.34.1"), kubelet)
				if err == nil {
					t.Fatal("no error")
				}
				for _, want := range append(c.want, "source kubernetes: ", url) {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%v\ndoes not say %s", err, want)
					}
				}
				if missing := strings.HasPrefix(name, "no"); errors.Is(err, fs.ErrNotExist) != missing {
					t.Errorf("%v: is it missing? %v", err, !missing)
				}
				if c := cached(t, s); len(c) != 0 {
					t.Errorf("the cache holds %q", c)
				}
			}
		})
	}
}

func TestChecksumError(t *testing.T) {
	dir := folderWith(t, map[string]string{"v1.34.1/f": "a", "v1.34.1/f.sha256": hex256("b")})
	_, err := open(t, dir).Fetch(t.Context(), version(t, "v1.34.1"), "f")
	var mismatch *ChecksumError
	if !errors.As(err, &mismatch) || mismatch.Got != hex256("a") || mismatch.Want != hex256("b") || mismatch.Algorithm != "sha256" {
		t.Errorf("got %#v", err)
	}
}

// What lies in a directory and is no plain file, or not one that could be part of a release.
func TestHostileFolder(t *testing.T) {
	outside := folderWith(t, map[string]string{"v1.34.2/kubelet": content, "v1.34.2/kubelet.sha256": hex256(content)})
	for name, c := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"a version that is a link out": {func(dir string) error { return os.Symlink(outside+"/v1.34.2", dir+"/v1.34.1") }, "escapes"},
		"a loop":                       {func(dir string) error { return os.Symlink("v1.34.1", dir+"/v1.34.1") }, "too many"},
		"a checksum that is a pipe": {func(dir string) error {
			return errors.Join(os.Mkdir(dir+"/v1.34.1", 0o755), os.WriteFile(dir+"/v1.34.1/kubelet", nil, 0o644), syscall.Mkfifo(dir+"/v1.34.1/kubelet.sha256", 0o644))
		}, "is a pipe"},
		"a checksum that is a folder": {func(dir string) error {
			return errors.Join(os.MkdirAll(dir+"/v1.34.1/kubelet.sha256", 0o755), os.WriteFile(dir+"/v1.34.1/kubelet", nil, 0o644))
		}, "is a directory"},
		"a checksum elsewhere": {func(dir string) error {
			return errors.Join(os.Mkdir(dir+"/v1.34.1", 0o755), os.WriteFile(dir+"/v1.34.1/kubelet", []byte(content), 0o644),
				os.Symlink(outside+"/v1.34.2/kubelet.sha256", dir+"/v1.34.1/kubelet.sha256"))
		}, "escapes"},
		"a file that is mostly nothing": {func(dir string) error {
			return errors.Join(os.Mkdir(dir+"/v1.34.1", 0o755), os.WriteFile(dir+"/v1.34.1/kubelet", nil, 0o644), os.Truncate(dir+"/v1.34.1/kubelet", maxFile+1))
		}, "has 2147483649 bytes: expected at most 2147483648"},
		"a file instead of a folder": {func(dir string) error { return os.WriteFile(dir+"/v1.34.1", nil, 0o644) }, "does not exist"},
		"a device": {func(dir string) error {
			if os.Getuid() != 0 { // the best that others can do
				return os.Symlink("/dev/zero", dir+"/v1.34.1")
			}
			return errors.Join(os.Mkdir(dir+"/v1.34.1", 0o755), syscall.Mknod(dir+"/v1.34.1/kubelet", syscall.S_IFCHR|0o666, 1<<8|5))
		}, map[bool]string{true: "is a device", false: "escapes"}[os.Getuid() == 0]},
	} {
		dir := t.TempDir()
		if err := c.make(dir); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s := open(t, dir)
		_, err := s.Fetch(t.Context(), version(t, "v1.34.1"), "kubelet")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir+"/v1.34.1/kubelet") {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if left := cached(t, s); len(left) > 0 {
			t.Errorf("%s: the cache holds %q", name, left)
		}
	}
}

// Names and links must not lead out of a directory, nor may it block or deceive.
func TestFolderStaysInside(t *testing.T) {
	outside := folderWith(t, map[string]string{"secret": content})
	dir := folderWith(t, map[string]string{"v1.34.1/absolute.sha256": hex256(content), "v1.34.1/relative.sha256": hex256(content),
		"v1.34.1/pipe.sha256": hex256(content), "v1.34.1/folder.sha256": hex256(content), "v1.34.1/inside.sha256": hex256("x"), "v1.33.0/x": "x"})
	for link, target := range map[string]string{"absolute": outside + "/secret", "relative": "../../../" + filepath.Base(outside) + "/secret", "inside": "../v1.33.0/x"} {
		if err := os.Symlink(target, filepath.Join(dir, "v1.34.1", link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "v1.34.1/folder"), 0o755), syscall.Mkfifo(filepath.Join(dir, "v1.34.1/pipe"), 0o644)); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	for name, want := range map[string]string{"absolute": "escapes", "relative": "escapes", "pipe": "is a pipe", "folder": "is a directory",
		"../x": "leads elsewhere", "/../x": "leads elsewhere", "//etc/passwd": "is absolute", "a//b": "not written plainly", "": "1 to 500", "a\nb": "has a character", ".": "leads elsewhere"} {
		if _, err := s.Fetch(t.Context(), version(t, "v1.34.1"), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", name, err, want)
		}
	}
	if _, err := s.Fetch(t.Context(), version(t, "v1.34.1"), "inside"); err != nil {
		t.Error(err)
	}
}

func TestOpenErrors(t *testing.T) {
	for url, want := range map[string]string{
		"": "no URL is set", "/nowhere/at/all": "cannot open the directory", "ftp://bucket/x": "not ftp://", "gs://B/x": "cannot be the name of a bucket", "https://": "not the URL of a folder",
		"http://a:b@c/d": "user name", "https://a/b?c=d": "not the URL of a folder", "file://host/x": "not a file URL", "file:x": "not a file URL",
	} {
		if _, err := Open(t.Context(), Config{Name: "n", URL: url, Cache: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "source n: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", url, err, want)
		}
	}
	if _, err := Open(t.Context(), Config{URL: t.TempDir()}); err == nil {
		t.Error("no cache, no error")
	}
}

// A damaged file in the cache is replaced and never used.
func TestDamagedCache(t *testing.T) {
	s := open(t, folderWith(t, map[string]string{"v1.34.1/f": "good", "v1.34.1/f.sha256": hex256("good")}))
	f, err := s.Fetch(t.Context(), version(t, "v1.34.1"), "f")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Path, []byte("evil"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err = s.Fetch(t.Context(), version(t, "v1.34.1"), "f")
	if err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(f.Path); string(data) != "good" {
		t.Errorf("got %q", data)
	}
}

// misbehaving serves a file, but begins with the failures given.
func misbehaving(t *testing.T, failures ...http.HandlerFunc) (*Source, *atomic.Int32) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, ".sha256"):
			fmt.Fprint(w, hex256(content))
		case r.Method == http.MethodHead:
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		default:
			if n := int(requests.Add(1)); n <= len(failures) {
				failures[n-1](w, r)
				return
			}
			fmt.Fprint(w, content)
		}
	}))
	t.Cleanup(server.Close)
	return open(t, server.URL), &requests
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "0")
		http.Error(w, "sorry", code)
	}
}

// cut sends half of the file and closes the connection.
func cut(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	fmt.Fprint(w, content[:len(content)/2])
	panic(http.ErrAbortHandler)
}

func hangUp(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }

func TestRetries(t *testing.T) {
	for name, c := range map[string]struct {
		failures []http.HandlerFunc
		requests int32
		want     string
	}{
		"503":          {[]http.HandlerFunc{status(503), status(500)}, 3, ""},
		"429":          {[]http.HandlerFunc{status(429)}, 2, ""},
		"cut off":      {[]http.HandlerFunc{cut, cut, hangUp}, 4, ""},
		"too often":    {[]http.HandlerFunc{status(502), status(502), status(502), status(502)}, 4, "the server answers 502 Bad Gateway (given up after 4 attempts)"},
		"cut forever":  {[]http.HandlerFunc{cut, cut, cut, cut}, 4, "unexpected EOF (given up after 4 attempts)"},
		"not found":    {[]http.HandlerFunc{status(404)}, 1, "/v1.34.1/" + kubelet + ": the server answers 404 Not Found"},
		"other bytes":  {[]http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "else") }}, 1, hex256("else")},
		"encoded":      {[]http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Encoding", "br") }}, 1, `encodes the file as "br"`},
		"redirections": {[]http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }}, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, requests := misbehaving(t, c.failures...)
			_, err := s.Fetch(t.Context(), version(t, "v1.34.1"), kubelet)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if n := requests.Load(); n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
			if got := cached(t, s); len(got) != 0 && (err != nil || len(got) > 1) {
				t.Errorf("the cache holds %q", got)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		after, date string
		want        time.Duration
	}{
		{"", "", 0}, {"30", "", 30 * time.Second}, {"-1", "", 0}, {"99999999999", "", 0}, {"soon", "", 0},
		{"Wed, 10 Sep 2025 11:12:43 GMT", "Wed, 10 Sep 2025 11:12:13 GMT", 30 * time.Second},
		{"Wed, 10 Sep 2025 11:12:43 GMT", "", 0},
	} {
		if got := retryAfter(http.Header{"Retry-After": {c.after}, "Date": {c.date}}); got != c.want {
			t.Errorf("%q at %q: got %v, want %v", c.after, c.date, got, c.want)
		}
	}
}

// Every request says who makes it.
func TestUserAgent(t *testing.T) {
	for given, want := range map[string]string{"": "pkgs (+https://sigs.k8s.io/pkgs)", "pkgs/v1 (+https://sigs.k8s.io/pkgs)": "pkgs/v1 (+https://sigs.k8s.io/pkgs)"} {
		files := http.FileServer(http.Dir(folderWith(t, map[string]string{"v1.34.1/f": "a", "v1.34.1/f.sha256": hex256("a")})))
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Values("User-Agent"); len(got) != 1 || got[0] != want {
				t.Errorf("%s %s is from %q", r.Method, r.URL, got)
			}
			files.ServeHTTP(w, r)
		}))
		defer server.Close()
		s, err := Open(t.Context(), Config{Name: "n", URL: server.URL, Cache: t.TempDir(), UserAgent: given})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Fetch(t.Context(), version(t, "v1.34.1"), "f"); err != nil {
			t.Error(err)
		}
	}
}

// When ctx ends in the middle of a download, nothing is left of it.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, _ := misbehaving(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, content[:len(content)/2])
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	if _, err := s.Fetch(ctx, version(t, "v1.34.1"), kubelet); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if c := cached(t, s); len(c) != 0 {
		t.Errorf("the cache holds %q", c)
	}
}

func TestCacheCannotBeWritten(t *testing.T) {
	s := open(t, folderWith(t, map[string]string{"v1.34.1/f": "a", "v1.34.1/f.sha256": hex256("a")}))
	if err := os.WriteFile(s.config.Cache, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fetch(t.Context(), version(t, "v1.34.1"), "f"); err == nil || !strings.Contains(err.Error(), "cache") {
		t.Errorf("got %v", err)
	}
}

func FuzzChecksums(f *testing.F) {
	f.Add([]byte(hex256("a") + "  kubelet\n"))
	f.Add([]byte(hex256("a")))
	f.Add([]byte(hex256("a") + "  bin/linux/amd64/kubelet\n" + hex256("b") + " *x\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if digest, err := parseChecksum("f", "sha256", kubelet, data); err == nil && (len(digest) != 64 || strings.ToLower(digest) != digest) {
			t.Errorf("%q gave %q", data, digest)
		}
		digests, err := parseChecksums("f", "sha256", data)
		for name, digest := range digests {
			if err != nil || checkName(name) != nil || len(digest) != 64 {
				t.Errorf("%q gave %q %q", data, name, digest)
			}
		}
	})
}
