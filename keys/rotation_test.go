package keys

import (
	"slices"
	"testing"
	"time"
)

func TestSigners(t *testing.T) {
	for phase, want := range map[Phase][]string{
		Alone: {"old"}, Announce: {"old"}, Overlap: {"old", "next"}, Switch: {"next", "old"}, Retire: {"next"},
	} {
		if got := Signers(phase, "old", "next"); !slices.Equal(got, want) {
			t.Errorf("in phase %q sign %q, want %q", phase, got, want)
		}
	}
}

func TestPhase(t *testing.T) {
	before := Alone
	for _, p := range Phases() {
		var read Phase
		if err := read.UnmarshalText([]byte(p)); err != nil || read != p {
			t.Errorf("%s: %v", p, err)
		}
		if !p.Reached(before) || before.Reached(p) || !p.Reached(p) {
			t.Errorf("%s does not come after %s", p, before)
		}
		before = p
	}
	if err := new(Phase).UnmarshalText([]byte("")); err == nil {
		t.Error("an empty phase is none that can be given")
	}
}

// keyringOf reads the public half of a throwaway key.
func keyringOf(t *testing.T, name string) *Keyring {
	t.Helper()
	k, err := ParseKeyring(name, publicHalf(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestDeadlines(t *testing.T) {
	by := date(2024, time.October, 1)
	for name, want := range map[string][]string{
		"one-private.asc":      {"rotate-by 2024-10-01 false"},
		"expiring-private.asc": {"rotate-by 2024-10-01 false", "expiry 2025-01-01 true"},
		"rsa2048-private.asc":  {"rotate-by 2024-10-01 false", "policy 2030-02-01 true"},
		"signing-subkey.asc":   {"rotate-by 2024-10-01 false", "expiry 2035-01-01 true", "expiry 2035-01-01 true"},
	} {
		var got []string
		for _, d := range Deadlines(keyringOf(t, name), by) {
			text := d.What + " " + day(d.At) + " false"
			if d.Outage {
				text = d.What + " " + day(d.At) + " true"
			}
			got = append(got, text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := Deadlines(keyringOf(t, "one-private.asc"), time.Time{}); len(got) != 0 {
		t.Errorf("a key without an end has deadlines %v", got)
	}
}

// TestAlarms walks through three years around a deadline, day by day and in every phase: an alarm sounds exactly from the
// day on which the next phase is due until it is reached.
func TestAlarms(t *testing.T) {
	end := date(2027, time.June, 1)
	for _, outage := range []bool{true, false} {
		deadline := Deadline{What: "expiry", Fingerprint: "F", At: end, Outage: outage}
		last := Retire
		if !outage {
			last = Switch
		}
		for left := 500; left >= -500; left-- {
			at := end.AddDate(0, 0, -left)
			due, level := Alone, -1
			switch {
			case left <= 0:
				due, level = last, 0
			case left <= 30:
				due, level = Switch, 30
			case left <= 90:
				due, level = Overlap, 90
			case left <= 180:
				due, level = Announce, 180
			}
			for _, phase := range append(Phases(), Alone) {
				alarms := Alarms([]Deadline{deadline}, phase, at)
				switch {
				case phase.Reached(due):
					if len(alarms) != 0 {
						t.Errorf("%d days before, in phase %q: %v", left, phase, alarms)
					}
				case len(alarms) != 1:
					t.Errorf("%d days before, in phase %q: no alarm, or too many: %v", left, phase, alarms)
				case alarms[0].Level != level || alarms[0].Days != left || alarms[0].Phase != due || alarms[0].String() == "":
					t.Errorf("%d days before, in phase %q: %+v, want level %d and phase %s", left, phase, alarms[0], level, due)
				}
			}
			// Half a day later there is a whole day less.
			if a := Alarms([]Deadline{deadline}, Alone, at.Add(12*time.Hour)); len(a) == 1 && a[0].Days != left-1 {
				t.Errorf("%d days and a half before: %d days", left, a[0].Days)
			}
		}
	}
}
