package keys

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Phase is how far the rotation from one signing key to the next has come.
type Phase string

// The phases. In each of them the keyrings that users are given hold both keys.
const (
	// Alone is the time between rotations: there is no next key.
	Alone Phase = ""
	// Announce only gives users the next key.
	Announce Phase = "announce"
	// Overlap signs with both keys where two signatures may stand: for apt. Where there is one it is the old key's.
	Overlap Phase = "overlap"
	// Switch signs with both keys, too, and where there is one signature it is the next key's: repomd.xml.asc and new rpms.
	Switch Phase = "switch"
	// Retire signs with the next key alone. The old one stays in the keyrings, for the rpms that it signed.
	Retire Phase = "retire"
)

// Phases are the phases of a rotation, in their order.
func Phases() []Phase { return []Phase{Announce, Overlap, Switch, Retire} }

// UnmarshalText reads the name of a phase.
func (p *Phase) UnmarshalText(text []byte) error {
	if !slices.Contains(Phases(), Phase(text)) {
		return fmt.Errorf("unknown phase %q: expected announce, overlap, switch or retire", text)
	}
	*p = Phase(text)
	return nil
}

// Reached tells whether a phase is the other one or comes after it.
func (p Phase) Reached(other Phase) bool { return p.number() >= other.number() }

// number is the place of a phase in the order; Alone is before all.
func (p Phase) number() int { return slices.Index(Phases(), p) }

// Signers tells which of the old key and the next one sign in a phase: the first is the one for places where there is one
// signature, all are for places where there may be two.
func Signers[K any](p Phase, old, next K) []K {
	switch p {
	case Overlap:
		return []K{old, next}
	case Switch:
		return []K{next, old}
	case Retire:
		return []K{next}
	}
	return []K{old}
}

// Deadline is a day by which a signing key must have been replaced.
type Deadline struct {
	// What is rotate-by for a day of the configuration, expiry for the key's own, policy for one on which clients stop to
	// accept its kind.
	What        string    `json:"what"`
	Fingerprint string    `json:"fingerprint"`
	At          time.Time `json:"at"`
	// Outage tells whether clients fail from that day on; a day of the configuration only stops the publisher.
	Outage bool `json:"outage"`
}

// Deadlines are the days by which a key must have been replaced, the earliest first. rotateBy is that of the configuration
// or zero.
func Deadlines(key *Keyring, rotateBy time.Time) []Deadline {
	var all []Deadline
	for _, c := range key.certs {
		if !rotateBy.IsZero() {
			all = append(all, Deadline{"rotate-by", c.info.Fingerprint, rotateBy, false})
		}
		for _, f := range c.findings() {
			switch {
			case f.Problem == Expired:
				all = append(all, Deadline{"expiry", f.Fingerprint, f.Since, true})
			case !f.Since.IsZero():
				all = append(all, Deadline{"policy", f.Fingerprint, f.Since, true})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Deadline) int { return a.At.Compare(b.At) })
	return all
}

// Alarm says that a deadline is so near that a rotation should have come further than it has.
type Alarm struct {
	Deadline
	// Level is how many days before the deadline this alarm begins: 180, 90 or 30, or 0 when the day has come.
	Level int `json:"level"`
	// Days is how many days are left, rounded down; negative when the deadline is over.
	Days int `json:"days"`
	// Phase is the one that the rotation should have reached.
	Phase Phase `json:"phase"`
}

func (a Alarm) String() string {
	end := map[string]string{
		"rotate-by": "is to be replaced by " + day(a.At) + ", and signs nothing from then on",
		"expiry":    "expires on " + day(a.At),
		"policy":    "is refused by some clients from " + day(a.At) + " on",
	}[a.What]
	when := fmt.Sprintf("%d days are left", a.Days)
	if a.Level == 0 {
		when = "that day has come"
	}
	return fmt.Sprintf("key %s %s: %s, and phase %s of its rotation is due", a.Fingerprint, end, when, a.Phase)
}

// schedule is which phase is due how many days before a deadline. A client refreshes its keyring rarely, so there is most
// time between the announcement and the switch.
func schedule() []Alarm {
	return []Alarm{{Level: 180, Phase: Announce}, {Level: 90, Phase: Overlap}, {Level: 30, Phase: Switch}, {Level: 0, Phase: Retire}}
}

// Alarms says which deadlines of a key ask at a time for a later phase than its rotation is in.
//
// Announce is due 180 days before a deadline, overlap 90 and switch 30. On the day itself an expiring key must be retired.
// By a day of the configuration it is enough to have switched: the key goes on to be good beside the next one.
func Alarms(deadlines []Deadline, phase Phase, at time.Time) []Alarm {
	alarms := []Alarm{}
	for _, d := range deadlines {
		var due *Alarm
		for _, a := range schedule() {
			if a.Phase == Retire && !d.Outage {
				a.Phase = Switch
			}
			if begin := d.At.AddDate(0, 0, -a.Level); !at.Before(begin) {
				a.Deadline = d
				due = &a
			}
		}
		if due == nil || phase.Reached(due.Phase) {
			continue
		}
		due.Days = int(math.Floor(d.At.Sub(at).Hours() / 24))
		alarms = append(alarms, *due)
	}
	return alarms
}

// DueDate is when a phase of a key's rotation is due by the first of its deadlines; zero if it has none.
func DueDate(deadlines []Deadline, fingerprint string, phase Phase) time.Time {
	for _, d := range deadlines {
		for _, a := range schedule() {
			if d.Fingerprint == fingerprint && a.Phase == phase {
				return d.At.AddDate(0, 0, -a.Level)
			}
		}
	}
	return time.Time{}
}
