package repo

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/apt"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/yum"
	"sigs.k8s.io/pkgs/sign"
)

// index reviews a publication.
func (v *Review) index(ctx context.Context, from *carried) error {
	i, memory := v.request.Index, v.cfg.Memory.of(v.Stream)
	before, date, serial, err := v.live(ctx, from)
	if err != nil {
		return err
	}
	if v.after, err = from.contents(i.Halves); err != nil {
		return err
	}
	if !slices.Contains(i.Halves, "deb") {
		v.after.Debs = before.Debs
	}
	if !slices.Contains(i.Halves, "rpm") {
		v.after.Rpms = before.Rpms
	}
	v.after, _ = v.after.substitute(before, true) // of what stays the live index tells, not the request
	v.after.sort()
	if slices.Contains(i.Halves, "rpm") {
		v.cfg.Stream.advise(&v.after, before.Advisories, nil)
		v.Advisories = advisoryChanges(before.Advisories, v.after.Advisories)
	}
	old, all := before.digests(), v.after.digests()
	v.Serial, v.From, v.Time, v.Reason = i.Serial, i.From, i.Time, i.Reason
	v.Removed = only(old, all)
	v.Kept = len(old) - len(v.Removed)
	var misnamed []string
	add := func(name, file string, size int64, sha256 string) {
		if _, ok := old[name]; ok {
			return
		}
		if name != file {
			misnamed = append(misnamed, fmt.Sprintf("%s is to be found as %s", file, name))
		}
		v.Added = append(v.Added, ReviewedPackage{name, size, sha256})
	}
	for _, p := range v.after.Debs {
		add("deb/"+p.Filename, "deb/"+debFile(p), p.Size, p.SHA256)
	}
	for _, p := range v.after.Rpms {
		add("rpm/"+p.Href, "rpm/"+rpmFile(p), p.Size, p.SHA256)
	}
	if len(misnamed) > 0 {
		return v.refuse(misnamed...)
	}
	if err := v.judge(memory, date, serial, old, all); err != nil {
		return err
	}
	// Packages that come back with a rollback are not new.
	added := &Files{}
	isNew := func(name string) bool { _, known := old[name]; return !known && i.Change.To == 0 }
	for _, p := range v.after.Debs {
		if isNew("deb/" + p.Filename) {
			added.Debs = append(added.Debs, p)
		}
	}
	for _, p := range v.after.Rpms {
		if isNew("rpm/" + p.Href) {
			added.Rpms = append(added.Rpms, p)
		}
	}
	if i.Change.To != 0 {
		v.Notes = append(v.Notes, fmt.Sprintf("it brings back the packages of serial %d", i.Change.To))
	}
	if i.Change.Backfill {
		v.Notes = append(v.Notes, "its packages may be older than what the stream has")
	}
	if f := i.Change.Follow; f != nil {
		v.Notes = append(v.Notes, fmt.Sprintf("it is to have the packages of serial %d of %s", f.Serial, f.Stream))
	}
	if i.Change.Unyank {
		v.Notes = append(v.Notes, "its packages may be such as were taken out of the index before")
	}
	changed := slices.Clone(v.Removed)
	for _, p := range v.Added {
		changed = append(changed, p.Name)
	}
	if err := v.cfg.Stream.judge(&v.after, changed, disorder(&before, added, i.Change.Backfill)); err != nil {
		return err
	}
	return v.derive(ctx)
}

// judge compares the publication with the live one and with what was signed before.
func (v *Review) judge(memory *StreamMemory, date time.Time, serial int64, old, all map[string]string) error {
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	again := memory.Request == v.request.digest && memory.Serial == v.Serial
	switch {
	case again:
		v.Notes = append(v.Notes, "this very request was signed before")
	case v.Serial == memory.Serial && v.cfg.Replace && v.Time.After(memory.Time):
		v.Notes = append(v.Notes, fmt.Sprintf("another publication was signed as serial %d on %s: this one takes its place, and the signatures on the other can still be used", memory.Serial, stamp(memory.Time)))
	case v.Serial == memory.Serial && !v.cfg.Replace:
		problem("serial %d does not go forward: %d was signed before, for another request; publish that one, or if it is lost, allow that this one replaces it", v.Serial, memory.Serial)
	case v.Serial <= memory.Serial:
		problem("serial %d does not go forward: %d was signed before", v.Serial, memory.Serial)
	case !v.Time.After(memory.Time):
		problem("the date %s does not go forward: %s was signed before", stamp(v.Time), stamp(memory.Time))
	case memory.Serial == 0 && v.From > 0:
		v.Notes = append(v.Notes, fmt.Sprintf("this signer has not signed this stream before: it takes serial %d, which the live index is signed for, as the state before", v.From))
	case memory.Serial > 0 && memory.Serial != v.From:
		v.Notes = append(v.Notes, fmt.Sprintf("serial %d was signed here last, and this follows serial %d", memory.Serial, v.From))
	}
	if serial > v.From {
		problem("the live index says that it is serial %d, and this is to follow %d", serial, v.From)
	}
	if v.From > 0 && !v.Time.After(date) {
		problem("the date %s does not go forward: the live index is of %s", stamp(v.Time), stamp(date))
	}
	if v.Time.After(v.cfg.Now) {
		problem("the date %s is in the future: it is %s here", stamp(v.Time), stamp(v.cfg.Now))
	}
	if v.Until = v.Time.Add(v.cfg.Validity); !v.Until.After(v.cfg.Now) {
		problem("it would have expired on %s: ask for signatures again", stamp(v.Until))
	}
	gone := slices.Clone(v.Removed)
	for _, name := range memory.Index {
		if _, ok := all[name]; !ok && !slices.Contains(gone, name) {
			gone = append(gone, name)
		}
	}
	if len(gone) > 0 && !v.cfg.AllowRemovals {
		problem("it takes packages out of the index, which --allow-removals allows: %s", strings.Join(gone, ", "))
	}
	for _, known := range []map[string]string{old, memory.Packages} {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if sum, ok := known[name]; ok && sum != all[name] {
				problem("%s has other bytes than before", name)
			}
		}
	}
	if len(problems) > 0 {
		return v.refuse(slices.Compact(problems)...)
	}
	return nil
}

// live verifies what the request has of the live index and of the keyrings beside it, and reads its contents, its date and
// the serial that it says it has.
func (v *Review) live(ctx context.Context, from *carried) (c Contents, date time.Time, serial int64, err error) {
	i, stream := v.request.Index, &v.cfg.Stream
	var given []givenKeyring
	if i.From > 0 {
		state := &State{Head: Head{Stream: v.Stream, Serial: i.From}, Generation: "given"}
		state.Manifest = Manifest{Stream: v.Stream, Serial: i.From}
		for _, name := range livePointers(v.Stream) {
			data, err := from.read(path.Join(liveFolder, name), maxManifest)
			if err != nil {
				return c, date, 0, fmt.Errorf("the live index is missing: %w", err)
			}
			state.Manifest.Pointers = append(state.Manifest.Pointers, Pointer{Object: Object{Name: name, Class: layout.Pointer, Size: int64(len(data)), SHA256: digest(data)}, Data: string(data)})
		}
		if c, err = live(ctx, &liveFiles{carried: from}, state, v.cfg.Keyring, v.cfg.Now, true, nil); err != nil {
			return c, date, 0, err
		}
		release, revision, err := state.Manifest.signedAs(v.cfg.Keyring, v.cfg.Now)
		if err != nil {
			return c, date, 0, err
		}
		if release.Origin != stream.Origin || release.Label != stream.Label || release.Suite != stream.Suite || release.Codename != stream.Codename {
			return c, date, 0, v.refuse(fmt.Sprintf("the live index in the request is that of another stream: its Suite is %q, its Label %q", release.Suite, release.Label))
		}
		date, serial = release.Date, revision
		for _, name := range keyringPointers(v.Stream) {
			data, err := from.read(path.Join(liveFolder, name), maxManifest)
			if err != nil {
				return c, date, 0, fmt.Errorf("the keyring that users are given is missing: %w", err)
			}
			ring, err := keys.ParseKeyring(name, data)
			if err != nil {
				return c, date, 0, err
			}
			given = append(given, givenKeyring{name, ring})
		}
	}
	if problems := v.cfg.Keys.problems(v.cfg.Signer.Keyring(), v.cfg.Keyring, given, v.cfg.Now); len(problems) > 0 {
		return c, date, 0, v.refuse(problems...)
	}
	return c, date, serial, nil
}

// signedAs reads the apt index of a publication and which serial its yum index, whose signature was verified before, says
// it has.
func (m *Manifest) signedAs(trusted *keys.Keyring, at time.Time) (release *apt.Release, serial int64, err error) {
	p, _ := m.pointer(m.Stream.Deb(layout.InRelease))
	text, _, err := sign.VerifyClearsigned([]byte(p.Data), trusted, whenSigned(p.Data, at))
	if err != nil {
		return nil, 0, err
	}
	if release, err = apt.ParseRelease(text); err != nil {
		return nil, 0, err
	}
	p, _ = m.pointer(m.Stream.Rpm(layout.Repomd))
	repomd, err := yum.ParseRepomd([]byte(p.Data))
	if err != nil {
		return nil, 0, err
	}
	serial, err = strconv.ParseInt(repomd.Revision, 10, 64)
	return release, serial, err
}

// derive makes the texts that are to be signed, with the code that makes them for a publication.
func (v *Review) derive(ctx context.Context) error {
	by := v.cfg.Signer.Keyring()
	v.draft = &draft{by: by}
	s := &snapshot{manifest: Manifest{Stream: v.Stream, Serial: v.Serial}, content: map[string]bucket.Content{}}
	with := edition{signer: v.draft, keyring: v.cfg.Keyring, at: v.Time, validUntil: v.Until}
	for _, half := range v.request.Index.Halves {
		index := s.debIndex
		if half == "rpm" {
			index = s.rpmIndex
		}
		if err := index(ctx, &v.cfg.Stream, v.after, with); err != nil {
			return err
		}
	}
	var err error
	if v.Sign, err = v.draft.sums(); err != nil {
		return err
	}
	for name, sum := range v.Sign {
		if want := v.request.Index.Sign[name]; want != sum {
			return v.refuse(fmt.Sprintf("%s has SHA-256 %s when it is derived here, and the publisher wants %q signed: compare the two configurations", name, sum, want))
		}
	}
	if len(v.Sign) != len(v.request.Index.Sign) {
		return v.refuse("the publisher wants more signed than the index")
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
