package main

import (
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo"
)

// TestProgressTells: a line of a publication's progress tells bytes and objects, what is under way, the rate and what
// remains.
func TestProgressTells(t *testing.T) {
	var out strings.Builder
	at := time.Date(2025, 7, 1, 12, 0, 0, 0, time.UTC)
	p := &program{stderr: &out, now: func() time.Time { return at }}
	show := p.progress("publish")
	at = at.Add(10 * time.Second)
	show.publishing(repo.Progress{Objects: 250, TotalObjects: 1000, Bytes: 50 << 20, TotalBytes: 100 << 20, InFlight: 64})
	if want := "publish: 250 of 1000 objects, 50.0 MiB of 100.0 MiB, 64 under way, 5.0 MiB/s, 30s left\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// TestProgressFits: on a narrow terminal a line is cut off rather than broken in two.
func TestProgressFits(t *testing.T) {
	var out strings.Builder
	at := time.Date(2025, 7, 1, 12, 0, 0, 0, time.UTC)
	show := (&program{stderr: &out, now: func() time.Time { return at }}).progress("build")
	show.width = func() int { return 20 }
	at = at.Add(10 * time.Second)
	show.start(20)
	show.step("out/deb/amd64/kubelet_1.35.0-1.1_amd64.deb", 1<<20)
	show.done()
	if want := "\r\x1b[Kbuild: 1 of 20, 1.0\r\x1b[K"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
