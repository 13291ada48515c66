package repo

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/yum"
)

// TestOrder offers versions beside others that a stream has: each is taken, taken only as history, or refused in any case.
func TestOrder(t *testing.T) {
	// contents makes packages of versions, each with the revision of its deb and of its rpm: 1.0-1/1.
	contents := func(versions ...string) Contents {
		var c Contents
		for _, v := range versions {
			v, release, _ := strings.Cut(v, "/")
			up := upstream(v)
			c.Debs = append(c.Debs, &apt.Package{Name: "kubectl", Version: v, Architecture: "amd64", Filename: "kubectl_" + v + "_amd64.deb"})
			rpm := &yum.Package{Href: "kubectl-" + up + "-" + release + ".x86_64.rpm"}
			rpm.Name, rpm.Epoch, rpm.Version, rpm.Release, rpm.Arch = "kubectl", "0", up, release, "x86_64"
			c.Rpms = append(c.Rpms, rpm)
		}
		return c
	}
	for _, c := range []struct {
		has, added string
		want       string // what is said of it, and again when it is to fill in history; empty for nothing
		always     string
	}{
		{"1.35.1-1.1/1.1", "1.35.2-1.1/1.1", "", ""},
		{"1.35.9-1.1/1.1", "1.35.10-1.1/1.1", "", ""},
		{"1.35.1-1.1/1.1", "1.35.1-1.2/1.2", "", ""},
		{"1.35.1-1.9/1.9", "1.35.1-1.10/1.10", "", ""},
		{"1.35.1-1.1/1.1", "1.35.1-1.1/1.1", "", ""}, // it is published already
		{"1.35.0~rc.0-1.1/1.1", "1.35.0-1.1/1.1", "", ""},
		{"1.35.1-1.1/1.1", "1.35.0-1.1/1.1", "1.35.0-1.1 sorts below 1.35.1-1.1", ""},
		{"1.35.1-1.1/1.1", "1.35.1~rc.0-1.1/1.1", "1.35.1~rc.0-1.1 sorts below 1.35.1-1.1", ""},
		{"1.35.10-1.1/1.1", "1.35.9-1.1/1.1", "with --backfill", ""},
		{"1.35.1-1.2/1.2", "1.35.1-1.1/1.1", "the stream has the higher revision 1.35.1-1.2", "raise the revision"},
		{"1.35.1-1.1/2.1", "1.35.1-1.2/1.9", "rpm/kubectl-1.35.1-1.9.x86_64.rpm: the stream has the higher revision 1.35.1-2.1", "the higher revision 1.35.1-2.1"},
		{"1.35.1-1.1/1.1 1.35.2-1.1/1.1", "1.35.1-1.0/1.0", "the higher revision 1.35.1-1.1", "the higher revision 1.35.1-1.1"},
		{"1.35.1-1.1/1.1 1.35.2-1.1/1.1", "1.35.1-1.2/1.2", "1.35.1-1.2 sorts below 1.35.2-1.1", ""},
		{"1.35.1-1.1/1.1", "1.35.1-1.01/1.01", "is the same as 1.35.1-1.1 in the order of versions", "is the same as"},
		// dpkg sorts letters before other characters, rpm does not see those others.
		{"1.35+a-1/1", "1.35a-1/1", "ordered differently by dpkg and by rpm", "ordered differently"},
	} {
		has := contents(strings.Fields(c.has)...)
		for _, backfill := range []bool{false, true} {
			want := c.want
			if backfill {
				want = c.always
			}
			got := strings.Join(disorder(&has, &Files{Contents: contents(c.added)}, backfill), "; ")
			if want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("%s beside %s, backfill %t: %q, want %q", c.added, c.has, backfill, got, want)
			}
		}
	}
	pair := contents("1.35a-1/1", "1.35+a-1/1")
	if got := disorder(&Contents{}, &Files{Contents: pair}, false); len(got) != 1 {
		t.Errorf("two new versions that are ordered differently: %q", got)
	}
}

// TestBackfill publishes an older version after a newer one.
func TestBackfill(t *testing.T) {
	p := publisher(t, bucket.NewMemory())
	mustAdd(t, p, packages(t, "1.35.1", "one"))
	old := packages(t, "1.35.0", "old")
	var gate *GateError
	if _, err := add(t, p, old); !errors.As(err, &gate) || len(gate.Problems) != 4 {
		t.Fatalf("error %v", err)
	}
	plan, err := p.Plan(t.Context(), testStream(), Change{Add: old, Backfill: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Execute(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if n := check(t, p.Bucket); n != 4 {
		t.Errorf("%d debs, want 4", n)
	}
	// A rollback brings back what is older, and needs no permission: it is what somebody asked for.
	for i, to := range []int64{1, 2} {
		plan, err := p.Plan(t.Context(), testStream(), Change{To: to, Reason: fmt.Sprint("try ", i)})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Execute(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
	}
	if n := check(t, p.Bucket); n != 4 {
		t.Errorf("%d debs after going back and forth, want 4", n)
	}
}
