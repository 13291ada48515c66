// Package bucket stores objects where a CDN reads them: in Google Cloud Storage, S3, a directory or memory.
//
// An object is a name, bytes, two headers and a generation. Names are relative slash-separated paths without empty, "."
// or ".." segments. A generation is an opaque value that changes whenever the object's bytes do; it is what makes
// conditional writes possible, and with them the only kind of coordination that publishers need.
//
// In a directory ([Dir]) objects are files. In Google Cloud Storage (gs://) and S3 (s3://) an object's key is its name
// behind the prefix of the bucket's address, and its metadata holds two values: sha256, the digest of its bytes, and
// write, a random mark of the one write that made it, which tells a writer whose answer was lost whether the object is
// his. Generations are the numbers of Google Cloud Storage and the ETags of S3; both stores check the conditions
// themselves. Bytes go there with checksums that the store must agree with before the object appears: the CRC32C for
// Google, the SHA-256 for S3.
//
// Every implementation passes the contract suite in this package's tests.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Bucket is an object store. All methods may be called concurrently. They retry what is worth retrying (a lost
// connection, 429, 5xx) a bounded number of times; an error that they return is final for this call.
type Bucket interface {
	// Stat returns what is known of an object without its bytes, or an error matching ErrNotExist.
	Stat(ctx context.Context, name string) (Info, error)

	// Open returns an object's bytes and what Stat would have said of the same generation, or an error matching
	// ErrNotExist. The caller closes the reader. A read that ends early returns an error, never a short result.
	Open(ctx context.Context, name string) (io.ReadCloser, Info, error)

	// Put writes an object and returns what was stored. The object appears whole or not at all, and once Put has
	// returned nil it survives a crash and every later Stat and Open sees it. A condition that does not hold is an
	// error matching ErrCondition, and nothing was written. Any other error leaves open whether the object was
	// written: the caller reads back to find out.
	Put(ctx context.Context, name string, content Content, options PutOptions) (Info, error)

	// List yields the objects whose names start with prefix, in the order of their names' bytes. A store need not tell
	// their digests and headers here.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Delete removes an object if it still has the generation given. That it does not exist is no error; that it
	// has another generation is an error matching ErrCondition.
	Delete(ctx context.Context, name string, generation Generation) error

	// String is the bucket's address as a person writes it, such as gs://bucket/prefix.
	String() string
}

// Generation identifies one state of an object's bytes. The empty generation stands for "does not exist".
type Generation string

// Info is what a bucket knows of an object. SHA256 is lower-case hex and empty where the store does not know it; the
// headers are empty where the store does not keep them (a directory). Modified is zero where a store does not tell it
// (S3, of a write).
//
// MD5 is the lower-case hex sum that a cloud store itself took of the bytes; only a listing has it. S3 gives another value of
// the same form for objects that are encrypted with a key of its key service.
//
// In a cloud store the SHA256 of what others wrote may be just what they said: their credentials let them say anything.
// Who reads the object with this package gets the bytes that belong to it, or an error.
type Info struct {
	Name         string
	Size         int64
	Generation   Generation
	SHA256       string
	MD5          string
	Modified     time.Time
	ContentType  string
	CacheControl string
}

// PutOptions are the headers of an object to write and the condition under which to write it.
type PutOptions struct {
	ContentType  string
	CacheControl string
	// Condition is what must be true of the object for the write to happen; nil is no condition.
	Condition Condition
}

// Condition is a precondition of a write: IfAbsent or a value made by IfGeneration.
type Condition interface{ condition() }

type ifGeneration Generation

func (ifGeneration) condition() {}

// IfAbsent lets a write happen only if no object has the name.
var IfAbsent Condition = ifGeneration("")

// IfGeneration lets a write happen only if the object has this generation; the empty one means that it does not exist.
func IfGeneration(g Generation) Condition { return ifGeneration(g) }

// wanted returns the generation that a condition asks for, and whether it asks for one.
func wanted(c Condition) (Generation, bool) {
	if c == nil {
		return "", false
	}
	return Generation(c.(ifGeneration)), true
}

// Content is bytes to store that can be read more than once, since a write may be tried again.
type Content struct {
	Size int64
	// SHA256 is the lower-case hex digest of the bytes. A store checks it against what it writes.
	SHA256 string
	// Open starts a new reading of the bytes.
	Open func() (io.ReadCloser, error)
}

// ErrNotExist is matched by the errors of Stat and Open for an object that does not exist.
var ErrNotExist = errors.New("object does not exist")

// ErrCondition is matched by the errors of Put and Delete whose condition does not hold.
var ErrCondition = errors.New("object is not in the state that the write asked for")

// Error tells which object an operation failed for.
type Error struct {
	Bucket string // address of the bucket
	Name   string
	Op     string // stat, open, read, put, list, delete, copy
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s/%s: %v", e.Op, e.Bucket, e.Name, e.Err) }
func (e *Error) Unwrap() error { return e.Err }
