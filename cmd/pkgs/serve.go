package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/site"
)

func newServe(p *program) *cobra.Command {
	var addr string
	cmd := &cobra.Command{
		Use:   "serve DIR",
		Short: "Serve a bucket that is a directory, as a CDN would, on this machine",
		Long: `Serve hands out the streams in a directory bucket over HTTP, with the content types and cache headers that a CDN
would send, and prints what to paste on a machine with apt, dnf or zypper. It is for trying things: it has no TLS,
and listens on 127.0.0.1 unless --addr says otherwise. It ends with ^C.

A stream has the address in it that it was published for, the key url of the configuration. Served at another one, the lines
for dnf and zypper do without its mirrorlist.`,
		Example: `  pkgs serve out/bucket`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			root, err := os.OpenRoot(given[0])
			if err != nil {
				return usageError{err}
			}
			defer root.Close()
			streams, err := streamsIn(root.FS())
			if err != nil {
				return err
			}
			listener, err := net.Listen("tcp", addr)
			if err != nil {
				return err
			}
			if len(streams) == 0 {
				p.log.Warn("no stream was published in this directory: `pkgs cut VERSION --confirm` publishes to the bucket of a configuration", "dir", given[0])
			}
			here := "http://" + reached(listener.Addr().(*net.TCPAddr))
			fmt.Fprintf(p.stdout, "serving %s on %s\n", given[0], here)
			for _, stream := range streams {
				repository := site.Repository{Stream: stream, URL: here, Keyring: keyringOf(root.FS(), stream)}
				if elsewhere := leadsTo(root.FS(), stream); elsewhere != "" && elsewhere != here {
					repository.Copy = true
					fmt.Fprintf(p.stdout, "\n# %s was published for %s, which its mirrorlist leads to.\n# These lines are for what is served here:\n", stream, elsewhere)
				}
				fmt.Fprintf(p.stdout, "\n%s\n", repository.Instructions())
			}
			return serve(cmd.Context(), listener, &directory{root.FS()})
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one")
	return cmd
}

// reached is the host and port by which others reach an address that is listened on: by the name of this machine where it
// is any address of it.
func reached(addr *net.TCPAddr) string {
	if name, err := os.Hostname(); err == nil && addr.IP.IsUnspecified() {
		return net.JoinHostPort(name, strconv.Itoa(addr.Port))
	}
	return addr.String()
}

// serve answers requests until ctx ends.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// streamsIn finds the streams of a bucket: those whose HEAD it holds.
func streamsIn(root fs.FS) ([]layout.Stream, error) {
	var streams []layout.Stream
	err := fs.WalkDir(root, ".state", func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == ".state" {
			return nil
		}
		if err != nil || entry.IsDir() || path.Base(name) != "HEAD" {
			return err
		}
		stream, err := layout.ParseStream(strings.TrimPrefix(path.Dir(name), ".state/"))
		if err == nil {
			streams = append(streams, stream)
		}
		return nil
	})
	return streams, err
}

// keyringOf is the keyring package that a stream's page for apt names; empty if there is none.
func keyringOf(root fs.FS, stream layout.Stream) string {
	pages, _ := fs.Glob(root, stream.File("*.sources")) // the pattern is none that could be malformed
	for _, page := range pages {
		if data, err := fs.ReadFile(root, page); err == nil {
			return site.KeyringOf(data)
		}
	}
	return ""
}

// leadsTo is the public address that a stream's mirrorlist has; empty if there is none.
func leadsTo(root fs.FS, stream layout.Stream) string {
	data, err := fs.ReadFile(root, stream.Rpm(layout.Mirrorlist))
	if err != nil {
		return ""
	}
	address, _, _ := strings.Cut(string(data), "/"+string(stream)+"/")
	if _, err := url.Parse(address); err != nil {
		return "another address" // what is no URL may be anything, and is printed
	}
	return address
}

// directory serves the objects of a directory bucket with the headers of their class.
type directory struct{ root fs.FS }

func (d *directory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	info, err := fs.Stat(d.root, name)
	// The state of the publisher is no business of clients.
	if err != nil || info.IsDir() || strings.HasPrefix(name, ".") {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", layout.ContentType(name))
	w.Header().Set("Cache-Control", layout.ClassOf(name).Policy().CacheControl)
	http.ServeFileFS(w, r, d.root, name)
}
