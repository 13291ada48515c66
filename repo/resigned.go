package repo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
)

// signatureRoom is by how many bytes the signature header of an rpm may be longer than that of the same rpm signed by
// another key.
const signatureRoom = 64 << 10

// unlessResigned leaves rpms out of files that are published already and differ from what is published in their signature
// alone: such a package was built again after another key took its turn. What is published stays, with the signature that
// it has.
//
// The main header of an rpm is what is signed, and holds the digest of the payload; what comes before it, the lead and the
// signature header, says nothing of the package (https://rpm-software-management.github.io/rpm/manual/format_v4.html). Of
// what is published only the beginning is read, and only where the bytes differ.
func (p *Publisher) unlessResigned(ctx context.Context, state *State, files *Files) (*Files, error) {
	stream := state.Head.Stream
	live := map[string]Object{}
	for _, o := range state.Manifest.Objects {
		live[o.Name] = o
	}
	same := map[string]bool{}
	for _, rpm := range files.Rpms {
		published, ok := live[stream.Rpm(rpm.Href)]
		if !ok || published.SHA256 == rpm.SHA256 {
			continue
		}
		offered, err := signatureOf(files.paths["rpm/"+rpm.Href])
		if err != nil {
			return nil, err
		}
		before, err := readHead(ctx, p.Bucket, published, offered.PayloadOffset+signatureRoom)
		if errors.Is(err, bucket.ErrNotExist) {
			continue // it is lost, which is found elsewhere
		}
		if err != nil {
			return nil, err
		}
		if before != nil && offered.PayloadSHA256 != "" && bytes.Equal(before.Header, offered.Header) &&
			published.Size-before.PayloadOffset == rpm.Size-offered.PayloadOffset {
			same["rpm/"+rpm.Href] = true
			p.Log.Info("is published with another signature, and stays as it is", "stream", stream, "package", rpm.Href)
		}
	}
	return files.without(same), nil
}

// readHead reads the headers of an rpm in the bucket, of which no more than limit bytes are looked at. It is nil if these
// are not headers that can be read.
func readHead(ctx context.Context, b bucket.Bucket, o Object, limit int64) (*yum.Signature, error) {
	r, _, err := b.Open(ctx, o.Name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	head, err := io.ReadAll(io.LimitReader(r, min(limit, o.Size)))
	if err != nil {
		return nil, err
	}
	signature, err := yum.ReadSignature(bytes.NewReader(head), o.Size, o.Name)
	if err != nil {
		return nil, nil
	}
	return signature, nil
}

// without leaves out packages and their attestations, by their names below the stream.
func (f *Files) without(names map[string]bool) *Files {
	if len(names) == 0 {
		return f
	}
	left := &Files{paths: maps.Clone(f.paths), attestations: maps.Clone(f.attestations)}
	left.Contents = f.Contents.where(func(name string) bool { return !names[name] })
	for name := range names {
		for _, suffix := range append([]string{""}, layout.Attestations()...) {
			delete(left.paths, name+suffix)
			delete(left.attestations, name+suffix)
		}
	}
	return left
}
