package reconcile

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo"
)

var update = flag.Bool("update", false, "write the reports of the tests anew")

// sample is a report with something of everything.
func sample() *Report {
	at := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	r := &Report{
		Time: at, Bucket: "gs://packages", Confirmed: true, Seconds: 12.5,
		Findings: []Finding{{Kind: Key, Severity: Drift, Object: "ABCD", Detail: "is to be replaced by 2026-04-01"}},
		Keys:     []KeyEnd{{Fingerprint: "ABCD", Because: "rotate-by", At: at.Add(31 * 24 * time.Hour)}, {Fingerprint: "ABCD", Because: "policy", At: at.AddDate(4, 0, 0)}},
		Pages:    []string{"streams.json"},
		Streams: []*StreamReport{
			{Stream: "core:/prerelease:/v1.37", Findings: []Finding{{Kind: Upstreams, Severity: Drift, Detail: "no answer"}}, Seconds: 1},
			{
				Stream: "core:/stable:/latest", Follows: "core:/stable:/v1.36", Serial: 7, Published: at, ValidUntil: at.Add(30 * 24 * time.Hour), Latest: "1.36.1", Versions: 2,
				Packages: 16, Objects: 80, Bytes: 3 << 30, Older: 3, OlderBytes: 1 << 20, PackageBytes: 400 << 20, IndexBytes: 1 << 20, Shares: 4, Changed: true, Seconds: 2,
				Findings: []Finding{{Kind: Behind, Severity: Repair, Detail: "does not have the packages of serial 2 of core:/stable:/v1.36", Repaired: true}},
				Plan:     &repo.Plan{Reason: "follows serial 2 of core:/stable:/v1.36", Added: []string{}, Removed: []string{}, Writes: []repo.Write{{}}},
			},
			{
				Stream: "core:/stable:/v1.31", Frozen: true, Serial: 40, Published: at.Add(-50 * time.Hour), ValidUntil: at.Add(27 * 24 * time.Hour), Latest: "1.31.14", Versions: 15,
				Packages: 120, Objects: 500, Bytes: 5 << 30, PackageBytes: 380 << 20, IndexBytes: 2 << 20, Shares: 4, Findings: []Finding{}, Seconds: 0.25,
			},
			{
				Stream: "core:/stable:/v1.36", Serial: 2, Published: at, ValidUntil: at.Add(30 * 24 * time.Hour), Latest: "1.36.1", Versions: 2, Packages: 16, Objects: 70,
				Bytes: 2 << 30, PackageBytes: 400 << 20, IndexBytes: 1 << 20, Shares: 4, Seconds: 3,
				Findings: []Finding{{Kind: Withdrawn, Severity: Info, Detail: "kubelet 1.36.0 is held back"}},
			},
		},
	}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g<|`h"} {
		s := r.Streams[3]
		s.Findings = append(s.Findings, Finding{Kind: Altered, Severity: Alarm, Object: "core:/stable:/v1.36/deb/" + name + ".deb", Detail: "has other\nbytes | <b>"})
	}
	r.Estimate(Prices{Storage: 0.02, Egress: 0.08, Clients: 20000})
	return r
}

// What a report looks like in each of its forms.
func TestFormats(t *testing.T) {
	r := sample()
	for name, write := range map[string]func(io.Writer) error{
		"report.txt": r.Print, "status.txt": r.PrintTable, "report.md": r.Markdown, "report.prom": r.Prometheus,
		"report.json": func(w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			return e.Encode(r)
		},
	} {
		var got bytes.Buffer
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		file := "testdata/" + name
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s is another (%v); go test -run TestFormats -update writes it anew:\n%s", file, err, got.Bytes())
		}
	}
	if worst := r.Worst(); worst != Alarm {
		t.Errorf("the worst is %s", worst)
	}
	quick := &Report{Streams: []*StreamReport{{Stream: "core:/stable:/v1.36", Bytes: 1 << 30}}}
	if quick.Estimate(Prices{Egress: 1}); quick.Costs != nil {
		t.Errorf("without prices it costs %+v", quick.Costs)
	}
	if quick.Estimate(Prices{Storage: 0.5}); *quick.Costs != (StreamCosts{Storage: 0.5}) {
		t.Errorf("a gibibyte costs %+v", quick.Costs)
	}
}
