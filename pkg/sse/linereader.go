package sse

import (
	"errors"
	"io"
)

var errLineTooLong = errors.New("line too long")

const (
	firstBuffer   = 4 << 10 // enough for most events; an idle connection uses no more
	maxEmptyReads = 100     // as in bufio: a reader that returns 0 and no error this often is broken
)

// lineReader reads lines that end in CR, LF or CRLF.
type lineReader struct {
	r       io.Reader
	err     error  // from r; returned once buf contains no complete line
	buf     []byte // filled up to len
	start   int    // index of the next line
	scanned int    // buf[start:scanned] contains no line end
	skipLF  bool   // the last line ended in CR: a following LF belongs to it
}

func (l *lineReader) reset(r io.Reader) {
	*l = lineReader{r: r, buf: l.buf[:0]}
}

// next returns the next line without its line end. The line is valid until the next call. It
// returns errLineTooLong as soon as a line exceeds limit bytes.
func (l *lineReader) next(limit int) ([]byte, error) {
	for {
		if line, ok := l.cutLine(); ok {
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

// check returns errLineTooLong for a line of more than limit bytes. It also stores the error, so that
// later calls do not return the rest of that line as a line.
func (l *lineReader) check(size, limit int) error {
	if size <= limit {
		return nil
	}
	l.err, l.buf, l.start, l.scanned = errLineTooLong, l.buf[:0], 0, 0
	return l.err
}

func (l *lineReader) cutLine() (line []byte, ok bool) {
	l.dropLF()
	i := indexEOL(l.buf[l.scanned:])
	if i < 0 {
		l.scanned = len(l.buf)
		return nil, false
	}
	end := l.scanned + i
	line = l.buf[l.start:end]
	l.skipLF = l.buf[end] == '\r'
	l.start, l.scanned = end+1, end+1
	return line, true
}

func (l *lineReader) dropLF() {
	if !l.skipLF || l.start == len(l.buf) {
		return
	}
	l.skipLF = false
	if l.buf[l.start] == '\n' {
		l.start++
		l.scanned = l.start
	}
}

// fill calls Read until it returns data or an error.
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
		l.buf, l.scanned, l.start = l.buf[:n], l.scanned-l.start, 0
	}
	if len(l.buf) == cap(l.buf) {
		grown := make([]byte, len(l.buf), max(firstBuffer, 2*cap(l.buf)))
		copy(grown, l.buf)
		l.buf = grown
	}
}
