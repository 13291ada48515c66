package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
)

// bare sends the files of a directory to a bucket of Google's as Go's net/http does it with the least work: no library of the
// store, no index, no signature, no digest. The round trips are those of a publication: one before, all but four objects 128
// at a time, and four after another for the rest, as for manifest, HEAD and pointers. No client does the same in less.
func bare(ctx context.Context, address, dir string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	const writers = 128
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.WriteBufferSize = writers, 32<<10
	client := &http.Client{Transport: transport}
	store := u.Query().Get("endpoint")
	send := func(method, address, kind string, body []byte) error {
		r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", kind)
		answer, err := client.Do(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return err
		}
		if method == http.MethodPost && answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", address, answer.Status)
		}
		return nil
	}
	put := func(file string) error {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		const boundary = "a-boundary-that-is-in-no-file"
		body := fmt.Appendf(nil, "--%s\r\nContent-Type: application/json\r\n\r\n{\"name\":%q}\r\n--%[1]s\r\nContent-Type: application/octet-stream\r\n\r\n", boundary, name)
		body = fmt.Appendf(append(body, data...), "\r\n--%s--\r\n", boundary)
		return send(http.MethodPost, store+"/upload/storage/v1/b/"+u.Host+"/o?uploadType=multipart&name="+url.QueryEscape(name), "multipart/related; boundary="+boundary, body)
	}
	if err := send(http.MethodGet, store+"/"+u.Host+"/HEAD", "", nil); err != nil {
		return err
	}
	var files []string
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, path)
		}
		return err
	}); err != nil {
		return err
	}
	const last = 4
	var group errgroup.Group
	group.SetLimit(writers)
	for _, f := range files[:len(files)-last] {
		group.Go(func() error { return put(f) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, f := range files[len(files)-last:] {
		if err := put(f); err != nil {
			return err
		}
	}
	return nil
}
