package reconcile

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"sigs.k8s.io/pkgs/repo/layout"
)

// Prometheus writes the report in the text format that a node exporter's textfile collector and a push gateway read
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
func (r *Report) Prometheus(w io.Writer) error {
	var b strings.Builder
	metric := func(name, kind, help string) { fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }
	each := func(name, help string, value func(*StreamReport) (float64, bool)) {
		metric(name, "gauge", help)
		for _, s := range r.Streams {
			if v, ok := value(s); ok {
				fmt.Fprintf(&b, "%s{stream=%q} %v\n", name, s.Stream, v)
			}
		}
	}
	metric("pkgs_reconcile_timestamp_seconds", "gauge", "When the reconciliation began.")
	fmt.Fprintf(&b, "pkgs_reconcile_timestamp_seconds %d\n", r.Time.Unix())
	metric("pkgs_reconcile_duration_seconds", "gauge", "How long it took.")
	fmt.Fprintf(&b, "pkgs_reconcile_duration_seconds %v\n", r.Seconds)
	metric("pkgs_stream_info", "gauge", "The newest version of each stream.")
	for _, s := range r.Streams {
		fmt.Fprintf(&b, "pkgs_stream_info{stream=%q,latest=%q,frozen=\"%t\",follows=%q} 1\n", s.Stream, s.Latest, s.Frozen, s.Follows)
	}
	each("pkgs_stream_published_timestamp_seconds", "When the live publication was made.", func(s *StreamReport) (float64, bool) {
		return float64(s.Published.Unix()), s.Serial > 0
	})
	each("pkgs_stream_valid_days", "Days until clients refuse the index.", func(s *StreamReport) (float64, bool) {
		return s.ValidUntil.Sub(r.Time).Hours() / 24, !s.ValidUntil.IsZero()
	})
	each("pkgs_stream_serial", "Serial of the live publication.", func(s *StreamReport) (float64, bool) { return float64(s.Serial), true })
	each("pkgs_stream_packages", "Packages in the index.", func(s *StreamReport) (float64, bool) { return float64(s.Packages), true })
	each("pkgs_stream_objects", "Objects in the bucket.", func(s *StreamReport) (float64, bool) { return float64(s.Objects), s.Objects > 0 })
	each("pkgs_stream_bytes", "Size of the objects in the bucket.", func(s *StreamReport) (float64, bool) { return float64(s.Bytes), s.Objects > 0 })
	each("pkgs_stream_older_bytes", "Size of those that only earlier publications need.", func(s *StreamReport) (float64, bool) {
		return float64(s.OlderBytes), s.Objects > 0
	})
	each("pkgs_stream_duration_seconds", "How long the stream took.", func(s *StreamReport) (float64, bool) { return s.Seconds, true })
	each("pkgs_stream_changed", "Whether the run published the stream.", func(s *StreamReport) (float64, bool) {
		if s.Changed {
			return 1, true
		}
		return 0, true
	})
	each("pkgs_stream_versions", "Versions in the index of what the stream is there for.", func(s *StreamReport) (float64, bool) {
		return float64(s.Versions), true
	})
	if r.Costs != nil {
		each("pkgs_stream_storage_cost_per_month", "Estimate of what storing the stream costs.", func(s *StreamReport) (float64, bool) {
			return s.Costs.Storage, s.Objects > 0
		})
		each("pkgs_stream_egress_cost_per_month", "Estimate of what handing the stream out costs.", func(s *StreamReport) (float64, bool) {
			return s.Costs.Egress, s.Serial > 0
		})
	}
	metric("pkgs_key_days", "gauge", "Days until a key that signs must have been replaced.")
	for _, k := range r.Keys {
		fmt.Fprintf(&b, "pkgs_key_days{key=%q,because=%q} %v\n", k.Fingerprint, k.Because, k.At.Sub(r.Time).Hours()/24)
	}
	metric("pkgs_findings", "gauge", "Open findings by stream, kind and severity.")
	type key struct {
		stream   layout.Stream
		kind     Kind
		severity Severity
	}
	counts := map[key]int{}
	for stream, f := range r.All {
		if f.open() {
			counts[key{stream, f.Kind, f.Severity}]++
		}
	}
	var keys []key
	for k := range counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.stream, b.stream), cmp.Compare(a.kind, b.kind), cmp.Compare(a.severity, b.severity))
	})
	for _, k := range keys {
		fmt.Fprintf(&b, "pkgs_findings{stream=%q,kind=%q,severity=%q} %d\n", k.stream, k.kind, k.severity, counts[k])
	}
	_, err := io.WriteString(w, b.String())
	return err
}
