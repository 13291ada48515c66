package bucket

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName    = 1024 // Google Cloud Storage and S3 allow 1024 bytes
	maxSegment = 255  // most file systems allow 255 bytes
	// reserved is the first segment that names must not have: a directory bucket keeps its lock and its unfinished
	// files there.
	reserved = ".bucket"
)

// checkName refuses what cannot be the name of an object in every kind of bucket.
func checkName(name string) error {
	if len(name) == 0 || len(name) > maxName {
		return fmt.Errorf("an object's name has 1 to %d bytes, this one has %d", maxName, len(name))
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, `\`) {
		return fmt.Errorf("%q is not an object's name: it holds a control character, a backslash or broken UTF-8", name)
	}
	first := true
	for segment := range strings.SplitSeq(name, "/") {
		switch {
		case segment == "" || segment == "." || segment == "..":
			return fmt.Errorf("%q is not an object's name: a segment between slashes is %q", name, segment)
		case len(segment) > maxSegment:
			return fmt.Errorf("%q is not an object's name: a segment has more than %d bytes", name, maxSegment)
		case first && segment == reserved:
			return fmt.Errorf("%q is not an object's name: %s is where a directory bucket keeps unfinished files", name, reserved)
		}
		first = false
	}
	return nil
}

// checkPrefix refuses a prefix that no name can have.
func checkPrefix(prefix string) error {
	folder, last := prefix, ""
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		folder, last = prefix[:i], prefix[i+1:]
	} else {
		folder, last = "", prefix
	}
	if folder == "" && prefix != last {
		return fmt.Errorf("%q is not the beginning of an object's name", prefix)
	}
	if folder != "" {
		if err := checkName(folder); err != nil {
			return err
		}
	}
	if last != "" && last != "." && last != ".." {
		if err := checkName(last + "x"); err != nil {
			return err
		}
	}
	return nil
}
