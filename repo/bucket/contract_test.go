package bucket

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

func TestMemory(t *testing.T) {
	testBucket(t, func(*testing.T) Bucket { return NewMemory() })
}

func TestDir(t *testing.T) {
	testBucket(t, func(t *testing.T) Bucket {
		d := NewDir(t.TempDir() + "/not/there/yet")
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		return d
	})
}

// testBucket is the contract that every kind of bucket keeps. open makes an empty one.
func testBucket(t *testing.T, open func(*testing.T) Bucket) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Bucket)
	}{
		{"Missing", testMissing},
		{"RoundTrip", testRoundTrip},
		{"Conditions", testConditions},
		{"Delete", testDelete},
		{"List", testList},
		{"ListWhileWriting", testListWhileWriting},
		{"Names", testNames},
		{"WrongContent", testWrongContent},
		{"ShortReads", testShortReads},
		{"Cancel", testCancel},
		{"OneWinner", testOneWinner},
		{"Counter", testCounter},
		{"ReadersSeeWholeObjects", testReadersSeeWholeObjects},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open(t))
		})
	}
}

func put(t *testing.T, b Bucket, name, data string) Info {
	t.Helper()
	info, err := b.Put(t.Context(), name, Bytes([]byte(data)), PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func get(t *testing.T, b Bucket, name string) (string, Info) {
	t.Helper()
	r, info, err := b.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return string(data), info
}

func names(t *testing.T, b Bucket, prefix string) []string {
	t.Helper()
	list := []string{}
	for info, err := range b.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, info.Name)
	}
	return list
}

func testMissing(t *testing.T, b Bucket) {
	for range 2 { // before the bucket has anything in it, and after
		if _, err := b.Stat(t.Context(), "a/b"); !errors.Is(err, ErrNotExist) {
			t.Errorf("stat: %v", err)
		}
		_, _, err := b.Open(t.Context(), "a/b")
		var e *Error
		if !errors.Is(err, ErrNotExist) || !errors.As(err, &e) || e.Name != "a/b" || e.Op != "open" || e.Bucket != b.String() {
			t.Errorf("open: %v", err)
		}
		if err := b.Delete(t.Context(), "a/b", ""); err != nil {
			t.Errorf("delete: %v", err)
		}
		if err := b.Delete(t.Context(), "a/b", "x"); err != nil {
			t.Errorf("delete of a generation: %v", err)
		}
		if got := names(t, b, "a/"); len(got) != 0 {
			t.Errorf("list: %v", got)
		}
		put(t, b, "a/bc", "x")
		put(t, b, "a/bd/e", "x")
		for _, name := range []string{"a", "a/bd", "a/bc/d"} { // folders are no objects, and objects no folders
			if _, err := b.Stat(t.Context(), name); !errors.Is(err, ErrNotExist) {
				t.Errorf("stat %s: %v", name, err)
			}
		}
		for _, info := range []string{"a/bc", "a/bd/e"} {
			i, err := b.Stat(t.Context(), info)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Delete(t.Context(), i.Name, i.Generation); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func testRoundTrip(t *testing.T, b Bucket) {
	for name, data := range map[string][]byte{
		"empty":       {},
		"small":       []byte("hello"),
		"limit":       bytes.Repeat([]byte("x"), hashedSize),
		"above limit": bytes.Repeat([]byte("y"), hashedSize+1),
		"large":       bytes.Repeat([]byte("0123456789abcdef"), 1<<18),
	} {
		content := Bytes(data)
		info, err := b.Put(t.Context(), name, content, PutOptions{ContentType: "text/plain", CacheControl: "no-cache"})
		if err != nil {
			t.Fatal(err)
		}
		if info.Name != name || info.Size != int64(len(data)) || info.Generation == "" || info.SHA256 != content.SHA256 {
			t.Errorf("%s: put returned %+v", name, info)
		}
		got, opened := get(t, b, name)
		if got != string(data) {
			t.Errorf("%s: read %d bytes, want %d", name, len(got), len(data))
		}
		stat, err := b.Stat(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if opened != stat {
			t.Errorf("%s: open says %+v, stat %+v", name, opened, stat)
		}
		var listed Info
		for listed, err = range b.List(t.Context(), name) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if listed.SHA256 == "" && listed.ContentType == "" && listed.CacheControl == "" { // a listing need not tell
			listed.SHA256, listed.ContentType, listed.CacheControl = stat.SHA256, stat.ContentType, stat.CacheControl
		}
		// The fake of S3 rounds the time here and cuts it off there.
		if d := listed.Modified.Sub(stat.Modified); d.Abs() <= time.Second && stat.Modified.Nanosecond() == 0 {
			listed.Modified = stat.Modified
		}
		if sum := md5.Sum(data); listed.MD5 != "" && listed.MD5 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: list says that its MD5 is %s", name, listed.MD5)
		} else if _, _, cloud := strings.Cut(b.String(), "://bucket-in-test"); cloud == (listed.MD5 == "") {
			t.Errorf("%s: MD5 %q in the listing of %s", name, listed.MD5, b)
		}
		listed.MD5 = ""
		if listed != stat {
			t.Errorf("%s: list says %+v, stat %+v", name, listed, stat)
		}
		if info.Modified.IsZero() { // nor a write
			info.Modified = stat.Modified
		}
		if stat.SHA256 == "" { // a store need not know it
			stat.SHA256 = info.SHA256
		}
		if stat != info {
			t.Errorf("%s: put says %+v, stat %+v", name, info, stat)
		}
		for _, h := range [][2]string{{info.ContentType, "text/plain"}, {info.CacheControl, "no-cache"}} {
			if h[0] != "" && h[0] != h[1] {
				t.Errorf("%s: header %q, want %q", name, h[0], h[1])
			}
		}
	}
}

func testConditions(t *testing.T, b Bucket) {
	ctx := t.Context()
	try := func(data string, c Condition) (Info, error) {
		return b.Put(ctx, "x/HEAD", Bytes([]byte(data)), PutOptions{Condition: c})
	}
	refused := func(what string, err error) {
		t.Helper()
		var e *Error
		if !errors.Is(err, ErrCondition) || !errors.As(err, &e) || e.Op != "put" || e.Name != "x/HEAD" {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := try("0", IfGeneration("1"))
	refused("a generation of what does not exist", err)
	one, err := try("1", IfGeneration(""))
	if err != nil {
		t.Fatal(err)
	}
	_, err = try("1", IfAbsent)
	refused("absent, with the same bytes", err)
	_, err = try("2", IfAbsent)
	refused("absent, with other bytes", err)
	_, err = try("2", IfGeneration(""))
	refused("the empty generation", err)
	two, err := try("2", IfGeneration(one.Generation))
	if err != nil || two.Generation == one.Generation {
		t.Fatalf("%+v, %v", two, err)
	}
	_, err = try("3", IfGeneration(one.Generation))
	refused("the generation before", err)
	if data, info := get(t, b, "x/HEAD"); data != "2" || info.Generation != two.Generation {
		t.Errorf("a refused write left %q, %+v", data, info)
	}
	three, err := try("3", nil)
	if err != nil || three.Generation == two.Generation {
		t.Fatalf("%+v, %v", three, err)
	}
	// The same for an object whose generation a store cannot take from its bytes.
	big := bytes.Repeat([]byte("x"), hashedSize+1)
	first, err := b.Put(ctx, "big", Bytes(big), PutOptions{Condition: IfAbsent})
	if err != nil {
		t.Fatal(err)
	}
	big[0] = 'y'
	second, err := b.Put(ctx, "big", Bytes(big), PutOptions{Condition: IfGeneration(first.Generation)})
	if err != nil || first.Generation == second.Generation {
		t.Errorf("%+v after %+v: %v", second, first, err)
	}
	if _, err := b.Put(ctx, "big", Bytes(big), PutOptions{Condition: IfGeneration(first.Generation)}); !errors.Is(err, ErrCondition) {
		t.Errorf("the generation before: %v", err)
	}
}

func testDelete(t *testing.T, b Bucket) {
	ctx := t.Context()
	one := put(t, b, "a/b/c", "1")
	two := put(t, b, "a/b/c", "2")
	for _, g := range []Generation{"", "x", one.Generation} {
		var e *Error
		if err := b.Delete(ctx, "a/b/c", g); !errors.Is(err, ErrCondition) || !errors.As(err, &e) || e.Op != "delete" {
			t.Errorf("generation %q: %v", g, err)
		}
	}
	if err := b.Delete(ctx, "a/b/c", two.Generation); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Stat(ctx, "a/b/c"); !errors.Is(err, ErrNotExist) {
		t.Errorf("after its deletion: %v", err)
	}
	if err := b.Delete(ctx, "a/b/c", two.Generation); err != nil {
		t.Errorf("a second time: %v", err)
	}
	put(t, b, "a/b", "an object where a folder was")
}

func testList(t *testing.T, b Bucket) {
	all := []string{"a", "a-b", "a.b/c", "b/x", "b/y/1", "b/y/2", "b/y-z", "b0", "core:/stable:/v1.35/deb/InRelease",
		"core:/stable:/v1.35/rpm-snapshots/10/x", "core:/stable:/v1.35/rpm-snapshots/9/x", "core:/stable:/v1.35/rpm/x", ".state/x", "Ä/ö"}
	for _, name := range all {
		put(t, b, name, name)
	}
	for _, prefix := range []string{"", "a", "a-", "a.", "b", "b/", "b/y", "b/y/", "b/y/1", "b/y/1x", "b/z/", "z", ".s", ".state/", ".", "..",
		"core:/stable:/v1.3", "core:/stable:/v1.35/rpm", "core:/stable:/v1.35/rpm/", "core:/stable:/v1.35/rpm-snapshots/1", "Ä"} {
		want := []string{}
		for _, name := range all {
			if strings.HasPrefix(name, prefix) {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		if got := names(t, b, prefix); !slices.Equal(got, want) {
			t.Errorf("list of %q:\ngot  %q\nwant %q", prefix, got, want)
		}
	}
	for range b.List(t.Context(), "") {
		break // a listing may be left
	}
	for _, prefix := range []string{"/", "/a", "../", "a/../b", "a//b", "a\x00", reserved + "/"} {
		var failed error
		for _, err := range b.List(t.Context(), prefix) {
			failed = err
		}
		if failed == nil {
			t.Errorf("list of %q did not fail", prefix)
		}
	}
}

// testListWhileWriting: what is there all the time is listed, whatever else comes and goes.
func testListWhileWriting(t *testing.T, b Bucket) {
	for i := range 20 {
		put(t, b, fmt.Sprintf("folder/%02d/stays", i), "x")
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			info, err := b.Put(context.Background(), fmt.Sprintf("folder/%02d/goes", i%20), Bytes([]byte("y")), PutOptions{})
			if err == nil {
				err = b.Delete(context.Background(), info.Name, info.Generation)
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	for range 10 {
		stays := 0
		for _, name := range names(t, b, "folder/") {
			if strings.HasSuffix(name, "stays") {
				stays++
			}
		}
		if stays != 20 {
			t.Errorf("listed %d of 20 objects", stays)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func testNames(t *testing.T, b Bucket) {
	ctx := t.Context()
	for _, name := range []string{"core:/stable:/v1.35/deb/amd64/kubeadm_1.35.0~rc.1+x-1.1_amd64.deb", "a b", "...", "a/..b", "Grün", "%2e%2e", "-", "~", ".state/HEAD",
		strings.Repeat("n", 255), strings.TrimSuffix(strings.Repeat("long-segment/", 70), "/")} {
		put(t, b, name, name)
		if data, info := get(t, b, name); data != name || info.Name != name {
			t.Errorf("%q came back as %q", name, data)
		}
	}
	for _, name := range []string{"", "/", "/etc/passwd", "a/", "a//b", ".", "..", "../x", "a/../../x", "a/./b", "a/..", "a\x00b", "a\nb", `a\b`, "a\xffb",
		reserved, reserved + "/lock", strings.Repeat("n", 256), strings.Repeat("1234567/", 200) + "x"} {
		if _, err := b.Put(ctx, name, Bytes(nil), PutOptions{}); err == nil || errors.Is(err, ErrCondition) {
			t.Errorf("put %.20q: %v", name, err)
		}
		if _, err := b.Stat(ctx, name); err == nil || errors.Is(err, ErrNotExist) {
			t.Errorf("stat %.20q: %v", name, err)
		}
		if _, _, err := b.Open(ctx, name); err == nil || errors.Is(err, ErrNotExist) {
			t.Errorf("open %.20q: %v", name, err)
		}
		if err := b.Delete(ctx, name, ""); err == nil {
			t.Errorf("delete %.20q succeeded", name)
		}
	}
}

// testWrongContent is content that is not what it says, or that cannot be read: nothing of it may be stored.
func testWrongContent(t *testing.T, b Bucket) {
	before := put(t, b, "x", "before")
	good := Bytes([]byte("hello"))
	broken := errors.New("broken")
	for what, c := range map[string]Content{
		"too short":  {6, good.SHA256, good.Open},
		"too long":   {4, good.SHA256, good.Open},
		"other hash": {5, strings.Repeat("0", 64), good.Open},
		"no opening": {5, good.SHA256, func() (io.ReadCloser, error) { return nil, broken }},
		"breaks off": {5, good.SHA256, func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("hel"), iotest.ErrReader(broken))), nil
		}},
	} {
		_, err := b.Put(t.Context(), "x", c, PutOptions{})
		if err == nil || errors.Is(err, ErrCondition) {
			t.Errorf("%s: %v", what, err)
		}
		if c.Size == 5 && c.SHA256 == good.SHA256 && !errors.Is(err, broken) {
			t.Errorf("%s: error is %v", what, err)
		}
	}
	if data, info := get(t, b, "x"); data != "before" || info.Generation != before.Generation {
		t.Errorf("the object is now %q", data)
	}
	if got := names(t, b, ""); !slices.Equal(got, []string{"x"}) {
		t.Errorf("the bucket holds %q", got)
	}
}

// testShortReads writes from a reader that gives a byte at a time, and reads in odd pieces.
func testShortReads(t *testing.T, b Bucket) {
	data := bytes.Repeat([]byte("0123456789"), hashedSize/8)
	c := Bytes(data)
	slow := Content{c.Size, c.SHA256, func() (io.ReadCloser, error) {
		return io.NopCloser(iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(data)))), nil
	}}
	if _, err := b.Put(t.Context(), "slow", slow, PutOptions{}); err != nil {
		t.Fatal(err)
	}
	r, _, err := b.Open(t.Context(), "slow")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got bytes.Buffer
	if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{r}, make([]byte, 777)); err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Errorf("read %d of %d bytes: %v", got.Len(), len(data), err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
}

func testCancel(t *testing.T, b Bucket) {
	put(t, b, "x", "x")
	ctx, cancel := context.WithCancel(t.Context())
	stopped := Content{3, digest([]byte("abc")), func() (io.ReadCloser, error) {
		cancel() // ^C while the content is read
		return io.NopCloser(strings.NewReader("abc")), nil
	}}
	if _, err := b.Put(ctx, "y", stopped, PutOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if _, err := b.Stat(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("stat: %v", err)
	}
	if err := b.Delete(ctx, "x", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("delete: %v", err)
	}
	var failed error
	for _, err := range b.List(ctx, "") {
		failed = err
	}
	if !errors.Is(failed, context.Canceled) {
		t.Errorf("list: %v", failed)
	}
	if got := names(t, b, ""); !slices.Equal(got, []string{"x"}) {
		t.Errorf("the bucket holds %q", got)
	}
}

// testOneWinner: of many who want to create one object, one does.
func testOneWinner(t *testing.T, b Bucket) {
	const writers = 16
	for round := range 5 {
		name := fmt.Sprintf("folder/%d/object", round)
		var won atomic.Int32
		var winner atomic.Value
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				data := strconv.Itoa(w)
				_, err := b.Put(context.Background(), name, Bytes([]byte(data)), PutOptions{Condition: IfAbsent})
				switch {
				case err == nil:
					won.Add(1)
					winner.Store(data)
				case !errors.Is(err, ErrCondition):
					t.Error(err)
				}
			})
		}
		group.Wait()
		if got, _ := get(t, b, name); won.Load() != 1 || got != winner.Load() {
			t.Errorf("%d writers won, and the object is %q", won.Load(), got)
		}
	}
}

// count raises the number in an object by one, n times, by compare-and-swap.
func count(ctx context.Context, b Bucket, name string, n int) error {
	for n > 0 {
		value, condition := 0, IfAbsent
		r, info, err := b.Open(ctx, name)
		if err == nil {
			data, rerr := io.ReadAll(r)
			r.Close()
			if rerr != nil {
				return rerr
			}
			if value, err = strconv.Atoi(string(data)); err != nil {
				return err
			}
			condition = IfGeneration(info.Generation)
		} else if !errors.Is(err, ErrNotExist) {
			return err
		}
		_, err = b.Put(ctx, name, Bytes([]byte(strconv.Itoa(value+1))), PutOptions{Condition: condition})
		switch {
		case err == nil:
			n--
		case !errors.Is(err, ErrCondition):
			return err
		}
	}
	return nil
}

func testCounter(t *testing.T, b Bucket) {
	const workers, each = 4, 10
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			if err := count(context.Background(), b, "counter", each); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got, _ := get(t, b, "counter"); got != strconv.Itoa(workers*each) {
		t.Errorf("counted to %s instead of %d", got, workers*each)
	}
}

// testReadersSeeWholeObjects overwrites an object while it is read: each reading is of one state, and its Info too.
func testReadersSeeWholeObjects(t *testing.T, b Bucket) {
	state := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), 1000+i%26*100) }
	put(t, b, "x", state(0))
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := b.Put(context.Background(), "x", Bytes([]byte(state(i))), PutOptions{}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 100 {
		data, info := get(t, b, "x")
		if len(data) == 0 || data != state(int(data[0]-'a')) || info.Size != int64(len(data)) || info.SHA256 != "" && info.SHA256 != digest([]byte(data)) {
			t.Errorf("read %d bytes, with %+v", len(data), info)
		}
	}
	close(stop)
	group.Wait()
}
