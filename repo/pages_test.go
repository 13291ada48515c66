package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

func TestDescribe(t *testing.T) {
	b := bucket.NewMemory()
	p := publisher(t, b)
	mustAdd(t, p, packages(t, "1.35.9", "9"))
	mustAdd(t, p, packages(t, "1.35.10", "10"))
	state, err := ReadState(t.Context(), b, streamName)
	if err != nil {
		t.Fatal(err)
	}
	stream := testStream()
	if listed := state.Describe(&stream); listed.Latest != "" || listed.Packages != 8 || listed.Serial != 2 || !listed.Time.Equal(state.Head.Time) {
		t.Errorf("%+v", listed)
	}
	stream.Members["kubectl"] = Member{Main: true}
	if listed := state.Describe(&stream); listed.Latest != "1.35.10" {
		t.Errorf("%+v", listed)
	}
}

// Pages follow the serials of the streams, never back, and are finished by the next run when one died at any write.
func TestList(t *testing.T) {
	first := []Listed{
		{Stream: "core:/stable:/v1.9", Latest: "1.9.3", Serial: 4}, {Stream: "core:/stable:/v1.10", Latest: "1.10.0", Serial: 1},
		{Stream: "addons:/cri-o:/stable:/v1.9", Latest: "1.9.1", Serial: 1}, {Stream: "core:/prerelease:/v1.11", Serial: 1},
	}
	page := func(b bucket.Bucket, name string) string { return string(contentOf(t, b, name)) }
	check := func(b bucket.Bucket, want map[string]string) {
		t.Helper()
		for name, text := range want {
			if got := page(b, name); got != text {
				t.Errorf("%s: %q, expected %q", name, got, text)
			}
		}
	}
	b := bucket.NewMemory()
	written, err := List(t.Context(), b, first)
	if err != nil || strings.Join(written, " ") != "addons:/cri-o:/stable:/latest.txt addons:/cri-o:/stable:/v1.9/latest.txt core:/stable:/latest.txt core:/stable:/v1.10/latest.txt core:/stable:/v1.9/latest.txt streams.json" {
		t.Errorf("written: %q, %v", written, err)
	}
	if written, err = List(t.Context(), b, first); err != nil || len(written) > 0 {
		t.Errorf("a second time %q was written, %v", written, err)
	}
	check(b, map[string]string{"core:/stable:/latest.txt": "1.10.0\n", "core:/stable:/v1.9/latest.txt": "1.9.3\n"})
	info, err := b.Stat(t.Context(), layout.Streams)
	if err != nil || info.ContentType != "application/json" || info.CacheControl != "public, max-age=60" {
		t.Errorf("%+v, %v", info, err)
	}

	// A yank leads to an older version with a newer serial; an older serial is somebody who comes late.
	for _, s := range []Listed{{Stream: "core:/stable:/v1.9", Latest: "1.9.2", Serial: 5}, {Stream: "core:/stable:/v1.9", Latest: "1.9.3", Serial: 4}} {
		if _, err := List(t.Context(), b, []Listed{s}); err != nil {
			t.Fatal(err)
		}
	}
	check(b, map[string]string{"core:/stable:/v1.9/latest.txt": "1.9.2\n"})

	// The run dies before each write.
	after := []Listed{{Stream: "core:/stable:/v1.10", Latest: "1.10.1", Serial: 2}, {Stream: "core:/stable:/v1.11", Latest: "1.11.0", Serial: 1}}
	for die := 1; ; die++ {
		copied, writes := b.Clone(), 0
		failing := &failingPut{Bucket: copied, fail: func() bool { writes++; return writes >= die }}
		_, err := List(t.Context(), failing, after)
		if err == nil {
			if writes < 4 {
				t.Errorf("only %d pages were written", writes)
			}
			break
		}
		if _, err := List(t.Context(), copied, after); err != nil {
			t.Fatal(err)
		}
		check(copied, map[string]string{"core:/stable:/latest.txt": "1.11.0\n", "core:/stable:/v1.10/latest.txt": "1.10.1\n", "core:/stable:/v1.11/latest.txt": "1.11.0\n"})
	}
}

type failingPut struct {
	bucket.Bucket
	fail func() bool
}

func (f *failingPut) Put(ctx context.Context, name string, c bucket.Content, o bucket.PutOptions) (bucket.Info, error) {
	if f.fail() {
		return bucket.Info{}, errors.New("died")
	}
	return f.Bucket.Put(ctx, name, c, o)
}

// Any number of publishers leave pages that name the newest of all.
func TestListRace(t *testing.T) {
	b := bucket.NewMemory()
	var group sync.WaitGroup
	for minor := range 6 {
		group.Go(func() {
			for serial := range int64(5) {
				s := Listed{Stream: layout.Stream(fmt.Sprintf("core:/stable:/v1.%d", minor)), Latest: fmt.Sprintf("1.%d.%d", minor, serial), Serial: serial + 1}
				for {
					if _, err := List(context.Background(), b, []Listed{s}); err == nil {
						break
					}
				}
			}
		})
	}
	group.Wait()
	var all listing
	if err := json.Unmarshal(contentOf(t, b, layout.Streams), &all); err != nil || len(all.Streams) != 6 {
		t.Errorf("%+v, %v", all, err)
	}
	for _, s := range all.Streams {
		if s.Serial != 5 || string(contentOf(t, b, s.Stream.Latest())) != s.Latest+"\n" {
			t.Errorf("%+v, latest %q", s, contentOf(t, b, s.Stream.Latest()))
		}
	}
	if got := string(contentOf(t, b, "core:/stable:/latest.txt")); got != "1.5.4\n" {
		t.Errorf("the newest of all is %q", got)
	}
}
