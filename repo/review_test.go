package repo

import (
	"context"
	"errors"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/sign"
)

// copy is the same stream with a request of its own.
func (o *offline) copy(t *testing.T) *offline {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "request")
	if err := os.CopyFS(dir, os.DirFS(o.dir)); err != nil {
		t.Fatal(err)
	}
	return &offline{o.bucket.Clone(), o.files, dir, o.plan}
}

// edit changes a file of the request.
func (o *offline) edit(t *testing.T, name string, change func(string) string) {
	t.Helper()
	file := filepath.Join(o.dir, filepath.FromSlash(name))
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	after := change(string(data))
	if after == string(data) {
		t.Fatalf("%s was not changed", name)
	}
	if err := os.WriteFile(file, []byte(after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// rewrite changes the request.
func (o *offline) rewrite(t *testing.T, change func(*Request)) {
	t.Helper()
	r, err := ReadRequest(o.dir)
	if err != nil {
		t.Fatal(err)
	}
	change(r)
	data, err := encodeJSON(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.dir, requestFile), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// forge makes the digests of what is to be signed fit the texts of the request, as a publisher does that somebody else has
// taken over.
func (o *offline) forge(t *testing.T) {
	t.Helper()
	from, err := openCarried(o.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer from.close()
	o.rewrite(t, func(r *Request) {
		c, err := from.contents(r.Index.Halves)
		if err != nil {
			t.Fatal(err)
		}
		d := &draft{by: signer(t).Keyring()}
		s := &snapshot{manifest: Manifest{Stream: r.Stream, Serial: r.Index.Serial}, content: map[string]bucket.Content{}}
		with, stream := edition{signer: d, keyring: d.by, at: r.Index.Time, validUntil: r.Index.Until}, testStream()
		if err := errors.Join(s.debIndex(t.Context(), &stream, c, with), s.rpmIndex(t.Context(), &stream, c, with)); err != nil {
			t.Fatal(err)
		}
		if r.Index.Sign, err = d.sums(); err != nil {
			t.Fatal(err)
		}
	})
}

// replace puts what make makes in the place of a file.
func (o *offline) replace(t *testing.T, name string, make func(file string) error) {
	t.Helper()
	file := filepath.Join(o.dir, filepath.FromSlash(name))
	if err := errors.Join(os.Remove(file), make(file)); err != nil {
		t.Fatal(err)
	}
}

func (o *offline) moveAway(t *testing.T, name string) string {
	t.Helper()
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Rename(filepath.Join(o.dir, filepath.FromSlash(name)), outside); err != nil {
		t.Fatal(err)
	}
	return outside
}

const liveInRelease = liveFolder + "/" + string(streamName) + "/deb/InRelease"

// TestReviewRefuses: what somebody makes of a request who has taken the publisher over, or the way between.
func TestReviewRefuses(t *testing.T) {
	base := newOffline(t)
	if _, err := base.copy(t).review(t, noMemory(t)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*testing.T, *offline)
		want   string
	}{
		{"what is said of a deb that stays", func(t *testing.T, o *offline) {
			o.edit(t, "new/deb/Packages", func(text string) string {
				return strings.Replace(text, "Description: a test", "Description: a trap", 1)
			})
			o.forge(t)
		}, "deb/Release has SHA-256"},
		{"what is said of an rpm that stays", func(t *testing.T, o *offline) {
			o.edit(t, "new/rpm/primary.xml", func(text string) string { return strings.Replace(text, "It is for a test.", "It is for evil.", 1) })
			o.forge(t)
		}, "repomd.xml has SHA-256"},
		{"a new package lies elsewhere", func(t *testing.T, o *offline) {
			o.edit(t, "new/deb/Packages", func(text string) string {
				return strings.Replace(text, "Filename: amd64/kubectl_1.35.1-1.1_amd64.deb", "Filename: amd64/kubectl_1.35.1-1.2_amd64.deb", 1)
			})
			o.forge(t)
		}, "deb/amd64/kubectl_1.35.1-1.1_amd64.deb is to be found as deb/amd64/kubectl_1.35.1-1.2_amd64.deb"},
		{"a package that is left out", func(t *testing.T, o *offline) {
			o.edit(t, "new/deb/Packages", func(text string) string { return text[strings.Index(text, "\n\n")+2:] })
			o.forge(t)
		}, "it takes packages out of the index, which --allow-removals allows: deb/amd64/kubectl_1.35.0-1.1_amd64.deb"},
		{"a package of another stream", func(t *testing.T, o *offline) {
			o.edit(t, "new/deb/Packages", func(text string) string {
				return strings.NewReplacer("Version: 1.35.1", "Version: 1.36.1", "kubectl_1.35.1", "kubectl_1.36.1").Replace(text)
			})
			o.forge(t)
		}, "does not belong to stream"},
		{"the live index of another stream", func(t *testing.T, o *offline) { o.swapLive(t) }, "the live index in the request is that of another stream"},
		{"no keyring", func(t *testing.T, o *offline) {
			o.moveAway(t, liveFolder+"/"+string(streamName)+"/deb/Release.key")
		}, "the keyring that users are given is missing"},
		{"another key", func(t *testing.T, o *offline) {
			o.rewrite(t, func(r *Request) { r.Keys[0] = strings.Repeat("A", 40) })
		}, "the publisher wants it signed by AAAA"},
		{"what is no key", func(t *testing.T, o *offline) {
			o.rewrite(t, func(r *Request) { r.Keys[0] = "\x1b[2J" })
		}, "is not a request for the signatures"},
		{"a reason that draws over what is shown", func(t *testing.T, o *offline) {
			o.rewrite(t, func(r *Request) { r.Index.Reason = "x\x1b[3A\x1b[2K" })
		}, "has no reason of one line"},
		{"a reason of two lines", func(t *testing.T, o *offline) {
			o.rewrite(t, func(r *Request) { r.Index.Reason = "x\n  packages: 0 new" })
		}, "has no reason of one line"},
		{"a reason that turns the text around", func(t *testing.T, o *offline) {
			o.rewrite(t, func(r *Request) { r.Index.Reason = "x\u202ey" })
		}, "has no reason of one line"},
		{"a half twice", func(t *testing.T, o *offline) {
			o.rewrite(t, func(r *Request) { r.Index.Halves = []string{"deb", "deb"} })
		}, "is not a request for the publication that follows another"},
		{"a serial is left out", func(t *testing.T, o *offline) {
			o.rewrite(t, func(r *Request) { r.Index.Serial = 7 })
		}, "is not a request for the publication that follows another"},
		{"a later serial is pretended", func(t *testing.T, o *offline) {
			o.rewrite(t, func(r *Request) { r.Index.Serial, r.Index.From = 8, 7 })
		}, "has SHA-256"},
		{"the live index is a later one", func(t *testing.T, o *offline) {
			p := publisher(t, o.bucket)
			p.Now = func() time.Time { return asked.Add(-time.Hour) }
			mustAdd(t, p, packages(t, "1.35.7", "seven"))
			later := filepath.Join(t.TempDir(), "later")
			p.Now = func() time.Time { return asked }
			if _, _, err := request(t, p, later, testStream(), Change{Resign: true, Reason: "test"}, signer(t).Keyring()); err != nil {
				t.Fatal(err)
			}
			live := filepath.Join(o.dir, liveFolder)
			if err := errors.Join(os.RemoveAll(live), os.Rename(filepath.Join(later, liveFolder), live)); err != nil {
				t.Fatal(err)
			}
		}, "the live index says that it is serial 2, and this is to follow 1"},
		{"a date before that of the live index", func(t *testing.T, o *offline) {
			o.rewrite(t, func(r *Request) { r.Index.Time = now.Add(-6 * time.Hour) })
		}, "does not go forward: the live index is of"},
		{"a date of the future", func(t *testing.T, o *offline) {
			o.rewrite(t, func(r *Request) { r.Index.Time = asked.Add(time.Second) })
		}, "is in the future"},
		{"a date so old that nobody would take it", func(t *testing.T, o *offline) {
			o.rewrite(t, func(r *Request) { r.Index.Time = asked.AddDate(0, 0, -31) })
		}, "it would have expired on"},
		{"a package that stays gets other bytes", func(t *testing.T, o *offline) {
			sum := packages(t, "1.35.0", "one").Debs[0].SHA256
			o.edit(t, "new/deb/Packages", func(text string) string { return strings.ReplaceAll(text, sum, strings.Repeat("0", 64)) })
			o.forge(t)
		}, "deb/amd64/kubectl_1.35.0-1.1_amd64.deb has other bytes than before"},
		{"it expires later", func(t *testing.T, o *offline) {
			o.rewrite(t, func(r *Request) { r.Index.Until = r.Index.Until.AddDate(10, 0, 0) })
			o.forge(t)
		}, "deb/Release has SHA-256"},
		{"more is to be signed", func(t *testing.T, o *offline) {
			o.rewrite(t, func(r *Request) { r.Index.Sign["deb/other"] = strings.Repeat("0", 64) })
		}, "wants more signed than the index"},
		{"an index from outside of the folder", func(t *testing.T, o *offline) {
			outside := o.moveAway(t, "new/deb/Packages")
			if err := os.Symlink(outside, filepath.Join(o.dir, "new/deb/Packages")); err != nil {
				t.Fatal(err)
			}
		}, "new/deb/Packages: path escapes from parent"},
		{"a live index from outside of the folder", func(t *testing.T, o *offline) {
			outside := o.moveAway(t, liveFolder)
			if err := os.Symlink(outside, filepath.Join(o.dir, liveFolder)); err != nil {
				t.Fatal(err)
			}
		}, "path escapes from parent"},
		{"a request from outside of the folder", func(t *testing.T, o *offline) {
			outside := o.moveAway(t, requestFile)
			if err := os.Symlink(outside, filepath.Join(o.dir, requestFile)); err != nil {
				t.Fatal(err)
			}
		}, "request.json: path escapes from parent"},
		{"a pipe that nobody writes to", func(t *testing.T, o *offline) {
			o.replace(t, liveInRelease, func(file string) error { return syscall.Mkfifo(file, 0o644) })
		}, "is not a regular file"},
		{"a request that is a pipe", func(t *testing.T, o *offline) {
			o.replace(t, requestFile, func(file string) error { return syscall.Mkfifo(file, 0o644) })
		}, "is not a regular file"},
		{"a folder in the place of a file", func(t *testing.T, o *offline) {
			o.replace(t, "new/rpm/primary.xml", func(file string) error { return os.Mkdir(file, 0o755) })
		}, "is not a regular file"},
		{"a file without an end", func(t *testing.T, o *offline) {
			o.replace(t, "new/deb/Packages", func(file string) error { return errors.Join(os.WriteFile(file, nil, 0o644), os.Truncate(file, 1<<40)) })
		}, "is larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := base.copy(t)
			c.change(t, o)
			if _, err := o.review(t, noMemory(t)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// swapLive brings the index of another stream as the live one, which is signed by the same key.
func (o *offline) swapLive(t *testing.T) {
	other := testStream()
	other.Name, other.Suite, other.Label = "core:/prerelease:/v1.35", "prerelease", "other"
	p := publisher(t, bucket.NewMemory())
	p.Now = func() time.Time { return now.Add(-5 * time.Hour) }
	plan, err := p.Plan(t.Context(), other, Change{Add: packages(t, "1.35.0", "one")})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Execute(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	p.Now = func() time.Time { return asked }
	dir := filepath.Join(t.TempDir(), "other")
	if _, _, err := request(t, p, dir, other, Change{Resign: true, Reason: "test"}, signer(t).Keyring()); err != nil {
		t.Fatal(err)
	}
	live := filepath.Join(o.dir, liveFolder)
	if err := errors.Join(os.RemoveAll(live), os.MkdirAll(filepath.Join(live, "core:", "stable:"), 0o755),
		os.Rename(filepath.Join(dir, liveFolder, string(other.Name)), filepath.Join(live, string(streamName)))); err != nil {
		t.Fatal(err)
	}
}

// TestReviewKeys: a signer asks of its keys what the gate of a publication does, before it signs an index or packages.
func TestReviewKeys(t *testing.T) {
	by := func(names ...string) *keys.Keyring {
		var rings []*keys.Keyring
		for _, n := range names {
			rings = append(rings, keyFile(t, n).Public())
		}
		return keys.Merge(rings...)
	}
	sum := func(name string) string { return keyFile(t, name).Info().Fingerprint }
	dir, published := filepath.Join(t.TempDir(), "request"), packages(t, "1.35.0", "one")
	// A request that its publisher lets through, whatever its keys are.
	ask := func(t *testing.T, signs string, given ...string) {
		t.Helper()
		p := signedBy(t, bucket.NewMemory(), []string{given[0]}, given[1:]...)
		p.Now = func() time.Time { return now.Add(-5 * time.Hour) }
		mustAdd(t, p, published)
		p.Now, p.Keys.Unannounced = func() time.Time { return asked }, []string{sum(signs)}
		if _, r, err := request(t, p, dir, testStream(), Change{Resign: true, Reason: "test"}, by(signs)); err != nil || r == nil {
			t.Fatal(err)
		}
	}
	review := func(t *testing.T, signs string, policy KeyPolicy, given ...string) error {
		t.Helper()
		r, err := ReadRequest(dir)
		if err != nil {
			t.Fatal(err)
		}
		r.Keys = []string{sum(signs)}
		s, err := sign.New(keyFile(t, signs))
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewReview(t.Context(), dir, r, ReviewConfig{
			Stream: testStream(), Signer: s, Keyring: by(given...), Keys: policy, Now: asked, Memory: noMemory(t),
		})
		return err
	}
	due := KeyPolicy{RotateBy: asked.Add(-time.Hour)}
	grace := KeyPolicy{RotateBy: asked.Add(-time.Hour), GraceUntil: asked.Add(time.Hour)}
	for _, c := range []struct {
		name, signs string
		policy      KeyPolicy
		given       []string // by the stream; the signer's configuration has ring
		ring        []string
		want        string
	}{
		{"all is well", "one", KeyPolicy{}, []string{"one"}, []string{"one"}, ""},
		{"it was to be replaced", "one", due, []string{"one"}, []string{"one"}, "was to be replaced by"},
		{"it has more time", "one", grace, []string{"one"}, []string{"one"}, ""},
		{"users do not know it", "two", KeyPolicy{}, []string{"one"}, []string{"two", "one"}, "is not in " + string(streamName) + "/deb/Release.key: users do not know it"},
		{"it was announced", "two", KeyPolicy{}, []string{"one", "two"}, []string{"two", "one"}, ""},
		{"users do not know it, and that is allowed", "two", KeyPolicy{Unannounced: []string{sum("two")}}, []string{"one"}, []string{"two", "one"}, ""},
		{"users have one that is unknown here", "one", KeyPolicy{}, []string{"one", "two"}, []string{"one"}, "key " + sum("two") + " is in "},
		{"it has expired", "expiring", KeyPolicy{Unannounced: []string{sum("expiring")}}, []string{"one"}, []string{"expiring", "one"}, "expired on 2025-01-01"},
		{"it is of the future", "future", KeyPolicy{Unannounced: []string{sum("future")}}, []string{"one"}, []string{"future", "one"}, "was created on 2090-01-01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asks := c.signs
			if asks == "expiring" || asks == "future" {
				asks = "one" // no publisher asks for them by itself
			}
			ask(t, asks, c.given...)
			err := review(t, c.signs, c.policy, c.ring...)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}

	// The headers of packages are signed by the same rules.
	r := &Request{Stream: streamName, Keys: []string{sum("one")}, Packages: unsignedHeaders(t, published)}
	if err := r.write(dir, nil); err != nil {
		t.Fatal(err)
	}
	if err := review(t, "one", KeyPolicy{}, "one"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"one": "was to be replaced by", "expiring": "expired on"} {
		if err := review(t, name, due, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("packages by %s: %v, want %q", name, err, want)
		}
	}
}

// unsignedHeaders are the headers of the rpms among files, as a request has them.
func unsignedHeaders(t *testing.T, files *Files) []UnsignedPackage {
	t.Helper()
	var all []UnsignedPackage
	for name := range files.rpms() {
		s, err := signatureOf(files.paths[name])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, UnsignedPackage{path.Base(name), s.Header})
	}
	return all
}

// TestReviewHeadersRefuses: what is not signed as the header of an rpm, whoever asks for it.
func TestReviewHeadersRefuses(t *testing.T) {
	headers, others := unsignedHeaders(t, packages(t, "1.35.0", "one")), unsignedHeaders(t, packages(t, "1.35.0", "two"))
	for _, c := range []struct {
		name   string
		change func(*Request, *ReviewConfig)
		want   string
	}{
		{"nothing is wrong", func(*Request, *ReviewConfig) {}, ""},
		{"the same as before", func(_ *Request, c *ReviewConfig) {
			c.Memory.of(streamName).Headers[headers[0].File] = headerSum(headers[0].Header)
		}, ""},
		{"others than before", func(r *Request, c *ReviewConfig) {
			c.Memory.of(streamName).Headers[headers[0].File] = headerSum(headers[0].Header)
			r.Packages = others
		}, headers[0].File + " was signed before with other contents"},
		{"a package of another stream", func(_ *Request, c *ReviewConfig) {
			c.Stream.Members = map[string]Member{"kubeadm": {Minor: "1.35"}}
		}, "package kubectl is not in the list of packages"},
		{"an architecture of another stream", func(_ *Request, c *ReviewConfig) {
			c.Stream.Architectures = []Architecture{{"amd64", "x86_64"}}
		}, "architecture aarch64 is not one of the stream's"},
		{"a package from the future", func(_ *Request, c *ReviewConfig) { c.Now = now.AddDate(0, -2, 0) }, "in the future"},
		{"one twice", func(r *Request, _ *ReviewConfig) { r.Packages = append(r.Packages, r.Packages[0]) }, "or there twice"},
		{"one by another's name", func(r *Request, _ *ReviewConfig) {
			r.Packages[0].File, r.Packages[1].File = r.Packages[1].File, r.Packages[0].File
		}, "the header is that of kubectl-1.35.0-1.1."},
		{"what is no header", func(r *Request, _ *ReviewConfig) { r.Packages[0].Header = []byte("sign this") }, strconv.Quote(headers[0].File) + ": "},
		{"for another stream", func(r *Request, _ *ReviewConfig) { r.Stream = "core:/stable:/v1.34" }, "it is a request for stream core:/stable:/v1.34"},
		{"by other keys", func(r *Request, _ *ReviewConfig) { r.Keys = append(r.Keys, strings.Repeat("A", 40)) }, "the publisher wants it signed by"},
	} {
		r := &Request{Stream: streamName, Keys: fingerprints(signer(t).Keyring()), Packages: slices.Clone(headers)}
		cfg := ReviewConfig{Stream: testStream(), Signer: signer(t), Keyring: signer(t).Keyring(), Now: asked, Memory: noMemory(t)}
		c.change(r, &cfg)
		_, err := NewReview(t.Context(), t.TempDir(), r, cfg)
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, new(*RefusedError)) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestReviewOrder: a publisher that is told to fill in history, and does not tell, gets no signature for that.
func TestReviewOrder(t *testing.T) {
	o := &offline{bucket: bucket.NewMemory(), dir: filepath.Join(t.TempDir(), "request")}
	p := publisher(t, o.bucket)
	p.Now = func() time.Time { return now.Add(-5 * time.Hour) }
	mustAdd(t, p, packages(t, "1.35.1", "two"))
	p.Now = func() time.Time { return asked }
	if _, _, err := request(t, p, o.dir, testStream(), Change{Add: packages(t, "1.35.0", "one"), Backfill: true}, signer(t).Keyring()); err != nil {
		t.Fatal(err)
	}
	if v, err := o.review(t, noMemory(t)); err != nil || !slices.Contains(v.Notes, "its packages may be older than what the stream has") {
		t.Errorf("history that is filled in: %v", err)
	}
	o.rewrite(t, func(r *Request) { r.Index.Change.Backfill = false })
	if _, err := o.review(t, noMemory(t)); !errors.As(err, new(*GateError)) || !strings.Contains(err.Error(), "--backfill") {
		t.Errorf("an older version: %v", err)
	}
}

// must is for what cannot fail.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// TestReviewReplaces: signatures that were made and lost leave a way on, which somebody has to choose.
func TestReviewReplaces(t *testing.T) {
	o := newOffline(t)
	memory := noMemory(t)
	v, err := o.review(t, memory)
	if err != nil {
		t.Fatal(err)
	}
	v.Remember()
	again := func(at time.Time, replace bool) error {
		p := publisher(t, o.bucket)
		p.Signer, p.Now = nil, func() time.Time { return at }
		if _, _, err := request(t, p, o.dir, testStream(), Change{Add: o.files}, signer(t).Keyring()); err != nil {
			t.Fatal(err)
		}
		r, err := ReadRequest(o.dir)
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewReview(t.Context(), o.dir, r, ReviewConfig{
			Stream: testStream(), Signer: signer(t), Keyring: signer(t).Keyring(), Now: now, Memory: memory, Replace: replace,
		})
		return err
	}
	if err := again(asked.Add(time.Hour), false); err == nil || !strings.Contains(err.Error(), "serial 2 does not go forward: 2 was signed before, for another request") {
		t.Errorf("another request for the same serial: %v", err)
	}
	if err := again(asked.Add(time.Hour), true); err != nil {
		t.Errorf("in its place: %v", err)
	}
	if err := again(asked.Add(-time.Hour), true); err == nil || !strings.Contains(err.Error(), "does not go forward") {
		t.Errorf("an earlier one in its place: %v", err)
	}
	memory.of(streamName).Serial = 3
	if err := again(asked.Add(time.Hour), true); err == nil || !strings.Contains(err.Error(), "serial 2 does not go forward: 3 was signed before") {
		t.Errorf("after a later serial: %v", err)
	}
}

// TestPlanSignedRefuses: what is carried back is published as it was asked for, or not at all.
func TestPlanSignedRefuses(t *testing.T) {
	o := newOffline(t)
	v, err := o.review(t, noMemory(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := v.Signatures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := ReadRequest(o.dir)
	if err != nil {
		t.Fatal(err)
	}
	plan := func(files *Files, at time.Time, stream Stream) error {
		p := publisher(t, o.bucket)
		p.Signer, p.Now = nil, func() time.Time { return at }
		_, err := p.PlanSigned(context.Background(), stream, r, s, files, signer(t).Keyring())
		return err
	}
	other := testStream()
	other.Name = "core:/prerelease:/v1.35"
	relabelled := testStream()
	relabelled.Label = "other"
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no packages":        {plan(&Files{}, now, testStream()), "none of the 4 packages is there"},
		"other packages":     {plan(packages(t, "1.35.1", "three"), now, testStream()), "is not the one that was signed"},
		"further packages":   {plan(packages(t, "1.35.2", "three"), now, testStream()), "is not the one that was signed"},
		"another stream":     {plan(o.files, now, other), "is not a request for an index of stream"},
		"another label":      {plan(o.files, now, relabelled), "is not the one that was signed"},
		"after it expired":   {plan(o.files, now.AddDate(0, 0, 31), testStream()), "has expired on 2025-07-31"},
		"before it was made": {plan(o.files, asked.Add(-time.Hour), testStream()), "check this machine's clock"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, c.err, c.want)
		}
	}
	if err := plan(o.files, now, testStream()); err != nil {
		t.Errorf("as it was asked for: %v", err)
	}

	// Answers that somebody else has made.
	own, strange := *s, must(sign.New(keyFile(t, "two")))
	for _, repomd := range v.draft.repomds {
		s.Repomds = maps.Clone(own.Repomds)
		s.Repomds[digest(must(repomd.XML()))] = string(must(strange.Repomd(t.Context(), repomd, v.Time)))
		if err := plan(o.files, now, testStream()); err == nil || !strings.Contains(err.Error(), "unknown key") {
			t.Errorf("a repomd.xml by another key: %v", err)
		}
	}
	s.Repomds = own.Repomds
	for _, release := range v.draft.releases {
		inRelease, gpg, err := strange.Release(t.Context(), release)
		if err != nil {
			t.Fatal(err)
		}
		s.Releases = map[string]SignedRelease{digest(must(release.WriteRelease(release.Indexes))): {string(inRelease), string(gpg)}}
		if err := plan(o.files, now, testStream()); err == nil || !strings.Contains(err.Error(), "unknown key") {
			t.Errorf("a Release by another key: %v", err)
		}
	}
	s.Releases = own.Releases
	asked := *r.Index
	r.Index.Base = strings.Repeat("0", 64)
	if err := plan(o.files, now, testStream()); !errors.As(err, new(*MovedError)) {
		t.Errorf("on top of another publication with the same serial: %v", err)
	}
	r.Index = &asked
	s.Request = strings.Repeat("0", 64)
	if err := s.Write(o.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSignatures(o.dir, r); err == nil || !strings.Contains(err.Error(), "are the signatures for another request") {
		t.Errorf("the answer to another request: %v", err)
	}
	if err := os.Remove(filepath.Join(o.dir, signaturesFile)); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(o.dir, signaturesFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSignatures(o.dir, r); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("signatures that are a pipe: %v", err)
	}
}
