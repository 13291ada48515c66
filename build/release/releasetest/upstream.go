package releasetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Upstream is a web server with releases. It answers as the real ones do: with dates and ETags, with parts of files, and for
// what is on GitHub with a redirection. Its methods may be called while it is asked.
type Upstream struct {
	// URL is where it listens. The source of a project is [Upstream.Source].
	URL string

	t testing.TB

	mu sync.Mutex
	// All below is guarded by mu.
	files    map[string]file
	disturb  func(w http.ResponseWriter, r *http.Request) bool
	damaged  string
	requests int
	by       *Sigstore
	signing  Signing
}

type file struct {
	data     []byte
	modified time.Time
	etag     string
}

// The folders of the projects, by the names that package definitions give their sources.
var folders = map[string]string{
	"kubernetes":  "dl.k8s.io",
	"cri-tools":   "github.com/kubernetes-sigs/cri-tools/releases/download",
	"cni-plugins": "github.com/containernetworking/plugins/releases/download",
	"cri-o":       "storage.googleapis.com/cri-o",
}

// NewUpstream starts a server without any release. It ends with the test.
func NewUpstream(t testing.TB) *Upstream {
	u := &Upstream{t: t, files: map[string]file{}}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	u.URL = server.URL
	return u
}

// Source is the URL of a project: kubernetes, cri-tools, cni-plugins or cri-o.
func (u *Upstream) Source(project string) string {
	folder, ok := folders[project]
	if !ok {
		u.t.Fatalf("releasetest: there is no project %q: expected one of %v", project, slices.Sorted(maps.Keys(folders)))
	}
	return u.URL + "/" + folder
}

// Config is the section sources of a configuration of pkgs, for all projects.
func (u *Upstream) Config() string {
	return fmt.Sprintf(`sources:
  kubernetes: {url: %q, releases: "release/{version}", nightlies: "ci/{version}"}
  cri-tools: {url: %q}
  cni-plugins: {url: %q}
  cri-o: {url: %q, shared: artifacts}
`, u.Source("kubernetes"), u.Source("cri-tools"), u.Source("cni-plugins"), u.Source("cri-o"))
}

// Sign lets all files that are released from now on be signed, with .sig and .cert. Nil ends that.
func (u *Upstream) Sign(by *Sigstore, how Signing) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.by, u.signing = by, how
}

// Kubernetes releases the programs of a version. One with a plus is a nightly build.
func (u *Upstream) Kubernetes(version string, at time.Time, archs ...string) {
	folder := "release/"
	if strings.Contains(version, "+") {
		folder = "ci/"
	}
	for _, arch := range archs {
		for _, program := range []string{"kubeadm", "kubelet", "kubectl"} {
			u.release("kubernetes", folder+version+"/bin/linux/"+arch+"/"+program, ".sha256", Program(arch, program+" "+version), at)
		}
	}
}

// CRITools releases a version of crictl.
func (u *Upstream) CRITools(version string, at time.Time, archs ...string) {
	for _, arch := range archs {
		data := u.tarball(at, map[string][]byte{"crictl": Program(arch, "crictl "+version)})
		u.release("cri-tools", fmt.Sprintf("%s/crictl-%s-linux-%s.tar.gz", version, version, arch), ".sha256", data, at)
	}
}

// CNI releases a version of the CNI plugins.
func (u *Upstream) CNI(version string, at time.Time, archs ...string) {
	for _, arch := range archs {
		files := map[string][]byte{"./LICENSE": []byte("a license\n"), "./README.md": []byte("read me\n")}
		for _, plugin := range []string{"bridge", "host-local", "loopback"} {
			files["./"+plugin] = Program(arch, plugin+" "+version)
		}
		u.release("cni-plugins", fmt.Sprintf("%s/cni-plugins-linux-%s-%s.tgz", version, arch, version), ".sha256", u.tarball(at, files), at)
	}
}

// CRIO releases the bundles of a version of CRI-O. That of a nightly build is named after its commit.
func (u *Upstream) CRIO(version string, at time.Time, archs ...string) {
	build := version
	if _, commit, nightly := strings.Cut(version, "+"); nightly {
		build = commit
	}
	for _, arch := range archs {
		files := map[string][]byte{}
		for _, program := range []string{"crio", "pinns", "conmon", "conmonrs", "crun", "runc", "crictl"} {
			files["cri-o/bin/"+program] = Program(arch, program+" "+version)
		}
		for _, text := range []string{"completions/bash/crio", "completions/fish/crio.fish", "completions/zsh/_crio", "man/crio.8", "man/crio.conf.5", "man/crio.conf.d.5"} {
			files["cri-o/"+text] = []byte("of " + version + "\n")
		}
		u.release("cri-o", fmt.Sprintf("artifacts/cri-o.%s.%s.tar.gz", arch, build), ".sha256sum", u.tarball(at, files), at)
	}
}

// release puts a file with its checksum, and with its signature if there are to be any.
func (u *Upstream) release(project, name, suffix string, data []byte, at time.Time) {
	u.t.Helper()
	u.Put(project, name, data, at)
	sum := sha256.Sum256(data)
	line := hex.EncodeToString(sum[:])
	if suffix == ".sha256sum" {
		line += "  " + path.Base(name) + "\n"
	}
	u.Put(project, name+suffix, []byte(line), at)
	u.mu.Lock()
	by, how := u.by, u.signing
	u.mu.Unlock()
	if by != nil {
		s := by.Sign(data, how)
		u.Put(project, name+".sig", s.Sig, at)
		u.Put(project, name+".cert", s.Cert, at)
	}
}

// Mark writes a marker of a project, such as release/stable-1.34.txt of kubernetes.
func (u *Upstream) Mark(project, name, version string, at time.Time) {
	u.t.Helper()
	u.Put(project, name, []byte(version), at)
}

// Put writes a file of a project as it is.
func (u *Upstream) Put(project, name string, data []byte, at time.Time) {
	u.t.Helper()
	u.Source(project) // which knows whether there is one
	sum := sha256.Sum256(data)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files[folders[project]+"/"+name] = file{data, at, fmt.Sprintf("%q", hex.EncodeToString(sum[:16]))}
}

// Remove takes a file of a project away, or a folder if name ends in a slash.
func (u *Upstream) Remove(project, name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	whole := folders[project] + "/" + name
	maps.DeleteFunc(u.files, func(other string, _ file) bool {
		return other == whole || strings.HasSuffix(name, "/") && strings.HasPrefix(other, whole)
	})
}

// Disturb lets every request go to disturb first, which may be called concurrently. If that is true, it has answered. Nil ends
// the disturbance.
func (u *Upstream) Disturb(disturb func(w http.ResponseWriter, r *http.Request) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.disturb = disturb
}

// Damage lets files with this in their paths arrive with another last byte, checksums aside. Nothing ends the damage.
func (u *Upstream) Damage(path string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.damaged = path
}

// Requests is how many requests have come.
func (u *Upstream) Requests() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.requests
}

// assets is where GitHub's files are in truth.
const assets = "release-assets.githubusercontent.com/"

// ServeHTTP answers a request.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.requests++
	disturb, damaged := u.disturb, u.damaged
	name := strings.TrimPrefix(r.URL.Path, "/")
	f, ok := u.files[strings.TrimPrefix(name, assets)]
	u.mu.Unlock()
	switch {
	case disturb != nil && disturb(w, r):
	case !ok:
		http.NotFound(w, r)
	case strings.HasPrefix(name, "github.com/"):
		http.Redirect(w, r, "/"+assets+strings.ReplaceAll(name, "+", "%2B"), http.StatusFound)
	default:
		if damaged != "" && strings.Contains(name, damaged) && !strings.Contains(path.Ext(name), "sha256") && len(f.data) > 0 {
			f.data = slices.Clone(f.data)
			f.data[len(f.data)-1] ^= 1
		}
		w.Header().Set("ETag", f.etag)
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", f.modified, bytes.NewReader(f.data))
	}
}

// Program is the least that is a static, stripped program for an architecture, in Go's words: headers of ELF, and a text that
// makes it one of its own. It does not run.
func Program(arch, text string) []byte {
	machine := map[string]uint16{"amd64": 62, "arm64": 183, "ppc64le": 21, "riscv64": 243, "s390x": 22}[arch]
	var order binary.AppendByteOrder = binary.LittleEndian
	encoding := byte(1)
	if arch == "s390x" {
		order, encoding = binary.BigEndian, 2
	}
	const headers, address = 64 + 56, 0x400000
	size := uint64(headers + len(text))
	b := append([]byte{0x7f, 'E', 'L', 'F', 2, encoding, 1}, make([]byte, 9)...)
	put := func(widths string, values ...uint64) {
		for i, v := range values {
			switch widths[i] {
			case '2':
				b = order.AppendUint16(b, uint16(v))
			case '4':
				b = order.AppendUint32(b, uint32(v))
			case '8':
				b = order.AppendUint64(b, v)
			}
		}
	}
	// An executable with one segment, which is readable and executable and holds everything.
	put("224888", 2, uint64(machine), 1, address+headers, 64, 0)
	put("4222222", 0, 64, 56, 1, 0, 0, 0)
	put("44888888", 1, 5, 0, address, address, size, size, 0x1000)
	return append(b, text...)
}

// tarball packs files, which are executable.
func (u *Upstream) tarball(at time.Time, files map[string][]byte) []byte {
	u.t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(files[name])), ModTime: at})
		if _, e := w.Write(files[name]); err != nil || e != nil {
			u.t.Fatal(err, e)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		u.t.Fatal(err)
	}
	return b.Bytes()
}
