package bucket

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"time"
)

// cloud is a bucket in a store behind a network. It adds to one kind of store what all of them need: names below a
// prefix, attempts that are repeated where that is safe, and an answer to the question what became of a write whose
// reply was lost.
//
// Every write carries a mark of its own in the object's metadata. A write that failed in a way that leaves open whether
// it was applied is sent again under the same condition. If it is refused then, the object is looked at: with our mark
// on it, it was our own write that made the condition false, and it succeeded. Without it nobody can know, and the
// error says so, which is not ErrCondition. A write without a condition is simply sent again: whoever gives none
// overwrites whatever is there.
//
// A reading that breaks off goes on from where it was, of the same generation. Bytes whose SHA-256 is known are checked
// against it, and the last piece is handed out only if it is right.
type cloud struct {
	address string // as a person writes it
	prefix  string // what all keys start with: empty, or ends with a slash
	store   store
	pace    pace
	// listPage is how many objects are asked for at a time; stores give no more than 1000.
	listPage int

	mu     sync.Mutex
	looked bool // guarded by mu; it was looked whether the store has the bucket
}

// store is one kind of cloud store. Each method makes one attempt. The errors match ErrNotExist (and errNoObject if the
// store says that it has the bucket), ErrCondition or errNoBucket, or are a *failure or a *contentError, or are not worth
// another attempt.
type store interface {
	stat(ctx context.Context, key string) (stored, error)
	// open reads an object from an offset on. A generation that is not empty is the one to read.
	open(ctx context.Context, key string, offset int64, generation Generation) (io.ReadCloser, stored, error)
	// put writes an object with a mark. The write is said to be unsure if it was sent more than once.
	put(ctx context.Context, key string, content Content, options PutOptions, mark string) (o stored, unsure bool, err error)
	// copy writes an object as put does, with the bytes that another store has of a generation. It fails with
	// errors.ErrUnsupported if the store cannot fetch them there, and with errSource if they are no longer there.
	copy(ctx context.Context, from store, source stored, key string, options PutOptions, mark string) (o stored, unsure bool, err error)
	// list returns at most limit objects in the order of their keys, and the page that follows if there is one.
	list(ctx context.Context, prefix, page string, limit int) (objects []stored, next string, err error)
	// delete removes an object that has a generation, which is not empty.
	delete(ctx context.Context, key string, generation Generation) error
}

// stored is what a store says of an object; its Name is the key.
type stored struct {
	Info
	mark string
}

// The metadata that every object gets. The digest is what the writer said; a store may check it or not.
const (
	metaSHA256 = "sha256"
	metaMark   = "write"
)

// defaultType is the content type of objects that were given none, the same in every store.
const defaultType = "application/octet-stream"

// errNoObject is matched by the errors of a store that says of what is missing that it is the object: it has the bucket.
var errNoObject = fmt.Errorf("%w", ErrNotExist)

// errNoBucket is matched by the errors of a store that does not have the bucket.
var errNoBucket = errors.New("there is no such bucket: create it, or correct the address")

func (c *cloud) String() string { return c.address }

func (c *cloud) fail(op, name string, err error) error {
	return &Error{Bucket: c.address, Name: name, Op: op, Err: err}
}

// key returns the store's name for an object.
func (c *cloud) key(name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	if len(c.prefix)+len(name) > maxName {
		return "", fmt.Errorf("with the bucket's prefix the name has %d bytes, and a store allows %d: choose a shorter prefix", len(c.prefix)+len(name), maxName)
	}
	return c.prefix + name, nil
}

// info turns what a store says of an object into what the bucket says of it.
func (c *cloud) info(o stored) Info {
	o.Name = strings.TrimPrefix(o.Name, c.prefix)
	return o.Info
}

// Stat implements [Bucket].
func (c *cloud) Stat(ctx context.Context, name string) (Info, error) {
	var o stored
	key, err := c.key(name)
	if err == nil {
		err = c.pace.try(ctx, c.pace.patience, func(ctx context.Context) (err error) {
			o, err = c.store.stat(ctx, key)
			return err
		})
	}
	if err != nil {
		return Info{}, c.fail("stat", name, c.missing(ctx, err))
	}
	return c.info(o), nil
}

// Open implements [Bucket].
func (c *cloud) Open(ctx context.Context, name string) (io.ReadCloser, Info, error) {
	key, err := c.key(name)
	if err != nil {
		return nil, Info{}, c.fail("open", name, err)
	}
	body, o, err := c.pace.open(ctx, c.store, key, 0, "")
	if err != nil {
		return nil, Info{}, c.fail("open", name, c.missing(ctx, err))
	}
	info := c.info(o)
	return newCloudReader(ctx, c, key, info, body), info, nil
}

// missing looks, once, whether an object does not exist because its bucket does not, where the store leaves that open. It
// believes in the bucket if it may not look.
func (c *cloud) missing(ctx context.Context, err error) error {
	if !errors.Is(err, ErrNotExist) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.looked = c.looked || errors.Is(err, errNoObject); c.looked {
		return err
	}
	_, _, lerr := c.page(ctx, c.prefix, "", 1)
	if errors.Is(lerr, errNoBucket) {
		return lerr
	}
	c.looked = ctx.Err() == nil
	return err
}

// Put implements [Bucket].
func (c *cloud) Put(ctx context.Context, name string, content Content, options PutOptions) (Info, error) {
	key, err := c.key(name)
	if err != nil {
		return Info{}, c.fail("put", name, err)
	}
	// An attempt may take as long as the bytes need on the slowest line that we reckon with.
	limit := c.pace.patience + time.Duration(content.Size/slowest)*time.Second
	o, err := c.write(ctx, key, limit, options, func(ctx context.Context, options PutOptions, mark string) (stored, bool, error) {
		return c.store.put(ctx, key, content, options, mark)
	})
	if err != nil {
		return Info{}, c.fail("put", name, err)
	}
	return c.info(o), nil
}

// write makes attempts at a write until it is known what became of it, or another would not help.
func (c *cloud) write(ctx context.Context, key string, limit time.Duration, options PutOptions, attempt func(context.Context, PutOptions, string) (stored, bool, error)) (stored, error) {
	if options.ContentType == "" {
		options.ContentType = defaultType
	}
	var o stored
	mark, unsure := rand.Text(), false
	err := c.pace.try(ctx, limit, func(ctx context.Context) error {
		var repeated bool
		var err error
		o, repeated, err = attempt(ctx, options, mark)
		if unsure = unsure || repeated; unsure && errors.Is(err, ErrCondition) {
			o, err = c.settle(ctx, key, mark)
		}
		unsure = unsure || verdictOf(err) == perhaps
		return err
	})
	return o, err
}

// slowest is how many bytes a second a line carries at least.
const slowest = 64 << 10

// settle finds out what became of a write that was refused after an earlier attempt at it got no answer.
func (c *cloud) settle(ctx context.Context, key, mark string) (stored, error) {
	o, err := c.store.stat(ctx, key)
	switch {
	case err == nil && o.mark == mark:
		return o, nil
	case err == nil || errors.Is(err, ErrNotExist):
		return stored{}, errors.New("the store's answer to this write was lost, and by now another write is there: read the object to find out whether this one happened before it")
	}
	return stored{}, err
}

// List implements [Bucket]. Keys that are not names of objects, such as those that stores' consoles make for folders,
// are left out.
func (c *cloud) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		err := checkPrefix(prefix)
		page, last := "", ""
		for err == nil {
			var objects []stored
			objects, page, err = c.page(ctx, c.prefix+prefix, page, c.listPage)
			for _, o := range objects {
				if err == nil && o.Name <= last {
					err = fmt.Errorf("the store lists %q behind %q: a store is needed that lists in the order of names", o.Name, last)
				}
				if last = o.Name; err != nil || !strings.HasPrefix(o.Name, c.prefix+prefix) {
					break
				}
				info := c.info(o)
				if checkName(info.Name) == nil && !yield(info, nil) {
					return
				}
			}
			if err == nil && page == "" {
				return
			}
		}
		yield(Info{}, c.fail("list", prefix, err))
	}
}

// page lists one page.
func (c *cloud) page(ctx context.Context, prefix, page string, limit int) (objects []stored, next string, err error) {
	err = c.pace.try(ctx, c.pace.patience, func(ctx context.Context) (err error) {
		objects, next, err = c.store.list(ctx, prefix, page, limit)
		return err
	})
	return objects, next, err
}

// Delete implements [Bucket].
func (c *cloud) Delete(ctx context.Context, name string, generation Generation) error {
	key, err := c.key(name)
	if err == nil {
		err = c.pace.try(ctx, c.pace.patience, func(ctx context.Context) error {
			err := ErrCondition // what there is has not the generation "does not exist"
			if generation != "" {
				err = c.store.delete(ctx, key, generation)
			}
			if errors.Is(err, ErrCondition) {
				// Stores refuse the deletion of what does not exist, too.
				if _, serr := c.store.stat(ctx, key); serr != nil {
					err = serr
				}
			}
			return err
		})
		if err = c.missing(ctx, err); errors.Is(err, ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return c.fail("delete", name, err)
	}
	return nil
}

// newMetadata is the metadata of an object to write.
func newMetadata(sha256, mark string) map[string]string {
	return map[string]string{metaSHA256: sha256, metaMark: mark}
}

// metadata returns a value of an object's metadata; some answers spell the keys like headers.
func metadata(m map[string]string, key string) string {
	for k, v := range m {
		if strings.EqualFold(k, key) {
			return v
		}
	}
	return ""
}

// digestIn returns the SHA-256 in an object's metadata, if it is one.
func digestIn(m map[string]string) string {
	value := metadata(m, metaSHA256)
	if len(value) != 64 || strings.Trim(value, "0123456789abcdef") != "" {
		return ""
	}
	return value
}
