package reconcile

import (
	"context"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// A publisher that died behind its last pointer is found out, and what it left to do is done; then it is noted that nothing is.
func TestUnlisted(t *testing.T) {
	s := newScene(t, bucket.NewMemory())
	state, err := repo.ReadState(t.Context(), s.bucket, streamName)
	if err != nil {
		t.Fatal(err)
	}
	settled := func() bool {
		t.Helper()
		settled, err := repo.Settled(t.Context(), s.bucket, state)
		if err != nil {
			t.Fatal(err)
		}
		return settled
	}
	if !settled() {
		t.Error("after a night that went well that is not noted")
	}
	p := repo.NewPublisher(repo.Config{Bucket: s.bucket, URL: "https://pkgs.example.org", Signer: s.signer, Keyring: s.keyring, Now: func() time.Time { return s.now }})
	plan, err := p.Plan(t.Context(), s.stream.Stream, repo.Change{Resign: true})
	if err == nil {
		err = p.Execute(t.Context(), plan)
	}
	if err != nil {
		t.Fatal(err)
	}
	if state, err = repo.ReadState(t.Context(), s.bucket, streamName); err != nil {
		t.Fatal(err)
	}
	for _, confirm := range []bool{false, true} {
		s.config.Confirm = confirm
		s.expect(s.run(), "a publisher died", Finding{Kind: Page, Object: layout.Streams, Severity: Repair, Repaired: confirm})
		if settled() != confirm {
			t.Errorf("confirmed %t: noted %t", confirm, settled())
		}
	}
	s.expect(s.run(), "the next night")

	// What could not be purged is not done, and neither is a stream of which an alias is not known to follow.
	if err := p.Settle(t.Context(), streamName, repo.Ref{}); err != nil {
		t.Fatal(err)
	}
	s.stream.Aliases = []layout.Stream{"core:/stable:/latest"}
	s.expect(s.run(), "without the alias")
	if settled() {
		t.Error("that the alias follows was not looked at")
	}
	s.stream.Aliases = nil
	s.config.Purge = func(context.Context, []string) error { return context.DeadlineExceeded }
	s.upstream.releases = append(s.upstream.releases, "1.35.2")
	s.run()
	if state, err = repo.ReadState(t.Context(), s.bucket, streamName); err != nil || settled() {
		t.Errorf("serial %d of which the CDN was not told counts as settled: %v", state.Head.Serial, err)
	}
	s.config.Purge = nil
	s.run()
	if !settled() {
		t.Error("after all was done that is not noted")
	}

	// Neither is one whose pointers cannot be put right.
	if err := p.Settle(t.Context(), streamName, repo.Ref{}); err != nil {
		t.Fatal(err)
	}
	memory := s.bucket.(*bucket.Memory)
	if err := memory.Corrupt(streamName.Rpm(layout.RepomdAsc), func(data []byte) []byte { return data[1:] }); err != nil {
		t.Fatal(err)
	}
	memory.Fault = func(op, name string) bucket.Fault {
		if op == "put" && layout.ClassOf(name) == layout.Pointer {
			return bucket.NotApplied
		}
		return bucket.OK
	}
	s.run()
	if settled() {
		t.Error("a stream with a wrong pointer counts as settled")
	}
	memory.Fault = nil
	s.run()
	if !settled() {
		t.Error("after the pointer was put right that is not noted")
	}
}

// Streams that the configuration does not have are told of, and asked about when nobody signs them any more.
func TestUnconfigured(t *testing.T) {
	s := newScene(t, bucket.NewMemory())
	const other = layout.Stream("core:/stable:/v1.20")
	if _, err := repo.List(t.Context(), s.bucket, []repo.Listed{{Stream: other, Serial: 3, Time: s.now}}); err != nil {
		t.Fatal(err)
	}
	s.expect(s.run(), "nobody asks")
	s.config.Configured = func(stream layout.Stream) bool { return stream == streamName }
	s.expect(s.run(), "another configuration", Finding{Kind: Unconfigured, Severity: Info, Object: string(other)})
	s.now = s.now.Add(16 * 24 * time.Hour)
	report := s.run()
	s.expect(report, "nobody signs it", Finding{Kind: Unconfigured, Severity: Drift, Object: string(other)}, Finding{Kind: Expiring, Repaired: true})
	if report.Worst() != Drift || !strings.Contains(report.Findings[0].Detail, "nobody has signed it for 16.0 days") {
		t.Errorf("%+v", report.Findings)
	}
	s.expect(s.run(), "and nothing is done about it", Finding{Kind: Unconfigured, Severity: Drift, Object: string(other)})
}
