package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"sync"
	"time"

	"golang.org/x/term"

	"sigs.k8s.io/pkgs/repo"
)

// progress shows how long work is getting on. On a terminal it is one line that is drawn again and again; elsewhere it
// is a plain line now and then. What is over within a second shows nothing. A nil or finished progress is silent.
type progress struct {
	what  string
	out   io.Writer
	width func() int // the columns of the terminal; nil elsewhere
	now   func() time.Time

	mu          sync.Mutex // guards what follows
	began, last time.Time
	steps, all  int
	bytes       int64
	drawn       bool
	over        bool
}

// progress starts to show the progress of some work on standard error.
func (p *program) progress(what string) *progress {
	show := &progress{what: what, out: p.stderr, now: p.now, began: p.now()}
	if f, ok := p.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		show.width = func() int {
			columns, _, err := term.GetSize(int(f.Fd()))
			if err != nil || columns < 1 {
				return 80
			}
			return columns
		}
	}
	return show
}

// How often a line is drawn on a terminal and printed elsewhere.
const (
	redraw = 100 * time.Millisecond
	report = 5 * time.Second
)

// start says how many steps there are.
func (s *progress) start(all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = all
}

// step counts a step that is done.
func (s *progress) step(name string, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps++
	s.bytes += bytes
	s.show(fmt.Sprintf("%d of %d, %s, %s", s.steps, s.all, repo.Size(s.bytes), path.Base(name)))
}

// detail shows how far one file has come that is being fetched.
func (s *progress) detail(name string, done, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := ""
	if total > 0 {
		of = " of " + repo.Size(total)
	}
	s.show(fmt.Sprintf("%s, %s%s", path.Base(name), repo.Size(done), of))
}

// publishing shows the progress of a publication: what is done and on its way, how fast, and how long the rest takes if
// it goes on like this.
func (s *progress) publishing(p repo.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := fmt.Sprintf("%d of %d objects, %s of %s", p.Objects, p.TotalObjects, repo.Size(p.Bytes), repo.Size(p.TotalBytes))
	if p.InFlight > 0 {
		line += fmt.Sprintf(", %d under way", p.InFlight)
	}
	if passed := s.now().Sub(s.began); passed > time.Second && p.TotalObjects > 0 && p.TotalBytes > 0 {
		line += fmt.Sprintf(", %s/s", repo.Size(int64(float64(p.Bytes)/passed.Seconds())))
		// Many small objects take time that their bytes do not tell, and the other way round.
		done := min(float64(p.Objects)/float64(p.TotalObjects), float64(p.Bytes)/float64(p.TotalBytes))
		if left := passed.Seconds() * (1 - done) / done; done > 0 && done < 1 {
			line += fmt.Sprintf(", %s left", (time.Duration(left) * time.Second).String())
		}
	}
	s.show(line)
}

// verifying shows the progress of a check.
func (s *progress) verifying(done, total int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due() { // seldom, and there are thousands of packages in a second
		s.show(fmt.Sprintf("%d of %d packages, %s", done, total, repo.Size(bytes)))
	}
}

// due tells whether it is time for a line. The caller holds mu.
func (s *progress) due() bool {
	now, pause := s.now(), report
	if s.width != nil {
		pause = redraw
	}
	return !s.over && now.Sub(s.began) >= time.Second && now.Sub(s.last) >= pause
}

// show draws a line, unless it is too early for one. The caller holds mu.
func (s *progress) show(line string) {
	if !s.due() {
		return
	}
	s.last = s.now()
	if s.width != nil {
		// A line that is broken in two cannot be wiped, and the last column breaks some.
		fmt.Fprintf(s.out, "\r\x1b[K%.*s", s.width()-1, s.what+": "+line)
		s.drawn = true
		return
	}
	fmt.Fprintf(s.out, "%s: %s\n", s.what, line)
}

// done wipes the line. It may be called more than once.
func (s *progress) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drawn {
		fmt.Fprint(s.out, "\r\x1b[K")
	}
	s.drawn, s.over = false, true
}
