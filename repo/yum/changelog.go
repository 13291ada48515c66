package yum

import (
	"fmt"
	"slices"
	"strings"
)

// change is one entry of a changelog. Its time is a Unix time.
type change struct {
	author string
	time   int64
	text   string
}

// maxChanges is how many entries the index keeps: the latest, as many as createrepo_c keeps unless told otherwise.
const maxChanges = 10

// readChanges fills in the changelog, oldest entry first. In the header the newest comes first. Clients sort entries by
// time; those of one time get a second between them, so that they stay in order.
func (r *record) readChanges(f *file) error {
	times, err := f.main.numbers(tagChangeTimes, kindInt32)
	if err != nil {
		return err
	}
	authors, err := f.main.texts(tagChangeNames)
	if err != nil {
		return err
	}
	texts, err := f.main.texts(tagChangeTexts)
	if err != nil {
		return err
	}
	if len(authors) != len(times) || len(texts) != len(times) {
		return fmt.Errorf("changelog: %d times, but %d authors and %d texts", len(times), len(authors), len(texts))
	}
	var last int64
	for i := range min(len(times), maxChanges) {
		c := change{strings.TrimRight(authors[i], " "), int64(times[i]), texts[i]}
		if err := c.check(); err != nil {
			return fmt.Errorf("changelog: %w", err)
		}
		if c.time == last {
			apart := c.time
			for j := len(r.changes) - 1; j >= 0 && r.changes[j].time == apart; j-- {
				apart++
				r.changes[j].time = apart
			}
		}
		last = c.time
		r.changes = append(r.changes, c)
	}
	slices.Reverse(r.changes)
	return nil
}

func (c change) check() error {
	if err := checkLine(c.author); err != nil {
		return err
	}
	return checkText(c.text)
}
