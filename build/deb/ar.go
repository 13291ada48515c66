package deb

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// maxMember is what ten decimal digits can say.
const maxMember = 9_999_999_999

// archive writes an ar archive.
type archive struct {
	w    io.WriteSeeker
	time time.Time
}

func newArchive(w io.WriteSeeker, at time.Time) (*archive, error) {
	_, err := io.WriteString(w, "!<arch>\n")
	return &archive{w, at}, err
}

// member writes a member whose size is known when it has been written: its header is written again then.
func (a *archive) member(name string, write func(io.Writer) error) error {
	head, err := a.w.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if err := a.header(name, 0); err != nil {
		return err
	}
	start, err := a.w.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if err := write(a.w); err != nil {
		return err
	}
	end, err := a.w.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if end-start > maxMember {
		return errors.New("member is too large for an ar archive")
	}
	if _, err := a.w.Seek(head, io.SeekStart); err != nil {
		return err
	}
	if err := a.header(name, end-start); err != nil {
		return err
	}
	if _, err := a.w.Seek(end, io.SeekStart); err != nil {
		return err
	}
	if (end-start)%2 == 1 {
		_, err = io.WriteString(a.w, "\n")
	}
	return err
}

func (a *archive) header(name string, size int64) error {
	_, err := fmt.Fprintf(a.w, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", name, a.time.Unix(), 0, 0, 0o100644, size)
	return err
}
