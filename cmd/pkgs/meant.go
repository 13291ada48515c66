package main

import (
	"context"
	"fmt"
	"strings"

	"sigs.k8s.io/pkgs/repo"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/verify"
)

// liveState reads the state of a stream that must have been published.
func liveState(ctx context.Context, b bucket.Bucket, name string) (*repo.State, error) {
	state, err := repo.ReadState(ctx, b, layout.Stream(name))
	if err == nil && !state.Exists() {
		err = neverPublished(ctx, verify.FromBucket(b), name)
	}
	return state, err
}

// neverPublished is the error that a stream is not where it was looked for. It says which streams are: most often a name is
// not written as it was, on the command line or in the configuration.
func neverPublished(ctx context.Context, source verify.Source, name string) error {
	const most = 8
	there, err := verify.Listed(ctx, source)
	advice := "it has none"
	switch like := meant(layout.Stream(name), there); {
	case err != nil:
		advice = fmt.Sprintf("which it has cannot be told: %v", err)
	case like != "":
		advice = fmt.Sprintf("did you mean %s?", like)
	case len(there) > most:
		advice = fmt.Sprintf("it has %s and %d more", join(there[:most], ", "), len(there)-most)
	case len(there) > 0:
		advice = "it has " + join(there, ", ")
	}
	return fmt.Errorf("stream %s was never published in %s: %s", name, source, advice)
}

// beginning tells a person that a plan begins a stream, and returns the one that its name may have been meant for; empty if
// there is none. A name that is misspelt in the configuration is the name of a stream like any other.
func (p *program) beginning(ctx context.Context, b bucket.Bucket, stream layout.Stream) (layout.Stream, error) {
	there, err := verify.Listed(ctx, verify.FromBucket(b))
	if err != nil {
		return "", err
	}
	like := meant(stream, there)
	if like != "" {
		p.log.Warn("this begins a stream whose name is almost that of another", "stream", stream, "did you mean", like)
	}
	if p.output == "text" {
		fmt.Fprintf(p.stdout, "  NEW STREAM: %s has no %s yet, and this begins it", b, stream)
		if like != "" {
			fmt.Fprintf(p.stdout, "; it has %s: is that meant?", like)
		}
		fmt.Fprintln(p.stdout)
	}
	return like, nil
}

// meant finds the stream whose name is almost the one given: the same in a folder that differs by a slip or two, or if nothing is
// in the folder given, any in such a folder; or one in the same folder, if not both are of a minor, whose names are alike
// anyway. It is empty if there is none, or if the very one is there.
func meant(name layout.Stream, there []layout.Stream) layout.Stream {
	const slips = 2
	split := func(s layout.Stream) (folder, leaf string) {
		leaf = s.Leaf()
		return strings.TrimSuffix(string(s), leaf), leaf
	}
	minor := func(leaf string) bool {
		version, ok := strings.CutPrefix(leaf, "v")
		return ok && minorForm.MatchString(version)
	}
	folder, leaf := split(name)
	begun := false
	for _, s := range there {
		f, _ := split(s)
		begun = begun || f == folder
	}
	found, least := layout.Stream(""), slips+2
	for _, s := range there {
		f, l := split(s)
		far := distance(f, folder)
		switch {
		case s == name:
			return ""
		case f == folder && !(minor(l) && minor(leaf)):
			far = distance(l, leaf)
		case f == folder, far > slips, l != leaf && begun:
			continue
		case l != leaf:
			far++ // rather one with the same leaf, however far
		}
		if far <= slips+1 && far < least {
			found, least = s, far
		}
	}
	return found
}

// distance is how many letters have to be put in, left out or replaced to make one word of another.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
