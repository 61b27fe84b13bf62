package sse

import (
	"errors"
	"io"
)

var errLineTooLong = errors.New("line too long")

const (
	firstBuffer   = 4 << 10 // most events and many heartbeats fit; idle connections cost no more
	maxEmptyReads = 100     // as in bufio: a reader that returns 0 and no error this often is broken
)

// lineReader splits what it reads at CR, LF and CRLF.
type lineReader struct {
	r      io.Reader
	err    error  // what ended r; returned once buf has no whole line
	buf    []byte // filled up to len
	start  int    // where the next line begins
	seen   int    // up to here there is no line end after start
	skipLF bool   // a CR ended the last line: an LF that comes now belongs to it
}

func (l *lineReader) reset(r io.Reader) {
	*l = lineReader{r: r, buf: l.buf[:0]}
}

// next returns the next line without its end, valid until the next call. A line of more
// than limit bytes is errLineTooLong, as early as that shows.
func (l *lineReader) next(limit int) ([]byte, error) {
	for {
		if line, ok := l.take(); ok {
			return line, l.check(len(line), limit)
		}
		if err := l.check(len(l.buf)-l.start, limit); err != nil {
			return nil, err
		}
		if err := l.fill(); err != nil {
			return nil, err
		}
	}
}

// check leaves the error behind, so that a caller who goes on does not read the rest of a
// line as a line.
func (l *lineReader) check(size, limit int) error {
	if size <= limit {
		return nil
	}
	l.err, l.buf, l.start, l.seen = errLineTooLong, l.buf[:0], 0, 0
	return l.err
}

func (l *lineReader) take() (line []byte, ok bool) {
	l.dropLF()
	i := indexEOL(l.buf[l.seen:])
	if i < 0 {
		l.seen = len(l.buf)
		return nil, false
	}
	end := l.seen + i
	line = l.buf[l.start:end]
	l.skipLF = l.buf[end] == '\r'
	l.start, l.seen = end+1, end+1
	return line, true
}

func (l *lineReader) dropLF() {
	if !l.skipLF || l.start == len(l.buf) {
		return
	}
	l.skipLF = false
	if l.buf[l.start] == '\n' {
		l.start++
		l.seen = l.start
	}
}

// fill reads once more, after making room.
func (l *lineReader) fill() error {
	l.makeRoom()
	for range maxEmptyReads {
		if l.err != nil {
			return l.err
		}
		n, err := l.r.Read(l.buf[len(l.buf):cap(l.buf)])
		l.buf, l.err = l.buf[:len(l.buf)+n], err
		if n > 0 {
			return nil
		}
	}
	return io.ErrNoProgress
}

func (l *lineReader) makeRoom() {
	if l.start > 0 {
		n := copy(l.buf, l.buf[l.start:])
		l.buf, l.seen, l.start = l.buf[:n], l.seen-l.start, 0
	}
	if len(l.buf) == cap(l.buf) {
		grown := make([]byte, len(l.buf), max(firstBuffer, 2*cap(l.buf)))
		copy(grown, l.buf)
		l.buf = grown
	}
}
