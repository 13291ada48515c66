package main

import (
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/pkgs/repo/site"
)

// A directory bucket is served with the headers that the cloud stores keep: see TestServedHeaders in package repo.
func TestServeHeaders(t *testing.T) {
	const forever, revalidate = "public, max-age=31536000, immutable", "no-cache, max-age=0"
	for name, want := range map[string][2]string{
		"core:/stable:/v1.35/deb/amd64/kubectl_1.35.0-1.1_amd64.deb":   {"application/vnd.debian.binary-package", forever},
		"core:/stable:/v1.35/rpm/x86_64/kubectl-1.35.0-1.1.x86_64.rpm": {"application/x-rpm", forever},
		"core:/stable:/v1.35/deb/InRelease":                            {"text/plain; charset=utf-8", revalidate},
		"core:/stable:/v1.35/deb/Packages.gz":                          {"application/gzip", revalidate},
		"core:/stable:/v1.35/rpm/repodata/repomd.xml":                  {"application/xml", revalidate},
		"core:/stable:/v1.35/rpm/mirrorlist":                           {"text/plain; charset=utf-8", revalidate},
		"streams.json":                                                 {"application/json", "public, max-age=60"},
	} {
		root := fstest.MapFS{name: {Data: []byte("data")}, ".state/HEAD": {Data: []byte("secret")}}
		answer := httptest.NewRecorder()
		request := httptest.NewRequest("GET", "/"+name, nil)
		request.Header.Set("Accept-Encoding", "gzip")
		(&directory{root}).ServeHTTP(answer, request)
		h := answer.Header()
		if answer.Code != 200 || answer.Body.String() != "data" || h.Get("Content-Type") != want[0] || h.Get("Cache-Control") != want[1] || h.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d, %v, want %q", name, answer.Code, h, want)
		}
		answer = httptest.NewRecorder()
		(&directory{root}).ServeHTTP(answer, httptest.NewRequest("GET", "/.state/HEAD", nil))
		if answer.Code != 404 {
			t.Errorf("the publisher's state is served: %d", answer.Code)
		}
	}
}

// Lines for a stream that was published for another address do not lead there.
func TestServeElsewhere(t *testing.T) {
	const stream, here = "core:/stable:/v1.35", "http://127.0.0.1:8080"
	for mirrorlist, want := range map[string]string{
		here + "/" + stream + "/rpm-snapshots/1-0123456789abcdef/\n":                      here,
		"https://pkgs.example.org/sub/" + stream + "/rpm-snapshots/1-0123456789abcdef/\n": "https://pkgs.example.org/sub",
		"http://\x1b[2J/" + stream + "/":                                                  "another address",
	} {
		if got := leadsTo(fstest.MapFS{stream + "/rpm/mirrorlist": {Data: []byte(mirrorlist)}}, stream); got != want {
			t.Errorf("%q leads to %q, want %q", mirrorlist, got, want)
		}
	}
	if got := leadsTo(fstest.MapFS{}, stream); got != "" {
		t.Errorf("a stream without rpms leads to %q", got)
	}
	text := site.Repository{Stream: stream, URL: here, Copy: true}.Instructions()
	if strings.Contains(text, "mirrorlist") || strings.Contains(text, "core.sources") || strings.Contains(text, "/core.repo |") || strings.Count(text, "baseurl="+here+"/"+stream+"/rpm/\n") != 2 {
		t.Errorf("the lines for a copy are\n%s", text)
	}
}

// Whoever is on another machine can use the address that is printed.
func TestServeReached(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for listened, want := range map[string]string{
		"127.0.0.1:80": "127.0.0.1:80", "[::1]:80": "[::1]:80", "[::]:8080": name + ":8080", "0.0.0.0:1": name + ":1",
	} {
		addr, err := net.ResolveTCPAddr("tcp", listened)
		if err != nil {
			t.Fatal(err)
		}
		if got := reached(addr); got != want {
			t.Errorf("what listens on %s is reached at %s, want %s", listened, got, want)
		}
	}
}
