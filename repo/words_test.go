package repo

import "testing"

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 debs", 1: "1 deb", 2: "2 debs"} {
		if got := Count(n, "deb"); got != want {
			t.Errorf("%q, expected %q", got, want)
		}
	}
}
