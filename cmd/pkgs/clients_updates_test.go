package main_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// publications is how often the stream is published while clients update.
const publications = 100

// TestClientsUpdates publishes a stream a hundred times, each time with a new index, while apt, dnf and zypper fetch their
// indexes over and over. None may ever fail, but those of a baseurl= who check the signature on repomd.xml: they may meet
// the moment between repomd.xml and repomd.xml.asc, and how often that happens is reported.
func TestClientsUpdates(t *testing.T) {
	t.Parallel()
	requireClients(t)
	p := publish(t)
	bucket := filepath.Join(filepath.Dir(p.config), "updated")
	command(t, ".", "cp", "-a", p.second, bucket)
	config := filepath.Join(filepath.Dir(p.config), "updates.yaml")
	writeFile(t, config, "bucket: updated\n"+readFile(t, p.config)[len("bucket: second\n"):])

	type client struct {
		name   string
		update func() (string, error)
		may    bool // it may fail
		// runs and failures are counted by the client's own goroutine.
		runs, failures int
		last           string
	}
	var clients []*client
	for _, of := range aptClients {
		s := newAptSandbox(t, p, of, p.key)
		s.serve(p, bucket)
		clients = append(clients, &client{name: "apt of " + of.suite, update: func() (string, error) {
			// Without the lists of before, every update fetches all that it needs.
			return s.try("sh", "-c", "rm -rf /var/lib/apt/lists/* && exec apt-get update -q -o APT::Update::Error-Mode=any -o Acquire::Retries=0 -o Acquire::Check-Date=true -o Acquire::Check-Valid-Until=true")
		}})
	}
	for _, how := range repoAddresses {
		d := newDnf(t, how)
		d.serve(p, bucket)
		clients = append(clients, &client{name: "dnf by " + how, may: how == "baseurl", update: func() (string, error) {
			return d.attempt("--refresh", "makecache")
		}})
		z := newZypper(t, how, p.key)
		z.serve(p, bucket)
		clients = append(clients, &client{name: "zypper by " + how, may: how == "baseurl", update: func() (string, error) {
			return z.attempt("refresh", "--force", "kubernetes")
		}})
	}

	done := make(chan struct{})
	var updating sync.WaitGroup
	for _, c := range clients {
		updating.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				c.runs++
				if out, err := c.update(); err != nil {
					c.failures++
					c.last = fmt.Sprintf("%v\n%s", err, out)
				}
			}
		})
	}
	start := time.Now()
	for range publications {
		p.pkgs(t, "resign", stream, "--config", config, "--confirm")
	}
	took := time.Since(start)
	close(done)
	updating.Wait()
	t.Logf("%d publications in %.0f s", publications, took.Seconds())
	for _, c := range clients {
		t.Logf("%-20s %4d updates, %d failures", c.name, c.runs, c.failures)
		if c.failures > 0 && !c.may {
			t.Errorf("%s failed %d of %d times, the last time with %s", c.name, c.failures, c.runs, c.last)
		}
		if c.runs < 3 {
			t.Errorf("%s updated %d times only: nothing was tried", c.name, c.runs)
		}
	}
}
