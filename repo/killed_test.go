package repo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/sign"
)

// publishingProcess, in the environment of a test binary, makes it a process that publishes directories of packages to a
// bucket: its address, and the directories, between line feeds.
const publishingProcess = "PKGS_TEST_PUBLISHES"

// publishDirs is that process. It goes on until everything is published.
func publishDirs(words []string) error {
	ctx := context.Background()
	b, err := bucket.Options{Pause: time.Millisecond}.Open(words[0])
	if err != nil {
		return err
	}
	key, err := readTestKey()
	if err != nil {
		return err
	}
	s, err := sign.New(key)
	if err != nil {
		return err
	}
	p := NewPublisher(Config{Bucket: b, URL: "https://pkgs.example.org", Signer: s, Keyring: s.Keyring(), Now: func() time.Time { return now }})
	for _, dir := range words[1:] {
		files, err := ReadFiles(ctx, dir)
		if err != nil {
			return err
		}
		for {
			plan, err := p.Plan(ctx, testStream(), Change{Add: files, Backfill: true})
			if err == nil {
				err = p.Execute(ctx, plan)
			}
			var race *RaceError
			if err == nil {
				break
			} else if !errors.As(err, &race) {
				return err
			}
		}
	}
	return nil
}

// TestKilled has two processes publish versions of one stream, and kills them again and again with a signal that none can
// catch. In the end all is published, one after the other, and nothing that was published on the way has gone.
func TestKilled(t *testing.T) {
	const versions = 6
	var dirs [2][]string
	for i := range versions {
		files := packages(t, fmt.Sprintf("1.35.%d", i), "text")
		for _, path := range files.paths {
			dirs[i%2] = append(dirs[i%2], filepath.Dir(path))
			break
		}
	}
	for _, kind := range []string{"dir", "gcs", "s3"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			address := quickDir(t)
			if kind != "dir" {
				store, err := stores[kind](nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(store.Close)
				address = store.Address("prefix")
			}
			b, err := bucket.Open(address)
			if err != nil {
				t.Fatal(err)
			}
			var kills atomic.Int32
			var group sync.WaitGroup
			for who := range dirs {
				group.Go(func() {
					random := rand.New(rand.NewPCG(uint64(who), 5))
					for most := 20 * time.Millisecond; ; most += most / 4 { // sooner or later each comes to its end
						cmd := exec.Command(os.Args[0])
						cmd.Env = append(os.Environ(), publishingProcess+"="+strings.Join(append([]string{address}, dirs[who]...), "\n"))
						var out strings.Builder
						cmd.Stderr = &out
						if err := cmd.Start(); err != nil {
							t.Error(err)
							return
						}
						timer := time.AfterFunc(time.Duration(random.Int64N(int64(most))), func() { cmd.Process.Kill() })
						err := cmd.Wait()
						timer.Stop()
						if err == nil {
							return
						}
						if cmd.ProcessState.ExitCode() >= 0 {
							t.Errorf("%v: %s", err, &out)
							return
						}
						kills.Add(1)
					}
				})
			}
			// Meanwhile the serial only grows, and what a HEAD names is there.
			stop := make(chan struct{})
			var watching sync.WaitGroup
			watching.Go(func() {
				last := int64(0)
				for {
					state, err := ReadState(context.Background(), b, streamName)
					if err != nil || state.Head.Serial < last {
						t.Errorf("serial %d after %d: %v", state.Head.Serial, last, err)
						return
					}
					last = state.Head.Serial
					select {
					case <-stop:
						return
					case <-time.After(5 * time.Millisecond):
					}
				}
			})
			group.Wait()
			close(stop)
			watching.Wait()
			if t.Failed() {
				return
			}
			if _, err := finish(t, b, &Plan{}); err != nil {
				t.Fatal(err)
			}
			history, err := History(t.Context(), b, streamName, 0)
			if err != nil || len(history) != versions {
				t.Errorf("%d publications, want %d: %v", len(history), versions, err)
			}
			for i, p := range history {
				if p.Serial != int64(len(history)-i) {
					t.Errorf("serial %d in place %d", p.Serial, i)
				}
			}
			if n := check(t, b); n != 2*versions {
				t.Errorf("a client finds %d debs, want %d", n, 2*versions)
			}
			t.Logf("%d kills", kills.Load())
			if kills.Load() < 4 {
				t.Errorf("only %d processes were killed", kills.Load())
			}
		})
	}
}
