package report

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidemark/tidemark/internal/loadtest"
)

// plainEvery is the time between two lines in a log or a pipe.
const plainEvery = 5 * time.Second

// lineWidth keeps a live line from wrapping: only one line can be rewritten.
const lineWidth = 79

// Progress shows the progress of a run. In a terminal it rewrites one line; elsewhere it writes a line every five
// seconds and at each new phase. It is not safe for concurrent use. It ignores errors of the writer, so that they
// do not end the run.
type Progress struct {
	w        io.Writer
	live     bool
	lineOpen bool // a live line has no end yet
	phase    string
	lastLine time.Time
}

// NewProgress returns a Progress for w. Set live if w is a terminal.
func NewProgress(w io.Writer, live bool) *Progress {
	return &Progress{w: w, live: live}
}

// Update shows s, the latest second of a run, and its phase.
func (p *Progress) Update(s loadtest.Sample, phase string) {
	line := progressLine(s, plain(phase))
	if p.live {
		p.lineOpen = true
		// Erasing after the text, not before it, does not flicker.
		fmt.Fprintf(p.w, "\r%s\x1b[K", clip(line, lineWidth))
		return
	}
	if phase == p.phase && time.Since(p.lastLine) < plainEvery {
		return
	}
	p.phase, p.lastLine = phase, time.Now()
	fmt.Fprintln(p.w, line)
}

// Done ends the live line. It may be called twice, and Update may follow.
func (p *Progress) Done() {
	if p.lineOpen {
		fmt.Fprintln(p.w)
		p.lineOpen = false
	}
}

// progressLine has columns of fixed width, so that a rewritten line does not move. It has no maximum:
// it would be wider than a terminal.
func progressLine(s loadtest.Sample, phase string) string {
	line := fmt.Sprintf("%-10s %7s  %7s open  %9s/s", clip(phase, 10), clock(s.At), count(s.Connected), count(s.Delivered))
	if s.Delivered > 0 {
		line += fmt.Sprintf("  p50 %-8s p99 %s", duration(s.P50), duration(s.P99))
	}
	return strings.TrimRight(line, " ")
}

// clock writes the time of a run as m:ss or h:mm:ss.
func clock(d time.Duration) string {
	s := int64(d / time.Second)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

func clip(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}
