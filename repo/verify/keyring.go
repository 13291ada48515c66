package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/cavaliergopher/rpm"
	debian "pault.ag/go/debian/version"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
)

// maxKeyringPackage is the size of the largest keyring package that is looked into, in bytes.
const maxKeyringPackage = 4 << 20

// packaged is the newest keyring package of a repository.
type packaged struct {
	name  string // object
	claim claim
}

// newestDeb finds the newest keyring package that a Packages file names; nil if there is none.
func (c *check) newestDeb(data []byte) *packaged {
	stanzas, err := paragraphs(data)
	if err != nil {
		return nil // which was found before
	}
	var newest *packaged
	var at debian.Version
	for _, s := range stanzas {
		v, err := debian.Parse(s.Values["Version"])
		if s.Values["Package"] != c.KeyringPackage || err != nil || newest != nil && debian.Compare(v, at) <= 0 {
			continue
		}
		if name := c.stream.Deb(s.Values["Filename"]); c.packages[name].size > 0 {
			newest, at = &packaged{name, c.packages[name]}, v
		}
	}
	return newest
}

// newestRpm finds the newest keyring package among the rpms whose index was read.
func (c *check) newestRpm() *packaged {
	evr := func(n nevra) string { return n.version.Epoch + ":" + n.version.Version + "-" + n.version.Release }
	var newest *packaged
	for name, n := range c.nevras {
		if n.name == c.KeyringPackage && (newest == nil || yum.CompareVersions(evr(n), evr(c.nevras[newest.name])) > 0) {
			newest = &packaged{name, c.packages[name]}
		}
	}
	return newest
}

// debKeyring reads the keys that the deb of the keyring package installs for apt. It is nil if they cannot be read, which is a
// finding.
func (c *check) debKeyring(ctx context.Context, p *packaged) (data []byte, err error) {
	deb, err := c.keyringFile(ctx, p)
	if deb == nil || err != nil {
		return nil, err
	}
	data, err = apt.ReadInstalled(bytes.NewReader(deb), int64(len(deb)), p.name, "/usr/share/keyrings/"+c.KeyringPackage+".gpg", maxKeyringPackage)
	if err != nil {
		c.found(p.name, "%v", err)
		return nil, nil
	}
	return data, nil
}

// sameKeyring checks that the rpm of the keyring package installs the keys of a keyring in binary form, which are those of
// the deb: by the digest that its header has of the file, which rpm checks.
func (c *check) sameKeyring(ctx context.Context, p *packaged, binary []byte) (bool, error) {
	data, err := c.keyringFile(ctx, p)
	if data == nil || err != nil {
		return false, err
	}
	ring, err := keys.ParseKeyring(p.name, binary)
	if err != nil {
		return false, nil // which was found in the deb
	}
	armored, err := ring.Armor()
	if err != nil {
		return false, err
	}
	file := "/etc/pki/rpm-gpg/RPM-GPG-KEY-" + c.KeyringPackage
	sum, err := fileDigest(data, file)
	if want := sha256.Sum256(armored); err == nil && sum != hex.EncodeToString(want[:]) {
		err = fmt.Errorf("installs another %s than the keys of the deb", file)
	}
	if err != nil {
		c.found(p.name, "%v", err)
	}
	return err == nil, nil
}

// fileDigest is the digest that the header of an rpm has of a file, by the parser of nevraOf.
func fileDigest(data []byte, file string) (sum string, err error) {
	defer recovered("its header ", &err)
	if _, err := yum.ReadSignature(bytes.NewReader(data), int64(len(data)), file); err != nil {
		return "", err // the parser trusts the sizes that a header gives
	}
	p, err := rpm.Read(bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	for _, f := range p.Files() {
		if f.Name() == file {
			return f.Digest(), nil
		}
	}
	return "", fmt.Errorf("does not install %s", file)
}

// keyringFile reads a keyring package whole. It is nil if that is not what the index says, which is a finding.
func (c *check) keyringFile(ctx context.Context, p *packaged) ([]byte, error) {
	if p.claim.size > maxKeyringPackage {
		c.found(p.name, "has %d bytes, and no keyring has more than %d", p.claim.size, maxKeyringPackage)
		return nil, nil
	}
	return c.getExact(ctx, p.name, p.claim)
}

// packagedKeys checks that the newest keyring package brings its users every key that signed the indexes.
func (c *check) packagedKeys(ctx context.Context) error {
	if c.deb == nil {
		return nil
	}
	data, err := c.debKeyring(ctx, c.deb)
	if data == nil || err != nil {
		return err
	}
	if err := c.givenKeys(c.deb.name, data); err != nil {
		return err
	}
	if rpm := c.newestRpm(); rpm != nil {
		_, err = c.sameKeyring(ctx, rpm, data)
	}
	return err
}

// packaged notes the keys that the newest keyring package gives users, in both formats.
func (s *signatures) packaged(ctx context.Context) error {
	if s.KeyringPackage == "" {
		return nil
	}
	text, err := s.clearsigned(ctx, s.stream.Deb(layout.InRelease))
	if text == nil || err != nil {
		return err
	}
	all, err := paragraphs(text)
	if err != nil || len(all) != 1 {
		return nil
	}
	indexes, err := checksums(all[0].Values["SHA256"])
	if err != nil {
		return nil // which pkgs verify says
	}
	want := indexes[layout.Packages]
	data, err := s.getExact(ctx, s.stream.Deb(layout.ByHash(want.sha256)), want)
	if data == nil || err != nil {
		return err
	}
	s.packagesFile(s.stream.Deb(layout.Packages), data)
	if _, err := s.yumAt(ctx, s.stream.Rpm("")); err != nil {
		return err
	}
	deb, rpm := s.newestDeb(data), s.newestRpm()
	if deb == nil {
		return nil
	}
	binary, err := s.debKeyring(ctx, deb)
	if binary == nil || err != nil {
		return err
	}
	ring, refused, err := keys.CheckFile(deb.name, binary)
	if err != nil {
		s.found(deb.name, "%v", err)
		return nil
	}
	s.Refused = append(s.Refused, refused...)
	given := GivenKeys{Object: deb.name}
	for _, k := range ring.Keys() {
		given.Keys = append(given.Keys, k.Fingerprint)
	}
	s.Given = append(s.Given, given)
	if rpm == nil {
		return nil
	}
	same, err := s.sameKeyring(ctx, rpm, binary)
	if same {
		s.Given = append(s.Given, GivenKeys{rpm.name, given.Keys})
	}
	return err
}

// Version is the version of the keyring package that a keyring comes from, without its revision; empty for one that is in no
// package.
func (g *GivenKeys) Version() string {
	if ext := path.Ext(g.Object); ext != ".deb" && ext != ".rpm" {
		return ""
	}
	return layout.ParsePackageName(strings.TrimPrefix(g.Object, "/")).Version
}
