package main

import (
	"testing"

	"sigs.k8s.io/pkgs/repo/layout"
)

func TestMeant(t *testing.T) {
	there := []layout.Stream{"addons:/cri-o:/prerelease:/main", "addons:/cri-o:/stable:/v1.34", "core:/stable:/latest", "core:/stable:/v1.33", "core:/stable:/v1.34"}
	for name, want := range map[layout.Stream]layout.Stream{
		"core:/stabel:/v1.34":             "core:/stable:/v1.34",
		"core:/stabel:/v1.36":             "core:/stable:/latest", // any of the folder that is meant
		"cores:/stable:/v1.34":            "core:/stable:/v1.34",
		"core:/stable:/1.34":              "core:/stable:/v1.34",
		"core:/stable:/lastest":           "core:/stable:/latest",
		"addons:/crio:/stable:/v1.34":     "addons:/cri-o:/stable:/v1.34",
		"addons:/cri-o:/prerelease:/mian": "addons:/cri-o:/prerelease:/main",
		// These are what they seem to be.
		"core:/stable:/v1.34":             "",
		"core:/stable:/v1.35":             "",
		"core:/stable:/v1.3":              "",
		"core:/prerelease:/v1.34":         "",
		"core:/nightly:/main":             "",
		"addons:/cri-o:/prerelease:/v1.3": "",
		"addons:/cni:/stable:/v1.34":      "",
	} {
		if got := meant(name, there); got != want {
			t.Errorf("%s: %q, expected %q", name, got, want)
		}
	}
	if got := meant("core:/stable:/v1.34", nil); got != "" {
		t.Errorf("of no streams, %q", got)
	}
	for _, words := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"stabel", "stable", 2}, {"kitten", "sitting", 3}, {"abc", "abc", 0}} {
		if n, m := distance(words.a, words.b), distance(words.b, words.a); n != words.want || m != n {
			t.Errorf("%q and %q: %d, %d", words.a, words.b, n, m)
		}
	}
}
