package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"sigs.k8s.io/pkgs/repo/layout"
)

// Memory is what a signer has signed, by stream. It is what keeps it from being led back to an earlier state by who asks.
type Memory struct {
	Streams map[layout.Stream]*StreamMemory `json:"streams"`
}

// StreamMemory is what was signed of one stream.
type StreamMemory struct {
	// Serial and Time are those of the last index that was signed, Request the SHA-256 of the request for it. Serial is 0
	// as long as there was none.
	Serial  int64     `json:"serial"`
	Time    time.Time `json:"time"`
	Request string    `json:"request,omitempty"`
	// Index are the packages of that index, and Packages those of every index that was signed, with their SHA-256.
	Index    []string          `json:"index"`
	Packages map[string]string `json:"packages"`
	// Headers are the SHA-256 of the headers of rpms that were signed, by file name.
	Headers map[string]string `json:"headers"`
}

// ReadMemory reads what was signed before from a file. One that does not exist is an empty memory.
func ReadMemory(file string) (*Memory, error) {
	m := &Memory{}
	data, err := readFile(file, maxManifest)
	if err == nil {
		err = decodeJSON(data, m)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("what was signed before cannot be read, and without it nothing is signed: %s: %w", file, err)
	}
	if m.Streams == nil {
		m.Streams = map[layout.Stream]*StreamMemory{}
	}
	return m, nil
}

// Write writes the memory to a file.
func (m *Memory) Write(file string) error {
	data, err := encodeJSON(m)
	if err != nil {
		return err
	}
	return replaceFile(file, data)
}

func (m *Memory) of(stream layout.Stream) *StreamMemory {
	s := m.Streams[stream]
	if s == nil {
		s = &StreamMemory{}
		m.Streams[stream] = s
	}
	if s.Packages == nil {
		s.Packages = map[string]string{}
	}
	if s.Headers == nil {
		s.Headers = map[string]string{}
	}
	return s
}

// Remember takes what signing the review means into the memory. It must be kept before the signatures are handed out.
func (v *Review) Remember() {
	memory := v.cfg.Memory.of(v.Stream)
	for _, h := range v.Headers {
		memory.Headers[h.File] = headerSum(h.header)
	}
	if v.request.Index == nil {
		return
	}
	all := v.after.digests()
	memory.Serial, memory.Time, memory.Request, memory.Index = v.Serial, v.Time, v.request.digest, slices.Sorted(maps.Keys(all))
	for name, sum := range all {
		memory.Packages[name] = sum
	}
}
