package reconcile

import (
	"bytes"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/bucket"
)

// A deep look finds records that do not match their packages and has them made anew.
func TestRecords(t *testing.T) {
	s := newScene(t, bucket.NewMemory())
	files, err := repo.ReadFiles(t.Context(), s.upstream.dir)
	if err != nil {
		t.Fatal(err)
	}
	debs, err := apt.ParsePackages(append(bytes.Replace(files.Debs[0].Stanza, []byte("Section: "), []byte("Section: x"), 1), '\n'))
	if err != nil {
		t.Fatal(err)
	}
	files.Debs[0] = debs[0]
	s.bucket = bucket.NewMemory()
	p := repo.NewPublisher(repo.Config{
		Bucket: s.bucket, URL: "https://pkgs.example.org", Signer: s.signer, Keyring: s.keyring, Now: func() time.Time { return s.now },
	})
	plan, err := p.Plan(t.Context(), s.stream.Stream, repo.Change{Add: files})
	if err == nil {
		err = p.Execute(t.Context(), plan)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(time.Hour)
	s.expect(s.run(), "a look that is not deep", Finding{Kind: Page, Repaired: true})
	s.config.Deep = true
	name := string(streamName) + "/deb/" + files.Debs[0].Filename
	s.config.Confirm = false
	s.expect(s.run(), "a deep look", Finding{Kind: Record, Severity: Repair, Object: name})
	s.config.Confirm = true
	s.now = s.now.Add(time.Hour)
	r := s.run()
	s.expect(r, "a deep look, confirmed", Finding{Kind: Record, Repaired: true, Object: name})
	if d := r.Streams[0].Findings[0].Detail; d != `the index says "Section: xadmin" where the file gives "Section: admin"` {
		t.Errorf("told is %s", d)
	}
	s.now = s.now.Add(time.Hour)
	s.expect(s.run(), "the next deep look")
}
