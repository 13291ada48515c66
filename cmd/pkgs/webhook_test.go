package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/reconcile"
)

// Alarms go to the webhook whose address is in a file, metrics to the gateway; trouble with either is an error that does not
// tell the address, which may be a secret.
func TestDeliver(t *testing.T) {
	var bodies []string
	var paths []string
	status := []int{http.StatusServiceUnavailable, http.StatusOK, http.StatusOK, http.StatusForbidden}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(data))
		paths = append(paths, r.Method+" "+r.URL.Path)
		w.WriteHeader(status[min(len(bodies)-1, len(status)-1)])
	}))
	defer server.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hook"), []byte(server.URL+"/hook/secret-part\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := &config{file: filepath.Join(dir, "pkgs.yaml"), Reconcile: reconcileConfig{
		Webhook: &webhookConfig{URLFile: "hook"}, Push: server.URL + "/metrics/job/pkgs", Costs: costsConfig{Storage: 0.02, Egress: 0.08, Clients: 1000},
	}}
	p := &program{stdout: io.Discard, stderr: io.Discard, now: time.Now, getenv: func(string) string { return "" }, log: slog.New(slog.DiscardHandler)}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	report := &reconcile.Report{Bucket: "gs://bucket", Time: now, Streams: []*reconcile.StreamReport{{
		Stream: "core:/stable:/v1.35", Serial: 3, Published: now.Add(-time.Hour), ValidUntil: now.Add(48 * time.Hour), Packages: 4, Objects: 10,
		Bytes: 3 << 30, PackageBytes: 400 << 20, IndexBytes: 1 << 20, Shares: 8,
		Findings: []reconcile.Finding{{Kind: reconcile.Altered, Severity: reconcile.Alarm, Object: "a.deb", Detail: "has other bytes|\n<b>"}},
	}}}
	report.Estimate(reconcile.Prices(cfg.Reconcile.Costs))
	options := reconcileOptions{json: filepath.Join(dir, "r.json"), markdown: filepath.Join(dir, "r.md"), prometheus: filepath.Join(dir, "r.prom")}
	if err := p.deliver(t.Context(), cfg, report, options); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(paths, ", "); got != "PUT /metrics/job/pkgs, PUT /metrics/job/pkgs, POST /hook/secret-part" {
		t.Errorf("requests: %s", got)
	}
	var message alarmMessage
	if err := json.Unmarshal([]byte(bodies[2]), &message); err != nil || len(message.Alarms) != 1 || message.Alarms[0].Object != "a.deb" || !strings.HasPrefix(message.Text, "pkgs: 1 alarms in gs://bucket\ncore:/stable:/v1.35 altered: a.deb") {
		t.Errorf("%s: %v", bodies[2], err)
	}
	metrics, err := os.ReadFile(options.prometheus)
	if err != nil || string(metrics) != bodies[0] {
		t.Errorf("the metrics in the file and those that were pushed differ: %v", err)
	}
	for _, line := range []string{
		`pkgs_findings{stream="core:/stable:/v1.35",kind="altered",severity="alarm"} 1`,
		`pkgs_stream_valid_days{stream="core:/stable:/v1.35"} 2`,
		`pkgs_stream_storage_cost_per_month{stream="core:/stable:/v1.35"} 0.06`,
	} {
		if !strings.Contains(string(metrics), line+"\n") {
			t.Errorf("no line %s in\n%s", line, metrics)
		}
	}
	markdown, err := os.ReadFile(options.markdown)
	if err != nil || !strings.Contains(string(markdown), "| `core:/stable:/v1.35` | altered | `a.deb` | has other bytes\\| &lt;b> |") {
		t.Errorf("%s, %v", markdown, err)
	}
	if data, err := os.ReadFile(options.json); err != nil || !json.Valid(data) {
		t.Error(err)
	}

	cfg.Reconcile.Push = ""
	err = p.deliver(t.Context(), cfg, report, reconcileOptions{})
	if err == nil || !strings.Contains(err.Error(), "could not be delivered") || !strings.Contains(err.Error(), "403") || strings.Contains(err.Error(), "secret-part") {
		t.Errorf("a webhook that refuses: %v", err)
	}
	server.Close()
	if err = p.deliver(t.Context(), cfg, report, reconcileOptions{}); err == nil || strings.Contains(err.Error(), "secret-part") {
		t.Errorf("a webhook that is not there: %v", err)
	}
}
