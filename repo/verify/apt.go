package verify

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"pault.ag/go/debian/control"

	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/sign"
)

// apt checks the apt repository down to the list of its packages. It goes on from InRelease or, as apt does when that is no
// good, from Release and Release.gpg.
func (c *check) apt(ctx context.Context) error {
	name := c.stream.Deb(layout.InRelease)
	text, err := c.clearsigned(ctx, name)
	if err != nil {
		return err
	}
	release, err := c.detached(ctx)
	if err != nil {
		return err
	}
	switch {
	case text == nil && release == nil:
		return nil
	case text == nil:
		name, text = c.stream.Deb(layout.Release), release
	case release != nil && !bytes.Equal(release, text):
		c.found(c.stream.Deb(layout.Release), "differs from the text of %s", layout.InRelease)
	}
	if err := c.key(ctx, c.stream.Deb(layout.ReleaseKey)); err != nil {
		return err
	}
	all, err := paragraphs(text)
	if err != nil || len(all) != 1 {
		c.found(name, "is not one paragraph of fields: %v", err)
		return nil
	}
	fields := all[0].Values
	c.dates(name, fields)
	indexes, err := checksums(fields["SHA256"])
	if err != nil {
		c.found(name, "SHA256: %v", err)
		return nil
	}
	byHash := fields["Acquire-By-Hash"] == "yes"
	for file, want := range indexes {
		data, err := c.getExact(ctx, c.stream.Deb(file), want)
		if err != nil {
			return err
		}
		if byHash {
			hashed := c.stream.Deb(path.Join(path.Dir(file), layout.ByHash(want.sha256)))
			// An apt that knows by-hash, as all since 1.2 do, never asks for the plain name.
			if data, err = c.getExact(ctx, hashed, want); err != nil {
				return err
			}
		}
		c.unpacksTo(file, data, indexes)
		if file == layout.Packages && data != nil {
			c.packagesFile(c.stream.Deb(file), data)
			if c.KeyringPackage != "" {
				c.deb = c.newestDeb(data)
			}
		}
	}
	if _, ok := indexes[layout.Packages]; !ok {
		c.found(name, "does not name %s", layout.Packages)
	}
	return nil
}

// clearsigned returns the text of InRelease, or nil when it is missing or its signature is no good.
func (c *check) clearsigned(ctx context.Context, name string) ([]byte, error) {
	data, err := c.get(ctx, name)
	if data == nil || err != nil {
		return nil, err
	}
	text, signatures, err := sign.VerifyClearsigned(data, c.Keyring, c.Now)
	if err != nil {
		c.found(name, "%v", err)
		return nil, nil
	}
	c.signedBy(signatures)
	return text, nil
}

// detached returns Release, or nil when it or Release.gpg is missing or no good.
func (c *check) detached(ctx context.Context) ([]byte, error) {
	release, err := c.get(ctx, c.stream.Deb(layout.Release))
	if err != nil {
		return nil, err
	}
	signature, err := c.get(ctx, c.stream.Deb(layout.ReleaseGpg))
	if err != nil || release == nil || signature == nil {
		return nil, err
	}
	signatures, err := sign.VerifyDetached(release, signature, c.Keyring, c.Now)
	if err != nil {
		c.found(c.stream.Deb(layout.ReleaseGpg), "does not sign %s: %v", layout.Release, err)
		return nil, nil
	}
	c.signedBy(signatures)
	return release, nil
}

// dates checks that a client takes the index for neither outdated nor made in the future.
func (c *check) dates(name string, fields map[string]string) {
	read := func(field string) (time.Time, bool) {
		t, err := time.Parse(time.RFC1123, fields[field])
		if err != nil {
			c.found(name, "%s %q is not a date of RFC 5322: %v", field, fields[field], err)
		}
		return t.UTC(), err == nil
	}
	if date, ok := read("Date"); ok {
		c.report.Date = date
		if date.After(c.Now) {
			c.found(name, "is dated %s, which is in the future", date.Format(time.RFC3339))
		}
	}
	if fields["Valid-Until"] == "" {
		return
	}
	if until, ok := read("Valid-Until"); ok {
		c.report.ValidUntil = until
		if until.Before(c.Now) {
			c.found(name, "was valid until %s, and apt refuses it since: sign the stream again", until.Format(time.RFC3339))
		}
	}
}

// unpacksTo checks that a compressed index holds what the plain one is signed to hold.
func (c *check) unpacksTo(file string, data []byte, indexes map[string]claim) {
	plain, ok := strings.CutSuffix(file, ".gz")
	want, named := indexes[plain]
	if !ok || !named || data == nil {
		return
	}
	if open, ok := c.gunzip(c.stream.Deb(file), data); ok {
		c.matches(c.stream.Deb(file)+" unpacked", claimOf(open), want)
	}
}

// gunzip unpacks a compressed index. What is wrong with it is a finding.
func (c *check) gunzip(name string, data []byte) ([]byte, bool) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		c.found(name, "is not gzip data: %v", err)
		return nil, false
	}
	open, err := io.ReadAll(io.LimitReader(z, maxIndex+1))
	if err == nil && len(open) > maxIndex {
		err = fmt.Errorf("is larger than %d bytes", maxIndex)
	}
	if err != nil {
		c.found(name, "does not unpack: %v", err)
		return nil, false
	}
	return open, true
}

// packagesFile reads which packages a Packages file names.
func (c *check) packagesFile(name string, data []byte) {
	stanzas, err := paragraphs(data)
	if err != nil {
		c.found(name, "%v", err)
	}
	for _, s := range stanzas {
		file := s.Values["Filename"]
		size, err := strconv.ParseInt(s.Values["Size"], 10, 64)
		if err != nil || !inside(file) {
			c.found(name, "package %s has Filename %q and Size %q", s.Values["Package"], file, s.Values["Size"])
			continue
		}
		c.claims(name, c.stream.Deb(file), claim{size, s.Values["SHA256"]})
		c.report.Debs++
	}
}

// inside tells whether a path of an index stays below the repository's root.
func inside(file string) bool {
	return file != "" && filepath.IsLocal(file) && path.Clean(file) == file
}

// recovered turns the panic of a library that reads something, which may come from anywhere, into an error. It is to be
// deferred with the address of the function's error.
func recovered(what string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%scannot be parsed: %v", what, r)
	}
}

// paragraphs reads the paragraphs of a Debian control file.
func paragraphs(data []byte) (all []control.Paragraph, err error) {
	defer recovered("", &err)
	reader, err := control.NewParagraphReader(bufio.NewReader(bytes.NewReader(data)), nil)
	if err != nil {
		return nil, err
	}
	for {
		p, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, *p)
	}
}

// checksums reads the SHA256 field of a Release file: lines of digest, size and path.
func checksums(field string) (map[string]claim, error) {
	found := map[string]claim{}
	for line := range strings.Lines(strings.TrimSpace(field)) {
		words := strings.Fields(line)
		if len(words) != 3 {
			return nil, fmt.Errorf("line %q is not digest, size and path", strings.TrimSpace(line))
		}
		size, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil || !inside(words[2]) {
			return nil, fmt.Errorf("line %q has no usable size and path", strings.TrimSpace(line))
		}
		found[words[2]] = claim{size, words[0]}
	}
	return found, nil
}
