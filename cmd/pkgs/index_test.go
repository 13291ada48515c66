package main

import (
	"log/slog"
	"testing"
	"time"
)

// Indexes in place are dated some minutes back, for clients whose clocks are, unless their date is given; what they are good
// for counts from their date.
func TestIndexDate(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	for given, want := range map[string]time.Time{"": time.Date(2026, 1, 2, 1, 59, 5, 0, time.UTC), "1700000000": time.Unix(1700000000, 0).UTC()} {
		p := &program{now: func() time.Time { return now }, getenv: func(string) string { return given }, log: slog.New(slog.DiscardHandler)}
		cfg, err := p.indexSettings(&indexOptions{layout: "flat", compress: []string{"gz"}, validUntil: time.Hour}, false)
		if err != nil {
			t.Fatal(err)
		}
		if r := cfg.Release; !r.Date.Equal(want) || !r.ValidUntil.Equal(want.Add(time.Hour)) {
			t.Errorf("%q: dated %s, valid until %s, want %s", given, r.Date, r.ValidUntil, want)
		}
	}
}
