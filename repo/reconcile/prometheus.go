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
func (r *Report) Prometheus(w io.Writer, costs Costs) error {
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
		fmt.Fprintf(&b, "pkgs_stream_info{stream=%q,latest=%q,frozen=\"%t\"} 1\n", s.Stream, s.Latest, s.Frozen)
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
	if costs.Storage > 0 {
		each("pkgs_stream_storage_cost_per_month", "Estimate of what storing the stream costs.", func(s *StreamReport) (float64, bool) {
			return costs.StorageOf(s), s.Objects > 0
		})
	}
	if costs.Egress > 0 && costs.Clients > 0 {
		each("pkgs_stream_egress_cost_per_month", "Estimate of what handing the stream out costs.", func(s *StreamReport) (float64, bool) {
			return costs.EgressOf(s), s.Serial > 0
		})
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

// Costs are prices for an estimate, in any currency.
type Costs struct {
	// Storage is the price of a gibibyte for a month, Egress that of a gibibyte handed out.
	Storage, Egress float64
	// Clients is how many machines use a stream. Each is taken to look for updates daily, to find new indexes once a week,
	// and to upgrade once a month.
	Clients float64
}

// StorageOf estimates what a stream's objects cost in a month.
func (c Costs) StorageOf(s *StreamReport) float64 { return float64(s.Bytes) / (1 << 30) * c.Storage }

// EgressOf estimates what handing out a stream costs in a month. A machine has one architecture and one format, so it takes
// an equal share of the newest packages.
func (c Costs) EgressOf(s *StreamReport) float64 {
	shares := float64(max(s.Shares, 1))
	perClient := float64(s.PackageBytes)/shares + 52.0/12*float64(s.IndexBytes)/2
	return c.Clients * perClient / (1 << 30) * c.Egress
}
