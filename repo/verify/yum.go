package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cavaliergopher/rpm"

	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
	"sigs.k8s.io/pkgs/sign"
)

// yum checks the yum repository that baseurl= names, down to the list of its packages.
func (c *check) yum(ctx context.Context) error {
	n, err := c.yumAt(ctx, c.stream.Rpm(""))
	c.report.Rpms = n
	return err
}

// snapshotForm is the path of a yum snapshot at the end of a URL.
var snapshotForm = regexp.MustCompile(`/rpm-snapshots/[1-9][0-9]*-[0-9a-f]{16}/$`)

// mirrorlist checks the repository that mirrorlist= leads to.
func (c *check) mirrorlist(ctx context.Context) error {
	name := c.stream.Rpm(layout.Mirrorlist)
	data, err := c.get(ctx, name)
	if data == nil || err != nil {
		return err
	}
	line := strings.TrimSuffix(string(data), "\n")
	i := strings.LastIndex(line, "/"+string(c.stream)+"/rpm-snapshots/")
	if i < 0 || strings.ContainsAny(line, " \n") || !snapshotForm.MatchString(line) {
		c.found(name, "is not the address of a snapshot of this stream: %.200q", line)
		return nil
	}
	n, err := c.yumAt(ctx, line[i+1:])
	if err == nil && n != c.report.Rpms {
		c.found(name, "leads to %d packages, %s to %d", n, layout.Repomd, c.report.Rpms)
	}
	return err
}

// yumAt checks the metadata of the yum repository whose root has the object name root, and returns how many packages it
// names.
func (c *check) yumAt(ctx context.Context, root string) (int, error) {
	name := root + layout.Repomd
	data, err := c.get(ctx, name)
	if err != nil {
		return 0, err
	}
	signature, err := c.get(ctx, root+layout.RepomdAsc)
	if err != nil || data == nil || signature == nil {
		return 0, err
	}
	signatures, err := sign.VerifyDetached(data, signature, c.Keyring, c.Now)
	if err != nil {
		c.found(root+layout.RepomdAsc, "does not sign %s: %v", layout.Repomd, err)
		return 0, nil
	}
	c.signedBy(signatures)
	if err := c.key(ctx, root+layout.RepomdKey); err != nil {
		return 0, err
	}
	var repomd struct {
		Data []struct {
			Type         string   `xml:"type,attr"`
			Checksum     checksum `xml:"checksum"`
			OpenChecksum checksum `xml:"open-checksum"`
			Location     location `xml:"location"`
			Size         int64    `xml:"size"`
			OpenSize     int64    `xml:"open-size"`
		} `xml:"data"`
	}
	if err := xml.Unmarshal(data, &repomd); err != nil {
		c.found(name, "%v", err)
		return 0, nil
	}
	packages, seen := 0, map[string]bool{}
	var advisories func()
	for _, d := range repomd.Data {
		seen[d.Type] = true
		if !inside(d.Location.Href) {
			c.found(name, "location %q leads out of the repository", d.Location.Href)
			continue
		}
		file := root + d.Location.Href
		data, err := c.getExact(ctx, file, claim{d.Size, d.Checksum.sha256()})
		if err != nil {
			return 0, err
		}
		if data == nil {
			continue
		}
		open, ok := c.gunzip(file, data)
		if !ok || !c.matches(file+" unpacked", claimOf(open), claim{d.OpenSize, d.OpenChecksum.sha256()}) {
			continue
		}
		switch d.Type {
		case "primary":
			packages = c.primary(root, file, open)
		case "updateinfo":
			advisories = func() { c.advisories(file, open) }
		}
	}
	if advisories != nil { // which are about packages, so these have to be known
		advisories()
	}
	for _, kind := range []string{"primary", "filelists", "other"} {
		if !seen[kind] {
			c.found(name, "does not name %s", kind)
		}
	}
	return packages, nil
}

type checksum struct {
	Type  string `xml:"type,attr"`
	Value string `xml:",chardata"`
}

// sha256 is the digest if it is of that kind.
func (s checksum) sha256() string {
	if s.Type != "sha256" {
		return ""
	}
	return s.Value
}

// version is what an index says of a package's version.
type version struct {
	Epoch   string `xml:"epoch,attr"`
	Version string `xml:"ver,attr"`
	Release string `xml:"rel,attr"`
}

// nevra is what identifies an rpm: name, epoch, version, release and architecture.
type nevra struct {
	name    string
	version version
	arch    string
}

func (n nevra) String() string {
	return fmt.Sprintf("%s-%s:%s-%s.%s", n.name, n.version.Epoch, n.version.Version, n.version.Release, n.arch)
}

// nevraOf reads what an rpm says that it is, by a parser that had no part in indexing it. That parser trusts the sizes that
// a header gives, so it gets only headers that were found well-formed before.
func nevraOf(head []byte) (n nevra, err error) {
	defer recovered("its header ", &err)
	p, err := rpm.Read(bytes.NewReader(head))
	if err != nil {
		return n, err
	}
	return nevra{p.Name(), version{strconv.Itoa(p.Epoch()), p.Version(), p.Release()}, p.Architecture()}, nil
}

type location struct {
	Href string `xml:"href,attr"`
}

// primary reads which packages a primary.xml names, one element at a time.
func (c *check) primary(root, name string, data []byte) int {
	n := 0
	decoder := xml.NewDecoder(bytes.NewReader(data))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			c.found(name, "%v", err)
			return n
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "package" {
			continue
		}
		var p struct {
			Name     string   `xml:"name"`
			Arch     string   `xml:"arch"`
			Version  version  `xml:"version"`
			Checksum checksum `xml:"checksum"`
			Size     struct {
				Package int64 `xml:"package,attr"`
			} `xml:"size"`
			Location location `xml:"location"`
		}
		if err := decoder.DecodeElement(&p, &start); err != nil {
			c.found(name, "%v", err)
			return n
		}
		file := path.Join(root, p.Location.Href)
		if !strings.HasPrefix(file, c.stream.Rpm("")) || p.Size.Package < 0 {
			c.found(name, "package %s lies at %q, outside of the stream", p.Name, p.Location.Href)
			continue
		}
		c.claims(name, file, claim{p.Size.Package, p.Checksum.sha256()})
		c.nevras[file] = nevra{p.Name, p.Version, p.Arch}
		n++
	}
}

// maxHeader is how much of an rpm is kept in memory to find its headers in. rpm itself limits a header to 256 MiB; those
// of packages with ten thousand files have about two.
const maxHeader = 16 << 20

// front lets the headers be read from anywhere in what is only read once, and keeps no more of it than they take.
type front struct {
	in   io.Reader
	read []byte
	// err is what went wrong, other than that there is no more.
	err error
}

func (f *front) ReadAt(p []byte, off int64) (int, error) {
	if end := min(off+int64(len(p)), maxHeader); end > int64(len(f.read)) && f.err == nil {
		have := len(f.read)
		f.read = slices.Grow(f.read, int(end)-have)[:end]
		n, err := io.ReadFull(f.in, f.read[have:])
		f.read = f.read[:have+n]
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			f.err = err
		}
	}
	if f.err != nil {
		return 0, f.err
	}
	return bytes.NewReader(f.read).ReadAt(p, off)
}

// rpm reads an rpm file, checks the signature on its header and the digest of its payload, and returns how many bytes
// it read. The index has a digest of the whole file; this is what rpm itself checks, also long after the download.
func (c *check) rpm(name string, in io.Reader, size int64) (int64, error) {
	front := &front{in: in}
	signature, err := yum.ReadSignature(front, size, name)
	head := front.read
	n := int64(len(head))
	if front.err != nil {
		return n, front.err
	}
	if err != nil {
		c.found(name, "%v", err)
		rest, err := io.Copy(io.Discard, in)
		return n + rest, err
	}
	if signature.Packet == nil {
		c.found(name, "is not signed")
	} else if _, err := sign.VerifyBinary(signature.Header, signature.Packet, c.Keyring, c.Now); err != nil {
		c.found(name, "%v", err)
	}
	if is, err := nevraOf(head); err != nil {
		c.found(name, "%v", err)
	} else if want := c.nevras[name]; is != want {
		c.found(name, "is the package %s, the index says %s", is, want)
	}
	payload := sha256.New()
	payload.Write(head[min(signature.PayloadOffset, n):])
	rest, err := io.Copy(payload, in)
	if err != nil {
		return n + rest, err
	}
	if got := hex.EncodeToString(payload.Sum(nil)); got != signature.PayloadSHA256 {
		c.found(name, "has a payload with SHA-256 %s, its signed header says %s", got, signature.PayloadSHA256)
	}
	return n + rest, nil
}

// claimOf is what data is.
func claimOf(data []byte) claim {
	sum := sha256.Sum256(data)
	return claim{int64(len(data)), fmt.Sprintf("%x", sum)}
}
