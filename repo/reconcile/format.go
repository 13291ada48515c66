package reconcile

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/repo"
)

// counts tells in words what is open and what was put right.
func (r *Report) counts() string {
	var repaired, planned, drift, alarms int
	for _, f := range r.All {
		switch {
		case f.Severity == Info:
		case f.Repaired:
			repaired++
		case f.Severity == Repair:
			planned++
		case f.Severity == Drift:
			drift++
		default:
			alarms++
		}
	}
	if repaired+planned+drift+alarms == 0 {
		return "everything is as it should be"
	}
	var words []string
	for _, c := range []struct {
		n    int
		what string
	}{{alarms, "to be looked at now"}, {drift, "left for a person"}, {planned, "would be repaired with --confirm"}, {repaired, "repaired"}} {
		if c.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(words, ", ")
}

// mark is how a finding begins in the summary.
func (f Finding) mark() string {
	switch {
	case f.Repaired:
		return "repaired"
	case f.Severity == Alarm:
		return "ALARM"
	case f.Severity == Repair:
		return "to repair"
	}
	return string(f.Severity)
}

// text is a finding in one line.
func (f Finding) text() string {
	detail := strings.Join(strings.Fields(f.Detail), " ") // an error may have several lines
	if f.Object == "" {
		return detail
	}
	return f.Object + ": " + detail
}

// most is how many findings of one kind a stream's summary shows.
const most = 5

// Print writes a summary for a person: the streams that something is to be said of, and one line for all others.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s: %s\n", r.Bucket, r.Time.UTC().Format(time.DateTime+" UTC"), r.counts())
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %-9s %s\n", f.mark(), f.text())
	}
	quiet := 0
	for _, s := range r.Streams {
		if len(s.Findings) == 0 && (s.Plan == nil || s.Plan.Empty()) {
			quiet++
			continue
		}
		fmt.Fprintf(&b, "%s %s\n", s.Stream, s.state())
		shown := map[Kind]int{}
		for _, f := range s.Findings {
			if shown[f.Kind]++; shown[f.Kind] <= most {
				fmt.Fprintf(&b, "  %-9s %s\n", f.mark(), f.text())
			}
		}
		for kind, n := range sortedCounts(shown) {
			if n > most {
				fmt.Fprintf(&b, "  %-9s %d more of kind %s: --output json has all\n", "", n-most, kind)
			}
		}
	}
	if quiet > 0 {
		fmt.Fprintf(&b, "streams that need nothing: %d\n", quiet)
	}
	if r.Costs != nil {
		fmt.Fprintf(&b, "estimate for a month: storage %.2f, egress %.2f\n", r.Costs.Storage, r.Costs.Egress)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sortedCounts yields kinds in order.
func sortedCounts(counts map[Kind]int) func(func(Kind, int) bool) {
	return func(yield func(Kind, int) bool) {
		var kinds []Kind
		for k := range counts {
			kinds = append(kinds, k)
		}
		slices.Sort(kinds)
		for _, k := range kinds {
			if !yield(k, counts[k]) {
				return
			}
		}
	}
}

func (s *StreamReport) state() string {
	switch {
	case s.Serial == 0:
		return "was never published"
	case s.Changed:
		return fmt.Sprintf("is at serial %d now", s.Serial)
	}
	return fmt.Sprintf("is at serial %d", s.Serial)
}

// PrintTable writes a line for each stream: the table of pkgs status.
func (r *Report) PrintTable(w io.Writer) error {
	rows := [][]string{{"STREAM", "LATEST", "SERIAL", "AGE", "PACKAGES", "VALID", "STATE"}}
	for _, s := range r.Streams {
		if s.Serial == 0 {
			rows = append(rows, []string{string(s.Stream), "-", "-", "-", "-", "-", s.verdict()})
			continue
		}
		valid := "forever"
		if !s.ValidUntil.IsZero() {
			valid = inDays(s.ValidUntil.Sub(r.Time))
		}
		rows = append(rows, []string{string(s.Stream), cmp.Or(s.Latest, "-"), fmt.Sprint(s.Serial), inDays(r.Time.Sub(s.Published)), fmt.Sprint(s.Packages), valid, s.verdict()})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&line, "%-*s  ", widths[i], cell)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s: %s\n", f.mark(), f.text())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func inDays(d time.Duration) string { return fmt.Sprintf("%dd", int(d.Hours()/24)) }

// verdict sums a stream up in a few words.
func (s *StreamReport) verdict() string {
	counts := map[Kind]int{}
	alarm := false
	for _, f := range s.Findings {
		if f.open() {
			counts[f.Kind]++
			alarm = alarm || f.Severity == Alarm
		}
	}
	var words []string
	for kind, n := range sortedCounts(counts) {
		words = append(words, fmt.Sprintf("%d %s", n, kind))
	}
	verdict := strings.Join(words, ", ")
	switch {
	case verdict != "":
	case s.Serial == 0:
		verdict = "not published yet"
	default:
		verdict = "right"
	}
	if alarm {
		verdict = "ALARM: " + verdict
	}
	if s.Frozen {
		verdict += " (frozen)"
	}
	if s.Follows != "" {
		verdict += " (follows " + s.Follows.Leaf() + ")"
	}
	return verdict
}

// Markdown writes the report for an issue tracker.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Packages in %s on %s\n\n%s.\n", escape(r.Bucket), r.Time.Format("2006-01-02 15:04 UTC"), upperFirst(r.counts()))
	section := func(title string, severity Severity, repaired bool) {
		first := true
		for stream, f := range r.All {
			if f.Severity != severity || f.Repaired != repaired || severity == Info {
				continue
			}
			if first {
				fmt.Fprintf(&b, "\n## %s\n\n| Stream | What | Object | Detail |\n|---|---|---|---|\n", title)
				first = false
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", code(string(stream)), f.Kind, code(f.Object), escape(f.Detail))
		}
	}
	section("Alarms", Alarm, false)
	section("Left for a person", Drift, false)
	section("Would be repaired", Repair, false)
	section("Repaired", Repair, true)
	if len(r.Keys) > 0 {
		b.WriteString("\n## Keys\n\n| Key | To be replaced by | Because | Days left |\n|---|---|---|---|\n")
		for _, k := range r.Keys {
			fmt.Fprintf(&b, "| %s | %s | %s | %d |\n", code(k.Fingerprint), k.At.Format(time.DateOnly), k.Because, int(k.At.Sub(r.Time).Hours()/24))
		}
	}
	b.WriteString("\n## Streams\n\n| Stream | Latest | Serial | Published | Packages | Valid until | In the bucket | Cost of a month | State |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, s := range r.Streams {
		until := "-"
		if !s.ValidUntil.IsZero() {
			until = s.ValidUntil.Format(time.DateOnly)
		}
		costs := "-"
		if s.Costs != nil {
			costs = fmt.Sprintf("storage %.2f, egress %.2f", s.Costs.Storage, s.Costs.Egress)
		}
		published := "-"
		if s.Serial > 0 {
			published = s.Published.Format(time.DateOnly)
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %s | %d | %s | %s | %s | %s |\n", code(string(s.Stream)), cmp.Or(s.Latest, "-"), s.Serial,
			published, s.Packages, until, repo.Size(s.Bytes), costs, escape(s.verdict()))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// escape keeps text from ending a cell of a table or from becoming markup.
func escape(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;", "`", "'").Replace(s)
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + escape(s) + "`"
}
