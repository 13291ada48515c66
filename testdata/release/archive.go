package main

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A member of an archive: its name there, its mode, and the file that holds its content (none for a folder, whose name
// ends in a slash).
type member struct {
	name string
	mode int64
	file string
}

type owner struct {
	uid, gid    int
	user, group string
}

// writeArchive writes a gzipped tar archive in the format of GNU tar. Its bytes depend on the arguments and the
// members' content alone.
func writeArchive(name string, o owner, at time.Time, members []member) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	gz, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	w := tar.NewWriter(gz)
	for _, m := range members {
		if err := addMember(w, o, at, m); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := gz.Close(); err != nil {
		return err
	}
	return f.Close()
}

func addMember(w *tar.Writer, o owner, at time.Time, m member) error {
	h := &tar.Header{Format: tar.FormatGNU, Name: m.name, Mode: m.mode, ModTime: at,
		Uid: o.uid, Gid: o.gid, Uname: o.user, Gname: o.group}
	if strings.HasSuffix(m.name, "/") {
		h.Typeflag = tar.TypeDir
		return w.WriteHeader(h)
	}
	content, err := os.Open(filepath.FromSlash(m.file))
	if err != nil {
		return err
	}
	defer content.Close()
	info, err := content.Stat()
	if err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(w, content)
	return err
}
